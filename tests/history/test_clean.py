"""Whatever a right server and its users do, in whatever order, the judge blames nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history.world import events
from tools.history.checker import History


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80), st.booleans())
def test_a_history_of_a_right_server_is_clean(seed: int, steps: int, read: bool) -> None:
    history = History()
    for event, arguments in events(seed, steps, read):
        getattr(history, event)(*arguments)
    assert history.finish() == []
