"""A plot as SVG text: small, the same on every machine, readable as a file.

What is compared stands below each other on one logarithmic scale: a dot at the median, a band from the lowest to the
highest, a line at what must not be exceeded.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence

import attrs

from bench.spread import Spread
from tools.pages import number

WIDTH, LEFT, RIGHT, ROW, GAP, TOP = 760, 190, 90, 18, 12, 52
COLOR, MISSED = "#1d4ed8", "#c0504d"


@attrs.frozen
class Dot:
    """One line. Beyond `must` it is marked as missed; `stretch` is what is aimed at."""

    label: str
    spread: Spread
    must: float | None = None
    stretch: float | None = None
    color: str = COLOR

    @property
    def reach(self) -> Iterator[float]:
        """All that must fit on the scale."""
        return (value for value in (*self.spread.values, self.must, self.stretch) if value and value > 0)


def dots(title: str, unit: str, groups: Mapping[str, Sequence[Dot]]) -> str:
    """A line for each that is above zero, under the name of its group; empty if there is none."""
    shown = {name: [dot for dot in of if dot.spread.median > 0] for name, of in groups.items()}
    reach = [value for of in shown.values() for dot in of for value in dot.reach]
    if not reach:
        return ""
    low, high = math.floor(math.log10(min(reach))), math.ceil(math.log10(max(reach)))

    def x(value: float) -> float:
        share = (math.log10(max(value, 10.0**low)) - low) / max(1, high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    parts, y = [f'<text x="0" y="14" font-weight="bold">{html.escape(title)}</text>'], TOP
    for name, of in shown.items():
        if name:
            parts.append(f'<text x="4" y="{y + 12}" font-weight="bold">{html.escape(name)}</text>')
            y += ROW
        for dot in of:
            parts += _line(dot, y, {value: x(value) for value in (*dot.spread.values, *dot.reach, dot.spread.median)})
            y += ROW
        y += GAP
    scale = [
        f'<path d="M{x(10.0**power):.1f} {TOP - 8}V{y}" stroke="#ddd"/>'
        f'<text x="{x(10.0**power):.1f}" y="{TOP - 14}" text-anchor="middle">{10.0**power:,g} {unit}</text>'
        for power in range(low, high + 1)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}"'
        f' font-family="sans-serif" font-size="12" fill="#222" role="img">\n<title>{html.escape(title)}</title>\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n' + "\n".join((*scale, *parts)) + "\n</svg>\n"
    )


def _line(dot: Dot, y: int, x: Mapping[float, float]) -> Iterator[str]:
    spread, middle = dot.spread, y + ROW // 2
    color = MISSED if dot.must is not None and spread.median > dot.must else dot.color
    left, right = x[spread.low], x[spread.high]
    yield f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end">{html.escape(dot.label)}</text>'
    yield (
        f'<rect x="{left:.1f}" y="{middle - 3}" width="{max(1.0, right - left):.1f}" height="6" fill="{color}"'
        ' opacity=".35"/>'
    )
    yield f'<circle cx="{x[spread.median]:.1f}" cy="{middle}" r="4" fill="{color}"/>'
    for mark, dash in ((dot.must, ""), (dot.stretch, ' stroke-dasharray="3 2"')):
        if mark:
            yield f'<path d="M{x[mark]:.1f} {y + 1}v{ROW - 2}" stroke="#2a7d2a" stroke-width="2"{dash}/>'
    end = max(right, *(x[value] for value in dot.reach)) + 8
    yield f'<text x="{end:.1f}" y="{middle + 4}">{number(spread.median)}</text>'
