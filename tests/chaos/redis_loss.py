"""Valkey loses what it had: all of it, the latest of it, or the end of its last record."""

from __future__ import annotations

import shutil
from pathlib import Path

from maicivy.core.events import decode
from maicivy.standalone.valkey import Valkey
from maicivy.storage import keys
from tests.chaos import oracle
from tests.chaos.fault import BEFORE, Arena, Fault
from tests.chaos.oracle import Verdict
from tests.chaos.servers import OwnServer
from tests.chaos.system import System

HALF_RECORDS = (
    b"*",
    b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nval",
    b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n",
)
"""What a kill may leave at the end of the file: never answered, so nobody relies on it."""


class Emptied(Fault):
    """FLUSHALL under load. Events that wait in the inbox at that moment are gone by definition, and no others."""

    name = "redis:emptied"
    rounds = 20

    def __init__(self) -> None:
        self._gone: set[bytes] = set()

    def strike(self, arena: Arena) -> str:
        with arena.system.redis() as client:
            pipe = client.pipeline(transaction=True)
            pipe.xrange(keys.INBOX)
            pipe.flushall()
            waiting, _ = pipe.execute()
        ids = [
            event.id.bytes
            for _, fields in waiting
            for name, payload in fields.items()
            if name != b"n"
            for event in decode(payload)
        ]
        self._gone.update(ids)
        return f"FLUSHALL with {len(ids)} events in the inbox"

    def check(self, arena: Arena) -> Verdict:
        """The law, but for the events that were in the emptied inbox: they may be stored, they need not."""
        record = arena.record()
        record.acknowledged -= self._gone
        return oracle.check(arena.system, record)


class OwnValkey(Fault):
    """A system whose Valkey the harness runs."""

    rounds = 10
    valkey: OwnServer | None = None

    def start(self, home: Path) -> System:
        self.valkey = OwnServer(Valkey, home.parent)
        return System(home, REDIS_URL=self.valkey.url)

    def close(self) -> None:
        if self.valkey is not None:
            self.valkey.close()


class OlderCopy(OwnValkey):
    """Back with a copy of its files from a while ago, taken under load: with events that have been stored since."""

    name = "redis:older copy"

    def strike(self, arena: Arena) -> str:
        valkey = self.valkey
        assert valkey is not None
        copy = valkey.data.with_name("copy")
        shutil.copytree(valkey.data, copy)
        arena.load.wait_acknowledged(BEFORE)
        with arena.quiet():  # what waits in the inbox when Redis is replaced would be lost by definition
            before = len(arena.record().acknowledged)
            valkey.kill()
            shutil.rmtree(valkey.data)
            copy.rename(valkey.data)
            valkey.start()
        return f"an older copy of the file, at {before} events"


class Truncated(OwnValkey):
    """kill -9 amid a write: the file ends with half a record, or, while nothing moves, is cut anywhere near its end."""

    name = "redis:truncated"

    def strike(self, arena: Arena) -> str:
        valkey = self.valkey
        assert valkey is not None
        valkey.kill()
        half = arena.dice.choice(HALF_RECORDS)
        with _file(valkey).open("ab") as file:
            file.write(half)
        valkey.start()
        arena.load.wait_acknowledged(BEFORE)
        cut = arena.dice.randint(1, 2000)
        with arena.quiet():
            valkey.kill()
            path = _file(valkey)
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.truncate(max(0, size - cut))
            valkey.start()
        return f"{len(half)} bytes too many, then {cut} of {size} bytes too few"


def _file(valkey: OwnServer) -> Path:
    """The file that Valkey appends to."""
    return max(valkey.data.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime_ns)


FAULTS: list[Fault] = [Emptied(), OlderCopy(), Truncated()]
