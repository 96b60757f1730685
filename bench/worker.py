"""The process in which one side answers: a line on its standard input asks for the next row, a line of JSON is it.

It is started in the measured work tree with BOOT, so that `wirechat` comes from there and `bench` from here. What the
tree does not have must not be found where `wirechat` is installed for development.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.benchmark import ROOT, BenchError, Row, Run, load

BOOT = """
import sys
sys.path[0] = sys.argv[1]
import bench
sys.path[0] = ""
sys.meta_path = [each for each in sys.meta_path if not getattr(each, "__module__", "").startswith("__editable__")]
from bench import worker
worker.main()
"""
STOP_SECONDS = 60.0


class Worker:
    """One side of one repeat. Ends with the `with` block."""

    def __init__(self, name: str, run: Run) -> None:
        self._log = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115
        options = {"rows": run.rows, "seconds": run.seconds, "quick": run.quick, "trace": run.trace}
        self._process = subprocess.Popen(
            [sys.executable, "-c", BOOT, str(ROOT), name, json.dumps(options)],
            cwd=run.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def next_row(self) -> Row | None:
        """The next row; None when there are no more. Raises BenchError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # its last words say why
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(self._last_words())
        plain: dict[str, Any] | None = json.loads(line)
        return None if plain is None else Row(plain["row"], plain["figures"])

    def _last_words(self) -> str:
        self._process.wait(STOP_SECONDS)
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


def main() -> None:
    """Answer until nobody asks any more."""
    _, _, name, options = sys.argv
    plain = json.loads(options)
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        rows = load(name).measure(Run(root=Path.cwd(), **{**plain, "rows": tuple(plain["rows"])}))
        for _ in sys.stdin:
            row = next(rows, None)
            print(json.dumps(row and {"row": row.name, "figures": dict(row.figures)}), file=out, flush=True)
        rows.close()  # type: ignore[attr-defined]
    except (BenchError, OSError) as error:
        raise SystemExit(str(error)) from None
