"""TestBench: what a check puts the learner's code on: a server with a tape, and clients.

Its rule: the learner's code runs on an event loop of its own, so that one that blocks holds
neither the lab nor the check; nothing waits without a bound, and all is closed in the end. What
was seen is read from the server's tape: which frame, from whom, when. Judging is for the lessons'
checks: here a Miss is only worded.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

from websockets.exceptions import ConnectionClosed

from ..client.client import Client
from ..client.connect import connect
from ..errors import ConnectFailed, LoopBlocked
from ..loops.portal import Portal
from ..loops.portals import lab
from ..notebook import cells
from ..server.handler import check_handler, handler_name, is_application
from ..server.server import Server
from ..websockets_compat import sending
from ..wire.events import CloseEvent, Event, FrameEvent
from ..wire.frames.close_codes import close_code_meaning
from ..wire.tape.tape import Tape
from .exercises import Miss
from .forgotten_await import ForgottenAwait
from .learner_loop import end_loop, position, wait_for

__all__ = ["BenchClient", "TestBench", "describe", "nonce"]

WAIT_S = 3.0  # for one message
CHECK_S = 20.0  # for all that one TestBench does
MAX_RAISED = 50  # exceptions that a check keeps
_SHOWN = 4  # frames in a Miss
_SHOWN_CHARACTERS = 40
_T = TypeVar("_T")


def nonce(size: int = 4) -> str:
    """Return random text that no learner's code can know before: ``2 * size`` hex digits."""
    return secrets.token_hex(size)


