"""The same batch again and again, from everywhere at once."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

from tests.chaos import oracle
from tests.chaos.clients import event_of, post_answer
from tests.chaos.fault import Arena, Fault

TIMES = 50
CLIENTS = 8
MOST = 500


class Duplicates(Fault):
    """One batch sent 50 times by 8 clients at once is stored once, and counted as a duplicate 49 times."""

    name = "duplicates"
    rounds = 10

    def strike(self, arena: Arena) -> str:
        events = [event_of(arena.dice) for _ in range(arena.dice.randint(1, MOST))]
        ids = [UUID(event["id"]) for event in events]
        arena.sent(*events)
        with arena.quiet():  # for the ledger is to say exactly what became of this batch
            with arena.system.redis() as client:
                before = oracle.ledger_of(client)
            send_at_once(arena.system.port, events)
            with arena.system.redis() as client, arena.system.database() as database:
                oracle.settle(client, database)
                moved = oracle.ledger_of(client) - before
                query = "SELECT count(*) FROM analytics_events WHERE id = ANY(%s)"
                (stored,) = database.execute(query, [ids]).fetchone() or (0,)
        n = len(events)
        appended = moved["received"] - sum(moved[name] for name in moved if name.startswith(("rejected:", "shed")))
        assert stored == moved["stored"] == n, f"{stored} stored and {moved['stored']} counted of {n}"
        assert appended >= TIMES * n, f"{appended} of {TIMES * n} received"  # more, if an answer had to be 503
        assert moved["duplicate"] == appended - n, f"{moved['duplicate']} of {appended} counted as duplicates of {n}"
        return f"{n} events {TIMES} times"


def send_at_once(port: int, events: list[dict[str, Any]]) -> None:
    """Send them all `TIMES` times by `CLIENTS` clients that begin together."""
    begin = threading.Barrier(CLIENTS)
    answers: list[int] = []

    def send(times: int) -> None:
        begin.wait(10)
        for _ in range(times):
            while (answer := post_answer(port, events)[0]) == 503:
                pass
            answers.append(answer)

    shares = [len(range(client, TIMES, CLIENTS)) for client in range(CLIENTS)]
    threads = [threading.Thread(target=send, args=[share], daemon=True) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [202] * TIMES, f"answered {answers}"


FAULTS: list[Fault] = [Duplicates()]
