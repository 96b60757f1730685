"""The schema keeps its own rules, what is generated from it is fresh, and what was released never changes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tools.protocol import evolution, tables
from tools.protocol.cli import ROOT, generated, main, stale
from tools.protocol.schema import FILES, SchemaError, load
from tools.protocol.types import TypeSyntaxError, parse
from wirechat import wire
from wirechat.wire import features

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the repository's schema that a test may break, released as it is."""
    target = tmp_path / "protocol"
    target.mkdir()
    for name in FILES:
        shutil.copyfile(ROOT / "protocol" / name, target / name)
    assert run(tmp_path, "freeze").exit_code == 0
    return tmp_path


def run(root: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["--root", str(root), *arguments])


def change(root: Path, name: str, how: Change) -> None:
    path = root / "protocol" / f"{name}.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    how(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def frame(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in data["frames"] if each["name"] == name)


# Freshness


def test_everything_generated_is_fresh() -> None:
    """Code that does not follow from the schema is code nobody agreed on."""
    assert stale(generated(ROOT, load(ROOT / "protocol"))) == []


def test_a_changed_schema_makes_the_code_stale(root: Path) -> None:
    """The check must be able to fail."""
    assert run(root, "generate").exit_code == 0
    assert run(root, "check").exit_code == 0
    change(root, "limits", lambda data: data["limits"][0].update(value=1234))
    result = run(root, "check")
    assert (result.exit_code, result.output.splitlines()[0][:33]) == (1, "stale: wirechat/wire/limits.py; r")


def test_changed_code_is_stale(root: Path) -> None:
    """Nobody edits a generated file by hand."""
    run(root, "generate")
    path = root / "wirechat" / "wire" / "features" / "messages.py"
    path.write_text(path.read_text(encoding="utf-8").replace("> 16384", "> 99999"), encoding="utf-8")
    assert run(root, "check").exit_code == 1
    run(root, "generate")
    assert "> 16384" in path.read_text(encoding="utf-8")


def test_tables_in_the_document_are_kept_fresh(root: Path) -> None:
    """docs/protocol.md and the code cannot tell different stories."""
    document = root / "docs" / "protocol.md"
    document.parent.mkdir()
    document.write_text("# A\n\n<!-- generated:frames:messages -->\nstale row\n<!-- end -->\n\nend\n", encoding="utf-8")
    assert run(root, "check").exit_code == 1
    assert run(root, "generate").exit_code == 0
    assert run(root, "check").exit_code == 0
    text = document.read_text(encoding="utf-8")
    assert "#### SEND (54)" in text
    assert "stale row" not in text
    assert text.startswith("# A\n\n<!-- generated")
    assert text.endswith("<!-- end -->\n\nend\n")


def test_an_unknown_table_is_a_clear_error(root: Path) -> None:
    """One line, status 2."""
    (root / "docs").mkdir()
    (root / "docs" / "protocol.md").write_text("<!-- generated:frame:x -->\n<!-- end -->\n", encoding="utf-8")
    result = run(root, "generate")
    assert result.exit_code == 2
    assert "no table frame:x" in result.output


def test_every_table_prints() -> None:
    """The document may mark any of them."""
    for name in tables.names():
        assert "|---|" in tables.table(load(ROOT / "protocol"), name)


def test_generated_code_is_formatted() -> None:
    """The formatter and the generator must not fight over the same files."""
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed")
    paths = [path for path in generated(ROOT, load(ROOT / "protocol")) if path.suffix == ".py"]
    subprocess.run([ruff, "format", "--check", "-q", *paths], cwd=ROOT, check=True, timeout=60)
    subprocess.run([ruff, "check", "-q", *paths], cwd=ROOT, check=True, timeout=60)


def test_every_name_is_exported() -> None:
    """wire.Send is how everybody writes it."""
    assert {each.__name__ for each in (*features.FRAMES, *features.STRUCTS)} == set(features.__all__)
    assert all(hasattr(wire, name) for name in wire.__all__)
    assert set(features.__all__) < set(wire.__all__)


# The schema's own rules


@pytest.mark.parametrize(
    "text", ["m", "{u}", "[m]<=5", "u0x", "s", "x<5", "[u]", "?", "", "@row", "??u", "s|x", "[u]=5"]
)
def test_no_other_types_exist(text: str) -> None:
    """Above all no map: a map at the end is the extras, for every decoder that knows fewer fields."""
    with pytest.raises(TypeSyntaxError):
        parse(text)