class TestBench:
    """A server of the learner's handler, with a tape and clients, for a ``with`` block.

    Where the block ends with a Miss and the handler raised something, the Miss says so; where the
    handler raised NotYet, that is raised instead.

    Args:
        handler: what the learner wrote; also an ASGI application.
        wait_s: how long to wait for one message, in seconds.
        kwargs: keywords of ``websockets.serve``.

    Raises:
        Miss: this cannot be a handler; it says why.
    """

    __test__ = False  # for pytest, which would take it for tests

    def __init__(self, handler: Any, *, wait_s: float = WAIT_S, **kwargs: Any) -> None:
        try:
            if not is_application(handler):
                check_handler(handler)
        except TypeError as exc:
            # The error says what was expected, too, which has a row of its own here.
            seen = str(exc).partition(", got ")[2] or str(exc)
            raise Miss("`async def handler(websocket)`", seen) from None
        self.wait_s = wait_s
        self.clients: list[BenchClient] = []
        self._forgotten = ForgottenAwait()
        self._deadline = time.monotonic() + CHECK_S
        # The learner's own servers run on the lab's loop, where wslab.run refuses a handler.
        self._runner = Portal("check", stands_for_lab=True)
        self.tape = Tape()  # what crosses the server's transports
        self.server = Server(
            handler,
            name=handler_name(handler),
            tape=self.tape,
            host="127.0.0.1",
            port=None,
            page=None,
            runner=self._runner,
            claim=cells.claim("check", keep=True),
            kwargs={"compression": None, **kwargs},
            on_exception=self._keep,
        )
        self._kept: list[BaseException] = []

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """What the handler raised so far."""
        return tuple(self._kept)

    def _keep(self, exc: BaseException) -> None:
        # The exceptions themselves, since checks look into them.
        if len(self._kept) < MAX_RAISED:
            self._kept.append(exc)

    def _raised(self) -> tuple[BaseException, ...]:
        # Half a message that can't go on ends with close 1011 before `send` raises.
        deadline_s = time.monotonic() + 0.5
        while not self.errors and any(client.handle.close_code == 1011 for client in self.clients):
            if time.monotonic() > deadline_s:
                break
            time.sleep(0.005)
        return self.errors

    def connect(self, path: str = "/", *, name: str | None = None, **kwargs: Any) -> BenchClient:
        """Connect a client to the learner's server.

        Args:
            path: what to ask for, such as "/ada?x=1".
            name: what to call it; a random one by default.
            kwargs: keywords of ``websockets.connect``.

        Raises:
            Miss: the handshake did not succeed.
        """
        url = self.server.url + path.removeprefix("/")
        kwargs.setdefault("open_timeout", self.left_s())
        try:
            handle = connect(url, name=name or f"client {nonce(2)}", keep=True, **kwargs)
        except ConnectFailed as exc:
            raise Miss(f"a handshake that opens {path}", f"{exc}{self.held()}") from None
        client = BenchClient(self, handle)
        self.clients.append(client)
        return client

    def left_s(self, wait_s: float | None = None) -> float:
        """Return how long one more wait may take: no longer than all together may."""
        wanted = self.wait_s if wait_s is None else wait_s
        return max(0.05, min(wanted, self._deadline - time.monotonic()))

    def tasks(self) -> set[asyncio.Task[Any]]:
        """Return the tasks on the learner's loop that are not over.

        Raises:
            Miss: the loop is held.
        """
        loop = self._runner.loop

        def look() -> set[asyncio.Task[Any]]:
            return {one for one in asyncio.all_tasks(loop) if one is not asyncio.current_task(loop)}

        return self.on_loop(look)

    def on_loop(self, func: Callable[[], _T]) -> _T:
        """Call a function on the learner's loop, and return what it returns.

        Args:
            func: a plain function, which does not block.

        Raises:
            Miss: the loop is held.
        """
        try:
            result: _T = self._runner.call(func, timeout=self.left_s())
            return result
        except LoopBlocked:
            raise Miss("an event loop that answers", f"no answer{self.held()}") from None

    def held(self) -> str:
        """Say what holds the learner's loop now, as the end of a sentence; "" where it answers."""
        if self._runner.answers():
            return ""
        return f"; the handler holds its event loop: {position(self._runner)}"

    def until(
        self,
        is_true: Callable[[], bool],
        expected: str,
        seen: Callable[[], str],
        hint: str = "",
        *,
        waits: int = 1,
    ) -> None:
        """Wait until something is so, for as long as so many ``waits`` may take.

        Raises:
            Miss: it was not so in time.
        """
        deadline = time.monotonic() + self.left_s(waits * self.wait_s)
        while not is_true():
            if time.monotonic() > deadline:
                raise Miss(expected, f"{seen()}{self.held()}", hint)
            time.sleep(0.005)

    def close(self) -> None:
        """Close the clients and the server, within a bound, whatever the handler does."""
        closing = [client.handle.begin_close() for client in self.clients]
        wait_for(closing, 2.0)
        end_loop(self._runner, self.server)

    def __enter__(self) -> Self:
        try:
            self.server.start()
        except BaseException:
            end_loop(self._runner)
            raise
        self._forgotten.listen()
        return self

    def __exit__(self, kind: object, exc: BaseException | None, tb: object) -> None:
        raised = self._raised()  # before the end, which may add some of its own
        try:
            self.close()
        finally:
            self._forgotten.stop()
        if not isinstance(exc, Miss):
            return
        for error in raised:
            if isinstance(error, NotImplementedError):
                raise error from None
        if raised and exc.__cause__ is None:
            exc.__cause__ = raised[0]
            exc.seen += f". Your handler raised {type(raised[0]).__name__}: {raised[0]}"
            exc.hint = "fix what your handler raised first"
            for error in raised:
                self._forgotten.look_into(error)
            if "NoneType can't be used in 'await'" in str(raised[0]):
                exc.hint += ": what returns nothing, as broadcast() does, takes no `await`"
        if self._forgotten.name:
            exc.hint = (
                f"`{self._forgotten.name}(...)` was called without `await` in front of it, and so "
                "it never ran"
            )
        elif not exc.hint and "holds its event loop" in exc.seen:
            exc.hint = "while it blocks, nobody else gets a turn: wait with `await` instead"


