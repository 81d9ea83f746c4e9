"""What a tree of processes has used: processor time and memory, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """`root` and everything below it."""
    found = [root]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def cpu_s(root: int) -> dict[str, float]:
    """Seconds of processor time that the tree has used, by kind of process."""
    used: dict[str, float] = {}
    for pid in tree(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            name = _name(pid)
        except OSError:
            continue
        used[name] = used.get(name, 0.0) + sum(map(int, fields[11:13])) * _TICK_S
    return used


def named(root: int, name: str) -> list[int]:
    """Those below `root` that are of a kind, parents before their children."""
    return [pid for pid in tree(root) if _name(pid) == name]


def memory_mib(root: int) -> dict[str, float]:
    """Proportional set size (shared pages divided among their users) by command, and the sum."""
    sizes: dict[str, float] = {}
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            name = _name(pid)
        except OSError:
            continue
        pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        sizes[name] = sizes.get(name, 0.0) + pss
    sizes["all"] = sum(sizes.values())
    return sizes


_NAMES = ("maicivy up", "keeper", "gunicorn", "workers.app", "workers.beat", "celery", "valkey", "postgres")


def _name(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return next((word for word in _NAMES if word in command), command[:20])
