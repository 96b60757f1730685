"""The command line. Exit status: 0 every MUST passed, 1 one failed, 2 wrong use or no server to be reached.

Errors are one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from . import checks as _checks  # noqa: F401  every module enters its checks
from .catalogue import LEVELS, Check, chosen
from .lab import PATIENCE_SECONDS, Target
from .report import Summary, as_json, as_junit, as_text, listed, ordered
from .run import THREADS, Result, Unreachable, reach, run
from .sockets import parse_url

EPILOG = """examples:
  {prog} server wirechat://127.0.0.1:7667 --quick
  {prog} server ws://127.0.0.1:7669/ --only 4.4/ --only 7.1/hello-first
  {prog} server wirechats://chat.example:7668 --ca ca.pem --junit > report.xml
  {prog} server --list

The server must allow registration. The run leaves some hundred accounts behind: use a server for tests.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str], prog: str) -> int:
    """Runs the command and returns the exit status."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    try:
        checks = chosen(options.level, options.only, quick=options.quick)
    except KeyError as error:
        return _wrong(prog, f"no check is called {error.args[0]}; --list shows all")
    if options.list:
        print(_list_as_json(checks) if options.json else listed(checks))
        return 0
    if options.url is None:
        return _wrong(prog, "give the URL of the server, such as wirechat://127.0.0.1:7667")
    try:
        parse_url(options.url)
        target = Target(options.url, options.ca, options.timeout)
        agent = reach(target)
    except (ValueError, Unreachable, OSError) as error:
        return _wrong(prog, str(error))
    return _report(target, agent, checks, options)


def _report(target: Target, agent: str, checks: list[Check], options: argparse.Namespace) -> int:
    began = time.monotonic()
    results: list[Result] = []
    for result in run(target, checks, options.threads, frames=options.frames):
        results.append(result)
        if sys.stderr.isatty():
            print(f"\r{len(results)} of {len(checks)} checks", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    summary = Summary(target.url, agent, options.level, time.monotonic() - began, ordered(results))
    print(as_json(summary) if options.json else as_junit(summary) if options.junit else as_text(summary))
    return 1 if summary.must_failed else 0


def _wrong(prog: str, message: str) -> int:
    print(f"{prog}: {message}", file=sys.stderr)
    return 2


def _list_as_json(checks: list[Check]) -> str:
    fields = ("id", "section", "level", "must", "title", "slow", "needs")
    rows = [{**{name: getattr(each, name) for name in fields}, "rule": list(each.rules)} for each in checks]
    return json.dumps({"checks": rows}, indent=1, ensure_ascii=False)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most 3600")
    return value


def _threads(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to 64")
    return int(text)


def _parser(prog: str) -> Parser:
    parser = Parser(prog, description="Checks that a server keeps docs/protocol.md.")
    sub = parser.add_subparsers(required=True, metavar="COMMAND")
    server = sub.add_parser(
        "server",
        help="check a server",
        description="Checks a running server from the outside, with nothing but protocol/ in common with it.",
        epilog=EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    server.add_argument("url", metavar="URL", nargs="?", help="wirechat://, wirechats://, ws:// or wss://")
    server.add_argument("--level", choices=LEVELS, default="L2", help="level of section 19 (default L2: everything)")
    form = server.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--junit", action="store_true", help="print JUnit XML")
    server.add_argument("--only", action="append", default=[], metavar="ID", help="this check; ID/ or ID*: all below")
    server.add_argument("--list", action="store_true", help="print all checks with their rules, and run none")
    server.add_argument("--quick", action="store_true", help="leave out the checks that wait for long timeouts")
    server.add_argument("--frames", action="store_true", help="tell every frame of the checks that pass, too")
    server.add_argument("--ca", metavar="FILE", help="certificate authority in PEM, for TLS")
    server.add_argument(
        "--timeout", type=_seconds, default=PATIENCE_SECONDS, metavar="S", help="seconds to wait for what must come"
    )
    server.add_argument("--threads", type=_threads, default=THREADS, metavar="N", help="checks at a time")
    return parser
