"""The page of commands: every command as click knows it. What --help says is what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from textwrap import dedent

import click

from bench.__main__ import main as bench
from tools.capacity.__main__ import main as capacity
from tools.faults.__main__ import main as faults
from tools.fuzz.__main__ import main as fuzz
from tools.history.__main__ import main as history
from tools.mutants.__main__ import main as mutants
from tools.powercuts.__main__ import main as powercuts
from tools.protocol.cli import main as protocol
from tools.simulate.__main__ import main as simulate
from wirechat.cli.main import wirechat
from wirechat.cli.serve import serve

INTRODUCTION = """\
# Commands

Made from the commands themselves: `wirechat COMMAND --help` says the same. Exit status: 0 fine; 1 the command looked
and found something wrong; 2 the input was bad, with one line on standard error that says what to do; 3 what
`wirechat loadgen` or `wirechat plan` measured is not valid, or was ended before its time; 130 Ctrl-C.

"""

DEVELOPERS = """\
## For developers

These run from a checkout and are not installed as commands.

"""

BAR = r"\|"
"""A vertical bar within a table."""

MODULES = {
    "tools.simulate": simulate,
    "tools.powercuts": powercuts,
    "tools.faults": faults,
    "tools.fuzz": fuzz,
    "tools.mutants": mutants,
    "tools.history": history,
    "bench": bench,
    "tools.capacity": capacity,
    "tools.protocol": protocol,
}


def page() -> str:
    """The whole page."""
    installed = "".join(_tree(wirechat, "wirechat", 2))
    ours = (_tree(command, f"python -m {module}", 3) for module, command in MODULES.items())
    return (INTRODUCTION + installed + DEVELOPERS + "".join(chain(*ours))).rstrip("\n") + "\n"


def _tree(command: click.Command, path: str, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=path, max_content_width=100)
    yield _section(command, context, level)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            if not child.hidden:
                yield from _tree(child, f"{path} {name}", min(level + 1, 4))


def _section(command: click.Command, context: click.Context, level: int) -> str:
    usage = " ".join([context.info_name or "", *command.collect_usage_pieces(context)])
    heading, example = f"{'#' * level} {context.info_name}", _example(command.epilog or "")
    parts = [heading, _prose(command.help), f"```\n{usage}\n```", _options(command, context), example]
    return "".join(f"{part}\n\n" for part in parts if part)


def _prose(text: str | None) -> str:
    """Help texts are plain text; a \\b paragraph keeps its lines."""
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(_paragraph(paragraph) for paragraph in paragraphs)


def _example(text: str) -> str:
    """An epilog: lines to type after \\b, or one at the end of a sentence."""
    if "\b" in text:
        return _prose(text)
    return re.sub(r"(?<=: )(wirechat .+)$", r"`\1`", text)


def _paragraph(text: str) -> str:
    if text.startswith("\b"):
        lines = dedent(text.removeprefix("\b").strip("\n"))
        return f"```\n{lines}\n```"
    return _escape(" ".join(line.strip() for line in text.splitlines()))


def _options(command: click.Command, context: click.Context) -> str:
    records, shared = _records(command, context), _records(serve, context)
    all_of_serve = command is not serve and set(shared) <= set(records)
    rows = [_row(*record) for record in records if not all_of_serve or record not in shared]
    if all_of_serve:
        rows.append("| … | the options of `wirechat serve`, which say for which server |")
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""


def _records(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    return [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)) is not None
        if "--help" not in parameter.opts
    ]


def _row(option: str, meaning: str) -> str:
    return f"| `{option.replace('|', BAR)}` | {_escape(meaning.replace('  [', ' ['))} |"


def _escape(text: str) -> str:
    """Plain text as Markdown shows it unchanged."""
    for special in ("\\", "|", "<", "*", "_", "[", "`"):
        text = text.replace(special, f"\\{special}")
    return text
