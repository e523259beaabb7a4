"""PreparedMessage frames: one compression for all, and no client's inflater is ever misled.

Own and shared messages are mixed at random towards websockets, aiohttp and Chromium, whatever was
negotiated; everything must arrive whole and in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Opcode

import wslab
from tests.hub.rig import DEADLINE_S, aio, listening, plain, until
from wslab.hub import Hub, Limits
from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.server.hub_client import connection_of
from wslab.hub.server.prepared_message import RSV1, Form, PreparedMessage
from wslab.hub.server.websockets_link import UNKNOWN, window_bits

WORDS = random.Random(5)
SENTENCE = " ".join(WORDS.choice(("room", "client", "frame", "mask", "é")) for _ in range(60))
TEXTS = (
    "hi",
    "",
    SENTENCE,
    SENTENCE[::-1],
    SENTENCE * 3,
    SENTENCE[:150] + "other" + SENTENCE[150:],
    "".join(WORDS.choice("abcdefgh ") for _ in range(3000)),
    "".join(WORDS.choice("abcdefgh ") for _ in range(200_000)),
)
BYTES = (
    b"",
    b"\0\xff",
    SENTENCE.encode(),
    WORDS.randbytes(500),
    bytes(range(256)) * 3,
    b"".join(WORDS.choice((b"mask", b"fin!", b"rsv1")) for _ in range(50_000)),
)
assert len(BYTES[-1]) == 200_000

# Frames.


def test_plain_frames_are_literal():
    assert plain(PreparedMessage("hi")) == (b"\x81\x02hi",)
    assert plain(PreparedMessage(None, [b"\0" * 125])) == (b"\x82\x7d" + b"\0" * 125,)
    assert plain(PreparedMessage(None, [b"\0" * 126])) == (b"\x82\x7e\x00\x7e" + b"\0" * 126,)
    assert plain(PreparedMessage(None, [b"\0" * 65535]))[0][:4] == b"\x82\x7e\xff\xff"
    assert plain(PreparedMessage(None, [b"\0" * 65536]))[0][:10] == b"\x82\x7f\0\0\0\0\0\1\0\0"
    event = PreparedMessage('{"event":"x"}', [b"a", b"b"])
    assert plain(event) == (b'\x81\x0d{"event":"x"}', b"\x82\x01a", b"\x82\x01b")
    assert event.parts(PLAIN_JSON)[1:] == [(Opcode.BINARY, b"a"), (Opcode.BINARY, b"b")]
    assert event.parts(PLAIN_JSON)[0] == (Opcode.TEXT, b'{"event":"x"}')
    assert event.size_bytes == 21


@pytest.mark.parametrize("bits", range(9, 16))
def test_deflated_frames_stand_alone(bits):
    for text in TEXTS:
        (frame,) = PreparedMessage(text).prepare(Form.of(PLAIN_JSON, bits))
        if len(text.encode()) < 48:
            assert frame == plain(PreparedMessage(text))[0]
            continue
        assert frame[0] == 0x81 | RSV1 == 0xC1
        size, at = frame[1], 2
        if size == 126:
            size, at = int.from_bytes(frame[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(frame[2:10], "big"), 10
        assert len(frame) == at + size
        inflate = zlib.decompressobj(wbits=-bits)
        assert inflate.decompress(frame[at:] + b"\0\0\xff\xff").decode() == text


def test_what_does_not_get_smaller_is_not_compressed():
    noise = WORDS.randbytes(1000)
    message = PreparedMessage(None, [noise, b"a" * 1000, b"a" * 20])
    first, second, third = message.prepare(Form.of(PLAIN_JSON, 12))
    assert (first[0], second[0], third[0]) == (0x82, 0x82 | RSV1, 0x82)
    assert first[4:] == noise
    assert message.prepare(Form.of(PLAIN_JSON, 12)) is message.prepare(Form.of(PLAIN_JSON, 12))


# One compression for all.


@contextlib.contextmanager
def _counted(monkeypatch):
    made = []
    real = zlib.compressobj

    def compressobj(*args, **kwargs):
        made.append(kwargs.get("wbits"))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(zlib, "compressobj", compressobj)
        yield made


@aio
async def test_compressed_once_for_any_number_of_clients(monkeypatch):
    hub = Hub()
    async with listening(hub) as url, contextlib.AsyncExitStack() as stack:
        everyone = [await stack.enter_async_context(connect(url)) for _ in range(20)]
        narrow = [
            await stack.enter_async_context(
                connect(
                    url,
                    compression=None,
                    extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=9)],
                )
            )
            for _ in range(5)
        ]
        plain = [await stack.enter_async_context(connect(url, compression=None))]
        await until(lambda: len(hub.clients) == 26)
        with _counted(monkeypatch) as made:
            assert hub.emit("chat", SENTENCE).sent == 26
            assert sorted(made) == [-12, -9]  # whatever was negotiated: not one a client
            hub.broadcast(SENTENCE)
            hub.broadcast(BYTES[-1])
            assert len(made) == 6
            hub.emit("hi")  # too small
            assert len(made) == 6
        for websocket in (*everyone, *narrow, *plain):
            await websocket.recv()  # welcome
            assert json.loads(await websocket.recv())["data"] == SENTENCE
            assert await websocket.recv() == SENTENCE
            assert await websocket.recv() == BYTES[-1]
            assert await websocket.recv() == '{"event":"hi","data":null}'


@aio
async def test_rsv1_on_the_wire():
    hub = Hub()
    first_bytes: dict[bool, list[int]] = {True: [], False: []}
    async with (
        listening(hub) as url,
        connect(url) as packed,
        connect(url, compression=None) as plain,
    ):
        await until(lambda: len(hub.clients) == 2)
        for client in hub.clients.values():
            transport, write = client.websocket.transport, client.websocket.transport.write
            seen = first_bytes[bool(client.websocket.protocol.extensions)]

            def recorded(data, write=write, seen=seen):
                seen.append(bytes(data)[0])
                write(data)

            class Recorded:
                def __init__(self, transport, write):
                    self._transport, self.write = transport, write

                def __getattr__(self, name):
                    return getattr(self._transport, name)

            wrapped = Recorded(transport, recorded)
            connection_of(client).link._transport = wrapped
        hub.emit("chat", SENTENCE)
        hub.emit("chat", "hi")
        hub.broadcast(BYTES[2])
        for websocket in (packed, plain):
            for _ in range(4):
                await websocket.recv()
    assert first_bytes[True][:3] == [0xC1, 0x81, 0xC2]
    assert first_bytes[False][:3] == [0x81, 0x81, 0x82]


# Mixing shared and own messages.

OFFERS: dict[str, dict[str, Any]] = {"none": {"compression": None}, "default": {}}
for _bits in range(9, 16):
    OFFERS[f"server {_bits}"] = {
        "extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=_bits)]
    }
    OFFERS[f"client {_bits}"] = {
        "extensions": [
            ClientPerMessageDeflateFactory(
                server_max_window_bits=24 - _bits, client_max_window_bits=_bits
            )
        ]
    }
for _server, _client in ((True, False), (False, True), (True, True)):
    OFFERS[f"no takeover {_server:d}{_client:d}"] = {
        "extensions": [
            ClientPerMessageDeflateFactory(
                server_no_context_takeover=_server, client_no_context_takeover=_client
            )
        ]
    }
for _offer in OFFERS.values():
    if "extensions" in _offer:
        _offer["compression"] = None  # not the default one besides

ANSWERS: dict[str, dict[str, Any]] = {
    "default": {},
    "none": {"compression": None},
    "takes all": {"compression": None, "extensions": [ServerPerMessageDeflateFactory()]},
    "no takeover": {
        "compression": None,
        "extensions": [
            ServerPerMessageDeflateFactory(
                server_no_context_takeover=True, client_no_context_takeover=True
            )
        ],
    },
    "no takeover by server": {
        "compression": None,
        "extensions": [ServerPerMessageDeflateFactory(server_no_context_takeover=True)],
    },
    "no takeover by client": {
        "compression": None,
        "extensions": [ServerPerMessageDeflateFactory(client_no_context_takeover=True)],
    },
    **{
        f"window {bits}": {
            "compression": None,
            "extensions": [
                ServerPerMessageDeflateFactory(
                    server_max_window_bits=bits, client_max_window_bits=bits
                )
            ],
        }
        for bits in (9, 10, 15)
    },
}


class Reader:
    """One client of the mix: what it shall get, and what it has got."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client: Any = None
        self.expected: list[Any] = []
        self.got: list[Any] = []
        self.task: Any = None

    def has_all(self) -> bool:
        """Whether all has come; or the end, with which it would wait in vain."""
        return len(self.got) >= len(self.expected) or (self.task is not None and self.task.done())

    def check(self) -> None:
        for nth, (want, have) in enumerate(zip(self.expected, self.got, strict=False)):
            assert want == have, f"{self.name}: message {nth}: {want!r:.80} but {have!r:.80}"
        assert len(self.expected) == len(self.got), self.name


