"""Lesson 11's checks: their solution, other right ways, the stubs, and plausible wrong ones."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import zlib

import pytest
from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed

from tests.kernels import Kernel, lost
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, check, left_open
from wslab.learn.lessons import lesson_11

LESSON = "11_pressure"
TAIL = b"\x00\x00\xff\xff"


@pytest.fixture
def impatient(monkeypatch):
    """What a wrong one does not send, it does not send later either."""
    monkeypatch.setattr(lesson_11, "WAIT_S", 0.6)


def test_the_solutions_pass_again_and_again():
    right = solution("11_pressure")
    for _ in range(2):  # its `last` is there already at the second time
        verdict = check("11 feed", right.feed, right.publish)
        assert verdict, str(verdict)
        assert "a third did not" in verdict.seen
        verdict = check("11 ratio", right.ratio)
        assert verdict, str(verdict)
        assert "three random connections" in verdict.seen
    assert right.queues == {}
    left = left_open()
    assert (left.connections, left.servers) == (0, 0)


def test_the_stubs_in_the_notebook_are_not_yet():
    namespace: dict[str, object] = {"NotYet": NotYet, "display": print}
    exec(cells(LESSON)["exercise-feed"], namespace)
    assert check("11 feed", namespace["feed"], namespace["publish"]).passed is None
    exec(cells(LESSON)["exercise-ratio"].partition("display")[0], namespace)
    assert check("11 ratio", namespace["ratio"]).passed is None


# --- the feed: right ways ------------------------------------------------------------------------


def queues(
    *,
    size=8,
    first=lambda queue, last: [queue.put_nowait(value) for value in last],
    put=None,
    send=None,
    publishes=True,
    forgets=True,
    made=asyncio.Queue,
):
    """Make a feed and its publish; each wrong one differs from the solution in one thing."""
    last: list[str] = []
    kept: dict[object, asyncio.Queue] = {}

    async def feed(websocket):
        queue = made(size)
        first(queue, last)
        kept[websocket] = queue
        try:
            while True:
                value = await queue.get()
                await (websocket.send(value) if send is None else send(websocket, value))
        finally:
            if forgets:
                del kept[websocket]

    def publish(value):
        if publishes:
            last[:] = [value]
        for queue in list(kept.values()):
            if put is not None:
                put(queue, value)
                continue
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(value)

    return feed, publish


def deques():
    """A deque with a length for each client, and one condition for all."""
    boxes: dict[object, collections.deque] = {}
    last: list[str] = []
    news = asyncio.Condition()

    async def feed(websocket):
        box = boxes[websocket] = collections.deque(last, maxlen=8)
        try:
            while True:
                async with news:
                    await news.wait_for(lambda: box)
                while box:
                    await websocket.send(box.popleft())
        finally:
            boxes.pop(websocket)

    async def publish(value):
        last[:] = [value]
        for box in boxes.values():
            box.append(value)
        async with news:
            news.notify_all()

    return feed, publish


class ByNumber:
    """No queue at all: the latest few values for everybody, and where each client is."""

    def __init__(self):
        self.latest = collections.deque(maxlen=8)
        self.count = 0
        self.waiting = set()

    async def feed(self, websocket):
        at = max(0, self.count - 1)
        while True:
            if at == self.count:
                woken = asyncio.get_running_loop().create_future()
                self.waiting.add(woken)
                await woken
            oldest = self.count - len(self.latest)
            at = max(at, oldest)
            await websocket.send(self.latest[at - oldest])
            at += 1

    def publish(self, value):
        self.latest.append(value)
        self.count += 1
        woken, self.waiting = self.waiting, set()
        for each in woken:
            each.cancelled() or each.set_result(None)


def tasks_for_each():
    """A writer task beside a handler that waits for the end."""
    clients: dict[object, asyncio.Queue] = {}
    last = None

    async def write(websocket, queue):
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                await websocket.send(await queue.get())

    async def feed(websocket):
        queue = asyncio.Queue()
        if last is not None:
            queue.put_nowait(last)
        clients[websocket] = queue
        writer = asyncio.create_task(write(websocket, queue))
        await websocket.wait_closed()
        writer.cancel()
        clients.pop(websocket)

    def publish(value):
        nonlocal last
        last = value
        for queue in clients.values():
            queue.put_nowait(value)
            while queue.qsize() > 8:
                queue.get_nowait()

    return feed, publish


def sends_the_last_itself():
    """The newcomer's value goes out before its queue is known: nothing awaits in between."""
    feed, publish = queues(first=lambda queue, last: None)
    last = []

    async def with_last(websocket):
        if last:
            broadcast([websocket], last[0])
        await feed(websocket)

    def keeps(value):
        last[:] = [value]
        publish(value)

    return with_last, keeps


def by_number():
    feed = ByNumber()
    return feed.feed, feed.publish


RIGHT = {
    "deques": deques,
    "by number": by_number,
    "tasks": tasks_for_each,
    "the last by broadcast": sends_the_last_itself,
    "a smaller queue": lambda: queues(size=6),
}


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT)
def test_other_right_feeds_pass(make):
    verdict = check("11 feed", *make())
    assert verdict, str(verdict)


