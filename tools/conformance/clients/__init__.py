"""Checks a client: a scripted and hostile server for a command that is started afresh for every check.

driver     the command, and the lines it reads and writes       listener   sockets that wait for it
peer       one connection of it, frame by frame                 referee    what holds on every connection
world      the conversations the server tells it of             stage      what a check has at hand
subject    which command, where to listen, what it can do       catalogue, checks/   what is checked
"""
