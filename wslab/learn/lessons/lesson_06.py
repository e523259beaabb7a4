"""The check of lesson 06: rooms by hand, while members come, go, break off and do not read.

Its rule: the check keeps its own list of who is in which room, and every text is random: the set of
wires that carry it must be exactly the room without the sender. Every message on every wire is
looked at when it is read, so that what is wrong is said where it happened. How rooms are kept, and
how a slow member is passed by, is the learner's affair.
"""

from __future__ import annotations

import gc
import random
import time
import weakref
from collections.abc import Iterable
from typing import Any

from ...failures import in_words
from ...loops.portals import lab
from ..exercises import Miss, exercise
from ..testbench import BenchClient, TestBench, nonce

STEPS = 60  # random joins, leaves and emits, one after the other
ROUNDS = 6  # of members coming and going
EMITS = 3  # a round: while they do, and once more when it is known who is there
GUESTS = 4  # who come and go
SLOW = 3  # members that do not read
WAIT_S = 1.5  # for one message
FILL_SIZE = 200_000  # characters of a text that fills the wire of a member that does not read
FILL_MAX = 400  # of them; the buffers of the operating system hold a few megabytes
HEADER_SIZE = 10  # bytes of a frame's header, from 65536 bytes of payload on (RFC 6455 §5.2)
TRIES = 12  # of an emit to members that do not read, of which one must be answered at once
LEAST_TRIES = 4  # a single emit to nobody may be slow where the machine is
AT_ONCE_S = 0.015  # more than an emit to nobody takes, and that twice
STUCK = 3  # of them in a row of which the operating system takes nothing: the wire is full
OK = "ok"

_ROOM = "a text goes to those who are in the room at that moment, except for whoever says it"
_FIRST = f"{_ROOM}. Do all connections share one dict of rooms, made outside of the handler?"
_OKAY = (
    "answer each command with the text message ok, when it is done, and take the next one: a "
    "handler that returns closes its connection"
)
_SLOW = (
    "a member does not read, and its wire is full: `await member.send(...)` waits until that "
    "member reads again, and everybody behind it waits as well. What sends without waiting?"
)
_GONE = (
    "members leave and break off while you send: can the set change during your loop, can send() "
    "raise for a member that has gone, and does whoever breaks off leave all its rooms?"
)


class _Text:
    """One text that somebody emits: on whose wires it must be, and on whose it may be."""

    def __init__(self, number: int, room: str, sender: _Member, must: Iterable[_Member]) -> None:
        self.number = number
        self.text = f"{nonce()} {nonce()}"  # two words: a text may have spaces in it
        self.room = room
        self.sender = sender
        self.must = {member for member in must if member is not sender}
        self.may: set[_Member] = set()  # those who join, leave or break off at this moment
        self.heard: set[_Member] = set()

    def __str__(self) -> str:
        who = ", ".join(sorted(member.name for member in self.must)) or "nobody"
        return (
            f"{self.text!r}, which {self.sender.name} emits to {self.room!r}, on the wires of "
            f"exactly: {who}"
        )


class _Member:
    """A client, the rooms it is in by the check's own list, and what its wire has carried."""

    def __init__(self, house: _House, name: str) -> None:
        self.name = name
        self.client: BenchClient = house.bench.connect(name=name, ping_interval=None)
        self.rooms: set[str] = set()
        self.is_unsettled = False  # a command of it is on its way
        self._house = house
        self._asked = self._answered = 0
        self._last: dict[_Member, int] = {}  # by sender: the number of the last text heard

    def ask(self, command: str) -> None:
        """Send a command, and do not wait for its answer."""
        self._asked += 1
        shown = command if len(command) < 60 else f"{command[:50]}..."
        self._expected = f"{OK!r} on {self.name}'s wire, the answer to {shown!r}"
        self.client.send(command, self._expected, self._house.hint or _OKAY)

    def settle(self) -> None:
        """Read until all commands are answered; whatever else comes is looked at."""
        while self._answered < self._asked:
            self._read(self._expected, self._house.hint or _OKAY)

    def hear(self, text: _Text, hint: str = _ROOM) -> None:
        """Read until this text has come."""
        while self not in text.heard:
            self._read(str(text), self._house.hint or hint)

    def _read(self, expected: str, hint: str) -> None:
        got = self.client.recv(expected, hint)
        if got == OK:
            self._answered += 1
            if self._answered > self._asked:
                raise self.client.miss(f"one {OK!r} for each command", f"another on {self.name}'s")
            return
        text = self._house.texts.get(got) if isinstance(got, str) else None
        if text is None:
            hint = "send the text as it is, with all its words, and ok, and nothing else"
            if isinstance(got, bytes):
                hint = "send a str: bytes go out as a binary frame"
            raise self.client.miss(expected, f"{got!r:.60} on {self.name}'s wire", hint)
        where = f"it is on {self.name}'s wire"
        if text.sender is self:
            raise self.client.miss(str(text), f"{where}, who said it", "leave the sender out")
        if self not in text.must and self not in text.may:
            raise self.client.miss(str(text), f"{where}, who is not in that room", _ROOM)
        if self in text.heard:
            raise self.client.miss(str(text), f"{where} twice", "once for each member is enough")
        if self._last.get(text.sender, 0) > text.number:
            raise self.client.miss(
                f"{self.name} hears what {text.sender.name} says in the order in which it was said",
                f"{text.text!r} came after a later one",
                "start to send a text before you take the next command",
            )
        self._last[text.sender] = text.number
        text.heard.add(self)


