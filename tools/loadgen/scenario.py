"""What a load is: people, their conversations, what they do, in which phases. Read from TOML.

    about = "One to one at a steady pace"
    people = 200

    [conversations]
    size = 2

    [[activities]]
    kind = "messages"
    rate = 500.0

    [[phases]]
    name = "hold"
    seconds = 20.0

Every mistake is told with its path, such as activities[0].rate.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import attrs
import cattrs
from attrs import validators

from wirechat import wire

UNKNOWN, MISSING = "unknown key", "is missing"
SHIPPED = resources.files("tools.loadgen") / "scenarios"

positive: Any = validators.gt(0)
not_negative: Any = validators.ge(0)


class BadScenario(Exception):
    """What is wrong with a scenario, in one line."""


@attrs.frozen
class Conversations:
    """People are dealt out in their order, `size` to each conversation."""

    size: int = attrs.field(default=2, validator=validators.and_(validators.ge(2), validators.le(1000)))
    """Members of each."""
    count: int | None = attrs.field(default=None, validator=validators.optional(positive))
    """How many; as many as there are people for, if it is not said."""


@attrs.frozen
class Messages:
    """Somebody says something. Either `rate`, an open loop, or `window`, a closed one."""

    rate: float | None = attrs.field(default=None, validator=validators.optional(positive))
    """Texts a second, all senders together, at scale 1."""
    window: int | None = attrs.field(default=None, validator=validators.optional(positive))
    """Texts that each sender keeps without an answer."""
    bytes: int = attrs.field(default=64, validator=validators.and_(validators.ge(16), validators.le(16384)))
    """Length of a text."""
    senders: int = attrs.field(default=1, validator=positive)
    """How many members of each conversation speak."""
    arrivals: str = attrs.field(default="random", validator=validators.in_(("random", "even")))
    """How the times of an open loop are spread."""

    def __attrs_post_init__(self) -> None:
        if (self.rate is None) == (self.window is None):
            raise ValueError("needs either rate (an open loop) or window (a closed one)")


@attrs.frozen
class Hour:
    """People talk as they really do: threads of a few texts, in bursts, of all lengths (`tools.loadgen.hour`)."""

    rate: float = attrs.field(validator=positive)
    """Texts a second, all together."""


@attrs.frozen
class Reads:
    """Somebody marks as read what he has got."""

    rate: float = attrs.field(validator=positive)
    """Marks a second, all together."""


@attrs.frozen
class Types:
    """Somebody types."""

    rate: float = attrs.field(validator=positive)
    """TYPING frames a second, all together."""


@attrs.frozen
class Comes:
    """Somebody goes away from his device, or comes back to it, while others watch who is there."""

    rate: float = attrs.field(validator=positive)
    """Changes a second, all together: a going and a coming are two."""
    watched: int = attrs.field(default=50, validator=validators.and_(positive, validators.le(wire.limits.WATCHED)))
    """Members of his conversation that everybody watches."""


@attrs.frozen
class Browses:
    """Somebody scrolls back in a conversation."""

    rate: float = attrs.field(validator=positive)
    """Pages a second, all together."""
    page: int = attrs.field(default=50, validator=validators.and_(positive, validators.le(200)))
    """Records on a page."""


@attrs.frozen
class Returns:
    """Connections break and come back."""

    rate: float | None = attrs.field(default=None, validator=validators.optional(positive))
    """Returns a second, all together; or"""
    share: float | None = attrs.field(
        default=None, validator=validators.optional(validators.and_(positive, validators.le(1)))
    )
    """this share of all people at once, at the beginning of the phase `phase`."""
    phase: str = ""
    """The phase in which they are cut; the first measured one if it is not said."""
    away_seconds: float = attrs.field(default=0.0, validator=not_negative)
    """How long they stay away."""
    resume: bool = True
    """With token and horizon; else they log in with their key, as on the first day."""

    def __attrs_post_init__(self) -> None:
        if (self.rate is None) == (self.share is None):
            raise ValueError("needs either rate or share")


@attrs.frozen
class Strangers:
    """Others come and send what they must not."""

    rate: float = attrs.field(validator=positive)
    """Connections a second."""


Activity = Messages | Hour | Reads | Types | Comes | Browses | Returns | Strangers

KINDS: dict[str, type[Activity]] = {
    "messages": Messages,
    "hour": Hour,
    "reads": Reads,
    "typing": Types,
    "presence": Comes,
    "history": Browses,
    "returns": Returns,
    "strangers": Strangers,
}


@attrs.frozen
class Phase:
    """A time in which the load is steady or changes evenly."""

    name: str
    seconds: float = attrs.field(validator=positive)
    scale: tuple[float, float] = (1.0, 1.0)
    """What all rates are multiplied with, at its beginning and at its end."""
    measured: bool = True


@attrs.frozen
class Climb:
    """After the phases: more and more, until it is too much."""

    factor: float = attrs.field(default=1.25, validator=validators.gt(1))
    """By how much each step exceeds the one before."""
    seconds: float = attrs.field(default=5.0, validator=positive)
    """Length of a step."""
    p99_ms: float = attrs.field(default=100.0, validator=positive)
    """What the deliveries of a step may take; the first step above it is the last."""
    steps: int = attrs.field(default=30, validator=positive)
    """There are no more."""


@attrs.frozen
class Scenario:
    """A whole load."""

    about: str
    people: int = attrs.field(validator=positive)
    phases: tuple[Phase, ...] = attrs.field(validator=validators.min_len(1))
    conversations: Conversations | None = None
    activities: tuple[Activity, ...] = ()
    climb: Climb | None = None

    def __attrs_post_init__(self) -> None:
        if self.climb is None and not any(phase.measured for phase in self.phases):
            raise ValueError("no phase is measured, so there would be no figures")
        if self.conversations is None and any(not isinstance(each, Returns | Strangers) for each in self.activities):
            raise ValueError("there is no [conversations], in which something could happen")
        if self.conversations is not None:
            needed = self.size * (self.conversations.count or 1)
            if self.people < needed:
                raise ValueError(f"{self.people} people are too few: these conversations need at least {needed}")
        names = [phase.name for phase in self.phases]
        for number, each in enumerate(self.activities):
            if isinstance(each, Returns) and each.phase and each.phase not in names:
                there = ", ".join(names)
                raise ValueError(f"there is no phase {each.phase!r} (at activities[{number}].phase); there are {there}")

    @property
    def size(self) -> int:
        """Members of a conversation; 0 without any."""
        return 0 if self.conversations is None else self.conversations.size

    @property
    def conversation_count(self) -> int:
        """Conversations of all processes together."""
        if self.conversations is None:
            return 0
        return self.conversations.count or self.people // self.size

    @property
    def units(self) -> int:
        """What cannot be divided among processes: conversations, or people without any."""
        return self.conversation_count or self.people

    @property
    def away_seconds(self) -> float:
        """The longest that somebody stays away."""
        return max((each.away_seconds for each in self.activities if isinstance(each, Returns)), default=0.0)

    def share(self, number: int, of: int) -> Scenario:
        """What process `number` of `of` has to do: whole conversations, the people in them, its part of the rates.

        Raises BadScenario when there are fewer conversations than processes.
        """
        if self.units < of:
            raise BadScenario(f"{self.units} conversations or people cannot be divided among {of}")
        convs, people = _part(self.conversation_count, number, of), _part(self.people, number, of)
        if self.conversations is not None:
            spare = self.people - self.conversation_count * self.size
            people = convs * self.size + _part(spare, number, of)
        part = people / self.people
        return attrs.evolve(
            self,
            people=people,
            conversations=None if self.conversations is None else attrs.evolve(self.conversations, count=convs),
            activities=tuple(
                each if each.rate is None else attrs.evolve(each, rate=each.rate * part) for each in self.activities
            ),
        )

    def at_scale(self, people: float, rate: float) -> Scenario:
        """The same with other numbers: what `--people` and `--rate` say, as factors."""
        conversations = self.conversations
        if conversations is not None and conversations.count is not None:
            conversations = attrs.evolve(conversations, count=max(1, round(conversations.count * people)))
        return attrs.evolve(
            self,
            people=max(1, round(self.people * people)),
            conversations=conversations,
            activities=tuple(
                each if each.rate is None else attrs.evolve(each, rate=each.rate * rate) for each in self.activities
            ),
        )


def _part(whole: int, number: int, of: int) -> int:
    return whole * (number + 1) // of - whole * number // of


def shipped() -> list[str]:
    """Names of the scenarios that come with the program."""
    return sorted(each.name.removesuffix(".toml") for each in SHIPPED.iterdir() if each.name.endswith(".toml"))


def load(name: str) -> Scenario:
    """A scenario by its name, or from a file. Raises BadScenario."""
    if name in shipped():
        return parse((SHIPPED / f"{name}.toml").read_text(), name)
    path = Path(name)
    try:
        return parse(path.read_text(), name)
    except FileNotFoundError:
        raise BadScenario(f"there is no scenario {name!r} and no such file; there are {', '.join(shipped())}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(f"cannot read {name}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None


def parse(text: str, name: str) -> Scenario:
    """A scenario from TOML. Raises BadScenario."""
    try:
        return _CONVERTER.structure(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{name}: {error}") from None
    except cattrs.BaseValidationError as error:
        raise BadScenario(f"{name}: {_first(error)}") from None


def to_plain(scenario: Scenario) -> dict[str, Any]:
    """What `from_plain` reads: for other processes and for reports."""
    plain: dict[str, Any] = _CONVERTER.unstructure(scenario)
    plain["activities"] = [{"kind": _kind(each)} | _CONVERTER.unstructure(each) for each in scenario.activities]
    return plain


def from_plain(plain: dict[str, Any]) -> Scenario:
    """The scenario of `to_plain`."""
    return _CONVERTER.structure(plain, Scenario)


def _kind(activity: Activity) -> str:
    return next(name for name, each in KINDS.items() if type(activity) is each)


def _activity(value: Any, _: Any) -> Activity:
    if not isinstance(value, dict):
        raise ValueError("is not a table")
    kind = value.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not known; there are {', '.join(KINDS)}")
    return _CONVERTER.structure({key: each for key, each in value.items() if key != "kind"}, KINDS[kind])


def _first(error: cattrs.BaseValidationError) -> str:
    """The first thing that is wrong, with its path."""
    told = cattrs.transform_error(error, path="", format_exception=_said)
    first = next((each for each in told if each.startswith(UNKNOWN)), told[0])  # it may be why another key is missing
    what, _, where = first.rpartition(" @")
    place = where.strip(" .")
    if what == MISSING:
        return f"{place} {what}"
    return f"{what} (at {place})" if place else what


def _said(error: BaseException, wanted: type | None) -> str:
    if isinstance(error, cattrs.errors.ForbiddenExtraKeysError):
        key, known = min(error.extra_fields), [field.name for field in attrs.fields(error.cl)]
        near = get_close_matches(key, known, 1)
        return f"{UNKNOWN} {key}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")
    if isinstance(error, KeyError):
        return MISSING
    return str(error.args[0]) if error.args else type(error).__name__


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _exactly(kind: type) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is not {'text' if kind is str else kind.__name__}")
        return value

    return structure


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(float, _number)
for _type in (int, str, bool):
    _CONVERTER.register_structure_hook(_type, _exactly(_type))
_CONVERTER.register_structure_hook_func(lambda kind: kind == Activity, _activity)


def total_seconds(phases: Sequence[Phase]) -> float:
    """How long they take."""
    return sum(phase.seconds for phase in phases)
