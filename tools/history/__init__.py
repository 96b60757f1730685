"""The one judge of histories: what clients asked for, what they were told, what they saw, against the log.

    checker     its face: `History` takes events in one pass; each broken promise is a `Violation`
    entries     what events speak of: entries, operations, memberships
    operations, logs, receipts, reads, holdings, members, screens, liveness    each judges some of the 13 invariants
    reference   the fold of a log in the plainest way: what everybody should have
    recording   events as files, one for each process, merged by time; `python -m tools.history judge FILE...`
    copies, standing, tally    forwards; roles; what is unread, mentioned and pinned

Pure and independent of the product: it knows neither sockets nor clocks nor the store, so that a simulation, real
processes under faults and a replay are judged alike.
"""
