"""The rules of the house as tests: forgetting a part of a feature names the file to open."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.server.rig import serving
from tools.protocol.schema import FEATURES
from wirechat import wire

ROOT = Path(__file__).parents[2]
PROOFS = ("capacity", "conformance", "faults", "fuzz", "history", "mutants", "powercuts", "simulate")
SENT_BY_CLIENTS = [frame for frame in wire.features.FRAMES if frame.SIDE in ("client", "both")]


async def test_every_frame_of_a_client_has_a_handler(tmp_path: Path) -> None:
    """A request nobody handles would be answered with nothing."""
    async with serving(tmp_path) as rig:
        table = rig.server.dispatcher.table
    for frame in SENT_BY_CLIENTS:
        feature = frame.__module__.rpartition(".")[2]
        assert frame in table, f"{frame.NAME} has no handler: see wirechat/server/features/{feature}.py"
    assert set(table) == set(SENT_BY_CLIENTS)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_has_the_same_stem_everywhere(feature: str) -> None:
    """`git ls-files | grep receipts` lists all of it."""
    wings = ["protocol/{}.json", "wirechat/wire/features/{}.py", "wirechat/server/features/{}.py"]
    for wing in wings:
        assert (ROOT / wing.format(feature)).exists(), f"{wing.format(feature)} is missing"
    assert f"<!-- generated:frames:{feature} -->" in (ROOT / "docs/protocol.md").read_text()


def test_features_never_import_each_other() -> None:
    """They meet in the wiring diagram."""
    for wing in ("server", "client"):
        for path in (ROOT / "wirechat" / wing / "features").glob("*.py"):
            imported = re.findall(rf"wirechat\.{wing}\.features[. ](?:import )?(\w+)", path.read_text())
            assert not imported, f"{path} imports {imported}"


def test_nothing_but_the_modules_of_an_engine_knows_it() -> None:
    """Features are SQL; drivers are drivers; the server knows neither, nor NATS."""
    for path in (ROOT / "wirechat").rglob("*.py"):
        text = path.read_text()
        if re.search(r"^(import|from) (apsw|asyncpg|trio_asyncio)", text, re.MULTILINE):
            assert path.parent.name in ("store", "client", "bus"), f"{path} speaks to an engine"
        if re.search(r"^(import|from) nats\b", text, re.MULTILINE):
            assert path.relative_to(ROOT) == Path("wirechat/bus/nats.py"), f"{path} knows NATS"
        if "import msgpack" in text:
            assert path.name == "packing.py", f"{path} uses msgpack past its facade"


def test_nothing_but_the_side_door_knows_http() -> None:
    """The protocol's server runs without it, and it can be replaced."""
    for path in (ROOT / "wirechat").rglob("*.py"):
        if re.search(r"^\s*(import|from) (hypercorn|starlette|prometheus_client)", path.read_text(), re.MULTILINE):
            assert path.name in ("sidedoor.py", "http.py", "metrics.py"), f"{path} knows HTTP"


def test_modules_have_no_names_that_say_nothing() -> None:
    """One concept, one module."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    bad = [name for name in listed.split() if Path(name).stem in ("utils", "helpers", "manager", "common", "misc")]
    assert not bad


def test_every_python_file_says_what_it_is() -> None:
    """It opens with a docstring."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    silent = []
    for name in listed.split():
        text = (ROOT / name).read_text().lstrip()
        if text and not text.startswith(('"""', 'r"""')) and name != "setup.py":
            silent.append(name)
    assert not silent


@pytest.mark.parametrize("proof", PROOFS)
def test_the_first_page_of_a_proof_names_every_module(proof: str) -> None:
    """Whoever opens the folder finds his way from its docstring."""
    folder = ROOT / "tools" / proof
    named = re.findall(r"\w+", (folder / "__init__.py").read_text())
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert modules - {"__init__", "__main__"} <= set(named)


def test_the_project_speaks_of_the_project_alone() -> None:
    """No path of a machine, no host of a registry."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\n"):
        path = ROOT / name
        if not name or path.suffix in (".png", ".pem") or not path.is_file() or path == Path(__file__):
            continue
        text = path.read_text(errors="replace")
        for forbidden in ("/work" + "/", "/tmp" + "/wt", "/root" + "/", "pypi.org", "npmjs"):
            assert forbidden not in text, f"{name} mentions {forbidden}"
