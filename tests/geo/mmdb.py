"""Small databases in MaxMind's format (version 2.0), written down as its specification has them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

_KINDS = {"node_count": 6, "build_epoch": 9}
"""Of whole numbers that are no uint16, which readers insist on."""

_MARKER = b"\xab\xcd\xefMaxMind.com"


def database(records: Mapping[str, Any], ip_version: int = 6, kind: str = "Test") -> bytes:
    """A database that has `records` for networks; in one of version 6, IPv4 stands below ::/96."""
    data = b""
    tree: list[list[int | None]] = [[None, None]]
    ends: dict[tuple[int, int], int] = {}
    for text, record in records.items():
        bits = _bits(ip_network(text), ip_version)
        node = 0
        for bit in bits[:-1]:
            if tree[node][bit] is None:
                tree.append([None, None])
                tree[node][bit] = len(tree) - 1
            node = tree[node][bit] or 0
        ends[node, bits[-1]] = len(data)
        data += _value(record)
    nodes = b"".join(
        _pointer(tree[node][bit], ends.get((node, bit)), len(tree)) for node in range(len(tree)) for bit in (0, 1)
    )
    about = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_765_197_296,
        "database_type": kind,
        "description": {"en": "for tests"},
        "ip_version": ip_version,
        "languages": ["en"],
        "node_count": len(tree),
        "record_size": 32,
    }
    return nodes + bytes(16) + data + _MARKER + _value(about)


def write(path: Path, records: Mapping[str, Any], ip_version: int = 6, kind: str = "Test") -> Path:
    """The path, at which there is such a database now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(database(records, ip_version, kind))
    return path


def _bits(network: IPv4Network | IPv6Network, ip_version: int) -> list[int]:
    above = 96 if network.version == 4 and ip_version == 6 else 0
    value, width = int(network.network_address), network.max_prefixlen
    return [0] * above + [value >> (width - 1 - n) & 1 for n in range(network.prefixlen)]


def _pointer(node: int | None, end: int | None, count: int) -> bytes:
    if end is not None:
        return struct.pack(">I", count + 16 + end)
    return struct.pack(">I", count if node is None else node)


def _value(value: Any, kind: int = 5) -> bytes:
    match value:
        case str():
            raw = value.encode()
            return _head(2, len(raw)) + raw
        case float():
            return _head(3, 8) + struct.pack(">d", value)
        case int():
            raw = value.to_bytes(8, "big").lstrip(b"\0")
            return _head(kind, len(raw)) + raw
        case dict():
            items = (_value(key) + _value(item, _KINDS.get(key, 5)) for key, item in value.items())
            return _head(7, len(value)) + b"".join(items)
        case list():
            return _head(11, len(value)) + b"".join(map(_value, value))
    raise TypeError(value)


def _head(kind: int, size: int) -> bytes:
    more = b""
    if size >= 29:
        size, more = (29, bytes([size - 29])) if size < 285 else (30, (size - 285).to_bytes(2, "big"))
    return (bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])) + more
