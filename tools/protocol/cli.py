"""The commands. Exit status: 0 fine, 1 something is stale or breaks a rule, 2 wrong use or a broken schema."""

from pathlib import Path

import click

from tools.protocol import python
from tools.protocol.schema import Schema, SchemaError, load

ROOT = Path(__file__).resolve().parents[2]


def generated(root: Path, schema: Schema) -> dict[Path, str]:
    """Every file that follows from the schema, with its right text."""
    return {root / "wirechat" / "wire" / name: text for name, text in python.modules(schema).items()}


def stale(files: dict[Path, str]) -> list[Path]:
    """The files whose text on disk is not the right one."""
    return [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]


@click.group(help="Everything that is derived from protocol/.")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=ROOT, help="The repository.")
@click.pass_context
def main(context: click.Context, root: Path) -> None:
    try:
        context.obj = (root, load(root / "protocol"))
    except SchemaError as error:
        raise click.UsageError(str(error)) from error


@main.command(help="Writes every generated file that is stale.")
@click.pass_obj
def generate(obj: tuple[Path, Schema]) -> None:
    files = generated(*obj)
    for path in stale(files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
        click.echo(f"wrote {path.relative_to(obj[0])}")


@main.command(help="Names every generated file that is stale.")
@click.pass_obj
def check(obj: tuple[Path, Schema]) -> None:
    found = stale(generated(*obj))
    for path in found:
        click.echo(f"stale: {path.relative_to(obj[0])}; run python -m tools.protocol generate")
    raise SystemExit(1 if found else 0)
