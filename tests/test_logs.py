"""Every line is one JSON object with the facts as fields, and nothing private in it."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog

from maicivy import logs


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def leave_logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    names = (*logs._QUIET, *logs._OWN_HANDLERS)
    kept = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:], root.level = kept[0], kept[1]
    for name, level in kept[2].items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def configured(level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, stream)
    return stream


def test_extra_facts_become_fields() -> None:
    stream = configured()
    logging.getLogger("maicivy.retention").info("partitions_dropped", extra={"count": 3, "table": "visitors"})
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("partitions_dropped", "info", "maicivy.retention")
    assert (line["count"], line["table"]) == (3, "visitors")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None
    assert line["pid"] > 0


def test_the_request_id_is_in_every_line_of_a_request_and_in_none_outside() -> None:
    stream = configured()
    token = logs.REQUEST_ID.set("0123456789abcdef")
    logging.getLogger("maicivy.web").info("request")
    logs.REQUEST_ID.reset(token)
    logging.getLogger("maicivy.web").info("other")
    inside, outside = lines(stream)
    assert inside["request_id"] == "0123456789abcdef"
    assert "request_id" not in outside


@pytest.mark.parametrize("name", sorted(logs.PRIVATE))
def test_a_private_field_is_dropped(name: str) -> None:
    stream = configured()
    logging.getLogger("maicivy").info("event", extra={name: "192.0.2.1", "kept": 1})
    (line,) = lines(stream)
    assert "192.0.2.1" not in stream.getvalue()
    assert line["kept"] == 1


def test_a_traceback_is_one_field_of_one_line() -> None:
    stream = configured()
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("maicivy").exception("unexpected_error")
    (line,) = lines(stream)
    assert line["exception"].splitlines()[-1].startswith("ZeroDivisionError")


@pytest.mark.parametrize("value", ["\ud800", {"a": {1, 2}}, object(), float("nan"), b"\xff", 2**70, {1: 2}])
def test_no_value_breaks_a_line(value: object) -> None:
    stream = configured()
    logging.getLogger("maicivy").info("odd", extra={"value": value})
    (line,) = lines(stream)
    assert line["event"] == "odd"


def test_a_level_that_is_off_writes_nothing() -> None:
    stream = configured("warning")
    logging.getLogger("maicivy").info("request")
    assert stream.getvalue() == ""


def test_a_terminal_gets_text_for_people() -> None:
    stream = Terminal()
    logs.configure("info", stream)
    logging.getLogger("maicivy").info("started", extra={"port": 8080})
    assert "started" in stream.getvalue()
    assert "8080" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_loggers_of_structlog_write_the_same_lines() -> None:
    stream = configured()
    structlog.get_logger("maicivy.other").info("started", port=8080)
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["port"]) == ("started", "maicivy.other", 8080)


def test_configuring_twice_writes_each_line_once() -> None:
    configured()
    stream = configured()
    logging.getLogger("maicivy").info("once")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize("name", logs._OWN_HANDLERS)
def test_servers_with_handlers_of_their_own_are_brought_to_ours(name: str) -> None:
    own = io.StringIO()
    handler = logging.StreamHandler(own)
    logging.getLogger(name).addHandler(handler)
    stream = configured()
    logging.getLogger(name).warning("worker %s left", 7)
    assert lines(stream)[0]["event"] == "worker 7 left"
    assert own.getvalue() == ""


def test_gunicorn_tells_no_addresses() -> None:
    stream = configured("debug")
    logging.getLogger("gunicorn.access").info('192.0.2.1 - - "GET / HTTP/1.1" 200')
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("192.0.2.1: Invalid HTTP request line: 'GET /?secret=1 HTTP/1.1'", "Invalid HTTP request line"),
        ("2001:db8::1: Invalid HTTP Header: 'COOKIE'", "Invalid HTTP Header"),
        (": Request Line is too large (9000 > 8190)", "Request Line is too large (9000 > 8190)"),
    ],
)
def test_gunicorn_tells_what_was_wrong_and_not_who_it_was(told: str, reason: str) -> None:
    stream = configured()
    logging.getLogger("gunicorn.error").warning("Invalid request from ip=" + told)  # noqa: G003 - as gunicorn does
    [line] = lines(stream)
    assert (line["event"], line["reason"]) == ("unreadable_request", reason)
    assert not any(word in stream.getvalue() for word in ("192.0.2.1", "2001", "secret", "COOKIE"))


def test_rich_is_not_loaded_for_logs_and_stays_there_for_others() -> None:
    program = "import sys, maicivy.logs; assert 'rich' not in sys.modules; import rich.console; print(rich.console)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_warnings_of_python_are_lines_too() -> None:
    stream = configured()
    logging.getLogger("py.warnings").warning("deprecated")
    assert lines(stream)[0]["logger"] == "py.warnings"
