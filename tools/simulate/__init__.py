"""Servers, store and clients in one simulated world: a seed decides everything, and a failure is replayed exactly.

    clock, chance, trace, sealed   time, randomness, what happened; and a fence around the world
    freezing                       a process that stands still while the others go on
    network, lane, memory, bus     simulated TCP, the store's threads, disks that survive a power cut, hints
    machine, cluster               the real server; one or several nodes and the database that they share
    device, workload               the real client library, what people do with it
    founding                       the accounts and conversations that a world begins with
    plan, tuning, nemesis, steps   what a seed draws: sizes, weather, small limits, faults; crashes between two steps
    witness, truth, file           what went over the wire, what was committed, what is on each device's disk
    wording                        all of that in the words of `tools.history`, the judge of all histories
    rules, privacy                 numbered rules of the protocol that one frame shows; what is hidden and blocked
    gone, former, owners           what no node may do any more: deleted text, who has left, who was revoked
    verdict                        each device against the log
    paths, branches                which ways through the server were taken
    run, campaign, bugs            one seed, many seeds, planted bugs that must be found

The product knows nothing of all this: it is given a clock, entropy, a network and lanes through its ordinary seams.
"""
