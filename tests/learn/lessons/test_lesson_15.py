"""Lesson 15's check: the solution, other right ways, the stub, and plausible wrong ones."""

from __future__ import annotations

import asyncio
import inspect
import linecache
import shutil

import pytest

import wslab
from tests.learn.rig import cells, solution
from tests.redis_server import need
from wslab.learn import NotYet, check, hint, predict
from wslab.learn.lessons import lesson_15
from wslab.learn.lessons.lesson_15 import ONCE

LESSON = "15_many_machines"


@pytest.fixture(autouse=True)
def redis():
    need()
    yield
    assert not wslab.running()


@pytest.fixture
def impatient(monkeypatch):
    """Wait less long for what a wrong answer never brings."""
    monkeypatch.setattr(lesson_15, "WAIT_S", 3.0)


# A node gets the text of one function: each of these stands alone.


async def by_ranges(websocket, box):
    at = await websocket.recv()

    async def hear():
        nonlocal at
        while True:
            for number, entry in await box.xrange("chat", f"({at}"):
                at = number
                await websocket.send(f"{at} {entry['said']}")
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(hear())
        async for message in websocket:
            await box.eval(ONCE, 2, "chat", message.split()[0], message)
        hearing.cancel()


async def by_a_transaction(websocket, box):
    from redis.exceptions import WatchError

    at = await websocket.recv()

    async def hear():
        nonlocal at
        while True:
            for _, found in await box.xread({"chat": at}, block=500, count=1):
                for at, entry in found:
                    await websocket.send(at + " " + entry["said"])

    async def say(message):
        key = "known:" + message.partition(" ")[0]
        async with box.pipeline() as pipe:
            while True:
                try:
                    await pipe.watch(key)
                    if await pipe.exists(key):
                        return
                    pipe.multi()
                    pipe.set(key, 1)
                    pipe.xadd("chat", {"said": message})
                    await pipe.execute()
                    return
                except WatchError:
                    continue

    hearing = asyncio.ensure_future(hear())
    try:
        async for message in websocket:
            await say(message)
    finally:
        hearing.cancel()


async def by_a_registered_script(websocket, box):
    script = box.register_script(
        "if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then "
        "return redis.call('XADD', KEYS[2], '*', 'who', ARGV[1], 'text', ARGV[2]) end"
    )
    at = await websocket.recv()

    async def say():
        async for message in websocket:
            who, _, text = message.partition(" ")
            await script(keys=["known", "log"], args=[who, text])

    saying = asyncio.create_task(say())
    while not saying.done():
        for _, found in await box.xread({"log": at}, block=200):
            for at, entry in found:
                await websocket.send(f"{at} {entry['who']} {entry['text']}")


async def by_reading_all(websocket, box):
    last = await websocket.recv()

    def number(entry_id):
        return tuple(map(int, entry_id.split("-"))) if "-" in entry_id else (0, 0)

    async def hear():
        at, known = "0", set()
        while True:
            for _, found in await box.xread({"chat": at}, block=500):
                for at, entry in found:
                    is_new = entry["said"] not in known
                    known.add(entry["said"])
                    if is_new and number(at) > number(last):
                        await websocket.send(f"{at} {entry['said']}")

    hearing = asyncio.create_task(hear())
    async for message in websocket:
        await box.xadd("chat", {"said": message})
    hearing.cancel()


async def by_a_list(websocket, box):
    push = (
        "if redis.call('HSETNX', KEYS[1], ARGV[1], 1) == 1 then "
        "return redis.call('RPUSH', KEYS[2], ARGV[2]) end"
    )
    at = int((await websocket.recv()).split("-")[0])

    async def hear():
        nonlocal at
        while True:
            for said in await box.lrange("list", at, -1):
                at += 1
                await websocket.send(f"{at}-0 {said}")
            await asyncio.sleep(0.02)

    hearing = asyncio.create_task(hear())
    async for message in websocket:
        await box.eval(push, 2, "ids", "list", message.split()[0], message)
    hearing.cancel()


