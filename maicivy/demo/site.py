"""The demo's Flask application: a landing page that shows the numbers move, a CV by theme, projects, letters.

`/cv?theme=...` and `/letters` are the pages of seed 001. Everything is rendered on the server and works without
scripts: one fills the live page, and maicivy's own tells what only a browser can.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from flask import Flask, Response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from maicivy.core.gate import Gate
from maicivy.core.senders import asks_not_to_be_tracked
from maicivy.demo import cv, letters
from maicivy.errors import Refusal
from maicivy.tracking import Analytics, hits

STATIC: Final = Path(__file__).with_name("static")
_HEADERS: Final = {
    # localhost beside 'self': examples of the documentation say that, the address bar may say 127.0.0.1.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self' ws://localhost:* ws://127.0.0.1:*; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def create_site(**options: Any) -> Flask:
    """The site, hooked; `options` are those of `maicivy.tracking.Analytics`.

    Raises:
        SettingsError: when the options are not usable.
    """
    site = Flask(__name__, static_url_path="/demo/static")
    site.config["MAX_CONTENT_LENGTH"] = 16 << 10
    site.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600
    site.jinja_env.trim_blocks = site.jinja_env.lstrip_blocks = True
    analytics = Analytics(site, **options)
    respect_dnt = bool(options.get("respect_dnt", True))
    versions = {path.name: _digest(path) for path in STATIC.iterdir()}
    _add_pages(site)
    _add_letters(site, analytics)

    @site.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> tuple[str, int]:
        return render_template("missing.html", what=error.description or error.name), error.code or 500

    @site.context_processor
    def common() -> dict[str, Any]:
        return {
            "name": cv.NAME,
            "themes": cv.THEMES.values(),
            "kinds": letters.KINDS,
            "roles": letters.ROLES,
            "recorded": recorded(respect_dnt=respect_dnt),
            "asset": lambda name: url_for("static", filename=name, v=versions[name]),
        }

    @site.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(_HEADERS)
        if response.mimetype == "text/html":
            response.headers["Cache-Control"] = "no-cache"
        return response

    return site


def _add_pages(site: Flask) -> None:
    @site.get("/")
    def index() -> str:
        return render_template("index.html")

    @site.get("/cv")
    def show_cv() -> str | tuple[str, int]:
        key = request.args.get("theme", cv.DEFAULT)
        if key not in cv.THEMES:
            return render_template("missing.html", what=f"There is no theme \u201c{key[:40]}\u201d."), 404
        return render_template("cv.html", page=cv.arranged(key))

    @site.get("/projects")
    def show_projects() -> str:
        return render_template("projects.html", projects=cv.PROJECTS)

    @site.get("/projects/<project_name>")
    def show_project(project_name: str) -> str | tuple[str, int]:
        project = cv.PROJECT_BY_NAME.get(project_name)
        if project is None:
            return render_template("missing.html", what="There is no such project."), 404
        return render_template("project.html", project=project)


def _add_letters(site: Flask, analytics: Analytics) -> None:
    @site.get("/letters")
    def show_letters() -> str | tuple[str, int]:
        if "kind" not in request.args:
            return render_template("letters.html", letter=None)
        return _letter_page(request.args.get("kind", ""), _company(request.args), request.args.get("role", ""))

    @site.post("/letters")
    def write_letter() -> Any:
        kind, company, role = request.form.get("kind", ""), _company(request.form), request.form.get("role", "")
        if _letter(kind, company, role) is None:
            return _letter_page(kind, company, role)
        analytics.track("letter_generated", {"type": kind, "role": role})
        return redirect(url_for("show_letters", kind=kind, role=role, company=company), 303)


def recorded(*, respect_dnt: bool) -> str | None:
    """What the hook takes of the current page view, as JSON for people; None when it takes nothing."""
    environ = request.environ
    if respect_dnt and asks_not_to_be_tracked(environ):
        return None
    now = datetime.now(UTC)
    gate = Gate(now, timedelta(days=1), frozenset({"theme"}))
    try:
        event = hits.draft(hits.page_view(environ, "", now.timestamp()), uuid4(), gate, "theme")
    except Refusal:
        return None
    shown = {"event_type": event.event_type, "event_data": event.event_data, "page_url": event.page_url}
    if event.referrer:
        shown["referrer"] = event.referrer
    return json.dumps(shown, indent=2, ensure_ascii=False)


def _company(values: Any) -> str:
    return " ".join(str(values.get("company", "")).split())


def _letter(kind: str, company: str, role: str) -> letters.Letter | None:
    try:
        return letters.write(kind, company, role)
    except (KeyError, ValueError):
        return None


def _letter_page(kind: str, company: str, role: str) -> tuple[str, int]:
    letter = _letter(kind, company, role)
    page = render_template("letters.html", letter=letter, kind=kind, company=company[:200], role=role)
    return page, 200 if letter is not None else 400


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()
