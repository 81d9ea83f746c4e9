"""`/dashboard`: pages of figures for people, complete without a script, and parts of them for the script that keeps
them alive. What is shown is asked for in `maicivy/dashboard/`; here are its addresses, and who may see it.
"""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import parse_qsl, quote

import msgspec
from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from maicivy.core.identity import client_key
from maicivy.core.query import PROPERTY
from maicivy.core.senders import client_address
from maicivy.core.sites import Site
from maicivy.dashboard import details, links, onboarding, sites
from maicivy.dashboard.asking import PARTS, Asking
from maicivy.dashboard.panels import PANELS, PanelSpec
from maicivy.dashboard.parameters import condition, read_condition, read_view
from maicivy.dashboard.view import View
from maicivy.errors import RateLimited, Refusal
from maicivy.logs import REQUEST_ID
from maicivy.web import drawing, errors
from maicivy.web.bodies import read_body
from maicivy.web.context import is_secure, origin, parts
from maicivy.web.drawing import drawn, formats_of, in_language_of, locked, moved
from maicivy.web.reports import csv_bytes
from maicivy.web.sites import is_admin, is_token, readable_site
from maicivy.web.unlocking import lock, unlock

MAX_FORM_BYTES: Final = 4096
REFRESH_S: Final = 15
"""A page that could not be had is asked for again: a screen on a wall has nobody who would."""

_EXTENSION: Final = "maicivy_asking"
_FORM: Final = ("fop", "fdim", "fprop", "fval", "fold")
"""Fields of the form that adds a filter; `fold` is one that goes for it."""

_STATUS: Final = {"unknown_site": 404}

log = logging.getLogger(__name__)

blueprint = Blueprint("dashboard", __name__, template_folder="templates")


def init_app(app: Flask) -> None:
    """Add the pages."""
    maicivy = app.extensions["maicivy"]
    app.extensions[_EXTENSION] = Asking(maicivy.queries, maicivy.reports, maicivy.samples, maicivy.settings.timezone)
    drawing.init_app(app)
    app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _unrouted)


@blueprint.get("/dashboard")
def start() -> Response:
    """The only site there is to see, or a list of them."""
    seen = _sites()
    if len(seen) == 1:
        query = request.query_string.decode("ascii", "replace")
        return moved(f"{links.site_path(seen[0])}{'?' if query else ''}{query}")
    if not seen:
        return locked(401 if parts().settings.admin_token else 403, "", _here())
    view = read_view(_pairs())
    summaries = sites.listed(parts().queries, parts().counters, seen, parts().now(), parts().settings.timezone)
    return drawn("sites", view, is_private=True, sites=summaries)


@blueprint.get("/dashboard/<reference>")
def site(reference: str) -> Response:
    """The dashboard of a site; with `parts`, only those parts of it."""
    shown = _readable(reference)
    path = links.site_path(shown)
    view = read_view(_pairs(), ("parts", *_FORM))
    if "fdim" in request.args:
        return moved(_filtered(view).url(path))
    wanted = _parts()
    if wanted is None and any(not text for _, text in _pairs()):
        return moved(view.url(path))  # a form was sent with fields left empty
    page = _asking().page(view, shown, _sites(), parts().now(), formats_of(view).value, wanted or PARTS)
    is_private = not shown.is_public
    if wanted is not None:
        return drawn("parts", view, is_private=is_private, page=page, path=path, parts=wanted)
    snippets = onboarding.snippets(origin(), shown) if page.state == "new" else ()
    return drawn("page", view, is_private=is_private, page=page, path=path, snippets=snippets)