class _House:
    """All members of one check, and all texts."""

    def __init__(self, bench: TestBench) -> None:
        self.bench = bench
        self.texts: dict[str, _Text] = {}
        self.members: list[_Member] = []  # who read
        self.gone: list[weakref.ref[Any]] = []  # the server's ends of connections that are over
        self.hint = ""  # while the wire of a member is full, or members come and go

    def enter(self, name: str) -> _Member:
        member = _Member(self, name)
        self.members.append(member)
        return member

    def join(self, member: _Member, room: str) -> None:
        member.ask(f"join {room}")
        member.settle()
        member.rooms.add(room)

    def leave(self, member: _Member, room: str) -> None:
        member.ask(f"leave {room}")
        member.settle()
        member.rooms.discard(room)

    def emit(self, sender: _Member, room: str, *, size: int = 0) -> _Text:
        """Let somebody say something, and do not wait: who is unsettled may hear it or not."""
        inside = [member for member in self.members if room in member.rooms]
        must = [member for member in inside if not member.is_unsettled]
        text = _Text(len(self.texts) + 1, room, sender, must)
        text.may = {member for member in self.members if member.is_unsettled}
        text.text += "." * size
        self.texts[text.text] = text
        sender.ask(f"emit {room} {text.text}")
        return text

    def say(self, sender: _Member, room: str, hint: str = _ROOM) -> None:
        """Let somebody say something, and look that it is heard."""
        text = self.emit(sender, room)
        sender.settle()
        for member in text.must:
            member.hear(text, hint)

    def fence(self) -> None:
        """Read every wire up to the answer to a question asked now: nothing can hide there."""
        for member in self.members:
            member.ask(f"join {nonce()}")
        for member in self.members:
            member.settle()

    def server_end(self, member: _Member) -> Any:
        """Return the server's end of a member's connection; None where the server has closed it."""
        for connection in self.bench.server.connections:
            if connection.label == member.name:
                return connection.websocket
        return None

    def break_off(self, member: _Member) -> None:
        """Cut a member's connection, with no close frame."""
        end = self.server_end(member)
        if end is not None and member.rooms:  # who was in no room is kept by none
            self.gone.append(weakref.ref(end))
        if member in self.members:
            self.members.remove(member)
        lab().call(member.client.handle.websocket.transport.abort)


@exercise(
    "06 rooms",
    hints=(
        "Keep a dict of sets, as in the lesson: the room's name, and the connections in it. join "
        "adds to a set, leave takes out of it (discard is no error where it was not in). When the "
        "connection ends, in whatever way, a finally takes it out of every room.",
        "emit must not wait for anybody, and the set must not change under it: "
        "`broadcast(rooms[room] - {websocket}, text)` does both. Afterwards, whatever the command "
        'was, `await websocket.send("ok")`. Each room is in `rooms` from the first time on that '
        "somebody names it: a defaultdict(set), or setdefault as in the lesson.",
    ),
    solution="solutions/06_rooms.py",
)
def rooms(handler: Any) -> str:
    """Drive random joins, leaves, emits and aborts beside members that do not read."""
    with TestBench(handler, wait_s=WAIT_S, ping_interval=None) as bench:
        house = _House(bench)
        people = [house.enter(name) for name in ("ann", "ben", "cat", "dan")]
        names = [f"room-{nonce(2)}" for _ in range(3)]
        _rules(house, people, names)
        _walk(house, people, names)
        _slow_and_gone(house, people, names[0])
        _all_break_off(house, names)
        raised = bench.errors
        if raised:
            exc = raised[0]
            seen = f"your handler raised {in_words(exc)}"
            raise Miss("no error while members come and go", seen, _GONE) from exc
        _nobody_held(house)
        heard = sum(len(text.heard) for text in house.texts.values())
        return (
            f"{len(house.texts)} random texts in {len(names)} rooms: {heard} frames, each on the "
            f"wire of a member and on no other's, while {len(house.gone)} members broke off and "
            f"{SLOW} did not read"
        )


