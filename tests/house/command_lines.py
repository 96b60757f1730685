"""Command lines of documents and deploy files, read by the commands themselves. Nothing is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise, takewhile
from typing import Any

import click

from wirechat.cli.main import COMMANDS, wirechat

FENCED = re.compile(r"^ *```(?P<language>[a-z]*)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "bash", "console", "ini")
"""Languages of blocks that one types, or gives to systemd."""
ENDS = {"|", ">", "2>", "&&", "||", ";"}
"""Words after which the line belongs to the shell."""
KNOWN = [[name] for name in COMMANDS]


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The parameters of a command line without "wirechat". Raises click.UsageError as the command would."""
    command, context = wirechat, click.Context(wirechat, info_name="wirechat")
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        child = command.get_command(context, name)
        if child is None:
            raise click.UsageError(f"there is no {context.command_path} {name}")
        command, context = child, click.Context(child, info_name=name, parent=context)
    command.parse_args(context, list(arguments))
    return context.params


def flags(arguments: list[str]) -> dict[str, list[str]]:
    """The values of each option that has one."""
    found: dict[str, list[str]] = {}
    for option, value in pairwise(arguments):
        if option.startswith("--") and not value.startswith("--"):
            found.setdefault(option, []).append(value)
    return found


def shown(markdown: str) -> Iterator[list[str]]:
    """The arguments of every `wirechat` that a block tells the reader to type."""
    for block in FENCED.finditer(markdown):
        if block["language"] in SHELL:
            for line in block["text"].replace("\\\n", " ").splitlines():
                if (words := after_wirechat(line)) is not None:
                    yield words


def after_wirechat(line: str) -> list[str] | None:
    """Also behind an assignment or another command that runs it; None when the line does not."""
    if "wirechat" not in line:
        return None
    typed = line.removeprefix("ExecStart=").replace("'", "")  # an apostrophe is no quote in what is shown beside it
    words = [word for word in shlex.split(typed, comments=True) if "=" not in word or word[0] == "-"]
    for place, word in enumerate(words):
        arguments = list(takewhile(lambda each: each not in ENDS, words[place + 1 :]))
        if word.endswith("/bin/wirechat") or (word == "wirechat" and (place == 0 or arguments[:1] in KNOWN)):
            return arguments
    return None
