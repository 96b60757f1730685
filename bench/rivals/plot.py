"""A plot as SVG text: what each server takes in each cell, from the lowest round to the highest, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from bench.rivals.figures import OWN, Line, number

WIDTH, LABELS, ROW, GAP, TOP = 760, 170, 17, 12, 26
COLORS = {OWN: "#c2410c", "floor": "#9ca3af"}
OTHERS = "#1d4ed8"


def svg(lines: Sequence[Line], unit: str) -> str:
    """Of all cells with this unit; empty if there are none."""
    shown = [line for line in lines if line.unit == unit and line.price is not None]
    if not shown:
        return ""
    low = math.floor(math.log10(min(line.price.low for line in shown if line.price)))
    high = math.ceil(math.log10(max(line.price.high for line in shown if line.price)))

    def x(value: float) -> float:
        return LABELS + (math.log10(value) - low) / max(1, high - low) * (WIDTH - LABELS - 50)

    parts, y = [], float(TOP)
    for cell, found in groupby(shown, lambda line: line.cell):
        parts.append(f'<text x="4" y="{y + 12:.0f}" font-weight="bold">{cell}</text>')
        for line in found:
            assert line.price is not None
            color = COLORS.get(line.name, OTHERS)
            y += ROW
            left, right, middle = (x(value) for value in (line.price.low, line.price.high, line.price.median))
            parts.append(f'<text x="{LABELS - 10}" y="{y + 12:.0f}" text-anchor="end">{line.name}</text>')
            bar = f'x="{left:.1f}" y="{y + 5:.0f}" width="{max(1.0, right - left):.1f}" height="6"'
            parts.append(f'<rect {bar} fill="{color}" opacity=".35"/>')
            parts.append(f'<circle cx="{middle:.1f}" cy="{y + 8:.0f}" r="4" fill="{color}"/>')
            parts.append(f'<text x="{right + 8:.1f}" y="{y + 12:.0f}">{number(line.price.median)}</text>')
        y += ROW + GAP
    grid = [
        f'<line x1="{x(10**power):.1f}" x2="{x(10**power):.1f}" y1="{TOP - 6}" y2="{y:.0f}" stroke="#ddd"/>'
        f'<text x="{x(10**power):.1f}" y="{TOP - 10}" text-anchor="middle">{10.0**power:g} {unit}</text>'
        for power in range(low, high + 1)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" font-size="11"'
    style = 'font-family="system-ui, sans-serif" fill="#222">'
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([f"{head} {style}", background, *grid, *parts, "</svg>\n"])
