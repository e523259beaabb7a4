"""An application is told of its start and its end, and may fail to start."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from tests.server.asgi_rig import application, get, start
from wslab.server import lifespan


def living(log, *, fails="", **state):
    async def live(scope, receive, send):
        if scope["type"] != "lifespan":
            await start(send)
            await send({"type": "http.response.body", "body": repr(scope["state"]).encode()})
            return
        scope["state"].update(state)
        for what in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{what}"
            log.append(what)
            if fails == what:
                await send({"type": f"lifespan.{what}.failed", "message": "no database"})
                raise ConnectionError("no database")
            await send({"type": f"lifespan.{what}.complete"})

    return live


def test_it_starts_before_and_ends_after_and_keeps_a_state():
    log = []
    with wslab.serve(living(log, x=1)) as server:
        assert log == ["startup"]
        assert get(server)[1] == b"{'x': 1}"
        server.restart()
        assert log == ["startup", "shutdown", "startup"]
    assert log[3:] == ["shutdown"]
    assert not server.errors


def test_a_failure_to_start_is_raised():
    with pytest.raises(RuntimeError, match="could not start: no database") as failed:
        wslab.serve(living([], fails="startup"))
    assert isinstance(failed.value.__cause__, ConnectionError)
    assert not any(thing.name == "live" for thing in wslab.running())


def test_a_failure_to_end_is_recorded():
    with wslab.serve(living([], fails="shutdown")) as server:
        pass
    assert "no database" in str(server.errors[-1])
    assert server.errors[-1].where == "lifespan"


def test_who_knows_no_lifespan_is_served():
    with wslab.serve(application) as server:
        assert get(server)[0] == 200
        assert not server.errors


def test_who_fails_after_it_was_asked_is_served_and_recorded():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            raise OSError("disk full")
        await start(send)
        await send({"type": "http.response.body"})

    with wslab.serve(app) as server:
        assert get(server)[0] == 200
        assert "disk full" in str(server.errors[-1])


def test_waits_have_a_bound(monkeypatch):
    monkeypatch.setattr(lifespan, "STARTUP_S", 0.05)
    monkeypatch.setattr(lifespan, "SHUTDOWN_S", 0.05)

    async def slow(scope, receive, send):
        await receive()
        if scope.get("ready"):
            await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    async def slow_to_end(scope, receive, send):
        await slow({"ready": True}, receive, send)

    with pytest.raises(RuntimeError, match="has not said"):
        wslab.serve(slow)
    with wslab.serve(slow_to_end) as server:
        pass
    assert "did not end its lifespan" in str(server.errors[-1])
