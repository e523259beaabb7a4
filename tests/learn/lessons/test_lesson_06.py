"""Lesson 06's check: its solution, other right ways, the stub, and plausible wrong ones."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import weakref
from collections import defaultdict

import pytest
from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed

from tests.kernels import Kernel, lost
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, check, left_open
from wslab.learn.lessons import lesson_06

LESSON = "06_rooms"


@pytest.fixture
def impatient(monkeypatch):
    """What a wrong one does not send, it does not send later either."""
    monkeypatch.setattr(lesson_06, "WAIT_S", 1.0)


def hall(
    emit=lambda rooms, room, websocket, text: broadcast(rooms[room] - {websocket}, text),
    *,
    rooms=None,
    join=set.add,
    leave=set.discard,
    gone=lambda rooms, websocket: [members.discard(websocket) for members in rooms.values()],
    answer="ok",
):
    """Make a handler; each wrong one differs from the solution in one thing."""
    rooms = defaultdict(set) if rooms is None else rooms

    async def handler(websocket):
        try:
            async for message in websocket:
                word, room, *text = message.split(" ", 2)
                if word == "join":
                    join(rooms[room], websocket)
                elif word == "leave":
                    leave(rooms[room], websocket)
                else:
                    waiting = emit(rooms, room, websocket, text[0])
                    if waiting is not None:
                        await waiting
                if answer is not None:
                    await websocket.send(answer)
        finally:
            gone(rooms, websocket)

    return handler


def test_the_solution_passes_again_and_again():
    right = solution("06_rooms")
    for _ in range(4):
        verdict = check("06 rooms", right.hall)
        assert verdict, str(verdict)
        assert "each on the wire of a member and on no other's" in verdict.seen
        assert not any(right.rooms.values())
    left = left_open()
    assert (left.connections, left.servers) == (0, 0)


def test_the_stub_in_the_notebook_is_not_yet():
    namespace: dict[str, object] = {}
    exec(cells(LESSON)["exercise-hall"], namespace)
    assert check("06 rooms", namespace["hall"]).passed is None


async def raises_not_yet(websocket):
    async for _ in websocket:
        raise NotYet


def test_a_handler_that_raises_not_yet_is_not_yet():
    assert check("06 rooms", raises_not_yet).passed is None


# --- other right ways ---------------------------------------------------------------------------


def own_queue():
    """A queue and a task for each connection; a member that is too far behind loses texts."""
    rooms: dict[str, list[asyncio.Queue]] = {}

    async def write(websocket, queue):
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                await websocket.send(await queue.get())

    async def handler(websocket):
        queue: asyncio.Queue = asyncio.Queue(200)
        writer = asyncio.create_task(write(websocket, queue))
        mine = set()
        try:
            while True:
                word, _, rest = (await websocket.recv()).partition(" ")
                if word == "join" and rest not in mine:
                    mine.add(rest)
                    rooms.setdefault(rest, []).append(queue)
                elif word == "leave" and rest in mine:
                    mine.remove(rest)
                    rooms[rest].remove(queue)
                elif word == "emit":
                    room, text = rest.split(" ", 1)
                    for member in rooms.get(room, []):
                        if member is not queue and not member.full():
                            member.put_nowait(text)
                await queue.put("ok")
        finally:
            writer.cancel()
            for room in mine:
                rooms[room].remove(queue)

    return handler


class TaskForEach:
    """Start each send as a task, and let go of whoever cannot be reached."""

    def __init__(self):
        self.of = defaultdict(dict)  # connection -> its rooms, in a dict's keys
        self.tasks = set()

    async def send(self, websocket, text):
        with contextlib.suppress(ConnectionClosed, OSError):  # the latter while it waits for room
            await websocket.send(text)

    async def __call__(self, websocket):
        self.of[websocket] = {}
        with contextlib.suppress(ConnectionClosed):
            async for message in websocket:
                word, room, *text = message.split(" ", 2)
                if word == "join":
                    self.of[websocket][room] = True
                elif word == "leave":
                    self.of[websocket].pop(room, None)
                else:
                    for member, rooms in list(self.of.items()):
                        if room in rooms and member is not websocket:
                            task = asyncio.create_task(self.send(member, text[0]))
                            self.tasks.add(task)
                            task.add_done_callback(self.tasks.discard)
                await websocket.send("ok")
        del self.of[websocket]


def parts_with_the_slow(rooms, room, websocket, text):
    """Break off whoever has more than a little to read."""
    members = rooms[room] - {websocket}
    for member in members:
        if member.transport.get_write_buffer_size() > 500_000:
            member.transport.abort()
    broadcast(members, text)


def with_except():
    """Clean up in an except, as lesson 05 does not."""
    rooms = defaultdict(set)

    async def handler(websocket):
        while True:
            try:
                command = await websocket.recv()
                await answer(websocket, command)
            except ConnectionClosed:
                for members in rooms.values():
                    members.discard(websocket)
                return

    async def answer(websocket, command):
        match command.split(" ", 2):
            case ["join", room]:
                rooms[room].add(websocket)
            case ["leave", room]:
                rooms[room] -= {websocket}
            case ["emit", room, text]:
                broadcast(rooms[room].difference([websocket]), text)
        await websocket.send("ok")

    return handler


def weakly():
    """Sets that hold nobody: whoever has gone is in none of them."""
    return hall(
        lambda rooms, room, websocket, text: broadcast(set(rooms[room]) - {websocket}, text),
        rooms=defaultdict(weakref.WeakSet),
        join=lambda members, websocket: members.add(websocket),
        leave=lambda members, websocket: members.discard(websocket),
        gone=nothing,
    )


def nothing(rooms, websocket):
    pass


RIGHT = {
    "queues": own_queue,
    "tasks": TaskForEach,
    "parts with the slow": lambda: hall(parts_with_the_slow),
    "partial": lambda: functools.partial(lambda handler, websocket: handler(websocket), hall()),
    "except": with_except,
    "weak sets": weakly,
}


@pytest.mark.parametrize("right", [make() for make in RIGHT.values()], ids=list(RIGHT))
def test_other_right_ways_pass(right):
    for _ in range(3):
        verdict = check("06 rooms", right)
        assert verdict, str(verdict)


# --- plausible wrong ones -----------------------------------------------------------------------


def to_everybody(rooms, room, websocket, text):
    broadcast(set().union(*rooms.values()) - {websocket}, text)


def sender_too(rooms, room, websocket, text):
    broadcast(rooms[room], text)


async def waits(rooms, room, websocket, text):
    for member in rooms[room]:
        if member is not websocket:
            await member.send(text)


async def waits_on_a_copy(rooms, room, websocket, text):
    for member in rooms[room] - {websocket}:
        with contextlib.suppress(ConnectionClosed):
            await member.send(text)


async def gathers(rooms, room, websocket, text):
    others = rooms[room] - {websocket}
    await asyncio.gather(*(member.send(text) for member in others), return_exceptions=True)


tasks = set()


async def waits_a_moment(rooms, room, websocket, text):
    for member in rooms[room] - {websocket}:
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(0.05):
                await member.send(text)


def one_task_for_all(rooms, room, websocket, text):
    """The sender does not wait; but one slow member still holds up those behind it."""
    task = asyncio.create_task(waits_on_a_copy(rooms, room, websocket, text))
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def with_the_room(rooms, room, websocket, text):
    broadcast(rooms[room] - {websocket}, f"{room} {text}")


def first_word_only(rooms, room, websocket, text):
    broadcast(rooms[room] - {websocket}, text.split()[0])


def only_from_inside(rooms, room, websocket, text):
    if websocket in rooms[room]:
        broadcast(rooms[room] - {websocket}, text)


def only_existing(rooms, room, websocket, text):
    broadcast(dict(rooms)[room] - {websocket}, text)


def forgets_to_send(rooms, room, websocket, text):
    pass


def one_room_at_a_time():
    """Join takes the member out of the room where it was."""
    room_of = {}

    async def handler(websocket):
        try:
            async for message in websocket:
                word, room, *text = message.split(" ", 2)
                if word == "join":
                    room_of[websocket] = room
                elif word == "leave":
                    room_of.pop(websocket, None)
                else:
                    others = [m for m, r in room_of.items() if r == room and m is not websocket]
                    broadcast(others, text[0])
                await websocket.send("ok")
        finally:
            room_of.pop(websocket, None)

    return handler


def in_lists():
    """A list holds who joins twice twice."""
    rooms = defaultdict(list)

    def leave(members, websocket):
        if websocket in members:
            members.remove(websocket)

    def emit(rooms, room, websocket, text):
        broadcast([m for m in rooms[room] if m is not websocket], text)

    def gone(rooms, websocket):
        for room in rooms:
            leave(rooms[room], websocket)

    return hall(emit, rooms=rooms, join=list.append, leave=leave, gone=gone)


def strictly(rooms, websocket):
    for members in rooms.values():
        members.remove(websocket)


async def returns_after_one(websocket):
    await websocket.recv()
    await websocket.send("ok")


async def rooms_of_its_own(websocket):
    await hall()(websocket)


async def awaits_broadcast(rooms, room, websocket, text):
    await broadcast(rooms[room] - {websocket}, text)


def below_the_loop():
    """The lesson's own bug: no finally, so that whoever breaks off stays in every room."""
    rooms = defaultdict(set)

    async def handler(websocket):
        async for message in websocket:
            word, room, *text = message.split(" ", 2)
            if word == "join":
                rooms[room].add(websocket)
            elif word == "leave":
                rooms[room].discard(websocket)
            else:
                broadcast(rooms[room] - {websocket}, text[0])
            await websocket.send("ok")
        for members in rooms.values():
            members.discard(websocket)

    return handler