BROKEN: dict[str, tuple[str, Change]] = {
    "code twice": ("messages", lambda data: frame(data, "SEND").update(code=56)),
    "odd request": ("messages", lambda data: frame(data, "SEND").update(code=125)),
    "request among the pushes": ("messages", lambda data: frame(data, "SEND").update(code=20)),
    "push among the requests": ("messages", lambda data: frame(data, "EVENT").update(code=110)),
    "reserved code": ("messages", lambda data: frame(data, "EVENT").update(code=19)),
    "grease code": ("messages", lambda data: frame(data, "EVENT").update(code=27)),
    "name twice": ("messages", lambda data: frame(data, "SEND").update(name="MARK")),
    "unknown error": ("messages", lambda data: frame(data, "SEND")["errors"].append(4999)),
    "unknown struct": ("messages", lambda data: frame(data, "SEND")["fields"][3].update(type="@Nothing")),
    "unknown registry": ("messages", lambda data: frame(data, "SEND")["fields"][2].update(enum="nothing")),
    "map": ("messages", lambda data: frame(data, "SEND")["fields"][3].update(type="?m")),
    "field twice": ("messages", lambda data: frame(data, "SEND")["fields"][3].update(name="kind")),
    "name of a method": ("messages", lambda data: frame(data, "SEND")["fields"][3].update(name="encode")),
    "default of a required field": ("messages", lambda data: frame(data, "SEND")["fields"][2].update(default=1)),
    "range outside the type": ("messages", lambda data: frame(data, "SEND")["fields"][2].update(max=256)),
    "unknown key": ("messages", lambda data: frame(data, "SEND")["fields"][2].update(defualt=1)),
    "struct in itself": ("messages", lambda data: data["structs"]["Content"]["fields"][1].update(type="@Content")),
    "error code twice": ("errors", lambda data: data["errors"][1].update(code=1000)),
    "limit twice": ("limits", lambda data: data["limits"][1].update(name="frame_bytes")),
    "value twice": ("registries", lambda data: data["registries"]["roles"]["values"][1].update(value=0)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_schema_is_refused(root: Path, name: str) -> None:
    """A mistake in the source would be copied into every implementation."""
    file, how = BROKEN[name]
    change(root, file, how)
    with pytest.raises(SchemaError):
        load(root / "protocol")
    result = run(root, "generate")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_file_that_is_no_json_is_named(root: Path) -> None:
    """The error tells where to look."""
    (root / "protocol" / "history.json").write_text("{", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"history\.json"):
        load(root / "protocol")


def test_every_schema_file_is_a_feature() -> None:
    """A file that nobody reads would look like part of the protocol."""
    found = {path.name for path in (ROOT / "protocol").iterdir() if path.is_file()}
    assert found == {*FILES, "budgets.json", "rules.json", "README.md"}


# Evolution


def test_what_was_released_never_changed() -> None:
    """Clients in the field cannot be recalled."""
    assert evolution.releases(ROOT / "protocol")
    assert evolution.broken(ROOT / "protocol") == []


FORBIDDEN: dict[str, tuple[str, Change]] = {
    "other code": ("messages", lambda data: frame(data, "SEND").update(code=114)),
    "frame gone": ("receipts", lambda data: data["frames"].remove(frame(data, "WHO_READ"))),
    "frame renamed": ("receipts", lambda data: frame(data, "WHO_READ").update(name="READERS")),
    "other order": (
        "messages",
        lambda data: frame(data, "SEND")["fields"].insert(0, frame(data, "SEND")["fields"].pop()),
    ),
    "other type": ("messages", lambda data: frame(data, "SEND")["fields"][2].update(type="u16")),
    "shorter text": ("messages", lambda data: data["structs"]["Content"]["fields"][1].update(type="s|x<=8192")),
    "optional now": ("messages", lambda data: frame(data, "SEND")["fields"][2].update(type="?u8")),
    "other default": ("sync", lambda data: frame(data, "SYNC")["fields"][1].update(default=100)),
    "narrower range": ("sync", lambda data: frame(data, "SYNC")["fields"][1].update(max=400)),
    "field gone": ("messages", lambda data: frame(data, "SEND")["fields"].pop()),
    "field in the middle": (
        "messages",
        lambda data: frame(data, "SEND")["fields"].insert(1, {"name": "new", "type": "?u", "about": "new"}),
    ),
    "required field": (
        "messages",
        lambda data: frame(data, "SEND")["fields"].append({"name": "new", "type": "u", "about": "new"}),
    ),
    "reply changed": ("messages", lambda data: frame(data, "SEND")["reply"]["fields"][0].update(type="u32")),
    "struct field gone": ("history", lambda data: data["structs"]["Record"]["fields"].pop()),
    "number reused": ("registries", lambda data: data["registries"]["roles"]["values"][3].update(name="GUEST")),
    "number gone": ("registries", lambda data: data["registries"]["roles"]["values"].pop(3)),
    "error reused": ("errors", lambda data: data["errors"][-1].update(name="MAYBE")),
    "error gone": ("errors", lambda data: data["errors"].remove({e["code"]: e for e in data["errors"]}[1009])),
    "limit lowered": ("limits", lambda data: data["limits"][4].update(value=7)),
    "limit gone": ("limits", lambda data: data["limits"].pop()),
    "range moved": ("codes", lambda data: data["ranges"][2].update(server_unknown="ignore")),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_p11_a_change_of_what_was_released_is_found(root: Path, name: str) -> None:
    """The check must be able to fail, for each of its rules."""
    file, how = FORBIDDEN[name]
    assert run(root, "evolution").exit_code == 0
    change(root, file, how)
    result = run(root, "evolution")
    assert result.exit_code == 1, result.output
    assert result.output.startswith("release 2: ")


ALLOWED: dict[str, tuple[str, Change]] = {
    "optional field at the end": (
        "messages",
        lambda data: frame(data, "SEND")["fields"].append({"name": "new", "type": "?u", "about": "new", "since": 2}),
    ),
    "optional field of a struct": (
        "messages",
        lambda data: data["structs"]["Content"]["fields"].append({"name": "new", "type": "?u", "about": "new"}),
    ),
    "new frame": (
        "messages",
        lambda data: data["frames"].append(
            {"code": 20, "name": "NEWS", "from": "server", "push": "counted", "since": 2, "about": "new", "fields": []}
        ),
    ),
    "new error": (
        "errors",
        lambda data: data["errors"].append({"code": 4009, "name": "NEW", "since": 2, "about": "n"}),
    ),
    "other words": ("messages", lambda data: frame(data, "SEND").update(about="Writes.")),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_p11_growing_is_allowed(root: Path, name: str) -> None:
    """A check that refuses everything would be switched off."""
    file, how = ALLOWED[name]
    change(root, file, how)
    result = run(root, "evolution")
    assert result.exit_code == 0, result.output
    for path, text in generated(root, load(root / "protocol")).items():
        compile(text, path, "exec")
