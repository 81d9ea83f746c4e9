"""Links to Redis and Postgres that delay, break and fall silent; answers that are lost when all is done."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.standalone.process import Process, start_ready
from maicivy.standalone.valkey import Valkey
from maicivy.storage import aggregates, inbox
from tests.chaos.fault import Arena, Fault
from tests.chaos.fault_proxy import CutAnswer, Delay, Hole, Hurt, LoseAnswer, Proxy, Some
from tests.chaos.system import System
from tests.standalone.processes import wait_until

HURT_S, SHORT_HURT_S = 5, 2
DELAY_S = 0.1
TIMES = 5
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The message of Postgres' wire protocol: a simple query, its length, its text."""

STORING = b"COPY incoming"
_IN_SUITE = {"link:lost COMMIT postgres", "link:silent postgres"}


class LinkedSystem(System):
    """A maicivy that has a proxy between itself and each of two servers of its own."""

    def __init__(self, home: Path) -> None:
        self._servers: list[Process] = []
        self._home = DataDir(home.with_name("servers"))
        self._home.claim()
        postgres, valkey = Postgres(self._home), Valkey(self._home)
        self.links = {
            "redis": Proxy(valkey.socket),
            "postgres": Proxy(self._home.run / ".s.PGSQL.5432"),
        }
        try:
            for name, server in (("postgres", postgres), ("valkey", valkey)):
                self._servers.append(start_ready(server.command(), server.is_ready, name))
            super().__init__(
                home,
                REDIS_URL=f"redis://127.0.0.1:{self.links['redis'].port}/0",
                DATABASE_URL=f"postgresql://maicivy@127.0.0.1:{self.links['postgres'].port}/maicivy",
            )
        except BaseException:
            self._end()
            raise
        self.redis_url = f"unix://{valkey.socket}"
        self.database_url = f"postgresql://maicivy@/maicivy?host={self._home.run}"

    def abandon(self) -> None:
        super().abandon()
        self._end()

    def _end(self) -> None:
        for link in self.links.values():
            link.close()
        for server in reversed(self._servers):
            server.stop(10)
        self._home.release()


class LinkFault(Fault):
    """One of the two links is hurt under load."""

    rounds = 10

    def __init__(self, kind: str, link: str) -> None:
        self.name = f"link:{kind} {link}"
        self.in_suite = self.name in _IN_SUITE
        self.link = link

    @property
    def ground(self) -> object:
        return LinkFault

    def start(self, home: Path) -> System:
        return LinkedSystem(home)

    def strike(self, arena: Arena) -> str:
        assert isinstance(arena.system, LinkedSystem)
        proxy = arena.system.links[self.link]
        try:
            return self.hurt(arena, proxy)
        finally:
            proxy.hurt = Hurt()

    def hurt(self, arena: Arena, proxy: Proxy) -> str:
        """Do it and let go; what was done."""
        raise NotImplementedError

    def sleep(self) -> float:
        """Let it hurt for a while; for how many seconds."""
        hurt_s = SHORT_HURT_S if self.is_short else HURT_S
        time.sleep(hurt_s)
        return hurt_s


class Slow(LinkFault):
    """Everything takes up to a tenth of a second longer, in both directions."""

    def hurt(self, arena: Arena, proxy: Proxy) -> str:
        before = arena.load.count()
        proxy.hurt = Delay(arena.dice, DELAY_S)
        hurt_s = self.sleep()
        acknowledged = arena.load.count() - before
        assert acknowledged, "nothing was acknowledged through a slow link"
        return f"up to {DELAY_S} s later for {hurt_s} s, {acknowledged} acknowledged meanwhile"


class Broken(LinkFault):
    """All connections are reset, three times."""

    def hurt(self, arena: Arena, proxy: Proxy) -> str:
        cut = []
        for _ in range(3):
            cut.append(proxy.cut())
            time.sleep(arena.dice.uniform(0.1, 0.5))
        return f"{cut} connections reset"


class Happens(LinkFault):
    """Answers are cut or lost, some of them."""

    def __init__(self, kind: str, link: str, needle: bytes = b"", after: bytes = b"") -> None:
        super().__init__(kind, link)
        self._needle = needle
        self._after = after

    def hurt(self, arena: Arena, proxy: Proxy) -> str:
        some: Some = LoseAnswer(TIMES, self._needle, self._after) if self._needle else CutAnswer(arena.dice, TIMES)
        proxy.hurt = some
        wait_until(lambda: some.is_done, 60, f"{TIMES} answers")
        return f"{TIMES} answers {'lost' if self._needle else 'cut'}"


class Silent(LinkFault):
    """Nothing passes and nobody is told; afterwards the old connections are dead, and nobody is told either."""

    def hurt(self, arena: Arena, proxy: Proxy) -> str:
        hole = Hole()
        proxy.hurt = hole
        try:
            hurt_s = self.sleep()
        finally:
            hole.closed.set()
        return f"silent for {hurt_s} s"


def _script(text: str) -> bytes:
    return hashlib.sha1(text.encode()).hexdigest().encode()  # as EVALSHA names it


FAULTS: list[Fault] = [
    *(Slow("slow", link) for link in ("redis", "postgres")),
    *(Broken("reset", link) for link in ("redis", "postgres")),
    *(Happens("cut answer", link) for link in ("redis", "postgres")),
    Happens("lost append", "redis", _script(inbox._APPEND)),
    Happens("lost apply", "redis", _script(aggregates._APPLY)),
    Happens("lost COMMIT", "postgres", COMMIT, STORING),
    *(Silent("silent", link) for link in ("redis", "postgres")),
]
