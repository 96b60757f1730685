"""Numbers, tables and pages for people, as HTML and as Markdown; every report of the tools looks alike."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; } td:last-child:not(.n) { color: #666; }
.verdict { padding: .6rem 1rem; border-radius: .3rem; margin: 1rem 0; }
.valid { background: #e3f4e3; } .broken { background: #fbdcdc; } .partial, .not-valid { background: #fdf0d0; }
svg { max-width: 100%; height: auto; } pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
"""


def number(value: float) -> str:
    """Three digits that mean something; what counts is whole."""
    if float(value).is_integer() or abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"


def document(title: str, parts: Iterable[str]) -> str:
    """An HTML file that needs nothing else."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{"".join(parts)}</html>\n'
    )


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As HTML; columns of numbers are to the right, and without heads there is no line of them."""
    lines = list(rows)
    numbers = [all(cell[:1].isdigit() for cell in column if cell) for column in zip(*lines, strict=True)]
    head = _row("th", heads, numbers or [False] * len(heads)) if any(heads) else ""
    return f"<table>{head}{''.join(_row('td', line, numbers) for line in lines)}</table>"


def _row(tag: str, cells: Sequence[str], numbers: Sequence[bool]) -> str:
    made = (
        f"<{tag}{' class=n' if is_number else ''}>{html.escape(cell)}</{tag}>"
        for cell, is_number in zip(cells, numbers, strict=True)
    )
    return f"<tr>{''.join(made)}</tr>"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))
