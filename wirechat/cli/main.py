"""The `wirechat` command: one group, one module a subcommand, loaded only when used.

Bad input is one line on standard error and exit status 2; a traceback is a bug.
"""

from __future__ import annotations

import importlib
import sys

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand

COMMANDS = {
    "serve": ("wirechat.cli.serve", "serve", "Run a server."),
    "demo": ("wirechat.cli.demo", "demo", "Run a server on this machine with accounts to try it."),
    "chat": ("wirechat.cli.chat.command", "chat", "Chat on this terminal."),
    "config": ("wirechat.cli.config", "config", "Write, check and show the configuration of a server."),
    "user": ("wirechat.cli.user", "user", "Make and list accounts, reset passwords, revoke devices."),
    "cert": ("wirechat.cli.cert", "cert", "Make a certificate for trying TLS out."),
    "doctor": ("wirechat.cli.doctor", "doctor", "Check machine, data and certificate, and say what to do."),
    "support-bundle": ("wirechat.cli.support", "support_bundle", "Collect what helps to find a fault; no secrets."),
    "backup": ("wirechat.cli.backup", "backup", "Write everything of a server to one file."),
    "restore": ("wirechat.cli.backup", "restore", "Put a backup into an empty directory."),
    "store": ("wirechat.cli.store", "store", "Look at the data and tend it."),
    "verify": ("wirechat.cli.verify", "verify", "Check that everything stored is consistent."),
    "conform": ("wirechat.cli.conform", "conform", "Check that a server or a client keeps the protocol."),
    "loadgen": ("tools.loadgen.command", "loadgen", "Load a server, measure it, check that nothing was lost."),
    "plan": ("tools.plan.command", "plan", "Probe this machine: how many people it carries, what to change."),
    "replay": ("tools.replay.command", "replay", "Play IRC logs through a server and check that nothing was lost."),
    "cluster": ("wirechat.cli.cluster", "cluster", "Try a cluster on this machine, and see how one is."),
}


EXTRAS = {"loadgen": "loadgen", "plan": "loadgen"}
"""Commands that need packages a server does not: the name of the extra."""


class Commands(click.Group):
    """Subcommands by name; importing them all would cost half a second a call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if name not in EXTRAS:
                raise
            needed = f"in the checkout, pip install '.[{EXTRAS[name]}]'"
            raise click.UsageError(f"{name} needs the package {error.name}: {needed}") from None
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:  # click looks for near names among what is loaded
            raise NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, _, help_line) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: wirechat serve --data ./data --tcp 127.0.0.1:7667",
)
@click.version_option(package_name="wirechat", message="wirechat %(version)s")
def wirechat() -> None:
    """A self-hosted chat server that never loses a message, and the tools to prove it."""


def main() -> None:
    """The entry point: what is wrong with a command fits on one line."""
    try:
        sys.exit(wirechat.main(prog_name="wirechat", standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "wirechat"
        click.echo(f"{command}: {error.format_message()} (see {command} --help)", err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"wirechat: {error.format_message()}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        sys.exit(130)


if __name__ == "__main__":
    main()
