"""The soak of stock clients: they come by every transport, go over, are cut off, and come back.

    python -m tests.hub.stock_soak --clients 100 --seconds 60 --seed 1

One hub under `wslab.serve`, with a history. Its people speak Socket.IO over a WebSocket, over
polling, or go over from one to the other, by the rules of `StockClient`; some speak plain JSON. The
hub counts aloud, to everybody and to four rooms. Its rule: whoever recovers hears each number once
and in order, whoever has a pid recovers, and every wait is bounded. The decisions come from the
seed, the timing does not.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import random
import time
from typing import Any

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import wslab
from tests.hub.server.stock_conversation import StockClient
from wslab.hub import Args, Limits
from wslab.wire import engineio
from wslab.wire.engineio import Packet, PacketType

WAIT_S = 20.0
ROOMS = 4
WAYS = ("websocket", "websocket", "polling", "upgrade", "upgrade", "plain")
QUERY = "socket.io/?EIO=4&transport="


class Cut(Exception):
    """The line was cut, by whoever plays the client."""


class Socket:
    """Engine.IO on a WebSocket."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket

    @classmethod
    async def open(cls, person: Person) -> Socket:
        websocket = await connect(
            person.soak.url + QUERY + "websocket", compression=None, proxy=None, ping_interval=None
        )
        assert (await websocket.recv()).startswith("0{")
        return cls(websocket)

    async def receive(self) -> str | bytes:
        while True:
            message = await self.websocket.recv()
            if message == "2":
                await self.websocket.send("3")
            elif message != "6":
                return message  # type: ignore[no-any-return]

    async def send(self, message: str) -> None:
        await self.websocket.send(message)

    async def cut(self) -> None:
        self.websocket.transport.abort()
        await self.websocket.wait_closed()