class Mix:
    """Runs operations on a hub, and notes what each reader must get, in order."""

    def __init__(self, hub: Hub, readers: list[Reader], ask: Any) -> None:
        self.hub = hub
        self.readers = readers
        self.ask = ask  # (reader, payload): the client calls "echo"
        self.numbers = itertools.count(1)
        hub.on("echo", self.echo)

    async def echo(self, client: Any, data: Any) -> Any:
        return data

    def expect(self, reader: Reader, message: Any) -> None:
        if isinstance(message, tuple):  # a text frame's payload, and those of the binary ones
            reader.expected += [message[0], *message[1]]
        else:
            reader.expected.append(message)

    def shared(self, payload: Any) -> None:
        from wslab.hub.protocol.packets import encode_event

        self.hub.emit("e", payload)
        for reader in self.readers:
            self.expect(reader, encode_event("e", payload))

    def broadcast(self, payload: Any) -> None:
        self.hub.broadcast(payload)
        for reader in self.readers:
            self.expect(reader, payload)

    def private(self, reader: Reader, payload: Any) -> None:
        from wslab.hub.protocol.packets import encode_event

        reader.client.emit("p", payload)
        self.expect(reader, encode_event("p", payload))

    async def settle(self, reader: Reader) -> None:
        # What is sent on the connection itself may overtake what waits in the backlog.
        await until(lambda: not reader.client.queued)

    async def own(self, reader: Reader, payload: Any) -> None:
        await self.settle(reader)
        self.expect(reader, payload)
        await reader.client.websocket.send(payload)

    async def answer(self, reader: Reader, payload: Any) -> None:
        from wslab.hub.protocol.packets import encode_answer

        number = next(self.numbers)
        (text, binary) = encode_answer(number, payload)
        self.expect(reader, (text, binary))
        await self.ask(reader, number, payload)
        await until(reader.has_all, f"for {reader.name}")
        assert len(reader.got) >= len(reader.expected), f"{reader.name}: it has ended"

    async def fragments(self, reader: Reader, payload: Any, between: Any) -> None:
        await self.settle(reader)
        third = len(payload) // 3
        chunks = [payload[:third], payload[third : 2 * third], payload[2 * third :]]
        self.expect(reader, payload)

        async def produce() -> Any:
            for nth, chunk in enumerate(chunks):
                yield chunk
                if nth == 1:
                    self.broadcast(between)
                    self.private(reader, SENTENCE)
                    assert reader.client.queued == 2
                await asyncio.sleep(0)

        await reader.client.websocket.send(produce())

    async def run(self, operations: Any) -> None:
        for name, who, text, binary, is_text in operations:
            reader = self.readers[who % len(self.readers)]
            raw = TEXTS[text % len(TEXTS)] if is_text else BYTES[binary % len(BYTES)]
            if name == "emit":
                self.shared(raw)
            elif name == "broadcast":
                self.broadcast(raw)
            elif name == "private":
                self.private(reader, raw)
            elif name == "own":
                await self.own(reader, raw)
            elif name == "answer":
                await self.answer(reader, raw)
            else:
                await self.fragments(reader, raw, TEXTS[(text + 3) % len(TEXTS)])


