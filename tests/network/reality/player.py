"""Plays a scene over a line, and writes down what each end's websockets saw, step by step.

The same classes watch websockets on every line, so that two reports differ only where the network
does. Its rule: a step is over when as many events have come as it says, and then a moment has
passed in which others could have; what does not come in time is written down, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

import wslab
from tests.network.reality.scenes import Scene, Step

SIDES = ("client", "server")
PATIENCE_S = 20.0  # for what must come: TCP waits longer each time before it sends again
BLOCKED_S = 0.6  # kernels make their buffers larger for a while
FILLING = 2**16  # bytes of a message that fills buffers


class Line(Protocol):
    """What two ends can be joined by.

    Attributes:
        seen: where its connections report; whoever plays on it sets this.
        moment_s: how long to wait for what must not come.
    """

    seen: Seen
    moment_s: float

    def open(self, client: dict[str, Any], server: dict[str, Any]) -> tuple[Any, Any]:
        """Return the two connections of websockets, open; keywords are those of each end."""

    def cut(self) -> None: ...
    def restore(self) -> None: ...
    def reset(self) -> None: ...
    def stop_reading(self, side: str) -> None: ...
    def resume_reading(self, side: str) -> None: ...
    def set(self, *, delay_s: float, jitter_s: float, bytes_per_s: float | None) -> None: ...
    def close(self) -> None: ...


Report = list[tuple[str, tuple[str, ...], tuple[str, ...]]]


class Seen:
    """What both ends saw; filled on the loop."""

    def __init__(self) -> None:
        self.events: dict[str, list[str]] = {side: [] for side in SIDES}
        self.times_s: dict[str, list[float]] = {side: [] for side in SIDES}
        self.received_bytes = dict.fromkeys(SIDES, 0)

    def note(self, side: str, what: str) -> None:
        self.events[side].append(what)
        self.times_s[side].append(time.monotonic())

    def kind(self, side: str) -> type:
        """Return the class of websockets' connections for a side, which reports here."""
        base: Any = ClientConnection if side == "client" else ServerConnection
        return type(base.__name__, (_Watching, base), {"seen": self, "side": side})


class _Watching:
    """A connection of websockets that writes down what comes to it."""

    seen: Seen
    side: str

    def connection_made(self: Any, transport: Any) -> None:
        self.pieces, self.filled = [], 0
        super().connection_made(transport)  # type: ignore[misc]

    def data_received(self: Any, data: bytes) -> None:
        self.seen.received_bytes[self.side] += len(data)
        super().data_received(data)  # type: ignore[misc]

    async def recv(self: Any, decode: bool | None = None) -> Any:
        # With a recv of its own, wslab's client hands it all frames, as websockets does.
        return await super().recv(decode)  # type: ignore[misc]

    def process_event(self: Any, event: Any) -> None:
        super().process_event(event)  # type: ignore[misc]
        opcode = getattr(event, "opcode", None)
        if opcode is None or opcode > 2:
            return  # a head, or a control frame: of these the ends tell by what they do
        if opcode:
            self.pieces, self.is_text = [], opcode == 1
        self.pieces.append(bytes(event.data))
        if event.fin:
            self.got(b"".join(self.pieces))

    def got(self: Any, data: bytes) -> None:
        if not self.is_text and len(data) == FILLING:
            assert int(data[:8]) == self.filled, "a message lost, twice or out of order"
            self.filled += 1
        elif len(data) > 40:
            self.seen.note(self.side, f"message of {len(data)} B, CRC {zlib.crc32(data):08x}")
        else:
            self.seen.note(self.side, f"message {data.decode()!r}")

    def connection_lost(self: Any, exc: Exception | None) -> None:
        super().connection_lost(exc)  # type: ignore[misc]
        if "open" not in self.seen.events[self.side]:
            return  # on loopback TCP is open before the handshake; on a line that is cut it is not
        # Where the other end has said why, TCP may still fail under the answer, or not: it depends
        # on which end sends again first, and two real networks differ in it.
        cause = self.connection_exc if self.protocol.close_rcvd is None else None
        sent = self.protocol.close_sent
        self.seen.note(
            self.side,
            f"closed {self.close_code} {self.close_reason!r}"
            + (f", sent {sent.code}" if sent else "")
            + (f", by {type(cause).__name__}" if cause else ""),
        )


