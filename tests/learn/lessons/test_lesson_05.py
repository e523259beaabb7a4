"""Lesson 05's check: its solution, other right ways, the stub, and plausible wrong ones; and the
lesson run twice in one kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import re
import time
import uuid

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

import wslab
from tests.kernels import Kernel, lost
from tests.learn.lessons import life_figure
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, check, left_open
from wslab.learn.lessons import lesson_05

LESSON = "05_client_ids"


def test_the_solution_passes_every_time():
    module = solution("05_client_ids")
    for _ in range(6):
        verdict = check("05 private", module.private, module.clients)
        assert verdict, str(verdict)
        assert verdict.took_s < 20
        assert "the registry is empty again after" in verdict.seen
    assert module.clients == {}
    left = left_open()
    assert (left.connections, left.servers) == (0, 0)


def test_the_stub_in_the_notebook_is_not_yet():
    namespace = {"NotYet": NotYet}
    exec(cells(LESSON)["exercise-private"], namespace)
    verdict = check("05 private", namespace["private"], namespace["clients"])
    assert verdict.passed is None
    assert verdict.took_s < 20


# --- right ways ---------------------------------------------------------------------------------


async def whisper(clients, id, message):
    to, _, text = message.partition(" ")
    if to in clients:
        with contextlib.suppress(ConnectionClosed):
            await clients[to].send(f"{id} {text}")


def by_number():
    clients, numbers = {}, itertools.count(1)

    async def private(websocket):
        id = str(next(numbers))
        await websocket.send(id)
        try:
            clients[id] = websocket
            while True:
                await whisper(clients, id, await websocket.recv())
        except ConnectionClosed:
            pass
        finally:
            clients.pop(id, None)

    return private, clients


class ByClass:
    """A list as the registry, an id in full, and pieces sent in fragments."""

    def __init__(self):
        self.guests = []

    async def __call__(self, websocket):
        guest = (str(uuid.uuid4()), websocket)
        self.guests.append(guest)
        try:
            await websocket.send(guest[0])
            async for message in websocket:
                to, text = message.split(" ", 1)
                for id, other in self.guests:
                    if id == to:
                        with contextlib.suppress(ConnectionClosed):
                            await other.send([guest[0], " ", text])
        finally:
            self.guests.remove(guest)


def by_class():
    handler = ByClass()
    return handler, handler.guests


def by_context():
    """Clean up in a context manager, and hand over through a set of connections."""
    clients: set = set()

    @contextlib.contextmanager
    def entered(websocket):
        clients.add(websocket)
        try:
            yield
        finally:
            clients.discard(websocket)

    async def private(websocket, registry):
        with entered(websocket):
            await websocket.send(str(websocket.id))
            async for message in websocket:
                to, _, text = message.partition(" ")
                meant = [one for one in registry if str(one.id) == to]
                websockets.broadcast(meant, f"{websocket.id} {text}")

    return functools.partial(private, registry=clients), clients


def by_callback():
    clients: dict = {}

    async def private(websocket):
        clients[websocket.id.hex] = websocket
        websocket.connection_lost_waiter.add_done_callback(
            lambda _: clients.pop(websocket.id.hex, None)
        )
        await websocket.send(websocket.id.hex)
        async for message in websocket:
            await whisper(clients, websocket.id.hex, message)

    return private, clients


def with_queues():
    """A queue and a task for each client, so that nobody waits for a slow one; and a notice."""
    clients: dict = {}

    async def private(websocket):
        id, queue = websocket.id.hex[:8], asyncio.Queue()
        await websocket.send(id)
        await websocket.send(f"there are {len(clients)} others")
        clients[id] = queue

        async def deliver():
            while True:
                await websocket.send(await queue.get())

        task = asyncio.create_task(deliver())
        try:
            async for message in websocket:
                to, _, text = message.partition(" ")
                if to in clients:
                    clients[to].put_nowait(f"{id} {text}")
        finally:
            task.cancel()
            del clients[id]

    return private, clients


def by_state():
    """Look whether the connection is open, instead of expecting that it is not."""
    clients: dict = {}

    async def private(websocket):
        clients[websocket.id.hex] = websocket
        try:
            await websocket.send(websocket.id.hex)
            async for message in websocket:
                to, _, text = message.partition(" ")
                target = clients.get(to)
                if target is not None and target.state is websockets.State.OPEN:
                    await target.send(f"{websocket.id.hex} {text}")
        finally:
            del clients[websocket.id.hex]

    return private, clients


def by_wait_closed():
    """A task for each connection forgets it when it has closed, whatever its handler does."""
    clients: dict = {}

    async def forget(websocket):
        await websocket.wait_closed()
        clients.pop(str(websocket.id), None)

    async def private(websocket):
        clients[str(websocket.id)] = websocket
        task = asyncio.create_task(forget(websocket))
        await websocket.send(str(websocket.id))
        async for message in websocket:
            await whisper(clients, str(websocket.id), message)
        await task

    return private, clients


RIGHT = [by_number, by_class, by_context, by_callback, with_queues, by_state, by_wait_closed]


@pytest.mark.parametrize("make", RIGHT)
def test_other_right_ways_pass(make):
    for _ in range(2):
        verdict = check("05 private", *make())
        assert verdict, str(verdict)


def test_it_passes_beside_clients_of_the_learners_own():
    module = solution("05_client_ids")
    own = wslab.connect(wslab.serve(module.private), name="own")
    id = own.recv(timeout=2)
    verdict = check("05 private", module.private, module.clients)
    assert verdict, str(verdict)
    assert "the registry is as long as before, 1 entry" in verdict.seen
    assert list(module.clients) == [id]
    assert own.received == (id,)


# --- plausible wrong ones -----------------------------------------------------------------------


def make(
    *,
    enter=True,
    clean="finally",
    ids=None,
    first=lambda id: id,
    deliver=None,
    address="{id} {text}",
    looks=True,
    suppress=True,
):
    """Return a handler and its registry, right but for what is asked for otherwise."""
    clients: dict = {}
    next_id = ids(clients) if ids else lambda websocket: websocket.id.hex[:12]

    async def one(id, websocket, message):
        to, _, text = message.partition(" ")
        said = address.format(id=id, to=to, text=text)
        if deliver is not None:
            with contextlib.suppress(ConnectionClosed):
                await deliver(clients, websocket, to, said)
        elif to in clients or not looks:
            with contextlib.suppress(*([ConnectionClosed] if suppress else [])):
                await clients[to].send(said)

    async def private(websocket):
        id = next_id(websocket)
        if enter:
            clients[id] = websocket
        try:
            await websocket.send(first(id))
            async for message in websocket:
                await one(id, websocket, message)
            if clean == "after the loop":
                del clients[id]
        except ConnectionClosedOK:
            if clean == "on 1000":
                del clients[id]
        except ConnectionClosed:
            if clean == "on closed":
                del clients[id]
            raise
        else:
            if clean in ("on 1000", "on closed"):
                del clients[id]
        finally:
            if clean == "finally" and enter:
                del clients[id]

    return private, clients


async def to_all(clients, websocket, to, said):
    for client in clients.values():
        await client.send(said)


async def to_all_others(clients, websocket, to, said):
    for client in clients.values():
        if client is not websocket:
            await client.send(said)


async def back_as_well(clients, websocket, to, said):
    if to in clients:
        await clients[to].send(said)
        await websocket.send(f"sent: {said}")


async def back_only(clients, websocket, to, said):
    await websocket.send(said)


async def twice(clients, websocket, to, said):
    if to in clients:
        await clients[to].send(said)
        await clients[to].send(said)


async def in_bytes(clients, websocket, to, said):
    if to in clients:
        await clients[to].send(said.encode())


async def comes_back(clients, websocket, to, said):
    """Answer the sender where the other one is not there."""
    target = clients.get(to, websocket)
    await target.send(said)


async def to_nobody(clients, websocket, to, said):
    pass


async def to_somebody(clients, websocket, to, said):
    """Where nobody has the id, to the first who is there."""
    target = clients.get(to) or next(iter(clients.values()))
    await target.send(said)


async def forgot_await(clients, websocket, to, said):
    if to in clients:
        clients[to].send(said)


def blocking():
    held: list = []

    async def blocks(clients, websocket, to, said):
        end_s = time.monotonic() + 4
        while not held and time.monotonic() < end_s:
            pass
        held.append(True)  # once: what waits behind it must not keep the test's end waiting

    return make(deliver=blocks)


def by_length(clients):
    return lambda websocket: str(len(clients) + 1)


def by_address(clients):
    return lambda websocket: websocket.remote_address[0]


def by_id_of_object(clients):
    slots: list = []

    def next_id(websocket):  # as id(websocket) may be: free again when one has gone
        slot = next((i for i, one in enumerate(slots) if one not in clients.values()), len(slots))
        slots[slot : slot + 1] = [websocket]
        return f"at-{slot}"

    return next_id


async def joins_words(clients, websocket, to, said):
    if to in clients:
        await clients[to].send(" ".join(said.split()))


async def as_the_lesson_cell_did(clients, websocket, to, said):
    if to in clients:
        wslab.run(clients[to].send, said)


def silent():
    clients: dict = {}

    async def private(websocket):
        clients[websocket.id.hex] = websocket
        try:
            async for message in websocket:
                await whisper(clients, websocket.id.hex, message)
        finally:
            del clients[websocket.id.hex]

    return private, clients


def one_message_only():
    clients: dict = {}

    async def private(websocket):
        clients[websocket.id.hex] = websocket
        try:
            await websocket.send(websocket.id.hex)
            await whisper(clients, websocket.id.hex, await websocket.recv())
        finally:
            del clients[websocket.id.hex]

    return private, clients


def suppresses_around_the_loop():
    clients: dict = {}

    async def private(websocket):
        id = websocket.id.hex
        clients[id] = websocket
        try:
            await websocket.send(id)
            with contextlib.suppress(ConnectionClosed):
                async for message in websocket:
                    to, _, text = message.partition(" ")
                    if to in clients:
                        await clients[to].send(f"{id} {text}")
        finally:
            del clients[id]

    return private, clients


def returns_after_one():
    clients: dict = {}

    async def private(websocket):
        id = websocket.id.hex
        clients[id] = websocket
        try:
            await websocket.send(id)
            async for message in websocket:
                to, _, text = message.partition(" ")
                if to in clients:
                    return await clients[to].send(f"{id} {text}")
        finally:
            del clients[id]

    return private, clients


def enters_too_late():
    """Only after the first message, so nobody can whisper to one who has said nothing yet."""
    clients: dict = {}

    async def private(websocket):
        id = websocket.id.hex
        await websocket.send(id)
        try:
            async for message in websocket:
                clients[id] = websocket
                await whisper(clients, id, message)
        finally:
            clients.pop(id, None)

    return private, clients


def not_taken_out():
    clients: dict = {}

    async def private(websocket):
        clients[websocket.id.hex] = websocket
        await websocket.send(websocket.id.hex)
        async for message in websocket:
            await whisper(clients, websocket.id.hex, message)
            raise NotYet  # still there

    return private, clients


def another_registry():
    return make()[0], {}


FORGET, GOES_ON = "stands in a `finally`", "what ended it?"
WRONG = {
    "cleans after the loop": (
        {"clean": "after the loop"},
        "entries after 1 s; the wire of",
        FORGET,
    ),
    "cleans on 1000 only": ({"clean": "on 1000"}, "(1006)", FORGET),
    "cleans on ConnectionClosed only": ({"clean": "on closed"}, "raised TypeError", FORGET),
    "never cleans": ({"clean": "never"}, "close 1000", FORGET),
    "never enters": ({"enter": False}, "0 entries", "enter a client"),
    "to all": ({"deliver": to_all}, ", who ", "send to one connection"),
    "to all others": ({"deliver": to_all_others}, "not meant", "send to one connection"),
    "a receipt with the text": ({"deliver": back_as_well}, "who sent it", "to one connection"),
    "an echo": ({"deliver": back_only}, "who sent it", "to one connection"),
    "twice": ({"deliver": twice}, ", 2 times", "one message for one message"),
    "in bytes": ({"deliver": in_bytes}, "binary", "send a str"),
    "to nobody": ({"deliver": to_nobody}, "no such message within", "`<id of the sender> <text>`"),
    "to somebody": ({"deliver": to_somebody}, ", who ", "send to one connection"),
    "forgot await": ({"deliver": forgot_await}, "no such message within", "without `await`"),
    "blocks": (blocking, "the handler holds its event loop: blocks()", ""),
    "without the sender": ({"address": "{text}"}, "frame", "`<id of the sender> <text>`"),
    "the target's id": ({"address": "{to} {text}"}, "frame", "`<id of the sender> <text>`"),
    "a KeyError for who has gone": ({"looks": False}, "raised KeyError", "look before you send"),
    "a sentence for an id": ({"first": lambda id: f"you are {id}"}, "'you are ", "just the id"),
    "an id in bytes": ({"first": lambda id: id.encode()}, "b'", "send a str"),
    "ids by length": ({"ids": by_length}, "'", "never the same twice"),
    "ids by address": ({"ids": by_address}, "'127.0.0.1', which client 1 has", "never the same"),
    "ids used again": ({"ids": by_id_of_object}, "'at-", "never the same twice"),
    "no first message": (silent, "no message within 1 s", "before you wait for anything"),
    "one message only": (one_message_only, "close 1000", GOES_ON),
    "no suppress": ({"suppress": False}, "raised ConnectionClosedError", "ended a moment ago"),
    "suppress around the loop": (
        suppresses_around_the_loop,
        "its own connection was closed; on the wire",
        "ended a moment ago",
    ),
    "back to the sender": ({"deliver": comes_back}, "who sent it", "to one connection"),
    "returns after one": (returns_after_one, "close 1000", GOES_ON),
    "enters too late": (enters_too_late, "0 entries", "enter a client once, when"),
    "UUIDs for keys": (
        {"ids": lambda _: lambda websocket: websocket.id, "first": str},
        "no such message within",
        "such as the UUID '",
    ),
    "told half of the key": (
        {"first": lambda id: id[:6]},
        "no such message within",
        "the very str that you send it",
    ),
    "words joined again": ({"deliver": joins_words}, "frame", "the text as it is"),
    "wslab.run": ({"deliver": as_the_lesson_cell_did}, "raised WrongThread", "raised first"),
    "another registry": (another_registry, "0 entries", "that you give to check()"),
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("wrong", WRONG)
def test_plausible_wrong_ones_are_refused(wrong, monkeypatch):
    monkeypatch.setattr(lesson_05, "WAIT_S", 1.0)
    how, seen, hint = WRONG[wrong]
    verdict = check("05 private", *(how() if callable(how) else make(**how)))
    assert verdict.passed is False
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict
    assert verdict.took_s < 48
    assert left_open().connections == 0


def test_a_not_yet_that_is_left_over_is_not_yet():
    verdict = check("05 private", *not_taken_out())
    assert verdict.passed is None
    assert "take `raise NotYet` out" in str(verdict)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"enter": False}, r"\d entries in the registry when \d clients have connected"),
        (
            {"clean": "after the loop"},
            r"\d entries in the registry when TCP has been cut for (1 client|\d clients), with no "
            "close frame",
        ),
    ],
)
def test_what_the_registry_is_counted_after_is_a_sentence(how, expected):
    assert re.fullmatch(expected, check("05 private", *make(**how)).expected)


def test_a_miss_names_the_wire_the_frame_and_the_time():
    verdict = check("05 private", *make(deliver=to_all))
    assert " on the wire of client " in verdict.expected
    assert verdict.expected.endswith(" and on no other")
    assert "frame " in verdict.seen
    assert " from the server at " in verdict.seen
    assert " ms, " in verdict.seen


def test_what_is_no_handler_or_no_registry_is_refused():
    private, clients = make()
    for things in ((private,), (private, 42), (42, clients)):
        verdict = check("05 private", *things)
        assert verdict.passed is False
        assert verdict.expected.startswith(("the handler and its registry", "`async def handler"))


def test_what_the_handler_raised_is_shown():
    async def private(websocket):
        await websocket.send(no_such_name)  # noqa: F821

    verdict = check("05 private", private, {})
    assert verdict.passed is False
    assert "Your handler raised NameError" in verdict.seen
    assert "no_such_name" in verdict.details


# --- the lesson in one kernel: twice, and out of order ------------------------------------------


@pytest.mark.kernel
def test_it_runs_again_in_the_same_kernel():
    sources = cells(LESSON)
    with Kernel(cwd=COURSE) as kernel:
        for _ in range(2):
            ran = kernel.run_all(list(sources.values()), cell_ids=list(sources), timeout=120)
            assert lost(ran) == []
            assert [cell.error for cell in ran if cell.error] == []
            by_id = {id: cell.text for id, cell in zip(sources, ran, strict=True)}
            assert "the wire says  dan, erin" in by_id["ghost-compare"]
            assert re.search("carol +--> enter +close 1000, 8 B +<== chosen", by_id["ghost-wire"])
            assert by_id["fixed-run"] == "here: ['erin']\n"
            assert "the wire says  another one" in by_id["again-compare"]
            assert "you have told me ['I am Erin']" in by_id["session-run"]
            assert "fay: psst" in by_id["who-is-here"]
            assert "the wire says  all that Erin has said" in by_id["transfer-compare"]
            assert "erin is OPEN" in by_id["transfer-run"]
            assert "the wire says  yes, and her name is still known" in by_id["away-compare"]
            assert by_id["the-end"] == "open connections: 0, servers: 0, tasks: 0"
        kernel.shutdown()


@pytest.mark.kernel
def test_the_two_ends_have_an_id_each_and_it_says_which_is_which():
    sources = cells(LESSON)
    ids = ["recall", "setup", "first-look"]
    with Kernel(cwd=COURSE) as kernel:
        ran = kernel.run_all([sources[id] for id in ids], cell_ids=ids, timeout=60)
        said = re.findall(r"connection (\w{6}), .*\n.* the id (\w{6})", ran[-1].text)
        assert len({one for pair in said for one in pair}) == 4
        known = kernel.check("[one.id for one in server.connections]")
        assert known == str([pair[0] for pair in said])


@pytest.mark.kernel
def test_its_cells_run_again_say_the_same():
    sources = cells(LESSON)
    once = [id for id in sources if id != "the-end"]
    order = [*once, "away-run", "away-compare", "transfer-run", "transfer-compare", "again-run"]
    order += ["again-compare", "session-run", "who-is-here", "registry", "ghost-run"]
    order += ["ghost-compare"]
    with Kernel(cwd=COURSE) as kernel:
        ran = kernel.run_all([sources[id] for id in order], cell_ids=order, timeout=120)
        again = dict(zip(order[len(once) :], ran[len(once) :], strict=True))
        assert "the wire says  yes, and her name is still known" in again["away-compare"].text
        assert "the wire says  all that Erin has said" in again["transfer-compare"].text
        assert "the wire says  another one" in again["again-compare"].text
        assert "fay: psst" in again["who-is-here"].text
        assert "the wire says  nobody: this registry is a new one" in again["ghost-compare"].text
        assert [cell.error for cell in ran if cell.error] == []
        kernel.shutdown()


def test_the_figure_of_a_clients_life_is_drawn_from_the_table():
    assert life_figure.FIGURE.read_text("utf-8") == life_figure.figure()
