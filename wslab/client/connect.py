"""connect(): opens a client of a server, for plain, synchronous code in a cell.

Its rule: when it returns the connection is open, and when it raises nothing is left behind. Running
its cell again closes what that had connected before.
"""

from __future__ import annotations

import concurrent.futures
import itertools
from typing import Any

from ..loops import portals
from ..loops.portal import Portal
from ..network.recording import new_tape
from ..notebook import cells
from ..wire.tape.tape import Tape
from .arguments import Addressed, Destination, check_known, destination_of
from .backoff import Reconnect
from .client import Client
from .opener import OPEN_TIMEOUT_S
from .token import Given, Token

__all__ = ["begin_connect", "connect"]

_numbers = itertools.count(1)


def begin_connect(
    url: str, runner: Portal, *, name: str, tape: Tape, max_waiting: int, **kwargs: Any
) -> tuple[Client, concurrent.futures.Future[None]]:
    """Start connecting on a loop of the caller's own, outside all cells, without waiting.

    Returns:
        The client, and a future that is done when it is open or could not be opened.
    """
    destination = Destination(url, None, kwargs)
    client = Client(destination, name=name, runner=runner, max_waiting=max_waiting, tape=tape)
    return client, runner.submit(client._life.open)


def connect(
    target: Addressed | str,
    *,
    name: str | None = None,
    max_waiting: int = 1024,
    keep: bool = False,
    record: bool | int = True,
    compression: str | None = None,
    token: Given | None = None,
    reconnect: bool | Reconnect = False,
    **kwargs: Any,
) -> Client:
    """Connect to a server; the connection is open when the call returns.

    Every other keyword of ``websockets.connect`` is handed on as it is. Running the cell again
    closes the old connection.

    Args:
        target: a Server, or any ``ws://`` or ``wss://`` URL.
        name: how views call it; "client 1", "client 2", ... by default.
        max_waiting: how many messages (at most 16 MiB of them) may wait for recv() before the
            sender is slowed down.
        keep: do not close this client when its cell runs again.
        record: put every byte on ``client.tape``, 16 MiB at the most; a number sets another bound
            in bytes. False keeps no byte; messages are still counted.
        compression: off by default, unlike in websockets, so that what you see on the wire is what
            was sent; ``"deflate"`` offers it (RFC 7692).
        token: shows who this is: sent as ``Authorization: Bearer TOKEN`` (RFC 6750 §2.1). A
            function is asked for it before each connection, on a thread unless it is an ``async
            def``; with ``reconnect``, a client that has one comes back also from 4401 (expired).
        reconnect: come back when the connection breaks off: True, or a :class:`Reconnect` with
            delays of your own. See below.
        kwargs: ``subprotocols``, ``additional_headers``, ``origin``, ``ssl``, ``ping_interval``,
            ``open_timeout`` (10 s) and all others of ``websockets.connect``.

    With ``reconnect`` the same Client survives its connection. Where that ends without anybody's
    having meant it (TCP breaks off, the server restarts or is too busy: 1001, 1006, 1011 to 1014),
    it tries again until it is open, with growing delays and full jitter; ``client.state`` is
    CONNECTING meanwhile, and ``client.reconnects`` lists the attempts. recv() and iteration wait
    across it, send() waits until it is open again, emit() keeps events until then. Final are
    close(), every other close code, a refusal such as 403 or 404, and a re-run of its cell. The
    first connection is tried once, as ever.

    ``Reconnect(on_open=...)`` names a function that is called with the client on each opening, the
    first included: to subscribe to a feed again, to say who one is. A plain one runs on a thread
    (the first time on the caller's own) and may use all of the client: send, recv, call; an
    ``async def`` runs on the lab's loop, where it awaits ``client.websocket``. What it raises at
    the first opening is raised here, and the client closed; what it raises later is kept in
    ``client.errors`` and shown, and the connection stays open. One call runs at a time: when its
    connection breaks off, the client raises ConnectionClosed in it, and the next opening has a call
    of its own. What other code sends meanwhile is not held back.

    From a Hub with a history every event then comes once, in order, and to it: the client names
    itself by ``?session=...`` in the URL, a secret that it makes up. ``client.gap`` says where that
    could not be kept. Any other server knows nothing of this: what either side sent around the
    moment of the break, or while there was no connection, is lost, and nobody is told.

    Raises:
        BadURL: not a WebSocket URL.
        TypeError: nobody knows a keyword: it says which one is nearest.
        ValueError: a header of your own that HTTP cannot carry, or another wrong argument.
        NobodyListening: nothing listens there.
        HandshakeRefused: something answered, but not with 101 (RFC 6455 §4.1).
        HandshakeTimeout: no answer came in time.
        ConnectFailed: the host is unknown, TLS failed, or another reason; the message says.
        WrongThread: called on the lab's loop, or from a cell to a server on the kernel's loop.
    """
    check_known(kwargs, connect)
    policy = Reconnect.from_argument(reconnect)
    if policy is not None and kwargs.get("sock") is not None:
        raise ValueError("expected no sock= with reconnect: a socket can be connected only once")
    if max_waiting < 1:
        raise ValueError(f"expected max_waiting of at least 1 message, got {max_waiting}")
    destination = destination_of(target, {**kwargs, "compression": compression})
    if token is not None:
        destination = destination._replace(token=Token(token, destination.kwargs))
    claim = cells.claim("client", keep=keep)
    name = name or f"client {next(_numbers)}"
    client = Client(
        destination,
        name=name,
        runner=portals.lab(),
        max_waiting=max_waiting,
        tape=new_tape(record, name=name),
        reconnect=policy,
    )
    open_timeout = destination.kwargs.get("open_timeout", OPEN_TIMEOUT_S)
    client._open(None if open_timeout is None else open_timeout + 1.0)
    claim.adopt(client)
    if client._life.gone.is_set():  # closed by the server at once, before it was entered
        cells.forget(client)
    return client
