"""Plays many logs in several processes: one process of clients is slower than a server.

Each process plays its share of the logs from beginning to verdict; groups share nobody, so the results just add up.
"""

import multiprocessing
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing.queues import Queue

import attrs
import trio

from tools.replay.meter import Meter, News, Reporter
from tools.replay.plan import Plan
from tools.replay.run import Options, Result, replay
from tools.replay.verdict import Verdict

LOOK_SECONDS = 0.1


def replay_shared(options: Options, meter: Meter, jobs: int) -> Result:
    """Like `replay`, in up to `jobs` processes."""
    shares = _shares(options, min(jobs, len(options.plans)))
    if len(shares) == 1:
        return trio.run(replay, options, meter)
    context = multiprocessing.get_context("spawn")
    news: Queue[News] = context.Queue()
    with ProcessPoolExecutor(len(shares), context, _begin, (news,)) as pool:
        futures = [pool.submit(_play, share) for share in shares]
        while wait(futures, LOOK_SECONDS).not_done and not any(map(_failed, futures)):
            _pass_on(news, meter)
        _pass_on(news, meter)
        return _sum([future.result() for future in sorted(futures, key=_failed, reverse=True)])


def _shares(options: Options, count: int) -> list[Options]:
    """The largest first, always to whoever has least; sabotage and its proof belong to the first share."""
    shares: list[list[Plan]] = [[] for _ in range(count)]
    for plan in sorted(options.plans, key=_weight, reverse=True):
        min(shares, key=lambda share: sum(map(_weight, share))).append(plan)
    first, *others = [attrs.evolve(options, plans=share, seed=options.seed + n) for n, share in enumerate(shares)]
    return [first, *(attrs.evolve(other, sabotage=None) for other in others)]


def _weight(plan: Plan) -> int:
    """About how many messages are delivered."""
    return len(plan.accounts) * len(plan.steps)


def _failed(future: "Future[Result]") -> bool:
    return future.done() and future.exception() is not None


def _pass_on(news: "Queue[News]", meter: Meter) -> None:
    try:
        while True:
            meter.count(*news.get_nowait())
    except queue.Empty:
        pass


_reporter: Reporter | None = None


def _begin(news: "Queue[News]") -> None:
    global _reporter  # the only way a process of a pool can be given something that is not picklable
    _reporter = Reporter(news)


def _play(options: Options) -> Result:
    assert _reporter is not None
    return trio.run(replay, options, _reporter)


def _sum(results: Sequence[Result]) -> Result:
    verdict = Verdict()
    for result in results:
        verdict.add(result.verdict)
    return Result(
        accounts=sum(result.accounts for result in results),
        entries=sum(result.entries for result in results),
        replies=sum(result.replies for result in results),
        receipts=sum(result.receipts for result in results),
        reconnects=sum(result.reconnects for result in results),
        seconds=max(result.seconds for result in results),
        messages=sum(result.messages for result in results),
        verdict=verdict,
    )
