"""Click ids in URLs: which of several counts, whatever their case."""

from __future__ import annotations

import pytest

from maicivy.core.circumstances import click_id_of
from maicivy.core.dimensions import CLICK_IDS


@pytest.mark.parametrize(
    ("url", "click_id"),
    [
        ("", ""),
        ("/cv", ""),
        ("/cv?", ""),
        ("/cv?gclid=abc", "gclid"),
        ("/cv?gclid", "gclid"),
        ("https://example.org/?a=b&msclkid=1", "msclkid"),
        ("/cv?ScCid=1", "sccid"),
        ("/cv?GCLID=1", "gclid"),
        ("/cv?fbclid=1&gclid=2", "gclid"),
        ("/cv?gclid=2&fbclid=1", "gclid"),
        ("/cv?xgclid=1&gclidx=2", ""),
        ("/cv?a=gclid", ""),
        ("/gclid=1", ""),
        ("/cv#?gclid=1", ""),
        ("/cv?a=1#&gclid=1", ""),
        ("/cv?mſclkid=1", ""),
    ],
)
def test_a_click_id_is_a_parameter_and_of_several_the_one_that_says_the_most(url: str, click_id: str) -> None:
    assert click_id_of(url) == click_id


def test_every_click_id_is_found() -> None:
    assert [click_id_of(f"/?{name}=x") for name in CLICK_IDS] == list(CLICK_IDS)