# --- the feed: plausible wrong ones --------------------------------------------------------------


def naive(last_first=True):
    readers, last = set(), []

    async def feed(websocket):
        if last and last_first:
            await websocket.send(last[0])
        readers.add(websocket)
        await websocket.wait_closed()
        readers.discard(websocket)

    def publish(value):
        last[:] = [value]
        broadcast(readers, value)

    return feed, publish


def waits():
    """publish sends in a loop, to one after the other."""
    readers, last = set(), []

    async def joins(websocket):
        if last:
            await websocket.send(last[0])
        readers.add(websocket)
        await websocket.wait_closed()
        readers.discard(websocket)

    async def publish(value):
        last[:] = [value]
        for reader in list(readers):
            await reader.send(value)

    return joins, publish


def drops_the_newest(queue, value):
    if not queue.full():
        queue.put_nowait(value)


def empties(queue, value):
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(value)


def all_of_history():
    history: list[str] = []
    feed, publish = queues(
        size=0, first=lambda queue, last: [queue.put_nowait(value) for value in history]
    )

    def keeps(value):
        history.append(value)
        publish(value)

    return feed, keeps


def last_twice(queue, last):
    for value in last * 2:
        queue.put_nowait(value)


def forgets_await():
    _, publish = naive()

    async def not_awaited(websocket):
        websocket.send("x")
        await websocket.wait_closed()

    return not_awaited, publish


async def as_bytes(websocket, value):
    await websocket.send(value.encode())


def sends_one_and_returns():
    last: list[str] = []

    async def feed(websocket):
        await websocket.send(last[0])

    return feed, lambda value: last.__setitem__(slice(None), [value])


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("wrong", "expected", "seen", "hint"),
    [
        (naive(), "at most 8 values in memory", "bytes in the server's library", "keep all of it"),
        (queues(size=0), "at most 8 values that waited", "40 of the last 40", "without a size"),
        (queues(size=30), "at most 8 values that waited", "of the last 40", "oldest out"),
        (waits(), "publish(value) to return at once", "not after", "only a client's own task"),
        (queues(put=drops_the_newest), "the newest", "no message within", "oldest give way"),
        (queues(put=empties), "value ", "value ", "none of 5 at once"),
        (queues(size=1), "value ", "value ", "none of 5 at once"),
        (queues(first=lambda queue, last: None), "value 1", "no message", "keep the last value"),
        (queues(publishes=False), "value 1", "no message within", "keep the last value"),
        (queues(first=last_twice), "value 2", "value 1", "twice"),
        (all_of_history(), "value ", "value 1", "keep the last value"),
        (queues(forgets=False), "nothing kept for whoever", "are still kept", "finally"),
        (queues(put=lambda queue, value: queue.put_nowait(value)), "publish(value) to run",
         "QueueFull", ""),
        (queues(send=as_bytes), "value 1", "bytes: b'", "a str"),
        (forgets_await(), "value 1", "no message within", "without `await` in front"),
        (sends_one_and_returns(), "value 2", "close 1000", "as long as it reads"),
    ],
)  # fmt: skip
def test_plausible_wrong_feeds_are_refused(wrong, expected, seen, hint, impatient):
    verdict = check("11 feed", *wrong)
    assert verdict.passed is False
    assert expected in verdict.expected, verdict
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict


def test_one_thing_in_place_of_two_is_said():
    feed, _ = naive()
    assert "`check(name, feed, publish)`" in check("11 feed", feed).expected
    assert "in place of publish" in check("11 feed", feed, "publish").seen


# --- the ratio -----------------------------------------------------------------------------------


def inflating(
    *,
    stream_of=lambda: zlib.decompressobj(wbits=-15),
    anew=False,
    tail=TAIL,
    counts_all=False,
    only_first=False,
    before_of=lambda frame: len(frame.payload),
    result=lambda before, after: after / before,
):
    """Make a ratio(); each wrong one differs from the solution in one thing."""

    def ratio(frames):
        stream, before, after, counts = stream_of(), 0, 0, False
        for frame in frames:
            if frame.opcode >= 8:
                continue
            if frame.opcode or only_first:
                counts = frame.rsv1
            if not counts:
                if counts_all:
                    before += before_of(frame)
                    after += len(frame.payload)
                continue
            if anew and frame.opcode:
                stream = stream_of()
            before += before_of(frame)
            after += len(stream.decompress(frame.payload + (tail if frame.fin else b"")))
        return result(before, after)

    return ratio


def by_message(frames):
    """Join each message first, then inflate it."""
    messages, stream = [], zlib.decompressobj(-15)
    for frame in frames:
        if frame.opcode in (1, 2):
            messages.append([frame])
        elif frame.opcode == 0:
            messages[-1].append(frame)
    deflated = [b"".join(f.payload for f in each) for each in messages if each[0].rsv1]
    return sum(len(stream.decompress(each + TAIL)) for each in deflated) / sum(map(len, deflated))


