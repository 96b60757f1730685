"""One seed: build the world, let it run with faults, heal it, wait until it has converged, and judge."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from tools.history.checker import History, Violation
from tools.simulate.chance import Chance
from tools.simulate.clock import JumpingClock, make_repeatable, pause
from tools.simulate.cluster import Cluster
from tools.simulate.device import Device
from tools.simulate.former import Former
from tools.simulate.founding import Founded, found
from tools.simulate.gone import Gone
from tools.simulate.memory import files_in_memory
from tools.simulate.nemesis import Nemesis
from tools.simulate.network import Connection, Network
from tools.simulate.owners import Owners
from tools.simulate.paths import counted
from tools.simulate.plan import Plan, draw
from tools.simulate.privacy import Privacy
from tools.simulate.sealed import describe, logging_to, sealed
from tools.simulate.steps import Steps
from tools.simulate.trace import Trace
from tools.simulate.truth import Truth
from tools.simulate.verdict import unfinished
from tools.simulate.workload import CHURN, ERASING, KEEN, PRIVATE, Fashion, Person
from wirechat.world import World

NOW_MS = 1_800_000_000_000
WORK_SECONDS_MAX = 300
HEAL_SECONDS_MAX = 300
"""A half-open connection is noticed after a minute, a client then waits at most one more before it comes back."""
DEAF_LOSS = 0.5
"""Where the bus loses a larger share for ever, nodes know little of each other's users, and need not."""


@attrs.frozen
class Outcome:
    """What became of a seed."""

    seed: int
    hash: str
    seconds: float
    violations: list[str]
    counts: dict[str, int]
    cpu_seconds: float = 0.0
    """What it cost; the only field that is another when the seed is run again."""

    @property
    def verdict(self) -> str:
        """Whether the promises held, for people."""
        count = len(self.violations)
        return f"{count} violation{'' if count == 1 else 's'}"


