"""The OpenAPI 3.1 document: made from the types that answers are made of and the constants that requests are checked
with, so that it cannot promise anything else. Examples are instances of those types.

What a path can do is said here; tests compare the paths with the application's routes, and real answers with the
schemas.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import msgspec

from maicivy import __version__, reports
from maicivy.core.ports import Snapshot
from maicivy.web.openapi import wire
from maicivy.web.openapi.error_codes import CODES
from maicivy.web.openapi.parts import HEADERS, REF, TAGS, Json, example
from maicivy.web.openapi.paths import collect_paths, docs_paths, live_paths, ops_paths
from maicivy.web.openapi.queries import TYPES as QUERY_TYPES
from maicivy.web.openapi.queries import query_paths
from maicivy.web.openapi.reads import read_paths
from maicivy.web.openapi.seentics import TYPES as SEENTICS_TYPES
from maicivy.web.openapi.seentics import seentics_paths
from maicivy.web.openapi.sites import TYPES as SITE_TYPES
from maicivy.web.openapi.sites import site_paths

_TYPES: Final = (
    Snapshot,
    reports.RealtimeMeta,
    reports.Stats,
    reports.PeriodMeta,
    reports.ThemeViews,
    reports.ThemesMeta,
    reports.Letters,
    reports.TimelineEvent,
    reports.TimelineMeta,
    reports.HeatPoint,
    reports.HeatmapMeta,
    wire.EventBody,
    wire.SeenticsEvent,
    wire.SeenticsBatch,
    wire.BatchBody,
    wire.Tracked,
    wire.BatchTracked,
    wire.Failure,
    wire.NotReady,
    wire.Alive,
    wire.Ready,
    wire.Health,
    *wire.SERVER_MESSAGES,
    *SITE_TYPES,
    *QUERY_TYPES,
    *SEENTICS_TYPES,
    wire.Ask,
)


@cache
def document() -> Json:
    """The whole document, as a value to be shared and not changed."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=REF)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    schemas = example(schemas)  # defaults as JSON would have them
    schemas["ErrorCode"] = {
        "type": "string",
        "enum": list(CODES),
        "description": "Stable; none is ever given another meaning.",
        "x-meanings": {code: {"status": status, "meaning": text} for code, (status, text) in CODES.items()},
    }
    schemas["ErrorDetail"]["properties"]["code"] = {"$ref": REF.format(name="ErrorCode")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "maicivy",
            "version": __version__,
            "summary": "Self-hosted, privacy-first, real-time web analytics.",
            "description": "Success is `{success: true, data, meta}`, an error"
            " `{success: false, error: {code, message, field?}}`. Times are RFC 3339 in UTC. Unknown or malformed"
            " query parameters are errors. Every answer carries `X-Request-ID`, and takes one.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS],
        "paths": read_paths()
        | query_paths()
        | seentics_paths()
        | collect_paths()
        | live_paths()
        | site_paths()
        | ops_paths()
        | docs_paths(),
        "components": {
            "schemas": schemas,
            "headers": HEADERS,
            "securitySchemes": {
                "ingestToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`MAICIVY_INGEST_TOKEN`: its bearer may name a visitor's address and user agent, and"
                    " has no rate limit.",
                },
                "adminToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`MAICIVY_ADMIN_TOKEN`: its bearer may change sites and read those that are not"
                    " public.",
                },
            },
        },
    }
