"""The answer on a terminal: what was measured apart from what follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from tools.plan.answer import Answer, spoken
from tools.plan.kernel import Line
from tools.plan.probe import P99_MS, Climbed, Measured


def show(measured: Measured, answer: Answer, lines: Sequence[Line], console: Console) -> None:
    """Three parts and a verdict."""
    idle, disk, machine, groups = measured.idle, measured.disk, measured.machine, measured.groups
    _print(
        console,
        f"measured in {measured.seconds:.0f} s; {machine.cores} cores, {machine.available_mib:,.0f} MiB free",
        ("disk", f"fsync of 4 KiB {disk.p50_ms:.2f} ms, p99 {disk.p99_ms:.2f} ms; {disk.count:,} of them"),
        ("server at rest", f"{idle.at_rest_mib:,.0f} MiB"),
        (
            "idle people",
            f"{idle.kib:.1f} KiB and {idle.cores * 1e6:.1f} us of CPU a second each; {idle.people:,} were here",
        ),
        ("pairs", _climbed(measured.pairs)),
        (f"groups of {groups.size}", f"{_climbed(groups)}; with as many read marks"),
    )
    ends = ", ".join(f"{bound.name} {bound.people:,}" for bound in answer.idle)
    _print(
        console,
        "extrapolated from that",
        ("idle people", f"{answer.idle_people:,}; what ends where: {ends}"),
        ("active people", f"{answer.active_people:,} with {spoken()}"),
        ("texts a second", f"{_rate(answer.texts_per_second)} one to one,"
         f" {_rate(answer.group_texts_per_second)} in groups of {groups.size}, 99 of 100 within {P99_MS:.0f} ms"),
        ("breaks first", answer.breaks),
    )  # fmt: skip
    console.print(f"[bold]for {answer.idle_possible:,} connections[/bold], as root")
    for line in lines:
        if not line.enough:
            console.print(f"  {line.change:40} # now {line.now:,}; {line.about}", soft_wrap=True, highlight=False)
    enough = ", ".join(f"{line.name} {line.now:,}" for line in lines if line.enough)
    _print(console, "", ("enough", enough or "nothing"))
    console.print(
        "The load came from this machine too and took its share of it: on one of its own the server carries more.",
        soft_wrap=True,
    )
    if answer.busy:
        console.print(f"[bold yellow]not valid[/bold yellow]: {answer.busy}; the figures are too low", soft_wrap=True)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate else "less than was tried"


def _climbed(climbed: Climbed) -> str:
    best, broken = climbed.best, climbed.broken
    held = "held at no rate" if best is None else f"{best.rate:,.0f} texts/s with p99 {best.p99_ms:.0f} ms"
    over = "more was not tried" if broken is None else f"{broken.rate:,.0f}/s took {broken.p99_ms:,.0f} ms"
    return f"{held}, {over}; the load itself used {climbed.generator_cpu:.2f} cores"


def _print(console: Console, title: str, *rows: tuple[str, str]) -> None:
    if title:
        console.print(f"[bold]{title}[/bold]")
    for name, text in rows:
        console.print(f"  {name:16} {text}", soft_wrap=True, highlight=False)
    console.print()
