"""The exceptions of wslab. Each says what was expected, what came, and what to do next.

    WslabError
    ├── ConnectFailed            also a ConnectionError
    │   ├── NobodyListening      also a ConnectionRefusedError
    │   ├── HandshakeRefused     .status, .headers, .body: it answered, but not with 101
    │   └── HandshakeTimeout     also a TimeoutError
    ├── BadURL                   also a ValueError
    ├── PortInUse                also an OSError
    ├── LoopBlocked              also a TimeoutError: something holds the event loop
    ├── WrongThread              also a RuntimeError: waiting here would wait for itself
    ├── PortalClosed             also a RuntimeError
    ├── NestingRefused           also a RuntimeError: see allow_nested_loops()
    ├── BadPacket                also a ValueError: no packet of a hub
    ├── Refused                  .data: raise it in a Hub's handler; its text is for the client
    ├── CallFailed               .code: the other side answered a call() with an error
    ├── ClientGone               also a ConnectionError: it left before it answered
    └── BackplaneDown            also a ConnectionError: what a hub's processes share is not there

A connection that ends raises what ``websockets`` raises (``ConnectionClosed`` and its two
children), so that code written for ``websockets`` catches it unchanged.

Below them are two questions to an exception that somebody else's code let through.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = [
    "BackplaneDown",
    "BadPacket",
    "BadURL",
    "CallFailed",
    "ClientGone",
    "ConnectFailed",
    "HandshakeRefused",
    "HandshakeTimeout",
    "LoopBlocked",
    "NestingRefused",
    "NobodyListening",
    "PortInUse",
    "PortalClosed",
    "Refused",
    "WrongThread",
    "WslabError",
    "is_cancelled",
]


class WslabError(Exception):
    """Base of every exception that wslab itself raises."""


class ConnectFailed(WslabError, ConnectionError):
    """The connection did not open."""


class NobodyListening(ConnectFailed, ConnectionRefusedError):
    """Nothing listens at that address: TCP was refused before any byte of HTTP."""


class HandshakeRefused(ConnectFailed):
    """An HTTP server answered, but not with 101 Switching Protocols (RFC 6455 §4.1).

    Args:
        message: the whole sentence for the reader.
        status: the HTTP status code that came, or 0 where the answer was no HTTP at all.
        headers: name and value of each header of the answer, in order.
        body: the answer's body, as far as it was read.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = body


class HandshakeTimeout(ConnectFailed, TimeoutError):
    """TCP opened, but no answer to the handshake came in time."""


class BadURL(WslabError, ValueError):
    """This is not a ``ws://`` or ``wss://`` URL (RFC 6455 §3)."""


class PortInUse(WslabError, OSError):
    """Another server listens on that port already."""


class LoopBlocked(WslabError, TimeoutError):
    """Something holds the event loop, so that nothing else on it can run."""


class WrongThread(WslabError, RuntimeError):
    """A call that waits was made on the very thread that it would wait for."""


class PortalClosed(WslabError, RuntimeError):
    """The event loop that this belongs to has been closed."""


class NestingRefused(WslabError, RuntimeError):
    """Event loops cannot be nested here."""


class BadPacket(WslabError, ValueError):
    """A text frame that is no packet of a hub; ``is_raw``: nor was it meant to be one.

    ``id`` is the number by which its sender waits for an answer, where that could be read; ``code``
    the word by which it is told.
    """

    def __init__(self, message: str, *, is_raw: bool = False, code: str = "bad-packet") -> None:
        super().__init__(message)
        self.is_raw = is_raw
        self.code = code
        self.id: int | None = None


class Refused(WslabError):
    """Raise it in a Hub's handler to say no; the text goes to the client as it is.

    In a ``connect`` handler the client is closed with 1008 (policy violation, RFC 6455 §7.4.1) and
    the text as the reason (a Socket.IO client gets CONNECT_ERROR); where it authenticates, the
    handshake is answered with the status, and the text as the body; in any other handler the sender
    gets it as an error.

    Args:
        message: the text.
        data: what a client that is turned away is told beside it: anything that JSON can hold.
        status: where it authenticates: 403, as by default, for somebody who is known and not
            allowed; 401 for credentials that are none, bad, or expired.

    Raises:
        ValueError: it is neither.
    """

    def __init__(self, message: str = "", *, data: Any = None, status: int | None = None) -> None:
        super().__init__(message)
        if status not in (None, 401, 403):
            raise ValueError(
                f"expected status=401 (other credentials may help) or 403 (they would not), got "
                f"{status!r}"
            )
        self.data = data
        self.status = status


class CallFailed(WslabError):
    """The other side answered a ``call()`` with an error.

    Args:
        message: what it said.
        code: the word by which a program knows it: ``failed``, ``refused``, ``unknown-event``, ...
    """

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code


class ClientGone(WslabError, ConnectionError):
    """A client of a hub left before it answered."""


class BackplaneDown(WslabError, ConnectionError):
    """What the processes of one hub share is not there now, or did not answer in time."""


def is_cancelled(exc: BaseException) -> bool:
    """Whether the task that runs is being cancelled, other than by a handler that raised this."""
    if not isinstance(exc, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
