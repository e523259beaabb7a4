"""A hub and stock clients of Socket.IO, with no option set: npm's in Node, and python-socketio's.

Real sockets on loopback, since a process of its own knows no network in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from websockets.asyncio.client import connect

import wslab
from tests.hub import stock
from tests.hub.rig import aio, listening, one, speaking, until
from tests.node import need
from wslab.errors import Refused
from wslab.hub import Args, Hub

CLIENTS = {"node": stock.node, "python": stock.python}
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "default": None}


@contextlib.asynccontextmanager
async def at_wslab(hub):
    """Serve a hub on the lab's loop, as a notebook does."""
    with wslab.serve(hub) as server:
        yield server.url


@contextlib.asynccontextmanager
async def in_asgi(hub):
    """Serve it inside an ASGI application, under uvicorn."""
    with wslab.serve(hub.asgi()) as server:
        yield server.url


# How a client comes: who it is, by which transports, and to what.
EVERY_WAY = [
    (client, transport, place)
    for client in CLIENTS
    for transport in TRANSPORTS
    for place in ("websockets", "wslab", "asgi")
    if place != "websockets" or transport == "websocket"  # which parses no POST
]
SOME_WAYS = [
    each for each in EVERY_WAY if each[1:] in (("websocket", "websockets"), ("default", "wslab"))
]
PLACES = {"websockets": listening, "wslab": at_wslab, "asgi": in_asgi}


class Way:
    """One way to come to a hub."""

    def __init__(self, client, transport, place):
        self.is_node = client == "node"
        self.transport = transport
        self.ends_as = "polling" if transport == "polling" else "websocket"
        self.serving = PLACES[place]
        self._open = CLIENTS[client]

    def client(self, url, **options):
        if TRANSPORTS[self.transport] is not None:
            options["transports"] = TRANSPORTS[self.transport]
        return self._open(url.replace("ws:", "http:").rstrip("/"), **options)


@pytest.fixture(params=SOME_WAYS, ids="-".join)
def way(request):
    """How a client comes."""
    if request.param[0] == "node":
        need("socket.io-client")
    return Way(*request.param)


every_way = pytest.mark.parametrize("way", EVERY_WAY, indirect=True, ids="-".join)
by_node = pytest.mark.parametrize(
    "way", [each for each in EVERY_WAY if each[0] == "node"], indirect=True, ids="-".join
)


def chat(**options):
    hub = Hub(**options)
    hub.on("echo", lambda client, *args: Args(*args))
    hub.on("add", lambda client, a, b: a + b)
    hub.on("auth", lambda client, data: client.auth)
    hub.on("join", lambda client, room: client.join(room))

    @hub.on("fails")
    async def fails(client, data):
        raise Refused("not you")

    @hub.on("late")
    async def late(client, data):
        await asyncio.sleep(data)

    @hub.on("message")
    async def message(client, text):
        await hub.broadcast(text, skip=client)

    return hub


@every_way
@aio
async def test_events_and_answers_both_ways(way):
    hub = chat()
    async with way.serving(hub) as url, way.client(url, auth={"token": "t"}) as client:
        kind, sid, _ = await client.hear()
        assert (kind, sid) == ("connect", one(hub).id)
        assert await client.call("auth") == [{"token": "t"}]
        assert await client.call("add", 1, 2) == [3]
        assert await client.call("echo") == []
        assert await client.call("echo", b"\x00\xff", {"a": [b"y", "é"]}, None) == [
            b"\x00\xff", {"a": [b"y", "é"]}, None,
        ]  # fmt: skip
        assert await client.call("fails") == [{"error": {"code": "refused", "message": "not you"}}]
        [failed] = await client.call("nobody")
        assert failed["error"]["code"] == "unknown-event"

        hub.emit("move", Args("e2", b"e4", [1]))
        assert await client.hear() == ["event", "move", "e2", b"e4", [1]]
        hub.emit("nothing")
        assert await client.hear() == ["event", "nothing"]
        asking = asyncio.ensure_future(one(hub).call("pick", Args(1, b"x")))
        assert await client.hear() == ["event", "pick", 1, b"x"]
        assert await asking == Args(1, b"x")
        hub.broadcast("raw")
        assert await client.hear() == ["event", "message", "raw"]
        client.say("transport")
        assert await client.hear() == ["transport", way.ends_as]


@every_way
@aio
async def test_nothing_is_lost_or_turned_round_while_a_client_goes_over(way):
    hub, count = chat(), 300

    @hub.on("begin")
    async def begin(client, data):
        for n in range(count):
            await client.emit("n", Args(n, b"x"))
            if n % 10 == 0:
                await asyncio.sleep(0.001)

    async with way.serving(hub) as url, way.client(url) as client:
        await client.hear()
        client.say("emit", "begin")
        for n in range(30):
            client.say("call", 5000, "echo", n)
        heard = [await client.hear() for _ in range(count + 30)]
        assert [each[2] for each in heard if each[0] == "event"] == list(range(count))
        assert [each[1] for each in heard if each[0] == "answer"] == list(range(30))


