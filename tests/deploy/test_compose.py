"""docker-compose.yml and the Dockerfile say what the design asks for, and agree with the code."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis

from maicivy.config import ALIASES, Settings
from maicivy.standalone.process import Command, start_ready
from maicivy.standalone.valkey import server_path
from tests.deploy.yaml_subset import read_yaml

ROOT = Path(__file__).parents[2]
SECRETS = {"SECRET_KEY", "POSTGRES_PASSWORD", "VALKEY_PASSWORD"}
OURS = ("web", "worker", "beat", "migrate")
REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)(:?[?-])([^}]*)\}")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(ROOT / "docker-compose.yml")["services"]
    return found


def references() -> list[tuple[str, str, str]]:
    lines = (ROOT / "docker-compose.yml").read_text().splitlines()
    return REFERENCE.findall("\n".join(line for line in lines if not line.lstrip().startswith("#")))


def filled_in(text: str, values: dict[str, str]) -> str:
    return REFERENCE.sub(lambda m: values.get(m[1]) or m[3], text)


def test_all_services_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {"web", "worker", "beat", "migrate", "postgres", "valkey"}


def test_nothing_has_to_be_set_to_begin_with() -> None:
    assert {kind for _, kind, _ in references()} == {":-"}
    assert [default for name, _, default in references() if name == "SECRET_KEY"] == [""]  # generated, once for all


def test_what_has_a_default_password_is_on_the_private_network_alone(services: dict[str, Any]) -> None:
    assert read_yaml(ROOT / "docker-compose.yml")["networks"] == {"private": {"internal": True}}
    for name, service in services.items():
        assert service["networks"] == (["private", "default"] if name == "web" else ["private"])


def test_the_generated_secret_is_shared(services: dict[str, Any]) -> None:
    for name in OURS:
        assert services[name]["volumes"] == ["maicivy:/data"]


def test_every_variable_is_in_the_example_and_no_secret_has_a_value_there() -> None:
    example = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / "env.example").read_text(), re.MULTILINE))
    assert set(example) == {name for name, _, _ in references()}
    assert [example[name] for name in SECRETS | {"MAICIVY_INGEST_TOKEN", "MAICIVY_ADMIN_TOKEN"}] == [""] * 5


@pytest.mark.parametrize("service", OURS)
def test_the_environment_is_one_that_maicivy_accepts(services: dict[str, Any], service: str, tmp_path: Path) -> None:
    given = dict.fromkeys(SECRETS, "0f" * 32)
    environ = {name: filled_in(str(value), given) for name, value in services[service]["environment"].items()}
    settings = Settings.from_env(environ | {"MAICIVY_DATA_DIR": str(tmp_path)})
    assert settings.env == "production"
    assert not settings.embedded_postgres
    assert not settings.embedded_redis


@pytest.mark.parametrize("service", OURS)
def test_every_setting_given_is_one_that_maicivy_reads(services: dict[str, Any], service: str) -> None:
    source = (ROOT / "maicivy" / "config.py").read_text()
    known = set(re.findall(r'"([A-Z][A-Z_]+)"', source)) - set(ALIASES.values())
    assert set(services[service]["environment"]) <= known


def test_ours_wait_for_the_migration_and_for_healthy_servers(services: dict[str, Any]) -> None:
    for name in ("web", "worker", "beat"):
        waits = {part: how["condition"] for part, how in services[name]["depends_on"].items()}
        assert waits == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "valkey": "service_healthy",
        }
    assert set(services["migrate"]["depends_on"]) == {"postgres", "valkey"}
    assert services["migrate"]["restart"] == "no"


def test_all_that_stays_is_watched_restarted_and_given_time_to_stop(services: dict[str, Any]) -> None:
    for name in set(services) - {"migrate"}:
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["healthcheck"]["test"]
        assert re.fullmatch(r"\d+s", services[name]["stop_grace_period"])


def test_ours_may_do_nothing_but_serve(services: dict[str, Any]) -> None:
    for name in OURS:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


def test_only_the_web_can_be_reached_and_only_from_this_machine(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    assert services["web"]["ports"] == ["127.0.0.1:${PORT:-8080}:8080"]


def test_data_lives_in_named_volumes(services: dict[str, Any]) -> None:
    volumes = read_yaml(ROOT / "docker-compose.yml")["volumes"]
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]  # of the 18 image and later
    assert services["valkey"]["volumes"] == ["valkey:/data"]
    assert set(volumes) == {"maicivy", "postgres", "valkey"}


@pytest.mark.parametrize(("service", "option"), [("worker", "-A"), ("beat", "-m")])
def test_the_celery_application_exists(services: dict[str, Any], service: str, option: str) -> None:
    command = services[service]["command"]
    module = command[command.index(option) + 1]
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


@pytest.fixture
def composed_valkey(services: dict[str, Any], tmp_path: Path) -> Iterator[redis.Redis]:
    """The embedded server, started with the arguments of the compose file."""
    command = [filled_in(str(part), {"VALKEY_PASSWORD": "0f" * 32}) for part in services["valkey"]["command"]]
    path = tmp_path / "v.sock"
    arguments = (*command[1:], "--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path))
    process = start_ready(Command((str(server_path()), *arguments), log=tmp_path / "log"), path.exists, "valkey")
    with redis.Redis.from_url(f"unix://:{'0f' * 32}@{path}") as client:
        yield client
    process.stop(5.0)


def test_valkey_takes_the_arguments_and_keeps_what_it_answered(composed_valkey: redis.Redis) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
    assert composed_valkey.config_get(*wanted) == wanted
    limits: Any = composed_valkey.config_get("client-output-buffer-limit")
    assert "pubsub 16777216 4194304 30" in limits["client-output-buffer-limit"]


class Answer(BaseHTTPRequestHandler):
    """`/health` with a silent beat; anything else is 503."""

    def do_GET(self) -> None:
        parts = {"worker": {"status": "up"}, "beat": {"status": "silent", "reason": "never seen"}}
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()
        self.wfile.write(json.dumps({"data": {"parts": parts}}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def health() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("{url}/health", 0, ""),
        ("{url}/health worker", 0, ""),
        ("{url}/health worker beat", 1, "beat is silent never seen"),
        ("{url}/health nobody", 1, "nobody is missing"),
        ("{url}/healthz", 1, "503"),
        ("http://127.0.0.1:1/healthz", 1, "refused"),
    ],
)
def test_the_health_check_of_containers(health: str, arguments: str, code: int, says: str) -> None:
    script = ROOT / "deploy" / "healthcheck.py"
    command = [sys.executable, str(script), *shlex.split(arguments.format(url=health))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={**os.environ})
    assert (done.returncode, says in done.stderr) == (code, True)


def dockerfile() -> str:
    text = (ROOT / "Dockerfile").read_text()
    return re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))


def test_what_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile(), re.M) for name in line.split()[:-1]]
    assert set(copied) == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_image_holds_every_package_of_ours() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages == {"maicivy", "workers", "migrations"}
    for name in packages:
        assert f"COPY {name} /app/{name}" in dockerfile()


def test_the_image_is_slim_debian_pinned_by_hashes_and_without_root() -> None:
    text = dockerfile()
    assert re.findall(r"^FROM (\S+)", text, re.M) == ["python:3.13-slim-bookworm"] * 2
    assert "--require-hashes --only-binary :all:" in text
    assert "apt-get" not in text
    last_stage = text.rpartition("\nFROM ")[2]
    assert last_stage.index("USER maicivy") < last_stage.index("CMD")
    assert "HEALTHCHECK" in last_stage
    assert "pip " not in last_stage
