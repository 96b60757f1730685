"""The answer on a terminal: what was measured apart from what follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from tools.plan.answer import FILES, LIMIT, Answer, Most, spoken
from tools.plan.kernel import Line
from tools.plan.probe import P99_MS, WARM, Climbed, Idle, Measured


def show(measured: Measured, answer: Answer, lines: Sequence[Line], console: Console) -> None:
    """A verdict and three parts."""
    if answer.busy:
        console.print(f"[bold yellow]not valid[/bold yellow]: {answer.busy}; the figures are too low", soft_wrap=True)
    idle, disk, machine, groups = measured.idle, measured.disk, measured.machine, measured.groups
    _print(
        console,
        f"measured in {measured.seconds:.0f} s; {machine.cores} cores, {machine.available_mib:,.0f} MiB free",
        ("disk", f"fsync of 4 KiB {disk.p50_ms:.2f} ms, p99 {disk.p99_ms:.2f} ms; {disk.count:,} of them"),
        ("server at rest", f"{idle.at_rest_mib:,.0f} MiB"),
        (
            "idle people",
            f"{idle.kib:.1f} KiB and {_cpu(idle)} each: with {idle.people:,} of them, once {WARM} others were there",
        ),
        ("pairs", _climbed(measured.pairs)),
        (f"groups of {groups.size}", f"{_climbed(groups)}; with as many read marks"),
    )
    ends = ", ".join(f"{bound.name} {bound.people:,}" for bound in answer.idle)
    _print(
        console,
        "extrapolated from that",
        ("idle people", f"{_idle(answer)}; what ends where: {ends}"),
        ("active people", f"{_most(answer.active_people, groups)} with {spoken()}"),
        ("texts a second", f"{_most(answer.texts_per_second, measured.pairs)} one to one,"
         f" {_most(answer.group_texts_per_second, groups)} in groups of {groups.size},"
         f" 99 of 100 within {P99_MS:.0f} ms"),
        ("breaks first", answer.breaks),
    )  # fmt: skip
    possible = answer.idle_possible
    more = " of the server's configuration: raise that key for more" if possible.name == LIMIT else ""
    console.print(
        f"[bold]for {possible.people:,} connections[/bold], as root; what ends there is {possible.name}{more}",
        soft_wrap=True,
    )
    for line in lines:
        if not line.enough:
            console.print(f"  {line.change:40} # now {line.now:,}; {line.about}", soft_wrap=True, highlight=False)
    enough = ", ".join(f"{line.name} {line.now:,}" for line in lines if line.enough)
    _print(console, "", ("enough", enough or "nothing"))
    console.print(
        "The load came from this machine too and took its share of it: on one of its own the server carries more.",
        soft_wrap=True,
    )


def _idle(answer: Answer) -> str:
    possible = answer.idle_possible
    if answer.idle_people == possible.people:
        return f"{possible.people:,}"
    return f"{answer.idle_people:,}, and {possible.people:,} with more {FILES}"


def _cpu(idle: Idle) -> str:
    if idle.cores is None:
        return f"too little CPU to measure, less than {idle.cores_least * 1e6:.1f} us a second,"
    return f"{idle.cores * 1e6:.1f} us of CPU a second"


def _most(most: Most, climbed: Climbed) -> str:
    if most.number is not None:
        return f"{'at least ' if most.at_least else ''}{most.number:,.0f}"
    if climbed.broken is None:
        return "unknown (no rate was held long enough to tell: give more --seconds)"
    return (
        f"unknown (less than {climbed.broken.rate:,.0f} texts/s was not tried, and that took too long:"
        " needs a machine that does nothing else, more --seconds, or a faster disk or CPU)"
    )


def _climbed(climbed: Climbed) -> str:
    best, broken = climbed.best, climbed.broken
    tells = [f"the load itself used {climbed.generator_cpu:.2f} cores"]
    if broken is not None:
        tells.insert(0, f"{broken.rate:,.0f}/s took {broken.p99_ms:,.0f} ms")
    if best is None:
        return "; ".join(["held at no rate", *tells])
    least = "at least " if broken is None else ""
    return "; ".join([f"{least}{best.rate:,.0f} texts/s with p99 {best.p99_ms:.0f} ms", *tells])


def _print(console: Console, title: str, *rows: tuple[str, str]) -> None:
    if title:
        console.print(f"[bold]{title}[/bold]")
    for name, text in rows:
        console.print(f"  {name:16} {text}", soft_wrap=True, highlight=False)
    console.print()