class Simulation:
    """The world of one seed."""

    def __init__(self, seed: int, founded: Founded, plan: Plan, disk: Path, trace: Trace) -> None:
        self.chance = Chance(seed)
        self.plan = plan
        self.trace = trace
        self.history = History(distinct=True, clustered=plan.nodes > 1)
        self.truth = Truth(self.history, trio.current_time)
        self._skew_ms = 0
        self._peril = plan.crash_in_commit
        gone = self._gone = Gone(self.truth, self.history)
        self._former = Former(self.truth, self.history)
        privacy = self._privacy = Privacy()
        self._owners = Owners(privacy, self.history)
        self.network = Network(plan.weather, self.chance.stream("network"), trace, self._leaving, plan.loyalty)
        self.cluster = Cluster(
            plan,
            self.network,
            self.world,
            founded.disk.copy(),
            self.history,
            self.truth,
            trace,
            self.chance,
            self._restored,
        )
        fashion = Fashion()
        self._users = {account.name: account.user for account in founded.accounts}
        everyone = sorted(set(self._users.values()))
        self.devices: list[Device] = []
        for number, account in enumerate(founded.accounts):
            groups, chance = (plan.groups if number == 0 else 0), self.chance.stream(f"person {account.name}")
            more = dict.fromkeys(CHURN, plan.churn) | dict.fromkeys(ERASING, plan.erasing)
            more |= dict.fromkeys(PRIVATE, plan.private)
            more |= {deed: KEEN * more.get(deed, 1) for deed in plan.keen}
            revokes = plan.revokes and number == 0
            person = Person(account.name, everyone, groups, more, revokes, self.truth.strange, fashion, chance)
            self.devices.append(
                Device(
                    account,
                    person,
                    plan,
                    self.network,
                    self.world(account.name, partial(self._strike, number)),
                    disk,
                    self.history,
                    self.truth,
                    gone,
                    privacy,
                    trace,
                    self.chance.stream(f"device {account.name}"),
                )
            )
        self._steps = Steps(plan.steps, self._crash_at_step, self.chance.stream("steps"))
        self.nemesis = Nemesis(
            plan.faults, self.network, self.cluster, list(self.devices), self._skew, self.chance, trace
        )

    def close(self) -> None:
        """Let go of every disk."""
        self.cluster.close()
        for device in self.devices:
            device.close()

    def world(self, name: str, peril: Callable[[], None] = lambda: None) -> World:
        """Clock, entropy, jitter and blocking calls of one process. `peril` strikes in the middle of such a call."""
        entropy = self.chance.stream(f"{name} entropy")
        jitter = self.chance.stream(f"{name} jitter")

        async def run_blocking(fn: Callable[..., Any], *args: Any) -> Any:
            await pause(jitter.expovariate(1 / self.plan.store_delay))
            if jitter.random() < self._peril:
                peril()
            return fn(*args)

        return World(self.now_ms, entropy.randbytes, jitter.uniform, run_blocking)

    def _leaving(self, connection: Connection, frames: Sequence[bytes]) -> None:
        node = self.cluster.node(connection.node)
        self._gone.leaving(frames, node.awake_since)
        self._former.leaving(self._users[connection.owner], frames, node.informed_since)

    def _crash_at_step(self, task: trio.lowlevel.Task) -> bool:
        node = self.cluster.node_of(task)
        if node is None:
            return False
        self.trace.event("fault", "crash_at_step")
        self.trace.count("fault crash_at_step")
        node.crash()
        return True

    @property
    def instruments(self) -> list[trio.abc.Instrument]:
        """What has to watch the run."""
        return [self._steps] if self._steps.needed else []

    def _strike(self, number: int) -> None:
        self.trace.count("fault crash_in_commit")
        self.devices[number].crash()

    def _restored(self, epoch: bytes, heads: dict[int, int]) -> None:
        """The server comes back with older data: the judges know only what stands in it."""
        self.history.restored(heads)
        self.truth.restored(heads)
        self._privacy.restored()
        self._gone.restored()
        for device in self.devices:
            device.restored(epoch)

    def now_ms(self) -> int:
        return NOW_MS + int(trio.current_time() * 1000) + self._skew_ms

    def _skew(self, ms: int) -> None:
        self._skew_ms = ms

    async def main(self) -> float:
        """Returns the simulated seconds it took."""
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for node in self.cluster.nodes:
                nursery.start_soon(node.run)
            for device in self.devices:
                nursery.start_soon(device.live)
            with trio.move_on_after(WORK_SECONDS_MAX):
                async with trio.open_nursery() as trouble:
                    trouble.start_soon(self.nemesis.rage)
                    while any(device.ops_left for device in self.devices):  # noqa: ASYNC110  time is free here
                        await trio.sleep(0.5)
                    trouble.cancel_scope.cancel()
            self._peril = 0.0
            self._steps.stop()
            self.nemesis.heal()
            self.trace.event("healed")
            await self._converge()
            nursery.cancel_scope.cancel()
        return trio.current_time() - began

    async def _converge(self) -> None:
        with trio.move_on_after(HEAL_SECONDS_MAX):
            while any(self._unfinished()):  # noqa: ASYNC110  time is free here
                await trio.sleep(1)
        self._blame("does not converge", self._unfinished())
        ended = {device.number: device.name for device in self.devices if device.ended}
        self._blame("ended by nobody", (name for number, name in ended.items() if not self._privacy.is_doomed(number)))
        self.truth.look()
        self.truth.check_gone()
        self.truth.check_lists()
        self.truth.check_account_logs()
        for device in self.devices:
            self._blame("counted wrongly", (f"{device.name}: {text}" for text in device.miscounted()))
            file = device.file()
            if file is not None:
                self._blame("not in order", (f"{device.name}: {text}" for text in file.disordered()))
                if device.ended:
                    self._blame("8-30 revoked", (f"{device.name}: keeps its {secret}" for secret in file.secrets()))
                if not device.has_old_data:  # who was revoked never hears that the server was restored
                    device.report(file)
        self.history.finish()

    def _unfinished(self) -> Iterator[str]:
        yield from self._owners.look(self.cluster.sessions())
        there = {device.user for device in self.devices if device.looked_at}
        for device in self.devices:
            if self.plan.bus_loss < DEAF_LOSS:
                yield from (f"{device.name}: {text}" for text in device.unseen(there))
            file = device.file()
            if device.ended:
                continue
            if device.has_old_data:
                yield f"{device.name}: has not heard that the server was restored"
            elif self._privacy.is_revoked(device.number):
                yield f"{device.name}: lives on, although it was revoked"
            elif file is None:
                yield f"{device.name}: has no file"
            else:
                for text in unfinished(file, device.user, self.truth):
                    yield f"{device.name}: {text}"

    def _blame(self, rule: str, texts: Iterable[str]) -> None:
        self.history.violations.extend(Violation("P5", rule, text) for text in texts)


def run(seed: int, say: Callable[[str], None] | None = None) -> Outcome:
    """Simulate one seed. `say` gets the story, line by line."""
    began = time.process_time()
    trace = Trace(say)
    plan = draw(Chance(seed).stream("plan"))
    founded = found(plan.devices_of)
    with tempfile.TemporaryDirectory(prefix="wirechat-simulation-", dir=memory()) as directory, files_in_memory():
        make_repeatable(f"{seed}/scheduler")
        simulation = Simulation(seed, founded, plan, Path(directory), trace)

        def heard(level: str, text: str) -> None:
            trace.event("log", level, text)
            if level in ("error", "critical", "exception"):
                simulation.history.violations.append(Violation("P10", "error in the log", text))

        with sealed(), logging_to(heard), plan.tuning.applied(), counted(trace):
            try:
                seconds = trio.run(simulation.main, clock=JumpingClock(), instruments=simulation.instruments)
            except Exception as error:  # noqa: BLE001  whatever it is, this seed shows it
                seconds = 0.0
                simulation.history.violations.append(Violation("P10", "the simulation broke", describe(error)))
            finally:
                simulation.close()
    violations = [str(violation) for violation in simulation.history.violations]
    trace.counts["simulated seconds"] = int(seconds)
    cpu_seconds = time.process_time() - began
    return Outcome(seed, trace.hash(), seconds, violations, dict(sorted(trace.counts.items())), cpu_seconds)


def memory() -> str | None:
    """A directory that is not on a disk, if this machine has one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
