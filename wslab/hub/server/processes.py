"""The part of a Hub that is about its processes: who is at whichever of them, and the end of one.

Its rule: what it says holds for all that serve the hub, one of them being the usual case, as far as
they can be asked; it never waits without a bound. What carries it between them is the backplane's.
"""

from __future__ import annotations

from typing import Any

from ...calls.waiting import finite
from ..backplane.status import BackplaneStatus
from ..protocol.come_back import come_back_in
from .emitter import Emitter, check_own, said_of
from .entrance import Entrance
from .handover import hooks_of
from .hub_client import HubClient
from .hub_context import HubContext
from .members import ask, attach, everybody
from .registry import check_room

__all__ = ["HubProcesses"]

MOST_S = 30.0  # for what is asked of other processes, and for clients to close


class HubProcesses:
    """What a Hub inherits: a file of its own, since `Hub` has more than enough."""

    _context: HubContext
    _entrance: Entrance
    _emitter: Emitter

    @property
    def backplane(self) -> BackplaneStatus:
        """How what this process shares with others is, in words and numbers."""
        return self._context.backplane.status

    @property
    def node_id(self) -> str:
        """The name of this process among those that serve the hub; a new one at each start."""
        return self.backplane.node_id

    def set_backplane(self, url: str | None) -> None:
        """Have another backplane, before the first client: `Hub` says what it may be.

        Raises:
            RuntimeError: there have been clients.
            TypeError, ValueError: it is no such URL.
        """
        for each in self._entrance.namespaces.by_name.values():
            each.context.set_backplane(url)
            each.hub._emitter.attach(each.context.backplane)
            each.hub._attach()

    def _attach(self) -> None:
        attach(self._context)
        self._context.backplane.attach_sessions(hooks_of(self._context))

    async def start(self) -> None:
        """Begin to serve on the running loop: a backplane may have to be there first.

        ``wslab.serve(hub)`` and the lifespan of ``hub.asgi()`` call it; elsewhere the first client
        starts it. While Redis is away it waits for that a few seconds, and goes on without.

        Raises:
            BackplaneDown: Redis is away, and ``when_down`` is "refuse".
        """
        await self._entrance.start()

    async def close(self) -> None:
        """End what `start` has begun, once no client is here any more; idempotent."""
        await self._entrance.close()

    # Who is at them.

    def everybody(self, room: str | None = None) -> Any:
        """Return who is connected, at all processes of the hub, or in a room; to be awaited.

        A list of `Member`, in the order of coming: ``id``, ``name``, ``user_id``, ``node``,
        ``rooms``. What happened at other processes is there a moment later. ``hub.clients`` is who
        is here alone. Of a process that was killed, clients are listed for up to 10 s; then
        ``@hub.on("member_lost")`` is called with each at one process that is left, once (if that
        is not killed just then); whoever has come back meanwhile is another member.

        Raises:
            BackplaneDown: who is at other processes is not known now.
        """
        if room is not None:
            check_room(room)
        return self._context.loop.ask(lambda: everybody(self._context, room), MOST_S)

    def call(
        self,
        event: str,
        data: Any = None,
        *,
        to: HubClient | str,
        timeout: float | None = 5.0,
    ) -> Any:
        """Send a client an event and return its answer, at whichever process it is.

        It is awaited, or waits, as :meth:`HubClient.call` does.

        Args:
            event: the event's name.
            data: what it carries; of bytes, a call to another process takes at most 1 MiB.
            to: a client, or the ``id`` of one, or a ``user_id``: of several clients of that user,
                the one that came last.
            timeout: seconds to wait for the answer; None waits until the client leaves.

        Raises:
            BackplaneDown: the other processes can't be asked, or what was asked of one got lost
                on the way: whether it was handled, nobody knows then.
            CallFailed: the client answered with an error.
            ClientGone: nobody goes by that, or it, or its process, left before it answered.
            TimeoutError: no answer came in time.
        """
        if isinstance(to, HubClient):
            return to.call(event, data, timeout)
        check_own(event)
        said, timeout = said_of(event, data, self._context.settings.dumps), finite(timeout)
        return self._context.loop.ask(lambda: ask(self._context, said, to, timeout), timeout)

    # The end of one.

    @property
    def is_draining(self) -> bool:
        """Whether nobody new is let in, since `drain` was called; False lets them in again."""
        return self._entrance.draining.is_on

    @is_draining.setter
    def is_draining(self, is_draining: bool) -> None:
        self._entrance.draining.is_on = is_draining

    def drain(self, seconds: float = 5.0, *, come_back_s: float | None = None) -> Any:
        """Let nobody new in, and send everybody away; to be awaited, before the process ends.

        Whoever comes is refused with 503, or, where the server asks too late for that, with 1012
        (service restart, RFC 6455 §7.4.1). Those who are here are told 1012, spread over the time,
        and keep their sessions. The reason says when to come back, in words that
        ``wslab.connect(reconnect=True)`` and hub.js heed: "service restart, come back in 5 s". All
        namespaces are emptied. It returns how many were told.

        Args:
            seconds: over which they are spread.
            come_back_s: in how many seconds they shall come back; by default at once, where a
                backplane has other processes serve them, else when this one is over: in so many
                as ``seconds``.

        Raises:
            ValueError: not a number of seconds.
        """
        if come_back_s is None:
            come_back_s = 0.0 if self._context.backplane.is_shared else seconds
        for each in (seconds, come_back_s):
            come_back_in(each)
        entrance = self._entrance
        return self._context.loop.ask(
            lambda: entrance.drain(seconds, come_back_s), seconds + MOST_S
        )
