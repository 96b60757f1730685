"""`wirechat doctor`: every check can be fine and can find what it is for, and says what to do."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
from collections import namedtuple
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
import trio
import trustme

from tests.cli.command import refused, wirechat
from wirechat.doctor import data, machine
from wirechat.doctor.certificate import certificate
from wirechat.doctor.finding import Finding
from wirechat.server.config import Limits
from wirechat.server.listeners import Address
from wirechat.settings.schema import Accounts, Data, Ip, Listen, Proxy, Settings, Tls
from wirechat.store import sqlite
from wirechat.store.features import accounts
from wirechat.store.sqlite import FILE, open_sqlite

NOW = datetime.now(UTC)
Usage = namedtuple("Usage", "total used free")


def one(findings: Iterable[Finding], check: str) -> Finding:
    """What a check says; whatever is not fine says what to do."""
    (found,) = [each for each in findings if each.check == check]
    assert (found.state == "ok") == (found.todo == ""), found
    assert "\n" not in found.text + found.todo
    return found


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A data directory."""

    async def make() -> None:
        async with open_sqlite(tmp_path / "data") as store:
            await store.write(accounts.create, 1, "ann", None, None, 5)

    trio.run(make)
    return tmp_path / "data"


# the machine


@pytest.mark.parametrize(("soft", "state"), [(1_000_000, "ok"), (-1, "ok"), (4096, "warning"), (100, "problem")])
def test_files(soft: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors for the connections that are configured, with the line to change."""
    monkeypatch.setattr(resource, "getrlimit", lambda what: (soft, soft))
    found = one(machine.files(Settings(limits=Limits(connections=5000))), "files")
    assert found.state == state
    assert state == "ok" or "LimitNOFILE=5064" in found.todo


@pytest.mark.parametrize(
    ("soft", "state"), [(1_000_000, "ok"), (20_000, "ok"), (1064, "ok"), (1024, "warning"), (100, "problem")]
)
def test_files_of_an_operator_who_said_nothing(soft: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default limit is no wish: room for a thousand is well, and is told."""
    monkeypatch.setattr(resource, "getrlimit", lambda what: (soft, soft))
    found = one(machine.files(Settings()), "files")
    assert found.state == state
    assert f"enough for {min(soft - 64, 100_000):,} " in found.text


@pytest.mark.parametrize(
    ("now", "newest", "state"),
    [
        (NOW, None, "ok"),
        (NOW, NOW - timedelta(days=1), "ok"),
        (NOW, NOW + timedelta(seconds=5), "warning"),
        (NOW, NOW + timedelta(hours=1), "problem"),
        (datetime(1970, 1, 1, tzinfo=UTC), None, "problem"),
    ],
)
def test_clock(now: datetime, newest: datetime | None, state: str) -> None:
    """P4: server time never runs against seq, so a clock that was set back makes time stand still."""
    assert one(machine.clock(now, newest), "clock").state == state


def test_ports(tmp_path: Path) -> None:
    """Free, taken by a process that is named, impossible."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = one(machine.ports(Settings(listen=Listen(tcp=(Address("127.0.0.1", port),)))), "port tcp")
        assert found.state == "problem"
        assert f"taken by process {os.getpid()}" in found.text
    assert one(machine.ports(Settings(listen=Listen(tcp=(Address("127.0.0.1", port),)))), "port tcp").state == "ok"
    for host in ("192.0.2.1", "no.such.host.invalid", "x" * 70):
        found = one(machine.ports(Settings(listen=Listen(ws=(Address(host, 1),)))), "port ws")
        assert found.state == "problem"


async def test_ports_of_the_running_server_are_fine(made: Path) -> None:
    """The doctor is asked beside a running server, too."""
    async with open_sqlite(made):
        with socket.create_server(("127.0.0.1", 0)) as ours:
            listen = Listen(tcp=(Address("127.0.0.1", ours.getsockname()[1]),))
            found = one(machine.ports(Settings(listen=listen, data=Data(directory=made))), "port tcp")
            assert (found.state, f"process {os.getpid()}" in found.text) == ("ok", True)


def test_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is fine; an old one of the system would not be."""
    assert one(machine.engine(), "sqlite").state == "ok"
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    found = one(machine.engine(), "sqlite")
    assert (found.state, "3.51.3" in found.text) == ("problem", True)


# the certificate


def issued(folder: Path, days: float = 90, chain: bool = True, own: bool = True) -> Settings:
    """Settings with a certificate that is still valid for so long."""
    authority = trustme.CA()
    intermediate = authority.create_child_ca()
    leaf = intermediate.issue_cert(
        "localhost", not_before=NOW - timedelta(days=30), not_after=NOW + timedelta(days=days)
    )
    other = trustme.CA().issue_cert("localhost")
    parts = [blob.bytes() for blob in leaf.cert_chain_pems]
    (folder / "chain.pem").write_bytes(b"".join(parts if chain else parts[:1]))
    (folder / "key.pem").write_bytes((leaf if own else other).private_key_pem.bytes())
    (folder / "key.pem").chmod(0o600)
    tls = Tls(cert=folder / "chain.pem", key=folder / "key.pem")
    return Settings(tls=tls, listen=Listen(tls=(Address("127.0.0.1", 0),)))


@pytest.mark.parametrize(("days", "state"), [(90, "ok"), (5, "warning"), (-1, "problem")])
def test_certificate_dates(tmp_path: Path, days: int, state: str) -> None:
    """In good time before it expires."""
    assert one(certificate(issued(tmp_path, days), NOW), "certificate").state == state


def test_certificate_of_the_future(tmp_path: Path) -> None:
    """Or a clock of the past."""
    found = one(certificate(issued(tmp_path), NOW - timedelta(days=60)), "certificate")
    assert (found.state, found.todo) == ("problem", "look at the clock")


def test_certificate_key_names_and_chain(tmp_path: Path) -> None:
    """All fine; and each of them wrong."""
    settings = issued(tmp_path)
    assert {each.state for each in certificate(settings, NOW)} == {"ok"}
    assert one(certificate(settings, NOW), "names").text == "localhost"
    (tmp_path / "key.pem").chmod(0o644)
    assert "chmod o= " in one(certificate(settings, NOW), "key").todo
    assert one(certificate(issued(tmp_path, chain=False), NOW), "chain").state == "warning"
    assert "do not belong together" in one(certificate(issued(tmp_path, own=False), NOW), "certificate").text
    settings = issued(tmp_path)
    with (tmp_path / "chain.pem").open("ab") as chain:
        trustme.CA().cert_pem.write_to_path(tmp_path / "foreign")
        chain.write((tmp_path / "foreign").read_bytes())
    assert "not the issuer" in one(certificate(settings, NOW), "chain").text
    (tmp_path / "chain.pem").unlink()
    assert "No such file" in one(certificate(settings, NOW), "certificate").text


@pytest.mark.parametrize(
    ("host", "names", "state"),
    [
        ("127.0.0.1", ("localhost", "127.0.0.1", "::1"), "ok"),
        ("localhost", ("localhost",), "ok"),
        ("0.0.0.0", ("localhost", "127.0.0.1", "::1"), "warning"),
        ("0.0.0.0", ("localhost", "chat.example.org"), "ok"),
        ("192.0.2.7", ("192.0.2.7",), "ok"),
    ],
)
@pytest.mark.parametrize("transport", ["tls", "wss"])
def test_certificate_for_this_machine_alone(
    host: str, names: tuple[str, ...], state: str, transport: str, tmp_path: Path
) -> None:
    """Nobody else gets in with it."""
    wirechat("cert", tmp_path, *names)
    listen = Listen(**{transport: (Address(host, 0),)})
    settings = Settings(tls=Tls(cert=tmp_path / "chain.pem", key=tmp_path / "key.pem"), listen=listen)
    assert one(certificate(settings, NOW), "names").state == state


def test_certificate_that_names_no_host(tmp_path: Path) -> None:
    """An authority's own, say."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "chain.pem")
    authority.private_key_pem.write_to_path(tmp_path / "key.pem")
    settings = Settings(
        tls=Tls(cert=tmp_path / "chain.pem", key=tmp_path / "key.pem"), listen=Listen(wss=(Address("127.0.0.1", 0),))
    )
    assert one(certificate(settings, NOW), "names").state == "problem"
    assert one(certificate(settings, NOW), "chain").state == "ok"


# the data


@pytest.mark.parametrize(("free", "state"), [(2**40, "ok"), (2**29, "warning"), (2**20, "problem")])
def test_disk_space(tmp_path: Path, free: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk stops all sending."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**41, 0, free))
    assert one(data.disk(tmp_path / "not" / "made"), "disk").state == state
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_blamed_on_its_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be tried on it."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**41, 2**41, 0))
    assert [each.check for each in data.disk(tmp_path)] == ["disk"]
    assert not sqlite.has_wal(tmp_path / "nowhere")


def test_disk_that_cannot_be_written(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").write_text("")
    assert one(data.disk(tmp_path / "file"), "disk").state == "problem"


def test_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P1 needs a write-ahead log on a local disk."""
    assert one(data.disk(tmp_path), "file system").state == "ok"
    monkeypatch.setattr(data, "_kind", lambda where: "nfs4")
    assert one(data.disk(tmp_path), "file system").state == "warning"
    monkeypatch.setattr(sqlite, "has_wal", lambda where: False)
    assert one(data.disk(tmp_path), "file system").state == "problem"


def test_permissions(made: Path) -> None:
    """A directory made by us is closed to others; one that was opened is noticed."""
    assert one(data.permissions(made), "permissions").state == "ok"
    made.chmod(0o755)
    assert one(data.permissions(made), "permissions").state == "warning"


def test_version_of_the_data(made: Path) -> None:
    """Ours, of a newer program, of another one, damaged, none."""
    assert data.version(made)[0].state == "ok"
    assert data.version(made / "nothing")[0] == Finding("data", "ok", "none yet")
    change(made, "INSERT INTO migration VALUES (99, 'later')")
    found, _ = data.version(made)
    assert (found.state, "newer wirechat" in found.text) == ("problem", True)
    change(made, "PRAGMA application_id = 77")
    found, _ = data.version(made)
    assert (found.state, "another program" in found.text) == ("problem", True)
    (made / FILE).write_bytes(b"no database at all " * 1000)
    assert data.version(made)[0].state == "problem"


def change(directory: Path, sql: str) -> None:
    db = apsw.Connection(str(directory / FILE))
    db.execute(sql)
    db.close()


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        (Settings(), "ok"),
        (
            Settings(listen=Listen(tcp=(Address("127.0.0.1", 1),), ws=(Address("::1", 2), Address("localhost", 3)))),
            "ok",
        ),
        (Settings(listen=Listen(tls=(Address("0.0.0.0", 1),), wss=(Address("0.0.0.0", 2),))), "ok"),
        (Settings(listen=Listen(tcp=(Address("0.0.0.0", 1),))), "warning"),
        (Settings(listen=Listen(ws=(Address("192.0.2.7", 1),))), "warning"),
        (Settings(listen=Listen(ws=(Address("0.0.0.0", 1),)), proxy=Proxy(trust=(Ip("192.0.2.1"),))), "ok"),
        (Settings(accounts=Accounts(clear_passwords=True)), "warning"),
    ],
)
def test_encryption(settings: Settings, state: str) -> None:
    """A listener that other machines reach without TLS."""
    assert one(machine.encryption(settings), "encryption").state == state


# the command


def test_exit_status_and_json(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 when fine, 1 with a problem, 2 when it cannot begin; the same findings for machines."""
    monkeypatch.setattr(resource, "getrlimit", lambda what: (-1, -1))
    fine = ("doctor", "--data", made, "--tcp", "127.0.0.1:0")
    assert wirechat(*fine).status == 0
    told = json.loads(wirechat(*fine, "--json").out)
    assert told["well"] is True
    assert {each["state"] for each in told["findings"]} == {"ok"}
    change(made, "INSERT INTO migration VALUES (99, 'later')")
    ended = wirechat(*fine)
    assert ended.status == 1
    assert "newer wirechat" in " ".join(ended.out.split())
    assert json.loads(wirechat(*fine, "--json").out)["well"] is False
    assert wirechat("doctor").status == 1
    assert "is not host:port" in refused("doctor", "--tcp", "x")
