"""StockClient: python-socketio's own client, on an event loop of its own, for a check to steer.

Its rule: it is the client that people install, unchanged, and the check blocks on it within a
bound. What that client raises in the background, where it would only be logged, is kept in
``troubles``. Without python-socketio there is none: then the check says what to install.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from ..calls.waiting import is_set_within
from ..failures import in_words
from ..loops.portal import Portal
from .exercises import Miss
from .learner_loop import end_loop

__all__ = ["StockClient"]

_SPARE_S = 2.0  # beside what the client itself waits
_MAX_TROUBLES = 10
_SILENT = logging.getLogger("wslab.learn.stock_client")  # else its errors stand below the cell
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class StockClient:
    """A Socket.IO client as people install it, for a ``with`` block.

    Args:
        url: of the server, ws:// or http://.
        events: names of the events that ``heard`` shall have.
        transports: such as ``["websocket"]``; polling first, then the upgrade, by default.
        wait_s: seconds for connecting, and for an answer.

    Attributes:
        heard: (event, arguments) in the order in which they came.
        troubles: what it raised in the background, in words.

    Raises:
        Miss: python-socketio or aiohttp is not installed.
    """

    def __init__(
        self,
        url: str,
        events: Sequence[str] = (),
        *,
        transports: Sequence[str] | None = None,
        wait_s: float = 3.0,
    ) -> None:
        try:
            import aiohttp  # noqa: F401  # it speaks by aiohttp, which it does not bring along
            import socketio
        except ImportError as exc:
            raise Miss(
                "python-socketio and aiohttp, the client of this check",
                f"{exc}",
                "`pip install python-socketio aiohttp`, or the extra wslab[lab]",
            ) from None
        self.url = url
        self.transports = None if transports is None else list(transports)
        self.wait_s = wait_s
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        self.troubles: list[str] = []
        self._came = threading.Event()
        self._portal = Portal("stock client")
        self._portal.loop.set_exception_handler(self._keep)
        self._client: Any = self._portal.call(self._make, socketio, tuple(events), timeout=wait_s)

    def _make(self, socketio: Any, events: tuple[str, ...]) -> Any:
        client = socketio.AsyncClient(
            reconnection=False, handle_sigint=False, logger=_SILENT, engineio_logger=_SILENT
        )

        def listen(event: str) -> None:
            def heard(*args: Any) -> None:
                self.heard.append((event, args))
                self._came.set()

            client.on(event, heard)

        for event in events:
            listen(event)
        return client

    def _keep(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        if len(self.troubles) < _MAX_TROUBLES:
            self.troubles.append(in_words(exc) if exc else str(context.get("message")))

    @property
    def is_connected(self) -> bool:
        """Whether it takes itself for connected."""
        return bool(self._client.connected)

    @property
    def id(self) -> str | None:
        """The id that the server gave it in the namespace /."""
        found = self._client.namespaces.get("/")
        return None if found is None else str(found)

    @property
    def transport(self) -> str:
        """What it speaks by now: "polling" or "websocket"."""
        return str(self._client.transport())

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            return await getattr(self._client, name)(*args, **kwargs)

        return self._portal.call(run, timeout=self.wait_s + _SPARE_S)

    def connect(self, auth: Any = None) -> None:
        """Connect, and wait until the namespace / is connected.

        Raises:
            Exception: the client's own, or TimeoutError.
        """
        self._call(
            "connect", self.url, auth=auth, transports=self.transports, wait_timeout=self.wait_s
        )

    def emit(self, event: str, *args: Any) -> None:
        """Send an event. Raises what the client raises."""
        self._call("emit", event, args)

    def ask(self, event: str, *args: Any) -> Any:
        """Send an event that wants an answer, and return it. Raises what the client raises."""
        return self._call("call", event, args, timeout=self.wait_s)

    def ask_at_once(self, event: str, each: Sequence[Any]) -> list[Any]:
        """Send several such events before the first answer, and return the answers in order."""

        async def run() -> list[Any]:
            asked = [self._client.call(event, one, timeout=self.wait_s) for one in each]
            return list(await asyncio.gather(*asked))

        answers: list[Any] = self._portal.call(run, timeout=self.wait_s + _SPARE_S)
        return answers

    def hears(self, event: str, *args: Any, wait_s: float | None = None) -> bool:
        """Wait until an event with these arguments has come; return whether it has, in time."""
        end_s = time.monotonic() + (self.wait_s if wait_s is None else wait_s)
        while (event, args) not in self.heard:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return False
            is_set_within(self._came, left_s)
            self._came.clear()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            self._call("disconnect")
        except Exception as problem:  # it is to go, one way or the other
            self.troubles.append(in_words(problem))
        finally:
            end_loop(self._portal)