class Player:
    """One scene on one line; its ends run on the lab's loop."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.seen = line.seen = Seen()
        self.ends: dict[str, Any] = {}
        self._opened_s = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    def play(self, scene: Scene) -> Report:
        """Return each step, and what the client and the server saw in it."""
        report: Report = []
        try:
            for step in scene.steps:
                before = {side: len(self.seen.events[side]) for side in SIDES}
                getattr(self, step.do)(*step.args)
                self._wait(step, before)
                client, server = (
                    tuple(
                        event.partition(", by ")[0] if scene.is_a_race else event
                        for event in self.seen.events[side][before[side] :]
                    )
                    for side in SIDES
                )
                report.append((step.words, client, server))
        finally:
            wslab.run(self._stop)
            self.line.close()
        return report

    @property
    def took_s(self) -> float:
        """Seconds from the opening to the last event."""
        return max(map(max, filter(None, self.seen.times_s.values()))) - self._opened_s

    def _wait(self, step: Step, before: dict[str, int]) -> None:
        wanted = {"client": step.client, "server": step.server}
        deadline = time.monotonic() + PATIENCE_S
        while any(len(self.seen.events[side]) < before[side] + wanted[side] for side in SIDES):
            if time.monotonic() > deadline:
                for side in SIDES:
                    if len(self.seen.events[side]) < before[side] + wanted[side]:
                        self.seen.note(side, "NOTHING MORE CAME")
                break
            time.sleep(0.005)
        if not step.client or not step.server:
            time.sleep(self.line.moment_s)

    # What a step can do.

    def open(self, client: dict[str, Any], server: dict[str, Any]) -> None:
        try:
            both = self.line.open(client, server)
        except TimeoutError:
            self.seen.note("client", "not opened, by TimeoutError")
            return
        self.ends = dict(zip(SIDES, both, strict=True))
        self._opened_s = time.monotonic()
        for side in SIDES:
            self.seen.note(side, "open")

    def send(self, side: str, *messages: Any) -> None:
        async def send() -> None:
            for message in messages:
                await self.ends[side].send(message)
            self.seen.note(side, "sent")

        self._start(side, "send", send)

    def send_halves(self, side: str, first: str, second: str, between: str) -> None:
        """Send a message as two fragments, and let something happen between them."""
        may_go_on = asyncio.Event()

        async def halves() -> Any:
            yield first
            await may_go_on.wait()
            yield second

        self.send(side, halves())
        time.sleep(self.line.moment_s)
        getattr(self, between)()
        wslab.run(may_go_on.set)

    def begin_big(self, side: str, size_bytes: int) -> None:
        """Send a message so big that only some of it has come when this ends."""
        other = SIDES[1 - SIDES.index(side)]
        before = self.seen.received_bytes[other]
        self.send(side, "x" * size_bytes)
        deadline = time.monotonic() + PATIENCE_S
        while not self.seen.received_bytes[other] - before > 0:
            assert time.monotonic() < deadline, "nothing of it came"
            time.sleep(0.001)

    def ping(self, side: str) -> None:
        async def ping() -> None:
            await (await self.ends[side].ping())
            self.seen.note(side, "pong")

        self._start(side, "ping", ping)

    def close(self, side: str, code: int, reason: str) -> None:
        async def close() -> None:
            await self.ends[side].close(code, reason)

        self._start(side, "close", close)

    def abort(self, side: str) -> None:
        """Let a program end as one that crashes: its kernel says that it has ended."""
        wslab.run(self.ends[side].transport.abort)

    def fill(self, side: str) -> None:
        """Send until a send does not return, and then one last message."""
        end, is_enough = self.ends[side], asyncio.Event()

        async def fill() -> None:
            number = 0
            while not is_enough.is_set():
                await end.send(b"%08d" % number + bytes(FILLING - 8))
                number += 1
            await end.send("so many")
            self.seen.note(side, "send returned")

        self._start(side, "send", fill)
        deadline = time.monotonic() + PATIENCE_S
        since_s = time.monotonic()
        while time.monotonic() < since_s + BLOCKED_S:
            if not end.paused:
                since_s = time.monotonic()
            assert time.monotonic() < deadline, "it does not block"
            time.sleep(0.005)
        self.seen.note(side, "send blocks")
        wslab.run(is_enough.set)

    def cut(self) -> None:
        self.line.cut()

    def restore(self) -> None:
        self.line.restore()

    def reset(self) -> None:
        self.line.reset()

    def stop_reading(self, side: str) -> None:
        self.line.stop_reading(side)

    def resume_reading(self, side: str) -> None:
        self.line.resume_reading(side)

    def set(self, delay_s: float, jitter_s: float, bytes_per_s: float | None) -> None:
        self.line.set(delay_s=delay_s, jitter_s=jitter_s, bytes_per_s=bytes_per_s)

    def nothing(self) -> None:
        """Wait."""

    def _start(self, side: str, what: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def watched() -> None:
            try:
                await main()
            except ConnectionClosed as exc:
                self.seen.note(side, f"{what}: {type(exc).__name__}")

        def start() -> None:
            self._tasks.append(asyncio.ensure_future(watched()))

        wslab.run(start)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@functools.cache
def reader() -> Any:
    """Return a handler that reads all and says nothing."""

    async def read(websocket: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for _ in websocket:
                pass

    return read
