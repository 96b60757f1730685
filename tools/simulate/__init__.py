"""Servers, store and clients in one simulated world: a seed decides everything, and a failure is replayed exactly.

    clock, chance, trace, sealed   time, randomness, what happened; and a fence around the world
    freezing                       a process that stands still while the others go on
    network, lane, memory, bus     simulated TCP, the store's threads, disks that survive a power cut, hints
    machine, cluster               the real server; one or several nodes and the database that they share
    device, workload               the real client library, what people do with it
    plan, tuning, nemesis          what a seed draws: sizes, weather, small limits, faults
    witness, truth, file, gone     what went over the wire, what was committed, what is on each device's disk
    rules, former, owners          numbered rules of the protocol that one frame shows; what no node may do any more
    verdict                        each device against the log, with `tools.history`, the judge of all histories
    run, campaign, bugs            one seed, many seeds, planted bugs that must be found

The product knows nothing of all this: it is given a clock, entropy, a network and lanes through its ordinary seams.
"""