def _rules(house: _House, people: list[_Member], names: list[str]) -> None:
    """The rules one by one, so that a Miss is about one of them."""
    ann, ben, cat, _ = people
    room, other, nowhere = names
    for member in (ann, ben):
        house.join(member, room)
    house.join(cat, other)
    house.say(ann, room, _FIRST)  # ben hears it; ann does not, nor cat
    house.fence()
    house.say(cat, room)  # from outside
    house.join(ben, other)  # in two rooms at a time
    house.join(ben, other)  # twice is once
    house.say(cat, other)
    house.say(ann, room)
    house.leave(ben, room)
    house.leave(ben, room)  # no error
    house.say(ann, room)  # nobody hears it
    house.say(cat, other)  # ben is in that one still
    house.say(ann, nowhere)  # no such room
    house.fence()


def _walk(house: _House, people: list[_Member], names: list[str]) -> None:
    """Do random things one after the other."""
    for _ in range(STEPS):
        member, room = random.choice(people), random.choice(names)
        act = random.choice((house.join, house.leave, house.say, house.say))
        act(member, room)
    house.fence()


def _slow_and_gone(house: _House, people: list[_Member], room: str) -> None:
    """Members that do not read sit in the room, and others come and go while emits run."""
    ann, ben, *_ = people
    for member in people:
        house.join(member, room)
    slow, cellar = _not_reading(house, ann, room)
    _answered_at_once(house, ann, cellar)
    for _ in range(EMITS):
        house.say(ann, room)
    house.hint = _GONE
    guests: list[_Member] = []
    for turn in range(ROUNDS):
        while len(guests) < GUESTS:
            guests.append(house.enter(f"guest {nonce(2)}"))
        _come_and_go(house, guests, (ann, ben), room)
        if turn == ROUNDS // 2:  # one of them breaks off, with a full wire
            house.break_off(slow.pop())
    for member in slow[1:]:  # these read again; what they hear is the learner's affair
        lab().call(member.client.handle.websocket.transport.resume_reading)
    for _ in range(EMITS):
        house.say(ann, room)
    house.fence()
    for member in (*guests, *slow):
        house.break_off(member)
    for _ in range(EMITS):
        house.say(ann, room)
    house.fence()
    house.hint = ""


def _not_reading(house: _House, sender: _Member, room: str) -> tuple[list[_Member], str]:
    """Let members join who then do not read; fill their wires until the server has to wait.

    By bytes, not by time: a wire is full where the operating system takes no more of it.
    """
    slow = [house.enter(f"slow {number + 1}") for number in range(SLOW)]
    cellar = f"cellar-{nonce(2)}"  # only they are in it: what fills them, nobody has to read
    for member in slow:
        house.join(member, cellar)
        house.join(member, room)
        house.members.remove(member)
        lab().call(member.client.handle.websocket.transport.pause_reading)
    house.hint = _SLOW
    wires = [_Wire(house.server_end(member)) for member in slow]
    for _ in range(FILL_MAX):
        text = house.emit(sender, cellar, size=FILL_SIZE)
        sender.settle()
        size = len(text.text) + HEADER_SIZE
        if sum(wire.is_full_after(size) for wire in wires) == SLOW:  # ask each of them
            break
    return slow, cellar


