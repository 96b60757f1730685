"""The ledger of the fuzzer and docs/proof.md say the same."""

from __future__ import annotations

from tools.ledger import ROOT, read

LEDGER = ROOT / "docs" / "proof" / "fuzz.jsonl"


def test_the_documentation_quotes_the_ledger() -> None:
    """Whoever adds a run brings its figures into the text."""
    lines = read(LEDGER)
    text = " ".join((ROOT / "docs" / "proof.md").read_text().split())
    for target, unit in (("codec", "frames"), ("sessions", "sessions")):
        total = sum(line[unit] for line in lines if line["target"] == target)
        assert total > 0
        assert f"{total:,} {unit}" in text, f"docs/proof.md, fuzzing: {total:,} {unit}"
    faults = sum(line["faults"] for line in lines)
    assert f"{faults} faults" in text, "docs/proof.md, fuzzing: say how many, and what became of them"
    for line in lines:
        assert f"| {line['date']} | {line['commit']} | {line['target']} |" in text
