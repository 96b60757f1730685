"""The ledger of power cuts and docs/proof.md say the same."""

from __future__ import annotations

from tools.ledger import ROOT, read

LEDGER = ROOT / "docs" / "proof" / "powercuts.jsonl"


def test_the_documentation_quotes_the_ledger() -> None:
    """Whoever adds a run brings its figures into the text."""
    lines = read(LEDGER)
    text = " ".join((ROOT / "docs" / "proof.md").read_text().split())
    for figure in ("cuts", "acknowledged", "lost", "damaged"):
        total = sum(line[figure] for line in lines)
        assert f"{total:,} {figure}" in text, f"docs/proof.md, power cuts: {total:,} {figure}"
    for line in lines:
        assert f"| {line['date']} | {line['commit']} |" in text
