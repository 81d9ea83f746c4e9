"""`/dashboard` of an installation with one site: the page that waits for a first event; none where it is private."""

from __future__ import annotations

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.web import create_app


def test_an_installation_with_one_site_needs_no_list(settings: Settings) -> None:
    parts = build(settings)
    client = create_app(parts).test_client()
    listed = client.get("/api/v1/sites").json
    assert listed is not None
    name = listed["data"][0]["measurement_id"]
    moved = client.get("/dashboard?period=7d&f=is,event:page,%2F")
    assert (moved.status_code, moved.location) == (302, f"/dashboard/{name}?period=7d&f=is,event:page,%2F")
    new = client.get(moved.location.partition("?")[0])
    assert new.status_code == 200
    assert name in new.text  # in what is to be pasted
    parts.sites.set(1, {"is_public": False})
    parts.site_directory.forget()
    assert client.get("/dashboard").status_code == 403
    assert client.get("/dashboard/1").status_code == 403
    parts.close()