class Polling:
    """Engine.IO by HTTP, which goes over to a WebSocket where that is wanted."""

    def __init__(self, person: Person, sid: str) -> None:
        self.http, self.url = person.http, f"{person.soak.http_url}{QUERY}polling&sid={sid}"
        self.socket_url = f"{person.soak.url}{QUERY}websocket&sid={sid}"
        self.came: collections.deque[str | bytes] = collections.deque()
        self.goes_over_after = person.random.randrange(30) if person.way == "upgrade" else None
        self.is_cut_over = person.random.random() < 0.2
        self.socket: Socket | None = None
        self.poll: asyncio.Task[bytes] | None = None

    @classmethod
    async def open(cls, person: Person) -> Polling:
        async with person.http.get(f"{person.soak.http_url}{QUERY}polling") as response:
            assert response.status == 200, response
            [packet, *more] = engineio.decode_payload(await response.text())
        polling = cls(person, json.loads(packet.data)["sid"])
        await polling.take(more)
        return polling

    async def take(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.type is PacketType.PING:
                await self.post("3")
            elif packet.type is PacketType.MESSAGE:
                data = packet.data
                self.came.append(data if isinstance(data, bytes) else f"4{data}")
            elif packet.type is PacketType.CLOSE:
                raise Cut

    async def receive(self) -> str | bytes:
        while not self.came:
            if self.socket is not None:
                return await self.socket.receive()
            if self.goes_over_after == 0:
                await self.go_over()
                continue
            if self.goes_over_after:
                self.goes_over_after -= 1
            await self.take_poll()
        return self.came.popleft()

    async def take_poll(self) -> None:
        async with self.http.get(self.url) as response:
            if response.status != 200:
                raise Cut(response.status, await response.text())
            await self.take(engineio.decode_payload(await response.text()))

    async def go_over(self) -> None:
        try:
            websocket = await connect(
                self.socket_url, compression=None, proxy=None, ping_interval=None
            )
            await websocket.send("2probe")
            poll = asyncio.create_task(self.take_poll())  # which is answered by a 6 at the latest
            assert await websocket.recv() == "3probe"
            await poll
            if self.is_cut_over:
                websocket.transport.abort()
                raise Cut
            await websocket.send("5")
        except ConnectionClosed:
            raise Cut from None
        self.socket = Socket(websocket)

    async def post(self, body: str) -> None:
        async with self.http.post(self.url, data=body) as response:
            if response.status != 200:
                raise Cut(response.status, await response.text())

    async def send(self, message: str) -> None:
        if self.socket is not None:
            await self.socket.send(message)
        else:
            await self.post(message)

    async def cut(self) -> None:
        if self.socket is not None:
            await self.socket.cut()


class Person:
    """One client, over all its connections."""

    def __init__(self, soak: StockSoak, who: int) -> None:
        self.soak, self.who = soak, who
        self.random = random.Random(soak.random.getrandbits(64))
        self.way = WAYS[who % len(WAYS)]
        self.room = f"room-{who % ROOMS}"
        self.http: Any = None
        self.line: Any = None
        self.steps: collections.deque[str] = collections.deque(maxlen=12)
        self.asked = 0
        self.is_here = False
        self.fresh()

    def fresh(self) -> None:
        """Begin without a session."""
        self.client = StockClient()
        self.token, self.offset = f"{self.random.getrandbits(128):032x}", None
        self.forget()

    def forget(self) -> None:
        self.counted: dict[str, int] = {}  # the last number that it has heard of each
        self.joined = False

    def heard(self, place: str, number: int) -> None:
        last = self.counted.get(place)
        if last is not None and number != last + 1:
            raise AssertionError(f"heard {number} of {place} after {last}")
        self.counted[place] = number
        self.soak.stats["heard"] += 1

    @property
    def is_done(self) -> bool:
        counts = self.soak.counts
        return self.joined and all(
            self.counted.get(place) == counts[place] for place in ("all", self.room)
        )

    async def live(self) -> None:
        """Connect, listen, be cut off and come back, until the soak ends."""
        async with aiohttp.ClientSession() as self.http:
            while not self.soak.is_closing:
                stays_s = self.random.expovariate(1 / 0.7)
                try:
                    await self.stay(stays_s)
                except (Cut, ConnectionClosed, aiohttp.ClientError) as exc:
                    self.steps.append(repr(exc))
                    self.soak.stats[f"ended by {type(exc).__name__}"] += 1
                self.is_here = False
                self.soak.stats["connections"] += 1
                self.client.lost()
                if self.line is not None:
                    await self.line.cut()
                    self.line = None
                if self.random.random() < 0.1 and not self.soak.is_settling:
                    self.steps.append("begins anew")
                    self.fresh()
                await asyncio.sleep(self.random.choice([0, 0, 0.05, 0.3]))

    async def stay(self, seconds: float) -> None:
        """Be connected for so long, or until the soak ends."""
        soak, is_plain = self.soak, self.way == "plain"
        async with asyncio.timeout(WAIT_S):
            await (self.greet_plain() if is_plain else self.greet())
        self.is_here = True
        listening = asyncio.create_task(self.listen_plain() if is_plain else self.listen())
        end_s = time.monotonic() + seconds
        while not listening.done() and not soak.is_closing:
            if time.monotonic() > end_s and not soak.is_settling:
                break
            await asyncio.wait([listening], timeout=0.05)
        if not listening.done():
            self.steps.append("is cut")
            listening.cancel()  # of polling: the GET that is held ends the session
        await asyncio.wait([listening])
        if not listening.cancelled():
            listening.result()

    # Socket.IO.

    async def greet(self) -> None:
        """Connect to the namespace, and hear whether it has recovered."""
        auth = self.client.connect()
        kind = Socket if self.way == "websocket" else Polling
        self.line = await kind.open(self)
        await self.line.send("40" + (json.dumps(auth) if auth else ""))
        had = self.client.pid
        while not self.client.is_connected:
            self.client.receive(await self.line.receive())
        self.steps.append(f"greeted: {had and self.client.recovered}")
        if had is None:
            self.forget()
        elif not self.client.recovered:
            raise AssertionError("it had a pid, all was kept, and it did not recover")
        else:
            self.soak.stats["recovered"] += 1
        if not self.joined:
            await self.line.send(f'4299["join","{self.room}"]')

    async def listen(self) -> None:
        client, line, stats = self.client, self.line, self.soak.stats
        while True:
            message = await line.receive()
            if isinstance(message, str) and message.startswith("43"):
                number, _, rest = message[2:].partition("[")
                self.answered(int(number), json.loads("[" + rest))
                continue
            before = len(client.heard)
            if isinstance(message, str) and message.startswith("42") and message[2] != "[":
                number, _, rest = message[2:].partition("[")
                _event, *arguments = json.loads("[" + rest)
                await line.send(f"43{number}{json.dumps(arguments)}")
                stats["asked by the hub"] += 1
                continue
            client.receive(message)
            for event, *arguments in client.heard[before:]:
                if event == "count":
                    self.heard(arguments[0], arguments[1])
                    if len(arguments) == 4:
                        assert arguments[2] == b"x" * (arguments[1] % 7), arguments
                elif event != "message":
                    raise AssertionError(f"expected a number, got {event} {arguments}")
            client.heard.clear()
            if self.random.random() < 0.02 and self.joined:
                self.asked += 1
                await line.send(f'42{self.asked}["add",{self.asked},1]')

    def answered(self, number: int, answer: list[Any]) -> None:
        if number == 99 and answer == [True]:
            self.joined = True
            self.counted.pop(self.room, None)
        elif number == 99 and answer == [False]:
            self.joined = True
        elif answer != [number + 1]:
            raise AssertionError(f"asked for {number} + 1, got {answer}")
        else:
            self.soak.stats["answers"] += 1

    # Plain JSON.

    async def greet_plain(self) -> None:
        offset = "" if self.offset is None else f"&offset={self.offset}"
        websocket = await connect(
            f"{self.soak.url}?session={self.token}{offset}", compression=None, proxy=None,
            ping_interval=None,
        )  # fmt: skip
        self.line = Socket(websocket)
        welcome = json.loads(await websocket.recv())["data"]
        if welcome["gap"] is not None:
            raise AssertionError(f"all was kept, and there is a gap: {welcome}")
        if not welcome["resumed"]:
            self.forget()
        self.offset = welcome["offset"]
        if not self.joined:
            packet = {"event": "join", "data": self.room, "id": 99}
            await websocket.send(json.dumps(packet))

    async def listen_plain(self) -> None:
        while True:
            message = await self.line.websocket.recv()
            if not message.startswith("{"):
                continue  # said to everybody, as it is
            packet = json.loads(message)
            data = packet.get("data")
            if packet.get("binary"):
                await self.line.websocket.recv()
            if packet.get("event") == "count":
                self.heard(data[0], data[1])
            elif packet.get("answer") == 99:
                self.answered(99, [data])
            self.offset = packet.get("offset", self.offset)


class StockSoak:
    """The whole of it: the hub, people, the numbers and what was wrong.

    Args:
        clients: how many people.
        seconds: how long they come and go.
        seed: of all their decisions.
        asgi: whether the hub is an ASGI application.
    """

    def __init__(self, clients: int, seconds: float, seed: int, asgi: bool = False) -> None:
        self.is_asgi = asgi
        self.clients, self.seconds, self.seed = clients, seconds, seed
        self.random = random.Random(seed)
        self.stats: collections.Counter[str] = collections.Counter()
        self.counts: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self.is_settling = self.is_closing = False
        self.url = self.http_url = ""
        limits = Limits(backlog=100_000, backlog_bytes=2**26, history_bytes=2**28,
                        history_bytes_per_room=2**26, sessions=100_000)  # fmt: skip
        self.hub = wslab.Hub(history=100_000, session_s=600, limits=limits)
        self.hub.on("join", lambda client, room: client.join(room))
        self.hub.on("add", lambda client, a, b: a + b)

    def count(self, place: str) -> None:
        """Say the next number to everybody, or to a room."""
        self.counts[place] += 1
        number = self.counts[place]
        more = [b"x" * (number % 7)] if number % 5 == 0 else []
        to = None if place == "all" else place
        self.hub.emit("count", Args(place, number, *more), to=to)

    async def run(self) -> None:
        """Do it all; what was wrong is in ``faults``."""
        with wslab.serve(self.hub.asgi(path="/") if self.is_asgi else self.hub) as server:
            self.url, self.http_url = server.url, server.url.replace("ws:", "http:")
            people = [Person(self, who) for who in range(self.clients)]
            tasks = [asyncio.create_task(self.life(person)) for person in people]
            end_s = time.monotonic() + self.seconds
            while time.monotonic() < end_s and not self.faults:
                self.count("all")
                self.count(f"room-{self.random.randrange(ROOMS)}")
                await self.ask()
                if self.random.random() < 0.1:
                    self.hub.broadcast(self.random.choice(["raw", "m.7"]))
                await asyncio.sleep(0.02)
            self.is_settling = True
            await self.until(people, lambda person: person.is_here and person.joined, "is not here")
            self.count("all")
            for nth in range(ROOMS):
                self.count(f"room-{nth}")
            await self.until(people, lambda person: person.is_done, "has not heard all")
            self.is_closing = True
            _, late_tasks = await asyncio.wait(tasks, timeout=WAIT_S)
            for task in late_tasks:
                task.cancel()
                self.faults.append(f"a hang: {task}")
            if late_tasks:
                await asyncio.wait(late_tasks)
            if server.errors:
                self.faults.append(f"the hub has failed: {server.errors[-1].traceback}")

    async def until(self, people: list[Person], holds: Any, what: str) -> None:
        end_s = time.monotonic() + WAIT_S
        while not all(map(holds, people)) and not self.faults:
            if time.monotonic() > end_s:
                late = next(person for person in people if not holds(person))
                self.fault(late, f"{what}: {late.counted}, {self.counts}")
            await asyncio.sleep(0.02)

    async def life(self, person: Person) -> None:
        try:
            await person.live()
        except Exception as exc:
            self.fault(person, repr(exc))

    def fault(self, person: Person, text: str) -> None:
        """Keep what was wrong, and end the run."""
        trail = ", ".join(person.steps)
        self.faults.append(f"seed {self.seed}: {person.who} ({person.way}) {text}; it: {trail}")

    async def ask(self) -> None:
        """Ask one of those who are here, and hold the answer against the question."""
        everybody = self.hub.clients.values()
        clients = [each for each in everybody if each.path.startswith("/socket.io/")]
        if not clients or self.random.random() > 0.2:
            return
        client = self.random.choice(clients)
        with contextlib.suppress(wslab.ClientGone, TimeoutError):
            answer = await client.call("ask", Args(1, "two"), timeout=1.0)
            if answer != Args(1, "two"):
                self.faults.append(f"asked {client}, and got {answer!r}")

    def table(self) -> str:
        """Return what has happened, as lines."""
        lines = [f"{what}: {count:,}" for what, count in sorted(self.stats.items())]
        told = self.faults or ["nothing lost, nothing twice, all in order"]
        return "\n".join([f"{self.clients} clients, {self.seconds:g} s, seed {self.seed}", *lines,
                          *told])  # fmt: skip


async def soak(clients: int, seconds: float, seed: int, asgi: bool = False) -> StockSoak:
    """Run one soak; raise AssertionError where something was wrong."""
    found = StockSoak(clients, seconds, seed, asgi)
    await found.run()
    assert not found.faults, found.table()
    return found


def main() -> None:
    """Run one, as the command line says, and print what has happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asgi", action="store_true", help="the hub as an ASGI application")
    arguments = parser.parse_args()
    print(asyncio.run(soak(**vars(arguments))).table())


if __name__ == "__main__":
    main()
