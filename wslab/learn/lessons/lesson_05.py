"""The check of lesson 05: a private message, and a registry that forgets whoever has gone.

Its rule: every wire counts. A random number of clients whisper random texts to each other by the
ids that the handler gave them; each text must be on its target's wire once, and on no other. Then
TCP connections are cut, and the registry must be as long as there are clients left. How ids are
made and what the registry is made of is the learner's own affair.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

from websockets.protocol import State

from ..exercises import Miss, exercise
from ..testbench import BenchClient, TestBench, describe, nonce

CLIENTS = (4, 7)  # so many connect: random, in this range
WHISPERS = 3  # from each client in a round
WAIT_S = 2.0  # for one message, and for the registry

_FORM = "to whom it is meant it goes as `<id of the sender> <text>`, one message for one message"
_NOBODY = (
    "nobody has that id any more: look before you send, and let the handler go on with the next "
    "message"
)
_JUST_NOW = (
    "that client's connection ended a moment ago, while its own handler was still busy, so the "
    "registry still has it: `send` raises ConnectionClosed. Expect that around this one send, so "
    "that the sender's loop goes on"
)
_FORGET = (
    "`async for` raises where a connection breaks off, and a handler may end in other ways: what "
    "has to happen however it ends stands in a `finally`"
)
_ENTER = "enter a client once, when its handler begins, into the `clients` that you give to check()"


class _Whisper:
    """One private message. ``target`` is None where nobody is to get it."""

    def __init__(self, sender: _Guest, target: _Guest | None, to: str) -> None:
        self.sender = sender
        self.target = target
        self.to = to
        self.text = f"{nonce()}  {nonce()}"  # two spaces: the text as it is
        self.wanted = f"{sender.id} {self.text}"
        self.may_get_lost = False  # its sender was cut off right after it

    @property
    def expected(self) -> str:
        """For a Miss."""
        if self.target is None:
            return f"{self.text!r}, whispered by {self.sender} to {self.to!r}, on nobody's wire"
        return f"{self.wanted!r} on the wire of {self.target}, whispered by {self.sender}"

    def is_in(self, message: str | bytes) -> bool:
        """Whether a message carries any of it."""
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        return any(part in text for part in self.text.split())


class _Guest:
    """A client of the check, and the id that the handler gave it."""

    def __init__(self, bench: TestBench, number: int) -> None:
        self.number = number
        self.id = ""
        self.client: BenchClient = bench.connect(name=f"client {number}")

    def __str__(self) -> str:
        return f"client {self.number} (id {self.id})" if self.id else f"client {self.number}"

    @property
    def heard(self) -> list[str | bytes]:
        """The messages that came down its wire, in order."""
        return list(self.client.handle.received)


class _Room:
    """All clients of one check, what they whispered, and the learner's registry."""

    def __init__(self, bench: TestBench, registry: Sized) -> None:
        self.bench = bench
        self.registry = registry
        self.others = len(registry)  # the learner's own clients, where the handler serves some
        self.here: list[_Guest] = []
        self.gone: list[_Guest] = []
        self.everybody: list[_Guest] = []
        self.whispers: list[_Whisper] = []

    # Coming.

    def enter(self, count: int) -> None:
        """Let clients connect; each must be told an id that nobody had before."""
        known = {guest.id: guest for guest in self.everybody}
        for _ in range(count):
            guest = _Guest(self.bench, len(self.everybody) + 1)
            self.everybody.append(guest)
            self.here.append(guest)
            expected = f"its id, one word, as the first message to {guest}"
            got = guest.client.recv(
                expected, "send the id when the client has come, before you wait for anything"
            )
            if not isinstance(got, str):
                raise guest.client.miss(expected, f"{got!r:.60}", "send a str: bytes go as binary")
            if len(got.split()) != 1 or got != got.strip() or len(got) > 200:
                hint = "just the id and nothing around it: the others write it before their text"
                raise guest.client.miss(expected, f"{got!r:.60}", hint)
            if got in known:
                first = known[got]
                when = "has" if first in self.here else "had"
                raise guest.client.miss(
                    f"an id for {guest} that no other client has or had",
                    f"{got!r}, which client {first.number} {when}",
                    "take what is never the same twice, such as websocket.id",
                )
            guest.id = got
            known[got] = guest
        self.count(f"{_clients(len(self.here))} have connected", _ENTER)

    def count(self, after: str, hint: str) -> None:
        """Wait until the registry is as long as there are clients here."""
        wanted = self.others + len(self.here)
        expected = f"{_entries(wanted)} in the registry when {after}"

        def seen() -> str:
            said = f"{_entries(len(self.registry))} after {WAIT_S:g} s"
            if len(self.registry) > wanted and self.gone:
                last = self.gone[-1]
                said += f"; the wire of {last}, which has gone: {last.client.seen()}"
            return said

        try:
            self.bench.until(lambda: len(self.registry) == wanted, expected, seen, hint)
        except Miss as miss:
            raise self._with_cause(miss) from self._raised()

    # Whispering.

    def whisper(self, sender: _Guest, target: _Guest | None, to: str = "") -> _Whisper:
        """Send a private message, and do not wait for it."""
        whisper = _Whisper(sender, target, target.id if target is not None else to)
        self.whispers.append(whisper)
        hint = "the handler has ended, and with it the connection: what ended it?"
        sender.client.send(f"{whisper.to} {whisper.text}", whisper.expected, hint)
        return whisper

    def talk(self) -> None:
        """Let everybody whisper to others at random, all at once; then listen on every wire."""
        round_ = []
        for _ in range(WHISPERS):
            for sender in random.sample(self.here, len(self.here)):
                target = random.choice([guest for guest in self.here if guest is not sender])
                round_.append(self.whisper(sender, target))
        # One more each, along a ring: whoever hears it knows that its sender's handler is done
        # with all before.
        for sender, target in zip(self.here, self.here[1:] + self.here[:1], strict=True):
            round_.append(self.whisper(sender, target))
        self.listen(round_)

    def listen(self, whispers: Iterable[_Whisper]) -> None:
        """Wait until each of these has come to its target; none may have come to another."""
        for whisper in whispers:
            deadline_s = time.monotonic() + self.bench.left_s()
            assert whisper.target is not None
            target = whisper.target
            while whisper.wanted not in target.heard:
                self.overhear(whisper)
                left_s = max(deadline_s - time.monotonic(), 0.01)
                try:
                    target.client.recv(wait_s=left_s, expected=whisper.expected)
                except Miss:
                    if whisper.wanted not in target.heard:
                        raise self._unheard(whisper, target) from None
        self.audit()

    def _unheard(self, whisper: _Whisper, target: _Guest) -> Miss:
        for guest in self.here:
            if guest.client.handle.close_code is not None:  # rather the wire that tells why
                return guest.client.miss(
                    f"{len(self.here)} conversations that go on",
                    f"the one of {guest} was closed",
                    "a handler that ends closes its connection: what ended it?",
                )
        said = [frame for frame in target.client.frames if frame.sender == "server"]
        seen = f"no such message within {WAIT_S:g} s{self.bench.held()}"
        seen += f"; what the server sent on that wire: {target.client.seen(said)}"
        return Miss(whisper.expected, seen, self._other_keys(target) or _FORM)

    def _other_keys(self, target: _Guest) -> str:
        """Say how a dict's keys differ from the ids that were told; "" where they do not."""
        if not isinstance(self.registry, Mapping) or target.id in self.registry:
            return ""
        key = next(iter(list(self.registry)), "")
        return (
            f"who looks {target.id!r} up in the registry finds nobody: its keys are other than the "
            f"ids that clients are told, such as the {type(key).__name__} {str(key)[:40]!r}. Enter "
            "each client under the very str that you send it"
        )

    def overhear(self, whisper: _Whisper) -> None:
        """Look for a whisper where it should not be, or not like this."""
        for guest in self.everybody:
            for message in guest.heard:
                if guest is whisper.target and message == whisper.wanted:
                    continue
                if not whisper.is_in(message):
                    continue
                if guest is not whisper.target:
                    who = "who sent it" if guest is whisper.sender else "who is not meant"
                    hint = "send to one connection, the one that has the id in front of the text"
                    raise Miss(
                        f"{whisper.expected} and on no other",
                        _on(guest, message) + f", {who}",
                        hint,
                    )
                hint = _FORM if isinstance(message, str) else "send a str: bytes go as binary"
                if isinstance(message, str) and message.split() == whisper.wanted.split():
                    hint = "the text as it is: look how many spaces are in it, there and here"
                raise Miss(whisper.expected, _on(guest, message), hint)

    def audit(self) -> None:
        """Look at every wire: each whisper once on its target's, and on no other."""
        for guest in self.here:  # what was sent to it before the pong is on its wire by then
            try:
                guest.client.handle.ping(timeout=self.bench.left_s())
            except Exception:  # closed, or its loop is held
                raise guest.client.miss(
                    f"the conversation with {guest} to go on",
                    "no pong" + self.bench.held(),
                    "what has ended its handler, or holds its loop?",
                ) from None
        for whisper in self.whispers:
            self.overhear(whisper)
            times = whisper.target.heard.count(whisper.wanted) if whisper.target else 0
            if times > 1:
                assert whisper.target is not None
                seen = _on(whisper.target, whisper.wanted)
                raise Miss(f"{whisper.expected}, once", f"{seen}, {times} times", _FORM)

    # Going.

    def cut(self, guests: Iterable[_Guest]) -> None:
        """End their TCP connections, without a close frame."""
        for guest in list(guests):
            self.leaves(guest)
            guest.client.cut()

    def leaves(self, guest: _Guest) -> None:
        """Note that one goes."""
        self.here.remove(guest)
        self.gone.append(guest)

    def ask_for(self, gone: _Guest, *, asks: Sequence[_Guest] = (), hint: str = _NOBODY) -> None:
        """Whisper to one who has gone: nobody gets it, and the conversation goes on."""
        sender, other = random.sample(asks or self.here, 2)
        try:
            lost = self.whisper(sender, None, gone.id)
            self.listen([self.whisper(sender, other)])
        except Miss:
            if sender.client.handle.close_code is None:
                raise
            expected = f"{sender} whispers to {gone}, which has gone, and goes on talking"
            closed = sender.client.miss(expected, "its own connection was closed", hint)
            raise self._with_cause(closed) from self._raised()
        self.overhear(lost)

    def _with_cause(self, miss: Miss) -> Miss:
        """Add what the handler raised last; the hint stays, for that may be what was to come."""
        raised = self._raised()
        if raised is not None:
            miss.seen += f". A handler raised {type(raised).__name__}: {raised}"
        return miss

    def _raised(self) -> BaseException | None:
        return next(reversed(self.bench.errors), None)


