"""Who sent a request: as many proxies are believed as there are, and who asks not to be tracked is heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.senders import asks_not_to_be_tracked, client_address, client_scheme


@pytest.mark.parametrize(
    ("environ", "asks"),
    [
        ({}, False),
        ({"HTTP_DNT": "1"}, True),
        ({"HTTP_DNT": "0"}, False),
        ({"HTTP_SEC_GPC": "1"}, True),
        ({"HTTP_SEC_GPC": "?1"}, False),
    ],
)
def test_dnt_and_gpc_are_recognised(environ: dict[str, str], asks: bool) -> None:
    assert asks_not_to_be_tracked(environ) is asks


@pytest.mark.parametrize(
    ("forwarded", "trusted", "scheme"),
    [
        (None, 0, "http"),
        ("https", 0, "http"),
        ("https", 1, "https"),
        ("HTTPS", 1, "https"),
        ("http, https", 1, "https"),
        ("http, https", 2, "http"),
        ("https", 2, "https"),
        ("javascript", 1, "http"),
        (" , ", 1, "http"),
        (None, 1, "http"),
    ],
)
def test_tls_may_end_at_a_proxy_that_is_trusted(forwarded: str | None, trusted: int, scheme: str) -> None:
    environ = {"wsgi.url_scheme": "http"} | ({} if forwarded is None else {"HTTP_X_FORWARDED_PROTO": forwarded})
    assert client_scheme(environ, trusted) == scheme


@pytest.mark.parametrize(
    ("forwarded", "trusted", "address"),
    [
        (None, 0, "192.0.2.1"),
        ("203.0.113.7", 0, "192.0.2.1"),
        ("203.0.113.7", 1, "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", 1, "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.0.0.1", 2, "203.0.113.7"),
        ("203.0.113.7", 3, "203.0.113.7"),
        (" , ", 1, "192.0.2.1"),
        ("203.0.113.7:50001", 1, "203.0.113.7"),
        ("2001:db8::1", 1, "2001:db8::1"),
        ("[2001:db8::1]:50001", 1, "2001:db8::1"),
        ("[2001:db8::1]", 1, "2001:db8::1"),
        (None, 1, "192.0.2.1"),
    ],
)
def test_as_many_proxies_are_believed_as_there_are(forwarded: str | None, trusted: int, address: str) -> None:
    environ = {"REMOTE_ADDR": "192.0.2.1"} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded is not None else {})
    assert client_address(environ, trusted) == address


def test_a_request_over_a_unix_socket_has_no_address() -> None:
    assert client_address({}, 0) == client_address({"REMOTE_ADDR": None}, 1) == ""


proxies = st.lists(st.ip_addresses().map(str), min_size=1, max_size=4)
spaces = st.sampled_from([",", ", ", " , ", ",,"])


@given(st.text(), spaces, proxies)
def test_whatever_a_client_claims_the_last_proxies_are_believed(claimed: str, space: str, told: list[str]) -> None:
    environ = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": claimed + space + space.join(told)}
    assert client_address(environ, len(told)) == told[0]


@given(st.text(), st.integers(0, 20))
def test_no_header_is_too_strange(claimed: str, trusted: int) -> None:
    address = client_address({"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": claimed}, trusted)
    assert address == "192.0.2.1" or address in claimed
    assert "," not in address
