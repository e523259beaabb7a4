"""What a client says to a hub: events, calls and answers, over all its connections.

Its rule: one lock guards the session, the outbox of the connection that is open and the calls that
wait, so that any thread may say something; and every wait has a bound. It is told when a connection
opens and when it has ended, and knows none itself.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ...calls.waiting import deadline_after, left_until, pause
from ...errors import CallFailed
from ..protocol.client_events import AnswerReceived, CallLost, Event, Message
from ..protocol.client_session import ClientSession
from ..protocol.kept_packets import Encoded
from ..protocol.packets import RESERVED, check_name, dumps

__all__ = ["ConnectionLost", "Outbox", "PacketSender"]


class ConnectionLost(Exception):
    """Told to whoever waits for an answer when the connection has ended without it."""


class Outbox(Protocol):
    """Where packets go while a connection is open."""

    def put(
        self, message: Any, following: tuple[bytes, ...] = ()
    ) -> concurrent.futures.Future[None] | None:
        """Hand over the frames of one packet; a future where one has to wait for its turn."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether what is put in has a chance to go out."""
        ...


class PacketSender:
    """The outgoing side of a client, and its calls.

    Args:
        loop: on which the connection lives.
        session: the client's.
    """

    Ended = ConnectionLost

    def __init__(self, loop: asyncio.AbstractEventLoop, session: ClientSession) -> None:
        self.session = session
        self._loop = loop
        self._lock = threading.Lock()  # guards the session, the outbox and the calls
        self._room = threading.Condition(self._lock)
        self._outbox: Outbox | None = None
        self._calls: dict[int, concurrent.futures.Future[Any]] = {}
        self._has_ended = False

    @property
    def waiting_calls(self) -> int:
        """Calls that wait for their answers."""
        return len(self._calls)

    # Saying something; on any thread but the loop's.

    def emit(
        self, event: str, data: Any, timeout: float | None
    ) -> concurrent.futures.Future[None] | None:
        """Send an event; a future where one has to wait until it has gone out.

        Raises:
            TimeoutError: there was no room to keep it.
            ConnectionLost: the client has ended.
        """
        encoded = _encoded(event, data)
        with self._handing_over(encoded, timeout):
            self.session.emit(event, encoded)
            return self._send_out()

    def call(
        self, event: str, data: Any, timeout: float | None
    ) -> tuple[int, concurrent.futures.Future[Any]]:
        """Send an event that wants an answer; its number, and a future of the answer.

        Raises:
            TimeoutError: there was no room to keep it.
            ConnectionLost: the client has ended.
        """
        encoded = _encoded(event, data)
        answer = concurrent.futures.Future[Any]()
        with self._handing_over(encoded, timeout):
            number = self.session.call(event, encoded)
            self._calls[number] = answer
            self._send_out()
        return number, answer

    def withdraw(self, number: int) -> bool:
        """Give up a call; whether it had not been sent yet."""
        with self._lock:
            self._calls.pop(number, None)
            return self.session.withdraw(number)

    def answer(self, text: str, binary: Iterable[bytes] = ()) -> None:
        """Send the answer to a call of the hub's."""
        with self._lock:
            self.session.answer((text, list(binary)))
            self._send_out()

    @contextlib.contextmanager
    def _handing_over(self, encoded: Encoded | None, timeout: float | None) -> Iterator[None]:
        with self._lock:
            self._wait_for_room(encoded, timeout)
            try:
                yield
            except KeyboardInterrupt:
                # What it left half done is done on the loop.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._send_rest)
                raise

    def _send_rest(self) -> None:
        with self._lock:
            self._send_out()

    def _wait_for_room(self, encoded: Encoded | None, timeout: float | None) -> None:
        deadline_s = deadline_after(timeout)
        while not self._has_ended and not self.session.make_room(encoded):
            left_s = left_until(deadline_s)
            if not left_s:
                raise TimeoutError(
                    f"{self.session.kept:,} packets ({self.session.kept_bytes:,} bytes) are kept "
                    "already until the hub has said that they came"
                )
            pause(self._room.wait, left_s)
        if self._has_ended:
            raise ConnectionLost

    def _send_out(self) -> concurrent.futures.Future[None] | None:
        """Write what the session has to say; with the lock held."""
        outbox, gone = self._outbox, None
        if outbox is None:
            return None
        if self.session.token is not None and not outbox.is_open:
            self.session.mute()  # it waits for the next connection
        for text, *binary in self.session.outgoing():
            gone = outbox.put(text, tuple(binary))  # type: ignore[arg-type]
        # What is kept goes out sooner or later: nobody has to wait for its turn.
        return gone if self.session.mode == "plain" else None

    # Connections, and what comes; on the loop.

    def opened(self, outbox: Outbox) -> None:
        """Note that a connection is open, and write what has waited for it."""
        with self._lock:
            self._outbox = outbox
            self.session.opened()
            self._send_out()
            self._room.notify_all()

    def muted(self) -> None:
        """Note that nothing can be written any more."""
        with self._lock:
            self.session.mute()

    def lost(self) -> list[Event]:
        """Note that a connection has ended and all that came has been taken in."""
        with self._lock:
            self._outbox = None
            return self.session.lost()

    def receive(self, message: Message) -> list[Event]:
        """Take in a message, and say what it lets go out; return what it means."""
        with self._lock:
            events = self.session.receive(message)
            if self.session.token is not None:
                self._send_out()
        return events

    def go_on_from(self, begun: tuple[Message, ...]) -> bool:
        """Take up a packet that was begun elsewhere; whether there was room for it."""
        with self._lock:
            is_over = self._has_ended or self._outbox is None
            return not is_over and self.session.go_on_from(begun)

    def settle(self, event: AnswerReceived | CallLost) -> None:
        """Hand the answer to a call, or that there is none, to whoever waits for it."""
        with self._lock:
            answer = self._calls.pop(event.id, None)
        if isinstance(event, CallLost):
            _fill(answer, ConnectionLost())
        elif event.error is not None:
            code = str(event.error.get("code") or "failed")
            _fill(answer, CallFailed(str(event.error.get("message") or code), code=code))
        else:
            _fill(answer, event.data)

    def make_way(self) -> None:
        """Let those who wait for room look again."""
        with self._room:
            self._room.notify_all()

    def end(self) -> None:
        """Note that no connection will follow: nobody shall wait any more."""
        with self._lock:
            self._has_ended = True
            calls, self._calls = self._calls, {}
            self._room.notify_all()
        for answer in calls.values():
            _fill(answer, ConnectionLost())


def _encoded(event: str, data: Any) -> Encoded | None:
    check_name(event)
    if event in RESERVED:
        raise ValueError(
            f"expected an event's name of your own, got {event!r}: in a hub that means "
            "something else" + ("; client.send() sends a raw message" if event == "message" else "")
        )
    return None if data is None else dumps(data)


def _fill(answer: concurrent.futures.Future[Any] | None, result: Any) -> None:
    with contextlib.suppress(concurrent.futures.InvalidStateError):  # given up meanwhile
        if answer is not None and isinstance(result, Exception):
            answer.set_exception(result)
        elif answer is not None:
            answer.set_result(result)