@blueprint.get("/dashboard/<reference>/details/<panel>")
def panel_details(reference: str, panel: str) -> Response:
    """A panel in full."""
    shown, spec = _readable(reference), _panel(panel)
    view = read_view(_pairs(), details.NAMES)
    listing = details.read_listing(_pairs(), spec)
    path = links.site_path(shown)
    name = formats_of(view).value
    questions = _asking().questions(shown, view, parts().now())
    found = details.details(_asking().lists(questions, shown, view, name), spec, listing, view, shown)
    return drawn(
        "details",
        view,
        is_private=not shown.is_public,
        details=found,
        period=questions.period(),
        chips=links.chips(view, path, name),
        timezone=str(questions.zone),
        site_name=links.site_name(shown),
        path=f"{path}/details/{spec.key}",
        back_url=view.url(path) or path,
        hidden_pairs=[*view.pairs(), *listing.pairs("search", "page")],
    )


@blueprint.get("/dashboard/<reference>/export/<panel>.csv")
def export(reference: str, panel: str) -> Response:
    """A panel as a file."""
    shown, spec = _readable(reference), _panel(panel)
    view = read_view(_pairs(), details.NAMES)
    listing = details.read_listing(_pairs(), spec)
    name = formats_of(view).value
    questions = _asking().questions(shown, view, parts().now())
    lists = _asking().lists(questions, shown, view, name)
    table = details.table(lists, spec, listing, questions, shown, name)
    response = Response(csv_bytes(table), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="maicivy-{table.name}.csv"'
    return drawing.kept_by_nobody_else(response, is_private=not shown.is_public)


@blueprint.get("/dashboard/<reference>/moments")
def moments(reference: str) -> Response:
    """The timeline from somewhere on; with `parts=moments`, its list alone."""
    shown = _readable(reference)
    view = read_view(_pairs(), ("before", "parts"))
    for name in ("before", "parts"):
        if len(request.args.getlist(name)) > 1:
            raise Refusal("repeated_parameter", f"{name} is given twice", name)
    if request.args.get("parts", "moments") != "moments":
        raise Refusal("invalid_parameter", "parts must be moments here", "parts")
    questions = _asking().questions(shown, view, parts().now())
    found = _asking().moments(questions, shown, view, request.args.get("before", ""))
    path = links.site_path(shown)
    return drawn(
        "moments_list" if "parts" in request.args else "moments",
        view,
        is_private=not shown.is_public,
        extras=found,
        site_name=links.site_name(shown),
        path=f"{path}/moments",
        back_url=view.url(path) or path,
        timezone=str(questions.zone),
    )


@blueprint.get("/dashboard/unlock")
def ask_for_token() -> Response:
    """The form that takes the admin token, for whoever wants to see more than what is public."""
    following = read_view(_pairs()).url(drawing.START)
    return locked(200 if parts().settings.admin_token else 403, "", following)


@blueprint.post("/dashboard/unlock")
def take_token() -> Response:
    """Takes the admin token of a form, and lets the browser read what is not public for a while."""
    form = _posted()
    following = drawing.own_path(form.get("next", ""))
    if parts().settings.admin_token is None:
        return locked(403, "", following)
    address = client_address(request.environ, parts().settings.trusted_proxies)
    client = client_key(parts().salts.current(parts().now()), address)
    try:
        parts().guesses.note(client)
    except RateLimited as error:
        response = locked(429, "rate_limited", following)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    if not is_token(parts(), form.get("token", "")):
        return locked(401, "unauthorized", following)
    parts().guesses.forget(client)
    response = moved(following)
    unlock(response, parts().settings, parts().now(), is_secure())
    return response


@blueprint.post("/dashboard/lock")
def give_back() -> Response:
    """Forgets that the browser may read what is not public."""
    _posted()
    response = moved(drawing.START)
    lock(response, is_secure())
    return response


@blueprint.errorhandler(Exception)
def failed(error: Exception) -> Response:
    """Any error as a page, or the form that opens what is locked."""
    answer = errors.answer(error)
    if answer.status_code < 400:
        return answer
    told = msgspec.json.decode(answer.get_data())["error"]
    if isinstance(error, Refusal) and error.code in ("unauthorized", "forbidden"):
        return locked(answer.status_code, "", _here())
    try:
        response = drawn(
            "error",
            in_language_of(_here()),
            is_private=True,
            to_language=drawing.towards_language(_here()),
            status=_STATUS.get(told["code"], answer.status_code),
            code=told["code"],
            message=told["message"],
            field=told.get("field", ""),
            request_id=REQUEST_ID.get(),
            home_url=_way_out(answer.status_code),
        )
    except Exception:  # an edge: then at least in the one error shape
        log.exception("error_page_failed")
        return answer
    if "Retry-After" in answer.headers:
        response.headers["Retry-After"] = answer.headers["Retry-After"]
    if response.status_code == 503 and request.method == "GET":
        response.headers["Refresh"] = str(REFRESH_S)
    return response


def _unrouted(error: HTTPException) -> Response:
    """Where no route leads, a browser gets a page below our paths, and the one error shape elsewhere."""
    is_page = drawing.own_path(request.path) == request.path and "text/html" in request.headers.get("Accept", "")
    return failed(error) if is_page else errors.answer(error)


def _way_out(status: int) -> str:
    """From a view that does not exist, that of the same site which does."""
    reference = (request.view_args or {}).get("reference")
    return f"{drawing.START}/{quote(reference, safe='')}" if status == 400 and reference else drawing.START


def _asking() -> Asking:
    asking: Asking = current_app.extensions[_EXTENSION]
    return asking


def _pairs() -> list[tuple[str, str]]:
    return list(request.args.items(multi=True))


def _here() -> str:
    return request.full_path.rstrip("?")


def _readable(reference: str) -> Site:
    return readable_site(parts(), request.environ, reference, "site")


def _sites() -> list[Site]:
    """All that whoever asks may see, by name."""
    book = parts().site_directory.book(parts().now())
    everything = any(not each.is_public for each in book) and is_admin(parts(), request.environ)
    return sorted((each for each in book if everything or each.is_public), key=links.site_name)


def _panel(key: str) -> PanelSpec:
    if key not in PANELS:
        raise Refusal("not_found", "there is no such panel")
    return PANELS[key]


def _parts() -> list[str] | None:
    """The parts that are asked for alone; None for the whole page."""
    given = request.args.getlist("parts")
    if not given:
        return None
    if len(given) > 1:
        raise Refusal("repeated_parameter", "parts is given twice", "parts")
    wanted = given[0].split(",")
    if len(set(wanted)) != len(wanted) or any(part not in PARTS for part in wanted):
        raise Refusal("invalid_parameter", f"parts must be some of {', '.join(PARTS)}, each once", "parts")
    return wanted


def _filtered(view: View) -> View:
    """The view with the filter of a form in it; the view as it is, where no dimension was chosen."""
    given = {name: request.args.getlist(name) for name in _FORM}
    for name, texts in given.items():
        if len(texts) > 1 and name != "fval":
            raise Refusal("repeated_parameter", f"{name} is given twice", name)

    def one(name: str) -> str:
        return given[name][0].strip() if given[name] else ""

    if one("fold"):
        view = view.without_filter(read_condition(one("fold"), "fold"))
    dimension, operator = one("fdim"), one("fop") or "is"
    if not dimension:
        return view
    if dimension == PROPERTY:
        dimension += one("fprop")
    values = [text.strip() for text in given["fval"]] or [""]
    if operator in ("is", "is_not"):
        meant = formats_of(view).meant
        values = [meant(dimension, text) for text in values]
    if operator not in ("is", "is_not") and not all(values):
        raise Refusal("invalid_parameter", f"fval must say something for {operator}", "fval")
    return view.with_filter(condition(operator, dimension, values, "fval"))


def _posted() -> dict[str, str]:
    """The fields of a form that a page of this host sent.

    Raises:
        Refusal: `not_found` for one of another host; what `read_body` raises.
    """
    origin = request.headers.get("Origin", "null")
    if origin not in ("null", f"http://{request.host}", f"https://{request.host}"):
        raise Refusal("not_found", "forms of other hosts are not taken")
    body = read_body(request.environ, MAX_FORM_BYTES).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=10))
    except ValueError as error:
        raise Refusal("invalid_body", "the form has too many fields") from error
