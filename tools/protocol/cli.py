"""The commands. Exit status: 0 fine, 1 something is stale or breaks a rule, 2 wrong use or a broken schema."""

import shutil
from pathlib import Path

import click

from tools.protocol import evolution as rules
from tools.protocol import python, tables
from tools.protocol import rules as numbered
from tools.protocol.schema import FILES, Schema, SchemaError, load

ROOT = Path(__file__).resolve().parents[2]


def generated(root: Path, schema: Schema) -> dict[Path, str]:
    """Every file that follows from the schema, with its right text; of a document only the marked tables follow. The
    rules as data follow from the document.

    Raises UnknownTableError.
    """
    files = {root / "wirechat" / "wire" / name: text for name, text in python.modules(schema).items()}
    document = root / "docs" / "protocol.md"
    if document.exists():
        text = document.read_text(encoding="utf-8")
        files[document] = tables.inserted(schema, text)
        files[root / "protocol" / "rules.json"] = numbered.as_json(text)
    return files


def stale(files: dict[Path, str]) -> list[Path]:
    """The files whose text on disk is not the right one."""
    return [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]


@click.group(name="protocol", help="Everything that is derived from protocol/.")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=ROOT, help="The repository.")
@click.pass_context
def main(context: click.Context, root: Path) -> None:
    try:
        context.obj = (root, load(root / "protocol"))
    except SchemaError as error:
        raise click.UsageError(str(error)) from error


@main.command(help="Writes every generated file that is stale, and the tables in docs/protocol.md.")
@click.pass_obj
def generate(obj: tuple[Path, Schema]) -> None:
    files = _generated(*obj)
    for path in stale(files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
        click.echo(f"wrote {path.relative_to(obj[0])}")


@main.command(help="Names every generated file that is stale.")
@click.pass_obj
def check(obj: tuple[Path, Schema]) -> None:
    found = stale(_generated(*obj))
    for path in found:
        click.echo(f"stale: {path.relative_to(obj[0])}; run python -m tools.protocol generate")
    raise SystemExit(1 if found else 0)


@main.command(name="tables", help="Prints Markdown tables; without a name, all of them.")
@click.argument("names", nargs=-1)
@click.pass_obj
def print_tables(obj: tuple[Path, Schema], names: tuple[str, ...]) -> None:
    for name in names or tables.names():
        try:
            click.echo(tables.table(obj[1], name))
        except tables.UnknownTableError as error:
            raise click.UsageError(str(error)) from error


@main.command(help="Compares protocol/ with its releases: what was released never changes.")
@click.pass_obj
def evolution(obj: tuple[Path, Schema]) -> None:
    try:
        lines = rules.broken(obj[0] / "protocol")
    except SchemaError as error:
        raise click.UsageError(str(error)) from error
    for line in lines:
        click.echo(line)
    raise SystemExit(1 if lines else 0)


@main.command(help="Freezes protocol/ as the release of its VERSION.")
@click.pass_obj
def freeze(obj: tuple[Path, Schema]) -> None:
    source, schema = obj[0] / "protocol", obj[1]
    target = source / "releases" / str(schema.version)
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(source / name, target / name)
    click.echo(f"froze version {schema.version} in {target.relative_to(obj[0])}")


def _generated(root: Path, schema: Schema) -> dict[Path, str]:
    try:
        return generated(root, schema)
    except tables.UnknownTableError as error:
        raise click.UsageError(str(error)) from error
