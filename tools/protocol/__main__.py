"""`python -m tools.protocol`: generate, check, tables, evolution."""

from tools.arguments import run
from tools.protocol.cli import main

run(main, "python -m tools.protocol")
