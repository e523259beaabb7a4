"""Lesson 03's checks: the solutions, other right ways, the stubs, and plausible wrong ones."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import itertools
import re
import time

import pytest
from websockets.exceptions import ConnectionClosed

from tests.kernels import Kernel, lost
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, check, learner_loop, left_open
from wslab.learn.testbench import TestBench
from wslab.loops.portal import Portal

# exercise -> the notebook's cell that holds its stub, the handler's name
EXERCISES = {
    "03 capitals": ("exercise-capitals", "capitals"),
    "03 ticks": ("exercise-ticks", "ticking"),
    "03 pause": ("exercise-pause", "pausing"),
    "03 count": ("exercise-count", "counting"),
}


def from_the_notebook(exercise: str, *, started: bool):
    """Return an exercise's handler as it is in the notebook, or with its first line taken out."""
    cell, name = EXERCISES[exercise]
    lines = cells("03_conversation")[cell].splitlines(keepends=True)
    if started:
        kept = [line for line in lines if "raise NotYet" not in line]
        assert len(kept) == len(lines) - 1
        lines = kept
    namespace = {"NotYet": NotYet, "asyncio": asyncio, "time": time}
    exec("".join(lines), namespace)
    return namespace[name]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_solution_passes_again_and_again(exercise):
    handler = getattr(solution("03_conversation"), EXERCISES[exercise][1])
    for _ in range(2):
        verdict = check(exercise, handler)
        assert verdict, str(verdict)
        assert "2 clients with 50 random messages each" in verdict.seen
    left = left_open()
    assert (left.connections, left.servers) == (0, 0)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_stub_in_the_notebook_is_not_yet(exercise):
    assert check(exercise, from_the_notebook(exercise, started=False)).passed is None


@pytest.mark.parametrize(
    ("exercise", "expected", "seen", "hint"),
    [
        ("03 capitals", "message 2 of the ", "close 1000", "what ended it"),
        ("03 ticks", "'tick' for the first client", "no frame at all", "no request"),
        ("03 pause", "both answers about 30 ms after", "frame 100 on ", "who holds it up"),
        ("03 count", "'1 ", "'2 ", "count from 1"),
    ],
)
def test_as_it_stands_in_the_notebook_each_fails_in_its_own_way(exercise, expected, seen, hint):
    verdict = check(exercise, from_the_notebook(exercise, started=True))
    assert verdict.passed is False
    assert expected in verdict.expected, verdict
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict


# --- other right ways ---------------------------------------------------------------------------


async def while_it_is_open(websocket):
    with contextlib.suppress(ConnectionClosed):
        while True:
            await websocket.send((await websocket.recv()).upper())


async def by_anext(websocket):
    messages = aiter(websocket)
    while True:
        try:
            message = await anext(messages)
        except StopAsyncIteration:
            return
        await websocket.send(message.upper())


async def in_a_task_for_each_client(websocket):
    async def serve():
        async for message in websocket:
            await websocket.send(message.upper())

    await asyncio.create_task(serve())


async def in_pieces(websocket):
    async for _ in iter_pieces(websocket):
        pass


