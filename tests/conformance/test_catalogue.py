"""The list of checks: every one quotes rules that exist, and the runner needs nothing but Python and protocol/."""

import ast
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.conformance import checks as _checks  # noqa: F401  every module enters its checks
from tools.conformance import ed25519
from tools.conformance.catalogue import CHECKS, CLIENT_CHECKS, LEVELS, Check, add, chosen
from tools.conformance.clients import checks as _client_checks  # noqa: F401
from tools.conformance.fold import fold, plain
from tools.conformance.report import Summary, as_json, as_junit, as_text
from tools.conformance.rules import rules
from tools.conformance.run import FAIL, PASS, SKIP, Result

ROOT = Path(__file__).parents[2]
RUNNER = ROOT / "tools" / "conformance"
DOCUMENT = (ROOT / "docs" / "protocol.md").read_text()
VECTORS = ROOT / "protocol" / "vectors"


def run(*arguments: str, cwd: Path = ROOT, module: str = "tools.conformance") -> subprocess.CompletedProcess[str]:
    """The runner as a stranger has it: -S leaves out everything that was installed."""
    command = [sys.executable, "-S", "-m", module, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("check", [*CHECKS.values(), *CLIENT_CHECKS.values()], ids=lambda check: check.id)
def test_a_check_quotes_rules_that_exist(check: Check) -> None:
    """P12: who is told that he failed is told where it stands."""
    assert check.rules
    assert [rule for rule in check.rules if f"[{rule}] " not in DOCUMENT] == []
    assert all(rules()[rule] for rule in check.rules)
    assert check.title.endswith("."), "a title is a sentence"
    assert re.search(rf"^###? {re.escape(check.section)}\.? ", DOCUMENT, re.MULTILINE), "its section exists"
    assert check.id.startswith(f"{check.section}/")
    assert check.level in LEVELS


def test_there_are_many() -> None:
    """The runner is worth its name."""
    assert len(CHECKS) >= 300
    assert len({rule for check in CHECKS.values() for rule in check.rules}) >= 120


def test_rules_are_word_for_word() -> None:
    """A rule is the paragraph behind its number; none is left out."""
    numbers = re.findall(r"^(?:\*\*[^*\n]+\*\* )?\[(\d+-\d+)\]", DOCUMENT, re.MULTILINE)
    assert list(rules()) == numbers
    words = " ".join(DOCUMENT.split())
    assert [number for number, text in rules().items() if text not in words] == []


def test_the_runner_is_the_standard_library_alone() -> None:
    """It can be copied out; nothing of wirechat is in it, so that it cannot share its mistakes."""
    for path in RUNNER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                allowed = name.partition(".")[0] in sys.stdlib_module_names
                assert allowed or (path.name == "reader.py" and name.startswith("cryptography")), (path, name)


def test_a_copy_runs_beside_protocol(tmp_path: Path) -> None:
    """Two folders are all a stranger needs."""
    shutil.copytree(RUNNER, tmp_path / "conformance", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "protocol", tmp_path / "protocol", ignore=shutil.ignore_patterns("releases"))
    done = run("server", "--list", cwd=tmp_path, module="conformance")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(CHECKS)
    done = run("client", "--list", cwd=tmp_path, module="conformance")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(CLIENT_CHECKS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "COMMAND"),
        (("server",), "give the URL"),
        (("server", "wirechat://ann:secret@localhost"), "leave out the user and password"),
        (("server", "example.org"), "must begin with one of"),
        (("server", "wirechat://127.0.0.1:1"), "wirechat://127.0.0.1:1: connection refused: is the server running?"),
        (("server", "wirechat://127.0.0.1:99999"), "Port out of range"),
        (("server", "--list", "--only", "9.9/nothing"), "no check is called 9.9/nothing"),
        (("server", "--level", "L7"), "invalid choice"),
        (("server", "--timeout", "soon"), "'soon' is not above 0"),
        (("server", "--threads", "0"), "'0' is not from 1 to 64"),
        (("server", "--json", "--junit", "--list"), "not allowed with"),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], told: str) -> None:
    """Exit status 2."""
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert told in line


def test_levels_and_names_choose() -> None:
    """A level includes those below; a name may stand for all that begin so; --quick leaves out what waits."""
    assert len(chosen("L0")) < len(chosen("L1")) < len(chosen("L2")) == len(CHECKS)
    assert {check.section for check in chosen(only=["4.4/"])} == {"4.4"}
    assert [check.id for check in chosen(only=["2.1/length-zero"])] == ["2.1/length-zero"]
    assert [check for check in chosen(quick=True) if check.slow] == []
    with pytest.raises(ValueError, match="two checks"):
        add(CHECKS["2.1/length-zero"])


