"""The check of lesson 15: a message reaches everybody once, whatever node is killed in between.

Its rule: the learner's coroutine runs in real processes, each with a line of its own to a real
Redis. The check speaks as the clients of lesson 10 do: they say what they have seen last, come back
to another node, and say again what they have not seen themselves. It kills a node when so many of
its commands about one message have reached Redis, so that what is done in two steps is found out.
What the learner tells Redis, and with which commands, is the learner's affair.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from ...client.client import Client
from ...client.connect import connect
from ...errors import ConnectFailed
from ...machines.node import Node, source_of
from ...machines.redis_server import HOW_TO_GET_ONE, RedisServer, need_redis
from ...notebook import cells
from ...widgets.machines.redis_talk import RedisTalk
from ...wire.resp import RespDecoder, RespError
from ..exercises import Miss, NotYet, exercise
from ..testbench import nonce

__all__ = ["ONCE"]

WAIT_S = 8.0  # for one message, across processes, on a busy machine
NEXT_S = 0.4  # for the next command about a message, where there is one
KILL_S = 0.1  # for Redis to do what has reached it
STEPS = (1, 2)  # a node is killed after its first, and another after its second command

ONCE = """
if redis.call('SET', KEYS[2], '', 'NX', 'EX', 600) then
    return redis.call('XADD', KEYS[1], '*', 'said', ARGV[1])
end
"""
"""A script that Redis runs as one step: note the message's id, and add the message, or neither."""

_EXPECTED = "`async def node(websocket, box)`"
_LAST = (
    "the first message of each connection is the id of the last entry that this client has seen. "
    "Read on after it, and after each entry after that one: `at = last`, and never `$`"
)
_TWICE = (
    "the same message, with the same id, may be said again at another node: whoever said it can't "
    "know whether it got through. Note its id in Redis, in one step with adding it: `ONCE`"
)
_STEPS = (
    "a node may be killed between two commands. What belongs together is one step: a script "
    "(`box.eval(ONCE, 2, ...)`), or MULTI and EXEC"
)
_FORM = 'what goes to a client is the id of the entry, a space, and what was said: `f"{at} {said}"`'


