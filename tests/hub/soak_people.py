"""The people of the soak: clients that act at random and judge what they read.

Each decides from a random.Random of its own, which the soak's seed makes. They speak the packets of
`wslab.hub.protocol.packets` by hand over plain websockets connections. Its rule: every packet that
comes is held against the model at once, and a connection may end only in a way that somebody meant.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import random
import socket
import time
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.hub.rig import SMALL_BUFFER
from tests.hub.soak_model import LOBBY, Fault, Line, World
from tests.hub.soak_stock import WAYS, StockSocket

if TYPE_CHECKING:
    from tests.hub.soak import Soak

ROOMS = [LOBBY, *(f"room-{nth}" for nth in range(9))]
KEYS = ["price", "place", "mood"]
BAD = {
    '{"event": ': "bad-packet",
    "good morning": "bad-packet",
    '{"event": 7}': "bad-packet",
    '{"event": "nobody-handles-this"}': "unknown-event",
    "x" * 70_000: "too-large",
}
ACTS = {  # by weight
    "say": 50, "call": 12, "echo": 3, "ask": 4, "join": 9, "leave": 5, "sweep": 0.3, "bad": 4,
    "boom": 1, "flood": 5, "abort": 3, "close": 1.5, "bye": 0.7, "take over": 2, "refused": 1,
}  # fmt: skip
STOCK_ACTS = ACTS | {"upgrade": 10}


class Person:
    """One client, over all its connections."""

    def __init__(self, soak: Soak, who: int, world: World, url: str, stock_url: str) -> None:
        self.soak, self.who, self.world, self.url = soak, who, world, url
        self.stock_url = stock_url
        self.random = random.Random(soak.random.getrandbits(64))
        self.is_small = self.random.random() < 0.5
        # A stock client's packets have no numbers: where sessions are kept, the books need them.
        is_stock = soak.stock and not world.keeps and self.random.random() < soak.stock
        self.way = self.random.choice(WAYS) if is_stock else ""
        self.compression = "deflate" if self.random.random() < 0.3 else None
        self.log: collections.deque[str] = collections.deque(maxlen=20)
        self.nth = self.calls_made = 0
        self.has_broken = False
        self.call: Call | None = None
        self.comes_back_after_s = 0.0
        self.fresh()

    def fresh(self) -> None:
        """Begin without a session."""
        self.token = f"{self.random.getrandbits(128):032x}" if self.world.keeps else ""
        self.offset: int | None = None
        self.book: Any = None
        self.forget()

    def forget(self) -> None:
        self.serial = 0
        self.received = 0
        self.pending: collections.deque[tuple[int, Any]] = collections.deque()
        self.waiting: dict[int, tuple[int, str, Any]] = {}  # calls: id -> serial, event, packet
        self.answered: collections.deque[int] = collections.deque(maxlen=50)

    def note(self, what: str) -> None:
        self.log.append(f"{time.monotonic() - self.soak.began_s:8.3f} {what}")

    @property
    def is_quiet(self) -> bool:
        """Whether it is connected and waits for nothing."""
        call = self.call
        return (
            call is not None and call.is_welcome and not call.is_over
            and not self.waiting and not self.pending
        )  # fmt: skip

    async def live(self) -> None:
        """Connect, act, and come back, until the soak ends."""
        await self.soak.pause(self.random.uniform(0, self.soak.ramp_s))
        while not self.soak.is_closing:
            await self.dial()
            call = self.call
            while call is not None and not call.is_over and not self.soak.is_closing:
                if self.soak.is_settling:
                    await self.soak.pause(0.02, also_settling=True)
                    continue
                await self.soak.pause(self.random.expovariate(1 / self.soak.pace_s), call.over)
                if not call.is_over and not self.soak.is_settling:
                    await self.act(call)
                    call = self.call
            if call is not None and not self.soak.is_closing:
                await call.ended()
                await self.soak.pause(self.comes_back_after_s)
                self.comes_back_after_s = 0.0
        if self.call is not None:
            await self.call.close()

    async def dial(self, *, is_refused: bool = False) -> None:
        """Make a connection, and read its welcome."""
        call = Call(self, is_refused)
        if not is_refused:
            self.call = call
        self.note(f"dials {call.line.nth}, offset {call.line.offset}")
        await call.begin()
        if is_refused:
            await call.ended()
        else:
            await call.welcomed_or_over()

    async def act(self, call: Call) -> None:
        """Do one thing."""
        rng, keeps = self.random, self.world.keeps
        acts = STOCK_ACTS if self.way else ACTS
        act = rng.choices(list(acts), list(acts.values()))[0]
        self.soak.stats[act] += 1
        self.note(act)
        with contextlib.suppress(ConnectionClosed):
            if act in ("say", "call"):
                await call.emit("say", is_call=act == "call", **self.talk())
            elif act in ("echo", "ask"):
                await call.emit(act, is_call=True)
            elif act == "boom":
                await call.emit(act, is_call=rng.random() < 0.7)
            elif act in ("join", "leave", "sweep"):
                await call.emit(act, is_call=rng.random() < 0.5, room=rng.choice(ROOMS))
            elif act == "bad":
                # What is no packet of Socket.IO's ends its connection.
                bad = rng.choice(list(BAD)) if not self.way else '{"event": "nobody-handles-this"}'
                call.complaints[BAD[bad]] += 1
                await call.send(bad)
            elif act == "flood":
                await self.flood(call)
            elif act == "upgrade":
                if self.way == "upgrade":
                    call.websocket.wants_upgrade = True
            elif act == "abort":
                self.back_when(late=rng.random() < 0.3)
                call.is_ours = True
                call.websocket.transport.abort()
            elif act == "close":
                await call.close()
                self.fresh()
            elif act == "bye":
                call.is_bye = True
                await call.emit("bye")
            elif act == "take over" and keeps:
                call.gives_way()
                await self.dial()
                await call.ended()
            elif act == "refused":
                await self.dial(is_refused=True)

    def talk(self) -> dict[str, Any]:
        rng = self.random
        one, other = rng.sample(ROOMS, 2)
        rare, usual = [["*"], ["", one], [""]], [[one], [one], [one, other]]
        return {
            "to": rng.choice(rare if rng.random() < 0.1 else usual),
            "size": rng.choices([20, 300, 3000, 20_000], [60, 30, 9, 1])[0],
            "binary": rng.random() < 0.15,
            "skip": rng.random() < 0.3,
            "key": rng.choice(KEYS),
            "nap_s": rng.choice([0, 0, 0, 0.001, 0.02]),
        }

    async def flood(self, call: Call) -> None:
        """Ask for more than fits, and read nothing for a while."""
        rng = self.random
        call.reads.clear()
        to = [""] if rng.random() < 0.9 else [rng.choice(ROOMS)]
        await call.emit("say", to=to, count=rng.randint(40, 90), size=rng.randint(400, 1500),
                        key=rng.choice(KEYS))  # fmt: skip
        await self.soak.pause(rng.uniform(0.1, 2.0), call.over)
        call.reads.set()
        if rng.random() < 0.2:  # in the middle of catching up
            await self.soak.pause(rng.choice([0, 0.002, 0.01]), call.over)
            call.is_ours = True
            call.websocket.transport.abort()

    def back_when(self, late: bool) -> None:
        late_s = self.world.session_s + 1.5
        wait_s = late_s if late and late_s < 10 else self.random.choice([0, 0, 0.05, 0.5])
        self.comes_back_after_s = wait_s
        self.soak.stats["late"] += wait_s == late_s


class Call:
    """One connection of a person: the client's end of a `Line`."""

    def __init__(self, person: Person, is_refused: bool = False) -> None:
        self.person, self.soak, self.world = person, person.soak, person.world
        person.nth += 1
        self.line = line = Line(person.who, person.nth, person)
        line.is_refused = is_refused
        if not is_refused:  # with its token it would end the connection that it has
            line.token, line.offset = person.token, person.offset
        line.nap_s = person.random.choice([0, 0, 0.005])
        self.websocket: Any = None
        self.reader: asyncio.Task[None] | None = None
        self.reads, self.over, self.welcome = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.is_welcome = self.is_ours = self.is_bye = self.is_replaced = False
        self.complaints: collections.Counter[str] = collections.Counter()
        self.missed_before = self.told_before = 0

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    async def begin(self) -> None:
        """Open the connection, and read it from now on in a task."""
        person, line = self.person, self.line
        path = f"?who={line.who}&nth={line.nth}"
        if line.token:
            path += f"&session={line.token}"
            path += f"&offset={line.offset}" if line.offset is not None else ""
        options: dict[str, Any] = {"ping_interval": None, "compression": person.compression}
        sock = None
        if person.is_small and not person.way:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            sock.setblocking(False)
            host, port = person.url.split("/")[2].split(":")
            await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
            options["sock"], options["max_queue"] = sock, 1
        self.world.dialled[line.who, line.nth] = line
        self.soak.stats["connections"] += 1
        wait_s = self.soak.wait_s
        try:
            if person.way:
                self.websocket = StockSocket(
                    person.way, person.stock_url + path, self.soak.stats.update
                )
                self.websocket.wants_upgrade = (
                    person.way == "upgrade" and person.random.random() < 0.6
                )
                self.soak.stats["by " + person.way] += 1
                async with asyncio.timeout(wait_s):
                    await self.websocket.begin()
            else:
                self.websocket = await connect(
                    person.url + path, open_timeout=wait_s, close_timeout=wait_s, **options
                )
        except (OSError, InvalidHandshake, TimeoutError, ConnectionClosed) as exc:
            self.over.set()
            self.soak.fault(f"it could not connect: {exc!r}", person)
            return
        self.reader = asyncio.create_task(self.read(), name=f"reader of {person.who}")

    async def send(self, message: Any) -> None:
        async with self.soak.bounded("send", self.person):
            await self.websocket.send(message if isinstance(message, str) else json.dumps(message))

    async def emit(self, event: str, *, is_call: bool = False, **data: Any) -> None:
        """Send an event with the next number; on a hub with sessions it is kept until it came."""
        person = self.person
        person.serial += 1
        packet: dict[str, Any] = {"event": event, "data": {"serial": person.serial, **data}}
        if is_call:
            person.calls_made += 1
            packet["id"] = person.calls_made
            person.waiting[packet["id"]] = person.serial, event, packet
        if self.world.keeps:
            packet["n"] = person.serial
            person.pending.append((person.serial, packet))
        await self.send(packet)

    async def close(self) -> None:
        """Say goodbye, and read to the end."""
        self.is_ours = True
        self.reads.set()
        if self.websocket is not None:
            async with self.soak.bounded("close", self.person):
                await self.websocket.close()
        await self.ended()

    def gives_way(self) -> None:
        """Read on without taking anything in, since another connection gets it."""
        self.is_replaced = True
        self.reads.set()

    async def ended(self) -> None:
        if self.reader is not None:
            async with self.soak.bounded("the end of a connection", self.person):
                await asyncio.wait([self.reader])

    async def welcomed_or_over(self) -> None:
        async with self.soak.bounded("welcome", self.person):
            await self.welcome.wait()

    # Reading.

    async def read(self) -> None:
        person = self.person
        try:
            while True:
                await self.reads.wait()
                packet = await self.websocket.recv()
                packet = json.loads(packet)
                parts = [await self.websocket.recv() for _ in range(packet.get("binary", 0))]
                if not self.is_replaced:
                    await self.take(packet, parts)
        except ConnectionClosed:
            person.note(f"{self.line.nth} ended: {self.websocket.close_code} "
                        f"{self.websocket.close_reason}; {person.way or 'plain'}; "
                        f"the hub: {self.line.reason}")  # fmt: skip
            self.judge_end()
        except Fault as exc:
            self.soak.fault(str(exc), person)
            self.websocket.transport.abort()
        except Exception as exc:
            self.soak.fault(f"the client could not read this: {exc!r}", person)
            self.websocket.transport.abort()
        finally:
            self.over.set()
            self.welcome.set()

    async def take(self, packet: Any, parts: list[bytes]) -> None:
        person, event, data = self.person, packet.get("event"), packet.get("data")
        if event == "say":
            pad = data["pad"]
            person.note(f"reads {data['uid']}")
            if not self.is_welcome:
                raise Fault(f"event {data['uid']} came before the welcome")
            self.person.book.inbox.got(data["uid"], pad if type(pad) is str else parts[0])
            if self.world.keeps:
                person.offset = packet["offset"]
            self.soak.stats["read"] += 1
        elif event == "welcome":
            await self.take_welcome(data)
        elif event == "dropped":
            person.note(f"is told {data['count']} dropped")
            person.book.inbox.told += data["count"]
            person.offset = packet.get("offset", person.offset)
        elif event == "error":
            person.note(f"error {data['code']}")
            if data["code"] == "refused" and self.line.is_refused:
                return
            self.complaints[data["code"]] -= 1
            if data["code"] != "failed" and self.complaints[data["code"]] < 0:
                raise Fault(f"an error that nothing led to: {data}")
        elif event == "q":
            await self.send({"answer": packet["id"], "data": data + 1})
        elif "answer" in packet:
            self.take_answer(packet)
        elif "received" in packet:
            if not person.received <= packet["received"] <= person.serial:
                raise Fault(f"received {packet['received']} of {person.serial}")
            self.take_receipt(packet["received"])
        else:
            raise Fault(f"expected a packet of the hub's, got {packet!r:.80}")

    def take_receipt(self, n: int) -> None:
        person = self.person
        person.received = max(n, person.received)
        while person.pending and person.pending[0][0] <= n:
            person.pending.popleft()

    def take_answer(self, packet: Any) -> None:
        person = self.person
        serial, event, _ = person.waiting.pop(packet["answer"], (None, "", None))
        person.note(f"answer {packet['answer']} to {event}")
        if serial is None:
            # On a hub with sessions an answer may cross with the question that is asked again.
            if not self.line.is_resumed or packet["answer"] not in person.answered:
                raise Fault(f"twice, or never asked: the answer {packet!r:.90}")
            return
        person.answered.append(packet["answer"])
        self.soak.stats["answers"] += 1
        if event == "boom":
            if packet.get("error", {}).get("message") != "RuntimeError: boom":
                raise Fault(f"expected the error of a handler, got {packet!r:.90}")
            return
        if "error" in packet or packet["data"]["serial"] != serial:
            raise Fault(f"expected the answer to packet {serial}, got {packet!r:.90}")
        person.book.inbox.fence(packet["data"]["up_to"])

    async def take_welcome(self, data: Any) -> None:
        person, line, world = self.person, self.line, self.world
        person.note(f"welcome {data}")
        wanted = {
            "id": line.client.id, "resumed": line.is_resumed,
            "session": True if line.token else None,
            "gap": None if not world.keeps or (line.offset is None and not line.is_resumed)
            else "session unknown" if not line.is_resumed
            else "too old" if line.is_too_old else None,
        }  # fmt: skip
        if wrong := {name: data[name] for name in wanted if data[name] != wanted[name]}:
            raise Fault(f"the welcome says {wrong}, expected {wanted}")
        if line.is_resumed and person.book is not None and person.book is not line.book:
            raise Fault("it resumed another session than its own")
        if not line.is_resumed:
            self.soak.stats["unknown"] += data["gap"] is not None
            person.forget()
        person.book = line.book
        if world.keeps:
            self.soak.stats["resumed"] += line.is_resumed
            person.offset = data["offset"]
            if line.is_too_old:
                self.soak.stats["too old"] += 1
                self.soak.stats["skipped"] += person.book.inbox.skip_to(line.mark)
            elif line.is_resumed:
                missed = [each for each in person.book.inbox.expected if each.uid <= line.mark]
                self.soak.stats["replayed"] += len(missed)
            if line.is_resumed:
                if not data["received"] <= person.serial:
                    raise Fault(f"the hub has received {data['received']} of {person.serial}")
                again = dict(person.pending)
                self.take_receipt(data["received"])
                again = {n: each for n, each in again.items() if n > data["received"]}
                again |= {serial: each for serial, _, each in person.waiting.values()}
                person.note(f"sends again {sorted(again)}")
                self.is_bye = any(each["event"] == "bye" for each in again.values())
                for n in sorted(again):
                    await self.send(again[n])
        self.is_welcome = True
        self.welcome.set()

    def judge_end(self) -> None:
        """Say whether this connection had to end like this, and whether all was read before."""
        person, line, world = self.person, self.line, self.world
        code, stats = self.websocket.close_code, self.soak.stats
        reason = self.websocket.close_reason or ""
        fine = (
            self.is_ours
            or (code == 1013 and "too slow" in reason and world.slow == "disconnect")
            or (code == 4000 and self.is_bye)
            or (code == 4000 and person.way and world.slow == "disconnect")
            or (code == 4409 and self.is_replaced)
            or (code == 1008 and line.is_refused)
        )
        person.has_broken |= code == 1006
        stats["too slow"] += code == 1013
        stats["taken over"] += code == 4409
        if not fine:
            self.soak.fault(f"it ended with {code} {reason!r}, and nobody meant it to", person)
        if line.is_refused or line.book is None or self.is_replaced:
            return
        if not world.keeps:
            self.soak.closed.append((self, code))
            person.forget()
        if code == 4000 or (code == 1000 and self.is_ours):
            person.fresh()
