"""The check of lesson 04: a handler whose work blocks, and that serves everybody meanwhile.

Its rule: the work is a blocking function that the check hands in, with a random duration and an
answer that nobody can know before it has run. How late an echo may be is told by the work's own
duration, and where that cannot tell a slow machine from a held loop, longer work does. How the
handler keeps its loop free is its own affair.
"""

from __future__ import annotations

import inspect
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...calls.waiting import is_set_within
from ...server.handler import awaited, handler_name
from ..exercises import Miss, exercise
from ..testbench import BenchClient, TestBench, nonce

WORK_S = (0.15, 0.25)  # how long the work of the first round takes: random, in this range
BOUND = 1.6  # an echo may take so many times as long as the work; one after the other takes 2
SCALES = (1, 4)  # of the work's duration, until it is clear whether the machine is slow
LONG = 4  # how much longer one client's work takes than the other's, in the second round
SHRINK = (1.0, 0.4, 0.1)  # in the third round each message's work is shorter than the last one's
WAIT_S = 2.0  # for an answer, beyond the work itself

_OTHER_THREAD = (
    "work has to run on other threads, and the handler has to await it, as the lesson's cell did "
    "with time.sleep"
)
_ONE_BY_ONE = "send what work(message) returned, once for each message, to the client that asked"
_KEEP = "keep the loop over the messages: when a handler ends, its connection closes"


@dataclass
class _Job:
    """One message, what its work takes and returns, and when that ran. Times are monotonic."""

    who: str
    message: str = field(default_factory=nonce)
    answer: str = field(default_factory=nonce)
    duration_s: float = 0.0
    began_s: float | None = None
    ended_s: float | None = None
    thread_id: int | None = None

    @property
    def took_s(self) -> float:
        """How long the work really took."""
        if self.began_s is None or self.ended_s is None:
            return self.duration_s
        return self.ended_s - self.began_s


class _Workload:
    """The blocking function that the handler is given, and the record of its calls."""

    def __init__(self) -> None:
        self._jobs: dict[Any, _Job] = {}
        self._over = threading.Event()  # nothing has to go on blocking when the check has ended

    def job(self, who: str, duration_s: float) -> _Job:
        """Make a message up whose work takes that long."""
        job = _Job(who, duration_s=duration_s)
        self._jobs[job.message] = job
        return job

    def whose(self, answer: Any) -> _Job | None:
        """Return the job that has this answer."""
        return next((job for job in self._jobs.values() if job.answer == answer), None)

    def work(self, message: Any) -> str:
        """Block for as long as the message's job says, and return its answer."""
        job = self._jobs.get(message)
        if job is None:
            return nonce()  # no message of the check
        if job.began_s is None:  # the first call counts
            job.thread_id = threading.get_ident()
            job.began_s = time.monotonic()
        is_set_within(self._over, job.duration_s)
        if job.ended_s is None:
            job.ended_s = time.monotonic()
        return job.answer

    def end(self) -> None:
        """Let go whatever still blocks."""
        self._over.set()


class _Late(Exception):
    """An echo came too late, which a busy machine may explain as well; ``miss`` is what to say."""

    def __init__(self, miss: Miss) -> None:
        super().__init__(str(miss))
        self.miss = miss


@exercise(
    "04 at once",
    hints=(
        "A handler runs on an event loop, and `work(message)` blocks: as long as it runs there, "
        "nobody else on that loop gets a turn. So it has to run on another thread, and the handler "
        "has to await the result. The lesson did the same to a cell that slept.",
        "`await asyncio.to_thread(func, argument)` calls func(argument) on another thread and "
        "gives what it returned. Hand over the function itself, `work`, without calling it.",
    ),
    solution="solutions/04_event_loops.py",
)
def at_once(handler: Any) -> str:
    """Ask with two clients at the same time; neither may wait for the other one's work."""
    workload = _Workload()
    served = _bound(handler, workload.work)
    try:
        with TestBench(served) as bench:
            one, other = bench.connect("/ann", name="ann"), bench.connect("/ben", name="ben")
            ratio = _as_long_as_needed(_both_at_once, bench, workload, one, other)
            _as_long_as_needed(_short_beside_long, bench, workload, one, other)
            _as_long_as_needed(_in_order, bench, workload, one, other)
            workload.end()  # before the server: a handler is not to be held by us when it ends
    finally:
        workload.end()
    return (
        f"two clients asked at the same time, and the worst echo took {ratio:.2f} times as long "
        "as the work itself; short work came back while long work went on, and each client's "
        "answers came in order"
    )