class _Person:
    """A client as lesson 10 has them: it knows what it has seen, and says that when it comes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last = "0"
        self.heard: list[str] = []
        self.node: Node | None = None
        self._client: Client | None = None
        self._taken = 0

    def come(self, node: Node) -> None:
        """Connect to a node, and say what was seen last."""
        self.leave()
        self.node = node
        try:
            self._client = connect(node.url, name=self.name, keep=True, open_timeout=WAIT_S)
        except ConnectFailed as exc:
            raise _miss(self, "a handshake that opens", str(exc)) from None
        self._taken = 0
        self._send(self.last)

    def leave(self, *, hears: bool = True) -> None:
        """Close the connection.

        Args:
            hears: take what has come on it; else that is lost, as in a cut line.
        """
        if self._client is not None:
            if hears:
                self.hear()
            self._client.close(timeout=1.0)
            self._client = None

    def say(self, message: str) -> None:
        """Send a message: its id, a space, a text."""
        self._send(message)

    def _send(self, message: str) -> None:
        assert self._client is not None
        with contextlib.suppress(Exception):  # `hear` says how it ended
            self._client.send(message, timeout=WAIT_S)

    def hear(self) -> list[str]:
        """Take what has come, and return all that was heard."""
        received = list(self._client.received) if self._client is not None else []
        for message in received[self._taken :]:
            self._taken += 1
            text = message if isinstance(message, str) else ""
            at, _, said = text.partition(" ")
            if not said or "-" not in at:
                raise _miss(self, "an entry's id, a space, and what was said", repr(message), _FORM)
            self.last = at
            self.heard.append(said)
        return self.heard

    @property
    def is_connected(self) -> bool:
        """Whether its connection is open."""
        return self._client is not None and self._client.state.name == "OPEN"

    @property
    def ended(self) -> str:
        """How its connection ended, where it has."""
        client = self._client
        if client is None or self.is_connected:
            return ""
        return f"the connection has ended ({client.why_closed or client.close_code})"


class _World:
    """A Redis, three nodes of the learner's, and people."""

    def __init__(self, node: Callable[..., Any]) -> None:
        source, name = _source_of(node)
        self._source = f"{source}\n\n{_MAKE.replace('NODE', name)}"
        self.redis = RedisServer(cells.claim("check", keep=True))
        self.nodes: list[Node] = []
        self.people = [_Person(name) for name in ("ada", "bob", "carol")]
        self.said: list[str] = []
        self.seen_failures = 0

    def __enter__(self) -> _World:
        try:
            self.redis.start()
            for name in ("node one", "node two", "node three"):
                one = Node(name, cells.claim("check", keep=True), self.redis)
                self.nodes.append(one)
                one.begin(self._source, "_make")
            for one in self.nodes:
                one.await_url()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: object, exc: BaseException | None, tb: object) -> None:
        try:
            if isinstance(exc, Miss):
                self._blame(exc)
        finally:
            self.close()

    def _blame(self, miss: Miss) -> None:
        """Say what the learner's code has raised, where it has."""
        time.sleep(0.05)  # what it raised is written by another process
        for one in self.nodes:
            for failure in one.failures:
                if failure.kind.rpartition(".")[2] == "NotYet":
                    raise NotYet from None
                if "ConnectionClosed" in failure.kind:
                    continue
                miss.seen += f". In {one.name}, your code raised {failure.summary}"
                miss.hint, miss.details = "fix what your code raised first", failure.traceback
                return

    def close(self) -> None:
        """End all of it."""
        for person in self.people:
            with contextlib.suppress(Exception):
                person.leave()
        closing = [one.begin_close() for one in (*self.nodes, self.redis)]
        deadline_s = time.monotonic() + 5.0
        while not all(one.done() for one in closing) and time.monotonic() < deadline_s:
            time.sleep(0.01)

    def message(self, text: str = "") -> str:
        """Return a message that nobody has said before."""
        one = f"{nonce()} {text or random.choice(_TEXTS)}"
        self.said.append(one)
        return one

    def until_heard(self, people: list[_Person], when: str, hint: str) -> None:
        """Wait until each of them has heard all that was said, once."""
        deadline_s = time.monotonic() + WAIT_S
        while True:
            waiting = [one for one in people if not self._has_all(one, when)]
            if not waiting:
                return
            for one in waiting:
                if one.ended:
                    heard = len(one.heard)
                    expected = f"{when}, all {len(self.said)} messages at {one.name}"
                    raise _miss(one, expected, f"{heard}, and then {one.ended}")
            if time.monotonic() > deadline_s:
                one = waiting[0]
                lacks = [each for each in self.said if each not in one.heard]
                raise _miss(
                    one,
                    f"{when}, all {len(self.said)} messages at {one.name}",
                    f"{len(one.heard)} after {WAIT_S:g} s; {lacks[0]!r} is missing",
                    hint,
                )
            time.sleep(0.01)

    def until_caught_up(self, one: _Person, when: str) -> None:
        """Wait until somebody has heard what was said last."""
        deadline_s = time.monotonic() + WAIT_S
        while self.said[-1] not in one.hear():
            if one.ended or time.monotonic() > deadline_s:
                seen = one.ended or f"it did not come within {WAIT_S:g} s"
                raise _miss(one, f"{when}, what {one.name} says at {one.name}", seen, _LAST)
            time.sleep(0.01)

    def _has_all(self, one: _Person, when: str) -> bool:
        heard = one.hear()
        twice = next((each for n, each in enumerate(heard) if each in heard[:n]), None)
        if twice is not None:
            raise _miss(one, f"{when}, each message once", f"{twice!r} twice", _TWICE)
        odd = next((each for each in heard if each not in self.said), None)
        if odd is not None:
            raise _miss(one, "what was said, as it was said", repr(odd), _FORM)
        return len(heard) == len(self.said)


_TEXTS = ("hello", "is anybody there?", "ä → ☂", "42", "the kettle is on", '{"json": [1]}')

_MAKE = """
def _make(url):
    box = redis.asyncio.from_url(url, protocol=2, decode_responses=True)

    async def serve(websocket):
        await NODE(websocket, box)

    return serve
"""


def _source_of(node: Any) -> tuple[str, str]:
    try:
        source, name = source_of(node)
    except TypeError:
        seen = f"{type(node).__name__} {node!r:.60}"
        raise Miss(_EXPECTED, seen, "a function written with `def` in a cell") from None
    return f"from wslab.learn import NotYet\nONCE = {json.dumps(ONCE)}\n{source}", name


def _miss(one: _Person, expected: str, seen: str, hint: str = "") -> Miss:
    where = f"at {one.node.name}" if one.node is not None else ""
    return Miss(expected, f"{one.name}, {where}: {seen}", hint)


class _Kill:
    """Lets so many commands about one message pass, and then nothing more."""

    def __init__(self, message: str, steps: int) -> None:
        self._mark = message.split()[0].encode()
        self._steps = steps
        self._decoders: dict[str, RespDecoder] = {}
        self._held: dict[str, bytes] = {}
        self.passed = 0

    def filter(self, connection: str, data: bytes) -> bytes:
        """Return what goes on to Redis; see `Relay.filter`."""
        if self.passed >= self._steps:
            return b""
        held = self._held.pop(connection, b"") + data
        out = b""
        for command in _commands(held):
            if self.passed >= self._steps:
                return out
            out += command
            self.passed += self._mark in command
        if self.passed < self._steps and len(out) < len(held):
            self._held[connection] = held[len(out) :]  # of a command that is not whole yet
        return out