@exercise(
    "05 private",
    hints=(
        "Three parts: enter the client into `clients` and send it its id; a loop over its "
        "messages; and forgetting it, in a `finally` around that loop. In the loop, "
        'message.partition(" ") gives the id, the space, and the text as it is.',
        "`clients.get(to)` gives the connection that has this id, or None where nobody has it. "
        "Send to that one only. It may leave between your look and your send: "
        "contextlib.suppress(ConnectionClosed) around the send, and the sender's own conversation "
        "goes on.",
    ),
    solution="solutions/05_client_ids.py",
)
def private(handler: Any, registry: Any = None) -> str:
    """Clients whisper, are cut off, and come anew; look at every wire and at the registry."""
    try:
        len(registry)
    except TypeError:
        raise Miss(
            'the handler and its registry: `check("05 private", private, clients)`',
            f"a registry of the type {type(registry).__name__}",
        ) from None
    with TestBench(handler, wait_s=WAIT_S) as bench:
        room = _Room(bench, registry)
        room.enter(random.randint(*CLIENTS))
        room.talk()
        gone = _some_leave(room)
        room.enter(random.randint(1, 2))
        for guest in gone:
            room.ask_for(guest)
        room.talk()
        room.enter(1)
        _one_is_dead_and_registered(room)
        _one_is_odd(room)
        room.talk()
        room.cut(room.here)
        room.count("all TCP connections have been cut at the same time", _FORGET)
        texts = sum(not whisper.may_get_lost for whisper in room.whispers)
        return (
            f"{len(room.everybody)} clients, {texts} private messages: each one on its target's "
            f"wire and on no other; the registry is empty again after "
            f"{len(room.everybody) - 1} connections were cut"
            if not room.others
            else f"{len(room.everybody)} clients, {texts} private messages: each one on its "
            f"target's wire and on no other; the registry is as long as before, "
            f"{_entries(room.others)}"
        )


