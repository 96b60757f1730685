"""What a run says: for people, as JSON, as JUnit XML.

For people each failure is a report that the author of the server or client can act on: the check, the sentences of the
specification, what was expected, and every frame with its fields by name.
"""

from __future__ import annotations

import json
import textwrap
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .catalogue import Check, order
from .rules import rules
from .run import FAIL, PASS, SKIP, Result

WIDTH = 110


@dataclass(frozen=True)
class Summary:
    """One run. `name`: the URL of the server, or the command of the client; `agent`: what it calls itself."""

    name: str
    agent: str
    level: str
    seconds: float
    results: Sequence[Result]
    side: str = "server"

    @property
    def must_failed(self) -> list[Result]:
        return [each for each in self.results if each.status == FAIL and each.check.must]

    @property
    def counts(self) -> Counter[str]:
        return Counter(each.status for each in self.results)


def ordered(results: Iterable[Result]) -> list[Result]:
    """By section."""
    by_check = {each.check.id: each for each in results}
    return [by_check[check.id] for check in order(each.check for each in by_check.values())]


def as_json(summary: Summary) -> str:
    """One object."""
    return json.dumps(
        {
            "url" if summary.side == "server" else "command": summary.name,
            "agent": summary.agent,
            "level": summary.level,
            "seconds": round(summary.seconds, 3),
            "passed": not summary.must_failed,
            "counts": dict(summary.counts),
            "checks": [_row(each) for each in summary.results],
        },
        indent=1,
        ensure_ascii=False,
    )


def _row(result: Result) -> dict[str, Any]:
    check = result.check
    row = {
        "id": check.id,
        "section": check.section,
        "rule": list(check.rules),
        "level": check.level,
        "must": check.must,
        "title": check.title,
        "status": result.status,
        "why": result.why,
        "seconds": round(result.seconds, 3),
    }
    return row | ({"frames": result.trace} if result.trace else {})


def as_junit(summary: Summary) -> str:
    """A test suite; a failed SHOULD is a skipped test that says so."""
    counts = {
        "tests": str(len(summary.results)),
        "failures": str(len(summary.must_failed)),
        "skipped": str(summary.counts[SKIP] + summary.counts[FAIL] - len(summary.must_failed)),
    }
    suite = ET.Element("testsuite", {"name": f"wirechat {summary.name}", "time": f"{summary.seconds:.3f}", **counts})
    for result in summary.results:
        case = ET.SubElement(
            suite, "testcase", classname=result.check.section, name=result.check.id, time=f"{result.seconds:.3f}"
        )
        if result.status == FAIL and result.check.must:
            ET.SubElement(case, "failure", message=_printable(result.why)).text = _printable("\n".join(failure(result)))
        elif result.status == FAIL:
            ET.SubElement(case, "skipped", message=_printable(f"SHOULD: {result.why}"))
        elif result.status == SKIP:
            ET.SubElement(case, "skipped", message=_printable(result.why))
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode")


def _printable(text: str) -> str:
    """XML knows no control characters."""
    return "".join(each if each >= " " or each in "\n\t" else "?" for each in text)


def as_text(summary: Summary) -> str:
    """For people: failures in full, then a table."""
    lines = [line for each in summary.results if each.status == PASS for line in _frames(each)]
    lines += [line for each in summary.results if each.status == FAIL for line in [*failure(each), ""]]
    lines += _table(summary.results)
    counts = summary.counts
    told = f"{counts[PASS]} passed, {counts[FAIL]} failed, {counts[SKIP]} skipped in {summary.seconds:.1f} s"
    should = counts[FAIL] - len(summary.must_failed)
    verdict = "conforms" if not summary.must_failed else "does not conform"
    note = f" ({should} of the failures are a SHOULD)" if should else ""
    return "\n".join([*lines, "", f"{summary.name} ({summary.agent}), level {summary.level}: {told}{note}: {verdict}"])


def failure(result: Result) -> list[str]:
    """The report of one failed check."""
    check = result.check
    word = "MUST" if check.must else "SHOULD"
    lines = [f"FAIL {check.id}  ({word}, {check.level})", *_indented(check.title)]
    for rule in check.rules:
        lines += ["", *_indented(f"[{rule}] {rules().get(rule, '')}")]
    lines += ["", *_indented(f"expected  {result.expected}"), *_indented(f"got       {result.got}"), ""]
    return lines + [f"    {line}" for line in result.trace]


def _frames(result: Result) -> list[str]:
    """What a check that passed is about, and its frames, where they were asked for."""
    head = [f"PASS {result.check.id}", *_indented(result.check.title), ""]
    return [*head, *(f"    {line}" for line in result.trace), ""] if result.trace else []


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ") or [""]


def _table(results: Sequence[Result]) -> list[str]:
    """Failures and skips by reason; what passed is only counted, by section."""
    lines = []
    passed = Counter(each.check.section.partition(".")[0] for each in results if each.status == PASS)
    total = Counter(each.check.section.partition(".")[0] for each in results if each.status != SKIP)
    lines.append("section  " + "  ".join(f"{section:>5}" for section in sorted(total, key=int)))
    share = [f"{passed[section]}/{total[section]}" for section in sorted(total, key=int)]
    lines.append("passed   " + "  ".join(f"{each:>5}" for each in share))
    reasons: dict[str, list[str]] = {}
    for each in results:
        if each.status == SKIP:
            reasons.setdefault(each.why, []).append(each.check.id)
    lines += [f"skipped  {len(names):3}  {why}" for why, names in sorted(reasons.items())]
    for each in results:
        if each.status == FAIL:
            lines.append(f"failed   {each.check.id:52} {each.why}")
    return lines


def listed(checks: Iterable[Check]) -> str:
    """All checks with their rules, one a line."""
    lines = []
    for check in order(checks):
        marks = "MUST" if check.must else "SHOULD"
        more = " slow" if check.slow else ""
        needs = f" {check.needs}" if check.needs else ""
        cited = " ".join(f"[{rule}]" for rule in check.rules)
        lines.append(f"{check.id:58} {check.level} {marks:6} {cited:22} {check.title}{more and ' (slow)'}{needs}")
    return "\n".join(lines)
