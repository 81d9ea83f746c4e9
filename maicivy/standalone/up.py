"""`maicivy up`: everything on this machine. Which processes there are, how each is started, and when it is ready."""

from __future__ import annotations

import argparse
import contextlib
import errno
import http.client
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from maicivy.config import Settings
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.standalone.process import Command, StartRefused
from maicivy.standalone.supervisor import Service, Stage, Step, Supervisor, report_to_stderr
from maicivy.standalone.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]  # where wsgi.py, gunicorn.conf.py, workers/ and migrations/ are

FOR_NUMPY: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
}
"""It brings a library for matrices, which would start a thread for each core and process; there are no matrices. And
arrays of a megabyte come and go: memory that glibc gives back between them comes page by page, which took 2 to 4 ms of
the 8 to 16 that a question takes, for 4 MB less of memory."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--demo", action="store_true", help="also serve a small CV site, with simulated visitors")


def run(arguments: argparse.Namespace) -> int:
    """Run everything until SIGINT or SIGTERM.

    Raises:
        SettingsError: the environment is not usable.
        StartRefused: something could not be started.
    """
    settings = Settings.from_env()
    home = DataDir(settings.data_dir)
    home.claim()
    check_port(settings.host, settings.port)
    supervisor = Supervisor(
        stages(settings, home, os.environ, demo=arguments.demo),
        on_ready=lambda: print(banner(settings, demo=arguments.demo), flush=True),
        chores=home.trim_logs,
        report=report_to_stderr,
    )
    supervisor.run()
    return 0


def stages(settings: Settings, home: DataDir, environ: Mapping[str, str], *, demo: bool) -> list[Stage]:
    """What runs, in the order in which it is started: each stage needs only those before it."""
    environ = {**FOR_NUMPY, **environ, "MAICIVY_DATA_DIR": str(settings.data_dir)}
    environ |= {"MAICIVY_DEMO": "1"} if demo else {}
    worker_is_ready, beat_is_ready = home.run / "worker.ready", home.run / "beat.ready"  # touched in workers/

    def python(*arguments: str, log: Path | None = None) -> Command:
        return Command((sys.executable, *arguments), env=environ, cwd=ROOT, log=log)

    def web() -> Command:
        return python("-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application")

    # As root Celery warns at length about pickle, which maicivy does not accept.
    celery = ("-W", "ignore:::celery.platforms", "-m", "celery", "--quiet", "-A")

    def worker() -> Command:
        worker_is_ready.unlink(missing_ok=True)
        return python(
            *(*celery, "workers.app", "worker", "--pool", "prefork", "-Q", "ingest,upkeep"),
            *("--concurrency", str(settings.worker_concurrency), "--loglevel", settings.log_level),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        )

    def beat() -> Command:
        beat_is_ready.unlink(missing_ok=True)
        return python("-m", "workers.beat")

    servers: list[Service] = []
    if settings.embedded_postgres:
        postgres = Postgres(home)
        # Long: after a crash it first replays what the data files lack.
        servers.append(Service("postgres", postgres.command, postgres.is_ready, stop_by_s=9.5, ready_within_s=300))
    if settings.embedded_redis:
        valkey = Valkey(home)
        servers.append(Service("valkey", valkey.command, valkey.is_ready, stop_by_s=9.0, ready_within_s=300))
    migrations = Step("migrations", lambda: python("-m", "maicivy", "db", "prepare", log=home.log / "migrations.log"))
    claim = Step("demo", lambda: python("-m", "maicivy", "simulate", "--claim"))
    maicivy = [
        Service("web", web, lambda: answers(settings.host, settings.port, "/healthz"), stop_by_s=8.0),
        Service("worker", worker, worker_is_ready.exists, stop_by_s=5.0),
        Service("beat", beat, beat_is_ready.exists, stop_by_s=2.0),
    ]
    visits = ("simulate", "--history", "--rate", "0.3")
    simulator = Service("simulator", lambda: python("-m", "maicivy", *visits), lambda: True, stop_by_s=1.0)
    return [servers, [migrations], [claim] if demo else [], maicivy, [simulator] if demo else []]


def banner(settings: Settings, *, demo: bool) -> str:
    """Where everything is, for people."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    base = f"//{f'[{host}]' if ':' in host else host}:{settings.port}"
    lines = {
        "dashboard": f"http:{base}/dashboard",
        "API": f"http:{base}/api/v1/analytics",
        "live": f"ws:{base}/ws/analytics",
        "metrics": f"http:{base}/metrics",
        "docs": f"http:{base}/api/docs",
        "demo": f"http:{base}/",
        "data": str(settings.data_dir),
    }
    if not demo:
        del lines["demo"]
    return "\n".join(
        ["", "maicivy is ready", *(f"  {name:<11}{where}" for name, where in lines.items()), "  Ctrl-C stops it", ""]
    )


def check_port(host: str, port: int) -> None:
    """Bind as gunicorn will, and let go.

    Raises:
        StartRefused: gunicorn could not.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except socket.gaierror as error:
        raise StartRefused(f"HOST {host} is no address of this machine: {error.strerror}") from error
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise StartRefused(_bind_problem(host, port, error)) from error


def _bind_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: stop the program that uses it, or set PORT"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs privileges: set PORT to one above 1023"
    return f"HOST {host} is no address of this machine: {error.strerror}"


def answers(host: str, port: int, path: str) -> bool:
    """Whether GET `path` brings 200 within a second."""
    connection = http.client.HTTPConnection({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port, timeout=1.0)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == 200
    return False