OPERATIONS = ("emit", "broadcast", "private", "own", "own", "answer", "fragments")
MIXES = st.lists(
    st.tuples(
        st.sampled_from(OPERATIONS),
        st.integers(0, 7),
        st.integers(0, len(TEXTS) - 1),
        st.integers(0, len(BYTES) - 1),
        st.booleans(),
    ),
    min_size=3,
    max_size=14,
)


def _operations(seed, count):
    """Return a seeded mix; the large payloads come rarely."""
    dice = random.Random(seed)
    return [
        (
            dice.choice(OPERATIONS),
            dice.randrange(8),
            dice.randrange(len(TEXTS) if dice.random() < 0.05 else len(TEXTS) - 1),
            dice.randrange(len(BYTES) if dice.random() < 0.05 else len(BYTES) - 1),
            dice.random() < 0.6,
        )
        for _ in range(count)
    ]


async def _mix_towards_websockets(operations, answer, offers):
    hub = Hub(limits=Limits(backlog=10_000, backlog_bytes=2**28))
    readers, sockets, tasks = [], {}, []
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(hub, **ANSWERS[answer]))
        for name in offers:
            offer = OFFERS[name]
            websocket = await stack.enter_async_context(connect(url, max_size=None, **offer))
            reader = Reader(f"{name} to {answer}")
            await websocket.recv()
            reader.client = list(hub.clients.values())[-1]
            readers.append(reader)
            sockets[reader] = websocket

            async def read(reader=reader, websocket=websocket):
                async for message in websocket:
                    reader.got.append(message)

            reader.task = asyncio.create_task(read())
            tasks.append(reader.task)

        async def ask(reader, number, payload):
            if isinstance(payload, str):
                packet = {"event": "echo", "data": payload, "id": number}
                await sockets[reader].send(json.dumps(packet))
            else:
                packet = {"event": "echo", "data": {"$binary": 0}, "id": number, "binary": 1}
                await sockets[reader].send(json.dumps(packet))
                await sockets[reader].send(payload)

        await Mix(hub, readers, ask).run(operations)
        with contextlib.suppress(AssertionError):
            await until(lambda: all(reader.has_all() for reader in readers))
        for reader in readers:
            reader.check()
            assert reader.client.dropped == 0
            assert not reader.client.queued
    for task in tasks:
        await task
    assert not hub.errors


