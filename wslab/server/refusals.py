"""The requests that a server turned away: the latest of them, and how many there were.

Its rule: what a client has sent may be in the reason, so what is kept of each is bounded. Whom to
turn away is not decided here.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .connection import address_of
from .listen_address import in_url

__all__ = ["Refusal", "RefusalLog"]

MAX_KEPT = 50
MAX_REASON = 1_000  # characters; the head of a request may have 50 headers of 8 KiB


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that this server turned away: for a WebSocket, or one that it can't serve at all.

    ``at`` is in seconds since the epoch; ``status`` what it answered, or 408 where it hung up on
    somebody who did not end the request in time; ``reason`` at most 1,000 characters.
    """

    at: float
    status: int
    reason: str
    address: str
    connection_id: str = ""


class RefusalLog:
    """The ``latest`` refusals of one server, the number ``seen``, and ``listeners`` to each."""

    def __init__(self) -> None:
        self.latest: collections.deque[Refusal] = collections.deque(maxlen=MAX_KEPT)
        self.seen = 0
        self.listeners: list[Callable[[Refusal], object]] = []

    def add(self, websocket: Any, status: int, reason: str) -> None:
        """Note that a connection was answered with ``status``, and why."""
        reason = reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}..."
        remote = address_of(websocket)
        address = f"{in_url(remote[0])}:{remote[1]}" if remote is not None else ""
        refusal = Refusal(time.time(), status, reason, address, websocket.traffic.id)
        self.latest.append(refusal)
        self.seen += 1
        for tell in tuple(self.listeners):
            tell(refusal)
