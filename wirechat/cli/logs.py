"""Logging for people on a terminal and machines elsewhere. Never message text, never secrets: a traceback shows code,
never the values of variables.
"""

from __future__ import annotations

import logging
import sys

import structlog

from wirechat.settings.schema import Log


def configure(log: Log | None = None) -> None:
    """Log to standard error as the operator says. May be called again, and then holds from the next line on."""
    log = log or Log()
    pretty = log.format == "pretty" or (log.format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *([_console()] if pretty else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # the level may change
    )


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
