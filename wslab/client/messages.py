"""Messages of a client, for a plain thread: send(), recv() and ping().

Its rule: a wait has a bound or ends with the connection, an interrupt gets through, and whoever is
interrupted or out of time loses no message and knows whether one went out.
"""

from __future__ import annotations

import concurrent.futures
import queue
import time
from collections.abc import AsyncIterable
from typing import Any

from websockets.exceptions import ConnectionClosed

from ..calls.waiting import SLICE_S, deadline_after, left_until, pause, result_of
from ..errors import LoopBlocked, PortalClosed
from .ending import Ending
from .fragments import FragmentStream, check_iterable
from .lifecycle import Lifecycle
from .receive_queue import Message
from .self_wait import SelfWaitGuard

__all__ = ["Messages"]

INSTANT_S = 0.1
_WHOLE = (str, bytes, bytearray, memoryview)  # what is sent in one frame


class Messages:
    """What one client sends and receives; what each call means is written at the Client.

    Args:
        life: of the client.
        ending: how it says that it has ended.
        guard: what refuses a call that would wait for itself.
    """

    def __init__(self, life: Lifecycle, ending: Ending, guard: SelfWaitGuard) -> None:
        self._life = life
        self._ending = ending
        self._guard = guard

    def send(self, message: Any, timeout: float | None) -> None:
        """Send a message; see :meth:`Client.send`."""
        is_whole = isinstance(message, _WHOLE)
        if not is_whole:
            check_iterable(message)
        life = self._life
        self._guard.refuse_own_thread("send()")
        self._ending.refuse_what_is_over()
        if not life.is_open:
            self._wait_open("the message was not sent", timeout)
        assert life.connection is not None
        queue = life.connection.send_queue
        stream = None
        if not is_whole:
            if isinstance(message, list | tuple):
                message = list(message)  # the caller may change it before its turn
            elif not isinstance(message, AsyncIterable):
                stream = FragmentStream(life.runner.loop)
        gone = queue.put(message if stream is None else stream)
        if gone is not None:
            self.wait_gone(gone, timeout, None if stream is None else (stream, message))

    def wait_gone(
        self,
        gone: concurrent.futures.Future[None],
        timeout: float | None,
        streamed: tuple[FragmentStream, Any] | None = None,
    ) -> None:
        """Wait until a message has gone out, and take it back where that takes too long.

        Args:
            gone: done when it has.
            timeout: seconds; None waits until it has gone out or cannot any more.
            streamed: what is sent in fragments, and where these go.
        """
        try:
            if streamed is not None:
                streamed[0].run(streamed[1], gone, timeout)
            else:
                result_of(gone, timeout)
        except ConnectionClosed as exc:
            raise self._ending.explained(exc) from exc.__cause__
        except concurrent.futures.CancelledError:
            raise PortalClosed("the lab's loop has been closed") from None
        except TimeoutError:
            if timeout is None:
                raise
            is_back = gone.cancel() or gone.cancelled()
            raise TimeoutError(
                f"the message did not go out within {timeout:g} s: the other side does not read"
                f"{self._ending.held()}. "
                + (
                    "It has been taken back"
                    if is_back
                    else "It is on its way and arrives when the other side reads on"
                    if streamed is None
                    else "Part of it is on its way, which ends the connection (RFC 6455 §5.4)"
                )
            ) from None
        except BaseException:
            gone.cancel()
            raise

    def _wait_open(self, what: str, timeout: float | None) -> None:
        """Wait until there is a connection again; raise where there will be none."""
        life = self._life
        reconnector = life.reconnector
        ends_s = deadline_after(timeout)
        while reconnector is not None and life.closing is None:
            reconnector.may_send.clear()  # before looking, so that no news is missed
            self._ending.refuse_what_is_over()
            if life.is_open:
                return
            if life.gone.is_set():
                break
            left_s = left_until(ends_s)
            if not left_s:
                raise TimeoutError(f"{what} within {timeout:g} s: {life.name!r} is {life.status}")
            pause(reconnector.may_send.wait, left_s)
        self._ending.raise_closed()

    def recv(self, timeout: float | None) -> Message:
        """Take the oldest message, or wait for one; see :meth:`Client.recv`."""
        life, incoming = self._life, self._life.incoming.queue
        life.runner.fork.refuse("recv()")
        if not incoming and not incoming.ended:
            # Some wait for an instant, in between; nobody wants to wait for what can't come.
            has_bound = timeout is not None and timeout <= INSTANT_S
            self._guard.refuse_to_wait("recv()", has_bound=has_bound)
        try:
            if life.on_open is not None and life.on_open.is_inside:
                message = self._get_while_open(timeout)
            else:
                message = incoming.get(timeout)
        except queue.Empty:
            raise TimeoutError(
                f"{life.name!r} got no message within {timeout:g} s; the connection is "
                f"{life.status}{self._ending.held()}"
            ) from None
        if message is None:
            self._ending.raise_closed()
        return message

    def _get_while_open(self, timeout: float | None) -> Message | None:
        ends_s = deadline_after(timeout)
        while True:
            self._ending.refuse_what_is_over()
            left_s = left_until(ends_s)
            try:
                return self._life.incoming.queue.get(min(left_s, SLICE_S))
            except queue.Empty:
                if not left_s:
                    raise

    def ping(self, timeout: float | None) -> float:
        """Send a ping and wait for its pong; see :meth:`Client.ping`."""
        life = self._life
        self._guard.refuse_to_wait("ping()")
        self._ending.refuse_what_is_over()
        if life.reconnector is not None and not life.is_open:
            self._wait_open("no ping was sent", timeout)

        async def round_trip() -> float:
            assert life.connection is not None
            # By our own clock: uvloop's counts whole milliseconds.
            began_s = time.perf_counter()
            await (await life.connection.websocket.ping())
            return time.perf_counter() - began_s

        try:
            return float(life.runner.call(round_trip, timeout=timeout))
        except LoopBlocked:
            raise
        except TimeoutError:
            raise TimeoutError(f"no pong came within {timeout:g} s{self._ending.held()}") from None
        except ConnectionClosed as exc:
            raise self._ending.explained(exc) from exc.__cause__