def all_at_once(frames):
    """One stream is one stream, whoever cut it into messages."""
    data, size, counts = b"", 0, False
    for frame in frames:
        if frame.opcode < 8:
            counts = frame.rsv1 if frame.opcode else counts
            if counts:
                size += len(frame.payload)
                data += frame.payload + (TAIL if frame.fin else b"")
    return len(zlib.decompressobj(wbits=-15).decompress(data)) / size


def with_a_window(frames):
    """A fresh stream for each message, given what went before as its dictionary."""
    window, before, counts, part = b"", 0, False, b""
    total = 0
    for frame in frames:
        if frame.opcode >= 8:
            continue
        counts = frame.rsv1 if frame.opcode else counts
        if not counts:
            continue
        before += len(frame.payload)
        part += frame.payload
        if frame.fin:
            stream = zlib.decompressobj(wbits=-15, zdict=window[-(2**15) :])
            text = stream.decompress(part + TAIL)
            window, total, part = window + text, total + len(text), b""
    return total / before


def by_raw(frames):
    """Take the payload out of the bytes: a server's frames have no mask."""

    class Seen:
        def __init__(self, frame):
            self.opcode, self.rsv1, self.fin = frame.raw[0] & 15, frame.raw[0] & 64, frame.fin
            self.payload = frame.raw[{126: 4, 127: 10}.get(frame.raw[1], 2) :]

    return inflating()(map(Seen, frames))


def wire_bytes(frame):
    """Count the payload from the frame's size."""
    size_bytes = len(frame.raw)
    return size_bytes - (2 if size_bytes < 128 else 4)


@pytest.mark.parametrize(
    "right",
    [by_message, all_at_once, with_a_window, by_raw, inflating(before_of=wire_bytes)],
)  # fmt: skip
def test_other_right_ratios_pass(right):
    verdict = check("11 ratio", right)
    assert verdict, str(verdict)


@pytest.mark.parametrize(
    ("wrong", "seen", "hint"),
    [
        (inflating(result=lambda before, after: before / after), "0.", "divided by payload bytes"),
        (inflating(result=lambda before, after: 1 - before / after), "0.", ""),
        (inflating(before_of=lambda frame: len(frame.raw)), "1.", "without a header"),
        (inflating(counts_all=True), "1.", "RSV1 stands on a message's first frame only"),
        (inflating(only_first=True), "", "holds for its continuations"),
        (inflating(anew=True), "", "for all messages"),
        (inflating(tail=b""), "", "the four bytes"),
        (inflating(stream_of=lambda: zlib.decompressobj()), "error", "wbits=-15"),
        (inflating(result=lambda before, after: None), "NoneType", "end with `return`"),
        (inflating(result=lambda before, after: f"{after / before:.2f}"), "str", "the number"),
        (inflating(result=lambda before, after: (before, after)), "tuple", "the number"),
        (zlib.decompressobj(wbits=-15), "Decompress", ""),
    ],
)
def test_plausible_wrong_ratios_are_refused(wrong, seen, hint):
    verdict = check("11 ratio", wrong)
    assert verdict.passed is False, verdict
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict


# --- cells run again, not all of them, in one kernel ----------------------------------------------

AGAIN = (
    *("memory-compare", "race", "memory-compare", "bounded-run", "age-compare", "hub", "bench"),
    *("twice-run", "twice-compare", "bomb-run", "bomb-compare", "apart", "apart-compare"),
    *("tanks", "race", "memory-compare", "transfer-compare", "crime-run", "page", "page-run"),
)


@pytest.mark.kernel
def test_its_cells_run_again_say_the_same():
    sources = cells(LESSON)
    ids = list(sources)
    once = ids[: ids.index("the-end")]
    order = [*once, *AGAIN]
    says = {
        "memory-compare": "the wire says  megabytes",
        "age-compare": "the wire says  one that is older than these",
        "hub": "drop-oldest  connected: 2, waiting: 8",
        "twice-run": "[('RSV1 1', ",
        "twice-compare": "the wire says  less than 30 bytes",
        "bench": "memory a client",
        "bomb-run": "1009 (message too big",
        "bomb-compare": "the wire says  it closes with 1009",
        "apart": "['one text, in parts']",
        "apart-compare": "the wire says  1\n",
        "transfer-compare": "the wire says  3 GB",
    }
    with Kernel(cwd=COURSE) as kernel:
        ran = kernel.run_all([sources[id] for id in order], cell_ids=order, timeout=120)
        assert lost(ran) == []
        assert [cell.error for cell in ran if cell.error] == []
        for id, cell in zip(order, ran, strict=True):
            assert says.get(id, "") in cell.text, (id, cell.text)
            if id == "hub":
                assert "keep-latest  connected: 2, waiting: 1" in cell.text
                assert "disconnect   connected: 1, waiting: 0" in cell.text
            if id == "crime-run":
                *_, known, secret = cell.text.split("\n")[:9]
                assert secret == f"the secret: {known}"
        kernel.shutdown()
