"""What an operator would look at before and after trouble: the machine, the certificate, the data.

Each check takes the settings and yields `Finding`s; none of them changes anything, and a server may be running.
"""
