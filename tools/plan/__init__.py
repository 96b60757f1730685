"""`wirechat plan`: how much this machine carries, measured on it for a minute.

server    a server of its own, a child process with a temporary store
probe     what is measured: the disk, idle people, texts in pairs and in groups until they take too long
answer    what follows: how many people and texts, and what breaks first
kernel    limits of this machine, and the lines that change them
command   the command line, table
"""