async def iter_pieces(websocket):
    """Take a message as it comes, in pieces (the documentation's recv_streaming)."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            pieces = [piece async for piece in websocket.recv_streaming()]
            await websocket.send("".join(pieces).upper())
            yield


class Capitals:
    async def __call__(self, websocket):
        async for message in websocket:
            await websocket.send([message[:3].upper(), message[3:].upper()])  # in fragments


async def push_ticks(websocket):
    while True:
        await websocket.send("tick")
        await asyncio.sleep(0.02)


async def echo_all(websocket):
    async for message in websocket:
        await websocket.send(message)


async def ticks_first_completed(websocket):
    """The websockets documentation's pattern for a handler that does both."""
    consumer = asyncio.create_task(echo_all(websocket))
    producer = asyncio.create_task(push_ticks(websocket))
    _, pending = await asyncio.wait([consumer, producer], return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def ticks_gathered(websocket):
    """The documentation's shorter one."""
    await asyncio.gather(echo_all(websocket), push_ticks(websocket))


async def ticks_cancelled_when_closed(websocket):
    """Both are tasks; the handler itself only waits for the end."""
    tasks = [asyncio.create_task(job(websocket)) for job in (echo_all, push_ticks)]
    await websocket.wait_closed()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def ticks_in_a_group(websocket):
    async def push():
        while True:
            await websocket.send("tick")
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        group.create_task(push())
        async for message in websocket:
            await websocket.send(message)


async def ticks_by_deadline(websocket):
    """One loop for both, with a clock that no message sets back."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            async with asyncio.timeout_at(due):
                await websocket.send(await websocket.recv())
        except TimeoutError:
            await websocket.send("tick")
            due += 0.02


async def ticks_until_the_connection_is_closed(websocket):
    """The task ends by itself: nothing is left of it either."""

    async def push():
        with contextlib.suppress(ConnectionClosed):
            while True:
                await websocket.send("tick")
                await asyncio.sleep(0.02)

    task = asyncio.create_task(push())
    async for message in websocket:
        await websocket.send(message)
    await task


def ticks_for_all_from_one_task():
    here, pushing = set(), []

    async def push():
        while True:
            for websocket in tuple(here):
                with contextlib.suppress(ConnectionClosed):
                    await websocket.send("tick")
            await asyncio.sleep(0.02)

    async def handler(websocket):
        here.add(websocket)
        if not any(not task.done() for task in pushing):
            pushing.append(asyncio.create_task(push()))
        try:
            async for message in websocket:
                await websocket.send(message)
        finally:
            here.discard(websocket)
            if not here:
                pushing.pop().cancel()

    return handler


async def pause_in_a_thread(websocket):
    async for message in websocket:
        await asyncio.to_thread(time.sleep, 0.03)
        await websocket.send(message)


async def pause_beside(websocket):
    async def later(message):
        await asyncio.sleep(0.03)
        await websocket.send(message)

    async with asyncio.TaskGroup() as group:
        async for message in websocket:
            group.create_task(later(message))


async def pause_by_event(websocket):
    async for message in websocket:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.03)
        await websocket.send(message)


async def pause_by_call_later(websocket):
    loop = asyncio.get_running_loop()
    async for message in websocket:
        over = loop.create_future()
        loop.call_later(0.03, over.set_result, None)
        await over
        await websocket.send(message)


async def pause_in_small_steps(websocket):
    async for message in websocket:
        ready_s = time.monotonic() + 0.03
        while time.monotonic() < ready_s:  # noqa: ASYNC110 - the stub's loop, with an await in it
            await asyncio.sleep(0.001)
        await websocket.send(message)


class Counter:
    def __init__(self):
        self.counts: dict[str, int] = {}

    async def __call__(self, websocket):
        try:
            async for message in websocket:
                self.counts[websocket.id] = self.counts.get(websocket.id, 0) + 1
                await websocket.send(f"{self.counts[websocket.id]} {message}")
        finally:
            self.counts.pop(websocket.id, None)


async def count_on_the_connection(websocket):
    websocket.count = 0
    async for message in websocket:
        websocket.count += 1
        await websocket.send(f"{websocket.count} {message}")


async def count_by_range(websocket):
    with contextlib.suppress(ConnectionClosed):
        for number in itertools.count(1):
            await websocket.send(f"{number} {await websocket.recv()}")


async def count_with(start, websocket):
    number = start
    with contextlib.suppress(Exception):
        while message := await websocket.recv():
            await websocket.send(f"{number} {message}")
            number += 1


counts: dict[object, int] = {}


async def count_by_connection(websocket):
    async for message in websocket:
        counts[websocket] = counts.get(websocket, 0) + 1
        await websocket.send(f"{counts[websocket]} {message}")
    del counts[websocket]


@pytest.mark.parametrize(
    ("exercise", "right"),
    [
        ("03 capitals", while_it_is_open),
        ("03 capitals", by_anext),
        ("03 capitals", in_a_task_for_each_client),
        ("03 capitals", in_pieces),
        ("03 capitals", Capitals()),
        ("03 ticks", ticks_first_completed),
        ("03 ticks", ticks_gathered),
        ("03 ticks", ticks_cancelled_when_closed),
        ("03 ticks", ticks_in_a_group),
        ("03 ticks", ticks_by_deadline),
        ("03 ticks", ticks_until_the_connection_is_closed),
        ("03 ticks", ticks_for_all_from_one_task()),
        ("03 pause", pause_in_a_thread),
        ("03 pause", pause_beside),
        ("03 pause", pause_by_event),
        ("03 pause", pause_by_call_later),
        ("03 pause", pause_in_small_steps),
        ("03 count", Counter()),
        ("03 count", count_on_the_connection),
        ("03 count", count_by_range),
        ("03 count", functools.partial(count_with, 1)),
        ("03 count", count_by_connection),
    ],
)
def test_other_right_ways_pass(exercise, right):
    verdict = check(exercise, right)
    assert verdict, str(verdict)


# --- plausible wrong ones -----------------------------------------------------------------------


async def fifty_and_no_more(websocket):
    for _ in range(50):
        await websocket.send((await websocket.recv()).upper())


async def not_in_capitals(websocket):
    async for message in websocket:
        await websocket.send(f"<{message}>")


async def in_bytes(websocket):
    async for message in websocket:
        await websocket.send(message.upper().encode())


async def answers_twice(websocket):
    async for message in websocket:
        await websocket.send(message.upper())
        await websocket.send(message.upper())


async def forgot_await(websocket):
    async for message in websocket:
        websocket.send(message.upper())


async def never_lets_a_client_go(websocket):
    while True:
        try:
            await websocket.send((await websocket.recv()).upper())
        except Exception:
            pass


async def returns_still(websocket):
    async for message in websocket:
        return await websocket.send(message.upper())
    return None


async def as_title(websocket):
    async for message in websocket:
        await websocket.send(message.title())


async def forgot_await_of_recv(websocket):
    while True:
        message = websocket.recv()
        await websocket.send(message.upper())


async def capitals_of_a_send(websocket):
    async for message in websocket:
        await websocket.send(message).upper()


async def ticks_once_a_message(websocket):
    while True:
        await websocket.send("tick")
        await asyncio.sleep(0.02)
        await websocket.send(await websocket.recv())


def ticks_and_sleeps():
    async def push(websocket):
        while True:
            await websocket.send("tick")
            time.sleep(0.02)  # noqa: ASYNC251 - the mistake

    async def handler(websocket):
        task = asyncio.create_task(push(websocket))
        try:
            await echo_all(websocket)
        finally:
            task.cancel()

    return handler


async def awaits_the_cancel(websocket, task):
    try:
        await echo_all(websocket)
    finally:
        await task.cancel()


async def answers_in_words(websocket, task):
    try:
        async for message in websocket:
            await websocket.send(f"you said {message}")
    finally:
        task.cancel()


def one_at_a_time():
    serving: list[asyncio.Event] = []

    async def handler(websocket):
        before, over = serving[-1:], asyncio.Event()
        serving.append(over)
        for event in before:
            await event.wait()
        async for message in websocket:
            await websocket.send(message.upper())
        over.set()

    return handler


def to_whoever_came_last():
    latest = {}

    async def handler(websocket):
        latest["one"] = websocket
        async for message in websocket:
            await latest["one"].send(message.upper())

    return handler


async def pushes_first(websocket):
    while True:
        await websocket.send("tick")
        await asyncio.sleep(0.02)


async def ticks_only_in_silence(websocket):
    while True:
        try:
            await websocket.send(await asyncio.wait_for(websocket.recv(), 0.02))
        except TimeoutError:
            await websocket.send("tick")


async def leaves_at_once(websocket):
    async def push():
        while True:
            await websocket.send("tick")
            await asyncio.sleep(0.02)

    leaves_at_once.task = asyncio.create_task(push())
    await asyncio.sleep(0.1)


async def three_ticks(websocket):
    async def push():
        for _ in range(3):
            await websocket.send("tick")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(push())
    async for message in websocket:
        await websocket.send(message)
    await task


async def ticks_too_fast(websocket):
    async def push():
        while True:
            await websocket.send("tick")
            await asyncio.sleep(0.001)

    task = asyncio.create_task(push())
    async for message in websocket:
        await websocket.send(message)
    task.cancel()


async def ticks_with_numbers(websocket):
    for number in range(100):
        await websocket.send(f"tick {number}")
        await asyncio.sleep(0.02)


def stops_everybodys():
    tasks = []

    async def handler(websocket):
        async def push():
            while True:
                await websocket.send("tick")
                await asyncio.sleep(0.02)

        tasks.append(asyncio.create_task(push()))
        try:
            async for message in websocket:
                await websocket.send(message)
        finally:
            for task in tasks:
                task.cancel()

    return handler


def pushes(then, *, pause_s=0.02, deaf=False):
    """Make a handler that ticks from a task, and ends in its own way."""

    async def handler(websocket):
        async def push():
            while True:
                with contextlib.suppress(ConnectionClosed) if deaf else contextlib.nullcontext():
                    await websocket.send("tick")
                await asyncio.sleep(pause_s)

        await then(websocket, asyncio.create_task(push()))

    return handler


async def never_cancels(websocket, task):
    async for message in websocket:
        await websocket.send(message)


async def cancels_after_the_loop(websocket, task):
    async for message in websocket:
        await websocket.send(message)
    task.cancel()


async def cancels_finally(websocket, task):
    try:
        async for message in websocket:
            await websocket.send(message)
    finally:
        task.cancel()


async def ticks_when_spoken_to(websocket):
    async for message in websocket:
        await websocket.send(message)
        await websocket.send("tick")


async def echo_is_not_awaited(websocket):
    task = asyncio.create_task(push_ticks(websocket))
    try:
        async for message in websocket:
            websocket.send(message)
    finally:
        task.cancel()


async def ticks_in_bytes(websocket):
    async def push():
        while True:
            await websocket.send(b"tick")
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        group.create_task(push())
        await echo_all(websocket)


async def pauses_in_bytes(websocket):
    async for message in websocket:
        await asyncio.sleep(0.03)
        await websocket.send(message.encode())


async def pauses_once(websocket):
    message = await websocket.recv()
    await asyncio.sleep(0.03)
    return await websocket.send(message)


async def pause_too_short(websocket):
    async for message in websocket:
        await asyncio.sleep(0.003)
        await websocket.send(message)


def pauses_behind_a_lock():
    lock = asyncio.Lock()

    async def handler(websocket):
        async for message in websocket:
            async with lock:
                await asyncio.sleep(0.03)
            await websocket.send(message)

    return handler


async def pause_in_a_thread_that_is_waited_for(websocket):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        async for message in websocket:
            pool.submit(time.sleep, 0.03).result()
            await websocket.send(message)


async def counts_in_bytes(websocket):
    for number in itertools.count(1):
        await websocket.send(f"{number} {await websocket.recv()}".encode())


async def counts_afterwards(websocket):
    for number in itertools.count(1):
        await websocket.send(f"{await websocket.recv()} {number}")


async def counts_one(websocket):
    return await websocket.send(f"1 {await websocket.recv()}")


async def counts_without_await(websocket):
    for number in itertools.count(1):
        websocket.send(f"{number} {await websocket.recv()}")


async def pauses_afterwards(websocket):
    async for message in websocket:
        await websocket.send(message)
        await asyncio.sleep(0.03)


async def pauses_for_long(websocket):
    async for message in websocket:
        await asyncio.sleep(0.3)
        await websocket.send(message)


async def still_sleeps(websocket):
    async for message in websocket:
        time.sleep(0.03)  # noqa: ASYNC251
        await websocket.send(message)


async def no_pause(websocket):
    async for message in websocket:
        asyncio.sleep(0.03).close()  # forgot to await
        await websocket.send(message)


async def blocks_for_long(websocket):
    async for message in websocket:
        time.sleep(2)  # noqa: ASYNC251
        await websocket.send(message)


def begins_anew():
    count = 0

    async def handler(websocket):
        nonlocal count
        count = 0
        async for message in websocket:
            count += 1
            await websocket.send(f"{count} {message}")

    return handler


async def counts_in_the_loop(websocket):
    async for message in websocket:
        number = 0
        number += 1
        await websocket.send(f"{number} {message}")


def counts_by_address():
    counts: dict[str, int] = {}

    async def handler(websocket):
        who = websocket.remote_address[0]
        async for message in websocket:
            counts[who] = counts.get(who, 0) + 1
            await websocket.send(f"{counts[who]} {message}")

    return handler


async def counts_from_zero(websocket):
    for number in range(1000):
        await websocket.send(f"{number} {await websocket.recv()}")


def not_async(websocket):
    pass


async def not_taken_out(websocket):
    async for message in websocket:
        await websocket.send(message.upper())
        raise NotYet  # still there


def test_a_not_yet_that_is_left_over_is_not_yet():
    verdict = check("03 capitals", not_taken_out)
    assert verdict.passed is None
    assert "take `raise NotYet` out" in str(verdict)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("exercise", "wrong", "expected", "seen", "hint"),
    [
        ("03 capitals", fifty_and_no_more, "message 51 of the second", "close 1000", "ended it"),
        ("03 capitals", not_in_capitals, "message 1 of the ", "'<", "letter by letter"),
        ("03 capitals", in_bytes, "message 1 of the ", "b'", "send a str"),
        ("03 capitals", answers_twice, "message 2 of the ", "from the server at", "message before"),
        ("03 capitals", forgot_await, "message 1 of the ", "no message within", "without `await`"),
        ("03 capitals", returns_still, "message 2 of the ", "close 1000", "ended it"),
        ("03 capitals", as_title, "the answer to message ", "'", "letter by letter"),
        ("03 capitals", forgot_await_of_recv, "message 1 of the ", "raised", "`recv(...)` was"),
        ("03 capitals", capitals_of_a_send, "message 1 of the ", "raised", "`send(...)` was"),
        ("03 ticks", ticks_once_a_message, "three times", "'tick' from", "for whom, does it wait"),
        ("03 ticks", ticks_and_sleeps(), "", "holds its event loop", "nobody else gets a turn"),
        ("03 ticks", pushes(awaits_the_cancel), "without a mistake", "TypeError", "raised first"),
        ("03 ticks", pushes(answers_in_words), "message 1", "'you said", "letter by letter"),
        ("03 capitals", one_at_a_time(), "1 of the second client", "no message within", ""),
        ("03 capitals", to_whoever_came_last(), "1 of the first client", "no message within", ""),
        ("03 capitals", not_async, "async def handler", "a plain `def`", ""),
        ("03 ticks", pushes_first, "message 1 of the ", "times 'tick' and no answer", "two jobs"),
        ("03 ticks", ticks_only_in_silence, "one tick every 20 ms", "on the wire", "by the clock"),
        ("03 ticks", leaves_at_once, "the first client", "close 1000", ""),
        ("03 ticks", three_ticks, "one tick every 20 ms", "0; on the wire", "by the clock"),
        ("03 ticks", ticks_too_fast, "one tick every 20 ms", "on the wire", "ms apart: the job"),
        (
            "03 ticks",
            pushes(cancels_finally, pause_s=0.1),  # as in the lesson
            "one tick every 20 ms",
            "on the wire",
            "ticks come, but about ",
        ),
        (
            "03 ticks",
            pushes(never_cancels),
            "no task left of a client that has broken off",
            "the task push() went on until it failed with ConnectionClosedError",
            "yours to stop",
        ),
        (
            "03 ticks",
            pushes(cancels_after_the_loop),
            "no task left of a client that has broken off",
            "the task push() went on until it failed with ConnectionClosedError",
            "only a `finally` runs",
        ),
        (
            "03 ticks",
            pushes(never_cancels, deaf=True),
            "no task left of a client that has broken off",
            "the task push() still going 1.5 s later",
            "yours to stop",
        ),
        ("03 ticks", ticks_when_spoken_to, "before it has sent", "no frame", "needs no request"),
        ("03 ticks", echo_is_not_awaited, "message 1 of", "no answer", "without `await`"),
        ("03 ticks", ticks_in_bytes, "'tick' for the first client", "binary", "send a str"),
        ("03 ticks", ticks_with_numbers, "'tick' for the first", "'tick 0'", "letter by letter"),
        ("03 ticks", stops_everybodys(), "after the first one has left", "0 of them", "of its own"),
        ("03 pause", still_sleeps, "both answers about 30 ms", "ms apart", "who holds it up"),
        ("03 pause", no_pause, "an answer 30 ms after", "usually", "belongs to the job"),
        ("03 pause", pauses_afterwards, "also after a rest", " ms; on the wire", "not after it"),
        ("03 pause", pauses_for_long, "an answer 30 ms after", "at best ", "that long"),
        ("03 pause", blocks_for_long, "message 1", "holds its event loop: blocks_for_long()", ""),
        ("03 pause", pauses_in_bytes, "message 1 of the ", "b'", "send a str"),
        ("03 pause", pauses_once, "message 2 of the ", "close 1000", "ended it"),
        ("03 pause", pause_too_short, "an answer 30 ms after", "usually", "belongs to the job"),
        ("03 pause", pauses_behind_a_lock(), "both answers about", "ms apart", "who holds it up"),
        (
            "03 pause",
            pause_in_a_thread_that_is_waited_for,
            "both answers about",
            "ms apart",
            "who holds it up",
        ),
        ("03 count", counts_in_bytes, "message 1 of the ", "b'", "send a str"),
        ("03 count", counts_afterwards, "message 1 of the ", " 1'", "count from 1"),
        ("03 count", counts_one, "message 2 of the ", "close 1000", "ended it"),
        ("03 count", counts_without_await, "message 1", "no message within", "without `await`"),
        ("03 count", begins_anew(), "message 1 of the ", "'2 ", "count from 1"),
        ("03 count", counts_in_the_loop, "message 2 of the ", "'1 ", "count from 1"),
        ("03 count", counts_by_address(), "message 1 of the ", "'2 ", "count from 1"),
        ("03 count", counts_from_zero, "message 1 of the ", "'0 ", "count from 1"),
    ],
)
def test_plausible_wrong_ones_are_refused(exercise, wrong, expected, seen, hint):
    verdict = check(exercise, wrong)
    assert verdict.passed is False
    assert expected in verdict.expected, verdict
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict
    assert verdict.took_s < 48


def test_too_long_a_pause_does_not_make_the_check_long():
    assert check("03 pause", pauses_for_long).took_s < 12  # fifty of them would take 15 s


def test_a_plain_def_is_named_without_saying_twice_what_was_expected():
    verdict = check("03 capitals", not_async)
    assert verdict.expected == "`async def handler(websocket)`"
    assert verdict.seen == "a plain `def`: a handler awaits messages, so it is an `async def`"


def test_one_frame_that_is_not_shown_is_one_frame():
    with TestBench(solution("03_conversation").counting) as bench:
        client = bench.connect()
        for number in (1, 2, 3):
            client.send("a")
            assert client.recv(f"{number} a") == f"{number} a"
        assert client.seen(client.frames[:5]).startswith("1 frame, then text '1 a'")
        assert client.seen(client.frames).startswith("2 frames, then text 'a'")


def test_a_loop_that_is_late_is_not_taken_for_one_that_is_held(caplog):
    """What ends a learner's endless loop would break ours, where the machine is merely busy."""
    runner = Portal("check")
    try:
        runner.loop.call_soon_threadsafe(time.sleep, 0.35)
        assert learner_loop.free_loop(runner)
        assert not caplog.records
        assert runner.call(lambda: "still answers", timeout=2) == "still answers"
    finally:
        runner.close()


def test_a_handler_that_spins_when_its_client_leaves_is_noticed():
    verdict = check("03 capitals", never_lets_a_client_go)
    assert verdict.passed is False
    assert re.search("message 5[123] of the second client", verdict.expected)
    assert "the handler holds its event loop: " in verdict.seen
    assert "another client has just left" in verdict.hint


def test_a_miss_names_frame_sender_and_time():
    verdict = check("03 capitals", from_the_notebook("03 capitals", started=True))
    assert "close 1000 (normal closure) from the server at " in verdict.seen
    assert verdict.seen.endswith(" ms")


@pytest.mark.kernel
def test_the_lesson_says_the_same_when_its_cells_run_again():
    sources = cells("03_conversation")
    once = [id for id in sources if id != "the-end"]
    order = [*once, "sent-run", "sent-compare", "talk", "how-many", "timeline", "transfer-run"]
    order += ["transfer-compare", "the-end"]
    with Kernel(cwd=COURSE) as kernel:
        ran = kernel.run_all([sources[id] for id in order], cell_ids=order, timeout=120)
        assert lost(ran) == []
        assert [cell.error for cell in ran if cell.error] == []
        for said in (dict(zip(once, ran, strict=False)), dict(zip(order, ran, strict=True))):
            text = {id: cell.text for id, cell in said.items()}
            assert "the wire says  2: the handler runs once for each client" in text["how-many"]
            assert re.search(r"bob.* <-- answer +close 1000, 4 B +<== chosen", text["timeline"])
            assert "2 runs of the handler for 6 answers" in text["fixed"]
            assert "the wire says  ticks, and no answer" in text["in-turn-compare"]
            assert "tick you said hello tick" in text["at-once"]
            assert "send: None | the last that she got: you said three" in text["sent-run"]
            assert "the server's close code: 1006" in text["sent-run"]
            assert "the wire says  it returns, as always" in text["sent-compare"]
            assert "close code: 1011" in text["transfer-run"]
            assert "the wire says  the server closes with another code" in text["transfer-compare"]
        assert ran[-1].text == "open connections: 0, servers: 0, tasks: 0"
        kernel.shutdown()
