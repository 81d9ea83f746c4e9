"""As much of JSON Schema as maicivy's OpenAPI document uses, read strictly: an object may have no member that its
schema does not name. Any keyword that is not known here is an error, so that none goes unchecked."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_IGNORED = {"title", "description", "default", "examples", "format", "x-meanings"}


def problems(value: Any, schema: dict[str, Any], document: dict[str, Any], where: str = "$") -> list[str]:
    """What is wrong with `value`; nothing, if it is valid."""
    if "$ref" in schema:
        return problems(value, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document, where)
    found: list[str] = []
    for keyword, rule in schema.items():
        if keyword in _IGNORED or (keyword in ("required", "additionalProperties") and not isinstance(value, dict)):
            continue
        found += [f"{where}: {text}" for text in _broken(keyword, rule, value)]
        if keyword == "anyOf" and all(problems(value, each, document, where) for each in rule):
            found.append(f"{where}: none of {len(rule)} alternatives")
        elif keyword == "items" and isinstance(value, list):
            for index, item in enumerate(value):
                found += problems(item, rule, document, f"{where}[{index}]")
        elif keyword == "propertyNames" and isinstance(value, dict):
            for name in value:
                found += problems(name, rule, document, f"{where}.{name}")
    if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        found += _members(value, schema, document, where)
    return found


def _members(value: dict[str, Any], schema: dict[str, Any], document: dict[str, Any], where: str) -> list[str]:
    found = []
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", False)
    for name, item in value.items():
        if name in properties:
            found += problems(item, properties[name], document, f"{where}.{name}")
        elif isinstance(rest, dict):
            found += problems(item, rest, document, f"{where}.{name}")
        else:
            found.append(f"{where}.{name}: unknown member")
    return found


def _broken(keyword: str, rule: Any, value: Any) -> list[str]:
    match keyword:
        case "type":
            fits = isinstance(value, _TYPES[rule]) and not (isinstance(value, bool) and rule in ("integer", "number"))
            return [] if fits else [f"{value!r} is no {rule}"]
        case "enum":
            return [] if value in rule else [f"{value!r} is not among {rule}"]
        case "const":
            return [] if value == rule else [f"{value!r} is not {rule!r}"]
        case "required":
            return [f"{name} is missing" for name in rule if name not in value]
        case "pattern":
            # In ECMA-262, whose patterns JSON Schema has, $ is the end and never stands before a last line break.
            fits = not isinstance(value, str) or re.search(re.sub(r"\$$", r"\\Z", rule), value)
            return [] if fits else [f"{value!r} does not match {rule}"]
        case "minimum" | "maximum":
            if not isinstance(value, int | float) or (value >= rule if keyword == "minimum" else value <= rule):
                return []
            return [f"{value} is beyond {rule}"]
        case "maxLength" | "minLength" | "maxItems" | "minItems" | "maxProperties":
            kind = {"Length": str, "Items": list, "Properties": dict}[keyword[3:]]
            if not isinstance(value, kind) or (len(value) <= rule if keyword[:3] == "max" else len(value) >= rule):
                return []
            return [f"{keyword} {rule}, not {len(value)}"]
        case "properties" | "additionalProperties" | "items" | "anyOf" | "propertyNames":
            return []
    return [f"unknown keyword {keyword}"]
