"""The checks of lesson 03: four handlers, each to be fixed until two clients can talk at once.

Its rule: only the wire counts. Two clients send 50 random messages each, in turn, and each answer
must come on its own wire, in order, while the other conversation goes on. Then one client leaves,
which the other must not notice, and a third one comes.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio import server as ws_server
from websockets.exceptions import ConnectionClosed

from ...wire.events import FrameEvent
from ..exercises import Miss, exercise
from ..testbench import TestBench, nonce

MESSAGES = 50  # from each of two clients
AFTERWARDS = 3  # from the one who stays when the other has left
WAIT_S = 1.5  # for one answer
TICK, TICK_S = "tick", 0.02
PACE_S = 0.01  # between two rounds beside the ticks: half a tick
PAUSE_S = 0.03
REST_S = 5 * PAUSE_S  # in which a pause after an answer is over
TOO_LONG_S = 4 * PAUSE_S  # for the shortest of several pauses
EARLY = 4  # rounds, before the pauses are looked at first: too long a pause would take long
ABORTS = 3  # a push may fail in the very moment in which it is stopped, but hardly twice of three
TEXT = 1  # RFC 6455 §5.2
SOLUTION = "solutions/03_conversation.py"
ENDED = "the handler has ended for this connection, and with it the connection: what ended it?"
LEFT = "another client has just left: recv() raises ConnectionClosed there; what does it do then?"
COUNTS = "each client's messages count from 1: whose does this number count?"
AGAIN = "that was the answer to the message before: one answer for each message"
OTHER = "an answer came, but another text: compare the two letter by letter"
NOTHING_LEFT = "no task left of a client that has broken off"
YOURS_TO_STOP = (
    "a task that you start is yours to stop, however the conversation ends: where the connection "
    "breaks off, `async for` raises, and only a `finally` runs"
)

Answer = Callable[[str, int], str]  # a message and its number on its connection -> the answer


class _Speaker:
    """A client that asks, and knows what the answer must be."""

    def __init__(
        self,
        bench: TestBench,
        name: str,
        answer: Answer,
        hint: str,
        aside: str = "",
        other: str = OTHER,
    ) -> None:
        self.name = name
        self.client = bench.connect(name=name)
        self.asked = 0
        self._answer = answer
        self._wanted = ""
        self.hint = hint
        self._aside = aside  # a message that may come at any time, besides the answers
        self._other = other  # the hint where another text comes

    def ask(self) -> None:
        """Send a random message."""
        self.asked += 1
        self._before, message = self._wanted, nonce()
        self._wanted = self._answer(message, self.asked)
        self._expected = (
            f"{self._wanted!r}, the answer to message {self.asked} of {self.name}, {message!r}"
        )
        try:
            self.client.send(message, self._expected, self.hint)
        except Miss as miss:
            raise self._explained(miss) from None

    def take(self) -> None:
        """Take the answer, which must be the next message but for what may come at any time."""
        deadline, aside = time.monotonic() + self.client.bench.left_s(), 0
        while True:
            try:
                got = self.client.recv(self._expected, self.hint)
            except Miss as miss:
                raise self._explained(miss) from None
            if got == self._wanted:
                return
            if got != self._aside:
                hint = AGAIN if got == self._before else self._other
                if not isinstance(got, str):
                    hint = "send a str: bytes go out as binary"
                raise self.client.miss(self._expected, f"{got!r:.60}", hint)
            aside += 1
            if time.monotonic() > deadline:
                seen = f"{aside} times {self._aside!r} and no answer"
                raise self.client.miss(self._expected, seen, self.hint)

    def _explained(self, miss: Miss) -> Miss:
        if self.client.handle.close_code is not None:
            miss.hint = ENDED
        return miss

    def texts(self, sender: str) -> list[FrameEvent]:
        """Return the text frames of one side on this wire, in order."""
        return [one for one in self.client.frames if one.opcode == TEXT and one.sender == sender]


def _talk(*speakers: _Speaker, pace_s: float = 0.0, rounds: int = MESSAGES) -> list[float]:
    """Let all of them ask, in turn; return how long each round's questions took to leave."""
    took_s = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        for speaker in random.sample(speakers, len(speakers)):
            speaker.ask()
        took_s.append(time.perf_counter() - began_s)
        for speaker in speakers:
            speaker.take()
        time.sleep(pace_s)
    return took_s


