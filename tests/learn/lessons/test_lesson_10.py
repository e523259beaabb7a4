"""Lesson 10's check: its solution, other right ways, the stub, and plausible wrong ones."""

from __future__ import annotations

import asyncio
import functools
import random

import pytest
from websockets import ConnectionClosed, WebSocketException, connect
from websockets.client import backoff

from tests.learn.rig import cells, solution
from wslab.learn import NotYet, check, left_open
from wslab.learn.lessons import lesson_10

LESSON = "10_failure"


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Cut less often, and wait less long for what a wrong one never does."""
    for name, value in {"ROUNDS": 1, "BACK_S": 2.0, "ASK_S": 1.0}.items():
        monkeypatch.setattr(lesson_10, name, value)


def test_the_solution_passes_every_time(monkeypatch):
    monkeypatch.setattr(lesson_10, "ROUNDS", 3)
    verdict = check("10 follow", solution(LESSON).follow)
    assert verdict, str(verdict)
    assert "30 cuts at random points (12 between two frames, 9 in silence" in verdict.seen
    assert "each of 26 texts was heard once, in order, by 10 followers" in verdict.seen
    assert left_open().tasks == 0


# Right ways.


async def as_the_documentation_shows(url, heard):
    last = 0
    # By default its waits begin with up to 5 s, and then 3; here a tenth of that.
    async for socket in connect(url, reconnect_delays=functools.partial(backoff, 0.5, 0.3)):
        try:
            await socket.send(str(last))
            async for event in socket:
                number, text = event.split(maxsplit=1)
                heard.append(text)
                last = int(number)
        except ConnectionClosed:
            continue


async def counts_what_it_has(url, heard):
    """Know the offset by the list itself; wait half of the bound for certain."""
    attempt = 0
    while True:
        try:
            socket = await connect(url)
            await socket.send(str(len(heard)))
            while True:
                heard.append((await socket.recv()).partition(" ")[2])
                attempt = 0
        except Exception:
            bound = 0.2 * 2**attempt
            attempt += 1
            await asyncio.sleep(bound / 2 + random.random() * bound / 2)


async def at_once_and_then_at_random(url, heard):
    bound, last = 0.0, "0"
    while True:
        await asyncio.sleep(random.uniform(0, bound))
        bound = bound * 2 or 0.2
        try:
            async with connect(url, ping_interval=1) as socket:
                await socket.send(last)
                async for event in socket:
                    last, text = event.split()
                    heard.append(text)
                    bound = 0.0
        except (OSError, WebSocketException):
            continue


class Follower:
    """A class with a method for each step."""

    def __init__(self):
        self.seen = {}

    async def __call__(self, url, heard):
        self.seen[url] = 0
        while True:
            try:
                await self.once(url, heard)
            except (OSError, WebSocketException):
                await asyncio.sleep(random.expovariate(4))  # another way of chance

    async def once(self, url, heard):
        async with connect(url) as socket:
            await socket.send(f"{self.seen[url]}")
            async for event in socket:
                number, _, text = event.partition(" ")
                self.seen[url] = int(number)
                heard += [text]


async def decorrelated(most_s, url, heard):
    """Draw each wait from the one before; skip what it has already."""
    wait_s, last = 0.1, 0
    while True:
        try:
            async with connect(url) as socket:
                await socket.send(str(last))
                async for event in socket:
                    number, text = event.split(maxsplit=1)
                    if int(number) == last + 1:
                        last += 1
                        heard.append(text)
                        wait_s = 0.1
        except (OSError, WebSocketException):
            wait_s = min(most_s, random.uniform(0.05, wait_s * 3))
            await asyncio.sleep(wait_s)


RIGHT = [
    as_the_documentation_shows,
    counts_what_it_has,
    at_once_and_then_at_random,
    Follower(),
    functools.partial(decorrelated, 2.0),
]


@pytest.mark.parametrize("right", RIGHT)
def test_other_right_ways_pass(right):
    verdict = check("10 follow", right)
    assert verdict, str(verdict)


def stub(**changes):
    namespace = {"NotYet": NotYet}
    source = cells(LESSON)["exercise-follow"]
    for old, new in changes.get("changes", {}).items():
        assert old in source
        source = source.replace(old, new)
    exec(source, namespace)
    return namespace["follow"]


def test_the_stub_is_not_yet():
    assert check("10 follow", stub()).passed is None
    assert check("10 follow", ...).passed is None


def test_a_not_yet_that_is_left_over_is_not_yet():
    async def follow(url, heard):
        async with connect(url) as socket:
            await socket.send("0")
            await socket.recv()
            raise NotYet

    assert check("10 follow", follow).passed is None


# Plausible wrong ones: the solution, changed at one place.

SOLUTION = """
import asyncio, random, time
from websockets import ConnectionClosed, WebSocketException, connect

