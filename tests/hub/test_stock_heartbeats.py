"""Stock clients whose heartbeats are missed, on either side, and what is volatile."""

from __future__ import annotations

import signal
import time

import pytest

from tests.hub import stock
from tests.hub.bad_line import BadLine
from tests.hub.rig import aio, one, until
from tests.hub.test_stock_clients import TRANSPORTS, at_wslab, in_asgi
from tests.node import need
from wslab.hub import Hub, SocketIO

QUICK = SocketIO(ping_interval_s=0.3, ping_timeout_s=0.3)
ways = pytest.mark.parametrize("transport", TRANSPORTS)
links = pytest.mark.parametrize("serving", [at_wslab, in_asgi])


@pytest.fixture(autouse=True)
def needs_node():
    need("socket.io-client")


def node(url, transport, **options):
    if TRANSPORTS[transport] is not None:
        options["transports"] = TRANSPORTS[transport]
    return stock.node(url.replace("ws:", "http:").rstrip("/"), **options)


@ways
@links
@aio
async def test_a_client_that_answers_no_ping_is_gone_in_time_and_may_come_back(transport, serving):
    hub = Hub(socketio=QUICK)
    reasons = []
    hub.on("disconnect", lambda client, reason: reasons.append(reason))
    async with serving(hub) as url, node(url, transport) as client:
        await client.hear()
        process = client._process
        process.send_signal(signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            await until(lambda: reasons)
            assert time.monotonic() - began_s > 0.25
        finally:
            process.send_signal(signal.SIGCONT)
        assert (await client.hear())[0] == "disconnect"
        assert (await client.hear())[0] == "connect"
        await until(lambda: hub.clients)


@pytest.mark.parametrize("transport", ["websocket", "default"])
@links
@aio
async def test_a_hub_of_which_nothing_comes_is_given_up(transport, serving):
    hub = Hub(socketio=QUICK)
    async with serving(hub) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        async with BadLine(port, 1, 0) as line:
            async with node(f"http://127.0.0.1:{line.port}", transport) as client:
                await client.hear()
                if transport == "default":
                    await until(lambda: one(hub)._connection.link._session.transport == "websocket")
                line.swallow()
                kind, reason = await client.hear()
                assert (kind, reason) == ("disconnect", "ping timeout")
                assert (await client.hear())[0] == "connect"
                line.cut()


@ways
@links
@aio
async def test_what_is_volatile_comes_while_there_is_a_connection(transport, serving):
    hub = Hub()
    heard = []
    hub.on("tick", lambda client, data: heard.append(data))
    async with serving(hub) as url, node(url, transport) as client:
        await client.hear()
        client.say("volatile", "tick", 1)
        await until(lambda: heard == [1])
