"""What a witness makes of what he hears, where that depends on when the device said it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tools.history.checker import History
from tools.simulate.file import Position
from tools.simulate.gone import Gone
from tools.simulate.privacy import Privacy
from tools.simulate.rules import Doings
from tools.simulate.trace import Trace
from tools.simulate.truth import Truth
from tools.simulate.witness import Evidence, Witness
from tools.simulate.wording import Name
from wirechat import wire

ANN, CONV = 1, 300
WHOLE = Position(pos=2, want=4, low=1, rpos=0, rwant=0, catch=0, former=0)
CATCHING_UP = Position(pos=3, want=4, low=1, rpos=0, rwant=0, catch=1, former=0)


@attrs.define
class Device:
    """A device with one conversation."""

    at: Position
    name: str = "ann"
    user: int = ANN
    number: int = 7
    in_turn: bool = True
    told: dict[int, Evidence] = attrs.Factory(dict)
    unsettled: dict[int, set[Name]] = attrs.Factory(dict)
    doings: Doings = attrs.Factory(Doings)

    def durable(self) -> dict[int, Position]:
        return {CONV: self.at}

    def inspect(self) -> None: ...


@pytest.mark.parametrize(("waits", "blamed"), [(True, []), (False, ["delivered beyond a device"])])
async def test_p7_an_ack_that_had_to_wait_speaks_of_what_was_durable_when_it_was_said(
    waits: bool, blamed: list[str]
) -> None:
    """Meanwhile the device has begun to catch up in pages, and holds nothing for sure any more."""
    history = History()
    truth, privacy, trace = Truth(history), Privacy(), Trace(None)
    device: Any = Device(WHOLE)
    witness = Witness(device, "ann#1", history, truth, Gone(truth, history), privacy, trace, sending=lambda: waits)
    witness.received(wire.Pong(0, 0).encode())
    device.at = CATCHING_UP
    witness.sent(wire.Ack(0, (wire.Held(CONV, 2),)).encode())
    history.receipt("the store", CONV, ANN, 2, 0)
    assert [violation.rule for violation in history.violations] == blamed
