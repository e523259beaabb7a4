"""The check of lesson 10: come back with the last number seen, whenever the connection breaks off.

Its rule: ten copies of the learner's coroutine follow one feed of random texts, each under a path
of its own; the server cuts each of them at random points, and what it had written may be lost, so
that the number which the client names is all that tells where to go on. Then it refuses all of them
for a while, and the times of their attempts say whether the crowd is spread. How the learner waits,
and with which client, is the learner's affair.
"""

from __future__ import annotations

import asyncio
import http
import inspect
import itertools
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed

from ...calls.crossing import Crossing
from ...failures import in_words, is_around
from ...loops.portal import Portal
from .. import learner_loop
from ..exercises import Miss, exercise
from ..testbench import TestBench, nonce

__all__: list[str] = []

FOLLOWERS = 10
ROUNDS = 3  # in each of them every follower is cut once
TEXTS = 6  # in each round
REFUSED = 2  # attempts of each follower; the third is measured, and let in
BACK_S = 6.0  # for all to have heard all of a round
OUT_S = 18.0  # and of the last one, in which the server refuses them at first
ASK_S = 2.0  # for a client's first message
STUCK_S = 0.1  # at one place of the learner's code, without a turn for the others
APART_S = 0.04  # from one follower's end to the next one's: else they hold one another up
SPREAD = 0.3  # of one wait of all followers, but the two at its ends: how far apart, by the median
SPREAD_S = 0.1  # and at least so much: a busy machine spreads a little by itself
HAMMER_S = 0.15  # the third attempt comes no sooner

_EXPECTED = "`async def follow(url, heard)`"
_OFFSET = (
    "the first message of each new connection is the number of the last event that you have put "
    "into `heard`. Only you know it: the server may have sent more than you have got"
)
_CATCH = (
    "what ends a connection is an exception: `ConnectionClosed` where it was open, "
    "`InvalidStatus` where the server refuses, `OSError` where nobody listens. Catch them all "
    "(the first two are `websockets.WebSocketException`), wait, and connect again"
)
_SPREAD = (
    "a crowd that loses its server at one moment would come again at one moment. Draw each wait at "
    "random: `random.uniform(0, bound)`, and double the bound after each attempt that failed"
)


@dataclass
class _Follower:
    """One copy of the learner's coroutine, and what its wires carried."""

    number: int
    heard: list[Any] = field(default_factory=list)  # the learner's code fills it
    asked: list[int] = field(default_factory=list)
    connections: int = 0
    websocket: Any = None
    cut_after: int = 0  # the number of an event
    how: str = ""
    lost_s: float = 0.0  # when it lost its server; 0: it has not
    attempts_s: list[float] = field(default_factory=list)  # since then
    trouble: Miss | None = None
    task: Crossing | None = None


class _Feed:
    """The server: numbered events, cuts, and a time in which it refuses everybody."""

    def __init__(self) -> None:
        self.bench = TestBench(self.handle, process_request=self.decide, ping_interval=None)
        self.texts: list[str] = []
        self.followers = [_Follower(number) for number in range(FOLLOWERS)]
        self.cuts: dict[str, int] = {}
        self._news = asyncio.Event()

    def _of(self, path: str) -> _Follower:
        return self.followers[int(path.strip("/"))]

    def decide(self, connection: Any, request: Any) -> Any:
        """Refuse each follower's first attempts after it has lost its server."""
        follower = self._of(request.path)
        if not follower.lost_s:
            return None
        follower.attempts_s.append(time.monotonic() - follower.lost_s)
        if len(follower.attempts_s) > REFUSED:
            return None
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "not yet\n")

    async def handle(self, websocket: Any) -> None:
        """Send what comes after the number that the client names; cut where it is due."""
        follower = self._of(websocket.request.path)
        follower.connections += 1
        try:
            at = await self._first_message(websocket, follower)
            follower.websocket = websocket
            while at is not None:
                if at == len(self.texts):
                    await self._news.wait()
                    continue
                at += 1
                await websocket.send(f"{at} {self.texts[at - 1]}")
                if at == follower.cut_after:
                    follower.cut_after = 0
                    await self._cut(follower, at)
                    return
        except ConnectionClosed:
            pass

    async def _first_message(self, websocket: Any, follower: _Follower) -> int | None:
        expected = "a client's first message: the number of the last event seen, such as '0'"
        try:
            async with asyncio.timeout(ASK_S):
                message = await websocket.recv()
        except TimeoutError:
            follower.trouble = Miss(expected, f"nothing within {ASK_S:g} s", _OFFSET)
            return None
        text = message if isinstance(message, str) else ""
        if not text.isdecimal():
            follower.trouble = Miss(expected, f"{message!r:.60}", _OFFSET)
            return None
        follower.asked.append(int(text))
        if int(text) > len(self.texts):
            seen = f"{text!r}, when there were {len(self.texts)} events"
            follower.trouble = Miss(expected, seen, _OFFSET)
            return None
        return int(text)

    async def _cut(self, follower: _Follower, at: int) -> None:
        """End a connection in one of three ways."""
        websocket = follower.websocket
        self.cuts[follower.how] = self.cuts.get(follower.how, 0) + 1
        if follower.how == "in silence":
            # Two more are sent, as far as the server can tell, and are lost.
            network = next(
                one.network for one in self.bench.server.connections if one.websocket is websocket
            )
            network.cut()
            for number in range(at, min(at + 2, len(self.texts))):
                await websocket.send(f"{number + 1} {self.texts[number]}")
            network.reset()
            return
        if follower.how == "within a frame":
            websocket.transport.write(b"\x81\x20" + f"{at + 1} ".encode())
        websocket.transport.abort()

    # From the check's thread.

    def publish(self, count: int) -> None:
        """Let so many events happen."""

        def add() -> None:
            self.texts += [nonce() for _ in range(count)]
            news, self._news = self._news, asyncio.Event()
            news.set()

        self.bench.on_loop(add)

    def lose(self) -> None:
        """Cut one after the other, and refuse what comes."""

        def end(follower: _Follower) -> None:
            follower.lost_s = time.monotonic()
            follower.websocket.transport.abort()

        def end_all() -> None:
            loop = asyncio.get_running_loop()
            for nth, follower in enumerate(self.followers):
                loop.call_later(nth * APART_S, end, follower)

        self.bench.on_loop(end_all)
        left = self.followers[-1]
        self.bench.until(lambda: left.lost_s > 0, "an end for each", lambda: "not the last")


