"""Which requests are page views, by tables."""

from __future__ import annotations

import pytest

from maicivy.tracking.rules import NOT_PAGES, Paths, is_page

PAGE = {"REQUEST_METHOD": "GET"}


@pytest.mark.parametrize(
    ("environ", "status", "mimetype", "counts"),
    [
        ({}, 200, "text/html", True),
        ({}, 203, "text/html", True),
        ({}, 304, "text/html", True),
        ({}, 199, "text/html", False),
        ({}, 204, "text/html", False),
        ({}, 205, "text/html", False),
        ({}, 206, "text/html", False),
        ({}, 301, "text/html", False),
        ({}, 404, "text/html", False),
        ({}, 500, "text/html", False),
        ({}, 200, "application/json", False),
        ({}, 200, "application/xhtml+xml", False),
        ({}, 200, "", False),
        ({}, 200, None, False),
        ({"REQUEST_METHOD": "HEAD"}, 200, "text/html", False),
        ({"REQUEST_METHOD": "POST"}, 200, "text/html", False),
        ({"REQUEST_METHOD": "OPTIONS"}, 200, "text/html", False),
        ({"HTTP_SEC_FETCH_DEST": "document"}, 200, "text/html", True),
        ({"HTTP_SEC_FETCH_DEST": "empty"}, 200, "text/html", False),
        ({"HTTP_SEC_FETCH_DEST": "iframe"}, 200, "text/html", False),
        ({"HTTP_SEC_FETCH_DEST": "empty", "HTTP_HX_REQUEST": "true"}, 200, "text/html", False),
        (
            {"HTTP_SEC_FETCH_DEST": "empty", "HTTP_HX_REQUEST": "true", "HTTP_HX_BOOSTED": "true"},
            200,
            "text/html",
            True,
        ),
        ({"HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, 200, "text/html", False),
        ({"HTTP_TURBO_FRAME": "comments"}, 200, "text/html", False),
        ({"HTTP_UPGRADE": "WebSocket"}, 200, "text/html", False),
        ({"HTTP_PURPOSE": "prefetch"}, 200, "text/html", False),
        ({"HTTP_X_PURPOSE": "preview"}, 200, "text/html", False),
        ({"HTTP_X_MOZ": "prefetch"}, 200, "text/html", False),
        ({"HTTP_SEC_PURPOSE": "prefetch;prerender"}, 200, "text/html", False),
        ({"HTTP_SEC_PURPOSE": "Prefetch"}, 200, "text/html", False),
        ({"HTTP_SEC_PURPOSE": "something-new"}, 200, "text/html", True),
    ],
)
def test_a_page_is_html_that_somebody_was_shown(
    environ: dict[str, str], status: int, mimetype: str | None, counts: bool
) -> None:
    assert is_page(PAGE | environ, status, mimetype) is counts


@pytest.mark.parametrize(
    ("include", "exclude", "path", "allowed"),
    [
        ([], [], "/", True),
        ([], [], "/cv", True),
        ([], [], "/api/v1/things", False),
        ([], [], "/api", True),
        ([], [], "/apiary", True),
        ([], [], "/ws/analytics", False),
        *(([], [], path, False) for path in NOT_PAGES if "*" not in path),
        ([], [], "/health/insurance", True),
        ([], ["/admin*"], "/admin/users", False),
        ([], ["/admin*"], "/api/x", False),
        ([], ["/a.c"], "/abc", True),
        ([], ["*.php"], "/x/y.php", False),
        ([], ["*/edit"], "/blog/1/edit", False),
        (["/cv", "/blog/*"], [], "/cv", True),
        (["/cv", "/blog/*"], [], "/cv/", False),
        (["/cv", "/blog/*"], [], "/blog/", True),
        (["/cv", "/blog/*"], [], "/blog/2025/x", True),
        (["/cv", "/blog/*"], [], "/", False),
        (["/blog/*"], ["/blog/draft/*"], "/blog/draft/1", False),
        (["/api/docs"], [], "/api/docs", True),
        (["*"], [], "/metrics", True),
        ([], ["/d\u00e9but"], "/d\u00e9but", False),
        ([], ["/x*y"], "/x\ny", False),
    ],
)
def test_rules_decide_by_path(include: list[str], exclude: list[str], path: str, allowed: bool) -> None:
    assert Paths(include, exclude).allow(path) is allowed
