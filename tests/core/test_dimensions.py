"""A digest stands for what was observed: for all of it, and for nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.dimensions import CLICK_IDS, Action, Client, Origin, Place, digest_of

EXAMPLES = [Client(), Place(), Origin(), Action(1, "click", "example.org", "/")]
FOLLOWING = {
    Client: {"screen", "browser", "browser_version", "os", "os_version", "device", "bot"},
    Origin: {"source", "channel", "bot"},
}


@pytest.mark.parametrize(
    ("value", "field"), [(value, field) for value in EXAMPLES for field in value.__struct_fields__]
)
def test_a_digest_changes_with_what_was_observed_and_not_with_what_follows(value: Any, field: str) -> None:
    other = msgspec.structs.replace(value, **{field: 2 if field == "site_id" else "other"})
    assert (other.digest == value.digest) == (field in FOLLOWING.get(type(value), ()))
    assert other != value


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_no_two_lists_of_texts_share_a_digest(one: list[str], other: list[str]) -> None:
    assert (digest_of(*one) == digest_of(*other)) == (one == other)


def test_digests_do_not_change_between_versions() -> None:
    assert digest_of().hex() == "cae66941d9efbd404e4d88758ea67670"
    assert Place("FR", "", "é").digest == digest_of("FR", "", "é")
    assert len(Client("Mozilla/5.0", "en", "1x1").digest) == 16


def test_click_ids_are_named_once_and_in_lower_case() -> None:
    assert len(set(CLICK_IDS)) == len(CLICK_IDS)
    assert all(name == name.lower() for name in CLICK_IDS)
