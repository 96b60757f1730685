"""Measures of the server from outside: a real process, raw sockets, the kernel's own counts."""
