"""What every test of the client asserts besides."""

from __future__ import annotations

import pytest

from tests import peers


@pytest.fixture(autouse=True)
def nothing_printed(capfd, caplog):
    yield
    assert [str(record) for record in peers.printed(caplog)] == []
    assert tuple(capfd.readouterr()) == ("", "")
