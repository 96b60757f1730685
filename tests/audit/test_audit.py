"""The audit of dependencies: what it finds, what it could not look at, and that it ends."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tools.audit import __main__ as audit
from tools.audit import ask as asking
from tools.audit.ask import ask, installed
from tools.audit.report import Report, read

BAD = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2"]}
CLEAN = {"name": "trio", "version": "1", "vulns": []}
VULNERABLE = {"name": "msgpack", "version": "1", "vulns": [BAD]}
UNKNOWN = {"name": "attrs", "skip_reason": "Dependency not found"}


def told(*packages: dict[str, Any]) -> Report:
    return read(json.dumps({"dependencies": packages, "fixes": []}))


def run(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report | str], settings: str = "[audit]\naccepted =\n"
) -> Result:
    """The command, with these answers of the services."""
    names = {name for each in answers.values() if isinstance(each, Report) for name in (*each.audited, *each.unknown)}
    monkeypatch.setattr(audit, "installed", lambda: [f"{name}==1" for name in names or {"trio"}])
    monkeypatch.setattr(audit, "ask", lambda service, packages: answers[service])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "setup.cfg"
        path.write_text(settings)
        return CliRunner().invoke(audit.main, ["--settings", str(path)])


def test_a_vulnerability_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """With package, version, all names of the advisory and where it is fixed."""
    done = run(monkeypatch, {"pypi": told(CLEAN, VULNERABLE)})
    assert done.exit_code == 1
    assert "Vulnerable: msgpack 1: PYSEC-1 CVE-2026-1, fixed in 2" in done.output


def test_nothing_known_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second service is not asked."""
    done = run(monkeypatch, {"pypi": told(CLEAN)})
    assert (done.exit_code, done.output) == (0, "1 packages audited for known vulnerabilities.\n")


@pytest.mark.parametrize(
    "answers",
    [
        {"pypi": told(UNKNOWN), "osv": "osv could not be asked: no connection"},
        {"pypi": "pypi could not be asked: no connection", "osv": "osv did not answer in 90 s"},
        {"pypi": told(CLEAN, UNKNOWN), "osv": told(UNKNOWN)},
    ],
    ids=["knows nothing", "no network", "knows some"],
)
def test_what_was_not_audited_is_said(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Report | str]) -> None:
    """In one line; it is no error unless it must be one. pip-audit alone would say that all is well."""
    monkeypatch.delenv("REQUIRE_AUDIT", raising=False)
    done = run(monkeypatch, answers)
    assert done.exit_code == 0
    assert done.output.startswith("NOT AUDITED: 1 of ")
    assert len(done.output.splitlines()) == 1
    monkeypatch.setenv("REQUIRE_AUDIT", "1")
    assert run(monkeypatch, answers).exit_code == 1


def test_the_second_service_may_know_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever knows more packages is believed."""
    known = {"name": "attrs", "version": "1", "vulns": [BAD]}
    assert "Vulnerable: attrs" in run(monkeypatch, {"pypi": told(UNKNOWN), "osv": told(known)}).output


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-2026-1"])
def test_what_is_accepted_has_a_reason(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """By any name of the advisory; without a reason it is wrong use."""
    answers: dict[str, Report | str] = {"pypi": told(VULNERABLE)}
    assert run(monkeypatch, answers, f"[audit]\naccepted =\n    {name}: we never call it\n").exit_code == 0
    done = run(monkeypatch, answers, f"[audit]\naccepted =\n    {name}:\n")
    assert done.exit_code == 2
    assert "has no reason" in done.output


def test_what_is_accepted_in_vain_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the list does not grow for ever."""
    done = run(monkeypatch, {"pypi": told(CLEAN)}, "[audit]\naccepted =\n    PYSEC-9: long ago\n")
    assert "PYSEC-9 is accepted in setup.cfg, [audit], and not there any more; remove it." in done.output


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import time; time.sleep(60)", "pypi did not answer in 0.2 s"),
        ("import sys; print('boom', file=sys.stderr); sys.exit(1)", "pypi could not be asked: boom"),
        ("print('{}')", "pypi could not be asked: pip-audit said nothing"),
    ],
    ids=["hangs", "fails", "says something else"],
)
def test_it_ends_whatever_the_service_does(monkeypatch: pytest.MonkeyPatch, program: str, said: str) -> None:
    """And says in a line why nothing was learnt."""
    if "sleep" in program:
        monkeypatch.setattr(asking, "SECONDS_MAX", 0.2)
    assert ask("pypi", ["trio==1"], (sys.executable, "-c", program)) == said


def test_what_is_installed_is_what_we_depend_on() -> None:
    """Not the project, nor the tools that make an environment."""
    names = {each.partition("==")[0] for each in installed()}
    assert {"trio", "msgpack", "cryptography", "apsw", "pytest"} <= names
    assert not names & {"wirechat", "pip", "setuptools"}


def test_the_settings_of_the_project_are_sound() -> None:
    """Each exception has a reason."""
    assert all(audit.accepted(audit.SETTINGS).values())
