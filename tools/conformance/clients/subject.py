"""The client under test: which command, where it shall connect, and whether it can be told what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..decoder import Schema
from ..verdict import Failed
from .listener import Address
from .stage import Stage

PATIENCE_SECONDS = 10.0
DRIVER_SECONDS = 3.0
PLACES = ("url", "handle", "password", "state", "device", "key")


class Unusable(Exception):
    """No check can be run; the message is one line."""


@dataclass(frozen=True)
class Subject:
    """`patience`: seconds to wait for what must come. `driven`: it answers on standard input."""

    command: Sequence[str]
    address: Address
    patience: float = PATIENCE_SECONDS
    driven: bool = True
    schema: Schema = field(default_factory=Schema)

    @property
    def scheme(self) -> str:
        return self.address.scheme

    def lab(self) -> Stage:
        """For one check."""
        return Stage(self)

    def command_for(self, environment: Mapping[str, str]) -> list[str]:
        """The command with the values of the environment in the places {url}, {handle} … of its arguments."""
        values = {name: environment[f"WIRECHAT_{name.upper()}"] for name in PLACES}
        places = re.compile("{(" + "|".join(PLACES) + ")}")
        return [places.sub(lambda match: values[match[1]], word) for word in self.command]


def meet(subject: Subject) -> tuple[Subject, str]:
    """Starts the command once: the subject as it is, and what the client calls itself. Raises Unusable."""
    stage = Stage(subject)
    try:
        driver = stage.start()
        stage.until(lambda: (stage.peers and stage.peer.frames) or not driver.running, "HELLO", "none")
        if not stage.peers or not stage.peer.frames:
            told = " ".join(driver.errors()[-1:])
            raise Unusable(f"the command ended before it said anything to the server: {told}".rstrip(": "))
        agent = str(stage.peer.frames[0].fields.get("agent", ""))
        number = stage.do("hello")
        stage.keep(DRIVER_SECONDS, lambda: number in driver.answers)
        return replace(subject, driven=number in driver.answers), agent
    except OSError as error:
        raise Unusable(f"the command {subject.command[0]} cannot be started: {error}") from None
    except Failed as failure:
        raise Unusable(f"no check can be run: {failure}") from None
    finally:
        stage.close()
