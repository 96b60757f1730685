"""Proves that the conformance runner bites: mutants of the server, each of which it must catch.

`python -m tools.mutants` plants every patch of tests/conformance/mutants in a copy of the source, starts the server
there, and lets the runner loose on it.
"""
