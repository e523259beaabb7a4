"""No test of a lesson leaves a server, a client or a loop to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import wslab


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    wslab.shutdown()