def _commands(data: bytes) -> Iterator[bytes]:
    decoder, at = RespDecoder(), 0
    try:
        values = decoder.add(data)
    except RespError:
        yield data
        return
    for _, size_bytes in values:
        yield data[at : at + size_bytes]
        at += size_bytes


@exercise(
    "15 once",
    hints=(
        "Two things are broken. `$` means: from now on; but the client has told you where it "
        "stopped, and each entry that you send it moves that place. And the same message may be "
        "said at two nodes: who finds out that it is there already, and when?",
        '`at = last` in place of `at = "$"`. And in place of `box.xadd(...)`: `await '
        'box.eval(ONCE, 2, "chat", "said:" + message.split()[0], message)`: Redis runs the script '
        "as one step.",
    ),
    solution="solutions/15_many_machines.py",
)
def once(node: Any) -> str:
    """Let three people talk over three nodes, two of which are killed while somebody speaks."""
    if not callable(node):
        raise Miss(_EXPECTED, f"{type(node).__name__} {node!r:.60}")
    try:
        need_redis()
    except RuntimeError:
        raise Miss("a redis-server on this machine", "none", HOW_TO_GET_ONE) from None
    with _World(node) as world:
        ada, bob, carol = world.people
        *first, last = world.nodes
        ada.come(first[0])
        bob.come(first[0])
        carol.come(last)
        for one in world.people:
            one.say(world.message())
            world.until_heard(world.people, "after each has said something", _LAST)
        _away(world, bob, first[0], last)
        for steps, killed, next_one in zip(STEPS, first, [first[1], last], strict=True):
            _kill(world, killed, next_one, steps)
        orders = {tuple(one.heard) for one in world.people}
        if len(orders) > 1:
            raise Miss("one order for all", f"{len(orders)} orders", _LAST)
    return (
        f"{len(world.said)} messages with random ids, over three processes, each heard once and in "
        f"one order by {len(world.people)} people; two nodes were killed while ada spoke, one "
        "after its first command about the message, one after its second"
    )


def _away(world: _World, one: _Person, before: Node, after: Node) -> None:
    """Let one be away while others speak, and come back to another node."""
    others = [each for each in world.people if each is not one]
    one.leave()
    for each in others:
        each.say(world.message())
    world.until_heard(others, f"while {one.name} was away", _LAST)
    one.come(after)
    world.until_heard([one], f"after {one.name} had been away and came back", _LAST)
    one.come(before)
    one.say(world.message())
    world.until_heard(world.people, f"after {one.name} came back once more", _LAST)


def _kill(world: _World, killed: Node, next_one: Node, steps: int) -> None:
    """Kill a node after so many commands about one message; its clients go to the next node."""
    ada, bob, carol = world.people
    ada.come(killed)
    bob.come(killed)
    assert killed.redis_line is not None
    message = world.message()
    kill = _Kill(message, steps)
    killed.redis_line.relay.filter = kill.filter
    ada.say(message)
    for steps_s, enough in ((WAIT_S / 4, 1), (NEXT_S, steps)):
        deadline_s = time.monotonic() + steps_s
        while kill.passed < enough and time.monotonic() < deadline_s:
            time.sleep(0.005)
    time.sleep(KILL_S)
    killed.kill()
    ada.leave(hears=False)  # what came back to her was lost: so she says it again
    told = _told(world, killed, message)
    when = f"after {killed.name} was killed, which had told Redis {told} of it"
    hint = _STEPS if kill.passed else _TWICE
    # Bob comes back before ada: what he hears then must not come again when she says it again.
    bob.come(next_one)
    bob.say(world.message())
    world.until_caught_up(bob, when)
    ada.come(next_one)
    ada.say(message)
    bob.come(next_one)
    world.until_heard([ada], f"{when}, and ada said it again at {next_one.name}", hint)
    carol.say(world.message())
    world.until_heard(world.people, f"{when}, and carol spoke after it", hint)


def _told(world: _World, node: Node, message: str) -> str:
    """Say which commands about a message a node got through to Redis."""
    mark, line = message.split()[0], node.redis_line
    verbs = [
        one.verb
        for one in RedisTalk(world.redis.tape).look()
        if line is not None and one.node == line.label and any(mark in word for word in one.words)
    ]
    return " and ".join(verbs) or "nothing"