async def woken_by_pubsub(websocket, box):
    at = await websocket.recv()

    async def catch_up():
        nonlocal at
        for number, entry in await box.xrange("chat", f"({at}"):
            at = number
            await websocket.send(f"{at} {entry['said']}")

    async def hear():
        async with box.pubsub() as ear:
            await ear.subscribe("news")
            async for _ in ear.listen():  # the first says that it listens
                await catch_up()

    hearing = asyncio.create_task(hear())
    async for message in websocket:
        await box.eval(ONCE, 2, "chat", message.split()[0], message)
        await box.publish("news", "")
    hearing.cancel()


RIGHT = [by_ranges, by_a_transaction, by_a_registered_script, by_reading_all, by_a_list,
         woken_by_pubsub]  # fmt: skip


def test_the_solution_passes():
    verdict = check("15 once", solution(LESSON).node)
    assert verdict.passed is True, str(verdict)
    assert "two nodes were killed while ada spoke" in verdict.seen


@pytest.mark.parametrize("node", RIGHT, ids=[each.__name__ for each in RIGHT])
def test_other_right_ways_pass(node):
    verdict = check("15 once", node)
    assert verdict.passed is True, str(verdict)


# Wrong ones: mutants of the solution, and what the lesson is about.

SOLUTION = inspect.getsource(solution(LESSON).node)
ADD = 'await box.eval(ONCE, 2, "chat", "said:" + message.split()[0], message)'
XADD = 'await box.xadd("chat", {"said": message})'
SEND = "await websocket.send(f\"{at} {entry['said']}\")"


def function_of(text, name="node"):
    """Return a function of a text, whose source Python knows as a notebook's kernel does."""
    namespace = {"asyncio": asyncio, "ONCE": ONCE, "NotYet": NotYet}
    run_cell(text, namespace)
    return namespace[name]


def run_cell(text, namespace):
    """Run a cell's text, which Python knows then as a notebook's kernel does."""
    file = f"<cell {hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), namespace)


def mutant(*changes):
    text = SOLUTION
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return function_of(text)


PUBSUB = """
async def node(websocket, box):
    await websocket.recv()

    async def hear():
        number = 0
        async with box.pubsub() as ear:
            await ear.subscribe("chat")
            async for said in ear.listen():
                if said["type"] == "message":
                    number += 1
                    await websocket.send(f"{number}-0 {said['data']}")

    hearing = asyncio.create_task(hear())
    async for message in websocket:
        await box.publish("chat", message)
"""
ALONE = """
async def node(websocket, box):
    await websocket.recv()
    async for message in websocket:
        await websocket.send(f"1-0 {message}")
"""

