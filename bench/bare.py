"""The reference for collecting: a Flask route that parses the same JSON and answers as long, and does nothing else."""

from __future__ import annotations

from flask import Flask, Response, request

application = Flask(__name__)


@application.post("/event")
def event() -> Response:
    kind = request.get_json(force=True)["event_type"]
    body = '{"success":true,"message":"Event tracked successfully","id":"00000000-0000-7000-8000-000000000000"}'
    return Response(body if kind else "", 202, content_type="application/json")
