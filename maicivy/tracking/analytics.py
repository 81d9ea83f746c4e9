"""`Analytics`: the object that a site creates, and the three lines of work it does within a request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, current_app, has_app_context, has_request_context, request

from maicivy.core.dimensions import Place
from maicivy.core.senders import asks_not_to_be_tracked, client_address
from maicivy.errors import Refusal
from maicivy.tracking import hits, rules
from maicivy.tracking.backlog import ERROR, NO_REQUEST, REFUSED, Backlog
from maicivy.tracking.http_transport import HttpTransport
from maicivy.tracking.options import Options, read_options
from maicivy.tracking.transports import NOWHERE, InboxTransport, Transport

EXTENSION: Final = "maicivy_tracking"


class Analytics:
    """Records the page views of a Flask application, and what its views `track`.

    `Analytics(app, **options)`, or `Analytics(**options)` and later `init_app(app)`, also for several applications.
    Options are listed in `maicivy.tracking.options.Options`; each may be in `app.config` instead, as `MAICIVY_NAME`.

    Nothing here raises into a request or does I/O in one. What could not be recorded is counted in `stats`.
    """

    def __init__(self, app: Flask | None = None, **options: Any) -> None:
        """
        Raises:
            SettingsError: from `init_app`, when `app` is given.
        """
        self._given = options
        self._latest: _Recorder | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Install the hook. Opens no connection and starts no thread: the first page view does.

        Raises:
            SettingsError: when the options are not usable; it names every problem.
        """
        recorder = _Recorder(read_options(self._given, app.config))
        app.extensions[EXTENSION] = recorder
        self._latest = recorder
        if recorder.options.enabled:
            app.after_request(recorder.after_request)

    def track(self, event_type: str, data: Mapping[str, Any] | None = None, *, page_url: str | None = None) -> None:
        """Record that the visitor of the current request did something, such as `track("letter_generated", {...})`.

        `data` is copied at once. `page_url` is the current one unless it is given. Type and data have to pass the same
        gate as events of the API; what does not pass is logged and counted as `refused`, never raised.
        """
        recorder = self._recorder()
        if recorder is not None:
            recorder.track(event_type, data, page_url)

    def stats(self) -> dict[str, Any]:
        """What became of the hits of this process: `recorded = sent + queued + sum(dropped.values())`.

        `dropped` counts by reason: `queue_full`, `refused`, `gave_up`, `at_exit`, `no_request`, `error`;
        `do_not_track` counts requests whose browser asked not to be recorded, which are in no other number.
        """
        recorder = self._recorder()
        return recorder.backlog.stats() if recorder is not None else {}

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all that was recorded has been delivered or dropped; False when that takes longer."""
        recorder = self._recorder()
        return recorder is None or recorder.backlog.flush(timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver what waits, within about `timeout_s`, and let go of connections. Happens by itself at exit."""
        recorder = self._recorder()
        if recorder is not None:
            recorder.backlog.close(timeout_s)

    def _recorder(self) -> _Recorder | None:
        if has_app_context():
            return current_app.extensions.get(EXTENSION, self._latest)
        return self._latest


class _Recorder:
    """The hook of one application."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.backlog = Backlog(options, lambda: _transport(options))
        self._paths = rules.Paths(options.include, options.exclude)

    def after_request(self, response: Response) -> Response:
        """Record the request if it showed a page; the response passes unchanged."""
        try:
            environ = request.environ
            if (
                rules.is_page(environ, response.status_code, response.mimetype)
                and not _is_static(request.endpoint)
                and self._paths.allow(request.path)
            ):
                if self._may_record(environ):
                    address = client_address(environ, self.options.trusted_proxies)
                    self.backlog.put(hits.page_view(environ, address, time.time()))
                else:
                    self.backlog.decline()
        except Exception as error:  # noqa: BLE001 - an edge: the host's page goes out whatever happens here
            self.backlog.drop(ERROR, type(error).__name__)
        return response

    def track(self, event_type: str, data: Mapping[str, Any] | None, page_url: str | None) -> None:
        """See `Analytics.track`."""
        try:
            if not self.options.enabled:
                return
            if not has_request_context():
                self.backlog.drop(NO_REQUEST, str(event_type)[:50])
                return
            environ = request.environ
            if not self._may_record(environ):
                self.backlog.decline()
                return
            address = client_address(environ, self.options.trusted_proxies)
            self.backlog.put(
                hits.tracked(environ, address, time.time(), event_type=event_type, data=data, page_url=page_url)
            )
        except Refusal as refusal:
            self.backlog.drop(REFUSED, refusal.code)
        except Exception as error:  # noqa: BLE001 - an edge, as above
            self.backlog.drop(ERROR, type(error).__name__)

    def _may_record(self, environ: Mapping[str, Any]) -> bool:
        return not (self.options.respect_dnt and asks_not_to_be_tracked(environ))


def _is_static(endpoint: str | None) -> bool:
    return endpoint is not None and (endpoint == "static" or endpoint.endswith(".static"))


def _transport(options: Options) -> Transport:
    if options.url:
        return HttpTransport(options.url, options.token, options.timeout_s, options.site)
    # Here, so that a site that sends over HTTP loads neither redis nor prometheus_client.
    from maicivy.storage.inbox import RedisInbox
    from maicivy.storage.redis_clients import fast_redis
    from maicivy.storage.salts import RedisSaltBox

    assert isinstance(options.site, int)  # `read_options` sees to that
    client = fast_redis(options.redis_url)
    return InboxTransport(
        RedisInbox(client, client, options.inbox_max_bytes),
        RedisSaltBox(client, options.secret_key),
        options.site,
        options.domain,
        client.close,
        _locate(options.geo_db),
    )


def _locate(geo_db: str) -> Callable[[str], Place]:
    if not geo_db:
        return lambda _: NOWHERE
    from maicivy.geo.atlas import Atlas  # loads maxminddb, which only those need who have a database

    return Atlas(Path(geo_db)).locate
