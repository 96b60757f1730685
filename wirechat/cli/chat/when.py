"""Times in words, as short as the place demands. Pure: what is now comes in."""

import datetime

__all__ = ["ago", "day", "local", "short"]

MINUTE, HOUR = 60, 3600


def local(ts: int, zone: datetime.tzinfo | None = None) -> datetime.datetime:
    """Milliseconds since 1970 as a time here; `zone` None: that of this machine."""
    return datetime.datetime.fromtimestamp(ts / 1000, datetime.UTC).astimezone(zone)


def day(date: datetime.date, today: datetime.date) -> str:
    """`Today`, `Yesterday`, `Friday, 20 November`, and the year if it is another one."""
    ago = (today - date).days
    if ago in (0, 1):
        return ("Today", "Yesterday")[ago]
    year = "" if date.year == today.year else f" {date.year}"
    return f"{date:%A}, {date.day} {date:%B}{year}"


def short(ts: int, now: datetime.datetime) -> str:
    """`14:53` today, `Fri` this week, `20 Nov` this year, else `2025-01`; at most seven cells."""
    then = local(ts, now.tzinfo)
    ago = (now.date() - then.date()).days
    if ago <= 0:
        return f"{then:%H:%M}"
    return f"{then:%a}" if ago < 7 else f"{then.day} {then:%b}" if then.year == now.year else f"{then:%Y-%m}"


def ago(ts: int, now: datetime.datetime) -> str:
    """`just now`, `5 minutes ago`, `today at 14:53`, `on 20 November`."""
    then = local(ts, now.tzinfo)
    seconds = (now - then).total_seconds()
    if seconds < 2 * MINUTE:
        return "just now"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} minutes ago"
    name = day(then.date(), now.date())
    return f"{name.lower()} at {then:%H:%M}" if name in ("Today", "Yesterday") else f"on {then.day} {then:%B %Y}"
