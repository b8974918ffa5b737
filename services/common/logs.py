"""Structured logs: one event a line, a constant name and fields; context bound once per job or request."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from services.common import tracing

# Query strings of presigned URLs and tickets are credentials for as long as they live.
_SECRET = re.compile(
    r"(?i)\b(X-Amz-(?:Signature|Credential|Security-Token)|ticket|token|password|secret|api[_-]?key)=[^&\s\"']+"
)
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/@\s]+@")


def redact(text: str) -> str:
    """`text` without the credentials that URLs carry."""
    return _USERINFO.sub(r"\1…@", _SECRET.sub(r"\1=…", text))


def _redact_values(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event


def _add_origin(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The ids of the trace and the request, where the line does not name others itself."""
    context = tracing.current()
    return event if context is None else {**context.ids(), **event}


def configure(service: str, *, level: str = "info", style: str = "auto") -> None:
    """Set up structlog and route the standard library's logging through it, to stderr.

    Args:
        service: the name put on every line.
        level: least level that is written.
        style: `json`, `console`, or `auto` for console on a terminal and JSON elsewhere.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_origin,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_values,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These speak at length of every reconnect and query; what matters of it our own code says.
    for noisy, least in (("aiormq", logging.CRITICAL), ("aio_pika", logging.CRITICAL), ("aiosqlite", logging.WARNING)):
        logging.getLogger(noisy).setLevel(max(least, root.level))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose first argument is a constant event name and whose fields are keywords."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
