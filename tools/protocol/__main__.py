"""`python -m tools.protocol`: generate, check, tables, evolution."""

from tools.protocol.cli import main

main()
