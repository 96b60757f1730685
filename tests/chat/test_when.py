"""Times in words."""

import datetime

import pytest

from wirechat.cli.chat.when import ago, short

NOW = datetime.datetime(2026, 11, 28, 15, 0, tzinfo=datetime.UTC)


def before(**span: float) -> int:
    return int((NOW - datetime.timedelta(**span)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("ts", "brief", "long"),
    [
        (before(seconds=-5), "15:00", "just now"),
        (before(seconds=90), "14:58", "just now"),
        (before(minutes=5), "14:55", "5 minutes ago"),
        (before(hours=3), "12:00", "today at 12:00"),
        (before(hours=20), "Fri", "yesterday at 19:00"),
        (before(days=6), "Sun", "on 22 November 2026"),
        (before(days=30), "29 Oct", "on 29 October 2026"),
        (before(days=400), "2025-10", "on 24 October 2025"),
    ],
)
def test_times(ts: int, brief: str, long: str) -> None:
    """Short in lists, in words elsewhere; a clock that is ahead does no harm."""
    assert (short(ts, NOW), ago(ts, NOW)) == (brief, long)
