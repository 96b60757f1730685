"""All SQL of the server. Imports nothing of the project; content is opaque bytes, ids and digests come from the caller.

`features/*` are `async def f(tx, …)`, written once for SQLite and PostgreSQL where they agree, as two named
statements side by side
where they do not. On SQLite they never suspend and one thread drives them.
"""
