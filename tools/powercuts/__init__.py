"""The embedded store on a disk that loses power: whatever was acknowledged is there, whole, after every cut.

    disk, vfs              files that keep only what was synced; SQLite's file system over them, cut at any call
    phases                 what the store was doing when it was cut
    plan, work             what a seed draws; what several users do meanwhile
    acknowledged, worlds   the judges: a plain book of what was answered, and every state the store may be in
    run                    the lives of one seed

The store is the one that the server runs, unchanged: it opens its two connections, and SQLite's default file system
is ours. Chance, lanes, clock, trace and campaign are those of tools.simulate.
"""
