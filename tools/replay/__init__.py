"""Plays IRC logs on a real server and proves that nothing was lost, doubled or reordered.

log reads files, plan casts nicks as accounts, play drives one real client per account, evidence is what was promised
and what was found, verdict compares the two, sabotage spoils the evidence on purpose, report prints, command is
`wirechat replay`.
"""