async def follow(url, heard):
    last = 0
    bound = 0.2
    while True:
        try:
            async with connect(url) as socket:
                await socket.send(str(last))
                async for event in socket:
                    number, text = event.split(maxsplit=1)
                    heard.append(text)
                    last = int(number)
                    bound = 0.2
        except (OSError, WebSocketException):
            pass
        await asyncio.sleep(random.uniform(0, bound))
        bound = min(2 * bound, 5)
"""


def mutant(*changes):
    source = SOLUTION
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    namespace = {}
    exec(source, namespace)
    return namespace["follow"]


WAIT = "random.uniform(0, bound)"
OFFSET = "the number of the last event that you have put"
CATCH = "Catch them all"
SPREAD = "Draw each wait at random"
WRONG = {
    "only the line is taken out": (
        [("while True", "for _ in range(1)"), ("            pass", "            raise")],
        "ConnectionClosed",
        CATCH,
    ),
    "returns at the first end": ([("            pass", "            return")], "returned", "again"),
    "always from the beginning": ([("str(last)", "'0'")], "is there twice", OFFSET),
    "never counts": ([("last = int(number)", "int(number)")], "is there twice", OFFSET),
    "begins anew each time": (
        [("        try:", "        last = 0\n        try:")],
        "twice",
        OFFSET,
    ),
    "names the next one": ([("str(last)", "str(last + 1)")], "event 1 is missing", OFFSET),
    "names the one before": (
        [("str(last)", "str(max(0, last - 1))")],
        "is there twice; on the wire: its 2 connections asked for what follows 0, then",
        OFFSET,
    ),
    "the same wait": ([(WAIT, "0.2")], "the third attempts of 10 followers came", SPREAD),
    "doubles, and no chance": ([(WAIT, "bound")], "the third attempts", SPREAD),
    "hammers": ([(WAIT, "0")], "the third attempts", "wait before each new attempt"),
    "takes no refusal": (
        [("(OSError, WebSocketException)", "(OSError, ConnectionClosed)")],
        "HTTP 503",
        CATCH,
    ),
    "blocks": ([("await asyncio.sleep(", "time.sleep(")], "holds it", "await asyncio.sleep"),
    "the whole event": ([("append(text)", "append(event)")], "'1 ", "The text alone"),
    "bytes": ([("append(text)", "append(text.encode())")], "b'", "The text alone"),
    "says it in bytes": ([("str(last)", "str(last).encode()")], "b'0'", OFFSET),
    "says nothing": ([("await socket.send(str(last))", "pass")], "nothing within", OFFSET),
    "forgets await": ([("await socket.send", "socket.send")], "nothing within", "without `await`"),
    "raises": ([("last = int(number)", "last = text[int(number) + 99]")], "IndexError", "fix what"),
    "one attempt too few": (
        [("while True", "for _ in range(3)")],
        "it returned",
        "connect again",
    ),
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(("changes", "seen", "hint"), WRONG.values(), ids=WRONG)
def test_plausible_wrong_ones_are_refused(changes, seen, hint):
    verdict = check("10 follow", mutant(*changes))
    assert verdict.passed is False, verdict
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict


@pytest.mark.parametrize(
    ("thing", "seen"),
    [
        (3, "int 3"),
        (lambda url, heard: heard, "a plain function, which returned []"),
        (lambda url: None, "takes 1 positional argument"),
    ],
)
def test_what_is_no_coroutine_function_is_refused(thing, seen):
    verdict = check("10 follow", thing)
    assert verdict.passed is False
    assert seen in verdict.seen, verdict


def test_a_coroutine_is_no_function():
    verdict = check("10 follow", as_the_documentation_shows("", []))
    assert "without calling it" in verdict.seen
