"""The namespaces of a hub, and the messages of one Engine.IO session on their way to them.

Its rule: each namespace of each client is a connection of its own, with a task of its own; what has
come and waits for them is bounded for all of a session. It looks only at a packet's type and
namespace: what is in it is read when its turn has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ...wire import socketio
from ...wire.socketio import Decoder, PacketType
from ...wire.violation import ProtocolViolation
from ..dialects.socket_io import MESSAGE, VIOLATION, SocketIo
from ..engineio.requests import is_of_python
from ..engineio.session import EngineSession
from .draining import Draining
from .hub_context import HubContext
from .link import Link
from .namespace_link import NamespaceLink
from .prepared_message import PreparedMessage

__all__ = ["Namespace", "Namespaces"]

CONNECT_TIMEOUT_S = 45.0  # without a namespace, as for the reference server
CLOSE_GRACE_S = 5.0
PROTOCOL_ERROR, POLICY = 1002, 1008  # RFC 6455 §7.4.1
AHEAD_BYTES = 2**14  # of messages that wait for a session's namespaces, beside the last
MAX_TASKS = 16  # of one session's namespaces that it has left, and that have not ended
_HEAD: Final = re.compile(r"[2356](?:([0-9]*)-)?(/[^,]*)?")


class Namespace:
    """One namespace: a hub's clients that came by Socket.IO.

    Args:
        name: such as ``/admin``.
        hub: the hub, for whoever asks for it.
        context: the hub's.
        serve: returns what serves one client's link.

    Raises:
        ProtocolViolation: it is no name of a namespace.
    """

    def __init__(
        self,
        name: str,
        hub: Any,
        context: HubContext,
        serve: Callable[[Link], Coroutine[Any, Any, None]],
    ) -> None:
        self.name, self.hub, self.context = name, hub, context
        self.serve = serve
        self._plain = self._recovering = SocketIo(name)

    def dialect_for(self, path: str) -> SocketIo:
        """Return how to speak with a client that came to this path."""
        # One of python-socketio's knows no recovery, and would hand a place to its handlers.
        mark = self.context.backplane.mark
        if mark != self._recovering.mark:
            self._recovering = SocketIo(self.name, mark) if mark else self._plain
        return self._plain if is_of_python(path) else self._recovering


class Namespaces:
    """All of them, by name: a hub and what it has been divided into.

    Attributes:
        draining: of all of them at once, since they share connections.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Namespace] = {}
        self.draining = Draining()

    def add(self, namespace: Namespace) -> Namespace:
        """Let clients connect to a namespace, and return it."""
        self.by_name[namespace.name] = namespace
        return namespace

    def serve(self, session: EngineSession) -> Coroutine[Any, Any, None]:
        """Return what brings a session's messages to its namespaces, until it ends."""
        return _Session(session, self.by_name).serve()


