"""A simulation of deployments of any size: it counts what the formulas of docs/capacity.md assume.

population   who is connected where, and who talks to whom
cluster      nodes at work, event by event
sizes        the deployments, and what is counted in each
prices       what things cost, with where that is from
needs        the counts with prices on them, beside the formulas
report       the tables that the page quotes
"""
