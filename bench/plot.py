"""Bars as SVG text: small, the same on every machine, readable as a file."""

from __future__ import annotations

import html
import statistics
from collections.abc import Iterable, Sequence

import attrs

WIDTH, LEFT, RIGHT, ROW, TOP = 720, 190, 90, 22, 26
CUT = 30
"""What is so many times the median would make all others invisible: its bar ends in a gap."""


@attrs.frozen
class Bar:
    """One value, with what it must not exceed."""

    label: str
    value: float
    low: float
    high: float
    text: str
    must: float | None = None
    stretch: float | None = None


def bars(title: str, items: Sequence[Bar]) -> str:
    """A bar for each value, a whisker from the lowest to the highest, a line at each mark."""
    limit = CUT * statistics.median(each.value for each in items)
    longest = max(_reach(each) for each in items if each.value <= limit) or 1
    scale = (WIDTH - LEFT - RIGHT) / longest
    height = TOP + ROW * len(items) + 6
    parts = [f'<text x="0" y="14" font-weight="bold">{html.escape(title)}</text>']
    for at, each in enumerate(items):
        parts += _bar(each, TOP + ROW * at, scale)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' font-family="sans-serif" font-size="12" role="img">\n<title>{html.escape(title)}</title>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _reach(bar: Bar) -> float:
    return max(bar.value, bar.high, bar.must or 0)


def _bar(bar: Bar, y: int, scale: float) -> Iterable[str]:
    middle = y + ROW // 2
    full = WIDTH - LEFT - RIGHT
    yield f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{html.escape(bar.label)}</text>'
    color = "#4878a8" if bar.must is None or bar.value <= bar.must else "#c0504d"
    yield f'<rect x="{LEFT}" y="{y + 4}" width="{min(bar.value * scale, full):.1f}" height="{ROW - 8}" fill="{color}"/>'
    if bar.value * scale > full:
        yield f'<path d="M{LEFT + full - 24} {y + ROW - 2}l8 {4 - ROW}" stroke="#fff" stroke-width="4"/>'
    elif bar.high > bar.low:
        low, high = LEFT + bar.low * scale, LEFT + bar.high * scale
        yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222"/>'
    for mark, dash in ((bar.must, ""), (bar.stretch, ' stroke-dasharray="3 2"')):
        if mark is not None:
            x = LEFT + mark * scale
            yield f'<path d="M{x:.1f} {y + 1}V{y + ROW - 1}" stroke="#2a7d2a" stroke-width="2"{dash}/>'
    end = LEFT + min(_reach(bar) * scale, full) + 6
    yield f'<text x="{end:.1f}" y="{middle + 4}">{html.escape(bar.text)}</text>'
