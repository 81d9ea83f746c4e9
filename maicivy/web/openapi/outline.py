"""The OpenAPI document as a docs page wants it: sections of operations, with every reference followed and every schema
flattened into rows."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from maicivy.web.openapi.parts import Json

MAX_DEPTH: Final = 4


class Row(NamedTuple):
    """One member of a message, or one parameter; `name` is its dotted path."""

    name: str
    kind: str
    required: bool
    limits: str
    text: str


class Status(NamedTuple):
    """One status an operation may answer with."""

    code: str
    text: str


class Sample(NamedTuple):
    """A message with its name."""

    name: str
    value: Any


class Operation(NamedTuple):
    """One method of one path."""

    anchor: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Row]
    body: list[Row]
    body_sample: Any
    command: str
    answer: list[Row]
    answer_sample: Any
    answer_is_json: bool
    statuses: list[Status]
    messages: list[Sample]
    asks: list[Any]


class Section(NamedTuple):
    """A tag and its operations."""

    name: str
    text: str
    operations: list[Operation]


class Code(NamedTuple):
    """An error code."""

    name: str
    status: int
    text: str


def outline(document: Json) -> Json:
    """`sections` and `codes` of a document made by `maicivy.web.openapi.document`."""
    sections = {tag["name"]: Section(tag["name"], tag["description"], []) for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            sections[operation["tags"][0]].operations.append(_operation(document, path, method, operation))
    meanings = document["components"]["schemas"]["ErrorCode"]["x-meanings"]
    codes = [Code(name, told["status"], told["meaning"]) for name, told in meanings.items()]
    return {"sections": list(sections.values()), "codes": codes}


def _operation(document: Json, path: str, method: str, operation: Json) -> Operation:
    parameters = [
        Row(
            given["name"],
            _kind(document, given["schema"]),
            given["required"],
            _limits(given["schema"]),
            given["description"],
        )
        for given in operation.get("parameters", ())
    ]
    sent = _content(operation.get("requestBody", {}))
    success = next(answer for status, answer in operation["responses"].items() if status < "300")
    answer = _content(success)
    live = operation.get("x-websocket", {"examples": {"server": [], "client": []}})
    body_schema = sent.get("schema", {})
    return Operation(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        text=operation["description"],
        parameters=parameters,
        body=_rows(document, body_schema.get("anyOf", [body_schema])[0]),
        body_sample=sent.get("example"),
        command=_query_of([each for each in operation.get("parameters", ()) if each["in"] == "query"]),
        answer=_rows(document, answer.get("schema", {})),
        answer_sample=answer.get("example"),
        answer_is_json="application/json" in success.get("content", {}),
        statuses=[Status(status, told["description"]) for status, told in operation["responses"].items()],
        messages=[Sample(sample["type"], sample) for sample in live["examples"]["server"]],
        asks=live["examples"]["client"],
    )


def _content(message: Json) -> Json:
    return next(iter(message.get("content", {}).values()), {})


def _query_of(parameters: Any) -> str:
    """A query string that shows the parameters worth showing."""
    shown = []
    for given in parameters:
        schema = given["schema"]
        if given["required"]:
            shown.append(f"{given['name']}={schema['enum'][0]}")
        elif given["name"] in ("page_url", "limit", "period"):
            shown.append(f"{given['name']}={schema.get('default', schema.get('examples', [''])[0])}")
    return f"?{'&'.join(shown)}" if shown else ""


def _follow(document: Json, schema: Json) -> Json:
    """The schema itself: references followed, and of `something or null` the something."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema and len(some := [each for each in schema["anyOf"] if each.get("type") != "null"]) == 1:
            schema = {name: value for name, value in schema.items() if name != "anyOf"} | some[0]
        else:
            return schema


def _rows(document: Json, schema: Json, prefix: str = "", depth: int = 0) -> list[Row]:
    schema = _follow(document, schema)
    if schema.get("type") == "array":
        return _rows(document, schema.get("items", {}), f"{prefix}[]", depth)
    rows: list[Row] = []
    for name, raw in schema.get("properties", {}).items():
        member = _follow(document, raw)
        path = f"{prefix}.{name}" if prefix else name
        required = name in schema.get("required", ())
        owned = raw if "$ref" not in raw else {}
        text = owned.get("description") or (member.get("description", "") if "properties" not in member else "")
        rows.append(Row(path, _kind(document, raw), required, _limits(member), text))
        if depth < MAX_DEPTH:
            rows += _rows(document, member, path, depth + 1)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict) and depth < MAX_DEPTH:
        rows += _rows(document, extra, f"{prefix}.*", depth + 1)
    return rows


def _kind(document: Json, schema: Json) -> str:
    followed = _follow(document, schema)
    nullable = any(each.get("type") == "null" for each in (*schema.get("anyOf", ()), *followed.get("anyOf", ())))
    if "const" in followed:
        kind = f"always {str(followed['const']).lower()}"
    elif "anyOf" in followed:
        kind = " or ".join(each["type"] for each in followed["anyOf"] if each["type"] != "null")
    elif followed.get("type") == "array":
        kind = f"array of {_kind(document, followed['items'])}" if "items" in followed else "array"
    else:
        kind = followed.get("format") or followed.get("type", "string")
    return f"{kind} or null" if nullable else kind


def _limits(schema: Json) -> str:
    told = []
    if "enum" in schema and len(schema["enum"]) <= 6:
        told.append(" | ".join(str(value).lower() for value in schema["enum"]))
    if "minimum" in schema and "maximum" in schema:
        told.append(f"{schema['minimum']} to {schema['maximum']}")
    for name, text in (
        ("maxLength", "at most {} characters"),
        ("maxItems", "at most {} items"),
        ("maxProperties", "at most {} members"),
        ("pattern", "matches {}"),
    ):
        if name in schema:
            told.append(text.format(schema[name]))
    if schema.get("default") is not None:
        told.append(f"default {schema['default']}")
    return ", ".join(told)
