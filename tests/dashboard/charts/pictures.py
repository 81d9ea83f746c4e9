"""What the tests of charts share: how a picture is read, and hostile text to put into it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from markupsafe import Markup

HOSTILE = (
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onclick='alert(1)",
    "]]>--><!--",
    "&amp;&lt;&#0;",
    "\u202egnp.exe",
    "javascript:alert(1)",
    "x" * 2000,
)


def parsed(markup: Markup) -> ET.Element:
    """The tree of a picture that keeps the rules of every page: well-formed, no script, no inline style."""
    assert isinstance(markup, Markup)
    tree = ET.fromstring(markup)
    for element in tree.iter():
        assert element.tag not in {"script", "style", "foreignObject", "image"}
        for name in element.attrib:
            assert name != "style"
            assert not name.startswith("on")
    return tree


def all_of(tree: ET.Element, tag: str, of_class: str = "") -> list[ET.Element]:
    """Elements by tag that have a class."""
    return [e for e in tree.iter(tag) if not of_class or of_class in e.get("class", "").split()]


def text_of(element: ET.Element) -> str:
    """All text within."""
    return "".join(element.itertext())


def points_of(path: str) -> list[tuple[float, float]]:
    """The places that a path of the commands M, l, h, H, V and z goes through."""
    x = y = start_x = start_y = 0.0
    places = []
    for command, text in re.findall(r"([MlhHVz])([^MlhHVz]*)", path):
        numbers = [float(n) for n in re.findall(r"-?\d*\.?\d+", text)]
        steps: list[tuple[float, float]] = []
        match command:
            case "M":
                (steps,) = ([(numbers[0] - x, numbers[1] - y)],)
                start_x, start_y = numbers[0], numbers[1]
            case "l":
                steps = list(zip(numbers[::2], numbers[1::2], strict=True))
            case "h":
                steps = [(numbers[0], 0)]
            case "H":
                steps = [(numbers[0] - x, 0)]
            case "V":
                steps = [(0, numbers[0] - y)]
            case "z":
                steps = [(start_x - x, start_y - y)]
        for dx, dy in steps:
            x, y = x + dx, y + dy
            places.append((x, y))
    assert places
    return places


def box_of(svg: ET.Element) -> tuple[float, float]:
    """Width and height of a picture's box."""
    left, top, width, height = map(float, svg.get("viewBox", "").split())
    assert (left, top) == (0, 0)
    return width, height
