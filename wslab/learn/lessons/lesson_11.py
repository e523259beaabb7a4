"""The checks of lesson 11: a feed whose memory is bounded, and a ratio read from frames.

Their rule: a wire is full where the operating system takes no more of it, which bytes tell and not
time; from then on it is counted what still reaches who did not read. Of the ratio, the frames are
those of a real connection, and what they hold the check knows from its own decoder. How a queue is
kept, and how a message is inflated, is the learner's affair.
"""

from __future__ import annotations

import gc
import inspect
import math
import random
import time
import weakref
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from ...errors import LoopBlocked
from ...failures import in_words
from ...wire.events import FrameEvent, MessageEvent
from ...wire.frames.layout import encode_frame
from ..exercises import Miss, exercise
from ..learner_loop import bounded
from ..page_look import PAGE_LOOK
from ..testbench import BenchClient, TestBench, nonce

KEEP = 8  # values that may wait for one client
IN_HAND = 2  # more that may be under way: half written, and in the hands of who sends
WAIT_S = 1.5  # for one value
PLAIN = 20  # values, while everybody reads
BURST = 5  # values at once, to who reads
SIZE = 2**16  # characters of a value that fills wires
FILL_MAX = 400
STUCK = 3  # values in a row of which the operating system takes nothing
MORE = 5 * KEEP  # values, when a wire is full
GUESTS = 12  # who come and break off

_EVERY = "each client gets each value, in order, as long as it reads"
_TWO = "`check(name, feed, publish)`: the handler, and the function that takes a value"
_WAITS = (
    "a client does not read, and publish(value) waits for it, or sends in one loop to all: only a "
    "client's own task, which takes from a queue of its own, may wait for it"
)
_GROWS = (
    "what waits for a client that does not read must be bounded: broadcast() and a queue without a "
    "size keep all of it. When the queue is full, take the oldest out and put the new one in"
)
_NEWEST = "of more than 8 the oldest give way: the newest value must come, not the first ones"
_LAST = (
    "keep the last value where both functions see it; who comes gets it first, into the client's "
    "own queue, so that it comes once and before what follows"
)
_GONE = (
    "whoever breaks off must be forgotten: a `finally` takes its queue out. Then publish() no "
    "longer fills it, and nothing keeps the connection"
)

SLOW_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A slow page</title>
%LOOK%
<p role="status" id="said">Its socket is not open yet.</p>
<script>
const socket = new WebSocket(new URL("feed", location.href.replace(/^http/, "ws")));
let came = 0, handled = 0, last = Promise.resolve();
const say = () => {
  document.getElementById("said").textContent =
    `came: ${came} messages. handled: ${handled}. waiting in the page: ${came - handled}. ` +
    `bufferedAmount: ${socket.bufferedAmount}.`;
};
socket.onopen = say;
socket.onmessage = () => {
  came += 1;
  last = last.then(() => new Promise(done => setTimeout(done, 200)))
    .then(() => { handled += 1; say(); });
  say();
};
</script>
</html>
""".replace("%LOOK%", PAGE_LOOK)
"""The page of the lesson: it takes 200 ms for each message, and counts what waits."""


class _Feed:
    """The learner's two functions at work, and what has been published."""

    def __init__(self, bench: TestBench, publish: Callable[[str], Any]) -> None:
        self.bench = bench
        self._publish = publish
        self.values: list[str] = []
        self.numbers: dict[str, int] = {}
        self.is_full = False  # somebody does not read, and the wire is full

    def publish(self, *, size: int = 0, count: int = 1) -> None:
        """Publish fresh values, on the handler's loop; several in one turn of it."""
        fresh = [f"{nonce()} ".ljust(size, ".") for _ in range(count)]
        for value in fresh:
            self.numbers[value] = len(self.values)
            self.values.append(value)
        runner: Any = self.bench.server.runner
        is_async = inspect.iscoroutinefunction(self._publish)

        async def publish_async() -> None:
            for value in fresh:
                await self._publish(value)

        def publish_plainly() -> Any:
            return [self._publish(value) for value in fresh][-1]

        call = publish_async if is_async else publish_plainly
        expected = "publish(value) to return at once"
        try:
            runner.call(call, timeout=self.bench.left_s())
        except (TimeoutError, LoopBlocked):
            seen = f"not after {self.bench.wait_s:g} s{self.bench.held()}"
            raise Miss(expected, seen, _WAITS if self.is_full else "") from None
        except NotImplementedError:
            raise
        except Exception as exc:
            hint = _GONE if "Closed" in type(exc).__name__ else ""
            raise Miss("publish(value) to run to its end", in_words(exc), hint) from exc

    def expect(self, client: BenchClient, number: int, hint: str = "") -> None:
        """Read the next value of a client, which must be this one."""
        who, value = client.handle.name, self.values[number]
        expected = f"value {number + 1}, {value[:20]!r}, on {who}'s wire"
        hint = hint or (_WAITS if self.is_full else _EVERY)
        got = client.recv(expected, hint)
        if got == value:
            return
        if isinstance(got, bytes):
            raise client.miss(expected, f"bytes: {got!r:.40}", "send the value as it is, a str")
        came = self.numbers.get(got)
        seen = f"{got!r:.40}" if came is None else f"value {came + 1}"
        if came is not None and came < number:
            hint = f"{hint}. It came twice, or too late"
        raise client.miss(expected, seen, hint)

    def written(self, client: BenchClient) -> int | None:
        """Return what the server's library holds for a client; None where it has let it go."""
        end = client.of_the_server
        return None if end is None else int(end.transport.get_write_buffer_size())


