"""What handlers let through: kept within a bound, told, logged once."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import weakref

import pytest

from tests.hub.rig import aio, listening, speaking, until
from wslab.hub import Hub


class Odd(Exception):
    def __str__(self):
        return 404


@aio
async def test_an_exception_without_words(caplog):
    hub = Hub()

    @hub.on("odd")
    async def odd(client, data):
        raise Odd

    caplog.set_level(logging.ERROR, "wslab.hub")
    async with listening(hub) as url, speaking(url) as wire:
        answer = await wire.call("odd")
        assert answer == {"code": "failed", "message": "Odd: (its text raised TypeError)"}
        assert str(hub.errors[0]).startswith("Odd: (its text raised TypeError) (in ")
        assert "failed for client" in caplog.text
        assert [record.name for record in caplog.records] == ["wslab.hub"]
        caplog.clear()
        hub.errors.listen(lambda failure: None)  # as a server does that shows it
        await wire.call("odd")
        assert "failed for client" in caplog.text
        assert [record.name for record in caplog.records] == ["wslab.hub.shown"]


@pytest.mark.parametrize("configured", [False, True])
def test_a_failure_under_serve_is_logged_and_never_printed(configured):
    program = f"""
import logging, wslab
if {configured}:
    logging.basicConfig(level=logging.ERROR)
hub = wslab.Hub()
hub.on("fail", lambda client, data: 1 / 0)
with wslab.serve(hub) as server, wslab.connect(server) as alice:
    try:
        alice.call("fail")
    except wslab.errors.CallFailed:
        pass
    assert server.errors_seen == hub.errors_seen == 1
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("ZeroDivisionError") == configured


@aio
async def test_failed_handlers_keep_neither_clients_nor_what_they_held_in_memory():
    class Held:
        pass

    hub = Hub()
    alive = []

    @hub.on("x")
    async def fails(client, data):
        held = Held()
        alive.extend([weakref.ref(client), weakref.ref(held)])
        raise ValueError("x")

    @hub.on("y")
    def fails_on_a_thread(client, data):
        held = Held()
        alive.extend([weakref.ref(client), weakref.ref(held)])
        raise ValueError("y") from OSError("z")

    async with listening(hub) as url:
        for _ in range(5):
            async with speaking(url) as wire:
                await wire.call("x")
                await wire.call("y")
        await until(lambda: not hub.clients)
    gc.collect()
    assert [ref() for ref in alive if ref() is not None] == []
    assert len(alive) == 20
    assert [failure.kind for failure in hub.errors] == ["ValueError"] * 10
    assert "OSError: z" in hub.errors[-1].traceback


@pytest.fixture
def told():
    """What handlers were told, in order."""
    return []


@aio
async def test_the_text_of_a_failure_has_a_bound(told):
    hub = Hub()

    @hub.on("x")
    async def fails(client, data):
        raise ValueError(data * 1000)

    async with listening(hub) as url, speaking(url) as wire:
        for _ in range(60):
            answer = await wire.call("x", "y" * 10_000)
            assert len(answer["message"]) < 3_000
    assert hub.errors_seen == 60
    assert hub.errors.size_bytes < 2**20
