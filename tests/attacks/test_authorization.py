"""Attacks 13 to 15: doing and seeing what one may not.

authorization.txt is the matrix. Each cell is asked of a server; whatever is refused must change nothing that is stored
and reach nobody.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.attacks.relations import REQUESTS, SEEN, SPOILERS, Scene, Theatre, table
from tests.attacks.victim import Attacker, Victim
from tools.protocol.schema import load
from wirechat import wire

HERE = Path(__file__).parent
PROTOCOL = HERE.parents[1] / "protocol"
MATRIX = table(HERE / "authorization.txt")
RELATIONS = list(next(iter(MATRIX.values())))
CELLS = [(relation, row) for relation in RELATIONS for row in MATRIX]

READS = {"HISTORY", "CHANGES", "RECORDS", "PINS", "MENTIONS", "MARKS", "WHO_READ", "UNREAD", "CONV_GET", "MEMBERS"}
READS |= {"USER_GET", "USER_FIND", "PRESENCE_SUB", "ACCOUNT", "DEVICES"}
"""Requests that change nothing, whoever asks."""
REVOCATIONS = {"entry": 1, "resume": -1}, {"entry": 1, "resume": -1, "conv": 1, "conv_rc": 1, "member": 1}
"""Rows that a revocation makes and takes: an entry in the account log, perhaps the first, and the device's token."""


class Stage:
    """The scene that is played. It stays while cells leave it as it was."""

    def __init__(self, victim: Victim) -> None:
        self.victim = victim
        self.theatre = Theatre(victim)
        self._relation = ""
        self._scene: Scene | None = None

    def scene(self, relation: str) -> Scene:
        """Somebody who stands to something as `relation` says."""
        if self._scene is None or relation != self._relation:
            self.strike()
            self._relation, self._scene = relation, self.theatre.scene(relation)
        self._scene.cid = os.urandom(8)
        return self._scene

    def strike(self) -> None:
        """The scene is not any more what it was."""
        if self._scene is not None:
            self._scene.asker.close()
        self._scene = None

    def ended(self) -> None:
        """The asker's connection has ended: he comes again, in the same relation."""
        scene, relation = self._scene, self._relation
        assert scene is not None
        if relation == "revoked":
            scene.asker = self.theatre.another_device(scene.asker)
        elif relation == "unknown":
            scene.asker = self.theatre.stranger(scene.asker)
        elif relation == "elsewhere":
            self.strike()
        else:
            scene.asker = self.victim.again(scene.asker)
        if self._scene is not None and relation != "unknown":
            scene.asker.pushes()


@pytest.fixture(scope="module")
def stage(victim: Victim) -> Stage:
    """One for all cells."""
    return Stage(victim)


def test_a13_every_request_has_a_row() -> None:
    """A13: a new request says here who may send it; until then this fails and names it."""
    requests = {frame.name for frame in load(PROTOCOL).frames if frame.range == "request"}
    rows = {row.split()[0] for row in MATRIX}
    assert not requests - rows, f"no row in tests/attacks/authorization.txt: {', '.join(sorted(requests - rows))}"
    assert rows - requests == {"TYPING"}
    assert set(MATRIX) == set(REQUESTS)


def test_a13_there_are_no_other_relations() -> None:
    """A13: nobody can be muted or banned, so there is no column for it; a new role, or state of a member, needs one."""
    registries = load(PROTOCOL).registries["registries"]
    names = {name: {value["name"] for value in registries[name]["values"]} for name in ("roles", "member_states")}
    assert names["roles"] == {"NONE", "MEMBER", "MODERATOR", "ADMIN", "OWNER"}
    assert names["member_states"] == {"MEMBER", "FORMER"}