@exercise(
    "11 feed",
    hints=(
        "A dict of queues, as in the lesson: feed() puts one in, sends from it, and takes it out "
        "in a finally. publish() puts the value into each; what is full loses its oldest first. "
        "What else has publish() to do, so that feed() can give it to a newcomer?",
        "`last = [...]` or `global last`: publish() writes the value there. feed() puts it into "
        "the new queue before it begins to send: `if last: queue.put_nowait(last[0])`. Nothing may "
        "await between that and `queues[websocket] = queue`, or a value falls in between.",
    ),
    solution="solutions/11_pressure.py",
)
def feed(handler: Any, publish: Any = None) -> str:
    """Publish to who reads, to who does not, to newcomers, and to who has gone."""
    if not callable(publish):
        raise Miss(_TWO, f"{type(publish).__name__} {publish!r:.40} in place of publish", "")
    with TestBench(handler, wait_s=WAIT_S, ping_interval=None) as bench:
        feed = _Feed(bench, publish)
        feed.publish()
        ann, ben = (_enter(feed, name) for name in ("ann", "ben"))
        _everybody_reads(feed, ann, ben)
        most_bytes, kept = _one_does_not(feed, ann, ben)
        _some_break_off(feed, ann)
        return (
            f"{len(feed.values)} random values: each on the wires of two who read, at once, while "
            f"a third did not. For that one the server's library held {most_bytes:,} bytes at "
            f"most, and {kept} of the last {MORE} values came, the newest among them. Newcomers "
            "had the last value at once"
        )


def _enter(feed: _Feed, name: str) -> BenchClient:
    """Let a client come, which must get the last value at once, and no other."""
    client = feed.bench.connect(name=name, ping_interval=None)
    feed.expect(client, len(feed.values) - 1, _LAST)
    return client


def _everybody_reads(feed: _Feed, *clients: BenchClient) -> None:
    for _ in range(PLAIN):
        feed.publish()
        for client in clients:
            feed.expect(client, len(feed.values) - 1)
    first = len(feed.values)
    feed.publish(count=BURST)
    burst = f"up to {KEEP} values wait for a client: none of {BURST} at once may be lost"
    for number in range(first, first + BURST):
        for client in clients:
            feed.expect(client, number, burst)


