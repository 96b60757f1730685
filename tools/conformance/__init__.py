"""Checks servers and clients from the outside, with nothing but `protocol/` in common with them.

command, run, report            the command line; checks, several at a time; what a run says
catalogue, rules, verdict       the lists of checks; the rules they quote; how one ends that does not pass
checks/                         the checks of servers, by what they are about
lab, person                     what they have at hand: connections, and people who log in on them
connection, sockets, trace      one connection, frame by frame; TCP, TLS and WebSocket; what went over it
decoder, msgpack, ed25519       the protocol from its schema, with the standard library alone
reader, fold                    a whole conversation as a server tells it, and as people see it
clients/                        the same for clients: the server that they are checked with
"""
