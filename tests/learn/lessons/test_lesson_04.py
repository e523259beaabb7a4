"""Lesson 04's check: its solution, other right ways, the stub, and plausible wrong ones; and the
lesson and its More run twice in one kernel each, the lesson also where loops are nested already.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import threading
import time

import pytest

import wslab
from tests.kernels import Kernel, lost
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, check

LESSON = "04_event_loops"


at_once = solution("04_event_loops").at_once


def test_the_solution_passes_every_time():
    for _ in range(3):
        verdict = check("04 at once", at_once)
        assert verdict, str(verdict)
        assert verdict.took_s < 60
    assert "times as long as the work itself" in verdict.seen


# Right ways.


async def by_executor(websocket, work):
    loop = asyncio.get_running_loop()
    while True:
        await websocket.send(await loop.run_in_executor(None, work, await websocket.recv()))


async def by_pool_of_its_own(websocket, work):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        async for message in websocket:
            future = pool.submit(work, message)
            while not future.done():  # noqa: ASYNC110 - one may wait like this, too
                await asyncio.sleep(0.005)
            await websocket.send(future.result())


class ByThread:
    """Start a plain thread for each message and have it call back."""

    async def __call__(self, websocket, work):
        loop = asyncio.get_running_loop()
        async for message in websocket:
            answer = loop.create_future()

            def call(message=message, answer=answer):
                loop.call_soon_threadsafe(answer.set_result, work(message))

            threading.Thread(target=call).start()
            await websocket.send(await answer)


async def all_at_once_in_order(websocket, work):
    """Work on all messages of one client at once too, and send in order."""
    answers: asyncio.Queue = asyncio.Queue()

    async def send():
        while True:
            await websocket.send(await (await answers.get()))

    sender = asyncio.create_task(send())
    async for message in websocket:
        answers.put_nowait(asyncio.create_task(asyncio.to_thread(work, message)))
    sender.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sender


async def with_more(how, websocket, work):
    async for message in websocket:
        await websocket.send(await how(work, message))


async def in_a_queue(websocket, work):
    """Take messages in one task and work on them in another, as consumer and producer."""
    messages: asyncio.Queue = asyncio.Queue()

    async def answer():
        while True:
            await websocket.send(await asyncio.to_thread(work, await messages.get()))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(answer())
        async for message in websocket:
            await messages.put(message)
        task.cancel()


RIGHT = [
    in_a_queue,
    by_executor,
    by_pool_of_its_own,
    ByThread(),
    all_at_once_in_order,
    functools.partial(with_more, asyncio.to_thread),
]


@pytest.mark.parametrize("right", RIGHT)
def test_other_right_ways_pass(right):
    verdict = check("04 at once", right)
    assert verdict, str(verdict)


def test_the_stub_in_the_notebook_is_not_yet():
    namespace = {"NotYet": NotYet, "asyncio": asyncio}
    exec(cells(LESSON)["exercise-at-once"], namespace)
    verdict = check("04 at once", namespace["at_once"])
    assert verdict.passed is None
    assert verdict.took_s < 20


# Plausible wrong ones.


async def blocks(websocket, work):
    async for message in websocket:
        await websocket.send(work(message))


async def one_worker(websocket, work):
    async for message in websocket:
        loop = asyncio.get_running_loop()
        if not hasattr(loop_pool, "pool"):
            loop_pool.pool = concurrent.futures.ThreadPoolExecutor(1)
        await websocket.send(await loop.run_in_executor(loop_pool.pool, work, message))


loop_pool = threading.local()


async def waits_for_the_thread(websocket, work):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        async for message in websocket:
            await websocket.send(pool.submit(work, message).result())


def with_a_lock():
    lock = asyncio.Lock()

    async def locked(websocket, work):
        async for message in websocket:
            async with lock:
                answer = await asyncio.to_thread(work, message)
            await websocket.send(answer)

    return locked


def after_both():
    """Answer nobody while somebody's work goes on."""
    busy: set = set()
    free = asyncio.Event()

    async def handler(websocket, work):
        async for message in websocket:
            busy.add(message)
            free.clear()
            answer = await asyncio.to_thread(work, message)
            busy.discard(message)
            if not busy:
                free.set()
            await free.wait()
            await websocket.send(answer)

    return handler


def when_both_have_asked():
    barrier = asyncio.Barrier(2)

    async def handler(websocket, work):
        async for message in websocket:
            await barrier.wait()
            await websocket.send(await asyncio.to_thread(work, message))

    return handler


async def skips_the_work(websocket, work):
    async for message in websocket:
        await websocket.send(message)


async def sleeps_instead(websocket, work):
    async for message in websocket:
        await asyncio.sleep(0.2)
        await websocket.send(f"done: {message}")


