"""Bodies that somebody will send some day, and what is to become of each: the code it is refused with, or what is kept.

`EVENTS` are for one event (`parse_event`, POST event), `BATCHES` for many (`parse_batch`, POST event/batch). None
depends on the time of day. `STRINGS` are texts that every layer must carry unchanged: they are data, whatever they
look like.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from maicivy.core.events import Traits


@dataclass(frozen=True)
class NaughtyEvent:
    """One body. `code` is its refusal's, or None when it is taken; then `kept` names the fields that differ from an
    event with nothing but a type."""

    name: str
    body: bytes
    code: str | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class NaughtyBatch:
    """One body. `code` is the refusal of all of it; else `codes` has one element per event, None for a taken one."""

    name: str
    body: bytes
    code: str | None = None
    codes: list[str | None] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


TYPE: Final = "click"

STRINGS: Final = {
    "sql": "'; DROP TABLE analytics_events; --",
    "sql union": "1' UNION SELECT salt FROM salts/*",
    "html": "<script>alert(1)</script>",
    "html attribute": '" onmouseover="alert(1)" x="',
    "svg": "<svg/onload=alert(document.cookie)>",
    "template": "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    "jndi": "${jndi:ldap://127.0.0.1/a}",
    "format": "%s%n%d{0.__class__}",
    "csv formula": "=cmd|' /C calc'!A0",
    "csv plus": "+1+1",
    "csv at": "@SUM(1+1)",
    "csv tab": "\t=1+1",
    "traversal": "../../../../etc/passwd",
    "encoded traversal": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "header injection": "a\r\nSet-Cookie: a=b",
    "terminal escape": "\x1b[2J\x1b]0;title\x07",
    "redis protocol": "*1\r\n$8\r\nFLUSHALL\r\n",
    "redis glob": "analytics:*[a-z]?",
    "prometheus label": 'a"} 1\nfake_metric 2',
    "right to left": "\u202egnp.exe\u202c",
    "isolates": "\u2066abc\u2069\u200f\u061c",
    "zero width": "a\u200bb\u200cc\u2060d\ufeffe",
    "byte order mark": "\ufeff",
    "line separators": "a\u2028b\u2029c\x85d",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1eb\U0001f1f7",
    "zalgo": "Z\u0351\u036b\u0343a\u0306\u0300\u0315l\u0334\u0321g\u0362\u0489o\u0316\u0317",
    "composed and not": "\u00e9 e\u0301 \u1e9b\u0323",
    "case that grows": "\u0130\u00df\ufb03\u0149",
    "astral": "\U00010000\U0010fffd",
    "last code point": "\U0010ffff",
    "noncharacters": "\ufffe\uffff\ufdd0",
    "private use": "\ue000\U000f0000",
    "control": "\x01\x08\x1f\x7f",
    "replacement": "\ufffd",
    "backslashes": "\\\\u0000\\x00\\",
    "words": "null undefined NaN true None",
    "unicode digits": "\u0661\u0662\u0663 \u00b2 \u2167",
    "blank": " ",
    "empty": "",
    "longest": "x" * 2000,
    "longest astral": "\U0001f600" * 2000,
}


def _event(**fields: Any) -> bytes:
    return json.dumps({"event_type": TYPE, **fields}).encode()


def _data(raw: str | bytes) -> bytes:
    return b'{"event_type":"%b","event_data":%b}' % (TYPE.encode(), raw.encode() if isinstance(raw, str) else raw)


def _padded(size: int) -> bytes:
    """An event of `size` bytes."""
    shell = _data(b'{"a":[]}')
    room = size - len(shell)
    full, rest = divmod(room, 1003)
    strings = [b'"%b"' % (b"x" * 1000)] * full  # 1,003 bytes each with its comma
    padded = b"{" + b" " * (rest + (full > 0)) + shell.replace(b"[]", b"[" + b",".join(strings) + b"]")[1:]
    assert len(padded) == size
    return padded


def _nested(levels: int, opening: str = '{"a":', closing: str = "}", core: str = "1") -> str:
    return opening * levels + core + closing * levels


def _taken(name: str, body: bytes, **kept: Any) -> NaughtyEvent:
    return NaughtyEvent(name, body, None, kept)


_SYNTAX = [
    NaughtyEvent("nothing", b"", "invalid_json"),
    NaughtyEvent("blanks", b" \t\r\n", "invalid_json"),
    NaughtyEvent("no JSON", b"event_type=click", "invalid_json"),
    NaughtyEvent("HTML", b"<html></html>", "invalid_json"),
    NaughtyEvent("half an object", b'{"event_type": "click"', "invalid_json"),
    NaughtyEvent("half a string", b'{"event_type": "cli', "invalid_json"),
    NaughtyEvent("half an escape", b'{"event_type": "\\u00', "invalid_json"),
    NaughtyEvent("wrong escape", b'{"event_type": "\\x41"}', "invalid_json"),
    NaughtyEvent("single quotes", b"{'event_type': 'click'}", "invalid_json"),
    NaughtyEvent("names without quotes", b"{event_type: 1}", "invalid_json"),
    NaughtyEvent("comma at the end", b'{"event_type": "click",}', "invalid_json"),
    NaughtyEvent("comma at the end of a list", _data('{"a":[1,]}'), "invalid_json"),
    NaughtyEvent("comment", b'{"event_type": "click"} // yes', "invalid_json"),
    NaughtyEvent("two values", _event() + _event(), "invalid_json"),
    NaughtyEvent("JSON lines", _event() + b"\n" + _event(), "invalid_json"),
    NaughtyEvent("leading zero", _data('{"a":01}'), "invalid_json"),
    NaughtyEvent("plus sign", _data('{"a":+1}'), "invalid_json"),
    NaughtyEvent("bare point", _data('{"a":.5}'), "invalid_json"),
    NaughtyEvent("point at the end", _data('{"a":5.}'), "invalid_json"),
    NaughtyEvent("hexadecimal", _data('{"a":0x10}'), "invalid_json"),
    NaughtyEvent("underscore in a number", _data('{"a":1_000}'), "invalid_json"),
    NaughtyEvent("unicode digits as number", _data('{"a":\u0661}'), "invalid_json"),
    NaughtyEvent("no-break space between", b'{"event_type":\xc2\xa0"click"}', "invalid_json"),
    NaughtyEvent("vertical tab between", b'{"event_type":\x0b"click"}', "invalid_json"),
    NaughtyEvent("Python constants", _data('{"a":True}'), "invalid_json"),
    NaughtyEvent("raw newline in a string", _data('{"a":"1\n2"}'), "invalid_json"),
    NaughtyEvent("raw NUL in a string", _data('{"a":"1\x002"}'), "invalid_json"),
    NaughtyEvent("NUL after the end", _event() + b"\0", "invalid_json"),
    NaughtyEvent("byte order mark", b"\xef\xbb\xbf" + _event(), "invalid_json"),
    NaughtyEvent("UTF-16 with mark", _event().decode().encode("utf-16"), "invalid_encoding"),
    NaughtyEvent("UTF-16LE", _event().decode().encode("utf-16-le"), "invalid_json"),
    NaughtyEvent("UTF-16BE", _event().decode().encode("utf-16-be"), "invalid_json"),
    NaughtyEvent("UTF-32", _event().decode().encode("utf-32"), "invalid_encoding"),
    NaughtyEvent("latin-1", _data('{"a":"é"}'.encode("latin-1")), "invalid_encoding"),
    NaughtyEvent("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "invalid_encoding"),
    NaughtyEvent("overlong NUL", _data(b'{"a":"\xc0\x80"}'), "invalid_encoding"),
    NaughtyEvent("overlong slash", _data(b'{"a":"\xe0\x80\xaf"}'), "invalid_encoding"),
    NaughtyEvent("surrogate as UTF-8", _data(b'{"a":"\xed\xa0\x80"}'), "invalid_encoding"),
    NaughtyEvent("surrogate as UTF-8 in a name", _data(b'{"\xed\xbf\xbf":1}'), "invalid_encoding"),
    NaughtyEvent("CESU-8 pair", _data(b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}'), "invalid_encoding"),
    NaughtyEvent("beyond the last code point", _data(b'{"a":"\xf4\x90\x80\x80"}'), "invalid_encoding"),
    NaughtyEvent("five bytes", _data(b'{"a":"\xf8\x88\x80\x80\x80"}'), "invalid_encoding"),
    NaughtyEvent("cut UTF-8", _data(b'{"a":"\xe2\x82"}'), "invalid_encoding"),
    NaughtyEvent("lone continuation", _data(b'{"a":"\x80"}'), "invalid_encoding"),
]

_SHAPES = [
    *(
        NaughtyEvent(f"{name} for an event", text, "invalid_event")
        for name, text in {
            "null": b"null",
            "a boolean": b"true",
            "a number": b"1",
            "a string": b'"click"',
            "a list": b"[]",
            "a list of one": b'[{"event_type":"click"}]',
            "NaN": b"NaN",
        }.items()
    ),
    NaughtyEvent("empty object", b"{}", "missing_event_type"),
    NaughtyEvent("null for a type", b'{"event_type":null}', "missing_event_type"),
    NaughtyEvent("unknown member", _event(evnt_data={}), "unknown_field"),
    NaughtyEvent("member in another case", _event(Page_url="/"), "unknown_field"),
    NaughtyEvent("empty member name", _event(**{"": 1}), "unknown_field"),
    NaughtyEvent("prototype pollution", _event(__proto__={"admin": True}), "unknown_field"),
    NaughtyEvent("surrogate as member name", b'{"event_type":"click","\\ud800":1}', "unknown_field"),
    NaughtyEvent("a member name of 60 KB", _event(**{"x" * 60_000: 1}), "unknown_field"),
    NaughtyEvent("6,000 unknown members", _event(**{str(i): 0 for i in range(6000)}), "unknown_field"),
    NaughtyEvent("an events member", _event(events=[]), "unknown_field"),
    NaughtyEvent("two types", b'{"event_type":"click","event_type":"view"}', "duplicate_key"),
    NaughtyEvent("the same type twice", b'{"event_type":"click","event_type":"click"}', "duplicate_key"),
    NaughtyEvent("two types, one in escapes", b'{"event_type":"a","\\u0065vent_type":"b"}', "duplicate_key"),
    NaughtyEvent("one name twice in data", _data('{"a":1,"b":2,"a":1}'), "duplicate_key"),
    NaughtyEvent("one name twice deep in data", _data('{"a":[{"b":[{"c":1,"c":[]}]}]}'), "duplicate_key"),
    NaughtyEvent("one name twice, then a quote", _data('{"a":1,"a":"\\""}'), "duplicate_key"),
    NaughtyEvent(
        "one name twice, and as many quotes as if once", _data('{"a":1,"a":"\\u0022\\u0022"}'), "duplicate_key"
    ),
    NaughtyEvent("empty name twice", _data('{"":1,"":2}'), "duplicate_key"),
    NaughtyEvent("names that NUL makes equal", _data('{"\\u0000":1,"\\ufffd":2}'), "duplicate_key"),
    NaughtyEvent("names that surrogates make equal", _data('{"\\ud800":1,"\\udfff":2}'), "duplicate_key"),
    _taken("names in two normal forms", _data('{"é":1,"e\u0301":2}'), event_data={"é": 1, "e\u0301": 2}),
    _taken("empty name", _data('{"":1}'), event_data={"": 1}),
    _taken("everything null", _event(event_data=None, page_url=None, referrer=None, id=None, timestamp=None)),
    _taken("blanks around", b" \n\t\r" + _event() + b"\r\n"),
    _taken("escaped names", b'{"\\u0065vent_type":"\\u0063lick"}'),
]

_TYPES = [
    *(
        NaughtyEvent(f"type {value!r:.30}", _event(event_type=value), "invalid_event_type")
        for value in (
            "",
            " ",
            "Click",
            "a b",
            "_a",
            "-a",
            "a/b",
            "a" * 51,
            "é",
            "a\u0661",
            "\u0661",
            "cl\u0456ck",
            "click\n",
            "click\0",
            "\ud800",
            "'; DROP TABLE analytics_events; --",
            "../../etc/passwd",
            "<b>",
            "\U0001f600",
            1,
            1.5,
            True,
            False,
            0,
            [],
            ["click"],
            {},
            {"$ne": None},
        )
    ),
    *(
        _taken(f"type {value:.20}", _event(event_type=value), event_type=value)
        for value in ("a", "0", "a" * 50, "a.b-c:d_e", "0--", "constructor", "null", "other")
    ),
    *(
        _taken(f"type {alias}", _event(event_type=alias), event_type=name)
        for alias, name in {
            "letter_generate": "letter_generated",
            "cv_theme_selected": "cv_theme_change",
            "pdf_downloaded": "pdf_download",
        }.items()
    ),
]

_DATA = [
    *(
        NaughtyEvent(f"data {text:.20}", _data(text), "invalid_event_data")
        for text in ('"{}"', "[]", "1", "true", "NaN", '""')
    ),
    NaughtyEvent("data as a JSON string", _event(event_data='{"path": "/cv"}'), "invalid_event_data"),
    *(
        NaughtyEvent(f"number {text:.30}", _data(f'{{"a":{text}}}'), "invalid_number")
        for text in (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "1e308",
            "1.8446744073709552e19",
            "1e-33",
            "-5e-324",
            str(2**64),
            str(-(2**63) - 1),
            "1" * 40,
            "1" * 4300,
            "1" * 5000,
            "-" + "9" * 5000,
            "1" * 60_000,
        )
    ),
    NaughtyEvent("NaN deep in a list", _data('{"a":[[1,[2,NaN]]]}'), "invalid_number"),
    NaughtyEvent(
        "5,000 digits after a string with an escape", _data('{"b":"\\n","a":' + "1" * 5000 + "}"), "invalid_number"
    ),
    *(
        _taken(f"number {text:.30}", _data(f'{{"a":{text}}}'), event_data={"a": number})
        for text, number in {
            "0": 0,
            "-0": 0,
            "-0.0": -0.0,
            str(2**64 - 1): 2**64 - 1,
            str(-(2**63)): -(2**63),
            str(2**53 + 1): 2**53 + 1,
            "1.8446744073709550e19": 1.844674407370955e19,
            "-9.223372036854775808e18": -9.223372036854775808e18,
            "0.1": 0.1,
            "1e-32": 1e-32,
            "1e-999": 0.0,
            "1E+2": 100.0,
            "0." + "1" * 5000: 0.1111111111111111,
        }.items()
    ),
    _taken("booleans and null", _data('{"a":true,"b":false,"c":null}'), event_data={"a": True, "b": False, "c": None}),
    _taken(
        "64 members",
        _data(json.dumps(dict.fromkeys("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"))),
        event_data=dict.fromkeys("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
    ),
    NaughtyEvent("65 members", _data(json.dumps({str(i): i for i in range(65)})), "too_many_properties"),
    NaughtyEvent(
        "65 members in many objects", _data(json.dumps({"a": [{"b": i} for i in range(64)]})), "too_many_properties"
    ),
    _taken("a name of 64 characters", _data(json.dumps({"\U0001f600" * 64: 1})), event_data={"\U0001f600" * 64: 1}),
    NaughtyEvent("a name of 65 characters", _data(json.dumps({"k" * 65: 1})), "key_too_long"),
    NaughtyEvent("a string of 2,001 characters", _data(json.dumps({"a": ["x" * 2001]})), "string_too_long"),
    _taken("10 levels of objects", _data(_nested(10)), event_data=json.loads(_nested(10))),
    NaughtyEvent("11 levels of objects", _data(_nested(11)), "too_deep"),
    _taken(
        "10 levels of lists",
        _data('{"a":' + _nested(9, "[", "]") + "}"),
        event_data={"a": json.loads(_nested(9, "[", "]"))},
    ),
    NaughtyEvent("11 levels of lists", _data('{"a":' + _nested(10, "[", "]") + "}"), "too_deep"),
    NaughtyEvent("11 levels, the last empty", _data(_nested(10, core="{}")), "too_deep"),
    *(
        NaughtyEvent(f"{levels} levels of {name}", _data('{"a":' + _nested(levels, *marks) + "}"), "too_deep")
        for levels in (50, 99, 100, 950, 1000, 5000)
        for name, marks in {
            "objects": ('{"a":', "}"),
            "lists": ("[", "]"),
            "both": ('[{"a":', "}]"),
            "lists with an escape": ('["\\n",', "]"),
        }.items()
    ),
    NaughtyEvent("60,000 opened lists", b"[" * 60_000, "too_deep"),
    NaughtyEvent("12,000 opened objects", b'{"a":' * 12_000, "too_deep"),
    NaughtyEvent(
        "levels in another member", b'{"event_type":"click","id":' + b"[" * 500 + b"]" * 500 + b"}", "invalid_id"
    ),
    _taken("20,000 elements", _data('{"a":[' + "1," * 19_999 + "1]}"), event_data={"a": [1] * 20_000}),
    _taken("10,000 empty lists", _data('{"a":[' + "[]," * 9_999 + "[]]}"), event_data={"a": [[]] * 10_000}),
    *(
        _taken(f"string: {name}", _event(event_data={"a": text}), event_data={"a": text})
        for name, text in STRINGS.items()
    ),
    *(
        _taken(
            f"raw string: {name}",
            json.dumps({"event_type": TYPE, "event_data": {"a": text}}, ensure_ascii=False).encode(),
            event_data={"a": text},
        )
        for name, text in STRINGS.items()
    ),
    *(
        _taken(f"name: {name}", _event(event_data={text[:64]: [text]}), event_data={text[:64]: [text]})
        for name, text in STRINGS.items()
    ),
    *(
        _taken(f"unstorable {raw}", _data(f'{{"{raw}":["{raw}"]}}'), event_data={text: [text]})
        for raw, text in {
            "\\u0000": "\ufffd",
            "a\\u0000b\\u0000": "a\ufffdb\ufffd",
            "\\ud800": "\ufffd",
            "\\udfff\\ud800": "\ufffd\ufffd",
            "\\ud83d\\ude00": "\U0001f600",
            "\\ud83d-\\ude00": "\ufffd-\ufffd",
            "\\\\u0000": "\\u0000",
            "\\ud83d\\\\ude00": "\ufffd\\ude00",
        }.items()
    ),
]

_NO_URLS = (
    "cv",
    "?theme=backend",
    "#top",
    "example.org/cv",
    "//example.org/cv",
    "/\\example.org/cv",
    "\\\\example.org\\cv",
    "http://example.org/" + "\U0001f600" * 482,
    "http://a" + "\u0315" * 300 + "\u0316" * 300,
)
_URLS = [
    *(NaughtyEvent(f"page_url {value!r:.40}", _event(page_url=value), "invalid_page_url") for value in _NO_URLS),
    *(_taken(f"referrer {value!r:.40}", _event(referrer=value)) for value in _NO_URLS),
    *(
        NaughtyEvent(f"{member} {value!r:.40}", _event(**{member: value}), f"invalid_{member}")
        for member in ("page_url", "referrer")
        for value in (1, True, [], {})
    ),
    *(
        _taken(f"{member} {value!r:.40}", _event(**{member: value}), **({member: kept} if kept else {}))
        for member in ("page_url", "referrer")
        for value, kept in {
            "": "",
            "/": "/",
            "/cv": "/cv",
            "/cv?": "/cv",
            "/cv#": "/cv",
            "/cv?#": "/cv",
            "/cv?theme=backend": "/cv?theme=backend",
            "/cv?theme=a&email=a@b.example&utm_source=x&utm_=&password=1": "/cv?theme=a&utm_source=x&utm_=",
            "/cv?xtheme=a&THEME=b&utmx=1&utm": "/cv",
            "/cv?theme=a;email=b": "/cv?theme=a;email=b",
            "/cv?theme=%00%0d%0a%22%F0%9F%98%80+": "/cv?theme=%00%0d%0a%22%F0%9F%98%80+",
            "/cv?theme": "/cv?theme",
            "/cv?theme=a&theme=b": "/cv?theme=a&theme=b",
            "/cv?a=b?theme=c": "/cv",
            "/cv#?theme=a": "/cv",
            "/a/../../etc/passwd": "/a/../../etc/passwd",
            "/%2e%2e/%00": "/%2e%2e/%00",
            "/'; DROP TABLE a; --".replace(" ", "%20"): "/';%20DROP%20TABLE%20a;%20--",
            "/<script>alert(1)</script>": "/<script>alert(1)</script>",
            "/{{7*7}}": "/{{7*7}}",
            "/=cmd|x!A0": "/=cmd|x!A0",
            "/a//b": "/a//b",
            "/a:80@b": "/a:80@b",
            "/é/\U0001f600": "/é/\U0001f600",
            "/\u202egnp": "/\u202egnp",
            "/a\0b\ud800": "/a\ufffdb\ufffd",
            "/" + "x" * 499: "/" + "x" * 499,
            "/cv?xfbclid=" + "x" * 5000: "/cv",
            "/cv?" + "a&" * 20_000 + "theme=b": "/cv?theme=b",
            "HTTP://Example.ORG": "http://example.org",
            "http://example.org?utm_source=a/b://c": "http://example.org/?utm_source=a/b://c",
            "https://user:secret@example.org:8443/cv?theme=a&x=y#z": "https://example.org:8443/cv?theme=a",
            "https://a@b@c@example.org/": "https://example.org/",
            "http://" + "@" * 20_000 + "example.org/": "http://example.org/",
            "http://[2001:DB8::1]:80/a@b": "http://[2001:db8::1]:80/a@b",
            "http://192.0.2.7/": "http://192.0.2.7/",
            "http://bücher.example/": "http://bücher.example/",
            "http://example.org/#user@evil.example": "http://example.org/",
            "http://example.org?@evil.example/": "http://example.org/",
            "http://example.org/redirect/http://a.example/b?c": "http://example.org/redirect/http://a.example/b",
            "android-app://org.example.reader/": "android-app://org.example.reader/",
            "ios-app://123/": "ios-app://123/",
        }.items()
    ),
]

_REST = [
    *(
        NaughtyEvent(f"duration {value!r:.30}", _event(session_duration=value), "invalid_session_duration")
        for value in (-1, 31 * 86_400 + 1, 2**31, 2**64, 10**400, 1.0, 1.5, -0.0, True, False, "1", "", [], {})
    ),
    NaughtyEvent("duration NaN", b'{"event_type":"click","session_duration":NaN}', "invalid_session_duration"),
    NaughtyEvent(
        "duration Infinity", b'{"event_type":"click","session_duration":Infinity}', "invalid_session_duration"
    ),
    _taken("duration 0", _event(session_duration=0)),
    _taken("duration of a month", _event(session_duration=31 * 86_400), session_duration=31 * 86_400),
    *(
        NaughtyEvent(f"id {value!r:.50}", _event(id=value), "invalid_id")
        for value in (
            "",
            " ",
            "1",
            "x" * 36,
            "00000000-0000-0000-0000-000000000000",
            "00000000000000000000000000000000",
            "0193a5c0-0000-7000-8000-00000000000",
            "0193a5c0-0000-7000-8000-0000000000011",
            "0193a5c0-00007000-8000-000000000001",
            "0193a5c000007000-8000-000000000001",
            "0193a5c0-0000-7000-8000000000000001",
            "0193-a5c0-0000-7000-8000-000000000001",
            "{0193a5c0-0000-7000-8000-000000000001}",
            "urn:uuid:0193a5c0-0000-7000-8000-000000000001",
            "0193a5c0\u20110000-7000-8000-000000000001",
            "0193a5c0-0000-7000-8000-00000000000\u0661",
            "\uff10193a5c0-0000-7000-8000-000000000001",
            "0193a5c0-0000-7000-8000-000000000001\n",
            "0193a5c0-0000-7000-8000-000000000001\0",
            "0193a5c0-0000-7000-8000-00000000000g",
            1,
            0,
            True,
            [],
            {},
        )
    ),
    *(
        NaughtyEvent(f"time {value!r:.40}", _event(timestamp=value), "invalid_timestamp")
        for value in (
            "",
            "now",
            "2025-12-08",
            "2025-12-08T12:34:56",
            "2025-12-08T12:34Z",
            "2025-12-08T12Z",
            "20251208T123456Z",
            "2025-W50-1T12:34:56Z",
            "2025-342T12:34:56Z",
            "12:34:56Z",
            "2025-02-29T12:34:56Z",
            "2025-13-01T12:34:56Z",
            "2025-00-01T12:34:56Z",
            "2025-12-00T12:34:56Z",
            "0000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "+2025-12-08T12:34:56Z",
            "-2025-12-08T12:34:56Z",
            "2025-12-08T24:00:00Z",
            "2025-12-08T25:00:00Z",
            "2025-12-08T12:60:00Z",
            "2016-12-31T23:59:60Z",
            "2025-12-08T12:34:61Z",
            "2025-12-08T12:34:56.Z",
            "2025-12-08T12:34:56.1234567890Z",
            "2025-12-08T12:34:56,5Z",
            "2025-12-08T12:34:56+99:99",
            "2025-12-08T12:34:56+24:00",
            "2025-12-08T12:34:56+12:60",
            "2025-12-08T12:34:56+1200",
            "2025-12-08T12:34:56+12",
            "2025-12-08T12:34:56+12:00:30",
            "2025-12-08T12:34:56ZZ",
            "2025-12-08T12:34:56 Z",
            "2025-12-08T12:34:56Europe/Paris",
            "2025-12-08_12:34:56Z",
            " 2025-12-08T12:34:56Z",
            "2025-12-08T12:34:56Z\n",
            "2025-12-08T12:34:56Z\0",
            "\u0662\u0660\u0662\u0665-12-08T12:34:56Z",
            "2025-12-08T12:34:5\u0666Z",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "1733683200",
            True,
            False,
            [],
            {},
            1e18,
            -1e18,
            1e300,
            10**18,
            -(10**18),
            10**400,
            2**63,
        )
    ),
    *(
        NaughtyEvent(f"time {text}", b'{"event_type":"click","timestamp":%b}' % text.encode(), "invalid_timestamp")
        for text in ("NaN", "Infinity", "-Infinity", "1e999")
    ),
    *(
        NaughtyEvent(f"time {value!r}", _event(timestamp=value), "timestamp_too_old")
        for value in ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0, -1, -0.0, 1e-32, -62_135_596_800, 1e10 / 100)
    ),
    *(
        NaughtyEvent(f"time {value!r}", _event(timestamp=value), "timestamp_in_future")
        for value in (
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999999+23:59",
            99_999_999_999,
            253_402_300_799_000,
        )
    ),
    *(
        NaughtyEvent(f"{member} {value!r:.30}", _event(**{member: value}), "invalid_visitor")
        for member in ("visitor_address", "visitor_user_agent")
        for value in (1, True, [], {}, "x" * 2001)
    ),
]

_CIRCUMSTANCES = [
    *(
        NaughtyEvent(f"{field} {value!r:.40}", _event(**{field: value}), "invalid_site")
        for field, value in (
            ("site_id", 0),
            ("site_id", -1),
            ("site_id", 2**31),
            ("site_id", True),
            ("site_id", 1.0),
            ("website_id", ""),
            ("website_id", "x" * 254),
            ("measurement_id", []),
            ("domain", {"name": "a.example"}),
        )
    ),
    _taken("a site by number", _event(site_id=1), sites=(("site_id", 1),)),
    _taken(
        "a site by more than one name",
        _event(website_id="1", domain="01", site_id=1),
        sites=(("site_id", 1), ("website_id", "1"), ("domain", "01")),
    ),
    _taken("one name twice", _event(website_id="1", domain="1"), sites=(("website_id", "1"),)),
    _taken("null for everything", _event(site_id=None, utm_source=None, bot=None, scroll_depth=None, language=None)),
    *(
        NaughtyEvent(f"screen of {value!r:.40}", _event(screen_width=value), "invalid_screen")
        for value in (0, -1, 100_001, 1.5, 1920.0, "1920", "\u0661", True, [], 10**400)
    ),
    _taken(
        "a screen", _event(screen_width=1, screen_height=100_000), traits=Traits(screen_width=1, screen_height=100_000)
    ),
    *(
        NaughtyEvent(f"language {value!r:.40}", _event(language=value), "invalid_language")
        for value in ("", "*", "e", "\u0435\u043d", "\ud800n", "x" * 101, "en1", "e\0n", 1, ["en"])
    ),
    *(
        _taken(f"language {value!r}", _event(language=value), traits=Traits(language="en"))
        for value in ("en", "EN-us", "en_US.UTF-8", "en-US,fr;q=0.5", "en\0", "en\ud800")
    ),
    NaughtyEvent("a number for a utm", _event(utm_source=1), "invalid_utm"),
    NaughtyEvent("a list for a utm", _event(utm_content=["a"]), "invalid_utm"),
    _taken("empty utms", _event(utm_source="", utm_medium="")),
    _taken("a long utm", _event(utm_term="x" * 60_000), traits=Traits(utm=("", "", "", "x" * 200, ""))),
    _taken("a utm of surrogates", _event(utm_source="\ud800\0"), traits=Traits(utm=("\ufffd\ufffd", "", "", "", ""))),
    *(
        NaughtyEvent(f"{field} {value!r}", _event(**{field: value}), f"invalid_{field}")
        for field in ("interactive", "bot")
        for value in (0, 1, "false", [])
    ),
    _taken("a declared bot", _event(bot=True), traits=Traits(bot=True)),
    _taken("no bot", _event(bot=False, interactive=True)),
    _taken(
        "not interactive",
        _event(interactive=False, event_data={"a": 1}),
        event_data={"a": 1, "interactive": False},
        traits=Traits(interactive=False),
    ),
    _taken(
        "not interactive, in event_data",
        _data('{"interactive":false}'),
        event_data={"interactive": False},
        traits=Traits(interactive=False),
    ),
    _taken("0 in event_data is not false", _data('{"interactive":0}'), event_data={"interactive": 0}),
    _taken(
        "interactive after all",
        _event(interactive=True, event_data={"interactive": False}),
        event_data={"interactive": True},
    ),
    NaughtyEvent("engagement of a click", _event(engagement_ms=1), "invalid_engagement"),
    NaughtyEvent("not interactive, in a list", _event(interactive=False, event_data=[]), "invalid_event_data"),
    *(
        NaughtyEvent(
            f"{field} of {value!r:.40}", _event(event_type="engagement", **{field: value}), "invalid_engagement"
        )
        for field, value in (
            ("engagement_ms", -1),
            ("engagement_ms", 86_400_001),
            ("engagement_ms", 1.0),
            ("engagement_ms", "1"),
            ("engagement_ms", True),
            ("scroll_depth", 101),
            ("scroll_depth", 99.5),
            ("scroll_depth", "\u0661"),
        )
    ),
    _taken(
        "engagement",
        _event(event_type="engagement", engagement_ms=86_400_000, scroll_depth=100),
        event_type="engagement",
        event_data={"engagement_ms": 86_400_000, "scroll_depth": 100},
        traits=Traits(engagement_ms=86_400_000, scroll_depth=100),
    ),
    _taken(
        "engagement in event_data",
        _event(event_type="engagement", event_data={"engagement_ms": 5, "scroll_depth": 101}),
        event_type="engagement",
        event_data={"engagement_ms": 5, "scroll_depth": 101},
        traits=Traits(engagement_ms=5),
    ),
    _taken(
        "engagement in event_data of a click",
        _data('{"engagement_ms":5}'),
        event_data={"engagement_ms": 5},
    ),
    NaughtyEvent(
        "one property too many with what is added",
        _event(interactive=False, event_data={str(n): n for n in range(64)}),
        "too_many_properties",
    ),
    _taken("a click id", _event(page_url="/?a=1&gclid=X"), page_url="/", traits=Traits(click_id="gclid")),
    _taken("a click id without a value", _event(page_url="/?fbclid"), page_url="/", traits=Traits(click_id="fbclid")),
    _taken(
        "of two click ids the one that says more",
        _event(page_url="/?fbclid=1&GCLID=1"),
        page_url="/",
        traits=Traits(click_id="gclid"),
    ),
    _taken("a click id in the fragment", _event(page_url="/?#gclid=1&gclid=2"), page_url="/"),
    _taken("nearly a click id", _event(page_url="/gclid=1?xgclid=1&gclid2=1&gclid%3d=1"), page_url="/gclid=1"),
]

_SEENTICS = [
    _taken(
        "Seentics: all of it",
        _event(
            event_type="pageview",
            siteId="1",
            page="/pricing?gclid=1",
            referrer="https://b.example/?q=1",
            visitor_id="v",
            session_id=7,
            utm_source="news",
            time_on_page=12,
            screen_width=1920,
            screen_height=0,
            properties={"plan": "pro"},
            user_agent="x",
            country=["DE"],
        ),
        event_type="page_view",
        event_data={"plan": "pro", "time_on_page": 12},
        page_url="/pricing",
        referrer="https://b.example/",
        session_duration=12,
        sites=(("siteId", "1"),),
        traits=Traits(screen_width=1920, utm=("news", "", "", "", ""), click_id="gclid"),
    ),
    _taken("Seentics: a referrer that is no URL", _event(page="/", referrer="direct"), page_url="/"),
    _taken("Seentics: a number for a referrer", _event(page="/", referrer=1), page_url="/"),
    _taken(
        "Seentics: a broken time", _event(page="/", time_on_page=1.5), page_url="/", event_data={"time_on_page": 1.5}
    ),
    _taken("Seentics: less than no time", _event(page="", time_on_page=-1), event_data={"time_on_page": -1}),
    _taken("Seentics: a whole float", _event(time_on_page=3.0), session_duration=3, event_data={"time_on_page": 3.0}),
    _taken("Seentics: a time that is none", _event(time_on_page="1"), event_data={}),
    _taken("Seentics: nonsense for a language", _event(page="/", language="\ud800", screen_width="1"), page_url="/"),
    _taken("Seentics: a visitor only", _event(visitor_id={"a": [1]})),
    NaughtyEvent("Seentics: a time beyond numbers", _event(page="/", time_on_page=float("inf")), "invalid_number"),
    NaughtyEvent("Seentics: no page", _event(page="javascript:x"), "invalid_page_url"),
    NaughtyEvent("Seentics: a list of properties", _event(properties=[], time_on_page=1), "invalid_event_data"),
    NaughtyEvent("Seentics: no site", _event(siteId=0), "invalid_site"),
    NaughtyEvent("Seentics: no type", b'{"page":"/"}', "missing_event_type"),
    NaughtyEvent("Seentics: an unknown member", _event(page="/", colour="red"), "unknown_field"),
    NaughtyEvent("Seentics: members of both forms", _event(page="/", page_url="/"), "unknown_field"),
    NaughtyEvent("Seentics: a browser alone", _event(browser="Firefox"), "unknown_field"),
]

_SIZES = [
    _taken("64 KiB", _padded(64 << 10), event_data=json.loads(_padded(64 << 10))["event_data"]),
    NaughtyEvent("64 KiB and a byte", _padded((64 << 10) + 1), "event_too_large"),
    NaughtyEvent("64 KiB and a blank", b" " + _padded(64 << 10), "event_too_large"),
    NaughtyEvent("64 KiB and a byte of no JSON", b"x" * ((64 << 10) + 1), "event_too_large"),
    NaughtyEvent("64 KiB of blanks", b" " * (64 << 10), "invalid_json"),
]

EVENTS: Final = [*_SYNTAX, *_SHAPES, *_TYPES, *_DATA, *_URLS, *_REST, *_CIRCUMSTANCES, *_SEENTICS, *_SIZES]

_OK = b'{"event_type":"click"}'
_BAD = b'{"event_type":"CLICK"}'


def _batch(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


BATCHES: Final = [
    NaughtyBatch("empty list", b"[]", "empty_batch"),
    NaughtyBatch("empty list in blanks", b" [ \n ] ", "empty_batch"),
    NaughtyBatch("empty list in an object", b'{"events":[]}', "empty_batch"),
    *(
        NaughtyBatch(f"body {text!r:.60}", text, "invalid_body")
        for text in (
            b"{}",
            b"null",
            b"1",
            b'"[]"',
            b"NaN",
            _OK,
            b'{"events":null}',
            b'{"events":{}}',
            b'{"events":{"0":%b}}' % _OK,
            b'{"Events":[%b]}' % _OK,
            b'{"events":[%b],"site":1}' % _OK,
            b'{"site":1,"events":[%b]}' % _OK,
            b'{"events":[%b],"more":[%b]}' % (_OK, _OK),
            b'{"events":"[]"}',
        )
    ),
    NaughtyBatch(
        "a site for all of them", b'{"site_id":1,"events":[%b,%b]}' % (_OK, _BAD), codes=[None, "invalid_event_type"]
    ),
    NaughtyBatch("a site behind them", b'{"events":[%b],"domain":"1","website_id":null}' % _OK, codes=[None]),
    NaughtyBatch("a site and a NaN", b'{"siteId":1,"events":[%b,NaN]}' % _OK, codes=[None, "invalid_event"]),
    NaughtyBatch("a site and no events", b'{"site_id":1,"events":[]}', "empty_batch"),
    NaughtyBatch("a site only", b'{"site_id":1}', "invalid_body"),
    NaughtyBatch("a site and a number", b'{"site_id":1,"events":1}', "invalid_body"),
    NaughtyBatch("a list for a site", b'{"site_id":[],"events":[%b]}' % _OK, "invalid_site"),
    NaughtyBatch("the site twice", b'{"site_id":1,"events":[%b],"site_id":1}' % _OK, "duplicate_key"),
    NaughtyBatch("the site twice and a NaN", b'{"site_id":1,"events":[NaN],"site_id":1}', "duplicate_key"),
    NaughtyBatch("a site and no end", b'{"site_id":1,"events":[%b]' % _OK, "invalid_json"),
    NaughtyBatch("a site, a NaN and no end", b'{"site_id":1,"events":[NaN', "invalid_json"),
    NaughtyBatch("a site, events and more", b'{"site_id":1,"events":[%b],"more":1}' % _OK, "invalid_body"),
    NaughtyBatch("a site and an opened list", b'{"site_id":1,"events":' + b"[" * 1_000_000, "too_deep"),
    NaughtyBatch("events twice", b'{"events":[%b],"events":[%b]}' % (_OK, _OK), "duplicate_key"),
    *(
        NaughtyBatch(f"body {text!r:.60}", text, "invalid_json")
        for text in (
            b"",
            b"[",
            b"]",
            b"[,]",
            b"[%b" % _OK,
            b"[%b,]" % _OK,
            b"[%b %b]" % (_OK, _OK),
            b"[%b];" % _OK,
            b"[%b]]" % _OK,
            b'{"events":[%b]' % _OK,
            b'{"events":[%b],}' % _OK,
            b'{"events":[%b]]}' % _OK,
            b"%b\n%b" % (_OK, _OK),
            b"[%b,{]" % _OK,
            b'[%b,{"event_type":"a\nb"}]' % _OK,
            b'[%b,{"event_type":"\\x41"}]' % _OK,
            b'[NaN,%b,{"event_type":01}]' % _OK,
            b"\xef\xbb\xbf[%b]" % _OK,
        )
    ),
    NaughtyBatch("one event in latin-1", _batch(_OK, _data(b'{"a":"\xe9"}')), "invalid_encoding"),
    NaughtyBatch("latin-1 and a NaN", _batch(b"NaN", _data(b'{"a":"\xe9"}')), "invalid_encoding"),
    NaughtyBatch("one event", _batch(_OK), codes=[None]),
    NaughtyBatch("one event in an object", b' {\n"events"\t: [ %b ]\r} ' % _OK, codes=[None]),
    NaughtyBatch("the same event three times", _batch(_OK, _OK, _OK), codes=[None] * 3),
    NaughtyBatch(
        "no events among events",
        _batch(_OK, b"null", b"[]", b"1", b"{}", _BAD, b'"]"', _OK),
        codes=[None, *["invalid_event"] * 3, "missing_event_type", "invalid_event_type", "invalid_event", None],
    ),
    NaughtyBatch(
        "a batch in a batch", _batch(_batch(_OK), b'{"events":[%b]}' % _OK), codes=["invalid_event", "unknown_field"]
    ),
    NaughtyBatch("brackets and quotes in strings", _batch(_data('{"a":"],[\\"}{"}'), _OK), codes=[None, None]),
    NaughtyBatch(
        "a backslash before the quote", _batch(_data('{"a":"\\\\"}'), _data('{"b":"\\\\\\""}')), codes=[None, None]
    ),
    NaughtyBatch(
        "one event names a member twice", _batch(_OK, _data('{"a":1,"a":2}'), _OK), codes=[None, "duplicate_key", None]
    ),
    NaughtyBatch("one NaN", _batch(_OK, _data('{"a":NaN}'), _OK), codes=[None, "invalid_number", None]),
    NaughtyBatch(
        "one NaN in an object",
        b'{"events" : [%b , %b ] }' % (_OK, _data('{"a":-Infinity}')),
        codes=[None, "invalid_number"],
    ),
    NaughtyBatch(
        "one of 5,000 digits", _batch(_OK, _data('{"a":' + "1" * 5000 + "}"), _OK), codes=[None, "invalid_number", None]
    ),
    NaughtyBatch(
        "5,000 digits and a NaN",
        _batch(b"NaN", _data('{"a":' + "1" * 5000 + "}"), _OK),
        codes=["invalid_event", "invalid_number", None],
    ),
    NaughtyBatch("one of 1e999", _batch(_data('{"a":1e999}'), _OK), codes=["invalid_number", None]),
    *(
        NaughtyBatch(f"{levels} levels in one", _batch(_OK, _data(_nested(levels))), codes=[None, "too_deep"])
        for levels in (11, 100, 101, 500)
    ),
    NaughtyBatch("5,000 levels in one", _batch(_OK, _data(_nested(5000))), "too_deep"),
    NaughtyBatch("a million opened lists", b"[" * 1_000_000, "too_deep"),
    NaughtyBatch("500 events", _batch(*[_OK] * 500), codes=[None] * 500),
    NaughtyBatch("501 events", _batch(*[_OK] * 501), "too_many_events"),
    NaughtyBatch("501 events, the first no JSON", _batch(b"NaN", *[_OK] * 500), "too_many_events"),
    NaughtyBatch("340,000 numbers", b"[" + b"1," * 340_000 + b"1]", "too_many_events"),
    NaughtyBatch("one event of 64 KiB", _batch(_OK, _padded(64 << 10)), codes=[None, None]),
    NaughtyBatch(
        "one event of 64 KiB in blanks",
        _batch(_OK, b" " * 9_000 + _padded(64 << 10) + b" " * 9_000),
        codes=[None, None],
    ),
    NaughtyBatch(
        "one event a byte too large",
        _batch(_OK, _padded((64 << 10) + 1), _OK),
        codes=[None, "event_too_large", None],
    ),
    NaughtyBatch("1 MiB of blanks after it", _batch(_OK).ljust(1 << 20), codes=[None]),
    NaughtyBatch("a byte more than 1 MiB", _batch(_OK).ljust((1 << 20) + 1), "body_too_large"),
    NaughtyBatch("a byte more than 1 MiB of no JSON", b"x" * ((1 << 20) + 1), "body_too_large"),
]
