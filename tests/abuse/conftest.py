"""One maicivy for the short forms that do not need it in a state of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.abuse.scenario import Finding
from tests.abuse.target import Target, abused


@pytest.fixture(scope="package")
def target() -> Iterator[Target]:
    """A running maicivy without a rate limit; when all are done, its accounts and logs are looked at."""
    finding = Finding()
    with abused(finding) as target:
        yield target
    assert finding.breaches == []