def _come_and_go(leaving: _Speaker, staying: _Speaker, join: Callable[[str], _Speaker]) -> None:
    """One leaves; the other one and a new one must be answered as before."""
    leaving.client.close()
    staying.hint = LEFT
    # Not once: a handler notices a little later that its client has left.
    for _ in range(AFTERWARDS):
        staying.ask()
        staying.take()
    joining = join("the third client")
    joining.ask()
    joining.take()


def _praise(bench: TestBench, more: str = "") -> str:
    answers = [
        event.connection_id
        for event in bench.tape.events
        if isinstance(event, FrameEvent)
        and event.sender == "server"
        and event.opcode == TEXT
        and event.text != TICK
    ]
    turns = sum(one != other for one, other in itertools.pairwise(answers))
    return (
        f"2 clients with {MESSAGES} random messages each, all answered in order on their own wire; "
        f"the answers changed between the wires {turns} times{more}"
    )


# ---------------------------------------------------------------------------------------------
# The four handlers


@exercise(
    "03 capitals",
    hints=(
        "On the timeline the server closes with 1000 after its first answer: the handler has "
        "ended. There is a loop in it. What can end a loop from within?",
        "`return` ends the whole function, whatever it returns: nobody receives that. Sending is "
        "done by `await websocket.send(...)` alone.",
    ),
    solution=SOLUTION,
)
def capitals(handler: Any) -> str:
    """Two clients send in turn; each answer is the message in capitals."""
    return _in_turn(handler, lambda message, _: message.upper(), "each message has an answer")


def _in_turn(handler: Any, answer: Callable[[str, int], str], hint: str, other: str = OTHER) -> str:
    with TestBench(handler, wait_s=WAIT_S) as bench:

        def join(name: str) -> _Speaker:
            return _Speaker(bench, name, answer, hint, other=other)

        first, second = join("the first client"), join("the second client")
        _talk(first, second)
        _come_and_go(first, second, join)
        return _praise(bench)


@exercise(
    "03 ticks",
    hints=(
        "Connect, send nothing, and look at the timeline: for whom does this handler wait before "
        "it sends a tick?",
        "It has two jobs, and neither may wait for the other. Put the ticks into a coroutine of "
        "their own, start it with asyncio.create_task(...), and let the handler itself do the "
        "echo. However the loop ends, cancel the task: in a `finally`.",
    ),
    solution=SOLUTION,
)
def ticks(handler: Any) -> str:
    """Ticks come to two silent clients, and go on while both talk; nothing outlives a client."""
    hint = "two jobs at once: which of them waits for the other?"
    with TestBench(handler, wait_s=WAIT_S) as bench:

        def join(name: str) -> _Speaker:
            speaker = _Speaker(bench, name, lambda message, _: message, hint, aside=TICK)
            _ticks_unasked(speaker)
            return speaker

        first, second = join("the first client"), join("the second client")
        _talk(first, second, pace_s=PACE_S)
        counts = [_ticks_beside(speaker) for speaker in (first, second)]
        _come_and_go(first, second, join)
        before = _ticks_on(second)
        bench.until(
            lambda: _ticks_on(second) >= before + 3,
            f"{TICK!r} for the second client, also after the first one has left",
            lambda: f"{_ticks_on(second) - before} of them; on its wire: {second.client.seen()}",
            "each connection needs a task of its own; stop only the one that is over",
            waits=3,
        )
        _nothing_left(bench, join)
        # Such as `await task.cancel()` in a `finally`: it shows on no wire, the client has gone.
        if any(isinstance(error, TypeError | AttributeError | NameError) for error in bench.errors):
            raise Miss("a handler that ends without a mistake when a client leaves", "one")
        return _praise(bench, f", and meanwhile {counts[0]} and {counts[1]} ticks came")


def _ticks_unasked(speaker: _Speaker) -> None:
    expected = f"{TICK!r} for {speaker.name}, three times, before it has sent anything"
    hint = "a push needs no request: for whom does it wait?"
    for _ in range(3):
        got = speaker.client.recv(expected, hint)
        hint = "one came unasked, and the next did not: for how long, or for whom, does it wait?"
        if got != TICK:
            hint = f"compare it letter by letter with {TICK!r}"
            if isinstance(got, bytes):
                hint = "send a str: bytes go out as binary"
            raise speaker.client.miss(expected, hint=hint)


