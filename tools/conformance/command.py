"""The command line. Exit status: 0 every MUST passed, 1 one failed, 2 wrong use, no server there, or no client.

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
from .catalogue import CHECKS, CLIENT_CHECKS, LEVELS, Bank, Check, chosen
from .clients import checks as _client_checks  # noqa: F401
from .clients.listener import listen, parse_address
from .clients.subject import PATIENCE_SECONDS as CLIENT_PATIENCE_SECONDS
from .clients.subject import Subject as Client
from .clients.subject import Unusable, meet
from .lab import PATIENCE_SECONDS, Target
from .report import Summary, as_json, as_junit, as_text, listed, ordered
from .run import THREADS, Result, Subject, Unreachable, reach, run
from .sockets import parse_url

SERVER_EPILOG = """examples:
  {prog} server wirechat://127.0.0.1:7667 --quick
  {prog} server ws://127.0.0.1:7669/ --only 4.4/ --only 7.1/hello-first
  {prog} server wirechats://chat.example:7668 --ca ca.pem --junit > report.xml
  {prog} server --list

The server must allow registration. The run leaves some hundred accounts behind: use a server for tests.
"""

CLIENT_EPILOG = """examples:
  {prog} client -- python examples/conform_driver.py
  {prog} client --listen ws://127.0.0.1:0 --only 12.9/ -- ./my-driver
  {prog} client --level L0 -- ./my-bot --server {{url}} --name {{handle}} --password {{password}}
  {prog} client --list

COMMAND is started afresh for every check, with WIRECHAT_URL, WIRECHAT_HANDLE, WIRECHAT_PASSWORD and WIRECHAT_STATE, a
folder for what it stores, in its environment. docs/conformance.md says which lines it reads and writes.
"""

CLIENT_THREADS = 4
"""At a time: each starts a process of its own."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str], prog: str) -> int:
    """Runs the command and returns the exit status."""
    own, command = _split(arguments)
    options = _parser(prog).parse_args(own)
    bank: Bank = options.bank
    try:
        checks = chosen(options.level, options.only, quick=options.quick, bank=bank)
    except KeyError as error:
        return _wrong(prog, f"no check is called {error.args[0]}; --list shows all")
    if options.list:
        print(_list_as_json(checks) if options.json else listed(checks))
        return 0
    return _client(prog, command, checks, options) if bank is CLIENT_CHECKS else _server(prog, checks, options)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and the command behind the first --."""
    words = list(arguments)
    place = words.index("--") if words[:1] == ["client"] and "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _server(prog: str, checks: list[Check], options: argparse.Namespace) -> int:
    if options.url is None:
        return _wrong(prog, "give the URL of the server, such as wirechat://127.0.0.1:7667")
    try:
        parse_url(options.url)
        target = Target(options.url, options.ca, options.timeout)
        agent = reach(target)
    except (ValueError, Unreachable, OSError) as error:
        return _wrong(prog, str(error))
    return _report(target, "server", target.url, agent, checks, options)


def _client(prog: str, command: list[str], checks: list[Check], options: argparse.Namespace) -> int:
    if not command:
        return _wrong(prog, "give the command of the client behind --, such as: client -- ./my-driver")
    try:
        address = parse_address(options.listen)
        listen(address).close()
        client, agent = meet(Client(command, address, options.timeout))
    except (ValueError, Unusable) as error:
        return _wrong(prog, str(error))
    except OSError as error:
        return _wrong(prog, f"cannot listen at {options.listen}: {error.strerror or error}")
    if address.port:
        options.threads = 1
    return _report(client, "client", " ".join(command), agent, checks, options)


def _report(
    subject: Subject, side: str, name: str, agent: str, checks: list[Check], options: argparse.Namespace
) -> int:
    began = time.monotonic()
    results: list[Result] = []
    for result in run(subject, checks, options.threads, frames=options.frames):
        results.append(result)
        if sys.stderr.isatty():
            print(f"\r{len(results)} of {len(checks)} checks", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    summary = Summary(name, agent, options.level, time.monotonic() - began, ordered(results), side)
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
    parser = Parser(prog, description="Checks that a server or a client keeps docs/protocol.md.")
    sub = parser.add_subparsers(required=True, metavar="COMMAND")
    server = sub.add_parser(
        "server",
        help="check a server",
        description="Checks a running server from the outside, with nothing but protocol/ in common with it.",
        epilog=SERVER_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    server.add_argument("url", metavar="URL", nargs="?", help="wirechat://, wirechats://, ws:// or wss://")
    server.add_argument("--ca", metavar="FILE", help="certificate authority in PEM, for TLS")
    _add_options(server, CHECKS, PATIENCE_SECONDS, THREADS)
    client = sub.add_parser(
        "client",
        usage=f"{prog} client [options] -- COMMAND...",
        help="check a client",
        description="Checks a client: a scripted and hostile server for a command, started afresh for every check.",
        epilog=CLIENT_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    client.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:0",
        help="HOST:PORT or ws://HOST:PORT (default 127.0.0.1:0; with a port that is not 0 one check at a time)",
    )
    _add_options(client, CLIENT_CHECKS, CLIENT_PATIENCE_SECONDS, CLIENT_THREADS)
    return parser


def _add_options(parser: argparse.ArgumentParser, bank: Bank, patience: float, threads: int) -> None:
    """What both have."""
    parser.set_defaults(bank=bank)
    parser.add_argument("--level", choices=LEVELS, default="L2", help="level of section 19 (default L2: everything)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--junit", action="store_true", help="print JUnit XML")
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="this check; ID/ or ID*: all below")
    parser.add_argument("--list", action="store_true", help="print all checks with their rules, and run none")
    parser.add_argument("--quick", action="store_true", help="leave out the checks that wait for long timeouts")
    parser.add_argument("--frames", action="store_true", help="tell every frame of the checks that pass, too")
    parser.add_argument(
        "--timeout", type=_seconds, default=patience, metavar="S", help="seconds to wait for what must come"
    )
    parser.add_argument("--threads", type=_threads, default=threads, metavar="N", help="checks at a time")
