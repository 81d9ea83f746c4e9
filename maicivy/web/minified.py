"""Scripts and styles as they are served: minified, and without a comment, so that the source may have many.

The minifier leaves comments in front of statements, so they are taken out before. It renames nothing, and turns what it
finds into the syntax of ECMAScript 2021 (`a ||= b`, `catch {`): a script for older browsers has to be written around
that. What it cannot read it hands back as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import minify_html

_TOKEN: Final = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<slash>/)
    |(?P<word>[\w$]+)
    |(?P<space>\s+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_REGEX: Final = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/")
_TEMPLATE: Final = re.compile(r"(?:\\.|\$(?!\{)|[^\\`$])*(`|\$\{)", re.DOTALL)
_BEFORE_REGEX: Final = frozenset(
    {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do"}
)
_CSS_COMMENT: Final = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|/\*.*?\*/""", re.DOTALL)
_MODULE: Final = re.compile(r"^(?:import|export)\b", re.MULTILINE)
_PURE: Final = "/* @__PURE__ */"  # which the minifier writes for other minifiers
_END: Final = re.compile(r"</(?=script)", re.IGNORECASE)


def script(source: str) -> str:
    """JavaScript that does the same, a module where it imports or exports."""
    opening = "<script type=module>" if _MODULE.search(source) else "<script>"
    code = _END.sub(r"<\\/", without_comments(source))
    return _within(minify_html.minify(f"{opening}{code}</script>", minify_js=True)).replace(_PURE, "")


def style(source: str) -> str:
    """CSS that says the same."""
    code = _CSS_COMMENT.sub(lambda found: found[1] or " ", source)
    return _within(minify_html.minify(f"<style>{code}</style>", minify_css=True))


def without_comments(source: str) -> str:
    """JavaScript without its comments; what looks like one in a string, a template or a regular expression stays."""
    return "".join(_kept(source))


def _within(html: str) -> str:
    return html[html.index(">") + 1 : html.rindex("</")]


def _kept(source: str) -> Iterator[str]:
    braces: list[bool] = []  # of the open ones: whether a template goes on behind it
    before = ""  # the last piece that is neither space nor comment
    at = 0
    while found := _TOKEN.match(source, at):
        kind, piece = found.lastgroup, found[0]
        if kind == "comment":
            piece = "\n" if "\n" in piece else " "
        elif kind == "slash" and _may_be_regex(before) and (literal := _REGEX.match(source, at)):
            piece = literal[0]
        elif piece == "{":
            braces.append(False)
        elif piece == "`" or (piece == "}" and braces and braces.pop()):
            chunk = _TEMPLATE.match(source, found.end())
            if chunk is None:
                break
            piece += chunk[0]
            if chunk[1] == "${":
                braces.append(True)
        at = found.end() if kind == "comment" else at + len(piece)
        yield piece
        if kind not in ("comment", "space"):
            before = piece
    yield source[at:]


def _may_be_regex(before: str) -> bool:
    """Whether a slash behind a piece begins a regular expression instead of dividing by something."""
    return not before or before in _BEFORE_REGEX or before[-1] in "(,=:[!&|?{};+-*%~^<>"