def _ticks_on(speaker: _Speaker) -> int:
    return sum(frame.text == TICK for frame in speaker.texts("server"))


def _ticks_beside(speaker: _Speaker) -> int:
    """Count the ticks between the first question and the last answer."""
    began_s = speaker.texts("client")[0].at_s
    answers = speaker.texts("server")
    ended_s = next(one.at_s for one in reversed(answers) if one.text != TICK)
    count = sum(one.text == TICK and began_s < one.at_s < ended_s for one in answers)
    due = (ended_s - began_s) / TICK_S
    if not due / 4 <= count <= 2 * due + 5:
        unasked_s = [one.at_s for one in answers if one.at_s < began_s]
        gaps_s = (later - sooner for sooner, later in itertools.pairwise(unasked_s))
        apart_s = min(gaps_s, default=TICK_S)  # none in fragments
        hint = "the ticks go by the clock, whatever the client does"
        talk_s = ended_s - began_s
        if count > due:
            apart_s = talk_s / count
        # Too seldom, but about as they came unasked: then it is not the client who is in the way.
        if count > due or (apart_s > TICK_S * 3 and count * apart_s > talk_s / 2):
            hint = (
                f"ticks come, but about {apart_s * 1000:.0f} ms apart: "
                f"the job says {TICK_S * 1000:g} ms"
            )
        raise Miss(
            f"one tick every {TICK_S * 1000:g} ms for {speaker.name}, also while it talks: "
            f"about {due:.0f} from its first message to the last answer",
            f"{count}; on the wire: {speaker.client.seen(answers)}",
            hint,
        )
    return count


def _nothing_left(bench: TestBench, join: Callable[[str], _Speaker]) -> None:
    """Let clients break off; no task that began with one may go on, or end in an error."""
    failed: list[asyncio.Task[Any]] = []
    for _ in range(ABORTS):
        failed += _breaks_off(bench, join)[:1]
    if len(failed) <= ABORTS // 2:
        return
    error = failed[0].exception()
    raise Miss(
        NOTHING_LEFT,
        f"{_named(failed[0])} went on until it failed with {type(error).__name__}: {error}",
        YOURS_TO_STOP,
    )


def _breaks_off(bench: TestBench, join: Callable[[str], _Speaker]) -> list[asyncio.Task[Any]]:
    """Let a client come and break off; return what went on without the handler until it failed."""
    before = bench.tasks()
    speaker = join("a client that will break off")
    its_own = bench.tasks() - before
    ended: list[asyncio.Task[Any]] = []  # in order

    def watch() -> None:
        for task in its_own:
            task.add_done_callback(ended.append)

    def going_on() -> str:
        still = {_named(task) for task in its_own if not task.done()}
        return f"{', '.join(sorted(still))} still going {bench.wait_s:g} s later"

    bench.on_loop(watch)
    speaker.client.cut()
    bench.until(lambda: len(ended) == len(its_own), NOTHING_LEFT, going_on, YOURS_TO_STOP)
    # Two tasks, the first to end stops the other (asyncio.wait, FIRST_COMPLETED): the one that
    # heard of the end failed while its handler was still there to see to it.
    handlers = [at for at, task in enumerate(ended) if _runs_a_handler(task)]
    in_time = ended[: max(handlers, default=0)]
    return [
        task
        for task in ended
        if _failed_unnoticed(task)
        and not (task in in_time and isinstance(task.exception(), ConnectionClosed))
    ]


def _failed_unnoticed(task: asyncio.Task[Any]) -> bool:
    """Whether a task has ended with an exception that nobody took; it is taken now."""
    # Asking for the exception counts as taking it, so what asyncio notes has to be read before.
    is_new = bool(getattr(task, "_log_traceback", True))
    return not task.cancelled() and task.exception() is not None and is_new


