"""How the suite is shared between three processes: by file, because what a file starts is started once.

Each process has servers, databases and ports of its own; two of them leave two processors idle while they wait. What
takes longest is begun first: else one process would be done minutes before the others. What loads the whole machine is
for one of them, so that no two of these meet.
"""

from __future__ import annotations

from collections import OrderedDict

from xdist.scheduler import LoadScopeScheduling

HEAVY = ("tests/chaos/", "tests/abuse/", "tests/bench/")
LONG = (*HEAVY, "tests/e2e/", "tests/browser/", "tests/oracle/", "tests/web/test_live", "tests/standalone/")


class Shares(LoadScopeScheduling):
    """Hands out the heavy ones as one share, and other files one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return HEAVY[0] if nodeid.startswith(HEAVY) else nodeid.partition("::")[0]

    def schedule(self) -> None:
        super().schedule()
        self.workqueue = OrderedDict(sorted(self.workqueue.items(), key=lambda share: _rank(share[0])))


def _rank(share: str) -> int:
    return next((rank for rank, prefix in enumerate(LONG) if share.startswith(prefix)), len(LONG))
