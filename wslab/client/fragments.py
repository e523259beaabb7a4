"""The fragments of one message (RFC 6455 §5.4): what may be one, and who makes them.

Its rule: a generator of the user's runs on the thread that called, never on the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import time
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any

from ..calls.waiting import any_done_within, result_of
from ..errors import PortalClosed

__all__ = ["FragmentStream", "check_fragments", "check_iterable"]

_EXPECTED = "expected the fragments of one message, all of them str or all of them bytes"
_BYTES = (bytes, bytearray, memoryview)


def check_fragments(fragments: Iterable[Any]) -> None:
    """Refuse fragments that could not make up one message (RFC 6455 §5.4).

    Raises:
        TypeError: what was expected and what came.
    """
    kind: type | tuple[type, ...] | None = None
    for fragment in fragments:
        kind = kind or _kind(fragment)
        if not isinstance(fragment, kind):
            raise TypeError(f"{_EXPECTED}, got {type(fragment).__name__} as well")


def _kind(fragment: Any) -> type | tuple[type, ...]:
    if isinstance(fragment, str):
        return str
    if isinstance(fragment, _BYTES):
        return _BYTES
    raise TypeError(
        f"{_EXPECTED}, got {type(fragment).__name__}; a WebSocket carries no objects: "
        "json.dumps(...) makes a str of one"
    )


def check_iterable(message: Any) -> None:
    """Refuse what is no message and cannot be the fragments of one.

    Raises:
        TypeError: what was expected and what came.
    """
    if isinstance(message, list | tuple):
        check_fragments(message)
    elif isinstance(message, Mapping) or not isinstance(message, Iterable | AsyncIterable):
        raise TypeError(
            f"expected str (a text frame) or bytes (a binary frame), got "
            f"{type(message).__name__}; a WebSocket carries no objects: "
            "json.dumps(...) makes a str of one"
        )


class _GivenUp(Exception):
    """Told to websockets where the caller's thread will make no more fragments."""


class FragmentStream:
    """Fragments that the caller's thread makes, as an asynchronous iterator on the loop.

    A generator's code may block, or wait for this very client: on the loop that would hold
    everybody. So it runs where it was called from, one fragment ahead of the socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[tuple[Any, concurrent.futures.Future[None]]] = asyncio.Queue()
        self._has_begun = False

    def __aiter__(self) -> FragmentStream:
        return self

    async def __anext__(self) -> Any:
        fragment, taken = await self._queue.get()
        taken.set_result(None)
        if isinstance(fragment, StopIteration) or (
            isinstance(fragment, _GivenUp) and not self._has_begun
        ):
            raise StopAsyncIteration  # before the first one: nothing is sent at all
        if isinstance(fragment, _GivenUp):
            raise fragment
        self._has_begun = True
        return fragment

    def run(
        self,
        fragments: Iterable[Any],
        gone: concurrent.futures.Future[None],
        timeout: float | None,
    ) -> None:
        """Make the fragments and hand them over; on the caller's thread.

        Args:
            fragments: what makes them.
            gone: done when the message has gone out, or cannot any more.
            timeout: seconds to wait, in all, for the loop to take them.

        Raises:
            TimeoutError: they were not taken in time; if the first one was, the connection fails
                with 1011, since half a message cannot be taken back.
        """
        left_s = math.inf if timeout is None else timeout
        kind: type | tuple[type, ...] | None = None
        try:
            for fragment in fragments:
                kind = kind or _kind(fragment)
                if not isinstance(fragment, kind):
                    raise TypeError(f"{_EXPECTED}, got {type(fragment).__name__} as well")
                began_s = time.monotonic()
                taken = self._offer(fragment)
                if not any_done_within((taken, gone), left_s):
                    raise TimeoutError
                if gone.done():
                    break
                left_s = max(left_s - (time.monotonic() - began_s), 0.0)
        except BaseException:
            if not gone.cancel():
                self._offer(_GivenUp("the fragments of a message ended before the last one"))
            raise
        self._offer(StopIteration())
        result_of(gone, left_s)

    def _offer(self, fragment: Any) -> concurrent.futures.Future[None]:
        taken = concurrent.futures.Future[None]()
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (fragment, taken))
        except RuntimeError:
            raise PortalClosed("the lab's loop has been closed") from None
        return taken
