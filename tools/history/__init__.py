"""The one judge of histories: what clients asked for, what they were told, what they saw, against the log.

    checker     collects events in one pass; each broken promise is a `Violation`
    reference   the fold of a log in the plainest way: what everybody should have
    copies, standing, tally    forwards; roles; what is unread, mentioned and pinned

Pure and independent of the product: it knows neither sockets nor clocks nor the store, so that a simulation, real
processes under faults, the load generator and a replay are judged alike.
"""
