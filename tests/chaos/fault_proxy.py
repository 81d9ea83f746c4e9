"""A TCP proxy before a server's unix socket that does what links do: delay, break, lose an answer, fall silent."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

LOOK_S = 0.1
"""How soon a link notices that it was cut or that a hole was closed."""

_REPAIR = 19
"""TCP_REPAIR <linux/tcp.h>: a socket closed under it vanishes without FIN or RST, as with a machine that lost power."""


class Cut(Exception):
    """The link is reset, on both sides."""


class Vanish(Exception):
    """The link is gone on this side, and the client is not told."""


class Hurt:
    """What befalls what passes; this one lets everything pass. Shared by the threads of all links."""

    def asked(self, link: Link, data: bytes) -> None:
        """The client has sent `data`; it is passed on afterwards."""

    def answered(self, link: Link, data: bytes) -> bytes:
        """The server has sent `data`; what is returned is passed on.

        Raises:
            Cut: after which nothing is.
        """
        return data


class Proxy:
    """Listens on a port of the loopback interface. `hurt` may be changed at any time."""

    def __init__(self, target: Path) -> None:
        self.hurt: Hurt = Hurt()
        self.target = target
        self._links: set[Link] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._closing = False
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._thread.start()

    def cut(self) -> int:
        """Reset every link; how many there were."""
        links = list(self._links)
        for link in links:
            link.is_cut = True
        return len(links)

    def close(self) -> None:
        """Reset every link, and take no more."""
        self._closing = True
        self._thread.join(10)
        self._listener.close()
        self.hurt = Hurt()
        self.cut()

    def _accept(self) -> None:
        self._listener.settimeout(LOOK_S)
        while not self._closing:
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link = Link(self, client)
                self._links.add(link)
                threading.Thread(target=self._serve, args=(link,), name="link", daemon=True).start()

    def _serve(self, link: Link) -> None:
        try:
            link.run()
        finally:
            self._links.discard(link)


class Link:
    """One connection of a client, and ours to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.is_cut = False
        # For a `Hurt` to remember what it saw here:
        self.tail = b""
        self.has_begun = False
        self.is_marked = False
        self._proxy = proxy
        self.client = client

    def run(self) -> None:
        """Pass on until one of the two hangs up or the link is cut."""
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self._proxy.target))
            self._pass_on(server)
        except Vanish:
            vanish(self.client)
        except (Cut, OSError):
            reset(self.client)
        finally:
            server.close()
            self.client.close()

    def _pass_on(self, server: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([self.client, server], [], [], LOOK_S)
            if self.is_cut:
                raise Cut
            for source in ready:
                data = source.recv(1 << 16)
                if not data:
                    return
                if source is server:
                    data = self._proxy.hurt.answered(self, data)
                    self.client.sendall(data)
                else:
                    self._proxy.hurt.asked(self, data)
                    server.sendall(data)


class Delay(Hurt):
    """Everything takes a while longer."""

    def __init__(self, dice: random.Random, most_s: float) -> None:
        self._dice = dice
        self._most_s = most_s

    def asked(self, link: Link, data: bytes) -> None:
        time.sleep(self._dice.uniform(0, self._most_s))

    def answered(self, link: Link, data: bytes) -> bytes:
        time.sleep(self._dice.uniform(0, self._most_s))
        return data


class Some(Hurt):
    """Something that happens `times` times, and then no more."""

    def __init__(self, times: int) -> None:
        self._left = times
        self._lock = threading.Lock()

    @property
    def is_done(self) -> bool:
        """Whether it has happened often enough."""
        return self._left <= 0

    def take(self) -> bool:
        """True for those whom it happens to."""
        with self._lock:
            self._left -= 1
            return self._left >= 0


class CutAnswer(Some):
    """Of an answer that matters a few bytes arrive, then the link breaks."""

    def __init__(self, dice: random.Random, times: int) -> None:
        super().__init__(times)
        self._dice = dice

    def answered(self, link: Link, data: bytes) -> bytes:
        if not self.is_done and self.take():
            with suppress(OSError):
                link.client.sendall(data[: self._dice.randrange(min(40, len(data)))])
            raise Cut
        return data


class LoseAnswer(Some):
    """What the client asked is done, and the answer never arrives: the link breaks instead.

    It happens to what asks by `needle`; when `after` is given, only once that has been sent on the same link.
    """

    def __init__(self, times: int, needle: bytes, after: bytes = b"") -> None:
        super().__init__(times)
        self._needle = needle
        self._after = after

    def asked(self, link: Link, data: bytes) -> None:
        sent = link.tail + data
        link.tail = sent[-64:]  # either may be cut in two by the packets
        link.has_begun = link.has_begun or self._after in sent
        if link.has_begun and self._needle in sent and not self.is_done:
            link.is_marked = self.take()

    def answered(self, link: Link, data: bytes) -> bytes:
        if link.is_marked:
            raise Cut
        return data


class Hole(Hurt):
    """Nothing passes, and nobody is told, until it is closed. Links on which something was said are gone then."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def asked(self, link: Link, data: bytes) -> None:
        self._fall()

    def answered(self, link: Link, data: bytes) -> bytes:
        self._fall()
        return data

    def _fall(self) -> None:
        if not self.closed.is_set():
            self.closed.wait()
            raise Vanish


def reset(client: socket.socket) -> None:
    """Close with RST, which throws away what is on its way."""
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def vanish(client: socket.socket) -> None:
    """Close without a word; where the kernel does not allow that, with RST."""
    with suppress(OSError):
        client.setsockopt(socket.IPPROTO_TCP, _REPAIR, 1)
        client.close()
        return
    reset(client)
