"""The hook in real Flask applications, over a real Valkey."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask, Response, jsonify, redirect, request, stream_with_context

from maicivy.core.events import Event, Traits, decode
from maicivy.core.identity import visitor
from maicivy.errors import SettingsError
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import start_ready
from maicivy.standalone.valkey import Valkey
from maicivy.storage import keys
from maicivy.storage.redis_clients import fast_redis
from maicivy.storage.salts import RedisSaltBox
from maicivy.tracking import Analytics
from tests.geo.mmdb import write
from tests.tracking.stub_server import serving

SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = "a-token-of-some-length"
ROOT = Path(__file__).parents[2]

Record = Callable[..., tuple[Flask, Analytics]]


@pytest.fixture
def record(valkey_url: str, redis_client: redis.Redis) -> Iterator[Record]:
    """Makes a site that records into the inbox."""
    made: list[Analytics] = []

    def make(**options: Any) -> tuple[Flask, Analytics]:
        given = {"redis_url": valkey_url, "secret_key": SECRET, "linger_s": 0.0} | options
        app = site()
        analytics = Analytics(app, **given)
        made.append(analytics)
        return app, analytics

    yield make
    for analytics in made:
        analytics.close()


def site() -> Flask:
    """A site with a route of every kind."""
    app = Flask(__name__, static_folder=str(ROOT / "tests"), static_url_path="/static")

    @app.get("/")
    @app.get("/cv")
    @app.get("/health")
    @app.get("/api/v1/page")
    @app.get("/admin/users")
    @app.post("/form")
    def page() -> str:
        return "<h1>page</h1>"

    @app.get("/data")
    def data() -> Response:
        return jsonify(a=1)

    @app.get("/away")
    def away() -> Any:
        return redirect("/cv")

    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    @app.get("/empty")
    def empty() -> tuple[str, int]:
        return "", 204

    @app.get("/stream")
    def stream() -> Response:
        return Response(stream_with_context(iter(["<p>", "a", "</p>"])), mimetype="text/html")

    @app.get("/cached")
    def cached() -> Response:
        response = Response("<h1>cached</h1>")
        response.set_etag("1")
        return response.make_conditional(request)

    return app


def inbox(client: redis.Redis) -> list[Event]:
    entries = client.xrange(keys.INBOX)
    payloads = [payload for _, fields in entries for name, payload in fields.items() if name != b"n"]  # type: ignore[union-attr]
    return [event for payload in payloads for event in decode(payload)]


def test_a_page_view_reaches_the_inbox_as_the_visitor_that_maicivy_itself_would_see(
    record: Record, redis_client: redis.Redis, valkey_url: str
) -> None:
    app, analytics = record()
    began = datetime.now(UTC)
    answer = app.test_client().get(
        "/cv?theme=backend&secret=1",
        headers={"User-Agent": "Browser", "Referer": "https://a.example/?q=me"},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert answer.text == "<h1>page</h1>"
    assert analytics.flush()
    (event,) = inbox(redis_client)
    salts = RedisSaltBox(fast_redis(valkey_url), SECRET).current(began)
    assert event.visitor_id == visitor(salts, 1, "", "192.0.2.7", "Browser").id
    assert (event.event_type, event.event_data) == ("page_view", {"theme": "backend", "path": "/cv"})
    assert (event.page_url, event.referrer) == ("/cv?theme=backend", "https://a.example/")
    assert event.id.version == 7
    assert abs((event.created_at - began).total_seconds()) < 60
    assert b"192.0.2.7" not in b"".join(redis_client.dump(key) or b"" for key in redis_client.scan_iter())
    assert analytics.stats()["sent"] == 1


def test_what_the_worker_needs_to_know_of_the_visitor_goes_with_the_view(
    record: Record, redis_client: redis.Redis, tmp_path: Path
) -> None:
    write(tmp_path / "places.mmdb", {"192.0.2.0/24": {"country_code": "DE", "state1": "Hesse", "city": "Kassel"}})
    app, analytics = record(geo_db=tmp_path, site=3)
    headers = {"User-Agent": "B" * 600, "Accept-Language": "de-DE,de;q=0.7"}
    visit = {"headers": headers, "environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
    app.test_client().get("/cv?gclid=secret&utm_source=a", **visit)
    assert analytics.flush()
    (event,) = inbox(redis_client)
    assert event.traits == Traits("B" * 512, "de", "DE", "Hesse", "Kassel", click_id="gclid")
    assert (event.page_url, event.site_id) == ("/cv?utm_source=a", 3)


@pytest.mark.parametrize(
    ("method", "path", "headers", "recorded"),
    [
        ("GET", "/", {}, 1),
        ("GET", "/stream", {}, 1),
        ("GET", "/cached", {"If-None-Match": '"1"'}, 1),
        ("GET", "/static/conftest.py", {}, 0),
        ("GET", "/data", {}, 0),
        ("GET", "/away", {}, 0),
        ("GET", "/broken", {}, 0),
        ("GET", "/empty", {}, 0),
        ("GET", "/nowhere", {}, 0),
        ("GET", "/health", {}, 0),
        ("GET", "/api/v1/page", {}, 0),
        ("GET", "/admin/users", {}, 0),
        ("HEAD", "/cv", {}, 0),
        ("OPTIONS", "/cv", {}, 0),
        ("POST", "/form", {}, 0),
        ("POST", "/cv", {}, 0),
        ("GET", "/cv", {"Sec-Purpose": "prefetch"}, 0),
        ("GET", "/cv", {"X-Requested-With": "XMLHttpRequest"}, 0),
        ("GET", "/cv", {"DNT": "1"}, 0),
        ("GET", "/cv", {"Sec-GPC": "1"}, 0),
        ("GET", "/cv", {"Referer": "\xff\xfe garbage", "User-Agent": "\xe9"}, 1),
    ],
)
def test_only_pages_are_recorded(
    record: Record, method: str, path: str, headers: dict[str, str], recorded: int
) -> None:
    app, analytics = record(exclude=["/admin/*"])
    app.test_client().open(path, method=method, headers=headers).close()
    assert analytics.stats()["recorded"] == recorded
    assert analytics.flush()
    assert analytics.stats()["sent"] == recorded


def test_rules_may_name_the_only_pages_that_count(record: Record) -> None:
    app, analytics = record(include=["/cv", "/api/*"])
    for path in ("/", "/cv", "/api/v1/page"):
        app.test_client().get(path)
    assert analytics.stats()["recorded"] == 2


def test_a_wish_not_to_be_tracked_is_counted_and_may_be_overruled(record: Record) -> None:
    app, analytics = record()
    app.test_client().get("/cv", headers={"DNT": "1"})
    assert analytics.stats()["do_not_track"] == 1
    app, analytics = record(respect_dnt=False)
    app.test_client().get("/cv", headers={"DNT": "1"})
    assert analytics.stats()["recorded"] == 1


def test_views_track_what_visitors_do(record: Record, redis_client: redis.Redis) -> None:
    app, analytics = record()

    @app.post("/letters")
    def letters() -> str:
        analytics.track("letter_generated", {"type": "motivation"})
        analytics.track("letter_generated", {"type": object()})
        analytics.track("NOT A TYPE")
        analytics.track("click", page_url="/elsewhere")
        return "<p>Dear</p>"

    client = app.test_client()
    assert client.post("/letters", headers={"User-Agent": "B"}).status_code == 200
    assert client.post("/letters", headers={"User-Agent": "B", "DNT": "1"}).status_code == 200
    client.get("/cv", headers={"User-Agent": "B"})
    assert analytics.flush()
    letter, click, view = inbox(redis_client)
    assert (letter.event_type, letter.event_data, letter.page_url) == (
        "letter_generated",
        {"type": "motivation"},
        "/letters",
    )
    assert (click.event_type, click.page_url) == ("click", "/elsewhere")
    assert letter.visitor_id == view.visitor_id
    assert analytics.stats() == {
        "recorded": 5,
        "sent": 3,
        "queued": 0,
        "dropped": {"refused": 2},
        "do_not_track": 4,
    }


def test_tracking_outside_a_request_is_nobodys_event(record: Record) -> None:
    app, analytics = record()
    analytics.track("click")
    with app.app_context():
        analytics.track("click")
    assert analytics.stats()["dropped"] == {"no_request": 2}


def test_behind_proxies_the_client_is_found(record: Record, redis_client: redis.Redis, valkey_url: str) -> None:
    app, analytics = record(trusted_proxies=1)
    app.test_client().get("/", headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.9", "User-Agent": "B"})
    assert analytics.flush()
    salts = RedisSaltBox(fast_redis(valkey_url), SECRET).current(datetime.now(UTC))
    assert inbox(redis_client)[0].visitor_id == visitor(salts, 1, "", "192.0.2.9", "B").id


def test_one_object_serves_several_applications_each_with_its_own_numbers(record: Record, valkey_url: str) -> None:
    analytics = Analytics(secret_key=SECRET)
    first, second, quiet = site(), site(), site()
    for app in (first, second):
        app.config["MAICIVY_REDIS_URL"] = valkey_url
        analytics.init_app(app)
    quiet.config["MAICIVY_ENABLED"] = False
    analytics.init_app(quiet)
    for app in (first, first, second, quiet):
        app.test_client().get("/cv")
    numbers = []
    for app in (first, second, quiet):
        with app.app_context():
            analytics.track("click")
            numbers.append(analytics.stats()["recorded"])
            analytics.close()
    assert numbers == [3, 2, 0]


def test_unusable_options_stop_the_start() -> None:
    with pytest.raises(SettingsError, match="redis_url"):
        Analytics(site())
    analytics = Analytics()
    assert analytics.stats() == {}
    assert analytics.flush()
    analytics.track("click")
    analytics.close()


def test_over_http_the_visitor_travels_with_the_event() -> None:
    with serving() as stub:
        app = site()
        analytics = Analytics(app, url=stub.url, token=TOKEN, linger_s=0.0)
        app.test_client().get("/cv?theme=data", headers={"User-Agent": "B"}, environ_base={"REMOTE_ADDR": "192.0.2.7"})
        assert analytics.flush()
        ((event,),) = [request.events for request in stub.received]
        assert (event["visitor_address"], event["visitor_user_agent"]) == ("192.0.2.7", "B")
        assert event["event_data"] == {"theme": "data", "path": "/cv"}
        analytics.close()


def test_a_page_is_served_and_the_view_kept_while_redis_is_away(tmp_path: Path) -> None:
    missing = tmp_path / "valkey.sock"
    app = site()
    analytics = Analytics(app, redis_url=f"unix://{missing}", secret_key=SECRET, linger_s=0.0)
    assert app.test_client().get("/cv").status_code == 200
    assert not analytics.flush(0)
    assert analytics.stats()["queued"] == 1
    analytics.close(0.0)


@contextmanager
def valkey(path: Path) -> Iterator[tuple[str, Any]]:
    home = DataDir(path)
    home.claim()
    server = Valkey(home)
    process = start_ready(server.command(), server.is_ready, "valkey")
    try:
        yield f"unix://{server.socket}", process
    finally:
        process.stop(5.0)
        home.release()


def test_a_stopped_redis_costs_the_visitor_nothing_and_no_view_is_lost_or_doubled(tmp_path: Path) -> None:
    with valkey(tmp_path) as (url, process):
        app = site()
        analytics = Analytics(app, redis_url=url, secret_key=SECRET, linger_s=0.0)
        client = app.test_client()
        client.get("/")
        assert analytics.flush()
        process.signal(signal.SIGSTOP)
        try:
            assert [client.get("/cv").status_code for _ in range(20)] == [200] * 20
            assert analytics.stats()["queued"] == 20
        finally:
            process.signal(signal.SIGCONT)
        assert analytics.flush(30)
        with redis.Redis.from_url(url) as direct:
            assert len({event.id for event in inbox(direct)}) == 21
        assert analytics.stats() == {"recorded": 21, "sent": 21, "queued": 0, "dropped": {}, "do_not_track": 0}
        analytics.close()


PROBE = """
import sys
from flask import Flask
from maicivy.tracking import Analytics
app = Flask("probe")
app.get("/")(lambda: "<p>")
analytics = Analytics(app, linger_s=0.0, **{options})
app.test_client().get("/")
assert analytics.flush(10), analytics.stats()
assert analytics.stats()["sent"] == 1, analytics.stats()
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(loaded & {{"gevent", "celery", "kombu", "sqlalchemy", "psycopg", "redis", "prometheus_client"}}))
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


