"""A handler's connection whose client is somebody until a moment: then it is closed with 4401.

Its rule: the handler is not cancelled, but sees its connection end, as by any close. A hub's
connections see to that themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from ..identity.expiry import Expiry
from ..identity.identity import Identity
from ..identity.verdict import EXPIRED, too_late

__all__ = ["until_expired"]


async def until_expired(websocket: Any, handled: Awaitable[None]) -> None:
    """Await a handler, and close its connection when ``websocket.identity`` has ended.

    To renew it, the handler puts another Identity there: that is looked at when the first has
    ended.
    """
    closing: list[asyncio.Task[None]] = []

    def ended() -> None:
        now: Any = websocket.identity
        if isinstance(now, Identity) and not now.is_expired:
            expiry.at = now.expires_at
        else:
            closing.append(asyncio.ensure_future(websocket.close(EXPIRED, too_late().reason)))

    expiry = Expiry(ended)
    expiry.at = websocket.identity.expires_at
    try:
        await handled
    finally:
        expiry.cancel()
        for task in closing:
            task.cancel()
