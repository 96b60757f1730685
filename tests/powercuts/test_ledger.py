"""The ledger of power cuts and docs/proof.md say the same."""

from __future__ import annotations

from tools.ledger import ROOT, read

LEDGER = ROOT / "docs" / "proof" / "powercuts.jsonl"


def test_the_documentation_quotes_the_ledger() -> None:
    """Whoever adds a run brings its figures into the text."""
    lines = read(LEDGER)
    text = " ".join((ROOT / "docs" / "proof.md").read_text().split())
    cuts, acknowledged, lost, damaged = (
        sum(line[name] for line in lines) for name in ("cuts", "acknowledged", "lost", "damaged")
    )
    quoted = f"So far {cuts:,} cuts, {acknowledged:,} acknowledged entries, {lost:,} lost; {damaged:,} damaged files."
    assert quoted in text, f"docs/proof.md, power cuts: {quoted}"
    for line in lines:
        first, last = line["seeds"]
        row = (
            f"| {line['date']} | {line['commit']} | {first:,} to {last:,} | {line['cuts']:,} |"
            f" {line['acknowledged']:,} | {line['lost']:,} | {line['damaged']:,} | {line['cpu_seconds']:,.0f} |"
        )
        assert row in text, f"docs/proof.md, power cuts: {row}"
