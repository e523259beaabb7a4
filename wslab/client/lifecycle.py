"""One connection of a client after another, from the first to the end of the last.

It lives on the loop; what stands there is asked from any thread. Its rule: whatever ends a
connection, all that came is taken in, and then either another one follows or everybody who waits
is told. How to connect, and whether to try again, is for `opener` and `reconnector`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.protocol import State

from ..calls.waiting import deadline_after, finite, left_until
from ..errors import PortalClosed
from ..loops.portal import Portal
from ..wire.tape.tape import Tape
from .arguments import Destination
from .backoff import Reconnect
from .connection import Connection
from .incoming import Incoming
from .life import Phase, phase_of
from .on_open import OnOpen
from .opener import Opener
from .reconnector import Reconnector
from .urls import session_in

__all__ = ["Lifecycle"]


class Lifecycle:
    """The life of one client.

    Args:
        destination: where to, and with which keywords of websockets.
        name: how views call it.
        runner: whose loop it lives on.
        tape: what to record on, if anything.
        max_waiting: how many messages may wait before the sender is slowed down.
        policy: whether and when to come back; None: never.
        ended: called on the loop when no connection will follow.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        name: str,
        runner: Portal,
        tape: Tape | None,
        max_waiting: int,
        policy: Reconnect | None,
        ended: Callable[[], object],
    ) -> None:
        self.url = destination.url
        self.name = name
        self.server = destination.server
        self.runner = runner
        self.incoming = Incoming(max_waiting, runner.loop)
        self.opener = Opener(
            destination, label=name, tape=tape, incoming=self.incoming, lost=self._lost
        )
        self.reconnector: Reconnector | None = None
        if policy is not None:
            token = destination.token
            renews = token is not None and token.is_renewed
            self.reconnector = Reconnector(policy, self._come_back, self._told, renews=renews)
        self.on_open: OnOpen | None = None
        self.connection: Connection | None = None  # the latest that has opened
        self.broken: ConnectionClosed | None = None  # how the last connection ended
        self.end: ConnectionClosed | None = None  # how all ended
        self.gone = threading.Event()  # all has ended, and why is known
        self.replaced = False  # its cell ran again, and a new client took its place
        self.closing: concurrent.futures.Future[None] | None = None
        self.began_s = time.monotonic()
        self.began_at = time.time()
        self._keeps_session = policy is not None and policy.session
        self._told_ended: Callable[[], object] | None = ended
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()

    # Where it stands; from any thread.

    @property
    def phase(self) -> Phase:
        """See `life`."""
        latest = None if self.connection is None else self.connection.websocket.state
        return phase_of(
            latest,
            may_follow=self.reconnector is not None and not self.gone.is_set(),
            is_told_to_close=self.closing is not None,
        )

    @property
    def is_open(self) -> bool:
        """Whether messages go both ways."""
        connection = self.connection
        return connection is not None and connection.websocket.state is State.OPEN

    @property
    def status(self) -> str:
        """Its phase in words, such as "OPEN" or "reconnecting, attempt 3, next in 1.2 s"."""
        phase = self.phase
        if phase is Phase.AWAY and self.reconnector is not None:
            return self.reconnector.status
        code = self.close_code
        return phase.state.name if code is None else f"{phase.state.name} with {code}"

    @property
    def close_code(self) -> int | None:
        """The close code, None while the connection is open; 1006 where it broke off."""
        return getattr(self._closed, "close_code", None)

    @property
    def close_reason(self) -> str | None:
        """The reason that came with the close code."""
        return getattr(self._closed, "close_reason", None)

    @property
    def _closed(self) -> Any:
        if self.connection is None or self.phase is not Phase.CLOSED:
            return None
        return self.connection.websocket

    @property
    def is_over(self) -> bool:
        """Whether nothing can be said any more, now or later."""
        return self.gone.is_set() or self.closing is not None

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to close: all connections have ended, and no handler runs."""
        dispatcher = self.incoming.dispatcher
        return self.gone.is_set() and not (dispatcher is not None and dispatcher.queue.is_busy)

    # Opening, pumping, coming back; on the loop.

    async def open(self) -> None:
        """Open the first connection; it is tried once."""
        loop = asyncio.get_running_loop()
        if self.reconnector is not None:
            session = None
            if self._keeps_session:
                session = session_in(self.url) or secrets.token_urlsafe(24)
            self.incoming.dispatcher = _new_dispatcher(loop, session)
        await self._connect()
        self.runner.watchdog.watch(loop)
        self._task = loop.create_task(self._run())

    async def _connect(self) -> None:
        dispatcher = self.incoming.dispatcher
        query = [] if dispatcher is None else dispatcher.session.query()
        connection = await self.opener.open(query)
        connection.open(self.runner.loop)
        self.connection = connection  # whoever sees it may send
        if connection.websocket.state is State.CLOSED:  # already, before this end was ready
            self._lost(connection)
        if dispatcher is not None:
            dispatcher.sender.opened(connection.send_queue)
        if self.on_open is not None:
            self.on_open.opened()

    def _lost(self, connection: Connection) -> None:
        if connection is not self.connection:
            return  # not yet: `_connect` will see it
        connection.lost()
        if self.reconnector is not None:
            self.incoming.dispatcher.sender.muted()

    async def _come_back(self) -> None:
        self.incoming.queue.open = True
        try:
            await self._connect()
        except BaseException:
            self.incoming.connection_lost()  # one that never opened
            raise
        assert self.reconnector is not None
        self.reconnector.may_send.set()

    def _told(self, exc: Exception) -> str:
        return str(self.opener.explained(exc) or exc) or type(exc).__name__

    async def _run(self) -> None:
        reconnector = self.reconnector
        try:
            while True:
                connection = self.connection
                assert connection is not None
                self.broken = end = await connection.pump()
                self.incoming.connection_lost()
                lived_s = (connection.ended_s or 0.0) - connection.opened_s
                if reconnector is None or not await reconnector.again(end, lived_s):
                    break
            if reconnector is not None and reconnector.gave_up:
                # Not the normal end that 1001 would be: whoever iterates shall know.
                end = ConnectionClosedError(end.rcvd, end.sent, end.rcvd_then_sent)
            self.end = end
        except BaseException as exc:  # never leave a reader waiting
            self.end = ConnectionClosedError(None, None)
            self.end.__cause__ = exc
            if isinstance(exc, asyncio.CancelledError):
                self.end.__cause__ = PortalClosed("the lab's loop was closed")
                raise
        finally:
            self.runner.watchdog.unwatch()
            if self._told_ended is not None:
                self._told_ended()
            self.gone.set()
            self.incoming.end()
            if reconnector is not None:
                reconnector.may_send.set()
            if self.on_open is not None:
                self.on_open.stop()
            self._forget()

    def _forget(self) -> None:
        """Let go of what leads back here or to the client: nothing more will follow."""
        self.opener.forget()
        if self.reconnector is not None:
            self.reconnector.forget()
        self.on_open = self._told_ended = None

    def dispatcher(self) -> Any:
        """Return what handles the client's events; make it where nobody has asked for it yet."""
        if self.incoming.dispatcher is None:
            with self._lock:
                if self.incoming.dispatcher is None:
                    assert self.connection is not None
                    made = _new_dispatcher(self.runner.loop)
                    made.sender.opened(self.connection.send_queue)
                    self.incoming.dispatcher = made
            if self.gone.is_set():
                self.incoming.dispatcher.end()
        return self.incoming.dispatcher

    # Closing.

    def discard(self) -> None:
        """Leave nothing behind of a client that nobody will get; from any thread."""
        if self.connection is None:
            self._forget()
        elif self.closing is None:
            self.begin_close(1001, "", 1.0)

    def begin_close(
        self, code: int, reason: str, timeout: float | None
    ) -> concurrent.futures.Future[None]:
        """Start closing, unless that has begun; the future is done when all has ended."""
        with self._lock:
            if self.closing is None:
                dispatcher = self.incoming.dispatcher
                try:
                    if self.has_ended:
                        raise PortalClosed
                    # A handler that closes its own client must not wait for itself.
                    may_finish = dispatcher is None or not dispatcher.queue.is_inside
                    self.closing = self.runner.submit(
                        self._close, code, reason, timeout, may_finish and code != 1001
                    )
                except PortalClosed:  # nothing is left to close
                    self.closing = concurrent.futures.Future()
                    self.closing.set_result(None)
            return self.closing

    async def _close(self, code: int, reason: str, timeout: float | None, may_finish: bool) -> None:
        connection, incoming = self.connection, self.incoming
        assert connection is not None
        incoming.is_closing_down = self.is_open
        incoming.stop_waiting()
        ends_s = deadline_after(timeout)
        if self.reconnector is not None:
            self.reconnector.stop()
        await connection.close(code, reason, finite(timeout))
        if self._task is not None:
            await asyncio.wait([self._task])
        if incoming.dispatcher is not None:
            await incoming.dispatcher.queue.finish(left_until(ends_s) if may_finish else 0.0)


def _new_dispatcher(loop: asyncio.AbstractEventLoop, session: str | None = None) -> Any:
    from ..hub.client.event_dispatcher import EventDispatcher  # who sends no event pays nothing

    return EventDispatcher(loop, session)
