"""The ledger of the fuzzer and docs/proof.md say the same."""

from __future__ import annotations

from tools.ledger import ROOT, read

LEDGER = ROOT / "docs" / "proof" / "fuzz.jsonl"
UNITS = {"codec": "frames", "sessions": "sessions"}


def test_the_documentation_quotes_the_ledger() -> None:
    """Whoever adds a run brings its figures into the text."""
    lines = read(LEDGER)
    text = " ".join((ROOT / "docs" / "proof.md").read_text().split())
    bodies = sum(line["frames"] for line in lines if line["target"] == "codec")
    sessions, frames = (
        sum(line[unit] for line in lines if line["target"] == "sessions") for unit in ("sessions", "frames")
    )
    faults = sum(line["faults"] for line in lines)
    quoted = f"So far {bodies:,} frames and {sessions:,} sessions with {frames:,} frames: {faults:,} faults."
    assert quoted in text, f"docs/proof.md, fuzzing: {quoted}"
    for line in lines:
        first, last = line["seeds"]
        row = (
            f"| {line['date']} | {line['commit']} | {line['target']} | {first:,} to {last:,} |"
            f" {line[UNITS[line['target']]]:,} | {line['grown_objects']} | {line['faults']:,} |"
            f" {line['cpu_seconds']:,.0f} |"
        )
        assert row in text, f"docs/proof.md, fuzzing: {row}"
