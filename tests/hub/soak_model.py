"""What the soak believes: who is in which room, and what each client must still read.

Its rule: it is advanced where the hub acts (in the server's handlers, with nothing awaited between
the hub's act and the note of it) and from its own books. Of the hub it asks only whether a
connection is open; what the clients read is held against the books by `Inbox`.
"""

from __future__ import annotations

import asyncio
import collections
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.hub.soak_attacks import Attacked
from wslab.errors import ClientGone, Refused
from wslab.hub import Hub
from wslab.hub.server.hub_client import connection_of

LOBBY = "lobby"
SHORT_S = 15.0  # more than an attacker's connection lasts


class Fault(Exception):
    """The hub did not do what the model says."""


class Sent:
    """One event: its number in its world, what it replaces, and how its payload looks."""

    __slots__ = ("key", "size", "uid")

    def __init__(self, uid: int, key: str, size: int) -> None:
        self.uid, self.key, self.size = uid, key, size

    @property
    def pad(self) -> str:
        return (f"{self.uid:x}-" * (self.size // 2 + 1))[: self.size]


class Inbox:
    """What one client, or one session, must read, in order; and what it has read."""

    def __init__(self, slow: str) -> None:
        self.slow = slow
        self.expected: collections.deque[Sent] = collections.deque()
        self.recent: collections.deque[int] = collections.deque(maxlen=500)
        self.passed: collections.deque[int] = collections.deque(maxlen=500)
        self.read = self.missed = self.told = 0
        self.last_expected: dict[str, int] = {}
        self.last_read: dict[str, int] = {}

    def expect(self, sent: Sent) -> None:
        self.expected.append(sent)
        self.last_expected[sent.key] = sent.uid

    def got(self, uid: int, pad: Any) -> None:
        """Hold one event that came against what must come; Fault where it does not fit."""
        last = self.recent[-1] if self.recent else 0
        if uid in self.recent:
            raise Fault(f"twice: event {uid} came again, after {last}")
        if uid in self.passed:
            raise Fault(f"out of order: event {uid} came after {last}")
        if not self.expected or uid < self.expected[0].uid:
            raise Fault(f"not meant for it: event {uid} came after {last}")
        self._pass_to(uid - 1, f"event {uid} came")
        if not self.expected or self.expected[0].uid != uid:
            raise Fault(f"not meant for it: event {uid} came after {last}")
        sent = self.expected.popleft()
        self.recent.append(uid)
        self.read += 1
        self.last_read[sent.key] = uid
        if (pad.decode() if type(pad) is bytes else pad) != sent.pad:
            raise Fault(f"not what was sent: event {uid} carries {pad!r:.60}")

    def fence(self, uid: int) -> None:
        """All events up to this one have been read, or were dropped."""
        self._pass_to(uid, f"an answer came that was given after event {uid}")

    def _pass_to(self, uid: int, why: str) -> None:
        expected = self.expected
        while expected and expected[0].uid <= uid:
            sent = expected.popleft()
            if self.slow == "disconnect":
                last = self.recent[-1] if self.recent else "nothing"
                raise Fault(f"lost: event {sent.uid} did not come; {why}, after {last}")
            self.passed.append(sent.uid)
            self.missed += 1

    def skip_to(self, uid: int) -> int:
        """Forget what came up to this one: the client was told that it is too old."""
        count = 0
        while self.expected and self.expected[0].uid <= uid:
            self.last_read.pop(self.expected[0].key, None)
            self.last_expected.pop(self.expected.popleft().key, None)
            count += 1
        return count

    def check_latest(self) -> None:
        """Under keep-latest the last of each key must have come."""
        if self.slow == "keep-latest" and self.last_expected != self.last_read:
            lost = dict(self.last_expected.items() - self.last_read.items())
            raise Fault(f"lost: the latest by key did not come: {lost}")


class Line:
    """One connection, as both sides know it."""

    def __init__(self, who: int, nth: int, person: Any) -> None:
        self.who, self.nth, self.person = who, nth, person
        self.client: Any = None
        self.book: Book | None = None
        self.token, self.offset = "", None  # that it asks for
        self.nap_s = 0.0
        self.is_refused = self.is_resumed = self.is_too_old = False
        self.mark = 0
        self.dropped: int | None = None  # at its end, says the hub
        self.reason = ""

    @property
    def is_open(self) -> bool:
        client = self.client
        return client is not None and client.is_open and not connection_of(client).link.is_closing


class Book:
    """What outlives a connection where there are sessions; else one of a connection's own."""

    def __init__(self, line: Line, slow: str, began: int, keeps: int) -> None:
        self.line = line
        self.inbox = Inbox(slow)
        self.token = ""
        self.taken = 0  # packets that handlers have seen
        self.rooms: dict[str, int] = {}  # with the offset at which it joined
        self.left: list[tuple[str, int, int]] = []
        self.began = began
        self.own: collections.deque[int] = collections.deque(maxlen=keeps + 1)
        self.is_over = self.is_in_doubt = False
        self.away_s: float | None = None
        self.came_s, self.stayed_s = time.monotonic(), 0.0


OVER = Book(Line(-1, 0, None), "disconnect", 0, 0)  # stands for all that have ended
OVER.is_over = True


class World:
    """One hub and the books about it."""

    def __init__(self, name: str, fault: Any, **options: Any) -> None:
        self.name, self.fault = name, fault
        self.hub = Hub(name, **options)
        self.slow: str = self.hub.slow
        self.keeps: int = options.get("history", 0)
        self.session_s: float = options.get("session_s", 120.0)
        self.lines: dict[Any, Line] = {}  # by the hub's client, from connect to disconnect
        self.dialled: dict[tuple[int, int], Line] = {}
        self.rooms: dict[str, dict[Book, None]] = {}
        self.books: dict[Book, None] = {}
        self.by_token: dict[str, Book] = {}
        self.past: dict[str | None, collections.deque[int]] = {}
        self.uid = self.offset = self.booms = 0
        self.stats: collections.Counter[str] = collections.Counter()
        self.attacked: Attacked | None = None

    # Coming and going.

    def arrive(self, client: Any) -> Line:
        query = parse_qs(urlsplit(client.path).query)
        line = self.dialled.pop((int(query["who"][0]), int(query["nth"][0])))
        line.client = client
        self.lines[client] = line
        return line

    def admit(self, line: Line) -> None:
        """Join the lobby, which makes the hub list it; from here on it must get everything."""
        client = line.client
        client.join(LOBBY)
        line.mark = self.uid
        if self.keeps and not client.session:
            return  # it was gone before it was there
        book = self.by_token.get(line.token) if self.keeps else None
        if self.keeps and client.is_resumed:
            if book is None:
                raise Fault(f"{client} resumes a session that there never was")
            self._resume(book, line)
        else:
            if book is not None:
                self._doubt_unknown(book)
                if not book.is_over:
                    self.end(book)
            book = Book(line, self.slow, self.offset, self.keeps)
            self.books[book] = None
            if self.keeps:
                book.token = client.session
                self.by_token[book.token] = book
        line.book, line.is_resumed, book.away_s = book, client.is_resumed, None
        book.came_s = time.monotonic()
        self._join(book, LOBBY)

    def _resume(self, book: Book, line: Line) -> None:
        if book.is_over:
            raise Fault(f"{line.client} resumes a session that has ended")
        book.line = line
        offset = book.began if line.offset is None else line.offset
        if book.own and len(book.own) > self.keeps and book.own[0] > offset:
            line.is_too_old = True
        spans = [(None, book.began, None), *((room, at, None) for room, at in book.rooms.items())]
        for room, joined, left in [*spans, *book.left]:
            since = max(joined, offset)
            past = self.past.get(room, ())
            if (left is None or left > since) and len(past) > self.keeps and past[0] > since:
                line.is_too_old = True

    def _doubt_unknown(self, book: Book) -> None:
        if self.hub.limited["sessions"] and book.stayed_s < SHORT_S:
            return  # who was here for as short as attackers may have had to go with them
        away_s = 0.0 if book.away_s is None else time.monotonic() - book.away_s
        if not book.is_over and not book.is_in_doubt and away_s < self.session_s - 0.3:
            raise Fault(
                f"a session is unknown after {away_s:.2f} s away, of {self.session_s} s it may be"
            )

    def depart(self, line: Line, reason: str) -> None:
        """Note that the hub is done with a connection."""
        client = line.client
        if self.lines.pop(client, None) is None:
            raise Fault(f"disconnect was told twice of {client}")
        line.dropped, line.reason = client.dropped, reason
        self.stats["dropped"] += client.dropped
        book = line.book
        if book is None or book.line is not line:
            return
        book.away_s = time.monotonic()
        book.stayed_s += book.away_s - book.came_s
        said_goodbye = connection_of(client).link.said_goodbye
        # Too slow (1013) and continued elsewhere (4409): the session goes on.
        sent_away = reason.startswith("sent away") and not re.search(r"with (1013|4409)", reason)
        if not self.keeps or sent_away or (not reason.startswith("sent away") and said_goodbye):
            self.end(book)

    def end(self, book: Book) -> None:
        book.is_over = True
        for room in tuple(book.rooms):
            self._leave(book, room)
        self.books.pop(book, None)
        if self.keeps:  # what is kept of it is that it was
            self.by_token[book.token] = OVER

    def end_away(self) -> None:
        """End the books of sessions that are away, as the hub lets them expire.

        A person who closes in the moment in which the hub sends it away comes back as somebody
        new, and nobody asks for its session again.
        """
        for book in tuple(self.books):
            if self.keeps and book.away_s is not None:
                self.end(book)

    # Rooms and talk; each the hub's act and its note in one.

    def join(self, line: Line, room: str) -> None:
        line.client.join(room)
        if line.book is not None and not line.book.is_over:
            self._join(line.book, room)

    def _join(self, book: Book, room: str) -> None:
        book.rooms.setdefault(room, self.offset)
        self.rooms.setdefault(room, {})[book] = None

    def leave(self, line: Line, room: str) -> None:
        line.client.leave(room)
        if line.book is not None:
            self._leave(line.book, room)

    def _leave(self, book: Book, room: str) -> None:
        joined = book.rooms.pop(room, None)
        if joined is None:
            return
        if self.keeps and joined < self.offset:
            book.left.append((room, joined, self.offset))
        them = self.rooms[room]
        del them[book]
        if not them:
            del self.rooms[room]

    def sweep(self, room: str) -> None:
        self.hub.close_room(room)
        for book in tuple(self.rooms.get(room, ())):
            self._leave(book, room)

    def emit(self, line: Line, to: list[str], data: dict[str, Any]) -> None:
        """Emit to rooms ("*": everybody; "": the sender), and note who must get it."""
        self.uid += 1
        sent = Sent(self.uid, data.get("key") or "say", data.get("size", 20))
        books: dict[Book, None] = {}
        target: list[Any] = []
        for name in to:
            if name == "*":
                books.update(self.books)
            elif name:
                books.update(self.rooms.get(name, {}))
                target.append(name)
            elif line.book is not None:
                target.append(line.client)
                if not line.book.is_over:
                    books[line.book] = None
        skipped = line.book if data.get("skip") else None
        books.pop(skipped, None)  # type: ignore[call-overload]
        reachable = [book for book in books if book.line.is_open]
        delivery = self.hub.emit(
            "say",
            {"uid": sent.uid, "pad": sent.pad.encode() if data.get("binary") else sent.pad},
            to=None if "*" in to else target[0] if len(target) == 1 else target,
            skip=[*self._attackers(to), *([line.client] if data.get("skip") else [])],
            key=data.get("key"),
        )
        for book in books if self.keeps else reachable:
            book.inbox.expect(sent)
        if self.keeps:
            self._keep(delivery, to, line, skipped)
        told = delivery.sent + delivery.queued + delivery.dropped
        self.stats["emitted"] += 1
        self.stats["sent"] += delivery.sent
        self.stats["queued"] += delivery.queued
        if told != len(reachable):
            raise Fault(
                f"event {sent.uid} to {to} had {len(reachable)} receivers; the hub counts {told}: "
                f"{delivery}"
            )

    def _attackers(self, to: list[str]) -> list[Any]:
        return list(self.attacked.clients) if self.attacked is not None and "*" in to else []

    def _keep(self, delivery: Any, to: list[str], line: Line, skipped: Book | None) -> None:
        if delivery.offset <= self.offset:  # what tells of dropped events has offsets, too
            raise Fault(f"expected an offset above {self.offset}, got {delivery.offset}")
        self.offset = delivery.offset
        for room in (None,) if "*" in to else [name for name in to if name]:
            past = self.past.setdefault(room, collections.deque(maxlen=self.keeps + 1))
            past.append(self.offset)
        if "" in to and "*" not in to and line.book is not None:
            line.book.own.append(self.offset)

    def take(self, client: Any, data: Any) -> Line:
        """Note that a handler got a packet: it must be the next one of its client."""
        line = self.lines.get(client)
        if line is None or line.book is None:
            raise Fault(f"{client} speaks, but was never admitted, or has gone")
        book = line.book
        if data["serial"] != book.taken + 1:
            word = "twice" if data["serial"] <= book.taken else "lost or out of order"
            raise Fault(
                f"{word}: a handler got packet {data['serial']} of client {line.who}, "
                f"after {book.taken}"
            )
        book.taken += 1
        return line

    # Whether the hub agrees.

    def check(self, is_quiet: bool = False) -> None:
        """Hold the hub's clients and rooms against the books; Fault where they differ."""
        hub = self.hub
        mine = {line.client for line in self.lines.values() if line.book and line.is_open}
        theirs = set(hub.clients.values())
        if self.attacked is not None:
            theirs -= set(self.attacked.clients)
        theirs = theirs if is_quiet else {client for client in theirs if client in mine}
        if mine != theirs:
            raise Fault(f"{self.name}: clients differ: {mine ^ theirs}")
        rooms = {
            room: {book.line.client for book in books if book.line.client in mine}
            for room, books in self.rooms.items()
        }
        rooms = {room: them for room, them in rooms.items() if them}
        found = {
            room: set(them) for room, them in hub.rooms.items() if not room.startswith("junk ")
        }
        if strays := set().union(*found.values()) - set(hub.clients.values()):
            raise Fault(f"{self.name}: rooms differ from clients: {strays} are in rooms only")
        if not is_quiet:  # a connection that has just broken may still be in one
            found = {room: them & mine for room, them in found.items() if them & mine}
        if rooms != found:
            wrong = [room for room in rooms.keys() | found.keys()
                     if rooms.get(room) != found.get(room)]  # fmt: skip
            raise Fault(
                f"{self.name}: rooms differ: "
                + "; ".join(
                    f"{room}: expected {rooms.get(room)}, got {found.get(room)}" for room in wrong
                )
            )
        if hub.errors_seen != self.booms:
            raise Fault(f"{self.name}: a handler failed: {hub.errors[-1].traceback}")

    # The handlers.

    def be_attacked(self) -> None:
        """Let attackers in, whose events take their numbers of the history."""

        def emitted() -> None:
            self.offset += 1

        self.attacked = Attacked(self.hub, emitted)

    def serve(self, meet: Any) -> None:
        """Register the handlers; ``meet`` is called with each client that comes."""
        on = self.hub.on

        def guarded(function: Any) -> Any:
            async def handler(client: Any, *args: Any) -> Any:
                try:
                    return await function(client, *args)
                except Fault as exc:
                    line = self.lines.get(client)
                    self.fault(str(exc), line.person if line else None)
                    return None

            return handler

        async def connect(client: Any) -> None:
            if self.attacked is not None and self.attacked.meet(client):
                return
            line = self.arrive(client)
            meet(client)
            if line.nap_s:
                await asyncio.sleep(line.nap_s)
            if line.is_refused:
                self.lines.pop(client)
                raise Refused("not today")
            self.admit(line)

        async def disconnect(client: Any, reason: str) -> None:
            if self.attacked is not None and client in self.attacked.clients:
                return
            self.depart(self.lines.get(client, Line(-1, 0, None)), reason)

        async def say(client: Any, data: Any) -> Any:
            line = self.take(client, data)
            if data.get("nap_s"):
                await asyncio.sleep(data["nap_s"])
            for _ in range(data.get("count", 1)):
                self.emit(line, data["to"], data)
            return self._answer(data)

        async def join(client: Any, data: Any) -> Any:
            self.join(self.take(client, data), data["room"])
            return self._answer(data)

        async def leave(client: Any, data: Any) -> Any:
            self.leave(self.take(client, data), data["room"])
            return self._answer(data)

        async def sweep(client: Any, data: Any) -> Any:
            self.take(client, data)
            self.sweep(data["room"])
            return self._answer(data)

        async def ask(client: Any, data: Any) -> Any:
            self.take(client, data)
            try:
                found = await client.call("q", data["serial"], timeout=10)
            except ClientGone:
                return self._answer(data)
            if found != data["serial"] + 1:
                raise Fault(f"asked {data['serial']}, was answered {found!r:.60}")
            return self._answer(data)

        async def boom(client: Any, data: Any) -> None:
            self.take(client, data)
            self.booms += 1
            raise RuntimeError("boom")

        async def bye(client: Any, data: Any) -> None:
            line = self.take(client, data)
            book, was_open = line.book, client.is_open
            client.disconnect(4000, "bye")
            if self.keeps and book is not None and book.line.client is client:
                if was_open:
                    self.end(book)
                else:  # it was on its way out: its session may end, or not
                    book.is_in_doubt = True

        def echo(client: Any, data: Any) -> Any:  # on a thread
            try:
                self.take(client, data)
            except Fault as exc:
                self.fault(str(exc), None)
            return self._answer(data)

        for name, function in (
            ("connect", connect), ("say", say), ("join", join), ("leave", leave),
            ("sweep", sweep), ("ask", ask), ("boom", boom), ("bye", bye),
        ):  # fmt: skip
            on(name, guarded(function))
        on("disconnect", disconnect)
        on("echo", echo)

    def _answer(self, data: Any) -> Any:
        return {"serial": data["serial"], "up_to": self.uid}