class BenchClient:
    """A client of a bench, and what its wire carried; made by :meth:`TestBench.connect`.

    ``handle`` is the wslab Client itself.
    """

    def __init__(self, bench: TestBench, handle: Client) -> None:
        self.bench = bench
        self.handle = handle
        host, port = handle.websocket.local_address[:2]
        self._address = f"{host}:{port}"

    def send(
        self,
        message: Any,
        expected: str = "an open connection that takes a message",
        hint: str = "",
    ) -> None:
        """Send a message.

        Args:
            message: see ``Client.send``.
            expected: for the Miss.
            hint: for the Miss.

        Raises:
            Miss: the connection has closed, or the server does not read.
        """
        try:
            self.handle.send(message, timeout=self.bench.left_s())
        except (ConnectionClosed, TimeoutError):
            raise self.miss(expected, hint=hint) from None

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, below all framing.

        Args:
            data: goes to the transport in one piece.
        """
        lab().loop.call_soon_threadsafe(self.handle.websocket.transport.write, data)

    def recv(self, expected: str, hint: str = "", *, wait_s: float | None = None) -> str | bytes:
        """Take the next message.

        Args:
            expected: what it should be, for the Miss.
            hint: for the Miss.
            wait_s: seconds; the TestBench's own by default.

        Raises:
            Miss: none came in time, or the connection closed.
        """
        wait_s = self.bench.left_s(wait_s)
        try:
            return self.handle.recv(timeout=wait_s)
        except TimeoutError:
            raise self.miss(
                expected, f"no message within {wait_s:g} s{self.bench.held()}", hint
            ) from None
        except ConnectionClosed:
            raise self.miss(expected, hint=hint) from None

    def cut(self) -> None:
        """End TCP without a close frame."""
        lab().loop.call_soon_threadsafe(self.handle.websocket.transport.abort)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Let the server find this wire full, for a ``with`` block: a send there has to wait.

        It is what the transport tells the connection when its buffer is full, without the
        megabytes that this takes.
        """
        websocket = self.of_the_server
        assert websocket is not None
        self.bench.on_loop(lambda: sending.play_full(websocket))
        try:
            yield
        finally:
            self.bench.on_loop(lambda: sending.play_writable(websocket))

    @property
    def of_the_server(self) -> Any:
        """The server's end of this connection, which the handler was given; None where it ended."""
        for connection in self.bench.server.connections:
            host, port = connection.remote_address or ("", 0)
            if f"{host}:{port}" == self._address:
                return connection.websocket
        return None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, cutting it off where the server does not answer within 1 s."""
        self.handle.close(code, reason, timeout=1.0)

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened on this connection, as the server's end saw it."""
        return tuple(self._events())

    @property
    def frames(self) -> tuple[FrameEvent, ...]:
        """The frames of this connection, as the server's end saw them, in order."""
        return tuple(event for event in self._events() if isinstance(event, FrameEvent))

    def _events(self) -> list[Event]:
        ids = {
            track.connection_id
            for track in self.bench.tape.connections
            if track.client_address == self._address
        }
        return [event for event in self.bench.tape.events if event.connection_id in ids]

    def seen(self, frames: Iterable[FrameEvent] | None = None) -> str:
        """Say what the wire carried: the last few frames, or those given, and how it ended."""
        events = self.events
        began_s = events[0].at_s if events else 0.0
        chosen = list(self.frames if frames is None else frames)
        said = [describe(frame, began_s) for frame in chosen[-_SHOWN:]]
        if len(chosen) > _SHOWN:
            more = len(chosen) - _SHOWN
            said.insert(0, f"{more} {'frame' if more == 1 else 'frames'}, then")
        if not said:
            said = ["no frame at all"]
        closes = [event for event in events if isinstance(event, CloseEvent)]
        if frames is None and not closes and self.handle.close_code is not None:
            said.append(f"then TCP ended without a close frame ({self.handle.close_code})")
        return "; ".join(said).replace("then;", "then")

    def miss(self, expected: str, seen: str = "", hint: str = "") -> Miss:
        """Word a Miss: what was expected, and what this connection's wire carried instead."""
        wire = f"on the wire: {self.seen()}"
        return Miss(expected, f"{seen}; {wire}" if seen else wire, hint)


def describe(frame: FrameEvent, began_s: float = 0.0) -> str:
    """Say a frame in words: kind, payload, sender, time.

    Args:
        frame: from a tape.
        began_s: the tape's time that counts as 0, such as the connection's beginning.
    """
    payload: Any = frame.payload
    if frame.opcode == 8:
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
        what = (
            "close"
            if code is None
            else f"close {code} ({close_code_meaning(code).partition(':')[0]})"
        )
    elif frame.text is not None:
        what = f"{frame.label} {_cut(repr(frame.text))}"
    else:
        what = f"{frame.label} {_cut(payload.hex(' '))}" if payload else f"{frame.label}, empty"
    part = "" if frame.fin else ", FIN 0"
    return f"{what}{part} from the {frame.sender} at {(frame.at_s - began_s) * 1000:.1f} ms"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "\u2026"