def _runs_a_handler(task: asyncio.Task[Any]) -> bool:
    """Whether it is the task in which websockets calls a handler, and not one of the handler's."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == ws_server.__file__


def _named(task: asyncio.Task[Any]) -> str:
    name = getattr(task.get_coro(), "__name__", "")
    return f"the task {name}()" if name else "a task"


@exercise(
    "03 pause",
    hints=(
        "Nothing in it is called sleep, and still it sleeps on everybody's time. Which line keeps "
        "running for 30 ms without a single `await`?",
        "Only at an `await` can another conversation go on. asyncio.sleep(seconds), awaited, is a "
        "pause in which it does.",
    ),
    solution=SOLUTION,
)
def pause(handler: Any) -> str:
    """Both ask at once; both answers come after one pause, not one after the other."""
    with TestBench(handler, wait_s=WAIT_S) as bench:

        def join(name: str) -> _Speaker:
            return _Speaker(bench, name, lambda message, _: message, "each message has its echo")

        first, second = join("the first client"), join("the second client")
        took_s = _talk(first, second, rounds=EARLY)
        _pauses(first, second)
        time.sleep(REST_S)
        took_s += _talk(first, second, rounds=1)
        _pauses_after_a_rest(first, second)
        took_s += _talk(first, second, rounds=MESSAGES - EARLY - 1)
        _pauses(first, second)
        _wait_together(first, second, took_s)
        _come_and_go(first, second, join)
        return _praise(bench, ", and both paused at the same time")


def _pauses(*speakers: _Speaker) -> None:
    least_s = []
    for speaker in speakers:
        pairs = list(zip(speaker.texts("client"), speaker.texts("server"), strict=True))
        pauses_s = [answer.at_s - asked.at_s for asked, answer in pairs]
        least_s.append(min(pauses_s))
        usual_s = statistics.median(pauses_s)
        if usual_s < PAUSE_S * 2 / 3:
            raise Miss(
                f"an answer {PAUSE_S * 1000:g} ms after its question",
                f"usually {usual_s * 1000:.1f} ms; on the wire: {speaker.client.seen(pairs[-1])}",
                "the pause belongs to the job: it must not stop the others, but it must be there",
            )
    # Not the usual one: a busy machine makes pauses longer, but hardly all of them.
    if min(least_s) > TOO_LONG_S:
        raise Miss(
            f"an answer {PAUSE_S * 1000:g} ms after its question",
            f"at best {min(least_s) * 1000:.0f} ms; on the wire: {speakers[0].client.seen()}",
            f"the job says {PAUSE_S * 1000:g} ms: is the pause that long, and is there only one?",
        )


def _pauses_after_a_rest(*speakers: _Speaker) -> None:
    """Look at the last answers, to questions for which nothing else was still to be done."""
    for speaker in speakers:
        pair = speaker.texts("client")[-1], speaker.texts("server")[-1]
        took_s = pair[1].at_s - pair[0].at_s
        if took_s < PAUSE_S * 2 / 3:
            raise Miss(
                f"an answer {PAUSE_S * 1000:g} ms after its question, also after a rest",
                f"{took_s * 1000:.1f} ms; on the wire: {speaker.client.seen(pair)}",
                "the pause comes before the answer, not after it",
            )


def _wait_together(first: _Speaker, second: _Speaker, took_s: list[float]) -> None:
    pairs = list(zip(first.texts("server"), second.texts("server"), strict=True))
    apart_s = [abs(one.at_s - other.at_s) for one, other in pairs]
    # What the questions themselves were apart is not the handler's doing.
    late_s = statistics.median(apart - took for apart, took in zip(apart_s, took_s, strict=True))
    if late_s > PAUSE_S / 2:
        earlier, later = sorted(pairs[-1], key=lambda frame: frame.at_s)
        apart_ms = (later.at_s - earlier.at_s) * 1000
        raise Miss(
            f"both answers about {PAUSE_S * 1000:g} ms after two clients have asked at once",
            f"usually one of them {statistics.median(apart_s) * 1000:.0f} ms after the other; the "
            f"last two, frame {earlier.number} on one wire and frame {later.number} on the other, "
            f"were {apart_ms:.1f} ms apart",
            "while one conversation pauses, the other one must go on: who holds it up?",
        )


@exercise(
    "03 count",
    hints=(
        "Try it with two clients: the second one does not begin with 1. Which variable is there "
        "once, and should be there once for each conversation?",
        "The handler runs once for each connection, and what is assigned inside it (with no "
        "`global`) belongs to that run. It lasts as long as the connection.",
    ),
    solution=SOLUTION,
)
def count(handler: Any) -> str:
    """Two clients send in turn; each answer has the number of its client's message before it."""
    return _in_turn(handler, lambda message, number: f"{number} {message}", COUNTS, COUNTS)