class _Session:
    __slots__ = (
        "_failure", "_links", "_missing", "_namespaces", "_session", "_target", "_tasks", "_timer",
        "_waiting", "_waiting_bytes",
    )  # fmt: skip

    def __init__(self, session: EngineSession, namespaces: dict[str, Namespace]) -> None:
        self._session = session
        self._namespaces = namespaces
        self._links: dict[str, NamespaceLink] = {}  # those that were left, too
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._waiting_bytes = 0
        self._waiting: asyncio.Future[None] | None = None
        self._missing = 0  # attachments of the packet that came last
        self._target: NamespaceLink | None = None  # whose these are
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        session = self._session
        session.when_lost(self._change)
        self._expect_connect()
        try:
            with contextlib.suppress(session.closed_error):
                while True:
                    message = await session.receive()
                    if not self._pass_on(message):
                        await self._take(message)  # type: ignore[arg-type]
                    while self._waiting_bytes > AHEAD_BYTES and session.is_open:
                        await self._changed()
        except ProtocolViolation as violation:
            self._namespaces["/"].context.complaints[VIOLATION] += 1
            await self._close(f"{violation.rule}: {violation}", PROTOCOL_ERROR)
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            raise
        finally:
            # Only now: the last that has come may be that it leaves, and does not come back.
            for link in self._links.values():
                link.end(session.closed)
                link.have_all()
            if self._timer is not None:
                self._timer.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        if self._failure is not None:
            raise self._failure

    # What comes.

    def _pass_on(self, message: str | bytes) -> bool:
        """Give a message to the namespace that it is for; whether it is one for a namespace."""
        if not isinstance(message, str):
            self._give_attachment(message)
            return True
        if self._missing:
            raise ProtocolViolation(
                "attachment-missing", f"{self._missing} more binary attachments", "text"
            )
        head = _HEAD.match(message)
        if head is None:
            return False
        count, namespace = head.groups()
        link = self._links.get(namespace or "/")
        if link is None:
            raise _not_connected(namespace or "/")
        # What is wrong with the number, whoever reads the packet will say.
        self._missing = int(count) if count and len(count) < 3 else 0
        self._target = link
        self._give(link, message)
        return True

    def _give_attachment(self, message: bytes) -> None:
        if not self._missing or self._target is None:
            Decoder().add(message)  # which refuses it
            return
        self._missing -= 1
        self._give(self._target, message)

    def _give(self, link: NamespaceLink, message: str | bytes) -> None:
        if not link.is_over:  # else it was on its way when the namespace was left
            self._waiting_bytes += link.give(message)

    def _taken(self, size_bytes: int) -> None:
        self._waiting_bytes -= size_bytes
        if self._waiting_bytes <= AHEAD_BYTES:
            self._change()

    async def _changed(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _change(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _take(self, message: str) -> None:
        packet = Decoder().add(message)
        assert packet is not None
        link = self._links.get(packet.namespace)
        if packet.type is PacketType.CONNECT:
            await self._connect(packet, link)
        elif packet.type is not PacketType.DISCONNECT:
            raise ProtocolViolation("unexpected-packet", "no CONNECT_ERROR from a client", "one")
        elif link is None:
            raise _not_connected(packet.namespace)
        elif not link.is_over:
            link.leave()
            self._expect_connect()

    # Who comes and goes.

    async def _connect(self, packet: socketio.Packet, before: NamespaceLink | None) -> None:
        name = packet.namespace
        namespace = self._namespaces.get(name)
        if namespace is None:
            told = socketio.Packet(
                PacketType.CONNECT_ERROR, name, None, {"message": "Invalid namespace"}
            )
            await self._say(PreparedMessage(MESSAGE + socketio.encode(told)[0]))
            return
        if before is not None and not before.is_over:
            raise ProtocolViolation("connected-already", f"one CONNECT to {name!r:.60}", "another")
        session = self._session
        while len(self._tasks) >= MAX_TASKS + len(self._namespaces) and session.is_open:
            await self._changed()
        if not session.is_open:
            return
        namespace.context.take_loop()
        dialect = namespace.dialect_for(session.path)
        link = self._links[name] = NamespaceLink(session, dialect, packet.data, self._taken)
        if self._timer is not None:
            self._timer.cancel()
        task = asyncio.get_running_loop().create_task(namespace.serve(link))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, link))

    def _ended(self, link: NamespaceLink, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._taken(link.clear())
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
            self._session.abort()
        self._change()
        self._expect_connect()

    def _expect_connect(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._session.is_open and all(link.is_over for link in self._links.values()):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CONNECT_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        reason = f"expected a CONNECT within {CONNECT_TIMEOUT_S:g} s, got none"
        _ = self._namespaces["/"].context.loop.start(self._close(reason, POLICY))

    async def _say(self, message: PreparedMessage) -> None:
        dialect = self._namespaces["/"].dialect_for(self._session.path)
        while not self._session.is_closing and not self._session.write(message, dialect):
            await self._session.drain()
            await asyncio.sleep(0)

    async def _close(self, reason: str, code: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE_S):
                await self._session.close(reason, code)
                return
        self._session.abort()


def _not_connected(namespace: str) -> ProtocolViolation:
    return ProtocolViolation("not-connected", f"a CONNECT to {namespace!r:.60} first", "a packet")
