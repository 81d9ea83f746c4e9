"""Valkey loses what it had: all of it, the latest of it, or the end of its last record."""

from __future__ import annotations

import shutil
from pathlib import Path

from maicivy.core.events import decode
from maicivy.standalone.valkey import Valkey
from maicivy.storage import keys
from tests.chaos.fault import BEFORE, Arena, Fault
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
        arena.gone.update(ids)
        return f"FLUSHALL with {len(ids)} events in the inbox"


class ValkeySystem(System):
    """A system whose Valkey the harness runs."""

    def __init__(self, home: Path) -> None:
        self.valkey = OwnServer(Valkey, home.parent)
        super().__init__(home, REDIS_URL=self.valkey.url)

    def abandon(self) -> None:
        super().abandon()
        self.valkey.close()


class OwnValkey(Fault):
    """Harm to the files of a Valkey."""

    rounds = 10

    @property
    def ground(self) -> object:
        return OwnValkey

    def start(self, home: Path) -> System:
        return ValkeySystem(home)

    def strike(self, arena: Arena) -> str:
        assert isinstance(arena.system, ValkeySystem)
        return self.harm(arena, arena.system.valkey)

    def harm(self, arena: Arena, valkey: OwnServer) -> str:
        """Do it."""
        raise NotImplementedError


class OlderCopy(OwnValkey):
    """Back with a copy of its files from a while ago, taken under load: with events that have been stored since."""

    name = "redis:older copy"

    def harm(self, arena: Arena, valkey: OwnServer) -> str:
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
    in_suite = False

    def harm(self, arena: Arena, valkey: OwnServer) -> str:
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
