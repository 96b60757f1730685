"""What each field of a result means, by its JSON pointer (RFC 6901). A word in braces stands for any name or number."""

from __future__ import annotations

from tools.loadgen import scenario
from tools.loadgen.measures import ABOUT, Measures
from tools.loadgen.report.figures import figures
from tools.loadgen.run import Options, Result

Meaning = tuple[str, str]
"""Unit and meaning."""

RUN = {
    "/format": ("", "always `wirechat-loadgen 1`; another number when a field changes its meaning"),
    "/verdict": ("", "`valid`, `not valid`, `partial` or `broken`"),
    "/why": ("", "the verdict in a sentence"),
    "/scenario/name": ("", "which one, without the folder and `.toml`"),
    "/scenario/{...}": ("", "the scenario as it was run, with the keys of its file; the whole, also of a share"),
    "/url": ("", "where the server is; a password in it is `***`"),
    "/target": ("", "what kind of server, as with `--target`"),
    "/seed": ("", "of the times at which things happened"),
    "/processes": ("", "processes of the generator on each host"),
    "/share/number": ("", "which share of the scenario this is, from 1"),
    "/share/of": ("", "how many there are; 1 of what is whole or merged"),
    "/checked": ("", "whether every delivery was judged"),
    "/began": ("s", "when, since 1970 in UTC"),
    "/violations/{n}": ("", "a promise that was broken, in a line"),
    "/invalid/{n}": ("", "why the figures say nothing about the server, in a line"),
    "/partial": ("", "why it ended before its end; empty if it did not"),
}
MACHINE = {
    "/machine/cpu": ("", "of the generator's machine, as the system calls it"),
    "/machine/cores": ("", "how many it has"),
    "/machine/memory_gib": ("GiB", "how much it has"),
    "/machine/system": ("", "kernel and architecture"),
    "/machine/python": ("", "that ran the generator"),
    "/machine/python_build": ("", "flags it was built with that make it faster, or `plain`"),
    "/machine/open_files": ("", "that a process may have"),
    "/machine/load_before": ("", "load average of a minute, before the run"),
    "/machine/server": ("", "what the server says it is, when it tells its metrics"),
    "/machine/hosts": ("", "of a merged result: how many results it is made of"),
    "/machine/worker {address}, process {n}": ("", "how late it and its host were, and how well its clock is known"),
}
COURSE = {
    "/phases/{n}/phase": ("", "name of the n-th phase, or of a step of a climb"),
    "/phases/{n}/begin": ("s", "since the run began"),
    "/phases/{n}/end": ("s", "since the run began"),
    "/phases/{n}/scale/{n}": ("", "what the rates were multiplied with, at its beginning and at its end"),
    "/phases/{n}/measured": ("", "whether what was meant to happen in it counts"),
    "/phases/{n}/p99_ms": ("ms", "of a step: 99 of 100 texts of it took at most so long"),
    "/samples/{n}/second": ("s", "when the n-th look was, about one a second, since the run began"),
    "/samples/{n}/server_cpu": ("cores", "that the server used since the look before"),
    "/samples/{n}/server_mib": ("MiB", "memory that is the server's own"),
    "/samples/{n}/machine_cpu": ("cores", "that all processes of this machine used"),
    "/samples/{n}/commits": ("/s", "commits of the server's journal; this and the following from its metrics"),
    "/samples/{n}/batch_entries": ("", "entries in one commit, on average"),
    "/samples/{n}/commit_ms": ("ms", "one commit, on average"),
    "/samples/{n}/waiting": ("", "entries that waited for the next commit"),
    "/samples/{n}/loop_lag_ms": ("ms", "how late the server's event loop ran what was due, on average"),
}
SUMS = {
    "/totals/people": ("", "connections that were live at the beginning"),
    "/totals/conversations": ("", "conversations they spoke in"),
    "/totals/entries": ("", "entries in the logs of these conversations at the end"),
    "/totals/unfinished": ("", "texts that not everybody had at the end"),
    "/totals/pushes": ("", "counted pushes that clients received, from the first to the last"),
    "/totals/bytes_sent": ("B", "by clients, from the first measured phase until the load ended"),
    "/totals/bytes_received": ("B", "by clients in the same time"),
    "/totals/generator_cpu_seconds": ("s", "CPU time of all processes of the generator in the same time"),
    "/totals/server_cpu_seconds": ("s", "CPU time of the server in the measured phases; 0 when it is not known"),
    "/watched": ("", "null when the server's CPU is not known, and in a merged result"),
    "/watched/name": ("", "host and process whose CPU was counted, or the URL of the metrics that told it"),
    "/watched/begin": ("s", "when the load began, since 1970 in UTC"),
    "/watched/end": ("s", "when it ended"),
    "/errors/error {code}": ("", "how often the server answered with this code"),
    "/counted/{metric}/at_most/{bound}": (
        "",
        "of a histogram of the server: how many were at most so large in the measured phases",
    ),
    "/counted/{metric}/total": ("", "sum of all that it counted"),
    "/measures/latencies/{series}": ("", "the histogram of `/latencies_ms/{series}`, in us: HdrHistogram V2, base64"),
    "/measures/counts/{name}": ("", "how often something happened in the measured phases"),
    "/measures/by_second/{series}/{second}/{n}": (
        "s",
        "up to 512 of the latencies that began in this second of the run",
    ),
    "/measures/counts_by_second/{series}/{second}": ("", "how many began in it"),
}


def fields() -> dict[str, dict[str, Meaning]]:
    """Every field, in groups with a heading each."""
    plan = scenario.load("pairs")
    found = figures(Result(Options("", plan, ""), Measures(), [], [], [], [], _nothing(), {}, 0.0))
    latencies = {f"/latencies_ms/{series}/{{percentile}}": ("ms", about) for series, about in ABOUT.items()}
    return {
        "The run": RUN,
        "Figures": {f"/figures/{each.name}": (each.unit, each.about) for each in found},
        "Latencies": latencies,
        "Its course": COURSE,
        "Sums and histograms": SUMS,
        "The machine": MACHINE,
    }


def _nothing() -> dict[str, float]:
    return {pointer.removeprefix("/totals/"): 0 for pointer in SUMS if pointer.startswith("/totals/")}
