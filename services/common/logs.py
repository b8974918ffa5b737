"""Structured logs: one event a line, a constant name and fields; context bound once per job or request."""

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson

from services.common import tracing
from services.common.lean import without

with without("rich"):  # for prettier traces on a terminal; megabytes in every service
    import structlog
    from structlog.typing import Processor

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
        if isinstance(value, str) and ("=" in value or "://" in value):  # most have nothing to look for
            event[key] = redact(value)
    return event


def _add_origin(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The ids of the trace and the request, where the line does not name others itself."""
    context = tracing.current()
    return event if context is None else {**context.ids(), **event}


def _add_service(service: str) -> Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _json(event: Any, **options: Any) -> bytes:
    try:
        return orjson.dumps(event, **options)
    except TypeError:  # a number past 64 bits, or a file name that is no UTF-8
        return json.dumps(event, **options).encode()


def configure(service: str, *, level: str = "info", style: str = "auto") -> None:
    """Set up structlog, and have the standard library's logging look the same; all to stderr, a line at a time.

    Args:
        service: the name put on every line.
        level: least level that is written.
        style: `json`, `console`, or `auto` for console on a terminal and JSON elsewhere.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_origin,
        _add_service(service),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_values,
    ]
    rendered: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    # Not by way of the standard library, which takes several times as long: there is a line for every request that
    # makes a job.
    structlog.configure(
        processors=[*shared, rendered if console else structlog.processors.JSONRenderer(_json)],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if console
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _configure_foreign(shared, rendered, level)
    structlog.contextvars.clear_contextvars()


def _configure_foreign(shared: list[Any], renderer: Any, level: str) -> None:
    """Route what libraries say through `shared` and `renderer`."""
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


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose first argument is a constant event name and whose fields are keywords."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
