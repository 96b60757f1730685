"""The `wirechat` command: one group, one module a subcommand, loaded only when used.

Bad input is one line on standard error and exit status 2; a traceback is a bug.
"""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "serve": ("wirechat.cli.serve", "serve", "Run a server."),
    "demo": ("wirechat.cli.demo", "demo", "Run a server on this machine with accounts to try it."),
    "user": ("wirechat.cli.user", "user", "Make accounts and reset passwords."),
    "verify": ("wirechat.cli.verify", "verify", "Check that everything stored is consistent."),
    "replay": ("tools.replay.command", "replay", "Play IRC logs through a server and check that nothing was lost."),
}


class Commands(click.Group):
    """Subcommands by name; importing them all would cost half a second a call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, _, help_line) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: wirechat serve --data ./data --tcp 127.0.0.1:7667",
)
@click.version_option(package_name="wirechat", message="wirechat %(version)s")
def main() -> None:
    """A self-hosted chat server that never loses a message, and the tools to prove it."""


if __name__ == "__main__":
    main()
