"""`python -m tests.store.saved make`: save the present state, once, before the next migration is added."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import trio

from tests.store.saved import make

if sys.argv[1:] != ["make"]:
    sys.exit("python -m tests.store.saved make")
with tempfile.TemporaryDirectory() as folder:
    try:
        trio.run(make, Path(folder))
    except FileExistsError as error:
        sys.exit(str(error))
