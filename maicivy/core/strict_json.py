"""JSON from outside, read so that nothing is lost on the way: a name given twice is refused, not overwritten.

`read` follows the json module. msgspec reads the same text in a sixth of the time, but of two members of one name it
keeps the later one and says nothing. Where a text has no backslash, though, each string in it stands between exactly
two quotation marks, and a member that was dropped is missing at least its name: counting them in what was kept tells.
That takes half the time of the json module with a hook for repeated names (bench/gate.py); whatever cannot be vouched
for this way goes the slow way, which also words every refusal.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final

import msgspec

from maicivy.errors import Refusal

_SPACE: Final = b" \t\n\r"
_SPACES = re.compile(r"[ \t\n\r]*")
_ENVELOPE = re.compile(rb'\{[ \t\n\r]*"events"[ \t\n\r]*:')

# msgspec takes 350 bytes of C stack per level, three times as much as json, and counts levels by Python's limit, which
# is ten times as high in later versions: what could be deep is not its business.
_SHALLOW: Final = 100

_decode = msgspec.json.Decoder().decode
_decode_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def read(body: bytes) -> Any:
    """The value of a JSON text. `NaN`, `Infinity` and what overflows a float come as such, for limits to refuse.

    Raises:
        Refusal: `invalid_encoding`, `invalid_json`, `duplicate_key`, `too_deep` (the stack would not hold it) or
            `invalid_number` (an integer of thousands of digits).
    """
    if b"\\" not in body and body.count(b"[") + body.count(b"{") <= _SHALLOW:
        try:
            value = _decode(body)
            if _encode(value).count(b'"') == body.count(b'"'):
                return value
        except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
            pass
    return _read_slowly(body)


def split(body: bytes, most: int) -> list[bytes]:
    """The elements of a JSON array, each still to be `read`: they were only looked at as far as was necessary.

    The array is the body, or the only member, `events`, of the object that is the body.

    Raises:
        Refusal: `too_many_events` for more than `most`, `invalid_body` for JSON that is no such array, or what
            `read` finds wrong with the body.
    """
    array = _array(body)
    if array is not None:
        with suppress(ValueError, RecursionError):
            elements = _decode_elements(array)
            if len(elements) > most:
                raise _too_many(most)
            return [bytes(element) for element in elements]
        with suppress(ValueError, RecursionError):  # msgspec knows no NaN, and one should not cost the other events
            return _split_slowly(array.decode(), most)
    read(body)
    raise Refusal("invalid_body", "a batch is a JSON array of events, or an object with 'events' that may name a site")


def unwrap(body: bytes, beside: frozenset[str]) -> tuple[bytes, dict[str, Any]]:
    """For `split`, the array of an object with `events` and some of the members `beside`, and the values of those.

    Any other body comes back as it is, for `split` to take or refuse.

    Raises:
        Refusal: what `read` finds wrong with the members, or with a body of which it is not clear what they are.
    """
    if not body.lstrip(_SPACE).startswith(b"{"):
        return body, {}
    try:
        members = _decode_members(body)
    except (ValueError, RecursionError):
        return _unwrap_slowly(body, beside)
    if len(members) < 2 or "events" not in members or not members.keys() - {"events"} <= beside:
        return body, {}
    if _encode(members).count(b'"') != body.count(b'"'):
        read(body)  # one was dropped, for there are two of its name
    return bytes(members.pop("events")), {name: read(bytes(value)) for name, value in members.items()}


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refusal("duplicate_key", "an object names a member twice")
    return members


_slow_decoder = json.JSONDecoder(object_pairs_hook=_members)
_element_decoder = json.JSONDecoder(parse_int=str)  # only finds where an element ends; its numbers are read later


def _read_slowly(body: bytes) -> Any:
    try:
        return _slow_decoder.decode(body.decode())
    except UnicodeDecodeError as error:
        raise Refusal("invalid_encoding", f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Refusal("invalid_json", f"the body is not JSON: {error.msg} (character {error.pos})") from error
    except RecursionError as error:
        raise Refusal("too_deep", "the body is nested too deeply") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise Refusal("invalid_number", "a number does not fit in 64 bits") from error


def _unwrap_slowly(body: bytes, beside: frozenset[str]) -> tuple[bytes, dict[str, Any]]:
    """The same for what msgspec cannot read, such as a NaN in one of the events."""
    if not any(b'"%b"' % name.encode() in body for name in beside):
        return body, {}
    members = _read_slowly(body)
    if len(members) < 2 or "events" not in members or not members.keys() - {"events"} <= beside:
        return body, {}
    return json.dumps(members.pop("events")).encode(), members


def _array(body: bytes) -> bytes | None:
    """The array that a batch consists of, as far as its first and last characters tell."""
    text = body.strip(_SPACE)
    envelope = _ENVELOPE.match(text)
    if envelope is not None and text.endswith(b"}"):
        text = text[envelope.end() : -1].strip(_SPACE)
    return text if text.startswith(b"[") else None


def _split_slowly(array: str, most: int) -> list[bytes]:
    elements: list[bytes] = []
    at = _after_spaces(array, 1)
    while True:
        if len(elements) == most:
            raise _too_many(most)
        _, end = _element_decoder.raw_decode(array, at)
        elements.append(array[at:end].encode())
        at = _after_spaces(array, end)
        if not array.startswith(",", at):
            break
        at = _after_spaces(array, at + 1)
    if array[at:] != "]":
        raise ValueError("not an array")
    return elements


def _after_spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    assert match is not None
    return match.end()


def _too_many(most: int) -> Refusal:
    return Refusal("too_many_events", f"the batch holds more than {most} events")
