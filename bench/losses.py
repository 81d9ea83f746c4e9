"""What the usual design loses, and what it counts wrong, when its processes are killed under load.

    python -m bench.losses [--rounds 30] [--seed 1] [--visibility 15]

The clients are those of bin/chaos: they repeat what was not acknowledged, with the same ids. In each round one of the
Celery worker's process, its main process and Valkey is killed with -9, and started again at once. Then the clients
pause, the queue is given time to empty, and every id and every counter is compared. `bin/chaos --only kill` does the
same, and more, to maicivy.

The visibility timeout is short here so that messages of killed workers come back while somebody waits; a longer one
changes only when they do. A task that is retried five times in vain is given up, as Celery does.
"""

from __future__ import annotations

import argparse
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from os import kill

import redis

from bench.processes import named
from bench.servers import Servers, UsualDesign
from tests.chaos.clients import Load, Record
from tests.standalone.processes import wait_until

BEFORE = 200
"""Events acknowledged before each kill."""

STALLED_S = 30.0
"""A worker that does nothing for so long, while Valkey is there and tasks wait, is started once more."""

RESTORED_EVERY_S = 100.0
"""A Celery worker looks for messages that others took and never acknowledged when it starts, and then so often
(kombu's Redis transport: every tenth of its rounds of ten seconds)."""


@dataclass(frozen=True, slots=True)
class Losses:
    """How it ended: events by what became of them."""

    acknowledged: int
    stored: int
    lost: int
    stored_twice: int
    never_counted: int
    counted_twice: int
    other_answers: int
    still_queued: int
    stalls: int

    def __str__(self) -> str:
        return "\n".join(
            (
                f"acknowledged                       {self.acknowledged:>8,}",
                f"stored                             {self.stored:>8,}",
                f"acknowledged, not stored           {self.lost:>8,}",
                f"stored twice                       {self.stored_twice:>8,}",
                f"stored, not counted (at least)     {self.never_counted:>8,}",
                f"counted, but not or twice (a. l.)  {self.counted_twice:>8,}",
                f"answers that were no 202 and no 503{self.other_answers:>8,}",
                f"tasks that never ended             {self.still_queued:>8,}",
                f"times the worker stood still       {self.stalls:>8,}",
            )
        )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visibility", type=int, default=15, help="visibility timeout in seconds")
    arguments = parser.parse_args()
    print(measure(arguments.rounds, arguments.seed, arguments.visibility, lambda text: print(text, flush=True)))


def measure(rounds: int, seed: int = 1, visibility_s: int = 15, say: Callable[[str], None] = lambda _: None) -> Losses:
    """Kill, start again, wait, count."""
    dice = random.Random(seed)
    with Servers() as servers:
        usual = servers.usual_design(USUAL_VISIBILITY_S=str(visibility_s))
        stalls = 0
        load = Load(usual.port, seed, batches=(1,))
        load.start()
        try:
            for number in range(rounds):
                load.wait_acknowledged(BEFORE)
                time.sleep(dice.random() * 0.1)  # any moment of what a worker does
                say(f"  {number + 1:>3} kill -9 {_strike(usual, dice)}")
                load.pause()
                stalls += not _works(usual)
                load.resume()
            load.wait_acknowledged(BEFORE)
            load.pause()
        finally:
            load.stop()
        left = _settled(usual, visibility_s)
        return _verdict(usual, load.record(), left, stalls)


def _works(usual: UsualDesign) -> bool:
    """Waits for an empty queue, for a worker that is still starting has nothing to lose when it is killed.

    False when the worker did not take up its work, and was started once more.
    """
    try:
        wait_until(lambda: not usual.redis.llen("events"), STALLED_S)
    except AssertionError:
        usual.restart("celery", lambda: True)
        wait_until(lambda: not usual.redis.llen("events"), 2 * STALLED_S, "a worker at work")
        return False
    return True


def _strike(usual: UsualDesign, dice: random.Random) -> str:
    victim = dice.choice(("celery child", "celery main", "valkey"))
    if victim == "celery child":
        children = named(usual.servers["celery"].pid, "celery")[1:]
        if children:
            with suppress(ProcessLookupError):
                kill(children[0], signal.SIGKILL)
        return victim
    name = victim.partition(" ")[0]
    usual.servers[name].signal(signal.SIGKILL)
    usual.restart(name, lambda: name != "valkey" or _answers(usual.redis))
    return victim


def _settled(usual: UsualDesign, visibility_s: int) -> int:
    """Waits until no task is left, or for long enough that none will end any more; how many are left."""
    deadline = time.monotonic() + RESTORED_EVERY_S + visibility_s + 30
    while time.monotonic() < deadline:
        left = int(usual.redis.llen("events")) + int(usual.redis.hlen("unacked"))
        if not left:
            return 0
        time.sleep(0.2)
    return left


def _verdict(usual: UsualDesign, record: Record, left: int, stalls: int) -> Losses:
    rows = [row[0] for row in usual.postgres.execute("SELECT uuid_send(id) FROM events").fetchall()]
    stored = set(rows)
    by_type: Counter[str] = Counter(
        dict(usual.postgres.execute("SELECT event_type, count(*) FROM events GROUP BY 1").fetchall())
    )
    counted = {kind: int(usual.redis.get(f"events:type:{kind}") or 0) for kind in by_type}
    return Losses(
        acknowledged=len(record.acknowledged),
        stored=len(rows),
        lost=len(record.acknowledged - stored),
        stored_twice=len(rows) - len(stored),
        never_counted=sum(max(0, rows - counted[kind]) for kind, rows in by_type.items()),
        counted_twice=sum(max(0, counted[kind] - rows) for kind, rows in by_type.items()),
        other_answers=len(record.unexpected),
        still_queued=left,
        stalls=stalls,
    )


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False


if __name__ == "__main__":
    main()