def test_the_list_is_told_to_machines_too() -> None:
    """With rules and levels."""
    told = json.loads(run("server", "--list", "--json").stdout)["checks"]
    assert [row["id"] for row in told] == [check.id for check in CHECKS.values()]
    assert set(told[0]) == {"id", "section", "rule", "level", "must", "title", "slow", "needs"}


def _summary() -> Summary:
    failed = Result(CHECKS["2.1/length-zero"], FAIL, "expected x; got \x00y", "x", "y", ["alice <- PING"])
    should = Result(CHECKS["12.4/an-idle-resume-is-small"], FAIL, "expected few; got many", "few", "many")
    skipped = Result(CHECKS["2.3/fragments-are-put-together"], SKIP, "not on wirechat://")
    passed = Result(CHECKS["2.1/many-frames-at-once"], PASS, trace=["alice -> PING"])
    return Summary("wirechat://x", "agent", "L2", 1.5, [failed, should, skipped, passed])


def test_a_report_names_the_rule_and_the_frames() -> None:
    """P12: the author of a server can act on it."""
    text = as_text(_summary())
    assert "FAIL 2.1/length-zero  (MUST, L0)" in text
    assert "[2-3] A first byte other than 0 is answered by ERROR 1000" in text
    assert "alice <- PING" in text
    assert "PASS 2.1/many-frames-at-once\n" in text
    assert "alice -> PING" in text
    assert "1 passed, 2 failed, 1 skipped in 1.5 s (1 of the failures are a SHOULD): does not conform" in text


def test_reports_for_machines() -> None:
    """JSON has every check; in JUnit a failed SHOULD is no failure, and control characters do no harm."""
    told = json.loads(as_json(_summary()))
    assert (told["passed"], told["counts"]) == (False, {"fail": 2, "skip": 1, "pass": 1})
    keys = {"id", "section", "rule", "level", "must", "status", "why"}
    assert all(keys <= set(row) for row in told["checks"])
    suite = ET.fromstring(as_junit(_summary()))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "2")
    assert len(suite.findall("testcase/failure")) == 1


@pytest.mark.parametrize("vector", json.loads((VECTORS / "auth.json").read_text()), ids=lambda vector: vector["id"])
def test_signatures_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    """The runner signs by itself."""
    secret, signed, signature, public = (
        bytes.fromhex(each["hex"] if isinstance(each, dict) else each)
        for each in (vector["secret_key"], vector["signed"], vector["signature"], vector["public_key"])
    )
    assert ed25519.public_key(secret) == public
    assert ed25519.sign(secret, signed) == signature


def _bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else {k: _bytes(v) for k, v in value.items()}
    return [_bytes(each) for each in value] if isinstance(value, list) else value


KINDS_MAX = 18
"""Of entries that a server sends: no check has to fold what is unknown."""
FOLDS = [
    vector
    for vector in json.loads((VECTORS / "fold" / "fold.json").read_text())
    if all("event" in step and step["event"]["kind"] <= KINDS_MAX for step in vector["steps"])
]


@pytest.mark.parametrize("vector", FOLDS, ids=lambda vector: vector["id"])
def test_the_fold_of_events_is_that_of_the_vectors(vector: dict[str, Any]) -> None:
    """What the runner expects of CHANGES is the fold of the specification."""
    records = {record["seq"]: _bytes(record) for record in vector.get("records", [])}
    for step in vector["steps"]:
        fold(records, _bytes(step["event"]))
    expected = sorted((plain(_bytes(record)) for record in vector["expect"]), key=lambda record: record["seq"])
    assert [plain(records[seq]) for seq in sorted(records)] == expected


def test_wirechat_conform_delegates(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same arguments, the same exit status."""
    from wirechat.cli import main

    run_main: Callable[[], None] = main.main
    for arguments, status in ((["server", "--list", "--only", "4.5/"], 0), (["server"], 2)):
        monkeypatch.setattr(sys, "argv", ["wirechat", "conform", *arguments])
        with pytest.raises(SystemExit) as ended:
            run_main()
        assert ended.value.code == status
    told = capsys.readouterr()
    assert told.out.startswith("4.5/structs-grow")
    assert told.err.startswith("wirechat conform: give the URL")
