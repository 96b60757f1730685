"""Coverage-guided fuzzing (docs/proof.md): bytes that neither the codec nor a server may be hurt by.

    bodies                 frames taken apart, changed, and put together again
    codec                  one body and its judges: the other decoder, the clock
    script, grammar, names a session as data; frames that a client may send; what they refer to
    founding, stage, line  the town that is attacked, a real server on a disk in memory, a connection to it
    session                one script and its judges
    targets                both behind one face
    hunt, campaign         the process that fuzzes, and the one that starts it and counts
    corpus                 inputs that are kept

Clock, network, and the disk in memory are those of tools.simulate; the other decoder is the one of
tools.conformance.
"""
