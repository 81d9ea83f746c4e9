"""Every operation of the OpenAPI document, asked with values that its schemas allow and values that they do not.

Each answer must be one that the document announces for that operation: status, media type and, for JSON, the schema,
read strictly. Values that all schemas of the query allow must not be called invalid, and others must be.

Where `schemathesis` is installed (pipx install schemathesis) it has its turn, too. It is no requirement of the tests:
14 more packages, among them a second HTTP client and a pytest plugin. Two of its checks do not fit: a batch of which
events are refused is answered 202, and that `offset` and `before` exclude each other no schema of parameters can say.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from maicivy.web.openapi import document
from tests.abuse.nonsense import Generator
from tests.abuse.scenario import Finding, Options
from tests.abuse.target import Target, abused
from tests.abuse.wire import Answer, exchange, request
from tests.naughty import STRINGS
from tests.web.openapi.json_schema import problems

_WILD = (*STRINGS.values(), "0", "-1", "1e9", "9" * 300, "NaN", "true", "null", "day", "2025-12-08", "/cv", "click")
_UNSAID = {"before", "page", "page_url"}
"""Parameters whose schema is a string, and whose description says which."""

_BAD_QUERY = {"invalid_parameter", "unknown_parameter", "repeated_parameter", "missing_parameter"}


def run(options: Options) -> Finding:
    finding = Finding()
    with abused(finding, LOG_LEVEL="warning") as target:
        conform(target, Options(options.seed, min(options.requests, 20_000)), finding)
        if shutil.which("schemathesis"):
            _schemathesis(target.port, options, finding)
    return finding


def conform(target: Target, options: Options, finding: Finding) -> None:
    """Ask every operation, each about as often as the others."""
    asked = _Asked(target.port, options.seed, finding)
    operations = [(path, method) for path, item in document()["paths"].items() for method in item]
    for turn in range(options.requests):
        asked.ask(*operations[turn % len(operations)])
    seen = {operation for operation, _ in asked.outcomes}
    finding.must(len(seen) == len(operations), f"not asked: {set(operations) - seen}")
    statuses = Counter(status for (_, status), n in asked.outcomes.items() for _ in range(n))
    finding.figures |= {
        "operations": str(len(operations)),
        "requests": f"{options.requests:,}",
        "answers": " ".join(f"{status}:{n}" for status, n in sorted(statuses.items())),
    }


def _schemathesis(port: int, options: Options, finding: Finding) -> None:
    command = ["schemathesis", "run", f"http://127.0.0.1:{port}/api/openapi.json", "--continue-on-failure"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", str(options.seed % 2**32)]
    command += ["--max-time", str(max(5, int(options.seconds)))]
    command += ["--exclude-checks", "positive_data_acceptance,negative_data_rejection"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = re.search(r"\d+ generated.*", done.stdout)
    finding.figures["schemathesis"] = told[0] if told else "said nothing"
    finding.must(done.returncode == 0, done.stdout[-5000:])


class _Asked:
    def __init__(self, port: int, seed: int, finding: Finding) -> None:
        self._port = port
        self._dice = random.Random(seed)
        self._events = Generator(seed)
        self._finding = finding
        self.outcomes: Counter[tuple[tuple[str, str], int]] = Counter()

    def ask(self, path: str, method: str) -> None:
        operation = document()["paths"][path][method]
        query, allowed = self._query(operation.get("parameters", []))
        body = self._body(path) if "requestBody" in operation else b""
        target = path + ("?" + urlencode(query, errors="surrogatepass") if query else "")
        headers = [(b"Host", b"x"), (b"Connection", b"close"), (b"Content-Length", b"%d" % len(body))]
        answers, _ = exchange(self._port, request(method.upper().encode(), target.encode(), headers, body))
        about = f"{method} {target[:200]} {body[:200]!r}"
        if len(answers) != 1:
            self._finding.must(False, f"{len(answers)} answers to {about}")
            return
        self.outcomes[(path, method), answers[0].status] += 1
        for wrong in self._wrong(operation, answers[0], allowed):
            self._finding.must(False, f"{about}: {wrong}")

    def _wrong(self, operation: dict[str, Any], answer: Answer, allowed: bool | None) -> list[str]:
        announced = operation["responses"].get(str(answer.status))
        if announced is None:
            return [f"{answer.status} is not announced"]
        found = []
        if answer.status == 400 and allowed and answer.json()["error"]["code"] in _BAD_QUERY:
            found.append(f"the document allows this query, the answer is {answer.body!r}")
        if answer.status < 300 and allowed is False:
            found.append("the document does not allow this query, and it was answered")
        content = announced.get("content", {})
        match = re.search(rb"(?i)content-type: *([^;\r]+)", answer.head)
        kind = match[1].decode() if match else ""
        if content and kind not in content:
            found.append(f"{kind} is not announced")
        elif kind == "application/json":
            found += problems(answer.json(), content[kind]["schema"], document())
        for name in announced.get("headers", {}):
            if name.lower().encode() + b":" not in answer.head.lower():
                found.append(f"no {name}")
        return found

    def _query(self, parameters: list[dict[str, Any]]) -> tuple[list[tuple[str, str]], bool | None]:
        """A query, and whether the document allows it; None when only words in it say so."""
        dice = self._dice
        query = []
        allowed: bool | None = True
        for parameter in (each for each in parameters if each["in"] == "query"):
            if dice.random() < 0.3:
                allowed = allowed and not parameter.get("required", False)
                continue
            value = self._good(parameter["schema"]) if dice.random() < 0.7 else dice.choice(_WILD)
            query.append((parameter["name"], value))
            if not _fits(value, parameter["schema"]):
                allowed = False
            elif parameter["name"] in _UNSAID:
                allowed = None if allowed else allowed
        if query and dice.random() < 0.05:
            query.append(query[0])
            allowed = False
        if parameters and dice.random() < 0.05:
            query.append(("no_such", "1"))
            allowed = False
        return query, allowed

    def _good(self, schema: dict[str, Any]) -> str:
        dice = self._dice
        if "enum" in schema:
            return str(dice.choice(schema["enum"]))
        if schema.get("type") == "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 10**6)
            return str(dice.choice((low, high, dice.randint(low, high))))
        return str(dice.choice(("/cv", "click", "page_view", "2025-12-08")))

    def _body(self, path: str) -> bytes:
        if self._dice.random() < 0.3:
            return self._events.broken()
        if path.endswith("batch"):
            return json.dumps([self._events.event() for _ in range(self._dice.randrange(1, 5))]).encode()
        return json.dumps(self._events.event()).encode()


def _fits(value: str, schema: dict[str, Any]) -> bool:
    read: Any = value
    if schema.get("type") == "integer":
        if not re.fullmatch(r"[0-9]{1,12}", value):
            return False
        read = int(value)
    return not problems(read, schema, document())
