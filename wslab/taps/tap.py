"""Tap: what `tap()` returns, to look at what passes, to change the network, and to stop it.

A thin shell around a listener on the lab's loop. Its rule: it may be asked from any thread, and it
says what it carries and never speaks itself: stopping ends TCP, without a close frame.
"""

from __future__ import annotations

import concurrent.futures
import errno
import ssl
import time
from typing import TYPE_CHECKING, Self

from ..client.urls import shown
from ..loops.portal import Portal
from ..loops.watchdog import Blockage
from ..notebook import cells
from ..server.life import Life, State
from ..server.listen_address import ListenAddress, in_url, port_of
from ..server.listening import port_in_use
from ..server.refusals import Refusal
from .admission import Origins
from .listener import Listener
from .request_head import Upstream
from .seen import SeenConnection

if TYPE_CHECKING:
    import types
    from collections import deque
    from collections.abc import Callable

    from ..failures import FailureLog
    from ..network.networks import ServerNetwork
    from ..wire.tape.tape import Tape

__all__ = ["Tap"]


class Tap:
    """A running tap; made by :func:`tap`. All its methods work from any thread but its loop's.

    Use it as a context manager to stop it at the end of a ``with`` block. It has as many attributes
    as a Server, since views show it as one; each is a line that asks one of its parts.

    Attributes:
        name: how views call it.
        tape: what passed, once, as the server behind it got it; None where ``record=False``.
        note: what is out of the ordinary about it, in words; "" for nothing.
        runner: the event loop that it runs on.
        claim: its place among what its cell has started.
        began_s: when it began to listen, on the clock of ``time.monotonic()``.
        replaced: whether its cell ran again, and a new tap took its place.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        name: str,
        host: str,
        port: int,
        runner: Portal,
        claim: cells.Claim,
        tape: Tape | None,
        origins: Origins | None,
        tls: ssl.SSLContext | None,
        max_connections: int,
        open_timeout: float | None,
    ) -> None:
        self.name = name
        self.tape = tape
        self.runner = runner
        self.claim = claim
        self.note = ""
        self.began_s = time.monotonic()
        self.replaced = False
        self._upstream = upstream
        self._address = ListenAddress(host, port, {})
        self._listener = Listener(
            upstream, self._address, origins=origins, tls=tls, max_connections=max_connections,
            open_timeout=open_timeout, runner=runner, tape=tape,
        )  # fmt: skip
        self._life = Life(runner, self._listener)

    # Where it is, and where it leads.

    @property
    def port(self) -> int:
        """The TCP port that it listens on, or did."""
        return self._address.port

    @property
    def host(self) -> str:
        """The address in its URL; a tap on all interfaces is shown as this machine."""
        return self._address.host

    @property
    def tcp_host(self) -> str:
        """As `host`: for views, which ask this of servers that may have none."""
        return self.host

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS to its clients: it does not, whatever the upstream speaks."""
        return False

    @property
    def tunnel_id(self) -> str:
        """Its name on Jupyter's server: it has none, and is reached by its port."""
        return ""

    @property
    def url(self) -> str:
        """What to connect to in place of the upstream: its path and query, at the tap."""
        return f"ws://{in_url(self.host)}:{self.port}{self._upstream.path}"

    @property
    def upstream_url(self) -> str:
        """Where it leads, without secrets."""
        return shown(self._upstream.url)

    # What it sees.

    @property
    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._life.state is State.SERVING

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop and something of it still runs."""
        return self._life.state is State.STOPPING

    @property
    def status(self) -> str:
        """How many connections it carries, in words; or that it has stopped."""
        if not self.is_serving:
            return "stopping" if self.is_stopping else "stopped"
        count = len(self.connections)
        return f"{count} connection{'' if count == 1 else 's'}"

    @property
    def connections(self) -> tuple[SeenConnection, ...]:
        """The connections that it carries now, oldest first."""
        if self.runner.fork.is_child:
            return ()
        return tuple(map(SeenConnection, self._listener.connections))

    @property
    def connections_seen(self) -> int:
        """How many connections have come so far."""
        return self._listener.seen

    @property
    def network(self) -> ServerNetwork:
        """The network under connections to come, from the client to the tap; see ``Server``.

        ``connections[i].network`` is that of one.
        """
        return self._listener.network

    @property
    def errors(self) -> FailureLog:
        """Why the upstream could not be reached: the latest of these failures."""
        return self._listener.errors

    @property
    def errors_seen(self) -> int:
        """How many times the upstream could not be reached."""
        return self.errors.seen

    @property
    def refusals(self) -> deque[Refusal]:
        """The latest requests that the tap itself answered, in the upstream's place."""
        return self._listener.refusals.latest

    @property
    def refusals_seen(self) -> int:
        """How many requests the tap itself answered."""
        return self._listener.refusals.seen

    @property
    def refusal_listeners(self) -> list[Callable[[Refusal], object]]:
        """Functions to call with each refusal, on the tap's loop; append yours."""
        return self._listener.refusals.listeners

    @property
    def blockages(self) -> tuple[Blockage, ...]:
        """When something held this tap's loop, so that it carried nothing, and who."""
        return tuple(self.runner.watchdog.blockages)

    def held(self) -> str | None:
        """Say what holds this tap's loop at this moment, or None where it answers."""
        return None if self.runner.answers() else self.runner.held_by()

    # Starting and stopping.

    def start(self, *, on_any_port: bool = False) -> None:
        """Listen; :func:`tap` has done so.

        Args:
            on_any_port: take a free port instead.

        Raises:
            PortInUse: another server listens there.
        """
        if on_any_port:
            self._address.port = 0
        self._life.start(self._open)
        self.began_s = time.monotonic()

    async def _open(self) -> None:
        try:
            server = await self._listener.open()
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise port_in_use(self.host, self.port) from exc
            raise
        self._address.port = port_of(server.sockets) or self.port

    def stop(self, timeout: float | None = 5.0) -> None:
        """Stop: every connection ends on both sides, and the port is free; idempotent.

        No close frame is sent, since not one byte is the tap's own: both sides see 1006. What is
        under way has half a second to be taken.

        Args:
            timeout: seconds to wait for all that; None waits until it has stopped.

        Raises:
            LoopBlocked: something holds the lab's loop; it names what.
            WrongThread: called on the lab's loop.
        """
        self._life.refuse_own_thread("stop")
        self._life.finish(self.begin_close(), timeout, name=self.name)

    def restart(self, timeout: float | None = 5.0) -> None:
        """Stop, and start again on the same port.

        Raises:
            LoopBlocked, WrongThread: see :meth:`stop`.
            PortInUse: another program took the port while it was free.
        """
        self._life.refuse_own_thread("restart")
        with self._life.lock:
            self.stop(timeout)
            self.start()
            self.claim.reopen(self)

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        """Start stopping without waiting; the future is done when the port is free."""
        self.replaced = self.replaced or replaced
        return self._life.begin_close(self._listener.close, lambda: cells.forget(self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: types.TracebackType | None,
    ) -> None:
        if not self.runner.fork.is_child:
            self.stop()

    def __repr__(self) -> str:
        state = self.status if self.is_serving else f"{self.status}, was"
        errors = f", {self.errors_seen} not reached" if self.errors_seen else ""
        return f"<Tap {self.name!r}, {state} at {shown(self.url)} to {self.upstream_url}{errors}>"
