"""JSON or MessagePack, as the request would have it."""

from __future__ import annotations

import msgspec
import pytest

from maicivy.web.packing import JSON, MESSAGE_PACK, packed

VALUE = {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        ("application/json, application/msgpack", JSON),
        ("application/msgpack", MESSAGE_PACK),
        ("application/json;q=0.5, application/msgpack", MESSAGE_PACK),
        ("application/x-msgpack, */*;q=0.1", "application/x-msgpack"),
        ("application/vnd.msgpack", "application/vnd.msgpack"),
        ("image/png", JSON),
        ("application/msgpack;q=0", JSON),
        ("\xff;;q=x,,", JSON),
    ],
)
def test_the_form_is_the_one_that_is_accepted(accept: str, content_type: str) -> None:
    body, told = packed(VALUE, accept)
    assert told == content_type
    assert (msgspec.json if told == JSON else msgspec.msgpack).decode(body) == VALUE
