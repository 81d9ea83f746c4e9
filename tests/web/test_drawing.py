"""How pages leave the server; what is in them is tested in test_dashboard.py."""

from __future__ import annotations

from maicivy.web.drawing import own_path


def test_a_form_leads_to_pages_of_ours_only() -> None:
    for path in ("/dashboard", "/dashboard/a.test?f=is,event:page,%2F", "/live", "/live/1"):
        assert own_path(path) == path
    strange = (
        "",
        "//evil.test",
        "https://evil.test",
        "/\\evil.test",
        "/dashboard\\@x",
        "/dashboard\r\nX: y",
        "/live x",
    )
    for path in (*strange, "/dashboards", "/api/v1/sites"):
        assert own_path(path) == "/dashboard"
