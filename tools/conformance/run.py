"""Runs checks, several at a time, each with a lab of its own."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Protocol

from .catalogue import TRANSPORTS, Check
from .decoder import Malformed, Schema
from .lab import Lab, Target, handle
from .trace import Trace
from .verdict import Failed, Skipped

THREADS = 8
PASS, FAIL, SKIP = "pass", "fail", "skip"


class Unreachable(Exception):
    """No check can be run; the message is one line."""


class Place(Protocol):
    """What one check has to itself: people at a server, or a server for a client."""

    @property
    def trace(self) -> Trace: ...
    def close(self) -> None: ...


class Subject(Protocol):
    """What is checked. `scheme`: of the URLs that lead to the server, for the checks that need a transport."""

    @property
    def schema(self) -> Schema: ...
    @property
    def scheme(self) -> str: ...
    def lab(self) -> Place: ...


@dataclass
class Result:
    """How one check ended. `why`: one line for a fail or skip; `trace`: what went over the wire."""

    check: Check
    status: str
    why: str = ""
    expected: str = ""
    got: str = ""
    trace: list[str] = field(default_factory=list)
    seconds: float = 0.0


def reach(target: Target) -> str:
    """The agent of the server, once it is sure that checks can be run. Raises Unreachable."""
    lab = Lab(target)
    try:
        probe = lab.greeted("probe")
        if not probe.welcome["registration"]:
            raise Unreachable(
                f"{target.url} does not allow registration here, and the checks need accounts: run them on the server's"
                " own machine, or let strangers register while they run"
            )
        probe.make_account(handle())
        probe.log_in()
    except Failed as error:
        raise Unreachable(f"no check can be run at {target.url}: {error.got} ({error.expected} was expected)") from None
    except Skipped as reason:
        raise Unreachable(f"no check can be run at {target.url}: {reason}") from None
    finally:
        lab.close()
    return str(probe.welcome["agent"])


def run(subject: Subject, checks: Iterable[Check], threads: int = THREADS, *, frames: bool = False) -> Iterator[Result]:
    """The results, as they come, with their frames if they failed or `frames` is set. One thread: one after the other.

    Slow checks begin first: they only wait. Those of section 8 come last: they fail to log in, and a server may lock
    out who does that often.
    """
    waiting = sorted(checks, key=lambda each: (not each.slow, each.section.startswith("8.")))
    slow = sum(each.slow for each in waiting)
    with ThreadPoolExecutor(threads + slow if threads > 1 else 1) as pool:
        futures = [pool.submit(run_one, subject, check, frames) for check in waiting]
        for future in as_completed(futures):
            yield future.result()


def run_one(subject: Subject, check: Check, frames: bool = False) -> Result:
    """One check, whatever happens in it."""
    if check.needs is not None and subject.scheme not in TRANSPORTS[check.needs]:
        return Result(check, SKIP, f"not on {subject.scheme}://")
    began = time.monotonic()
    lab = subject.lab()
    try:
        result = _outcome(lab, check)
    finally:
        lab.close()
    result.seconds = time.monotonic() - began
    if result.status == FAIL or frames:
        result.trace = lab.trace.lines(subject.schema)
    return result


def _outcome(lab: Place, check: Check) -> Result:
    try:
        check.function(lab)
    except Skipped as reason:
        return Result(check, SKIP, str(reason))
    except Failed as failure:
        return Result(check, FAIL, str(failure), failure.expected, failure.got)
    except (OSError, Malformed) as error:
        return Result(check, FAIL, f"{error}", "an answer as the schema says", f"{type(error).__name__}: {error}")
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError, StopIteration) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        return Result(check, FAIL, told, "an answer that this check can read", told)
    return Result(check, PASS)
