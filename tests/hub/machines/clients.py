"""Three makes of client, each behind the same few functions: ask, cut, close.

`LabClient` is `wslab.connect`; `HandClient` speaks plain JSON over a bare websockets connection,
by the rules that `wslab/hub/protocol/packets.py` writes down and by nothing else of ours;
`StockClient` does what socket.io-client does. Their rule: what comes is told at once (`Heard`), and
a question ends with its answer or with Doubt, which says that nobody knows whether it was handled.
Each comes back by itself, through the same door, behind which is any node.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import random
from typing import Any, Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.protocol import State

import wslab
from tests.hub.server import stock_conversation

__all__ = ["MAKES", "Doubt", "HandClient", "Heard", "LabClient", "StockClient"]

ASK_S = 25.0  # longer than any fault goes on
KEEPALIVE = {"ping_interval": 1.0, "ping_timeout": 3.0}
QUICK = {"compression": None, "proxy": None, "open_timeout": 5.0, "close_timeout": 2.0}
LOST = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError)
MAX_DELAY_S = 0.5
GREET_S = 12.0  # a session that moves waits for its handler at the node that has it


class Doubt(Exception):
    """Nobody knows whether it was handled; its sender knows that."""


class Heard(Protocol):
    """Who is told what comes; on the rig's loop."""

    def heard(self, uid: int) -> None:
        """A message came."""

    def told(self, why: str) -> None:
        """The hub said that it did not send something, since it was too much."""

    def shaken(self, why: str) -> None:
        """The hub said that there is a gap: what it knows of this client may be of before."""

    def noted(self, what: str) -> None:
        """Something happened to its connection; for a failure's trail."""

    def forgotten(self, why: str) -> None:
        """The hub does not know the session any more: this is a new one."""

    def ended(self, why: str) -> None:
        """It ended, and will not come back; nobody meant it."""


class LabClient:
    """A client of `wslab.connect`, with `reconnect`."""

    def __init__(self, url: str, listener: Heard, source: random.Random) -> None:
        self.url, self.listener, self.random = url, listener, source
        self.client: Any = None
        self._welcome = asyncio.Event()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(function: Any) -> Any:
            async def handler(data: Any) -> None:  # on the lab's loop
                loop.call_soon_threadsafe(function, data)

            return handler

        async def q(number: int) -> int:
            return number + 1

        def begin() -> Any:
            policy = wslab.Reconnect(
                first_delay_s=0.05, max_delay_s=MAX_DELAY_S, random=self.random.random
            )
            client = wslab.connect(
                self.url, reconnect=policy, record=False, keep=True, max_waiting=100_000,
                ping_interval=1.0, ping_timeout=3.0, open_timeout=5.0, close_timeout=2.0,
            )  # fmt: skip
            client.on("welcome", tell(self._welcomed))  # first: else one that comes now is nobody's
            client.on("q", q)
            client.on("error", tell(self._failed))
            client.on("dropped", tell(lambda data: self.listener.told(f"dropped: {data}")))
            client.on("said", tell(lambda data: self.listener.heard(data["uid"])))
            return client

        self.client = await asyncio.to_thread(begin)
        await asyncio.wait_for(self._welcome.wait(), ASK_S)

    def _welcomed(self, data: dict[str, Any]) -> None:
        if data["resumed"]:
            self.listener.noted("is here again")
            if data.get("gap"):
                self.listener.shaken(data["gap"])
        elif self._welcome.is_set():
            self.listener.forgotten(str(data.get("gap")))
        self._welcome.set()

    def _failed(self, data: dict[str, Any]) -> None:
        if data["code"] == "gap":
            self.listener.shaken("an error says so")

    async def ask(self, event: str, data: Any) -> Any:
        try:
            return await asyncio.to_thread(self.client.call, event, data, ASK_S)
        except TimeoutError as exc:
            raise Doubt(repr(exc)) from None
        except ConnectionClosed as exc:
            self.listener.ended(f"{exc!r}; {self.client.why_closed}")
            raise Doubt(repr(exc)) from None

    def look(self) -> None:
        """Say where it has ended for good; it tells whoever asks."""
        if self.client is not None and self.client.state is State.CLOSED:
            self.listener.ended(self.client.why_closed)

    def cut(self) -> None:
        with contextlib.suppress(Exception):  # it may be gone already
            self.client.network.reset()

    async def close(self) -> None:
        if self.client is not None:
            await asyncio.to_thread(self.client.close)


