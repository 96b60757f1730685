"""Real faults on real processes: `wirechat serve` and clients in processes of their own, hurt in ways that happen.

crowd, deeds     a process of real clients, each with its file; what they do
light            many small clients in one process, for storms and for those who never read
roll, orders     the harness' end of such a process; what it is told
notebook         what connections carried and what was on disks, written down as it happens
proxy            a TCP proxy that delays, cuts, truncates, trickles and swallows; a balancer
stage, cluster   all of it in place, for one fault; three nodes over PostgreSQL and NATS
mirror           the rows of PostgreSQL for the judge
fault, kinds/    what a fault is; the faults, a module each
run              one fault from beginning to verdict
witness          notebooks told to tools/history, the one judge
judge            the logs, every device, an independent reader, `wirechat verify`
report           the table, JSON
"""
