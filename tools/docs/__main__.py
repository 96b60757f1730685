"""`python -m tools.docs`. Exit status: 0 fine, 1 a page is stale, 2 wrong use."""

from __future__ import annotations

from pathlib import Path

import click

from bench.rivals import page as rivals
from tools.arguments import run as run_command
from tools.docs import asvs, commands, loadgen, performance
from wirechat.settings import reference

ROOT = Path(__file__).resolve().parents[2]

PAGES = {
    "docs/reference/commands.md": commands.page,
    "docs/reference/configuration.md": reference.markdown,
    "docs/reference/loadgen.md": loadgen.page,
    "docs/security/asvs.md": asvs.page,
    "docs/performance.md": performance.page,
    **performance.plots(),
    "docs/peers.md": rivals.markdown,
    **rivals.plots(),
}
"""Path in the repository -> what makes its text."""


def stale(root: Path) -> dict[Path, str]:
    """The pages whose text on disk is not the right one, with the right one."""
    right = {root / name: make() for name, make in PAGES.items()}
    return {path: text for path, text in right.items() if not path.exists() or path.read_text("utf-8") != text}


@click.group(name="docs")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=ROOT, help="The repository.")
@click.pass_context
def main(context: click.Context, root: Path) -> None:
    """Pages of docs/ that follow from the code."""
    context.obj = root


@main.command()
@click.pass_obj
def generate(root: Path) -> None:
    """Write every page that is stale."""
    for path, text in stale(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        click.echo(f"wrote {path.relative_to(root)}")


@main.command()
@click.pass_obj
def check(root: Path) -> None:
    """Name every page that is stale."""
    found = stale(root)
    for path in found:
        click.echo(f"stale: {path.relative_to(root)}; run python -m tools.docs generate")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    run_command(main, "python -m tools.docs")