def _bound(handler: Any, work: Callable[[Any], str]) -> Callable[[Any], Any]:
    """Return a handler of one argument that hands ``work`` to the learner's, as the second."""
    expected = "`async def at_once(websocket, work)`"
    if not callable(handler):
        if inspect.iscoroutine(handler):
            handler.close()
            raise Miss(expected, "a coroutine: give the function itself, without calling it")
        raise Miss(expected, f"{type(handler).__name__} {handler!r:.60}")
    try:
        inspect.signature(handler).bind(object(), work)
    except ValueError:
        pass  # a builtin without a signature
    except TypeError:
        seen = f"{handler_name(handler)}{inspect.signature(handler)}"
        raise Miss(expected, seen, "it is called with the connection and with work") from None

    async def at_once(websocket: Any) -> None:
        await awaited(handler(websocket, work), handler)

    return at_once


def _as_long_as_needed(
    round_: Callable[..., float],
    bench: TestBench,
    workload: _Workload,
    one: BenchClient,
    other: BenchClient,
) -> float:
    """Play a round; where an echo is late, again with longer work, which a slow machine survives.

    A loop that is held is held in proportion, so a wrong handler stays wrong.
    """
    late: _Late | None = None
    for scale in SCALES:
        try:
            return round_(bench, workload, one, other, scale * random.uniform(*WORK_S))
        except _Late as exc:
            late = exc
    assert late is not None
    raise late.miss


def _both_at_once(
    bench: TestBench, workload: _Workload, one: BenchClient, other: BenchClient, work_s: float
) -> float:
    """Send one message each at the same time; return the worst echo, in units of the work."""
    jobs = [workload.job("ann", work_s), workload.job("ben", work_s)]
    expected = (
        f"two clients ask at the same time, the work takes {_ms(work_s)} each, and both have "
        f"their answers before {_ms(BOUND * work_s)}"
    )
    for client, job in zip((one, other), jobs, strict=True):
        client.send(job.message, expected, _KEEP)
    for client, job in zip((one, other), jobs, strict=True):
        _take(bench, workload, client, job, expected, 2 * work_s)
    echoes_s = [_echo_s(client, job) for client, job in zip((one, other), jobs, strict=True)]
    ratio = max(echo_s / job.took_s for echo_s, job in zip(echoes_s, jobs, strict=True))
    if ratio > BOUND:
        times = " and ".join(
            f"{job.who}'s after {_ms(echo_s)}" for job, echo_s in zip(jobs, echoes_s, strict=True)
        )
        first, second = sorted(jobs, key=lambda job: job.began_s or 0.0)
        miss = Miss(expected, f"{times}{_why_late(bench, first, second)}", _OTHER_THREAD)
        raise miss if _held(bench, first, second) else _Late(miss)
    return ratio


def _short_beside_long(
    bench: TestBench, workload: _Workload, one: BenchClient, other: BenchClient, work_s: float
) -> float:
    """Send short work while long work goes on: its answer must not wait for the long one."""
    long, short = workload.job("ben", LONG * work_s), workload.job("ann", work_s)
    expected = (
        f"ben's work takes {_ms(long.duration_s)}, ann's {_ms(short.duration_s)}, and ann has her "
        "answer while ben's work still goes on"
    )
    other.send(long.message, expected, _KEEP)
    bench.until(
        lambda: long.began_s is not None,
        expected,
        lambda: f"work() was not called with ben's message; {other.seen()}",
        "work on a message when it comes, whoever else has asked or not",
    )
    one.send(short.message, expected, _KEEP)
    _take(bench, workload, one, short, expected, long.duration_s + short.duration_s)
    came_s = time.monotonic()
    is_late = long.ended_s is not None and came_s > long.ended_s
    if is_late and _held(bench, long, short):
        seen = f"ann's answer came after {_ms(_echo_s(one, short))}"
        raise Miss(expected, seen + _why_late(bench, long, short), _OTHER_THREAD)
    _take(bench, workload, other, long, expected, long.duration_s)
    if is_late:
        seen = f"ann's answer came after {_ms(_echo_s(one, short))}, when ben's work had ended"
        if _one_after_the_other(long, short):
            raise _Late(Miss(expected, seen + _why_late(bench, long, short), _OTHER_THREAD))
        seen += f"; her own had taken {_ms(short.took_s)}"
        raise _Late(Miss(expected, seen, "answer each client as soon as its own work is done"))
    return 0.0