@pytest.mark.parametrize(("relation", "row"), CELLS, ids=[f"{relation}: {row}" for relation, row in CELLS])
def test_a13_a_cell_of_the_matrix(stage: Stage, relation: str, row: str) -> None:
    """A13: the outcome, and that nothing else happens."""
    expected = MATRIX[row][relation]
    scene = stage.scene(relation)
    asked = REQUESTS[row](scene, stage.theatre)
    if relation == "outsider":
        _same_as_nowhere(scene, asked, REQUESTS[row](scene.elsewhere(), stage.theatre))
    before = stage.victim.stored()
    if relation == "revoked":
        outcome = _behind_a_revocation(scene, asked)
    elif relation == "replaced":
        outcome, before = _after_a_replacement(stage, scene, asked)
    else:
        outcome = _asked(scene, row, asked)
    assert outcome == expected
    after, told = stage.victim.stored(), [push for each in scene.witnesses for push in each.pushes()]
    if relation == "revoked":
        assert _growth(before, after) in REVOCATIONS
    elif expected != "ok" or row.split()[0] in READS:
        assert after == before
    if after == before:
        told = [push for push in told if not isinstance(push, wire.Rows)]  # the pass may be late with what was before
    assert bool(told) <= (expected in ("ok", "heard"))
    if row in SPOILERS and outcome == "ok":
        stage.strike()
    elif outcome[-1] == "!" or row == "AUTH key":
        stage.ended()


def _asked(scene: Scene, row: str, request: Any) -> str:
    """What comes of a request."""
    frame, asker = row.split()[0], scene.asker
    if frame == "TYPING":
        asker.send(request)
        return _heard(scene)
    answer = asker.answer(request)
    if isinstance(answer, wire.Error):
        return str(answer.code)
    if answer is None:
        fatal = [message for message in asker.seen if isinstance(message, wire.Error)]
        return f"{fatal[-1].code}!"
    assert f"{frame}_OK" == answer.NAME
    return "ok" if frame not in SEEN or SEEN[frame](answer) else "none"


def _heard(scene: Scene) -> str:
    """What comes of TYPING, once the server has read who may know."""
    for _ in range(3):
        if scene.asker.answer(wire.Account(0)) is None:
            return f"{scene.asker.seen[-1].code}!"
    told = {any(isinstance(push, wire.Typing) for push in each.pushes()) for each in scene.witnesses}
    assert len(told) == 1
    return "heard" if told.pop() else "ignored"


def _same_as_nowhere(scene: Scene, asked: Any, twin: Any) -> None:
    """Byte for byte what is said of a conversation that does not exist."""
    if asked == twin or isinstance(asked, wire.Typing):
        return
    answers = [scene.asker.answer(attrs.evolve(request), rid=77) for request in (asked, twin)]
    assert answers[0].encode() == answers[1].encode()


def _behind_a_revocation(scene: Scene, request: Any) -> str:
    """In one segment with the end of the own device: it is not looked at any more."""
    if hasattr(request, "rid"):
        request.rid = 1001
    scene.asker.send(wire.DeviceRevoke(1000, scene.asker.device), request)
    scene.asker.expect(wire.DeviceRevokeOk)
    return _end(scene.asker)


def _after_a_replacement(stage: Stage, scene: Scene, request: Any) -> tuple[str, dict[str, list[Any]]]:
    """By a connection that has not read yet that it was replaced; and what was stored before."""
    newer = stage.victim.again(scene.asker)
    before = stage.victim.stored()
    if hasattr(request, "rid"):
        request.rid = 1001
    scene.asker.send(request)
    outcome = _end(scene.asker)
    assert newer.alive()
    newer.close()
    return outcome, before


def _end(asker: Attacker) -> str:
    """How a connection ends that gets no further answers."""
    while (message := asker.recv()) is not None:
        asker.seen.append(message)
    assert not [message for message in asker.seen if getattr(message, "rid", None) == 1001]
    fatal = [message for message in asker.seen if isinstance(message, wire.Error)]
    return f"{fatal[-1].code}!"


def _growth(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> dict[str, int]:
    """How many rows each table has more."""
    sizes = {name: len(rows) - len(before[name]) for name, rows in after.items()}
    return {name: size for name, size in sizes.items() if size}