def _one_is_dead_and_registered(room: _Room) -> None:
    """Cut one off while its handler waits for a slow reader, and let another one write to it.

    Until that handler goes on, a registry that handlers clean holds a connection that has ended.
    """
    slow, dead, *others = random.sample(room.here, len(room.here))
    ended = dead.client.of_the_server
    with slow.client.full():
        count = _sent_to(slow)
        last = room.whisper(dead, slow)
        room.bench.until(
            lambda: _sent_to(slow) > count, last.expected, lambda: slow.client.seen(), _FORM
        )
        last.may_get_lost = True  # its sender is cut off while it still waits for the slow one
        room.leaves(dead)
        dead.client.cut()
        room.bench.until(
            lambda: ended is None or ended.state is State.CLOSED,
            f"the connection of {dead} to end when TCP has been cut",
            lambda: dead.client.seen(),
        )
        room.ask_for(dead, asks=others, hint=_JUST_NOW)
    room.count(f"TCP has been cut for {dead}, with no close frame", _FORGET)


def _sent_to(guest: _Guest) -> int:
    return sum(frame.sender == "server" and frame.opcode < 8 for frame in guest.client.frames)


def _some_leave(room: _Room) -> list[_Guest]:
    """One leaves in an orderly way, others are cut off; the registry forgets them all."""
    orderly, *cut = random.sample(room.here, random.randint(2, len(room.here) - 2))
    room.leaves(orderly)
    orderly.client.close()
    room.count(f"{orderly} has left with close 1000", _FORGET)
    target = next(guest for guest in room.here if guest not in cut)
    room.whisper(cut[0], target).may_get_lost = True  # and is gone in the same breath
    room.cut(cut)
    room.count(f"TCP has been cut for {_clients(len(cut))}, with no close frame", _FORGET)
    room.audit()
    return [orderly, *cut]


def _one_is_odd(room: _Room) -> None:
    """One sends what the handler was not made for, and is cut off; the registry forgets it."""
    odd = random.choice(room.here)
    odd.client.send(random.randbytes(8))
    with contextlib.suppress(Miss):  # the bytes may have ended its handler, which is no fault
        odd.client.send(nonce())
    room.cut([odd])
    room.count(f"{odd} has sent bytes, then a text without a space, and was cut off", _FORGET)


def _on(guest: _Guest, message: str | bytes) -> str:
    """Say a message of a guest's wire: its frame, its time."""
    events = guest.client.events
    began_s = events[0].at_s if events else 0.0
    data = message.encode() if isinstance(message, str) else message
    for frame in guest.client.frames:
        if frame.sender == "server" and frame.fin and bytes(frame.payload or b"") == data:
            said = describe(frame, began_s)
            return f"on the wire of {guest}, frame {frame.number}: {said}"
    return f"on the wire of {guest}: {message!r:.60} from the server"


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def _clients(count: int) -> str:
    return f"{count} {'client' if count == 1 else 'clients'}"
