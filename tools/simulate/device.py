"""A simulated device: the real client library on a simulated network and a file of its own, which a crash leaves as
it was committed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import attrs
import trio

from tools.history import tally
from tools.history.checker import History, Violation
from tools.simulate.file import DeviceFile, Position
from tools.simulate.gone import Gone
from tools.simulate.network import Connection, Network, SimTransport
from tools.simulate.plan import Plan
from tools.simulate.privacy import Privacy
from tools.simulate.trace import Trace
from tools.simulate.truth import Truth
from tools.simulate.verdict import differences, holdings
from tools.simulate.witness import Evidence, Name, Witness
from tools.simulate.workload import Person
from wirechat.client.client import Client, open_client
from wirechat.client.errors import ClientError
from wirechat.client.events import MessageAdded, Resynced
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
        self.client: Client | None = None
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
        self._scope: trio.CancelScope | None = None
        self._file: DeviceFile | None = None
        self._connections: list[Connection] = []
        self._directory().mkdir(parents=True)

    # living

    async def live(self) -> None:
        """Run the client again and again, until it is told that it was revoked."""
        while not self.ended:
            with trio.CancelScope() as self._scope:
                await self._run_client()
            self._scope = None
            await trio.sleep(self._chance.uniform(0.05, 2))

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
                    await trio.sleep(self._chance.expovariate(1 / self._plan.pause))
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
            elif isinstance(event, MessageAdded):
                self._announce(screen, event.conv, event.record.seq)

    def _announce(self, screen: object, conv: int, seq: int) -> None:
        """A device that jumped has forgotten what it had, and may show it again."""
        if not self._history.shows(screen, conv, seq) or self.durable()[conv].low == 1:
            self._history.announced(screen, conv, seq)

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
            expected = user in there and self._truth.together(self.user, user) and not apart
            if status is None or status.online != expected or (status.seen is not None and status.online):
                yield f"told {status}, {'there' if expected else 'not there, or a stranger'}"

    async def _act(self, client: Client) -> None:
        try:
            await self._person.act(client)
            self._check_counts(client)
        except ClientError as error:
            self._trace.count(f"operation: {type(error).__name__}")

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

    # the network

    async def _connect(self, url: str) -> SimTransport:
        life = self._life
        connection = await self._network.connect(self.name)
        if life != self._life:
            connection.cut()
        self._connections.append(connection)
        witness = Witness(self, str(connection), self._history, self._truth, self._gone, self._privacy, self._trace)
        return SimTransport(connection, witness)

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
        old, self._life = self._directory(), self._life + 1
        if keep:
            shutil.copytree(old, self._directory())
        else:
            self._directory().mkdir()
            self.unsettled.clear()
        self._close_file()
        for connection in self._connections:
            connection.cut()
        self._connections.clear()
        self.told = {conv: Evidence(at.want, max(at.rpos, at.rwant)) for conv, at in self.durable().items()}
        self._scope.cancel()

    # the file

    def _directory(self) -> Path:
        return self._disk / f"{self.name}.{self._life}"

    def _path(self) -> Path:
        return self._directory() / "cache"

    def file(self) -> DeviceFile | None:
        """What is durable now; None before the client made its file."""
        if self._file is None and self._path().exists():
            self._file = DeviceFile(self._path())
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def durable(self) -> dict[int, Position]:
        file = self.file()
        return {} if file is None else file.positions()

    def inspect(self, always: bool = False) -> None:
        """Compare what it shows with what it should show, now and then."""
        file = self.file()
        if file is not None and (always or self._chance.random() < INSPECTED):
            self._trace.count("inspections")
            self.report(file)

    def report(self, file: DeviceFile) -> None:
        """Tell the history what the device has, and blame what is wrong with it alone."""
        for holding in holdings(f"{self.name} at {trio.current_time():.1f} s", file, self.user, self._truth):
            self._history.holds(holding)
        for difference in differences(file, self.user, self._truth):
            self._history.violations.append(Violation("P5", "not the fold", f"{self.name}: {difference}"))
