"""The short way of send(), and what it looks at before it is taken."""

from __future__ import annotations

import asyncio

from websockets.asyncio.connection import Connection

from tests.websockets_compat.rig import run
from wslab.websockets_compat import sending


def test_a_full_transport_holds_drain_and_no_longer():
    async def script(connection, **_):
        sending.play_full(connection)
        sending.play_full(connection)
        assert connection.paused
        draining = asyncio.ensure_future(connection.drain())
        await asyncio.sleep(0.001)
        assert not draining.done()
        sending.play_writable(connection)
        sending.play_writable(connection)
        await draining
        assert not connection.paused

    run(script)


def test_a_message_in_fragments_is_seen_to_be_under_way():
    async def script(client, **_):
        assert not sending.is_sending(client)
        assert sending.takes_frame(client)
        more = asyncio.Event()

        async def parts():
            yield "a"
            await more.wait()
            yield "b"

        task = asyncio.ensure_future(client.send(parts()))
        await asyncio.sleep(0.001)
        assert sending.is_sending(client)
        assert not sending.takes_frame(client)
        more.set()
        await task
        assert not sending.is_sending(client)
        assert sending.takes_frame(client)

    run(script)


def test_send_can_be_gone_around():
    assert sending.sends_plainly(Connection)

    class Own(Connection):
        async def send(self, message, text=None):
            await super().send(message, text=text)

    assert not sending.sends_plainly(Own)
