"""Real faults on real processes: `wirechat serve` and clients in processes of their own, hurt in ways that happen.

crowd       the process of real clients, each with its file; deeds says what they do; roll is the harness' end of it
notebook    what their connections carried and what was on their disks, written down as it happens
light       many small clients in one process, for storms and for those who never read
proxy       a TCP proxy that delays, cuts, truncates, trickles and swallows; a balancer
stage       all of it in place, for one fault; cluster is the one of three nodes over PostgreSQL and NATS
mirror      the rows of PostgreSQL for the judge
kinds/      the faults, a module each
run         one fault from beginning to verdict
witness     notebooks told to tools/history, the one judge
judge       the logs, every device, an independent reader, `wirechat verify`
report      the table, JSON
"""
