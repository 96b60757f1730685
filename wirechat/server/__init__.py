"""The server: sockets, sessions, the journal, delivery. Trio lives here.

`app` is the wiring diagram and the only module that knows everything. A file in `features/` is a feature and never
imports another.
"""
