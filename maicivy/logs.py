"""Logs: one line per thing that happened, an event name that never changes and facts as fields.

Code logs through the standard library, `log.info("partitions_dropped", extra={"count": 3})`, and nothing else knows
that structlog turns the record into a line: JSON where a machine reads, aligned and coloured on a terminal. A level
that is off costs what `Logger.isEnabledFor` costs. Docs: docs/operations.md lists the fields.

Addresses, user agents, keys and query strings are never logged. Who logs sees to that; a field named like one of them
is dropped here all the same.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

# structlog.dev imports rich when it is there, for tracebacks that we do not use: 5 MB in each of our processes.
_rich = sys.modules.get("rich")
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
import structlog  # noqa: E402 - see above
from structlog.typing import EventDict, Processor, WrappedLogger  # noqa: E402

if _rich is None:
    del sys.modules["rich"]

REQUEST_ID: Final[ContextVar[str]] = ContextVar("maicivy_request_id", default="")
"""Id of the request at work in this thread or greenlet; empty outside of requests. Every line carries it."""

PRIVATE: Final = frozenset(
    {
        *("address", "client_address", "ip", "remote_addr", "forwarded_for", "x_forwarded_for"),
        *("user_agent", "query_string", "cookie", "authorization", "token", "secret_key", "password", "salt"),
    }
)
"""Names of fields that are dropped, whoever logs them."""

# Chatter that repeats what maicivy's own lines say, or would tell addresses.
_QUIET: Final = {
    "celery.app.trace": logging.WARNING,
    "celery.beat": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "gunicorn.access": logging.ERROR,
    "werkzeug": logging.WARNING,
}
# gunicorn tells of a request that it cannot read with the client's address, and up to 8 KB of what the client sent.
_UNREADABLE: Final = re.compile(r"Invalid request from ip=\S*: ([^:'\"]*)")
_OWN_HANDLERS: Final = ("gunicorn.error", "celery", "celery.task")


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that configuring twice replaces it and leaves the handlers of others alone."""


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every log of this process from `level` (`debug`, `info`, `warning`, `error`) on to `stream`, or stderr.

    JSON lines unless the stream is a terminal. Safe to repeat; the last call counts. gunicorn and Celery, which bring
    handlers of their own, are brought to this one: call it after they have set theirs up.
    """
    target = sys.stderr if stream is None else stream
    handler = _Handler(target)
    handler.setFormatter(_formatter(on_terminal=target.isatty()))
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, root.level))
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.removeFilter(_without_the_client)
    gunicorn.addFilter(_without_the_client)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_facts(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _without_the_client(record: logging.LogRecord) -> bool:
    match = _UNREADABLE.match(str(record.msg))
    if match is not None:
        record.msg, record.args, record.reason = "unreadable_request", (), match[1].strip()[:100]
    return True


def _formatter(on_terminal: bool) -> logging.Formatter:
    render: list[Processor]
    if on_terminal:
        render = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        render = [structlog.processors.format_exc_info, _json_line]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_facts()],
        processors=[_when, structlog.stdlib.ProcessorFormatter.remove_processors_meta, _forget, *render],
    )


def _facts() -> list[Processor]:
    return [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, _request_id]


def _request_id(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    value = REQUEST_ID.get()
    if value:
        event.setdefault("request_id", value)
    return event


def _when(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    # The record's own time: a formatter may run later than what it tells of.
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
    event["timestamp"] = moment.isoformat(timespec="milliseconds") + "Z"
    event["pid"] = record.process
    return event


def _forget(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for name in PRIVATE.intersection(event):
        del event[name]
    return event


def _json_line(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    first = {name: event.pop(name, None) for name in ("timestamp", "level", "logger", "event")}
    line: dict[str, Any] = {**first, **event}
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except (TypeError, ValueError):  # lone surrogates, odd keys: slower, and never fails
        return json.dumps(line, default=str, skipkeys=True)
