"""The ledger of the simulation and docs/proof.md say the same."""

from __future__ import annotations

from tools.ledger import ROOT, read

LEDGER = ROOT / "docs" / "proof" / "simulation.jsonl"


def test_the_documentation_quotes_the_ledger() -> None:
    """Whoever adds a run brings its figures into the text."""
    lines = read(LEDGER)
    text = " ".join((ROOT / "docs" / "proof.md").read_text().split())
    seeds = sum(last - first + 1 for first, last in (line["seeds"] for line in lines))
    hours = round(sum(line["simulated_hours"] for line in lines), 2)
    acknowledged, violations = (sum(line[name] for line in lines) for name in ("acknowledged", "violations"))
    quoted = f"{seeds:,} seeds, {hours:,} simulated hours, {acknowledged:,} acknowledged, {violations} violations"
    assert quoted in text, f"docs/proof.md, simulation: {quoted}"
    for line in lines:
        first, last = line["seeds"]
        row = (
            f"| {line['date']} | {line['commit']} | {first:,} to {last:,} | {line['simulated_hours']} |"
            f" {line['acknowledged']:,} | {line['violations']} | {line['cpu_seconds']:,.0f} |"
        )
        assert row in text, f"docs/proof.md, simulation: {row}"
