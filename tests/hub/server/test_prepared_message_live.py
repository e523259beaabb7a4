"""PreparedMessage frames around a connection's end: while it closes, and amid a fragmented message.

What came is whole and the beginning of what was sent, and the close code is the one that was meant:
a frame after the close frame (RFC 6455 §5.5.1) or between fragments (§5.4) would make it 1002.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import wslab
from tests.hub.rig import DEADLINE_S, aio, listening, until
from tests.hub.server.test_prepared_message import ANSWERS, BYTES, OFFERS, PAGE_SCRIPT, TEXTS
from wslab.hub import Hub, Trace
from wslab.hub.protocol.packets import encode_event

PAIRS = [
    ("none", "none"), ("default", "default"), ("default", "takes all"), ("server 9", "takes all"),
    ("no takeover 11", "takes all"), ("default", "no takeover"), ("client 9", "window 10"),
]  # fmt: skip
ENDS = ["client", "client amid fragments", "sent away", "own close", "own close amid fragments"]
CODES = {"sent away": 4001, "own close": 4002, "own close amid fragments": 4002}


class Talk:
    """PreparedMessage and own messages to one client, before and while its connection closes."""

    def __init__(self, hub, client, seed):
        self.hub = hub
        self.client = client
        self.dice = random.Random(seed)
        self.sent = []  # handed to TCP: text, or bytes
        self.outcomes = []

    def payload(self):
        return self.dice.choice([*TEXTS[:7], *BYTES[:5]])

    def shared(self):
        payload = self.payload()
        if self.dice.random() < 0.5:
            delivery = self.hub.broadcast(payload)
            parts = [payload]
        else:
            delivery = self.hub.emit("e", payload)
            text, binary = encode_event("e", payload)
            parts = [text, *binary]
        outcome = delivery.outcomes.get(self.client.id, "gone")
        self.outcomes.append(outcome)
        if outcome == "sent":
            self.sent += parts
        return delivery

    async def own(self):
        payload = self.payload()
        with contextlib.suppress(ConnectionClosed):
            await self.client.websocket.send(payload)
            self.sent.append(payload)

    async def some(self, count):
        for _ in range(count):
            self.shared() if self.dice.random() < 0.6 else await self.own()

    async def until_it_ends(self, how, close):
        """Talk, let the end begin, and go on talking until it is there."""
        await self.some(20)
        before = len(self.sent)
        websocket, waiting, task = self.client.websocket, [], None
        gate = asyncio.Event()
        if how.endswith("amid fragments"):

            async def fragments():
                yield "one, "
                await gate.wait()
                yield "two"

            task = asyncio.create_task(websocket.send(fragments()))
            await until(lambda: websocket.send_in_progress)
            waiting = [self.shared() for _ in range(3)]
            assert self.outcomes[-3:] == ["queued"] * 3
        closing = asyncio.create_task(close())
        while self.client.is_open or not closing.done() or self.client.id in self.hub.clients:
            if task is None and self.client.is_open:  # else it would wait for the end
                await self.own()
            self.shared()
            await asyncio.sleep(0)
        gate.set()
        if task is not None:
            with pytest.raises(ConnectionClosed):
                await task
        await closing
        for _ in range(3):
            self.shared()
        assert self.outcomes[-3:] == ["gone"] * 3
        assert "closing" in self.outcomes or how not in ("own close", "own close amid fragments")
        assert [(each.sent, each.queued, each.dropped) for each in waiting] == (
            [(0, 0, 1)] * len(waiting)
        )
        return before

    def check(self, got, least):
        for nth, (want, have) in enumerate(zip(self.sent, got, strict=False)):
            assert want == have, f"message {nth}: {want!r:.80} but {have!r:.80}"
        assert least <= len(got) <= len(self.sent)


async def _close(how, talk, websocket):
    if how.startswith("client"):
        await websocket.close(4000, "enough")
    elif how == "sent away":
        talk.client.disconnect(4001, "out")
    else:
        await talk.client.websocket.close(4002, "own")


@pytest.mark.parametrize(("offer", "answer"), PAIRS)
@pytest.mark.parametrize("how", ENDS)
@aio
async def test_towards_websockets(how, offer, answer):
    hub = Hub()
    hub.trace = Trace()
    got = []
    async with listening(hub, **ANSWERS[answer]) as url:
        async with connect(url, **OFFERS[offer]) as websocket:
            await websocket.recv()
            talk = Talk(hub, *hub.clients.values(), seed=how + offer + answer)

            async def read():
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        got.append(await websocket.recv())

            reading = asyncio.create_task(read())
            await talk.until_it_ends(how, lambda: _close(how, talk, websocket))
            await reading
            code = 1011 if how == "own close amid fragments" else CODES.get(how, 4000)
            assert websocket.close_code == code
    talk.check(got, len(talk.sent))
    assert not hub.errors


@pytest.mark.parametrize("answer", ["none", "default", "no takeover", "window 9"])
@pytest.mark.parametrize("how", ["client", "sent away", "own close"])
@aio
async def test_towards_aiohttp(how, answer):
    aiohttp = pytest.importorskip("aiohttp")
    hub = Hub()
    hub.trace = Trace()
    got = []
    async with listening(hub, **ANSWERS[answer]) as url, aiohttp.ClientSession() as session:
        websocket = await session.ws_connect(url, compress=15)
        await websocket.receive()
        talk = Talk(hub, *hub.clients.values(), seed=how + answer)

        async def read():
            async for message in websocket:
                assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
                got.append(message.data)

        async def close():
            if how == "client":  # aiohttp's own throws away what comes while it waits
                await until(lambda: len(got) >= 20)
                await websocket.close(code=4000)
            else:
                await _close(how, talk, None)

        reading = asyncio.create_task(read())
        before = await talk.until_it_ends(how, close)
        await reading
        assert websocket.close_code == CODES.get(how, 4000)
    await asyncio.sleep(0)  # aiohttp closes its transports a turn later
    talk.check(got, min(before, 20) if how == "client" else len(talk.sent))
    assert not hub.errors


@pytest.mark.browser
@pytest.mark.parametrize("answer", ["none", "default", "no takeover", "window 9"])
@pytest.mark.parametrize("how", ["client", "sent away", "own close", "client amid fragments"])
def test_towards_chromium(page, how, answer):
    hub = Hub()
    hub.trace = Trace()
    with wslab.serve(hub, **{"compression": "deflate", **ANSWERS[answer]}) as server:
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.evaluate(PAGE_SCRIPT, server.url)
        talk = Talk(hub, *hub.clients.values(), seed=how + answer)

        async def close():
            if how.startswith("client"):
                await asyncio.to_thread(page.evaluate, "ws.close(4000, 'enough')")
            else:
                await _close(how, talk, None)

        wslab.run(talk.until_it_ends, how, close, timeout=60)
        page.wait_for_function(
            "() => String(got.at(-1)).startsWith('closed')", timeout=DEADLINE_S * 1000
        )
        *got, closed = page.evaluate("got.slice(1)")
        code, reason = CODES.get(how, 4000), "own" if how == "own close" else "enough"
        assert closed == f"closed {code} {'out' if how == 'sent away' else reason}"
    # Once it closes, a page is given nothing more, so how much it was is Chromium's affair.
    talk.sent = [each.hex() if isinstance(each, bytes) else each for each in talk.sent]
    talk.check(got, 0 if how.startswith("client") else len(talk.sent))
    assert not hub.errors
