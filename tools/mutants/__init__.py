"""Proves that the conformance runner bites: mutants of the server and of the client, each of which it must catch.

`python -m tools.mutants` plants every patch of tests/conformance/mutants and tests/conformance/clients in a copy of the
source, starts the server or the client there, and lets the runner loose on it.
"""
