"""Logging for people on a terminal and machines elsewhere. Never message text, never secrets: a traceback shows code,
never the values of variables.
"""

from __future__ import annotations

import logging
import sys

import structlog

from wirechat.cli.terminal import visible
from wirechat.settings.schema import Log

LIBRARIES = ("asyncio", "asyncpg", "nats")
"""Those that log on their own when something is away."""


def configure(log: Log | None = None) -> None:
    """Log to standard error as the operator says. May be called again, and then holds from the next line on."""
    log = log or Log()
    pretty = log.format == "pretty" or (log.format == "auto" and sys.stderr.isatty())
    rendering: list[structlog.typing.Processor] = [_shown, _console()]
    if not pretty:
        rendering = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line is one write: workers share the file
        cache_logger_on_first_use=False,  # the level may change
    )
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [_OfLibraries()], False


class _OfLibraries(logging.Handler):
    """What a library logs is a line of ours, without its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        reason = repr(record.exc_info[1]) if record.exc_info else None
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), library=record.name, reason=reason)


def _shown(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What a peer sent is text, whatever is in it. (JSON escapes by itself.)"""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