@aio
async def test_an_answer_that_does_not_come(way):
    hub = chat()
    async with way.serving(hub) as url, way.client(url) as client:
        await client.hear()
        client.say("call", 50, "late", 0.2)
        assert await client.hear() == ["failed", "operation has timed out"]
        if way.is_node:  # python-socketio answers by itself
            with pytest.raises(TimeoutError, match="did not answer 'silent'"):
                await one(hub).call("silent", timeout=0.05)
            assert await client.hear() == ["event", "silent"]


@aio
async def test_rooms_are_shared_with_plain_clients(way):
    hub = chat()
    async with way.serving(hub) as url, way.client(url) as client, speaking(url) as wire:
        await client.hear()
        assert await client.call("join", "red") == [True]
        assert await wire.call("join", "red") is True
        hub.emit("said", {"text": "hi", "bytes": b"x"}, to="red")
        assert await client.hear() == ["event", "said", {"text": "hi", "bytes": b"x"}]
        assert (await wire.read())["event"] == "said"
        assert await wire.read() == b"x"
        client.say("send", "hello")
        assert await wire.read() == "hello"
        await wire.send("hello, too")
        assert await client.hear() == ["event", "message", "hello, too"]


@aio
async def test_a_refusal_with_data(way):
    hub = chat()

    @hub.on("connect")
    async def connect(client):
        raise Refused("members only", data={"plan": "free"})

    async with way.serving(hub) as url, way.client(url) as client:
        assert await client.hear() == ["connect_error", "members only", {"plan": "free"}]
        assert not hub.clients


@every_way
@aio
async def test_who_it_is_and_until_when(way):
    hub = chat()

    @hub.on("authenticate")
    async def authenticate(credentials):
        ends = {"good": 3600.0, "better": 7200.0}.get(credentials.token)
        return ends and wslab.Identity("alice", time.time() + ends)

    async with way.serving(hub) as url:
        async with way.client(url, auth={"token": "bad"}) as client:
            kind, message, data = await client.hear()
            assert (kind, data) == ("connect_error", {"status": 401})
            assert message == "the token in the packet is not one that is valid here"
        async with way.client(url, auth={"token": "good"}) as client:
            assert (await client.hear())[0] == "connect"
            here = one(hub)
            assert here.user_id == "alice"
            before = here.expires_at
            [told] = await client.call("authenticate", {"token": "better"})
            assert told == {"user_id": "alice", "expires_at": here.expires_at}
            assert here.expires_at > before + 3000
            [told] = await client.call("authenticate", {"token": "bad"})
            assert told["error"]["code"] == "unauthorized"
            here.expires_at = time.time()
            assert (await client.hear())[2]["code"] == "unauthorized"
            assert (await client.hear())[0] == "disconnect"


@pytest.mark.parametrize("transport", ["polling", "websocket", "default"])
@pytest.mark.parametrize("is_asgi", [False, True])
@aio
async def test_its_token_stands_in_no_record(transport, is_asgi, tmp_path):
    hub, secret = chat(), "a-token-that-is-secret"
    hub.on("authenticate", lambda credentials: "alice" if credentials.token else None)
    way = Way("python", transport, "wslab")
    with wslab.serve(hub.asgi() if is_asgi else hub) as server:
        async with way.client(server.url, auth={"token": secret}) as client:
            await client.hear()
            for said in ({"token": secret}, secret):
                assert (await client.call("authenticate", said))[0]["user_id"] == "alice"
        server.tape.to_har(tmp_path / "a.har")
        server.tape.to_pcapng(tmp_path / "a.pcapng")
        shown = [file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()]
        shown += map(repr, (server.tape.events, server.tape.to_rows(), server.tape.messages))
        assert "[redacted]" in shown[0]
        assert [text for text in shown if "secret" in text] == []


@aio
async def test_namespaces(way):
    hub = chat()
    admin = hub.of("/admin")
    admin.on("who", lambda client, data: client.id)
    async with way.serving(hub) as url:
        async with way.client(url, namespace="/admin") as client:
            _, sid, _ = await client.hear()
            assert (await client.call("who")) == [sid] == [one(admin).id]
            assert not hub.clients
            admin.emit("tick", 1)
            hub.emit("tick", 2)
            assert await client.hear() == ["event", "tick", 1]
            one(admin).disconnect()
            kind, reason = await client.hear()
            assert (kind, reason) == ("disconnect", reason)
            assert not admin.clients
        async with way.client(url, namespace="/other") as client:
            assert (await client.hear())[:2] == ["connect_error", "Invalid namespace"]