def _in_order(
    bench: TestBench, workload: _Workload, one: BenchClient, other: BenchClient, work_s: float
) -> float:
    """Send three messages each, the later the shorter: each client's answers come in order."""
    expected = "each client's answers in the order of its messages"
    queues = [
        (client, [workload.job(who, share * work_s) for share in SHRINK])
        for client, who in ((one, "ann"), (other, "ben"))
    ]
    for client, jobs in queues:
        for job in jobs:
            client.send(job.message, expected, _KEEP)
    for client, jobs in queues:
        for job in jobs:
            _take(bench, workload, client, job, expected, 2 * sum(SHRINK) * work_s, jobs)
    return 0.0


def _take(
    bench: TestBench,
    workload: _Workload,
    client: BenchClient,
    job: _Job,
    expected: str,
    work_s: float,
    jobs: Sequence[_Job] = (),
) -> None:
    """Take the next message; it must be the answer to this job.

    Args:
        bench, workload: where the handler and its work run.
        client: who asked.
        job: what was asked.
        expected: for the Miss.
        work_s: what all work together may take.
        jobs: what this client asked at once, in order.
    """
    try:
        got = client.recv(expected, _ONE_BY_ONE, wait_s=WAIT_S + work_s)
    except Miss as miss:
        if client.handle.close_code is not None:
            miss.hint = _KEEP
        raise
    if got == job.answer:
        return
    seen = f"{job.who} asked {job.message!r} and got {got!r:.40}"
    owner = workload.whose(got)
    if got == job.message:
        raise Miss(expected, f"{seen}, the message itself: its work was not done", _ONE_BY_ONE)
    if isinstance(got, bytes):
        raise Miss(expected, seen, "send a str, as work returned it: bytes go out as binary")
    if owner is None:
        hint = f"work(message) would have returned {job.answer!r} for it"
        if job.began_s is None:
            hint = "work() was never called with that message"
        raise Miss(expected, f"{seen}, which is not what work returned", hint)
    if owner in jobs:
        place = jobs.index(owner) + 1
        raise Miss(
            expected,
            f"{job.who} sent {len(jobs)} messages, and answer {place} came before answer "
            f"{jobs.index(job) + 1}",
            "finish a message before you take the next one of the same client: the other clients "
            "have handlers of their own, which run meanwhile",
        )
    which = "another" if owner.who == job.who else "a"
    raise Miss(expected, f"{seen}, the answer to {which} message of {owner.who}", _ONE_BY_ONE)


def _echo_s(client: BenchClient, job: _Job) -> float:
    """Return how long the echo took, from the client's tape: a held server notes late what came."""
    assert client.handle.tape is not None
    times = {message.data: message.at_s for message in client.handle.tape.messages}
    return times[job.answer] - times[job.message]


def _one_after_the_other(first: _Job, second: _Job) -> bool:
    """Whether the second one's work began only when the first one's had ended."""
    return (
        first.ended_s is not None and second.began_s is not None and second.began_s >= first.ended_s
    )


def _held(bench: TestBench, first: _Job, second: _Job) -> bool:
    """Whether the first one's work held the loop: then it is no slow machine."""
    on_loop = first.thread_id == bench.server.runner.thread_id
    return on_loop and _one_after_the_other(first, second)


def _why_late(bench: TestBench, first: _Job, second: _Job) -> str:
    if not _one_after_the_other(first, second):
        return ""
    why = f": work() for {second.who} began when {first.who}'s had ended"
    if _held(bench, first, second):
        why += ", since it ran on the event loop's own thread and held the loop"
    return why


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