@settings(max_examples=40)
@given(
    MIXES,
    st.sampled_from(sorted(ANSWERS)),
    st.lists(st.sampled_from(sorted(OFFERS)), min_size=1, max_size=4),
)
def test_any_mix_arrives_whole_and_in_order(operations, answer, offers):
    asyncio.run(_mix_towards_websockets(operations, answer, offers))


@pytest.mark.parametrize("answer", sorted(ANSWERS))
def test_a_long_mix_arrives_under_every_negotiation(answer):
    asyncio.run(_mix_towards_websockets(_operations(7, 60), answer, sorted(OFFERS)))


def test_every_negotiation_was_tried():
    async def negotiated():
        found = set()
        hub = Hub()
        for answer in ANSWERS.values():
            async with listening(hub, **answer) as url:
                for offer in OFFERS.values():
                    async with connect(url, **offer) as websocket:
                        extensions = websocket.protocol.extensions
                        if not extensions:
                            found.add(None)
                        else:
                            x = extensions[0]
                            found.add(
                                (
                                    x.remote_no_context_takeover,
                                    x.local_no_context_takeover,
                                    x.remote_max_window_bits,
                                    x.local_max_window_bits,
                                )
                            )
        return found

    found = asyncio.run(negotiated())
    assert None in found
    windows = found - {None}
    assert {each[2] for each in windows} == {each[3] for each in windows} == set(range(9, 16))
    assert {each[:2] for each in windows} == {
        (False, False), (True, False), (False, True), (True, True),
    }  # fmt: skip


class _Upper(ServerPerMessageDeflateFactory):
    """An extension that the hub does not know: its type is not websockets' own."""

    def process_request_params(self, params, accepted):
        from websockets.extensions.permessage_deflate import PerMessageDeflate

        class Other(PerMessageDeflate):
            pass

        answer, extension = super().process_request_params(params, accepted)
        extension.__class__ = Other
        return answer, extension


@aio
async def test_an_unknown_extension_gets_its_own_way(monkeypatch):
    monkeypatch.setitem(ANSWERS, "unknown", {"compression": None, "extensions": [_Upper()]})
    hub = Hub()
    async with listening(hub, **ANSWERS["unknown"]) as url, connect(url):
        (client,) = await until(lambda: list(hub.clients.values()))
        assert window_bits(client.websocket) == UNKNOWN
    await _mix_towards_websockets(_operations(3, 40), "unknown", ["default", "client 9"])


@pytest.mark.parametrize(
    ("compress", "answer"),
    [
        *((bits, "takes all") for bits in (0, 9, 10, 11, 12, 13, 14, 15)),
        *((bits, answer) for bits in (9, 15) for answer in sorted(ANSWERS)),
    ],
)
@aio
async def test_a_mix_towards_aiohttp(compress, answer):
    aiohttp = pytest.importorskip("aiohttp")
    hub = Hub(limits=Limits(backlog=10_000, backlog_bytes=2**28))
    readers, sockets, tasks = [], {}, []
    async with listening(hub, **ANSWERS[answer]) as url, aiohttp.ClientSession() as session:
        for nth in range(2):
            websocket = await session.ws_connect(url, compress=compress, max_msg_size=0)
            reader = Reader(f"aiohttp {nth}, {compress} to {answer}")
            await websocket.receive()
            reader.client = list(hub.clients.values())[-1]
            readers.append(reader)
            sockets[reader] = websocket

            async def read(reader=reader, websocket=websocket):
                async for message in websocket:
                    assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
                    reader.got.append(message.data)

            reader.task = asyncio.create_task(read())
            tasks.append(reader.task)
        is_packed = bool(compress) and answer != "none"
        assert bool(readers[0].client.websocket.protocol.extensions) is is_packed

        async def ask(reader, number, payload):
            packet = {"event": "echo", "data": payload, "id": number}
            if isinstance(payload, bytes):
                packet |= {"data": {"$binary": 0}, "binary": 1}
            await sockets[reader].send_str(json.dumps(packet))
            if isinstance(payload, bytes):
                await sockets[reader].send_bytes(payload)

        await Mix(hub, readers, ask).run(_operations(compress, 60))
        with contextlib.suppress(AssertionError):
            await until(lambda: all(reader.has_all() for reader in readers))
        for websocket in sockets.values():
            await websocket.close()
        for reader in readers:
            reader.check()
        for task in tasks:
            await task
    await asyncio.sleep(0)  # aiohttp closes its transports a turn later


