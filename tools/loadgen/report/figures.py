"""The figures of a result, under the names that tables, pages and files share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from tools.loadgen import scenario, targets
from tools.loadgen.measures import Measures
from tools.loadgen.run import Result
from tools.loadgen.scrape import NOTHING
from wirechat.settings.urls import shown


@attrs.frozen
class Figure:
    """One number with its unit and what it means."""

    name: str
    value: float | None
    unit: str
    about: str


def figures(result: Result) -> list[Figure]:
    """Everything but the latencies. None is what could not be measured here."""
    seconds, measures, totals = result.measured_seconds, result.measures, result.totals
    delivered = _total(measures, "delivered") + _total(measures, "delivered late")
    texts = measures.counts["texts"]
    server_cpu = totals["server_cpu_seconds"] or None
    doubled = None if result.options.target == targets.OWN else measures.counts["doubled"]  # of ours a broken promise
    memory = [sample.server_mib for sample in result.samples if sample.server_mib is not None]
    return [
        Figure("people", totals["people"], "", "connections that were live at the beginning"),
        Figure("conversations", totals["conversations"], "", "conversations they spoke in"),
        Figure("texts", texts, "", "texts that were meant to be sent in the measured phases"),
        Figure("deliveries", delivered, "", "of them, each to each other member"),
        Figure("texts per second", _per(texts, seconds), "/s", "of the measured phases"),
        Figure("deliveries per second", _per(delivered, seconds), "/s", "of the measured phases"),
        Figure("server CPU per delivery", _per(server_cpu, delivered, 1e6), "us", "all its processes, user and system"),
        Figure("server CPU", _per(server_cpu, seconds), "cores", "in the measured phases"),
        Figure("server memory", max(memory, default=None), "MiB", "its own, the most that was seen"),
        *_counted(result),
        Figure("bytes up per text", _per(totals["bytes_sent"], texts), "B", "everything clients sent, acks included"),
        Figure("bytes down per text", _per(totals["bytes_received"], texts), "B", "everything clients received"),
        Figure("generator CPU", _per(totals["generator_cpu_seconds"], seconds), "cores", "all its processes"),
        Figure("unfinished", totals.get("unfinished"), "", "texts that not everybody had at the end"),
        Figure("doubled", doubled, "", "deliveries of what had been delivered before"),
        Figure("retries", measures.counts["retries"], "", "texts that were sent again with the same cid"),
        Figure("strangers", measures.counts["strangers"] or None, "", "connections that sent what they must not"),
        Figure("strangers kept", measures.counts["strangers kept"] or None, "", "still there after 15 seconds"),
        Figure("connections lost", measures.counts["connections lost"], "", "not cut by this program"),
    ]


def _counted(result: Result) -> Iterator[Figure]:
    """What the server says of itself, if it does."""
    batches, commits = (result.counted.get(name, NOTHING) for name in ("batch_entries", "commit_seconds"))
    rate = _per(batches.count or None, result.measured_seconds)
    lags = [sample.loop_lag_ms for sample in result.samples if sample.loop_lag_ms is not None]
    yield Figure("entries per commit", batches.mean, "", "that shared one write to the server's disk, on average")
    yield Figure("commits per second", rate, "/s", "of the server's journal")
    yield Figure("commit", _per(commits.mean, 1, 1000), "ms", "of the server's journal, on average")
    yield Figure("commit p99", _per(commits.bound_of(0.99), 1, 1000), "ms", "at most, as its histogram tells")
    yield Figure("server loop lag", max(lags, default=None), "ms", "the most that was seen; it looks once a second")


def _total(measures: Measures, series: str) -> int:
    found = measures.latencies.get(series)
    return 0 if found is None else int(found.get_total_count())


def _per(value: float | None, of: float, factor: float = 1.0) -> float | None:
    return None if value is None or not of else value * factor / of


def errors(result: Result) -> dict[str, int]:
    """How often each code came."""
    found = {name: count for name, count in result.measures.counts.items() if name.startswith("error ")}
    return dict(sorted(found.items()))


def verdict(result: Result) -> tuple[str, str]:
    """One word and one sentence."""
    if result.violations:
        return "broken", f"{len(result.violations)} times a promise was broken"
    if result.partial:
        return "partial", f"the run ended before its time: {result.partial}"
    if result.invalid:
        return "not valid", "; ".join(result.invalid)
    if result.options.target != targets.OWN:
        return "valid", "what was lost or came twice is a figure: no promise of this server is known here"
    checked = (
        "nothing was lost, doubled, reordered or missing" if result.options.check else "deliveries were not checked"
    )
    return "valid", checked


def as_plain(result: Result) -> dict[str, Any]:
    """Everything, for a file; `of_plain` reads what a comparison needs."""
    word, sentence = verdict(result)
    options = result.options
    return {
        "format": "wirechat-loadgen 1",
        "verdict": word,
        "why": sentence,
        "scenario": {"name": options.name, **scenario.to_plain(options.scenario)},
        "url": shown(options.url),
        "target": options.target,
        "seed": options.seed,
        "processes": options.processes,
        "share": {"number": options.share[0], "of": options.share[1]},
        "checked": options.check,
        "began": result.began,
        "machine": result.machine,
        "figures": {each.name: _rounded(each.value) for each in figures(result)},
        "latencies_ms": {series: result.measures.percentiles(series) for series in sorted(result.measures.latencies)},
        "errors": errors(result),
        "phases": result.phases,
        "samples": [attrs.asdict(sample) for sample in result.samples],
        "violations": result.violations,
        "invalid": result.invalid,
        "partial": result.partial,
        "totals": result.totals,
        "watched": None if result.watched is None else attrs.asdict(result.watched),
        "counted": {name: each.as_plain() for name, each in result.counted.items()},
        "measures": result.measures.as_plain(),
    }


def _rounded(value: float | None) -> float | None:
    return value if value is None or float(value).is_integer() else round(value, 3)
