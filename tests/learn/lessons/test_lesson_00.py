"""Lesson 00's check: its solution, other right ways, the stub, and plausible wrong ones."""

from __future__ import annotations

import asyncio
import functools
import time

import pytest
from websockets.exceptions import ConnectionClosed

from tests.learn.rig import cells, solution
from wslab.learn import NotYet, check


def name_of(websocket) -> str:
    return websocket.request.path.strip("/")


async def echo(websocket) -> None:
    async for message in websocket:
        await websocket.send(message)


def test_the_solution_passes():
    verdict = check("00 greeting", solution("00_start_here").greet)
    assert verdict, str(verdict)
    assert "3 clients with random names" in verdict.seen


class Greeter:
    async def __call__(self, websocket):
        await websocket.send(["hello ", name_of(websocket)])  # one message in fragments
        while True:
            await websocket.send(await websocket.recv())


async def greet_with(word, websocket):
    await websocket.send(f"{word} {name_of(websocket)}")
    await echo(websocket)


async def with_recv_and_except(websocket):
    """Greet after a moment, and read as the documentation's second pattern does."""
    await asyncio.sleep(0.05)
    await websocket.send("hello " + name_of(websocket))
    try:
        while True:
            await websocket.send(await websocket.recv())
    except ConnectionClosed:
        pass


async def in_two_tasks(websocket):
    """Produce and consume at once, as the documentation's third pattern does."""

    async def produce():
        await websocket.send("hello {}".format(*websocket.request.path.split("/")[1:]))

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        group.create_task(echo(websocket))


def decorated(handler):
    @functools.wraps(handler)
    async def greets_first(websocket):
        await websocket.send(f"hello {name_of(websocket)}")
        await handler(websocket)

    return greets_first


RIGHT = [
    Greeter(),
    functools.partial(greet_with, "hello"),
    with_recv_and_except,
    in_two_tasks,
    decorated(echo),
]


@pytest.mark.parametrize("right", RIGHT)
def test_other_right_ways_pass(right):
    verdict = check("00 greeting", right)
    assert verdict, str(verdict)


def test_the_stub_in_the_notebook_is_not_yet():
    namespace = {"NotYet": NotYet}
    exec(cells("00_start_here")["exercise-greeting"], namespace)
    assert check("00 greeting", namespace["greet"]).passed is None


def test_a_not_yet_that_was_left_behind_is_not_yet():
    async def greets_and_stops(websocket):
        await websocket.send(f"hello {name_of(websocket)}")
        raise NotYet

    assert check("00 greeting", greets_and_stops).passed is None


async def after_the_first_message(websocket):
    async for message in websocket:
        await websocket.send(f"hello {name_of(websocket)}")
        await websocket.send(message)


async def with_the_slash(websocket):
    await websocket.send(f"hello {websocket.request.path}")
    await echo(websocket)


async def as_bytes(websocket):
    await websocket.send(f"hello {name_of(websocket)}".encode())
    await echo(websocket)


async def always_ada(websocket):
    await websocket.send("hello ada")
    await echo(websocket)


async def without_the_f(websocket):
    await websocket.send("hello {name}")
    await echo(websocket)


async def returns_at_once(websocket):
    return f"hello {name_of(websocket)}"


async def with_two_arguments(websocket):
    await websocket.send("hello", name_of(websocket))
    await echo(websocket)


async def no_echo(websocket):
    await websocket.send(f"hello {name_of(websocket)}")


async def other_case(websocket):
    await websocket.send(f"Hello {name_of(websocket)}!")
    await echo(websocket)


async def twice(websocket):
    for _ in range(2):
        await websocket.send(f"hello {name_of(websocket)}")
    await echo(websocket)


async def forgot_await(websocket):
    greeting = websocket.send(f"hello {name_of(websocket)}")
    greeting.close()
    await echo(websocket)


async def returns_it(websocket):
    async for message in websocket:
        await websocket.send(message)
    return f"hello {name_of(websocket)}"


async def as_one_with_the_echo(websocket):
    await websocket.send(f"hello {name_of(websocket)}")
    async for message in websocket:
        await websocket.send(f"hello {message}")


async def misspelt(websocket):
    await websocket.send(f"hello {websocket.path}")
    await echo(websocket)


def not_async(websocket):
    pass


@pytest.mark.parametrize(
    ("wrong", "seen", "hint"),
    [
        (echo, "no message within 1.5 s; on the wire: no frame at all", "wait for a message"),
        (after_the_first_message, "no frame at all", "wait for a message"),
        (with_the_slash, "text 'hello /", "begins with a slash"),
        (as_bytes, "binary 68 65 6c 6c 6f 20", "send a str"),
        (always_ada, "text 'hello ada' from the server at ", "websocket.request.path"),
        (other_case, "text 'Hello ", "letter by letter"),
        (without_the_f, "text 'hello {name}'", "an f is missing"),
        (returns_at_once, "close 1000", "a `return` does not send"),
        (with_two_arguments, "TypeError: Connection.send() takes", "fix what your handler raised"),
        (no_echo, "close 1000", "keep the loop"),
        (twice, "text 'hello ", "the greeting came twice"),
        (forgot_await, "no frame at all", "an `await` missing"),
        (returns_it, "no frame at all", "wait for a message"),
        (as_one_with_the_echo, "text 'hello ", "nothing before or behind it"),
        (misspelt, "Your handler raised AttributeError", "fix what your handler raised"),
        (not_async, "a plain `def`", ""),
    ],
)
def test_plausible_wrong_ones_are_refused(wrong, seen, hint):
    verdict = check("00 greeting", wrong)
    assert verdict.passed is False
    assert seen in verdict.seen
    assert hint in verdict.hint
    assert verdict.took_s < 40


def test_the_miss_names_path_text_frame_and_time():
    verdict = check("00 greeting", with_the_slash)
    assert verdict.expected.startswith("as first frame the text 'hello ")
    assert " for the path /" in verdict.expected
    assert " from the server at " in verdict.seen
    assert verdict.seen.endswith(" ms")


def test_a_handler_that_blocks_is_named_in_time():
    async def sleepy(websocket):
        time.sleep(4)  # noqa: ASYNC251
        await websocket.send(f"hello {name_of(websocket)}")

    verdict = check("00 greeting", sleepy)
    assert verdict.passed is False
    assert "the handler holds its event loop: sleepy() at test_lesson_00.py:" in verdict.seen
    assert "time.sleep(4)" in verdict.seen
    assert verdict.took_s < 24
