"""Attacks on what there is not (yet): media, a web client, end-to-end encryption; and a bus, for one node alone.

Each of these tests says that it is still so; when one fails, its attack has something to attack, and README.md needs
another line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.victim import Victim, attacked, frame
from tests.attacks.websocket import upgrade
from tests.server.test_side_door import opened
from tools.protocol.schema import load
from wirechat import wire
from wirechat.wire.registries import Capability

ROOT = Path(__file__).parents[2]
SCHEMA = load(ROOT / "protocol")
BLOCKS = {"e2ee": 256, "media": 320, "calls": 384, "push": 448, "search": 512, "admin": 576}
ABSENT = ("E2EE", "MEDIA", "CALLS", "SEARCH", "EXPIRY", "PUSH", "ADMIN")


@pytest.mark.parametrize("block", BLOCKS)
def test_a16_a29_the_blocks_of_later_features_are_empty(victim: Victim, block: str) -> None:
    """A16 A17 A29: not a request of them is known: 3001, whatever it brings along."""
    named = {each["name"]: each["lo"] for each in SCHEMA.codes["blocks"]}
    assert named[block] == BLOCKS[block]
    person = victim.person(f"b-{block}")
    for code in (BLOCKS[block], BLOCKS[block] + 2, BLOCKS[block] + 30):
        person.raw(frame(code, 9, bytes(2_000)))
        answer = person.recv()
        assert answer == wire.Error(9, code=3001, message=f"request {code} is not known here")


@pytest.mark.parametrize("name", ABSENT)
def test_a29_reserved_capabilities_are_never_on(victim: Victim, name: str) -> None:
    """A29: nobody in the middle can talk a client into believing that there is encryption: the server knows none."""
    wanted = Capability[name]
    assert wanted not in victim.greeted(wanted).welcome.caps


CONTENT_TYPES = {"MARKDOWN": 3, "MEDIA": 4, "LOCATION": 5, "CONTACT": 6, "POLL": 7, "ENCRYPTED": 8, "APP": 9}


@pytest.mark.parametrize("name", CONTENT_TYPES)
@pytest.mark.parametrize("data", ["text", b"\x1f\x8b\x08\0bytes"], ids=["text", "bytes"])
def test_a16_a18_a29_text_is_all_that_is_stored(victim: Victim, name: str, data: str | bytes) -> None:
    """A16 A17 A18 A29: media of whatever type, and what calls itself encrypted: 3000, not a byte is kept."""
    assert {value["name"]: value["value"] for value in SCHEMA.registries["registries"]["content_types"]["values"]}[
        name
    ] == CONTENT_TYPES[name]
    person = victim.person(f"c{os.urandom(4).hex()}")
    conv = person.ask(wire.ConvNew(0, os.urandom(8), 3, ()), wire.ConvNewOk).conv
    before = victim.stored()
    for kind, ref in ((1, None), (2, 1), (4, 1)):
        content = wire.Content(CONTENT_TYPES[name], data)
        assert person.refused(wire.Send(0, conv, os.urandom(8), kind, content, ref)) == 3000
    assert victim.stored() == before


def test_a16_the_server_writes_no_files_named_by_others(victim: Victim) -> None:
    """A16: of all that people named, nothing is a name in the data directory."""
    names = {path.name for path in victim.folder.iterdir()}
    assert all(re.fullmatch(r"wirechat\.(db|db-wal|db-shm|lock)|.*lock", name) for name in names), names


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A server with a side door."""
    with attacked(tmp_path_factory.mktemp("doors"), opened=opened) as server:
        yield server


def test_a20_there_is_no_web_client(doors: Victim) -> None:
    """A20: no page is served, and none lies in the package."""
    pages = {".html", ".js", ".mjs", ".ts", ".svg", ".wasm"}
    assert not [path for path in (ROOT / "wirechat").rglob("*") if path.suffix in pages]
    found = upgrade(doors)
    assert found.status == 101


def test_a19_there_are_no_previews_and_no_webhooks() -> None:
    """A19: no field of the protocol is an address that the server should go to."""
    fields = [field.name for frame in SCHEMA.frames for field in frame.fields]
    assert not [name for name in fields if re.search(r"url|uri|hook|link|endpoint|callback|avatar", name)]


def test_a30_a_server_that_was_told_of_no_bus_has_none(victim: Victim) -> None:
    """A30: it listens where it was told to, and no other process can hint anything to it. What can be done over a bus
    that there is, is attacked in tests/server/test_cluster.py.
    """
    assert victim.rig.server.cluster is None
    sources = [path.read_text() for path in (ROOT / "wirechat").rglob("*.py")]
    assert not [text for text in sources if re.search(r"\b(LISTEN|NOTIFY)\b", text)]
    listening = {each.port for each in victim.rig.listeners.values()}
    assert listening <= _listening()
    assert len(victim.rig.listeners) == 2


def _listening() -> set[int]:
    """Ports of this machine on which somebody listens."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(line.split()[1].partition(":")[2], 16) for line in lines if line.split()[3] == "0A"}


def test_a30_what_another_node_wrote_is_read_not_believed(victim: Victim) -> None:
    """A30: an entry that another node committed reaches the members by the pass over the store, as the store has it."""
    ann, bob = victim.person("node-a"), victim.person("node-b")
    conv = ann.ask(wire.ConvNew(0, os.urandom(8), 2, (bob.user,)), wire.ConvNewOk).conv
    bob.pushes()

    async def elsewhere(tx: Any) -> None:
        stamp = await tx.fetchrow("UPDATE stamp SET value = value + 1 RETURNING value")
        await tx.execute("UPDATE conv SET head = 2, stamp = $1 WHERE conv = $2", stamp[0], conv)
        await tx.execute(
            "INSERT INTO entry (conv, seq, ts, sender, kind, content, cid, digest, target, rev)"
            " SELECT conv, 2, ts, sender, 1, $1, $2, $3, 2, 2 FROM entry WHERE conv = $4 AND seq = 1",
            wire.Content(1, "from elsewhere").pack(), os.urandom(8), bytes(16), conv,
        )  # fmt: skip

    victim.run(victim.rig.server.store.write, elsewhere)
    event = bob.expect(wire.Event)
    assert (event.conv, event.seq, event.content) == (conv, 2, wire.Content(1, "from elsewhere"))
    page = bob.ask(wire.Changes(0, conv, 1), wire.ChangesOk)
    assert [record.content for record in page.records] == [wire.Content(1, "from elsewhere")]
