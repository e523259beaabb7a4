"""A handler that begins and ends with its server, as a Hub does, whose backplane may be elsewhere.

Its rule: it is told before anybody is listened to, and when the last connection has ended; what its
end lets through is recorded, and keeps no server from stopping. Plain functions know no such thing;
an ASGI application has a lifespan for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable

from .user_code import Options, UserCode

__all__ = ["HandlerLife"]

END_S = 3.0
_OURS = ("start", "close", "end_http")  # that has all of these is a Hub, or made like one


class HandlerLife:
    """The life of one server's handler; on the server's loop.

    Args:
        options: where the handler is.
        user_code: records what it lets through.
    """

    def __init__(self, options: Options, user_code: UserCode) -> None:
        self._options = options
        self._user_code = user_code
        self._close: Callable[[], Awaitable[None]] | None = None

    async def start(self) -> None:
        """Let it begin; what it raises is for whoever starts the server."""
        handler = self._options.handler
        if all(inspect.iscoroutinefunction(getattr(handler, name, None)) for name in _OURS):
            self._close = handler.close  # type: ignore[union-attr]
            await handler.start()  # type: ignore[union-attr]

    async def stop(self) -> None:
        """Let it end, within a bound."""
        close, self._close = self._close, None
        if close is not None:
            with contextlib.suppress(Exception), self._user_code.recording("close", None):
                async with asyncio.timeout(END_S):
                    await close()