class _Stuck:
    """Notices where the learner's code holds its loop: at one place, look after look."""

    def __init__(self, runner: Portal) -> None:
        self._runner = runner
        self._place: tuple[int, int] | None = None
        self._since_s = 0.0
        self._looks = 0

    def look(self) -> None:
        """Look once; call it every few milliseconds.

        Raises:
            Miss: it is stuck.
        """
        frame = sys._current_frames().get(self._runner.thread_id or 0)
        if frame is None or is_around(frame.f_code.co_filename):
            self._place = None
            return
        place, now_s = (id(frame), frame.f_lasti), time.monotonic()
        if place != self._place:
            self._place, self._since_s, self._looks = place, now_s, 0
        self._looks += 1
        if self._looks > 10 and now_s - self._since_s > STUCK_S:
            raise Miss(
                "an event loop on which ten followers take turns",
                f"one of them holds it: {learner_loop.position(self._runner)}",
                "while it blocks, nobody else gets a turn: `await asyncio.sleep(...)` waits, too",
            )


@exercise(
    "10 follow",
    hints=(
        "Three things are missing. Around the connection goes a loop that ends never, since each "
        "connection ends some time. `last` has to grow with each event that is put into `heard`, "
        "and to outlive the connection. And between two attempts you wait: how long, so that ten "
        "of you do not come at one moment?",
        "`while True:` and in it `try:` with the connection; `except (OSError, "
        "websockets.WebSocketException):` then `await asyncio.sleep(random.uniform(0, bound))` and "
        "`bound = min(2 * bound, 5)`. Where an event came, `last = int(number)` and "
        "`bound = 0.2`.",
    ),
    solution="solutions/10_failure.py",
)
def follow(follow: Any) -> str:
    """Let ten copies follow a feed that breaks off; each hears each text once, in order."""
    if inspect.iscoroutine(follow):
        follow.close()
        seen = "a coroutine: give the function itself, without calling it"
        raise Miss(_EXPECTED, seen)
    if not callable(follow):
        raise Miss(_EXPECTED, f"{type(follow).__name__} {follow!r:.60}")
    feed = _Feed()
    runner = Portal("check")
    try:
        with feed.bench:
            try:
                feed.publish(2)
                for one in feed.followers:
                    url = f"{feed.bench.server.url}{one.number}"
                    one.task = runner.submit(_run, follow, url, one.heard)
                _wait(feed, runner, "at first", BACK_S)
                for number in range(1, ROUNDS + 1):
                    _cut_once(feed)
                    _wait(feed, runner, f"after {_times(number)}", BACK_S)
                feed.lose()
                feed.publish(TEXTS)
                _wait(feed, runner, "after the server had refused it for a while", OUT_S)
                return _spread(feed)
            finally:
                # The learner's end first: else it would go on to connect.
                for one in feed.followers:
                    if one.task is not None:
                        one.task.cancel()
                learner_loop.free_loop(runner)
                feed.bench.close()
    finally:
        learner_loop.end_loop(runner)


async def _run(follow: Callable[..., Any], url: str, heard: list[Any]) -> None:
    result = follow(url, heard)
    if not inspect.isawaitable(result):
        raise Miss(_EXPECTED, f"a plain function, which returned {result!r:.40}")
    await result


