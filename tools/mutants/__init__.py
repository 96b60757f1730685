"""Proves that the conformance runner bites: mutants of the server and of the client, each of which it must catch.

`python -m tools.mutants` plants every patch of tests/conformance/mutants and tests/conformance/clients in a copy of the
source, starts the server or the client there, and lets the runner loose on it.

    hunt         one mutant: its copy, its server or client, and what the runner says of it
    warm, stub   a client that is started very often, without the cost of its imports
"""
