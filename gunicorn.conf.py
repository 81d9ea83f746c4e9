from gevent import monkey; monkey.patch_all()  # fmt: skip  # noqa: E702, I001
"""How gunicorn serves maicivy. A name in here that is also the name of a setting is that setting.

Nothing of maicivy, and no driver, may be imported above the patch: psycopg chooses how to wait for its socket when it
is first imported, and chosen before the patch one query would block the whole worker.
"""

import gc
import os
import resource
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from maicivy.config import Settings
from maicivy.errors import SettingsError

SHARED_MEMORY = Path("/dev/shm")

try:
    settings = Settings.from_env()
except SettingsError as error:
    sys.exit(f"maicivy: {error}")


def forget_metrics(link):
    # Removes what `metrics_dir` made: now, or before servers were killed that could not do so themselves.
    target = link.resolve()
    for left in SHARED_MEMORY.glob("maicivy-metrics-*"):
        ours = left.lstat().st_uid == os.getuid() and left.is_dir() and not left.is_symlink()
        if ours and (left == target or not Path("/proc", left.name.split("-")[2]).exists()):
            shutil.rmtree(left, ignore_errors=True)
    if link.is_symlink():
        link.unlink()
    shutil.rmtree(link, ignore_errors=True)


def metrics_dir() -> str:
    # Where the web processes share their counters: files that are mapped into memory, and one that cannot grow because
    # the disk is full kills its process with SIGBUS. So they lie in memory, and the data directory links to them.
    link = settings.data_dir / "metrics"
    try:
        forget_metrics(link)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(SHARED_MEMORY, os.W_OK):
            link.symlink_to(tempfile.mkdtemp(prefix=f"maicivy-metrics-{os.getpid()}-", dir=SHARED_MEMORY))
        else:
            link.mkdir(mode=0o700)
        return str(link.resolve())
    except OSError:
        return tempfile.mkdtemp(prefix="maicivy-metrics-")


# Read by prometheus_client when it is imported, which is later: wsgi.py is loaded in the workers.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_dir()

host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"
workers = settings.web_concurrency
worker_class = "maicivy.serving.Worker"  # gevent's, with maicivy's answers to what is no request
worker_connections = 3000  # some of them to be sent away (maicivy/admission.py); 15 KB each
worker_tmp_dir = str(SHARED_MEMORY) if os.access(SHARED_MEMORY, os.W_OK) else None  # the heartbeat: never on a disk
preload_app = False
control_socket_disable = True  # gunicorn 27 would open one in the home directory

timeout = 30
graceful_timeout = 8
keepalive = 5
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = ""  # X-Forwarded-* is believed by MAICIVY_TRUSTED_PROXIES alone, in the application

accesslog = None  # the application logs one structured line per request
errorlog = "-"
loglevel = "warning" if settings.log_level == "info" else settings.log_level
proc_name = "maicivy"


def post_fork(server, worker):
    """Ties a worker to its master: one that outlives it would keep the port. Lets it have as many files as it may."""
    from maicivy.standalone.process import die_with_parent

    die_with_parent(signal.SIGKILL, worker.ppid)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # often 1,024 files are the usual and many more allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def post_worker_init(worker):
    """Refuses to serve with a driver that would block the whole worker; ties live viewers to the life of the worker."""
    from psycopg import waiting

    if waiting.wait is getattr(waiting, "wait_c", None):  # the one in C knows nothing of greenlets
        worker.log.critical("psycopg was imported before gevent patched the standard library")
        sys.exit(4)  # gunicorn: the application cannot be loaded; do not try again

    # What was loaded until now stays for good. Left to the collector, each of its full runs would stop all requests
    # to look at a hundred thousand objects of which none is ever garbage.
    gc.collect()
    gc.freeze()

    from maicivy.web import live

    live.hub_of(worker.wsgi).follow(lambda: worker.alive)  # open WebSockets would use up the graceful timeout


def worker_int(worker):
    """Says goodbye to live viewers, in the tenth of a second that a quick shutdown leaves."""
    application = getattr(worker, "wsgi", None)
    if application is None:
        return  # interrupted before the application was loaded: nobody is watching yet

    from maicivy.web import live

    live.hub_of(application).close(wait_s=0)


def child_exit(server, worker):
    """Takes a dead worker's gauges out of /metrics."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server):
    """Leaves nothing in memory."""
    with suppress(OSError):
        forget_metrics(settings.data_dir / "metrics")