def _cut_once(feed: _Feed) -> None:
    """Publish the texts of a round, in which each follower is cut once, at a point of its own."""
    base = len(feed.texts)
    ways = ["between two frames", "within a frame", "in silence"]
    for nth, one in enumerate(feed.followers):
        one.how = ways[nth % len(ways)]
        one.cut_after = base + random.randint(1, TEXTS - 1)
    feed.publish(TEXTS)


def _wait(feed: _Feed, runner: Portal, when: str, wait_s: float) -> None:
    """Wait until every follower has heard all."""
    stuck = _Stuck(runner)
    deadline = time.monotonic() + wait_s
    while True:
        for one in feed.followers:
            _judge(feed, one, when)
        if all(len(one.heard) == len(feed.texts) for one in feed.followers):
            return
        stuck.look()
        if time.monotonic() > deadline:
            behind = min(feed.followers, key=lambda one: len(one.heard))
            raise Miss(
                f"{when}, all {len(feed.texts)} texts in `heard`",
                f"{len(behind.heard)} of them after {wait_s:g} s{_asked(behind)}",
                _CATCH if behind.asked else _OFFSET,
            )
        time.sleep(0.004)


def _judge(feed: _Feed, one: _Follower, when: str) -> None:
    if one.trouble is not None:
        raise one.trouble
    if one.task is not None and one.task.done():
        _ended(feed, one, when)
    heard = list(one.heard)
    for nth, text in enumerate(heard):
        if nth < len(feed.texts) and text == feed.texts[nth]:
            continue
        expected = f"{when}, each text once and in order in `heard`"
        if text in heard[:nth]:
            seen = f"event {heard.index(text) + 1}, {text!r}, is there twice"
        elif text in feed.texts:
            seen = f"event {nth + 1} is missing, and {feed.texts.index(text) + 1} is there"
        else:
            hint = "an event is its number, a space, and the text. The text alone belongs there"
            raise Miss(expected, f"{text!r:.60}", hint)
        raise Miss(expected, seen + _asked(one), _OFFSET)


def _ended(feed: _Feed, one: _Follower, when: str) -> None:
    """Say how the learner's coroutine ended, which it never should."""
    assert one.task is not None
    expected = f"{when}, a follower that goes on"
    heard = f"it has heard {len(one.heard)} of {len(feed.texts)} texts{_asked(one)}"
    exc = None if one.task.cancelled() else one.task.exception()
    if isinstance(exc, Miss | NotImplementedError):
        raise exc
    if exc is None:
        hint = "the server will have more to say: connect again, also where it said goodbye"
        raise Miss(expected, f"it returned; {heard}", hint)
    is_end = isinstance(exc, ConnectionClosed | OSError) or "HTTP 503" in str(exc)
    hint = _CATCH if is_end else "fix what your code raised"
    raise Miss(expected, f"{in_words(exc)}; {heard}", hint) from exc


def _asked(one: _Follower) -> str:
    """Say what a follower's connections asked for, as the end of a sentence."""
    if not one.asked:
        return "; no connection of it has sent a number"
    shown = ", then ".join(str(number) for number in one.asked[-4:])
    return (
        f"; on the wire: its {_times(len(one.asked), 'connection')} asked for what follows {shown}"
    )


def _times(count: int, noun: str = "cut") -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _spread(feed: _Feed) -> str:
    """Hold the attempts of all followers against one another."""
    thirds = sorted(one.attempts_s[REFUSED] for one in feed.followers)
    lay = (
        f"the third attempts of {FOLLOWERS} followers came {thirds[0]:.2f} to {thirds[-1]:.2f} s "
        "after each had lost its server"
    )
    median_s = statistics.median(thirds)
    if median_s < HAMMER_S:
        raise Miss(
            "clients that give a server time that refuses them",
            lay,
            "wait before each new attempt: `await asyncio.sleep(...)`",
        )
    if not any(
        _is_spread(sorted(waits_s)) for waits_s in zip(*map(_waits, feed.followers), strict=True)
    ):
        raise Miss("attempts that are spread out", lay, _SPREAD)
    cuts = sum(feed.cuts.values())
    ways = ", ".join(f"{count} {how}" for how, count in sorted(feed.cuts.items()))
    return (
        f"{cuts} cuts at random points ({ways}): each of {len(feed.texts)} texts was heard once, "
        f"in order, by {FOLLOWERS} followers; {lay}"
    )


def _waits(one: _Follower) -> list[float]:
    """Return how long a follower was away before each of its attempts, in seconds."""
    times_s = [0.0, *one.attempts_s[: REFUSED + 1]]
    return [after - before for before, after in itertools.pairwise(times_s)]


def _is_spread(waits_s: list[float]) -> bool:
    apart_s = waits_s[-2] - waits_s[1]
    return apart_s > max(SPREAD_S, SPREAD * statistics.median(waits_s))
