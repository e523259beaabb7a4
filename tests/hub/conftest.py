"""What a hub does over one link, it does over each: tests that listen run over each of them."""

from __future__ import annotations

import pytest

from tests.hub import rig

# What these are about is websockets' own: frames, deflaters, transports.
OF_WEBSOCKETS = {"test_prepared_message", "test_prepared_message_live", "test_websockets_link"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test that serves a hub with `listening` run over each link, but for what is marked."""
    is_theirs = (
        metafunc.module.__name__.rpartition(".")[2] in OF_WEBSOCKETS
        or metafunc.definition.get_closest_marker("websockets_only") is not None
    )
    if "listening" in metafunc.function.__code__.co_names and not is_theirs:
        metafunc.parametrize("carrier", rig.CARRIERS, indirect=True)


@pytest.fixture(autouse=True)
def carrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Say what carries the clients of this test: websockets' server, or uvicorn."""
    name: str = getattr(request, "param", rig.CARRIERS[0])
    monkeypatch.setattr(rig, "carrier", name)
    return name
