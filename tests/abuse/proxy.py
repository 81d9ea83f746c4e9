"""deploy/nginx.conf, run for real: on a free port, without TLS and certificates, everything else as it is shipped."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maicivy.standalone.up import answers
from tests.abuse.target import Target
from tests.e2e.running import ROOT, free_port
from tests.standalone.processes import wait_until

_AROUND = """
daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1; user root;
events {{ worker_connections 4096; }}
http {{
client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;
scgi_temp_path {home}/s;
{shipped}
}}
"""


@contextmanager
def nginx(target: Target) -> Iterator[int]:
    """The port of an nginx in front of `target`."""
    home = Path(tempfile.mkdtemp(prefix="mv-nginx-", dir="/tmp"))
    port = free_port()
    (home / "conf").write_text(_AROUND.format(home=home, shipped=_shipped(home, port, target.port)))
    process = subprocess.Popen(["nginx", "-c", str(home / "conf"), "-p", str(home)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers("127.0.0.1", port, "/healthz"), 10, "nginx")
        yield port
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        shutil.rmtree(home, ignore_errors=True)


def _shipped(home: Path, port: int, upstream: int) -> str:
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    text = text[: text.rindex("server {")]  # the one that only sends to https
    text = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", text)
    text = re.sub(r".*(listen \[::\]|ssl_certificate).*\n", "", text)
    text = text.replace("/var/log/nginx/maicivy.log", str(home / "access.log"))
    return text.replace("server 127.0.0.1:8080", f"server 127.0.0.1:{upstream}")
