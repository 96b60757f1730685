"""`wirechat conform`: the conformance runner, which shares nothing with either side; it gets its arguments here."""

from __future__ import annotations

import sys

import click

from tools.conformance.command import main


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def conform(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Check that a server or a client keeps the protocol."""
    sys.exit(main(arguments, context.command_path))