def _one_does_not(feed: _Feed, *clients: BenchClient) -> tuple[int, int]:
    """Publish until the wire of one is full, and on; return what was held and what still came."""
    sam = _enter(feed, "sam")
    sam.handle.network.stop_reading()
    feed.is_full = True
    stuck = 0
    for _ in range(FILL_MAX):
        feed.publish(size=SIZE)
        for client in clients:
            feed.expect(client, len(feed.values) - 1)
        stuck = stuck + 1 if feed.written(sam) != 0 else 0
        if stuck == STUCK:
            break
    first = len(feed.values)
    most_bytes = 0
    for _ in range(MORE):
        feed.publish(size=SIZE)
        for client in clients:
            feed.expect(client, len(feed.values) - 1)
        most_bytes = max(most_bytes, feed.written(sam) or 0)
    allowed = (KEEP + IN_HAND) * SIZE
    if most_bytes > allowed:
        raise Miss(
            f"at most {KEEP} values in memory for a client that does not read",
            f"{most_bytes:,} bytes in the server's library, for values of {SIZE:,}",
            _GROWS,
        )
    _enter(feed, "cat")  # a newcomer, meanwhile
    feed.is_full = False
    sam.handle.network.resume_reading()
    return most_bytes, _read_on(feed, sam, first)


def _read_on(feed: _Feed, sam: BenchClient, first: int) -> int:
    """Let who did not read read up to the newest value; return how many of the last ones came."""
    newest, latest, kept = len(feed.values) - 1, -1, 0
    expected = f"in the end value {newest + 1}, the newest, on sam's wire, who reads again"
    while latest < newest:
        got = sam.recv(expected, _NEWEST)
        number = feed.numbers.get(got) if isinstance(got, str) else None
        if number is None or number <= latest:
            raise sam.miss(expected, f"after value {latest + 1}: {got!r:.40}", _EVERY)
        latest = number
        kept += number >= first
    if kept > KEEP + IN_HAND:
        raise Miss(
            f"at most {KEEP} values that waited for a client that did not read",
            f"{kept} of the last {MORE} values, published while its wire was full",
            _GROWS,
        )
    return kept


def _some_break_off(feed: _Feed, ann: BenchClient) -> None:
    """Let guests come and break off: nothing of them may stay."""
    gone: list[weakref.ref[Any]] = []
    for _ in range(GUESTS):
        guest = _enter(feed, f"guest {nonce(2)}")
        end = guest.of_the_server
        if end is not None:
            gone.append(weakref.ref(end))
        del end
        guest.cut()
    deadline_s = time.monotonic() + WAIT_S
    kept = len(gone)
    while time.monotonic() < deadline_s:
        feed.publish()  # a task that waits for a value notices only then that nobody is there
        feed.expect(ann, len(feed.values) - 1, _GONE)
        gc.collect()
        kept = sum(end() is not None for end in gone)
        if kept <= len(gone) // 4:  # a variable or a traceback keeps one or two
            return
        time.sleep(0.02)
    seen = f"{kept} of {len(gone)} connections that broke off are still kept by your code"
    raise Miss("nothing kept for whoever has gone", seen, _GONE)


# --- the ratio ------------------------------------------------------------------------------

_DEFLATE = (
    "one `zlib.decompressobj(wbits=-15)` for all messages, since each may refer to earlier ones; "
    'after a message\'s last frame (fin) it also wants the four bytes b"\\x00\\x00\\xff\\xff"'
)
_WHICH = (
    "RSV1 stands on a message's first frame only, and holds for its continuations (opcode 0); "
    "messages without it, and pings (opcode 8 and above), do not count"
)
_BOTH = "bytes after inflating, divided by payload bytes before: `frame.payload`, without a header"


