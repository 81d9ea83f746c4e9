"""Answers as JSON or as MessagePack, whichever the request would rather have."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

JSON: Final = "application/json"
MESSAGE_PACK: Final = "application/msgpack"

_NAMES_OF_MESSAGE_PACK: Final = (MESSAGE_PACK, "application/vnd.msgpack", "application/x-msgpack")
_to_json = msgspec.json.Encoder().encode
_to_message_pack = msgspec.msgpack.Encoder().encode


def packed(value: Any, accept: str) -> tuple[bytes, str]:
    """The value and its content type, for an `Accept` header. JSON where there is no choice, or none that we have."""
    wanted = parse_accept_header(accept, MIMEAccept).best_match((JSON, *_NAMES_OF_MESSAGE_PACK), JSON)
    if wanted == JSON:
        return _to_json(value), JSON
    return _to_message_pack(value), wanted
