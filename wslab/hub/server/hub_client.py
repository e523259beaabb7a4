"""One client of a hub, as the hub's handlers see it: who it is, and what can be said to it.

Its rule: it shows a `Connection` and has nothing of its own; all of it works from any thread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.frames import EXTERNAL_CLOSE_CODES

from ...calls.waiting import finite
from ...errors import Refused
from ...identity.identity import Identity, check_expiry
from .connection import Connection
from .delivery import Delivery
from .emitter import check_attachments, check_own, said_of
from .registry import check_room

__all__ = ["HubClient", "connection_of"]


class HubClient:
    """One connection, as the hub's handlers see it; made by the hub.

    It has more public members than a class of ours should: they are what the course and the
    README name, and each of them is one question or one deed.

    Attributes:
        websocket: the websockets connection itself, for the hub's loop only; None while a Socket.IO
            client speaks HTTP. What is sent on it directly may overtake what waits in the backlog.
        data: a dict of your own; it outlives the connection where the hub keeps sessions.
        since: when it connected, in seconds since the epoch.
        is_resumed: whether it continues an earlier connection's session.
    """

    __slots__ = ("__weakref__", "_connection")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # Who it is.

    @property
    def websocket(self) -> Any:
        return self._connection.link.connection

    @property
    def data(self) -> dict[Any, Any]:
        return self._connection.session_part.data

    @data.setter
    def data(self, data: dict[Any, Any]) -> None:
        self._connection.session_part.data = data

    @property
    def since(self) -> float:
        return self._connection.since

    @property
    def is_resumed(self) -> bool:
        return self._connection.session_part.is_resumed

    @property
    def id(self) -> str:
        """What it goes by while it is connected: short, and nobody else's.

        A Socket.IO client knows it as ``socket.id``, and has it again after a recovery.
        """
        return self._connection.id

    @property
    def full_id(self) -> str:
        """The connection's id in full (a random UUID); ``id`` is its beginning."""
        return str(self._connection.link.id)

    @property
    def user_id(self) -> str:
        """Who it is, for everybody to see: the same after it came back, as its session is.

        Unlike ``session`` it is no secret. It is what ``authenticate`` has found out; without such
        a handler the hub makes one up, and where it keeps no history either, it is ``id``.
        """
        return self._connection.session_part.user_id or self.id

    @property
    def identity(self) -> Identity | None:
        """What ``authenticate`` has returned for it, last; None without such a handler."""
        return self._connection.session_part.identity

    @property
    def expires_at(self) -> float | None:
        """When its identity ends, in seconds since the epoch, and with it the connection (4401).

        Set it to another moment, or to None for never. A client renews it by the event
        ``authenticate`` with ``{"token": "..."}``, which is answered with the new one.
        """
        return self._connection.expires_at

    @expires_at.setter
    def expires_at(self, at: float | None) -> None:
        check_expiry(at)
        connection = self._connection

        def set_it() -> None:
            connection.expires_at = at

        connection.context.loop.run(set_it)

    @property
    def may_return(self) -> bool:
        """Whether its session is kept, so that it may come back, or has done so already."""
        return self._connection.session_part.is_kept

    @property
    def name(self) -> str | None:
        """What your handlers call it; None until one sets it, of at most `Limits.name_bytes`."""
        return self._connection.session_part.name

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"expected a name as a str, or None, got {type(name).__name__}")
        context = self._connection.context
        most = context.settings.limits.name_bytes
        if name is not None and len(name) * 4 > most < len(name.encode(errors="replace")):
            context.limited["name_bytes"] += 1
            raise Refused(f"expected a name of at most {most} bytes (Limits(name_bytes=...))")
        if context.backplane.is_shared:
            context.loop.run(self._set_name_for_all, name)
        else:
            self._connection.session_part.name = name

    def _set_name_for_all(self, name: str | None) -> None:
        self._connection.session_part.name = name  # which is written down, on the loop
        self._connection.announce()

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it is in; once it is gone, those that it was in at the end."""
        return self._connection.rooms

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the other end of the TCP connection."""
        return self._connection.link.address

    @property
    def path(self) -> str:
        """The path that was asked for, with its query; what names a session in it is left out."""
        link = self._connection.link
        return link.dialect.shown_path(link.path)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of its request, by names in any case: its cookies, say, or its Origin."""
        return self._connection.link.headers

    @property
    def query(self) -> dict[str, str]:
        """The query of that path, such as {"name": "bob"} of ``/chat?name=bob``."""
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def auth(self) -> Any:
        """What a Socket.IO client has introduced itself with (its ``auth``); None for others."""
        link = self._connection.link
        return link.dialect.shown_auth(link.auth)

    @property
    def session(self) -> str:
        """The token by which it can come back; "" where the hub keeps no history."""
        return self._connection.session_part.token

    @property
    def is_open(self) -> bool:
        """Whether its connection is open and the hub has not parted with it."""
        return self._connection.is_open

    @property
    def open_s(self) -> float:
        """How long it has been connected, in seconds."""
        return self._connection.open_s

    @property
    def received(self) -> int:
        """Messages that came from it."""
        return self._connection.reader.received

    @property
    def sent(self) -> int:
        """Messages that were handed to TCP for it."""
        return self._connection.send_queue.sent

    @property
    def queued(self) -> int:
        """Messages that wait in its backlog."""
        return len(self._connection.send_queue)

    @property
    def dropped(self) -> int:
        """Messages that its full backlog has lost."""
        return self._connection.send_queue.dropped

    def __repr__(self) -> str:
        name = f" {self.name!r:.60}" if self.name is not None else ""
        rooms = ", ".join(sorted(self.rooms)) or "no room"
        slow = f", {self.queued} queued" if self.queued else ""
        slow += f", {self.dropped} dropped" if self.dropped else ""
        gone = f", {self._connection.state.value}" if self._connection.is_gone else ""
        return f"<HubClient {self.id}{name}, in {rooms}{slow}{gone}>"

    def __str__(self) -> str:
        return self.name if self.name is not None else self.id

    # What handlers do with it.

    def join(self, room: str, *rooms: str) -> bool:
        """Put it into a room, or several; return whether it was not in all of them before.

        Raises:
            TypeError, ValueError: not a room's name; then it joins none of them.
            Refused: that is more than the hub's `Limits` allow; its client is told.
        """
        names = [check_room(each) for each in (room, *rooms)]
        return self._for_each(self._connection.join, names)

    def leave(self, room: str, *rooms: str) -> bool:
        """Take it out of a room, or several; return whether it was in one of them.

        Raises:
            TypeError, ValueError: not a room's name; then it leaves none of them.
        """
        names = [check_room(each) for each in (room, *rooms)]
        return self._for_each(self._connection.leave, names)

    def _for_each(self, do: Callable[[str], bool], rooms: list[str]) -> bool:
        return any(self._connection.context.loop.run(lambda: [do(room) for room in rooms]))

    def emit(self, event: str, data: Any = None, *, key: str | None = None) -> Delivery:
        """Send it an event; see :meth:`Hub.emit`."""
        return self._connection.context.emit(event, data, to=self, key=key)

    def call(self, event: str, data: Any = None, timeout: float | None = 5.0) -> Any:
        """Send it an event and return its answer.

        In an ``async def`` it is awaited: ``answer = await client.call("pick", [1, 2])``. In a
        plain ``def`` handler, which runs on a thread, it waits and returns the answer itself. It is
        the same under ``websockets.serve`` and ``wslab.serve``; from a cell:
        ``wslab.run(client.call, "pick", [1, 2])``.

        Args:
            event: the event's name.
            data: what it carries.
            timeout: seconds to wait for the answer; None waits until the client leaves.

        Raises:
            ValueError: a Socket.IO client takes no more than 10 values of bytes.
            CallFailed: the client answered with an error.
            ClientGone: it left before it answered.
            TimeoutError: no answer came in time.
            WrongThread: it would wait for the very loop that it is called on.
        """
        check_own(event)
        connection = self._connection
        context = connection.context
        said = said_of(event, data, context.settings.dumps)
        check_attachments(said, connection)
        timeout = finite(timeout)
        return context.loop.ask(functools.partial(connection.call, said, timeout), timeout)

    def disconnect(self, code: int = 1000, reason: str = "") -> None:
        """Send it away: it leaves all rooms now, and gets a close frame (RFC 6455 §7.1.2).

        Its session ends, too. A client that does not answer the close frame is cut off. A Socket.IO
        client is told that it is disconnected, and keeps its other namespaces; code and reason have
        no place there.

        Args:
            code: 1000 (normal), or one of your own between 4000 and 4999.
            reason: at most 123 bytes of UTF-8.

        Raises:
            ValueError: not a code that may be sent, or too long a reason.
        """
        if type(code) is not int or not (code in EXTERNAL_CLOSE_CODES or 3000 <= code < 5000):
            raise ValueError(
                f"expected a close code that may be sent, such as 1000, or 4000 to 4999 for what "
                f"your application means, got {code!r} (RFC 6455 §7.4)"
            )
        if len(reason.encode()) > 123:
            raise ValueError(
                f"expected a reason of at most 123 bytes, got {len(reason.encode())}: a close "
                "frame holds 125, and the code takes two (RFC 6455 §5.5)"
            )
        connection = self._connection
        connection.context.loop.run(
            functools.partial(connection.send_away, code, reason, ends_session=True)
        )


def connection_of(client: HubClient) -> Connection:
    """Return the connection that a client shows, for the hub itself."""
    return client._connection
