"""A replay waits for whatever moves, however slowly, and for nothing else."""

import trio
from trio.testing import MockClock

from tools.replay.pulse import Pulse


async def test_slow_is_not_stalled(autojump_clock: MockClock) -> None:
    pulse = Pulse(60)

    async def work() -> None:
        for _ in range(10):
            await trio.sleep(59)
            pulse.beat()

    assert await pulse.guard(work)
    assert trio.current_time() >= 590


async def test_stalled_is_given_up(autojump_clock: MockClock) -> None:
    pulse = Pulse(60)

    async def work() -> None:
        await trio.sleep(30)
        pulse.beat()
        await trio.sleep_forever()

    start = trio.current_time()
    assert not await pulse.guard(work)
    assert trio.current_time() - start == 90


async def test_one_stall_does_not_spoil_the_next_guard(autojump_clock: MockClock) -> None:
    pulse = Pulse(60)
    assert not await pulse.guard(trio.sleep_forever)
    assert await pulse.guard(trio.lowlevel.checkpoint)
