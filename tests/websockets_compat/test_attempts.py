"""Where an attempt to connect got to: past a redirect, to a proxy, or into a handshake."""

from __future__ import annotations

import asyncio

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from wslab.network.exchange import listening
from wslab.network.memory import MemoryNetwork
from wslab.websockets_compat import attempts


def test_a_connector_knows_where_it_is():
    async def main():
        async def elsewhere(connection, request):
            if request.path != "/from":
                return None
            response = connection.respond(302, "")
            response.headers["Location"] = "/to"
            return response

        async def handler(connection):
            await connection.wait_closed()

        async with serve(handler, "127.0.0.1", 80, process_request=elsewhere):
            connector = connect("ws://127.0.0.1/from", proxy="http://127.0.0.1:1")
            assert attempts.proxy_of(connector) == "http://127.0.0.1:1"
            connector = connect("ws://127.0.0.1/from", proxy=None)
            assert attempts.proxy_of(connector) is None
            async with connector as client:
                assert attempts.url_of(connector).endswith("/to")
                assert attempts.has_reached(connector, client)
            assert attempts.handshake_failure(client) is None

    with MemoryNetwork():
        asyncio.run(main())


def test_a_handshake_that_failed_says_of_what():
    async def main():
        made = []

        class Kept(websockets.ClientConnection):
            def connection_made(self, transport):
                super().connection_made(transport)
                made.append(self)

        async def greet(reader, writer):
            writer.write(b"SSH-2.0-OpenSSH\r\n")
            writer.close()

        async with listening(greet) as listener:
            url = f"ws://127.0.0.1:{listener.port}/"
            with pytest.raises((AssertionError, websockets.InvalidMessage)):
                await connect(url, proxy=None, create_connection=Kept)
        assert isinstance(attempts.handshake_failure(made[0]), websockets.InvalidMessage)

    with MemoryNetwork():
        asyncio.run(main())