def _answered_at_once(house: _House, sender: _Member, cellar: str) -> None:
    """Look that an emit to full wires takes no longer than one to nobody.

    The quickest of several counts on either side: a busy machine is slow now and then, a handler
    that waits is so each time.
    """
    nowhere = f"nowhere-{nonce(2)}"
    to_nobody_s = to_slow_s = float("inf")
    for number in range(1, TRIES + 1):
        to_nobody_s = min(to_nobody_s, _answer_s(house, sender, nowhere))
        to_slow_s = min(to_slow_s, _answer_s(house, sender, cellar))
        if number >= LEAST_TRIES and to_slow_s < AT_ONCE_S + 2 * to_nobody_s:
            return
    raise sender.client.miss(
        f"{OK!r} on {sender.name}'s wire at once, though {SLOW} members do not read",
        f"at best {to_slow_s * 1000:.0f} ms, and {to_nobody_s * 1000:.1f} ms where nobody is in "
        "the room",
        "nobody waits for a slow member, not for a moment either: what sends without waiting?",
    )


def _answer_s(house: _House, sender: _Member, room: str) -> float:
    began_s = time.perf_counter()
    house.emit(sender, room)
    sender.settle()
    return time.perf_counter() - began_s


class _Wire:
    """The server's end of a wire that nobody reads at the other end.

    Args:
        websocket: the server's end; None where that is closed.
    """

    def __init__(self, websocket: Any) -> None:
        self._transport = websocket.transport if websocket is not None else None
        self._waiting_size = self._stuck = 0

    def is_full_after(self, frame_size: int) -> bool:
        """Whether the operating system has taken nothing of the last few frames.

        Args:
            frame_size: bytes of the frame that was emitted since the last call.
        """
        if self._transport is None or self._transport.is_closing():
            return True  # who parts with a slow member does not wait for it
        before, now = self._waiting_size, self._transport.get_write_buffer_size()
        over = now > self._transport.get_write_buffer_limits()[1]
        # A handler that lets frames wait elsewhere adds none.
        is_stuck = over and now - before in (0, frame_size)
        self._stuck = self._stuck + 1 if is_stuck else 0
        self._waiting_size = now
        return self._stuck >= STUCK


def _come_and_go(
    house: _House, guests: list[_Member], senders: tuple[_Member, ...], room: str
) -> None:
    """Guests join, leave and break off while emits are on their way; then look at every wire."""
    texts: list[_Text] = []
    for guest in guests:
        guest.is_unsettled = True  # all of them: which of two clients is served first, nobody knows
    for guest in random.sample(guests, len(guests)):
        texts += [house.emit(random.choice(senders), room) for _ in range(EMITS)]
        if random.random() < 0.3:
            house.break_off(guest)
            guests.remove(guest)
        elif room in guest.rooms:
            guest.ask(f"leave {room}")
            guest.rooms.discard(room)
        else:
            guest.ask(f"join {room}")
            guest.rooms.add(room)
    for member in house.members:
        member.settle()
        member.is_unsettled = False
    texts += [house.emit(sender, room) for sender in senders]
    for text in texts:
        for member in text.must:
            if member in house.members:
                member.hear(text)
    house.fence()


def _all_break_off(house: _House, names: list[str]) -> None:
    """Let newcomers join more than one room, and then break everybody off: no handler is left."""
    newcomers = [house.enter(f"newcomer {nonce(2)}") for _ in range(GUESTS)]
    for member in newcomers:
        for room in random.sample(names, 2):
            house.join(member, room)
    server = house.bench.server
    for member in tuple(house.members):
        house.break_off(member)
    house.bench.until(
        lambda: not server.connections,
        "your handler to end when its connection breaks off",
        lambda: f"{len(server.connections)} handlers still run",
        "`async for`, recv() and send() raise ConnectionClosed then: let that end your handler",
    )


def _nobody_held(house: _House) -> None:
    """Whoever has gone must not be kept: a room that only grows is a leak that no wire shows.

    Each of them was in a room when it broke off: a handler that forgets that keeps them all, while
    a variable or a traceback keeps one or two.
    """
    deadline_s = time.monotonic() + 1.0
    while time.monotonic() < deadline_s:
        gc.collect()
        kept = sum(end() is not None for end in house.gone)
        if kept <= len(house.gone) // 4:
            return
        time.sleep(0.02)
    raise Miss(
        "that whoever breaks off leaves all rooms",
        f"{kept} of {len(house.gone)} connections that broke off are still kept by your code",
        "what stands below the loop does not run then, for `async for` raises ConnectionClosed; a "
        "finally around the loop runs in whatever way a connection ends. Take it out of every room",
    )
