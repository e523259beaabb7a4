"""How a connection and a server end: whose end it was, and who is ended."""

from __future__ import annotations

import pytest
import websockets
from websockets.protocol import State

from tests.websockets_compat.rig import run
from wslab.websockets_compat import endings


def test_the_state_and_the_close_frames_tell_who_closed():
    async def script(connection, client, **_):
        protocol = connection.protocol
        assert protocol.state is State.OPEN
        assert (protocol.close_rcvd, protocol.close_sent) == (None, None)
        assert protocol.parser.__name__ == "parse"
        assert not endings.reads_no_further(connection)
        await client.close(4000, "bye")
        await connection.wait_closed()
        assert (protocol.close_rcvd.code, protocol.close_rcvd.reason) == (4000, "bye")
        assert protocol.close_sent.code == 4000
        assert protocol.close_rcvd_then_sent is True
        assert client.protocol.close_rcvd_then_sent is False
        assert endings.reads_no_further(connection)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is client.protocol.close_rcvd
        assert client.close_exc.sent is client.protocol.close_sent
        assert endings.is_end_of(client, caught.value)
        assert endings.is_end_of(client, ExceptionGroup("", [caught.value]))
        assert not endings.is_end_of(connection, caught.value)

    run(script)


def test_a_cause_can_be_given():
    async def script(client, connection, **_):
        endings.blame(client, TimeoutError("too slow"))
        client.transport.abort()
        await client.wait_closed()
        assert str(client.close_exc.__cause__) == "too slow"
        assert client.connection_exc is client.close_exc.__cause__
        assert client.connection_lost_waiter.done()
        await connection.wait_closed()

    run(script)