class _OnASocket:
    """What the two that speak by hand share: a task that connects again and again; questions."""

    def __init__(self, url: str, listener: Heard, source: random.Random) -> None:
        self.url, self.listener, self.random = url, listener, source
        self.websocket: Any = None
        self.is_here = False
        self._open = asyncio.Event()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._is_closing = False
        self.came: collections.deque[str] = collections.deque(maxlen=12)  # for a failure's trail

    async def open(self) -> None:
        self._task = asyncio.create_task(self._live())
        await asyncio.wait_for(self._open.wait(), ASK_S)

    async def _live(self) -> None:
        while not self._is_closing:
            try:
                async with connect(self.address(), **QUICK, **KEEPALIVE) as websocket:
                    self.websocket = websocket
                    if self._is_closing:
                        break
                    await asyncio.wait_for(self.greet(), GREET_S)
                    self.is_here = True
                    self._open.set()
                    self.listener.noted("is here")
                    await self.listen()
            except LOST as exc:
                self.listener.noted(f"lost: {exc!r}")
                close = getattr(exc, "rcvd", None)
                if close is not None and close.code in (1002, 1007, 1008, 1009, 4409):
                    self.listener.ended(repr(exc))
                    break
            finally:
                self.is_here = False
                self.lost()
            await asyncio.sleep(self.random.uniform(0, MAX_DELAY_S / 2))
        self._doubt_all()

    async def ask(self, event: str, data: Any) -> Any:
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            if self._task.done():
                raise Doubt("it has ended")
            await self.send(event, data, number)
            return await asyncio.wait_for(answer, ASK_S)
        except LOST as exc:
            raise Doubt(repr(exc)) from None
        finally:
            self._asked.pop(number, None)

    def look(self) -> None:
        """Say where it has ended for good; it has told so by itself."""

    def _answered(self, number: int, data: Any) -> None:
        answer = self._asked.get(number)
        if answer is not None and not answer.done():
            answer.set_result(data)

    def _doubt_all(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Doubt("its connection is gone"))

    def cut(self) -> None:
        if self.websocket is not None:
            self.websocket.transport.abort()

    async def close(self) -> None:
        self._is_closing = True
        if self.websocket is not None:
            await self.websocket.close()
        await self._task

    def address(self) -> str:
        raise NotImplementedError

    async def greet(self) -> None:
        raise NotImplementedError

    async def listen(self) -> None:
        raise NotImplementedError

    def lost(self) -> None:
        raise NotImplementedError

    async def send(self, event: str, data: Any, number: int) -> None:
        raise NotImplementedError


