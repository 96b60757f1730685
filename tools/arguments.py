"""What the commands of the tools take on their command lines, and how they say that it is wrong."""

from __future__ import annotations

import math
import sys
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError


class Finite(click.FloatRange):
    """A number in a range; "nan" is in none, though click lets it through, and "inf" is no time to wait."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Fails in one line."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no number to count with.", param, ctx)
        return number


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command as a program called `name`. Wrong arguments are told in one line, with exit status 2."""
    try:
        sys.exit(command.main(prog_name=name, standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else name
        click.echo(f"{where}: {error.format_message()} (see {where} --help)", err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"{name}: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