async def works_on_something_else(websocket, work):
    async for message in websocket:
        await websocket.send(await asyncio.to_thread(work, f"{message}!"))


async def out_of_order(websocket, work):
    async def answer(message):
        await websocket.send(await asyncio.to_thread(work, message))

    async with asyncio.TaskGroup() as group:
        async for message in websocket:
            group.create_task(answer(message))


def mixes_clients_up():
    """Keep the answer in one place for all."""
    shared: dict = {}

    async def handler(websocket, work):
        async for message in websocket:
            shared["message"] = message
            await asyncio.sleep(0.05)
            await websocket.send(await asyncio.to_thread(work, shared["message"]))

    return handler


async def ends_after_one(websocket, work):
    await websocket.send(await asyncio.to_thread(work, await websocket.recv()))


async def forgot_await(websocket, work):
    async for message in websocket:
        answer = asyncio.to_thread(work, message)
        await websocket.send(answer)


async def forgot_await_of_a_future(websocket, work):
    async for message in websocket:
        answer = asyncio.get_running_loop().run_in_executor(None, work, message)
        await websocket.send(answer)


async def forgot_the_other_await(websocket, work):
    async for message in websocket:
        websocket.send(await asyncio.to_thread(work, message))


async def blocks_by_wslab_run(websocket, work):
    async for message in websocket:
        await websocket.send(wslab.run(work, message))


async def in_bytes(websocket, work):
    async for message in websocket:
        await websocket.send((await asyncio.to_thread(work, message)).encode())


async def returns(websocket, work):
    async for message in websocket:
        return await websocket.send(await asyncio.to_thread(work, message))
    return None


async def sleeps_first(websocket, work):
    async for message in websocket:
        await asyncio.sleep(0)  # gives one turn away, and then holds the loop as before
        await websocket.send(work(message))


async def work_in_a_task(websocket, work):
    """A task is no thread."""

    async def answer(message):
        return work(message)

    async for message in websocket:
        await websocket.send(await asyncio.create_task(answer(message)))


async def not_taken_out(websocket, work):
    async for message in websocket:
        await websocket.send(await asyncio.to_thread(work, message))
        raise NotYet  # still there


async def called_it(websocket, work):
    async for message in websocket:
        await websocket.send(await asyncio.to_thread(work(message)))


async def answers_twice(websocket, work):
    async for message in websocket:
        answer = await asyncio.to_thread(work, message)
        await websocket.send(answer)
        await websocket.send(answer)


async def without_work(websocket):
    await websocket.wait_closed()


def not_async(websocket, work):
    pass


ONE_THEN_THE_OTHER = "began when "
WRONG = [
    (blocks, "it ran on the event loop's own thread and held the loop", "on other threads"),
    (waits_for_the_thread, ONE_THEN_THE_OTHER, "on other threads"),
    (one_worker, ONE_THEN_THE_OTHER, "on other threads"),
    (with_a_lock, ONE_THEN_THE_OTHER, "on other threads"),
    (after_both, "when ben's work had ended; her own had taken", "as soon as its own work"),
    (when_both_have_asked, "work() was not called with ben's message", "whoever else has asked"),
    (skips_the_work, "the message itself: its work was not done", "what work(message) returned"),
    (sleeps_instead, "which is not what work returned", "work() was never called"),
    (works_on_something_else, "which is not what work returned", "work() was never called"),
    (out_of_order, "answer 3 came before answer 1", "finish a message before"),
    (mixes_clients_up, ", the answer to a message of ben", "to the client that asked"),
    (ends_after_one, "close 1000", "keep the loop"),
    (forgot_await, "Your handler raised TypeError", "`to_thread(...)` was called without `await`"),
    (forgot_await_of_a_future, "Your handler raised TypeError", "fix what your handler raised"),
    (blocks_by_wslab_run, "Your handler raised WrongThread", "fix what your handler raised"),
    (forgot_the_other_await, "no message within", "without `await` in front of it"),
    (in_bytes, "got b'", "send a str"),
    (returns, "close 1000", "keep the loop"),
    (sleeps_first, "on the event loop's own thread", "on other threads"),
    (work_in_a_task, "on the event loop's own thread", "on other threads"),
    (called_it, "Your handler raised TypeError", "fix what your handler raised"),
    (answers_twice, "the answer to another message of ", "once for each message"),
    (without_work, "without_work(websocket)", "and with work"),
    (not_async, "Your handler raised TypeError", "fix what your handler raised"),
]


def test_a_not_yet_that_is_left_over_is_not_yet():
    verdict = check("04 at once", not_taken_out)
    assert verdict.passed is None
    assert "take `raise NotYet` out" in str(verdict)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(("wrong", "seen", "hint"), WRONG, ids=[w[0].__name__ for w in WRONG])