class HandClient(_OnASocket):
    """A client of plain JSON that numbers its packets, keeps them, and names its place."""

    def __init__(self, url: str, listener: Heard, source: random.Random) -> None:
        super().__init__(url, listener, source)
        self.token = f"{source.getrandbits(128):032x}"
        self.offset: int | None = None
        self.seen = -1
        self.n = self.told = 0  # the number of its last packet, and of those it was told that came
        self.kept: collections.deque[tuple[int, int, str]] = collections.deque()

    def address(self) -> str:
        offset = "" if self.offset is None else f"&offset={self.offset}"
        return f"{self.url}?session={self.token}{offset}"

    async def greet(self) -> None:
        message = await self.websocket.recv()
        self.came.append(message)
        packet = json.loads(message)
        if packet["event"] != "welcome":
            raise EOFError(f"expected a welcome, got {packet}")
        data, is_first = packet["data"], not self._open.is_set()
        if data["resumed"]:
            self.seen = self.offset if self.offset is not None else -1
            if self.offset is None or data.get("gap"):
                self.offset = data["offset"]
            if data.get("gap") or data["received"] < self.told:
                self.listener.shaken(data["gap"] or "packets lost")
        else:
            self.offset, self.seen, self.n = data["offset"], -1, data["received"]
            if isinstance(data["session"], str):
                self.token = data["session"]
            self.kept.clear()
            self._doubt_all()
            if not is_first:
                self.listener.forgotten(str(data.get("gap")))
        self.told = 0
        self._received(data["received"])
        nth = 0
        while nth < len(self.kept):  # there may come more meanwhile
            await self.websocket.send(self.kept[nth][2])
            nth += 1
        self.is_here = True

    async def listen(self) -> None:
        async for message in self.websocket:
            self.came.append(message[-120:])
            packet = json.loads(message)
            offset, event, data = packet.get("offset"), packet.get("event"), packet.get("data")
            if offset is not None:
                if offset <= self.seen:
                    continue
                self.offset = max(offset, self.offset or 0)
            if "answer" in packet:
                if "error" not in packet:
                    came = (n for n, number, _ in self.kept if number == packet["answer"])
                    self.told = max([self.told, *came])
                self._answered(packet["answer"], packet.get("error", data))
            elif event == "q":
                await self.websocket.send(json.dumps({"answer": packet["id"], "data": data + 1}))
            elif event == "said":
                self.listener.heard(data["uid"])
            elif event == "dropped":
                self.listener.told(f"dropped: {data}")
            elif event == "error":
                if data["code"] == "gap":
                    self.listener.shaken("an error says so")
            elif event is None:
                self._received(packet["received"])

    def _received(self, n: int) -> None:
        """Keep no longer what has come, but questions until they are answered."""
        self.told = max(self.told, n)
        kept = [each for each in self.kept if each[0] > n or each[1] in self._asked]
        self.kept = collections.deque(kept)

    async def send(self, event: str, data: Any, number: int) -> None:
        self.n += 1
        text = json.dumps({"event": event, "data": data, "id": number, "n": self.n})
        self.kept.append((self.n, number, text))
        if self.is_here:
            with contextlib.suppress(ConnectionClosed):  # it is sent again
                await self.websocket.send(text)

    def lost(self) -> None:
        pass


class StockClient(_OnASocket):
    """A client of Socket.IO: recovered, or somebody new; a question ends with its connection."""

    def __init__(self, url: str, listener: Heard, source: random.Random) -> None:
        super().__init__(url, listener, source)
        self.stock: Any = stock_conversation.StockClient()  # type: ignore[no-untyped-call]

    def address(self) -> str:
        return f"{self.url}socket.io/?EIO=4&transport=websocket"

    async def greet(self) -> None:
        if not (await self._message()).startswith("0{"):
            raise EOFError("expected Engine.IO's first packet")
        auth, had = self.stock.connect(), self.stock.pid
        await self.websocket.send("40" + (json.dumps(auth) if auth else ""))
        while not self.stock.is_connected:
            message = await self._message()
            if message.startswith("44"):
                raise EOFError(f"refused: {message}")
            self.stock.receive(message)
        if had is not None and not self.stock.recovered:
            self.listener.forgotten("not recovered")

    async def _message(self) -> Any:
        while True:
            message = await self.websocket.recv()
            self.came.append(message[-120:])
            if message == "2":
                await self.websocket.send("3")
            elif message != "6":
                return message

    async def listen(self) -> None:
        while True:
            message = await self._message()
            if message.startswith("43"):
                number, _, rest = message[2:].partition("[")
                [data] = json.loads("[" + rest)
                self._answered(int(number), data)
                continue
            if message.startswith("41"):
                raise EOFError("the hub has sent it away")
            if message.startswith("42") and message[2] != "[":
                number, _, rest = message[2:].partition("[")
                await self.websocket.send(f"43{number}[{json.loads('[' + rest)[1] + 1}]")
                continue
            self.stock.receive(message)
            for event, data, *_ in self.stock.heard:
                if event == "said":
                    self.listener.heard(data["uid"])
                elif event == "dropped":
                    self.listener.told(f"dropped: {data}")
                elif event == "error" and data["code"] == "gap":
                    self.listener.shaken("an error says so")
            self.stock.heard.clear()

    async def send(self, event: str, data: Any, number: int) -> None:
        if not self.is_here:
            raise Doubt("there is no connection")
        await self.websocket.send(f"42{number}{json.dumps([event, data])}")

    def lost(self) -> None:
        self.stock.lost()
        self._doubt_all()


MAKES = {"lab": LabClient, "hand": HandClient, "stock": StockClient}
