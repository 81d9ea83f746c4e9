"""A page of somebody's site, a template with a table in it; with the tracking hook when BENCH_REDIS_URL is set."""

from __future__ import annotations

import os

from flask import Flask, render_template_string

from maicivy.tracking import Analytics

PAGE = """<!doctype html><title>{{ title }}</title><h1>{{ title }}</h1>
<table>{% for row in rows %}<tr><td>{{ row }}</td><td>{{ row * row }}</td></tr>{% endfor %}</table>"""

application = Flask(__name__)
if url := os.environ.get("BENCH_REDIS_URL"):
    Analytics(application, redis_url=url, secret_key=os.environ["BENCH_SECRET_KEY"])


@application.get("/cv")
def cv() -> str:
    return render_template_string(PAGE, title="Curriculum vitae", rows=range(20))
