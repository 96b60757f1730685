"""The transcripts of protocol/sessions, played against the real server and the real client, and the sentences of the
specification that no transcript covers.
"""