@exercise(
    "11 ratio",
    hints=(
        "Go through the frames in order and add up two numbers. Leave out control frames (opcode "
        "8 and above). Does this frame begin a message (opcode 1 or 2)? Then its rsv1 says whether "
        "the message counts, and that holds until the next one begins.",
        "`stream = zlib.decompressobj(wbits=-15)` once, before the loop. Of each frame that counts "
        "add `len(frame.payload)` to the one, `len(stream.decompress(frame.payload))` to the "
        'other, and after one with fin also `len(stream.decompress(b"\\x00\\x00\\xff\\xff"))`.',
    ),
    solution="solutions/11_pressure.py",
)
def ratio(func: Any) -> str:
    """Give it the frames of real connections, of which it must find the ratio."""
    if not callable(func) or inspect.isclass(func):
        raise Miss("a function `ratio(frames)`", f"{type(func).__name__} {func!r:.40}")
    found = []
    for keeps_context in (True, False, True):
        sample = _sample(keeps_context)
        right = sample.after / sample.before
        expected = (
            f"{right:.4f}: {sample.after:,} bytes of messages in {sample.before:,} of payload"
        )
        try:
            got = bounded(func, sample.frames, expected=expected)
        except zlib.error as exc:
            raise Miss(expected, in_words(exc), f"{_DEFLATE}. {_WHICH}") from exc
        if not isinstance(got, int | float) or isinstance(got, bool):
            hint = "return the number" if got is not None else "end with `return` and the number"
            raise Miss(expected, f"{type(got).__name__} {got!r:.40}", hint)
        if not math.isclose(got, right, rel_tol=1e-3):
            raise Miss(expected, f"{got:.4f}", _slip(sample, got))
        found.append(f"{got:.1f}")
    return f"the ratios of three random connections: {', '.join(found)}"


class _Sample(NamedTuple):
    """A server's frames, and what they hold."""

    frames: tuple[FrameEvent, ...]
    before: int  # bytes of payload of compressed messages
    after: int  # of these messages, inflated
    plain: int  # of messages that are not compressed
    headers: int  # of the frames of compressed messages


def _slip(sample: _Sample, got: float) -> str:
    """Say where to look, by which wrong number it is."""
    before, after, plain = sample.before, sample.after, sample.plain
    slips = (
        (before / after, _BOTH),
        (after / (before + sample.headers), _BOTH),
        ((after + plain) / (before + plain), _WHICH),
        (after / (before + plain), _WHICH),
    )
    for wrong, hint in slips:
        if math.isclose(got, wrong, rel_tol=1e-3):
            return hint
    return f"{_WHICH}. {_DEFLATE}"


def _messages() -> list[str | list[str]]:
    """Make random messages, among them some in parts, and some that are hard to compress."""
    names = [nonce(3) for _ in range(3)]
    rows = [
        f'{{"symbol": "{random.choice(names)}", "price": {random.random():.4f}, "unit": "€"}}'
        for _ in range(12)
    ]
    return [*rows[:6], [rows[6], rows[7], rows[8]], nonce(100), *rows[9:], rows[9]]


def _sample(keeps_context: bool) -> _Sample:
    """Return the frames that a server of the check's own has sent to a real client."""
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

    sent, loud = _messages(), f"as it is {nonce(60)}"

    async def send_all(websocket: Any) -> None:
        for nth, message in enumerate(sent):
            if nth == 3:  # not compressed: each message may be or not (RFC 7692 section 6)
                websocket.transport.write(encode_frame(1, loud.encode()))
            if nth == 5:
                await websocket.ping(nonce())
            await websocket.send(message)
        await websocket.recv()

    extension = ServerPerMessageDeflateFactory(
        server_no_context_takeover=not keeps_context, server_max_window_bits=15
    )
    with TestBench(send_all, extensions=[extension], ping_interval=None) as bench:
        client = bench.connect(name="ann", compression="deflate", ping_interval=None)
        for _ in range(len(sent) + 1):
            client.recv("a message of the check's own")
        mine = [event for event in client.events if event.sender == "server"]
        messages = [event for event in mine if isinstance(event, MessageEvent) and event.compressed]
        frames = tuple(event for event in mine if isinstance(event, FrameEvent))
        after = sum(len(str(message.data).encode()) for message in messages)
        before = plain = headers = 0
        is_deflated = False
        for frame in frames:
            if frame.opcode >= 8:
                continue
            is_deflated = frame.rsv1 if frame.opcode else is_deflated
            size_bytes = len(frame.payload)
            before += size_bytes if is_deflated else 0
            plain += 0 if is_deflated else size_bytes
            headers += frame.size_bytes - size_bytes if is_deflated else 0
        return _Sample(frames, before, after, plain, headers)