def only_the_last_room():
    """The finally takes it out of one room, the last one that was named."""
    rooms = defaultdict(set)

    async def handler(websocket):
        room = ""
        try:
            async for message in websocket:
                word, room, *text = message.split(" ", 2)
                if word == "join":
                    rooms[room].add(websocket)
                elif word == "leave":
                    rooms[room].discard(websocket)
                else:
                    broadcast(rooms[room] - {websocket}, text[0])
                await websocket.send("ok")
        finally:
            rooms[room].discard(websocket)

    return handler


def as_bytes(rooms, room, websocket, text):
    broadcast(rooms[room] - {websocket}, text.encode())


def forgets_await():
    """Nobody sends what nobody awaits."""

    async def handler(websocket):
        async for _ in websocket:
            websocket.send("ok")

    return handler


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("wrong", "expected", "seen", "hint"),
    [
        (hall(to_everybody), "exactly: ben", "on cat's wire, who is not in that room", "in the"),
        (hall(sender_too), "which ann emits to ", "on ann's wire, who said it", "sender out"),
        (hall(waits), "'ok' on ann's wire", "no message within", "does not read"),
        (hall(waits_on_a_copy), "'ok' on ann's wire", "no message within", "does not read"),
        (hall(gathers), "'ok' on ann's wire", "no message within", "does not read"),
        (
            hall(waits_a_moment),
            "on ann's wire at once",
            "nobody is in the room",
            "for a moment either",
        ),
        (hall(with_the_room), "exactly: ben", "'room-", "the text as it is"),
        (hall(first_word_only), "exactly: ben", "on ben's wire", "with all its words"),
        (hall(only_from_inside), "cat emits to ", "no message within", "in the room at"),
        (hall(only_existing), "'ok' on ann's wire", "KeyError", "raised first"),
        (hall(forgets_to_send), "exactly: ben", "no message within", "in the room at"),
        (one_room_at_a_time(), "on the wires of", "", "in the room at"),
        (in_lists(), "on the wires of", "twice", "once for each member"),
        (hall(leave=set.remove), "'ok' on ben's wire", "KeyError", "raised first"),
        (hall(leave=lambda members, websocket: None), "exactly: nobody", "on ben's wire", ""),
        (hall(gone=nothing), "leaves all rooms", "are still kept", "finally"),
        (below_the_loop(), "leaves all rooms", "are still kept", "below the loop does not run"),
        (only_the_last_room(), "leaves all rooms", "are still kept", "every room"),
        (hall(gone=strictly), "no error while members come and go", "KeyError", "break off"),
        (hall(answer=None), "'ok' on ann's wire", "no message within", "answer each command"),
        (hall(answer="done"), "'ok' on ann's wire", "'done' on ann's wire", ""),
        (hall(answer=b"ok"), "'ok' on ann's wire", "b'ok' on ann's wire", "send a str"),
        (hall(as_bytes), "exactly: ben", "on ben's wire", "a str"),
        (forgets_await(), "'ok' on ann's wire", "no message within", "without `await` in front"),
        (returns_after_one, "'ok' on ", "close 1000", "a handler that returns closes"),
        (rooms_of_its_own, "exactly: ben", "no message within", "share one dict of rooms"),
        (hall(awaits_broadcast), "'ok' on ann's wire", "TypeError", "takes no `await`"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_plausible_wrong_ones_are_refused(wrong, expected, seen, hint, impatient):
    verdict = check("06 rooms", wrong)
    assert verdict.passed is False
    assert expected in verdict.expected, verdict
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict
    assert verdict.took_s < 48


def test_a_slow_member_that_holds_up_others_behind_the_senders_back_is_noticed(
    impatient,
):
    # Who stands behind whom in a set is chance: it may take another try, and where nobody stands
    # behind the slow one, another part of the check may notice.
    verdicts = []
    while not verdicts or ("its wire is full" not in verdicts[-1].hint and len(verdicts) < 5):
        verdicts.append(check("06 rooms", hall(one_task_for_all)))
    assert verdicts[-1].passed is False
    assert "on the wires of exactly: " in verdicts[-1].expected
    assert "no message within" in verdicts[-1].seen
    assert "its wire is full" in verdicts[-1].hint


# --- cells run again, not all of them, in one kernel --------------------------------------------

AGAIN = (
    *("fixed-run", "who-run", "who-compare", "recall-run", "slow-run", "slow-compare", "frame-run"),
    *("both-run", "transfer-run", "both-run", "both-compare", "play", "transfer-run"),
    *("transfer-compare", "hub", "play", "both-run", "both-compare", "who-compare"),
)


@pytest.mark.kernel
def test_its_cells_run_again_say_the_same():
    sources = cells(LESSON)
    ids = list(sources)
    once = ids[: ids.index("the-end")]
    order = [*once, *AGAIN]
    with Kernel(cwd=COURSE) as kernel:
        ran = kernel.run_all([sources[id] for id in order], cell_ids=order, timeout=120)
        assert lost(ran) == []
        assert [cell.error for cell in ran if cell.error] == []
        says = {
            "who-run": "['alice', 'bob']",
            "who-compare": "the wire says  alice, bob",
            "recall-run": "set() is what the hall holds now",
            "recall-compare": "the wire says  what stands in a finally",
            "frame-run": "= the kettle is on\nframes with text on carol's wire: 0",
            "frame-compare": "the wire says  nowhere",
            "slow-compare": "the wire says  some of it, and from then on nothing",
            "fixed-run": "have both heard 200 messages of 200",
            "both-run": "1 on ben's wire",
            "both-compare": "the wire says  1\n",
            "transfer-run": "ana is in no room",
            "transfer-compare": "the wire says  no: she is in no room",
        }
        for id, cell in zip(order, ran, strict=True):
            assert says.get(id, "") in cell.text, (id, cell.text)
        kernel.shutdown()
