"""Bars as SVG text: small, the same on every machine, readable as a file."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import attrs

WIDTH, LEFT, RIGHT, ROW, TOP = 720, 190, 90, 22, 26


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
    longest = max(max(each.high, each.must or 0) for each in items) or 1
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


def _bar(bar: Bar, y: int, scale: float) -> Iterable[str]:
    middle = y + ROW // 2
    yield f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{html.escape(bar.label)}</text>'
    color = "#4878a8" if bar.must is None or bar.value <= bar.must else "#c0504d"
    yield f'<rect x="{LEFT}" y="{y + 4}" width="{bar.value * scale:.1f}" height="{ROW - 8}" fill="{color}"/>'
    if bar.high > bar.low:
        low, high = LEFT + bar.low * scale, LEFT + bar.high * scale
        yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222"/>'
    for mark, dash in ((bar.must, ""), (bar.stretch, ' stroke-dasharray="3 2"')):
        if mark is not None:
            x = LEFT + mark * scale
            yield f'<path d="M{x:.1f} {y + 1}V{y + ROW - 1}" stroke="#2a7d2a" stroke-width="2"{dash}/>'
    end = LEFT + max(bar.value, bar.high, bar.must or 0) * scale + 6
    yield f'<text x="{end:.1f}" y="{middle + 4}">{html.escape(bar.text)}</text>'
