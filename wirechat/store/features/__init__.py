"""One file a feature: `async def f(tx, …)`. A feature never reaches into another's tables, except the journal's
projections.
"""
