"""A simulated device: the real client library on a simulated network and a file of its own, which a crash leaves as
it was committed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import attrs
import trio

from tools.history import tally
from tools.history.checker import History, Violation
from tools.simulate.clock import pause
from tools.simulate.file import DeviceFile, Position
from tools.simulate.gone import Gone
from tools.simulate.memory import MemoryFile
from tools.simulate.network import Connection, Network, SimTransport
from tools.simulate.plan import Plan
from tools.simulate.privacy import Privacy
from tools.simulate.rules import Doings
from tools.simulate.trace import Trace
from tools.simulate.truth import Truth
from tools.simulate.verdict import differences, holdings
from tools.simulate.witness import Evidence, Witness
from tools.simulate.wording import Name
from tools.simulate.workload import Person
from wirechat.client.client import Client, open_client
from wirechat.client.errors import ClientError, Refused
from wirechat.client.events import Disconnected, MessageAdded, Resynced
from wirechat.wire.errors import DEVICE_REVOKED
from wirechat.world import World

URL = "wirechat://simulated"
INSPECTED = 0.05  # of the ACKs: comparing everything at each would cost more than everything else


@attrs.frozen
class Account:
    """Who a device is."""

    name: str
    handle: str
    user: int
    device: int
    key: bytes


def leaves(group: BaseExceptionGroup[ClientError]) -> Iterator[ClientError]:
    """The errors in a group of groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


