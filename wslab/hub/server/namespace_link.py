"""The link of one namespace: a part of an Engine.IO session, which several may share.

Its rule: what it is given waits here until it is taken, and whoever gives has to ask how much that
is. It says what is written in its own dialect, and ends by itself: the session goes on, unless what
ended it was a violation.
"""

from __future__ import annotations

import asyncio
import collections
import uuid
from collections.abc import Callable
from typing import Any

from ..dialects.dialect import Dialect
from ..dialects.socket_io import SocketIo
from ..engineio.session import EngineSession
from .link import Closed
from .prepared_message import PreparedMessage

__all__ = ["NamespaceClosed", "NamespaceLink"]

OWN_BYTES = 64  # what a message that waits takes beside its own


class NamespaceClosed(Exception):
    """What receiving raises once a namespace has been left, or its session has ended."""


class NamespaceLink:
    """One client in one namespace; a `Link`, with what the session's messages and ends do to it.

    So it has more public members than most classes here: fifteen are what every link has.

    Args:
        session: that carries it.
        dialect: of the namespace.
        auth: what the client has introduced itself with.
        taken: called with the bytes of each message that has been taken.
    """

    __slots__ = (
        "_closed", "_has_all", "_is_over", "_may_recover", "_messages", "_reader",
        "_session", "_taken", "_tell_lost", "_was_left", "auth", "dialect", "headers",
        "id", "path",
    )  # fmt: skip

    closed_error: type[Exception] = NamespaceClosed

    def __init__(
        self, session: EngineSession, dialect: SocketIo, auth: Any, taken: Callable[[int], None]
    ) -> None:
        self._session = session
        self._taken = taken
        self._messages: collections.deque[str | bytes] | None = None  # an idle one needs none
        self._reader: asyncio.Future[None] | None = None
        self._tell_lost: Callable[[], object] | None = None
        self._closed: Closed | None = None
        self._is_over = self._has_all = self._was_left = False
        self._may_recover = dialect.may_recover
        self.auth = auth
        self.dialect: Dialect = dialect
        self.id = uuid.uuid4()
        self.path, self.headers = session.path, session.headers

    @property
    def connection(self) -> Any:
        return self._session.connection  # which is another one after an upgrade

    @property
    def address(self) -> tuple[str, int] | None:
        return self._session.address

    @property
    def is_open(self) -> bool:
        return not self._is_over and self._session.is_open

    @property
    def is_closing(self) -> bool:
        return self._is_over or self._session.is_closing

    @property
    def is_writable(self) -> bool:
        return not self._is_over and self._session.is_writable

    @property
    def is_served(self) -> bool:
        server = getattr(self.connection, "server", None)
        return server is None or bool(server.is_serving())

    @property
    def closed(self) -> Closed | None:
        return self._closed

    @property
    def said_goodbye(self) -> bool:
        # Closing the session says no such thing: a stock client does so also to come back.
        return self._was_left or not self._may_recover

    # Messages.

    async def receive(self) -> str | bytes:
        while not self._messages:
            if self._has_all:
                raise NamespaceClosed("the namespace was left, or its connection has ended")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.popleft()
        if not self._messages:
            self._messages = None
        self._taken(len(message) + OWN_BYTES)
        return message

    def give(self, message: str | bytes) -> int:
        """Let a message wait to be received, and return its bytes."""
        if self._messages is None:
            self._messages = collections.deque()
        self._messages.append(message)
        self._wake()
        return len(message) + OWN_BYTES

    def clear(self) -> int:
        """Let go of what waits, since nobody will receive it, and return its bytes."""
        waiting, self._messages = self._messages or (), None
        return sum(len(message) + OWN_BYTES for message in waiting)

    def speak(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def write(self, message: PreparedMessage) -> bool:
        return not self._is_over and self._session.write(message, self.dialect)

    async def drain(self) -> None:
        await self._session.drain()

    # Its end.

    async def close(self, code: int, reason: str, word: PreparedMessage | None = None) -> None:
        if word is None or not word.size_bytes:  # it ends with the session, which says so
            await self._session.close(reason, code)
        else:
            while not self.is_closing and not self.write(word):
                await self._session.drain()
                await asyncio.sleep(0)
        self.end(Closed(code, reason, False))
        self.have_all()

    def abort(self) -> None:
        if not self._is_over:
            self._session.abort()

    def when_lost(self, tell: Callable[[], object]) -> None:
        self._tell_lost = tell
        if self._is_over:
            asyncio.get_running_loop().call_soon(tell)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, though what came before may still wait."""
        return self._is_over

    def leave(self) -> None:
        """Note that the client has left the namespace: nothing more will come of it."""
        self._was_left = True
        self.end(Closed(1000, "left the namespace", True))
        self.have_all()

    def end(self, closed: Closed | None) -> None:
        """Note that it has ended, and how; what has come may still be received."""
        if self._is_over:
            return
        self._is_over, self._closed = True, closed
        if self._tell_lost is not None:
            asyncio.get_running_loop().call_soon(self._tell_lost)

    def have_all(self) -> None:
        """Note that nothing more will come."""
        self._has_all = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
