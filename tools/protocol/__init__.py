"""Everything that is derived from the schema in protocol/: Python classes, Markdown tables, and the evolution check.

Nothing here imports wirechat: the generator must run when the generated code is missing or broken.
"""