def test_plausible_wrong_ones_are_refused(wrong, seen, hint):
    made = wrong() if wrong.__code__.co_argcount == 0 else wrong
    verdict = check("04 at once", made)
    assert verdict.passed is False
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict
    assert verdict.took_s < 60
    if pool := loop_pool.__dict__.pop("pool", None):
        pool.shutdown()


def test_a_coroutine_and_a_number_are_refused():
    for thing in (blocks(None, None), 42):
        verdict = check("04 at once", thing)
        assert verdict.passed is False
        assert verdict.expected == "`async def at_once(websocket, work)`"


def test_the_bound_is_told_in_units_of_the_work():
    verdict = check("04 at once", blocks)
    assert "the work takes " in verdict.expected
    assert " each, and both have their answers before " in verdict.expected
    assert verdict.took_s < 6  # a held loop needs no second look


def test_a_handler_that_never_answers_ends_in_time():
    async def sleepy(websocket, work):
        async for _ in websocket:
            time.sleep(4)  # noqa: ASYNC251

    verdict = check("04 at once", sleepy)
    assert verdict.passed is False
    assert "the handler holds its event loop: sleepy() at test_lesson_04.py:" in verdict.seen
    assert verdict.took_s < 40


# The lesson in one kernel, twice.


def run(kernel: Kernel, lesson: str, *only: str) -> dict[str, str]:
    """Run a lesson's cells, or some of them; return what each has said."""
    sources = cells(lesson)
    ids = list(only or sources)
    ran = kernel.run_all([sources[id] for id in ids], cell_ids=ids, timeout=120)
    assert lost(ran) == []
    assert [cell.error for cell in ran if cell.error] == []
    return {id: cell.text for id, cell in zip(ids, ran, strict=True)}


@pytest.mark.kernel
def test_it_says_the_same_when_it_runs_again_and_nests_nothing():
    with Kernel(cwd=COURSE) as kernel:
        for _ in range(2):
            said = run(kernel, LESSON)
            assert "0 of them during time.sleep;" in said["freeze"]
            assert "the wire says  only the one on the lab's loop" in said["freeze-compare"]
            assert "the wire says  an error: main() never begins" in said["run-compare"]
            assert "the wire says  after 1 s and after 2 s" in said["async-compare"]
            assert "sent 1011 (internal error) keepalive ping timeout\n" in said["keepalive"]
            assert "the wire says  no, not until it has ended" in said["transfer-compare"]
            assert said["the-end"] == "open connections: 0, servers: 0, tasks: 0"
        assert kernel.check("asyncio.Task.__module__") == "'_asyncio'"
        kernel.shutdown()


@pytest.mark.kernel
def test_its_hole_is_as_long_as_the_slider_says():
    with Kernel(cwd=COURSE) as kernel:
        run(kernel, LESSON, "recall", "setup", "on-lab", "freeze-predict", "slider")
        kernel.check("pause._take(pause, {'value_s': 1}, [])")
        run(kernel, LESSON, "freeze", "freeze-compare")
        length = "round(frozen.spans[-1].ended_s - frozen.spans[-1].began_s, 1)"
        assert kernel.check(length) == "1.0"


@pytest.mark.kernel
def test_its_more_runs_twice_and_the_lesson_after_it_says_what_is_different():
    with Kernel(cwd=COURSE) as kernel:
        first = run(kernel, "more/04_nested_loops")
        assert "asyncio.run: RuntimeError\nasyncio.run() cannot be called" in first["ask"]
        assert "asyncio.run: hello" in first["nest"]
        assert "WrongThread: connect() would wait for ever" in first["kernel-server"]
        assert "echo: awaited" in first["kernel-server"]
        again = run(kernel, "more/04_nested_loops")
        assert "asyncio.run: hello" in again["ask"]
        said = run(kernel, LESSON)
        assert "Loops have been nested in this kernel before" in said["run-compare"]
        assert "0 of them during time.sleep;" in said["freeze"]
        assert said["the-end"] == "open connections: 0, servers: 0, tasks: 0"
        kernel.shutdown()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_what_an_earlier_try_has_left_is_not_taken_for_this_ones():
    class Left:
        pass

    async def holds(websocket, work):
        async for message in websocket:
            gc.collect()
            await websocket.send(work(message))

    gc.disable()
    try:
        left = Left()
        left.itself, left.coroutine = left, asyncio.to_thread(print)
        del left
        verdict = check("04 at once", holds)
    finally:
        gc.enable()
    assert "on other threads" in verdict.hint, verdict
