"""The one way into the log. P1 to P4 are made here, once.

All appends of a node pass through one pipeline with natural batching: one commit in flight, on PostgreSQL one for each
conversation and a few in all, so that a lock that another node holds stalls those who share its batch, and nobody
else before all commits in flight have met one. The next batch is what arrived meanwhile, as far as it can be handed out
in one turn; but on SQLite a commit does not begin within a millisecond of the last one, unless there is nobody to share
it with, or more waits than one takes.
Only after the commit, and in the order of commits of each conversation, is the sender answered and the entry delivered.
The next commit, if it is not early, is started before that, so that the disk works while the loop does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import attrs
import structlog
import trio

from wirechat import wire
from wirechat.server import limits
from wirechat.server.errors import RequestError, of_refusal, of_store
from wirechat.server.events import MEMBERSHIP, leaving
from wirechat.server.histogram import Histogram
from wirechat.server.hub import Hub
from wirechat.server.session import Session
from wirechat.store.errors import OutcomeUnknown, StoreError
from wirechat.store.records import Append, Appended, Commit, Refusal

log = structlog.get_logger(__name__)


COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_ENTRIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class AppendStore(Protocol):
    """What the journal needs of the store."""

    appends_at_once: int

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: dict[int, int], done: Callable[[Commit], None]
    ) -> None:
        """Append durably; `done` is called in the Trio thread, in commit order for each conversation."""


@attrs.define
class Submission:
    """An entry on its way into the log, and whom to answer."""

    append: Append
    content: wire.Content | None
    session: Session
    rid: int
    reply: Callable[[int, Appended], wire.Message]
    """Builds the reply from rid and outcome."""
    answered: Callable[[], None]
    """One request less is in flight."""

    def answer(self, result: Appended | Refusal | StoreError) -> None:
        """Tell the client."""
        self.answered()
        if isinstance(result, Appended):
            self.session.reply(self.reply(self.rid, result))
        else:
            self.session.reply(_error_of(result).message(self.rid))

    def fail(self) -> None:
        """The answer could not be given."""
        self.session.close(wire.errors.INTERNAL)


class Awaited:
    """An entry that a task of the server waits for. Nobody has it as a reply: all sessions get it as a push."""

    session = None

    def __init__(self, append: Append, content: wire.Content | None, done: Callable[[], None]) -> None:
        self.append = append
        self.content = content
        self._done = done
        self.known = trio.Event()
        self.result: Appended | Refusal | StoreError = OutcomeUnknown("the entry was not handed out")

    def answer(self, result: Appended | Refusal | StoreError) -> None:
        """Wake who waits, if he still does."""
        self.result = result
        self.known.set()
        if isinstance(result, OutcomeUnknown) or (isinstance(result, Appended) and not result.dup):
            self._done()

    def fail(self) -> None:
        """Wake who waits, whatever is known."""
        self.known.set()


class Journal:
    """The commit pipeline of one node."""

    def __init__(self, store: AppendStore, hub: Hub, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._hub = hub
        self._now_ms = now_ms
        self._pending: list[Submission | Awaited] = []
        self._commits = 0
        """In flight."""
        self._flying: set[int] = set()
        """Conversations in them."""
        self._due = 0.0
        """Before this the next commit is early."""
        self._alone: int | None = None
        """The only sender of the last commit."""
        self._early = trio.Event()
        self._failing = False
        self.commits = Histogram(COMMIT_SECONDS)
        """From handing a batch to the store to its answer, in seconds."""
        self.batches = Histogram(BATCH_ENTRIES)
        self.entries = 0
        """Entries committed."""
        self.repeats = 0
        """Entries that were in the log already."""
        self.refusals: Counter[int] = Counter()
        """Entries refused by the store, by code."""

    @property
    def waiting(self) -> int:
        """Entries not yet handed to the store."""
        return len(self._pending)

    @property
    def idle(self) -> bool:
        """Nothing is pending and nothing is being committed."""
        return not self._commits and not self._pending

    def submit(self, submission: Submission | Awaited) -> None:
        """Queue an entry. Never waits; the answer comes after the commit. Raises RequestError 5000 when too many
        wait.
        """
        if len(self._pending) >= limits.PENDING_ENTRIES_MAX:
            raise RequestError(wire.errors.UNAVAILABLE, "too many entries wait for the disk", retry_ms=1000)
        self._pending.append(submission)

    async def append(self, append: Append, content: wire.Content | None, done: Callable[[], None]) -> Appended:
        """Append an entry and wait until it is handed out. `done` is called once it is in the log, or may be, even when
        nobody waits any more. Raises RequestError and StoreError.
        """
        awaited = Awaited(append, content, done)
        self.submit(awaited)
        self._begin()
        await awaited.known.wait()
        if isinstance(awaited.result, Refusal):
            raise of_refusal(awaited.result)
        if isinstance(awaited.result, StoreError):
            raise awaited.result
        return awaited.result

    def start(self) -> None:
        """Begin commits of what is pending, as far as others leave room. Called once per turn of a reader."""
        if not self._commits and self._is_early():
            self._early.set()
        else:
            self._begin()

    async def run(self) -> None:
        """Begin the commits that would have been early, for ever."""
        while True:
            await self._early.wait()
            await trio.sleep_until(self._due)
            self._early = trio.Event()
            self.start()

    def _is_early(self) -> bool:
        """Others wrote a moment ago and will again, and a commit costs as much as many entries. Who writes alone does
        not wait, nor do tasks of the server among themselves.
        """
        return trio.current_time() < self._due and any(
            each.session is not None and each.append.sender != self._alone for each in self._pending
        )

    def _begin(self) -> None:
        while self._pending and self._commits < self._store.appends_at_once and (batch := self._take()):
            self._commits += 1
            appends = [submission.append for submission in batch]
            convs = {append.conv for append in appends}
            self._flying |= convs
            begun_at = trio.current_time()
            if self._store.appends_at_once == 1 and not self._pending:
                senders = {append.sender for append in appends}
                self._alone = senders.pop() if len(senders) == 1 else None
                self._due = begun_at + limits.COMMIT_SPACING_SECONDS
            committed = partial(self._committed, batch, convs, begun_at)
            self._store.start_append(appends, self._now_ms(), self._hub.known(convs), committed)

    def _take(self) -> list[Submission | Awaited]:
        """The next batch: what waits in conversations that are not in flight, but no more than can be handed out
        without keeping the loop from the others.
        """
        batch: list[Submission | Awaited] = []
        left: list[Submission | Awaited] = []
        flying, room = self._flying, limits.TURN_DELIVERIES_MAX
        for number, submission in enumerate(self._pending):
            conv = submission.append.conv
            if room <= 0:
                left += self._pending[number:]
                break
            if conv in flying:
                left.append(submission)
                continue
            members = self._hub.members(conv)
            room -= limits.ENTRY_DELIVERIES + (0 if members is None else len(members.since))
            batch.append(submission)
        self._pending = left
        return batch

    def _committed(self, batch: list[Submission | Awaited], convs: set[int], begun_at: float, commit: Commit) -> None:
        self.commits.observe(trio.current_time() - begun_at)
        self.batches.observe(len(batch))
        self._commits -= 1
        self._flying -= convs
        self.start()
        self._tell_of_failure(commit.results)
        hub = self._hub
        for conv, members in commit.members.items():
            hub.remember(conv, members)
        for submission, result in zip(batch, commit.results, strict=True):
            try:
                self._finish(submission, result)
            except Exception:
                log.exception("an entry was committed but could not be handed out")
                hub.doubt(result.conv if isinstance(result, Appended) else submission.append.conv)
                submission.fail()
        hub.flush()

    def _tell_of_failure(self, results: Sequence[Appended | Refusal | StoreError]) -> None:
        """The operator is told when the store begins to fail and when it works again, not of each entry."""
        failing = all(isinstance(result, StoreError) for result in results)
        if failing and not self._failing:
            log.warning("entries cannot be stored", reason=str(results[0]))
        elif self._failing and not failing:
            log.info("entries are stored again")
        self._failing = failing

    def _finish(self, submission: Submission | Awaited, result: Appended | Refusal | StoreError) -> None:
        submission.answer(result)
        if not isinstance(result, Appended):
            if submission.session is not None:  # whoever waits for it answers, and counts, himself
                code = _error_of(result).code
                self.refusals[code] += 1
                submission.session.refused(code)
            if isinstance(result, OutcomeUnknown):
                self._doubt(submission.append)
        elif result.dup:
            self.repeats += 1
        else:
            self.entries += 1
            event = _event(submission, result)
            self._hub.deliver(event, submission.session, result.rrev)
            self._hub.others.news(event.conv, event.seq, leaving=leaving(event))

    def _doubt(self, append: Append) -> None:
        """It may be in the log. The pass tells of the entry, but not who is in what since then: that is read again."""
        if append.kind in MEMBERSHIP:
            self._hub.forget(append.conv)
            self._hub.regrouped(append.users)


def _error_of(result: Refusal | StoreError) -> RequestError:
    return of_refusal(result) if isinstance(result, Refusal) else of_store(result)


def _event(submission: Submission | Awaited, result: Appended) -> wire.Event:
    append = submission.append
    event = wire.Event(
        result.conv,
        result.seq,
        result.ts,
        append.sender,
        append.kind,
        submission.content,
        append.ref,
        result.users or None,
        append.cid,
        role=append.role,
    )
    if result.origin is not None and result.content is not None:
        event.content, event.origin = wire.Content.unpack(result.content), wire.Origin(*result.origin)
    return event
