"""Opens the connections of one client with ``websockets.connect``, and says why one did not open.

Its rule: every keyword of websockets is handed on as it is; all that is added is the recording at
the transport. Whether and when to open another one is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from websockets.asyncio import client as ws_client

from ..errors import WslabError
from ..loops import fork
from ..network.networks import OneNetwork
from ..network.recording import recorded
from ..websockets_compat import attempts
from ..websockets_compat.endings import end_cancelled
from ..wire.tape.tape import Tape
from .arguments import Destination
from .connection import Connection, direct
from .incoming import Incoming
from .open_diagnosis import Attempted, not_opened
from .urls import with_query

__all__ = ["OPEN_TIMEOUT_S", "Opener"]

OPEN_TIMEOUT_S = 10.0  # websockets' own, where none is given

# A child of websockets' own, so that what its documentation says of logging holds; silent unless
# the user configures one of the two.
logger = logging.getLogger("websockets.client.wslab")
logger.addHandler(logging.NullHandler())


class Opener:
    """How one client gets a connection, the first and each later one.

    Args:
        destination: where to, and with which keywords of websockets.
        label: how views call the connections.
        tape: what to record on, if anything.
        incoming: where the messages go.
        lost: called with a connection that is gone.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        label: str,
        tape: Tape | None,
        incoming: Incoming,
        lost: Callable[[Connection], object],
    ) -> None:
        self.latest: Connection | None = None  # which may still be in its handshake
        self._tried: Connection | None = None  # the one in its handshake
        self._url = destination.url
        self._server = destination.server
        self._token = destination.token
        self._label = label
        self._counted = (0, 0, 0, 0)  # on connections before the latest
        self._incoming = incoming
        self._told_lost: Callable[[Connection], object] | None = lost
        self.network = OneNetwork()
        self._attempted: Attempted | None = None  # where the last attempt got to
        kwargs = dict(destination.kwargs)
        base: Any = kwargs.pop("create_connection", None) or ws_client.ClientConnection
        if getattr(base, "recv", None) is ws_client.ClientConnection.recv:
            base = direct(base)
        kwargs["create_connection"] = recorded(
            base, self._made, self._lost, side="client", tape=tape, networks=self.network
        )
        kwargs.setdefault("logger", logger)
        self._kwargs = kwargs

    async def open(self, query: list[tuple[str, str]]) -> Connection:
        """Open a connection; the query is added to the URL's own."""
        self._counted = self.counts
        url = with_query(self._url, query) if query else self._url
        kwargs = self._kwargs
        if self._token is not None:
            headers = await self._token.headers(kwargs.get("additional_headers"))
            kwargs = {**kwargs, "additional_headers": headers}
        connector = ws_client.connect(url, **kwargs)
        try:
            if self.network.conditions.is_cut:
                await self._until_whole()
            await connector
        except AssertionError:
            # What a server that speaks first (SSH, SMTP) does to websockets; it knows the reason.
            tried = self._tried
            failure = attempts.handshake_failure(tried.websocket) if tried is not None else None
            if failure is None:
                raise
            raise failure from failure.__cause__
        except asyncio.CancelledError:
            if self._tried is not None:
                end_cancelled(self._tried.websocket)
            raise
        finally:
            tried, self._tried = self._tried, None
            reached = tried is not None and attempts.has_reached(connector, tried.websocket)
            proxy = None if reached else attempts.proxy_of(connector)
            last = attempts.url_of(connector)
            # A query of ours makes it no other place.
            self._attempted = Attempted(self._url if last == url else last, proxy)
        assert tried is not None
        return tried

    async def _until_whole(self) -> None:
        """Let nothing through to a server over a line that is cut, not even TCP's first packet."""
        try:
            async with asyncio.timeout(self._kwargs.get("open_timeout", OPEN_TIMEOUT_S)):
                await self.network.conditions.until_whole()
        except TimeoutError:
            raise TimeoutError("timed out while connecting: the line is cut") from None

    def _made(self, websocket: Any, transport: Any) -> None:
        # A redirect makes several of them, one after the other; the last one counts.
        self.latest = Connection(websocket, transport, self._incoming, self._label)
        self._tried = self.latest

    def _lost(self, websocket: Any) -> None:
        fork.closed_in_child.discard(websocket.traffic.fileno)
        latest = self.latest
        if self._told_lost is not None and latest is not None and latest.websocket is websocket:
            self._told_lost(latest)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Messages received, messages sent, bytes received, bytes sent."""
        if self.latest is None:
            return self._counted
        traffic = self.latest.traffic
        now = (traffic.received, traffic.sent, traffic.received_bytes, traffic.sent_bytes)
        received, sent, received_bytes, sent_bytes = map(sum, zip(now, self._counted, strict=True))
        return (received, sent, received_bytes, sent_bytes)

    def explained(self, exc: Exception) -> WslabError | None:
        """Say what went wrong, and where: at a proxy, or where a redirect led to."""
        return not_opened(exc, self._url, self._server, self._attempted)

    def forget(self) -> None:
        """Let go of what leads back to the client, when nothing more will follow."""
        self._kwargs, self._token = {}, None
        self._told_lost = None