PAGE_SCRIPT = """
url => new Promise(resolve => {
  window.got = [];
  window.ws = new WebSocket(url);
  ws.binaryType = "arraybuffer";
  ws.onmessage = event => {
    if (window.got.length === 0) resolve(ws.extensions);
    window.got.push(typeof event.data === "string" ? event.data
      : [...new Uint8Array(event.data)].map(b => b.toString(16).padStart(2, "0")).join(""));
  };
  ws.onclose = event => window.got.push(`closed ${event.code} ${event.reason}`);
  window.ask = (id, data, hex) => {
    if (hex === null) ws.send(JSON.stringify({event: "echo", data, id}));
    else {
      ws.send(JSON.stringify({event: "echo", data: {"$binary": 0}, id, binary: 1}));
      ws.send(Uint8Array.from(hex.match(/../g) || [], pair => parseInt(pair, 16)));
    }
  };
})
"""


# What a server's word makes of Chromium's offer, "permessage-deflate; client_max_window_bits".
CHROMIUM = {
    "none": "",
    "default": "server_max_window_bits=12; client_max_window_bits=12",
    "takes all": "",
    "no takeover": "server_no_context_takeover; client_no_context_takeover",
    "no takeover by server": "server_no_context_takeover",
    "no takeover by client": "client_no_context_takeover",
    "window 9": "server_max_window_bits=9; client_max_window_bits=9",
    "window 10": "server_max_window_bits=10; client_max_window_bits=10",
    "window 15": "server_max_window_bits=15; client_max_window_bits=15",
}


@pytest.mark.browser
@pytest.mark.parametrize("answer", sorted(ANSWERS))
def test_a_mix_towards_chromium(page, answer):
    hub = Hub(limits=Limits(backlog=10_000, backlog_bytes=2**28))
    # Chromium lets no server choose its window, unless it offered that: it always does.
    with wslab.serve(hub, **{"compression": "deflate", **ANSWERS[answer]}) as server:
        page.goto(f"http://127.0.0.1:{server.port}/")
        extensions = page.evaluate(PAGE_SCRIPT, server.url)
        words = [] if answer == "none" else ["permessage-deflate", *CHROMIUM[answer].split("; ")]
        assert extensions == "; ".join(filter(None, words))
        reader = Reader(f"Chromium to {answer}: {extensions}")
        (reader.client,) = hub.clients.values()

        async def ask(reader, number, payload):
            hex = payload.hex() if isinstance(payload, bytes) else None
            data = None if isinstance(payload, bytes) else payload
            await until(lambda: not reader.client.queued)
            before = reader.client.sent
            loop = asyncio.get_running_loop()

            def evaluate():
                page.evaluate("([id, data, hex]) => ask(id, data, hex)", [number, data, hex])

            await loop.run_in_executor(None, evaluate)
            await until(lambda: reader.client.sent > before)
            reader.got = list(reader.expected)  # checked at the end

        operations = [(name, 0, *more) for name, _, *more in _operations(11, 60)]
        wslab.run(Mix(hub, [reader], ask).run, operations, timeout=60)
        wanted = [each.hex() if isinstance(each, bytes) else each for each in reader.expected]
        page.wait_for_function(
            "count => got.length > count", arg=len(wanted), timeout=DEADLINE_S * 1000
        )
        got = page.evaluate("got.slice(1)")
        for nth, (want, have) in enumerate(zip(wanted, got, strict=True)):
            assert want == have, f"{reader.name}: message {nth}"
        page.evaluate("ws.close()")