WRONG = {
    "from now on": (
        [("at = last", 'at = "$"')], "message", "is missing", "the last entry"),
    "never moves on": (
        [("for at, entry", "for number, entry"), ('f"{at} ', 'f"{number} ')],
        "each message once", "twice", ""),
    "from the beginning": (
        [("at = last", 'at = "0"')], "each message once", "twice", ""),
    "adds it again": (
        [(ADD, XADD)], "each message once", "twice", "`ONCE`"),
    "notes it, then adds it": (
        [(ADD, 'if await box.set("said:" + message.split()[0], "", nx=True): ' + XADD)],
        "had told Redis SET of it", "is missing", "between two commands"),
    "adds it, then notes it": (
        [(ADD, 'key = "said:" + message.split()[0]\n        if not await box.exists(key):\n'
               f"            {XADD}\n            await box.set(key, 1)")],
        "each message once", "twice", "one step"),
    "remembers in its own memory": (
        [(ADD, "known = node.__dict__.setdefault('known', set())\n"
               "        if message not in known:\n"
               f"            known.add(message)\n            {XADD}")],
        "each message once", "twice", "`ONCE`"),
    "leaves out what this connection has had": (
        [(ADD, XADD), ("at = last", "at, known = last, set()"),
         (SEND, "if entry['said'] not in known: known.add(entry['said']); " + SEND)],
        "each message once", "twice", "`ONCE`"),
    "a key for all": (
        [('"said:" + message.split()[0]', '"said"')], "all", "is missing", ""),
    "without the id": (
        [('f"{at} ', 'f"')], "an entry's id", "", "the id of the entry"),
    "as bytes": (
        [("entry['said']}\")", "entry['said']}\".encode())")], "an entry's id", "b'", ""),
    "a forgotten await": (
        [("await box.eval", "box.eval")], "all", "is missing", ""),
    "a return": (
        [("    hearing.cancel()", "        return")], "all", "has ended", ""),
    "an error": (
        [('"said:" + message.split()[0]', '"said:" + message.id')],
        "all", "your code raised AttributeError", "fix what your code raised"),
}  # fmt: skip


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_answers_are_told_apart(case):
    changes, expected, seen, tip = WRONG[case]
    verdict = check("15 once", mutant(*changes))
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected, str(verdict)
    assert seen in verdict.seen, str(verdict)
    assert tip in verdict.hint, str(verdict)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("text", "when"), [(PUBSUB, ""), (ALONE, "has said something")])
def test_what_keeps_nothing_is_told_apart(text, when):
    verdict = check("15 once", function_of(text))
    assert verdict.passed is False, str(verdict)
    assert when in verdict.expected, str(verdict)
    assert "is missing" in verdict.seen, str(verdict)


def plain(websocket, box):
    return None


@pytest.mark.usefixtures("impatient")
def test_a_plain_function_is_told_so():
    verdict = check("15 once", plain)
    assert verdict.passed is False
    assert "TypeError" in verdict.seen, str(verdict)


@pytest.mark.parametrize("thing", ["node", 7, lambda websocket, box: None, len])
def test_what_has_no_text_is_told_so(thing):
    verdict = check("15 once", thing)
    assert verdict.passed is False
    assert verdict.expected.startswith("`async def node(websocket, box)`")


# Stubs.


def test_the_stub_in_the_notebook_is_not_yet():
    assert check("15 once", function_of(cells(LESSON)["exercise-node"])).passed is None
    assert check("15 once", ...).passed is None


def test_a_not_yet_that_is_left_over_is_not_yet():
    assert check("15 once", mutant((ADD, "raise NotYet"))).passed is None


def test_without_a_redis_server_it_says_how_to_get_one(monkeypatch):
    def need_redis():
        raise RuntimeError("none")

    monkeypatch.setattr(lesson_15, "need_redis", need_redis)
    verdict = check("15 once", solution(LESSON).node)
    assert verdict.passed is False
    assert "apt install redis-server" in verdict.hint


# More: Redis restarts.


@pytest.mark.parametrize(
    ("keeps_data", "said", "because"),
    [
        (True, "yes, when Redis is back", "is bounded"),
        (False, "no, and she is told so", "came back without its data"),  # as the stand-in does
    ],
)
def test_what_a_restart_is_said_to_do_is_what_it_does(monkeypatch, keeps_data, said, because):
    source, lesson = cells(LESSON), {"predict": predict}
    say = source["hears"].partition("heard.clear()")[0]
    for cell in (source["setup"], source["come"], say, source["whole"]):
        run_cell(cell, lesson)
    store = lesson["store"] = lesson["start_redis"]()
    start = store.start

    def start_again():
        if not keeps_data:
            shutil.rmtree(store.folder / "appendonlydir")
        start()

    monkeypatch.setattr(store, "start", start_again)
    for name in ("restart-predict", "restart", "restart-compare"):
        run_cell(source[name], lesson)
    assert lesson["restart"].actual == said
    assert because in lesson["restart"].because
    lesson["restart"].close()
    wslab.shutdown()


def test_hints_end_with_the_solution():
    assert "solutions/15_many_machines.py" in repr(hint("15 once", 3))
