"""`wirechat config`: what an operator asks before a server starts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import refused, wirechat

GOOD = '[data]\ndirectory = "data"\n[listen]\ntcp = ["127.0.0.1:7667"]\n'


def write(folder: Path, text: str) -> Path:
    file = folder / "wirechat.toml"
    file.write_text(text)
    return file


def test_the_default_is_a_configuration_that_can_be_used(tmp_path: Path) -> None:
    """`config default > wirechat.toml` is the way to begin."""
    file = write(tmp_path, wirechat("config", "default").out)
    ended = wirechat("config", "check", file)
    assert (ended.status, ended.out, ended.err) == (0, "The configuration can be used.\n", "")
    assert list(tmp_path.iterdir()) == [file], "checking makes nothing"


def test_check_tells_every_problem(tmp_path: Path) -> None:
    """A line for each, status 2; the same for machines."""
    file = write(tmp_path, "[listen]\ntcp = [1]\n[log]\nlevel = 'loud'\n")
    ended = wirechat("config", "check", file)
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 2
    answer = wirechat("config", "check", file, "--json")
    assert answer.status == 2
    assert json.loads(answer.out)["problems"] == [line.removeprefix("wirechat: ") for line in ended.err.splitlines()]


def test_check_looks_at_what_is_named(tmp_path: Path) -> None:
    """The certificate and its key, the place for the data."""
    for name in ("one", "two"):
        assert wirechat("cert", tmp_path / name).status == 0
    tls = ("--tls", "127.0.0.1:0", "--cert", tmp_path / "one/chain.pem")
    data = ("--data", tmp_path / "data")
    assert wirechat("config", "check", *data, *tls, "--key", tmp_path / "one/key.pem").status == 0
    assert "do not belong together" in refused("config", "check", *data, *tls, "--key", tmp_path / "two/key.pem")
    assert "tls.cert and tls.key" in refused("config", "check", *data, *tls)
    assert "key.pem: No such file" in refused("config", "check", *data, *tls, "--key", tmp_path / "key.pem")
    tcp, none = ("--tcp", "127.0.0.1:0"), tmp_path / "none.pem"
    for named in ("--cert", "--key"):
        assert "none.pem: No such file" in refused("config", "check", *data, *tcp, named, none)
    for listen in (tcp, ("--tls", "127.0.0.1:0")):
        both = wirechat("config", "check", *data, *listen, "--cert", none, "--key", none)
        assert both.status == 2
        assert [line.split(":")[1] for line in both.err.splitlines()] == [" cannot use tls.cert", " cannot use tls.key"]
    (tmp_path / "data").write_text("")
    assert "Not a directory" in refused("config", "check", *data, "--tcp", "127.0.0.1:0")


def test_show_tells_the_value_and_where_it_was_said(tmp_path: Path) -> None:
    """All four origins, for people and for machines."""
    file = write(tmp_path, GOOD)
    arguments = ("config", "show", "--config", file, "--clear-passwords")
    environment = {"WIRECHAT_LIMITS__PAGE": "20"}
    shown = wirechat(*arguments, env=environment)
    assert shown.status == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.out.splitlines()}
    assert rows["listen.tcp"] == f'["127.0.0.1:7667"] file {file}'
    assert rows["limits.page"] == "20 environment WIRECHAT_LIMITS__PAGE"
    assert rows["accounts.clear_passwords"] == "true flag --clear-passwords"
    assert rows["limits.window"] == "1024 default"
    told = json.loads(wirechat(*arguments, "--json", env=environment).out)
    assert told["limits.page"] == {"value": 20, "kind": "environment", "name": "WIRECHAT_LIMITS__PAGE"}
    assert told["listen.tcp"]["value"] == ["127.0.0.1:7667"]


def test_show_tells_no_secret(tmp_path: Path) -> None:
    """Settings name files with secrets; what is in them is not shown."""
    wirechat("cert", tmp_path / "certs")
    key = tmp_path / "certs/key.pem"
    shown = wirechat("config", "show", "--cert", tmp_path / "certs/chain.pem", "--key", key)
    assert str(key) in shown.out
    assert key.read_text().splitlines()[1] not in shown.out


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    """So that a unit file needs no arguments."""
    file = write(tmp_path, GOOD)
    assert wirechat("config", "check", env={"WIRECHAT_CONFIG": str(file)}).status == 0


def test_the_reference_is_a_page() -> None:
    """For the documentation."""
    assert wirechat("config", "reference").out.startswith("# Settings\n")
