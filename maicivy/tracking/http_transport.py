"""The transport to a maicivy elsewhere: batches over one kept connection, standard library only.

It sends what `POST /api/v1/analytics/event/batch` takes. The bearer token makes maicivy believe `visitor_address` and
`visitor_user_agent`, which it reduces to a visitor id on arrival.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from maicivy.core.circumstances import UTM_FIELDS, with_click_id
from maicivy.core.events import DEFAULT_SITE, timestamp_text
from maicivy.core.gate import MAX_BATCH_EVENTS, MAX_BODY_BYTES, Draft
from maicivy.tracking.transports import NotNow, Receipt

BATCH_PATH: Final = "/api/v1/analytics/event/batch"
MAX_ANSWER_BYTES: Final = 1 << 20
MAX_PAUSE_S: Final = 300.0
_TRANSIENT = frozenset({408, 425, 429})


class HttpTransport:
    """Sends batches of at most 500 events and 1 MiB, one after the other."""

    def __init__(self, url: str, token: str, timeout_s: float, site: int | str = DEFAULT_SITE) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/") + BATCH_PATH
        self._timeout_s = timeout_s
        self._said = {} if site == DEFAULT_SITE else {"site_id": site}
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "User-Agent": "maicivy-tracking",
        }
        self._connection: http.client.HTTPConnection | None = None

    def prepare(self, drafts: Sequence[Draft], now: datetime) -> list[bytes]:
        """See `Transport`. A parcel is one event's JSON; it keeps the address, for the other side has the salt."""
        return [_json(draft, now, self._said) for draft in drafts]

    def send(self, parcels: Sequence[bytes]) -> Receipt:
        """See `Transport`. A batch that the server refuses as a whole is refused for good, be it for a wrong token."""
        batch = _fitting(parcels)
        status, headers, body = self._post(b"[" + b",".join(batch) + b"]")
        if 200 <= status < 300:
            return Receipt(len(batch), *_rejected(body))
        if status in _TRANSIENT or status >= 500:
            raise NotNow(f"status {status}", _pause_s(headers.get("Retry-After")))
        return Receipt(len(batch), len(batch), f"status {status}")

    def close(self) -> None:
        """See `Transport`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send once; once more when a connection that was kept turns out to have been closed meanwhile."""
        kept = self._connection is not None
        try:
            return self._exchange(body)
        except (ConnectionError, http.client.BadStatusLine) as error:  # RemoteDisconnected is both
            self.close()
            if not kept:
                raise NotNow(f"{type(error).__name__}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NotNow(f"{type(error).__name__}: {error}") from error
        try:
            return self._exchange(body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NotNow(f"{type(error).__name__}: {error}") from error

    def _exchange(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=self._timeout_s)
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        answer = response.read(MAX_ANSWER_BYTES)
        if not response.isclosed():  # there is more than anybody needs
            self.close()
        return response.status, response.headers, answer


def _json(draft: Draft, now: datetime, said: dict[str, Any]) -> bytes:
    event: dict[str, Any] = {
        **said,
        "id": str(draft.id),
        "timestamp": timestamp_text(draft.timestamp or now),
        "event_type": draft.event_type,
        "event_data": draft.event_data,
        "visitor_address": draft.visitor_address or "",  # left out, it would be this server's own
        "visitor_user_agent": draft.visitor_user_agent or "",
    }
    if draft.page_url:
        event["page_url"] = with_click_id(draft.page_url, draft.traits.click_id)
    if draft.traits.utm:
        event |= zip(UTM_FIELDS, draft.traits.utm, strict=True)
    if draft.traits.language:
        event["language"] = draft.traits.language
    if draft.referrer:
        event["referrer"] = draft.referrer
    return msgspec.json.encode(event)


def _fitting(parcels: Sequence[bytes]) -> list[bytes]:
    """The parcels from the front that one request may hold; at least one."""
    size = 2
    batch: list[bytes] = []
    for parcel in parcels[:MAX_BATCH_EVENTS]:
        size += len(parcel) + 1
        if batch and size > MAX_BODY_BYTES:
            break
        batch.append(parcel)
    return batch


def _rejected(body: bytes) -> tuple[int, str]:
    """How many events the server took out of the batch, and the code of the first; 0 when nothing says so."""
    try:
        rejected = json.loads(body)["rejected"]
        return len(rejected), str(rejected[0]["code"]) if rejected else ""
    except (ValueError, KeyError, TypeError):
        return 0, ""


def _pause_s(retry_after: str | None) -> float:
    """Seconds of a `Retry-After`, which may also be a date (RFC 9110, 10.2.3); 0 when there is none."""
    if not retry_after:
        return 0.0
    try:
        return min(MAX_PAUSE_S, max(0.0, float(retry_after)))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(MAX_PAUSE_S, max(0.0, moment.timestamp() - time.time()))