def test_the_hook_loads_no_gevent_no_celery_and_no_sqlalchemy(valkey_url: str, redis_client: redis.Redis) -> None:
    done = run(PROBE.format(options={"redis_url": valkey_url, "secret_key": SECRET}))
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["prometheus_client", "redis"], "")
    with serving() as stub:
        done = run(PROBE.format(options={"url": stub.url, "token": TOKEN}))
        assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")


def test_what_waits_is_delivered_when_the_process_ends() -> None:
    with serving() as stub:
        code = PROBE.format(options={"url": stub.url, "token": TOKEN}).replace("linger_s=0.0", "linger_s=60.0")
        done = run(code.partition("assert")[0])
        assert (done.returncode, done.stderr) == (0, "")
        assert [len(request.events) for request in stub.received] == [1]


def test_a_server_that_hangs_holds_up_the_end_for_no_longer_than_its_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run(PROBE.format(options={"url": url, "token": TOKEN, "timeout_s": 60.0}).partition("assert")[0])
    assert done.returncode == 0  # and not the 60 s that `run` allows


@pytest.mark.parametrize("order", ["before", "after"])
def test_it_works_under_gevent_patched_before_or_after_the_import(
    order: str, valkey_url: str, redis_client: redis.Redis
) -> None:
    patch = "from gevent import monkey; monkey.patch_all()\n"
    probe = PROBE.format(options={"redis_url": valkey_url, "secret_key": SECRET})
    before, at, rest = probe.partition('app = Flask("probe")')
    done = run(patch + probe if order == "before" else before + patch + at + rest)
    assert done.returncode == 0, done.stderr
    assert len(inbox(redis_client)) == 1