@aio
async def test_a_client_that_disconnects(way):
    hub = chat()
    reasons = []
    hub.on("disconnect", lambda client, reason: reasons.append(reason))
    async with way.serving(hub) as url, way.client(url) as client:
        await client.hear()
        client.say("disconnect")
        assert (await client.hear())[0] == "disconnect"
        await until(lambda: reasons)
        # python-socketio may close its WebSocket before its DISCONNECT has gone out.
        [reason] = reasons
        left = reason.removeprefix("closed by the client with 1000")
        assert left == " (left the namespace)" or (left == "" and not way.is_node)


@aio
async def test_clients_that_keep_a_history_get_what_they_can_use(way):
    hub = chat(history=100)
    async with way.serving(hub) as url, way.client(url) as client:
        await client.hear()
        hub.emit("tick", 1)
        kind, event, *args = await client.hear()
        assert (kind, event, args[0]) == ("event", "tick", 1)
        assert len(args) == 1 + way.is_node


async def cut(client, hub):
    """Let a client lose its connection, until it is told to connect."""
    client.say("cut")
    assert await client.hear() == ["disconnect", "forced close"]
    await until(lambda: not hub.clients)


@by_node
@aio
async def test_recovery(way):
    hub = chat(history=100)
    async with way.serving(hub) as url, way.client(url) as client:
        kind, first, recovered = await client.hear()
        assert (kind, recovered) == ("connect", False)
        await client.call("join", "red")
        for turn in range(4):  # the first two without any event before
            await cut(client, hub)
            if turn > 1:
                hub.emit("tick", turn, to="red")
                hub.emit("tick", "text", to="red")
            client.say("connect")
            kind, sid, recovered = await client.hear()
            assert (kind, sid, recovered) == ("connect", first, True)
            assert one(hub).id == first
            assert one(hub).is_resumed
            assert one(hub).rooms == {"red"}
            if turn > 1:
                assert (await client.hear())[:3] == ["event", "tick", turn]
                assert (await client.hear())[:3] == ["event", "tick", "text"]
            # Its acknowledgement is its receipt: there the client keeps no place.
            assert await one(hub).call("ask", "text") == "text"
            assert await client.hear() == ["event", "ask", "text"]
            # Nor shall a last text be taken for a place.
            hub.broadcast("1.999")
            assert (await client.hear())[:3] == ["event", "message", "1.999"]


@by_node
@aio
async def test_a_gap_is_no_recovery(way):
    hub = chat(history=2)
    async with way.serving(hub) as url, way.client(url) as client:
        await client.hear()
        hub.emit("tick", 0)
        await client.hear()
        await cut(client, hub)
        for _ in range(3):
            hub.emit("tick", 1)
        client.say("connect")
        assert (await client.hear())[::2] == ["connect", False]
        assert await client.call("echo", 1) == [1]  # nothing else came before
        await cut(client, hub)
        hub.emit("tick", 2)
        client.say("connect")
        assert (await client.hear())[::2] == ["connect", True]
        assert (await client.hear())[:3] == ["event", "tick", 2]


@pytest.mark.parametrize("transport", TRANSPORTS)
@aio
async def test_a_server_that_starts_again_is_a_moment_of_absence(transport):
    need("socket.io-client")
    hub, way = chat(history=100), Way("node", transport, "wslab")
    with wslab.serve(hub) as server:
        async with way.client(server.url) as client:
            _, sid, _ = await client.hear()
            hub.emit("tick", 1)
            await client.hear()
            server.restart()
            hub.emit("tick", 2)
            assert (await client.hear())[0] == "disconnect"
            told = await client.hear()
            while told[0] == "connect_error":  # while nobody listens
                told = await client.hear()
            assert told == ["connect", sid, True]
            assert (await client.hear())[:3] == ["event", "tick", 2]


VIOLATIONS = [
    ["9"], ["x"], ["40", "9"], ["40", "4"], ["40", "49"], ["40", "42[1"], ["40", "42{}"],
    ["40", '42["connect"]'], ["40", "43[]"], ["40", "430{}"], ['42["echo"]'], ["40", b"x"],
    ["40", '451-["echo",{"_placeholder":true,"num":0}]', '42["echo"]'],
    ["40", '451-["echo",{"_placeholder":true,"num":5}]'], ["40", "40"], ["40", '44{"message":"x"}'],
    ["40", '4511-["echo"]'], ["0"], ["40", "41x"],
]  # fmt: skip


@pytest.mark.parametrize("messages", VIOLATIONS, ids=repr)
@aio
async def test_a_violation_ends_the_connection_within_a_second(messages):
    hub = chat()
    async with listening(hub) as url:
        async with connect(f"{url}socket.io/?EIO=4&transport=websocket") as socket:
            began_s = time.monotonic()
            for message in messages:
                await socket.send(message)
            await socket.wait_closed()
            assert time.monotonic() - began_s < 1.0
            assert socket.close_code == 1002
            assert "expected" in socket.close_reason
        await until(lambda: not hub.clients)
