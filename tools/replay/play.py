"""Plays one plan on a server and gathers the evidence.

The owner of the group, who is no nick of the log, makes it and adds people; everybody else does what he does himself.
Steps begin in the order of the log, at most AHEAD of the first unfinished one, and overlap where the plan allows it.
Whoever answers a line has read it, so he marks it; in the end everybody who is still there marks the newest entry.
"""

from collections import defaultdict
from collections.abc import Callable

import attrs
import trio

from tools.history.checker import Op, Record
from tools.replay.actor import Actor
from tools.replay.evidence import Evidence
from tools.replay.people import Person
from tools.replay.plan import Deed, Plan, Step
from tools.replay.pulse import Pulse
from wirechat.client import ClientError
from wirechat.client.transport import Connect
from wirechat.wire import EntryKind

AHEAD = 128  # steps: enough to hide a second without connection, little enough to stay near the order of the log
LOOK_SECONDS = 0.1  # until the next look at a device that lacks something, doubled each time
LOOK_SECONDS_MAX = 2.0
SHOWN_MAX = 5


@attrs.define(eq=False)
class Play:
    """One plan with its cast. Run `perform`, then `settle`, then `gather`; all while `nursery` is open.

    owner     makes the group
    people    the accounts, in the order of the plan
    speed     times the original pace; None = as fast as it goes
    moved     called at each finished step
    """

    plan: Plan
    owner: Person
    people: list[Person]
    connect: Connect
    nursery: trio.Nursery
    pulse: Pulse
    speed: float | None = None
    moved: Callable[[], None] = lambda: None
    evidence: Evidence = attrs.field(init=False)
    _host: Actor = attrs.field(init=False)
    _cast: list[Actor] = attrs.field(init=False)
    _open: list[trio.Event] = attrs.field(init=False)
    _done: list[trio.Event] = attrs.field(init=False)
    _seqs: dict[int, int] = attrs.field(factory=dict, init=False)
    _read: dict[int, int] = attrs.field(factory=dict, init=False)
    _head: int = attrs.field(default=1, init=False)
    _under_way: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.evidence = Evidence(self.plan.name, self.owner.user)
        self._host = Actor(self.owner, self.connect)
        self._cast = [Actor(person, self.connect) for person in self.people]
        self._open = [trio.Event() for _ in self.plan.steps]
        self._done = [trio.Event() for _ in self.plan.steps]

    @property
    def conv(self) -> int:
        return self.evidence.conv

    # --- playing

    async def perform(self) -> None:
        """Plays every step. Never fails: what went wrong stands in the evidence."""
        try:
            await self._begin()
            await self._play()
        except ClientError as error:
            self.evidence.unfinished.append(f"the group could not be made: {error}")

    async def _begin(self) -> None:
        self.nursery.start_soon(self._host.appear)
        host = await self._host.client()
        self.evidence.conv = await host.conversations.create_group(self.plan.name, ())
        user = self.owner.user
        self._asks("the beginning", Op(self.conv, user, EntryKind.CREATE, self.plan.name, users=(user,)))
        self._told("the beginning", 1)

    async def _play(self) -> None:
        parts: defaultdict[int, list[int]] = defaultdict(list)
        for number, step in enumerate(self.plan.steps):
            parts[step.account].append(number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._conduct)
            for account, numbers in parts.items():
                nursery.start_soon(self._act, self._cast[account], numbers)

    async def _conduct(self) -> None:
        """Lets the steps begin: in their order, in time, and not too far ahead."""
        start = trio.current_time()
        for number, step in enumerate(self.plan.steps):
            if number >= AHEAD:
                await self._done[number - AHEAD].wait()
            if self.speed is not None:
                await self._until(start + step.due * 60 / self.speed)
            self._open[number].set()
            self._under_way += 1

    async def _until(self, time: float) -> None:
        """Sleeps; that nothing moves meanwhile is no stall as long as nothing is under way."""
        while (left := time - trio.current_time()) > 0:
            if not self._under_way:
                self.pulse.beat()
            await trio.sleep(min(left, self.pulse.stalled_seconds / 2))

    async def _act(self, actor: Actor, numbers: list[int]) -> None:
        """All steps of one account, one after the other."""
        for number in numbers:
            await self._open[number].wait()
            if number == numbers[0]:
                self.nursery.start_soon(actor.appear)
            for wait in self.plan.steps[number].waits:
                await self._done[wait].wait()
            try:
                await self._do(actor, number, self.plan.steps[number])
            except ClientError as error:
                self.evidence.unfinished.append(f"step {number} by {actor.person.name}: {error}")
            self._done[number].set()
            self._under_way -= 1
            self.pulse.beat()
            self.moved()

    async def _do(self, actor: Actor, number: int, step: Step) -> None:
        match step.deed:
            case Deed.ADD:
                host = await self._host.client()
                self._asks(number, Op(self.conv, self.owner.user, EntryKind.ADD, users=(actor.person.user,)))
                self._told(number, await host.conversations.add(self.conv, [actor.person.user]))
            case Deed.LEAVE:
                client, user = await actor.client(), actor.person.user
                self._asks(number, Op(self.conv, user, EntryKind.REMOVE, users=(user,)))
                self._told(number, await client.conversations.leave(self.conv))
                self._read.pop(user, None)
            case Deed.SAY:
                await self._say(actor, number, step)

    async def _say(self, actor: Actor, number: int, step: Step) -> None:
        ref = None if step.answers is None else self._seqs.get(step.answers)
        client, user = await actor.client(), actor.person.user
        self._asks(number, Op(self.conv, user, EntryKind.MSG, step.text, ref))
        sent = await client.messages.send(self.conv, step.text, reply_to=ref)
        self._told(number, sent.seq, sent.ts)
        if ref is not None:
            await self._mark(actor, ref)

    def _asks(self, name: int | str, op: Op) -> None:
        """Before the request can reach the server. It may be sent several times, and is one operation."""
        self.evidence.history.invoke(name, op)

    def _told(self, name: int | str, seq: int, ts: int | None = None) -> None:
        self.evidence.history.ok(name, seq, ts)
        if isinstance(name, int):
            self._seqs[name] = seq
        self._head = max(self._head, seq)

    async def _mark(self, actor: Actor, seq: int) -> None:
        client, user = await actor.client(), actor.person.user
        self.evidence.history.marked(user, self.conv, seq)
        read = await client.receipts.mark_read(self.conv, seq)
        self.evidence.history.promised("its answer", self.conv, user, None, read)
        self._read[user] = max(read, self._read.get(user, 0))

    def give_up(self) -> None:
        """Notes what never got an answer."""
        open_steps = [number for number, done in enumerate(self._done) if not done.is_set()]
        for number in open_steps[:SHOWN_MAX]:
            name = self.plan.accounts[self.plan.steps[number].account]
            self.evidence.unfinished.append(f"step {number} by {name} never got an answer")
        if len(open_steps) > SHOWN_MAX:
            self.evidence.unfinished.append(f"nor did {len(open_steps) - SHOWN_MAX} other steps")

    async def double(self) -> None:
        """Sabotage: the last line of somebody who is still there is sent again, as a new entry that nobody records."""
        present = self._present()
        step = next(
            step
            for number, step in reversed(list(enumerate(self.plan.steps)))
            if step.deed is Deed.SAY and number in self._seqs and self._cast[step.account] in present
        )
        client = await self._cast[step.account].client()
        ref = None if step.answers is None else self._seqs.get(step.answers)
        self._head = (await client.messages.send(self.conv, step.text, reply_to=ref)).seq

    # --- afterwards

    async def settle(self) -> None:
        """Returns when every device holds all that its user may see, and everybody knows what everybody has read."""
        async with trio.open_nursery() as nursery:
            for account, actor in enumerate(self._cast):
                nursery.start_soon(self._catch_up, actor, self._end(account))
            nursery.start_soon(self._catch_up, self._host, self._head)
        present = self._present()
        async with trio.open_nursery() as nursery:
            for actor in present:
                nursery.start_soon(self._read_all, actor)
        async with trio.open_nursery() as nursery:
            for actor in present:
                nursery.start_soon(self._hear_all, actor)

    def _end(self, account: int) -> int:
        """The last seq that this account may see."""
        steps = [number for number, step in enumerate(self.plan.steps) if step.account == account]
        if self.plan.steps[steps[-1]].deed is Deed.LEAVE:
            return self._seqs.get(steps[-1], 0)
        return self._head

    def _present(self) -> list[Actor]:
        last = {step.account: step.deed for step in self.plan.steps}
        inside = [actor for account, actor in enumerate(self._cast) if last[account] is not Deed.LEAVE]
        return [self._host, *inside]

    async def _catch_up(self, actor: Actor, end: int) -> None:
        def lacking() -> int:
            return max(0, end - actor.position(self.conv))

        await self._until_nothing(lacking)

    async def _read_all(self, actor: Actor) -> None:
        try:
            await self._mark(actor, self._head)
            self.pulse.beat()
        except ClientError as error:
            self.evidence.unfinished.append(f"{actor.person.name} could not mark what he read: {error}")

    async def _hear_all(self, actor: Actor) -> None:
        def lacking() -> int:
            marks = actor.read_marks(self.conv)
            return sum(marks.get(user, 0) != read for user, read in self._read.items())

        await self._until_nothing(lacking)

    async def _until_nothing(self, lacking: Callable[[], int]) -> None:
        """Returns when nothing is lacking; less than before is progress."""
        before, pause = lacking(), LOOK_SECONDS
        while before:
            await trio.sleep(pause)
            pause = min(2 * pause, LOOK_SECONDS_MAX)
            now = lacking()
            if now < before:
                self.pulse.beat()
            before = now

    async def gather(self) -> None:
        """Looks into every device."""
        shared: dict[int, Record] = {}
        for actor in (self._host, *self._cast):
            self.evidence.devices.append(actor.device(self.conv, shared))
            await trio.lowlevel.checkpoint()