class Device:
    """Lives, crashes, and comes back until it is cancelled."""

    def __init__(
        self,
        account: Account,
        person: Person,
        plan: Plan,
        network: Network,
        world: World,
        disk: Path,
        history: History,
        truth: Truth,
        gone: Gone,
        privacy: Privacy,
        trace: Trace,
        chance: Random,
    ) -> None:
        self.name = account.name
        self.user = account.user
        self.number = account.device
        self.ended = False
        """It was revoked, and has stopped for good."""
        self.ops_left = plan.ops
        self.told: dict[int, Evidence] = {}
        self.unsettled: dict[int, set[Name]] = {}
        self.in_turn = plan.pipeline == 1
        self.doings = Doings()
        self.client: Client | None = None
        self.epoch: bytes | None = None
        """Of the server, once that was restored: before it has heard of it, this device has what was lost."""
        self._account = account
        self._person = person
        self._plan = plan
        self._network = network
        self._world = world
        self._disk = disk
        self._history = history
        self._truth = truth
        self._gone = gone
        self._privacy = privacy
        self._trace = trace
        self._chance = chance
        self._life = 0
        self._has_token = False
        self._scope: trio.CancelScope | None = None
        self._connections: list[Connection] = []
        self._file = MemoryFile(self._path())
        self._has_file = False
        person.busy = self._be_busy
        person.has_old_data = lambda: self.has_old_data

    # living

    async def live(self) -> None:
        """Run the client again and again, until it is told that it was revoked."""
        while not self.ended:
            with trio.CancelScope() as self._scope:
                await self._run_client()
            self._scope = None
            await pause(self._chance.uniform(0.05, 2))

    async def _run_client(self) -> None:
        account = self._account
        self._person.sit_down()
        try:
            async with (
                open_client(
                    URL,
                    handle=account.handle,
                    device_key=account.key,
                    device=account.device,
                    cache=str(self._path()),
                    world=self._world,
                    connect=self._connect,
                    window=self._plan.window,
                    jump_entries=self._plan.jump,
                    pipeline=self._plan.pipeline,
                ) as client,
                trio.open_nursery() as nursery,
            ):
                self.client = client
                nursery.start_soon(self._watch, client)
                while self.ops_left:
                    await pause(self._chance.expovariate(1 / self._plan.pause))
                    if self._person.sees_something(client):
                        self.ops_left -= 1
                        nursery.start_soon(self._act, client)
                await trio.sleep_forever()
        except* ClientError as group:
            self._trace.event(self.name, "stopped:", group.exceptions[0])
            if any(error.code == DEVICE_REVOKED for error in leaves(group)):
                self.ended, self.ops_left = True, 0
            self._trace.count("clients that stopped by themselves")
        finally:
            self.client = None

    async def _watch(self, client: Client) -> None:
        screen = object()
        async for event in client.events():
            self._trace.count(f"event {type(event).__name__}")
            if isinstance(event, Resynced):
                self._history.cleared(screen)
            elif isinstance(event, Disconnected) and self._lost_its_token():
                self._history.violations.append(Violation("P5", "12-30", f"{self.name}: threw its token away"))
            elif isinstance(event, MessageAdded):
                self._announce(screen, event.conv, event.record.seq)

    def _announce(self, screen: object, conv: int, seq: int) -> None:
        """A device that jumped has forgotten what it had, and may show it again."""
        if not self._history.shows(screen, conv, seq) or self.durable()[conv].low == 1:
            self._history.announced(screen, conv, seq)

    def _lost_its_token(self) -> bool:
        """It had one, and the server has lost nothing."""
        file = self.file()
        had, self._has_token = self._has_token, file is not None and file.token() is not None
        return had and not self._has_token and not self.has_old_data

    # presence

    @property
    def looked_at(self) -> bool:
        """Somebody looks at it, and the server should know."""
        return self.client is not None and self._person.active

    def unseen(self, there: set[int]) -> Iterator[str]:
        """In what it was told wrongly of those it watches; `there`: who is."""
        if self.client is None or not self.client.connected or not self._person.active:
            return
        for user in self._person.watched:
            status = self.client.presence.get(user)
            apart = user in self._truth.blocked(self.user) or self.user in self._truth.blocked(user)
            shown = self._truth.shows_presence(user) and self._truth.shows_presence(self.user)
            expected = shown and user in there and self._truth.together(self.user, user) and not apart
            if status is None or status.online != expected or (status.seen is not None and status.online):
                yield f"told {status}, {'there' if expected else 'not there, or a stranger'}"

    async def _act(self, client: Client) -> None:
        try:
            await self._person.act(client)
            if not self.has_old_data:
                self._check_counts(client)
        except ClientError as error:
            self._trace.count(f"operation: {type(error).__name__}")
            if isinstance(error, Refused) and error.code is not None and error.code // 1000 not in (3, 4):
                self._history.violations.append(Violation("P12", "11-14", f"{self.name}: gave up at {error}"))

    def _check_counts(self, client: Client) -> None:
        """What the device counts by itself is what its log says, but for what it knows to be deleted already, and for
        what is hidden or blocked, of which it may not have heard yet.
        """
        truth, me = self._truth, self.user
        all_hidden, ever_blocked = truth.hidden(me), truth.blocked(me, ever=True)
        for conv, count in client.receipts.counted().items():
            log, times = truth.log(conv), truth.periods(conv).get(me, ())
            hidden = {seq for where, seq in all_hidden if where == conv}
            unread, _ = tally.unread(log, times, me, count.read, count.head)
            unread |= hidden  # that it was deleted too is not told any more, and that it is hidden not yet
            still, _ = tally.unread(log, times, me, count.read, len(log), hidden, ever_blocked)
            at_least = unread & still
            self._trace.count("counts of devices")
            known = client.conversations.get(conv)
            if known is None or known.head != count.head or not len(at_least) <= count.unread <= len(unread):
                detail = f"{self.name}: {count}, unread are {unread}, of them {at_least} still"
                self._history.violations.append(Violation("P5", "counted wrongly", detail))

    def miscounted(self) -> Iterator[str]:
        """Once it has everything, what it counts by itself is exact."""
        if self.client is None or not self.client.connected:
            return
        truth, me = self._truth, self.user
        for conv, count in self.client.receipts.counted().items():
            hidden = {seq for where, seq in truth.hidden(me) if where == conv}
            times, read = truth.periods(conv).get(me, ()), truth.marks(conv).get(me, (0, 0))[1]
            found = tally.unread(truth.log(conv), times, me, read, count.head, hidden, truth.blocked(me))
            if (count.read, count.unread, count.mentions) != (read, *map(len, found)):
                yield f"{count}, unread are {found}"

    # the network

    async def _connect(self, url: str) -> SimTransport:
        life = self._life
        connection = await self._network.connect(self.name)
        if life != self._life:
            connection.cut()
        self._connections.append(connection)
        witness = Witness(
            self, str(connection), self._history, self._truth, self._gone, self._privacy, self._trace,
            lambda: connection.up.hole, lambda: connection.posted_at, lambda: connection.sending,
        )  # fmt: skip
        return SimTransport(connection, witness)

    def _be_busy(self, seconds: float) -> None:
        for connection in self._connections:
            connection.busy_until = trio.current_time() + seconds

    # faults

    def crash(self) -> None:
        """The process is gone; its file stays as it was committed."""
        self._die(keep=True)

    def reinstall(self) -> None:
        """The process is gone and so is its file."""
        self._die(keep=False)

    def _die(self, keep: bool) -> None:
        if self._scope is None:
            return
        self.inspect(always=True)
        old, self._life = self._path(), self._life + 1
        before = self._file
        if keep and old.exists():
            self._path().touch()
            self._file = MemoryFile(self._path(), old)
        else:
            self._file = MemoryFile(self._path())
        self._has_file = keep and old.exists()
        if not keep:
            self.unsettled.clear()
            self.doings.reinstalled()
            self.epoch = None
            self._has_token = False
        before.close()
        for connection in self._connections:
            connection.cut()
        self._connections.clear()
        self.told = {conv: Evidence(at.want, max(at.rpos, at.rwant)) for conv, at in self.durable().items()}
        self._scope.cancel()

    def restored(self, epoch: bytes) -> None:
        """The server comes back with older data, of which this device hears later."""
        was = self.doings  # what was tried before may be in the backup
        self.doings = Doings(
            first=was.first, attempts=was.attempts, settled=was.settled | was.answered, void=was.void | was.tokens
        )
        if self.file() is not None:
            self.epoch = epoch

    @property
    def has_old_data(self) -> bool:
        """What it has is from before the server was restored."""
        file = self.file()
        token = file.token() if self.epoch and file else None
        if token is not None and token[:4] == self.epoch:
            self.epoch = None
        return self.epoch is not None

    # the file

    def _path(self) -> Path:
        return self._disk / f"{self.name}.{self._life}"

    def file(self) -> DeviceFile | None:
        """What is durable now; None before the client made its file."""
        if not self._has_file:
            self._has_file = self._path().exists()
        return self._file.content if self._has_file else None

    def close(self) -> None:
        """Let go of the file, when the run is over."""
        self._file.close()

    def durable(self) -> dict[int, Position]:
        file = self.file()
        return {} if file is None else file.positions()

    def inspect(self, always: bool = False) -> None:
        """Compare what it shows with what it should show, now and then."""
        file = self.file()
        if file is not None and not self.has_old_data and (always or self._chance.random() < INSPECTED):
            self._trace.count("inspections")
            self.report(file)

    def report(self, file: DeviceFile) -> None:
        """Tell the history what the device has, and blame what is wrong with it alone."""
        for holding in holdings(f"{self.name} at {trio.current_time():.1f} s", file, self.user, self._truth):
            self._history.holds(holding)
        for conv in file.positions():
            for user, mark in file.marks(conv).items():
                self._history.receipt(f"{self.name}'s file {self._life}", conv, user, *mark)
        for difference in differences(file, self.user, self._truth):
            self._history.violations.append(Violation("P5", "not the fold", f"{self.name}: {difference}"))
