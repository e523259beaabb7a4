"""The client's side of a record, played against a server.

Its rule: it is a plain user of `connect()`, on the caller's own thread, and waits for the end; what
to do next is for `player` to say. A server that cannot be reached at all is no difference but an
error, as in `connect()`.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, NoReturn

from websockets.exceptions import ConnectionClosed

from ..client.client import Client
from ..client.connect import connect
from ..errors import HandshakeRefused
from ..loops import portals
from .differences import Difference, DifferenceLog
from .endings import CATCH_S, note_closed
from .matching import Matcher
from .player import Abort, Action, Catch, Close, Ping, Player, Send
from .run import Run
from .script import Script

__all__ = ["play_client"]

END_S = 10.0  # for a connection that is closed to be gone


def play_client(
    script: Script,
    target: Any,
    matcher: Matcher,
    log: DifferenceLog,
    *,
    factor: float,
    timeout_s: float,
    kwargs: dict[str, Any],
) -> Client | None:
    """Play a script to its end, and return the client; None where it was refused.

    Args:
        script: what to play.
        target: a Server or a URL.
        matcher: compares what the server sends.
        log: takes the differences.
        factor, timeout_s: see :class:`Player`.
        kwargs: of :func:`connect`.

    Raises:
        ConnectFailed: see :func:`connect`; a refusal is none.
    """

    def differ(expected: str, seen: str) -> None:
        log.add(Difference("handshake", script.name, "server", expected, seen))

    try:
        client = connect(target, **kwargs)
    except HandshakeRefused as exc:
        if exc.status != script.response.status:
            differ(_answer(script), f"status {exc.status}")
        return None
    with client:
        if script.is_refusal:
            differ(_answer(script), "status 101, an open connection")
            return client
        if client.subprotocol != script.subprotocol:
            differ(f"the subprotocol {script.subprotocol}", f"{client.subprotocol}")
        player = Player(
            Run(1, script, client.id),
            "client",
            matcher,
            log,
            factor=factor,
            timeout_s=timeout_s,
            now_s=time.monotonic(),
        )
        try:
            _play(client, player, timeout_s)
        except Exception as exc:
            player.fail("error", "a replay to its end", f"{type(exc).__name__}: {exc}"[:1000])
            raise
    return client


def _answer(script: Script) -> str:
    return f"the answer {script.response.status} {script.response.reason}".rstrip()


def _play(client: Client, player: Player, timeout_s: float) -> None:
    while not player.is_over:
        action = player.next(time.monotonic())
        try:
            _do(client, player, action, timeout_s)
        except ConnectionClosed as exc:
            with contextlib.suppress(ConnectionClosed):
                _take_all(client, player)  # what had come before the end
            note_closed(player, exc, was_busy=isinstance(action, Send | Ping))


def _do(client: Client, player: Player, action: Action, timeout_s: float) -> None:
    if isinstance(action, Send):
        try:
            client.send(action.data, timeout_s)
        except TimeoutError:
            player.fail("error", "a server that reads", f"none within {timeout_s:g} s")
    elif isinstance(action, Ping):
        with contextlib.suppress(TimeoutError):
            client.ping(timeout_s)
    elif isinstance(action, Catch):
        with contextlib.suppress(TimeoutError):  # it answers no pings
            client.ping(CATCH_S)
        while player.comparison.seen < client.counts[0]:
            player.message(client.recv(CATCH_S), time.monotonic())
    elif isinstance(action, Close):
        client.close(1000 if action.code == 1005 else action.code, action.reason)
        _take_all(client, player)
    elif isinstance(action, Abort):
        portals.lab().call(_abort, client, timeout=END_S)
        _take_all(client, player)
    else:
        try:
            message = client.recv(action.at_most_s)
        except TimeoutError:
            return
        player.message(message, time.monotonic())


def _take_all(client: Client, player: Player) -> NoReturn:
    """Take what comes up to the end.

    Raises:
        ConnectionClosed: how it ended.
        TimeoutError: it does not end.
    """
    while True:
        player.message(client.recv(END_S), time.monotonic())


async def _abort(client: Client) -> None:
    client.websocket.transport.abort()
