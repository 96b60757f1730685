"""Every Python program in the documents runs as it stands there, and prints what the document says."""

import re
import sys
from pathlib import Path

import pytest
import trio

from tests.server.rig import serving
from wirechat.client import register

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/client/python.md"]
PROGRAM = re.compile(r"```python\n(?P<source>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)
DEMO = {"alice": "looking-glass", "bob": "can-we-fix-it"}
SECONDS = 60


@pytest.mark.parametrize("page", PAGES)
async def test_the_programs_of_a_page(page: str, tmp_path: Path) -> None:
    """One server for the whole page, with the accounts of `make run`; a reader tries them one after the other too."""
    programs = list(PROGRAM.finditer((ROOT / page).read_text()))
    assert programs
    with trio.fail_after(SECONDS):
        async with serving(tmp_path / "data") as rig:
            address = f"127.0.0.1:{rig.listeners['tcp'].port}"
            for handle, password in DEMO.items():
                await register(f"wirechat://{address}", handle, password=password)
            for program in programs:
                source = program["source"].replace("127.0.0.1:7667", address)
                assert address in source
                done = await trio.run_process(
                    [sys.executable, "-c", source], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_stdout=True
                )
                if program["output"] is not None:
                    assert done.stdout.decode() == program["output"]
