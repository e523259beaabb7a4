"""What became of one emit: how many got it, for how many it waits, who was left out and why.

Its rule: numbers are counted for every emit; the outcome for each client is kept only while
somebody looks (`Trace`), since it costs a line a client.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final, Self

__all__ = ["CLOSING", "DROPPED", "QUEUED", "SENT", "SKIPPED", "Delivery", "Trace"]

# All that a server can know: handed to TCP. That it was read, only an answer tells.
SENT: Final = "sent"
QUEUED: Final = "queued"  # behind others, in the client's backlog
DROPPED: Final = "dropped"  # from a full backlog
SKIPPED: Final = "skipped"  # left out by skip=
CLOSING: Final = "closing"  # the connection is on its way out
SETTLE_S = 10.0  # to wait for what comes back from a backplane; it settles sooner


@dataclass(slots=True, eq=False)
class Delivery:
    """What became of one emit, so far.

    Awaiting it returns it: at once where one process serves the hub; where many do, when it has
    been delivered to the clients of this process, in the order that all of them share, or is known
    to wait for Redis; its numbers are 0 until then. They are of clients of this process: what
    clients of others get, those count.

    Attributes:
        event: its name; None for a raw broadcast.
        to: the rooms' names and clients' ids that it was meant for; empty means everybody.
        sender: id of the client whose handler emitted it, or None.
        at_s: when, on the clock of ``time.monotonic()``.
        sent: clients for whom it was handed to TCP.
        queued: clients in whose backlog it waits, or waited.
        dropped: clients for whom it was dropped.
        skipped: clients left out by ``skip``.
        offset: its place in the hub's history, where that is kept.
        preview: the beginning of what was sent.
        outcomes: while the hub is traced: by client id, the latest outcome.
        elsewhere: clients of other processes that got it: 0 where there are none, None where that
            is not known.
        is_queued_for_backplane: whether other processes get it later, since Redis is away.
    """

    event: str | None
    to: tuple[str, ...]
    sender: str | None
    at_s: float = field(default_factory=time.monotonic)
    sent: int = 0
    queued: int = 0
    dropped: int = 0
    skipped: int = 0
    offset: int | None = None
    preview: str = ""
    outcomes: dict[str, str] | None = None
    elsewhere: int | None = 0
    is_queued_for_backplane: bool = False
    # Who waits for it to be delivered; None once it is.
    _waiting: list[asyncio.Future[None]] | None = field(default=None, repr=False)

    @property
    def reached(self) -> int:
        """Clients to whom it was sent, or for whom it waits."""
        return self.sent + self.queued

    def __await__(self) -> Generator[Any, None, Self]:
        if self._waiting is not None:
            yield from self._settled(self._waiting).__await__()
        return self  # at once, it takes no turn of the loop

    async def _settled(self, waiting: list[asyncio.Future[None]]) -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        if self._waiting is None:  # meanwhile, on the hub's own thread
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await future

    def expect(self) -> None:
        """Note that it is delivered later, and that nobody here knows to how many elsewhere."""
        self._waiting, self.elsewhere = [], None

    def settle(self) -> None:
        """Let go of whoever awaits it; on the hub's loop."""
        waiting, self._waiting = self._waiting, None
        for future in waiting or ():
            with contextlib.suppress(RuntimeError):  # its loop was closed
                future.get_loop().call_soon_threadsafe(_finish, future)

    def note(self, client_id: str, outcome: str) -> None:
        """Keep the outcome for one client, where anybody looks."""
        if self.outcomes is not None:
            self.outcomes[client_id] = outcome


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Trace:
    """The latest deliveries with the outcome for each client; bounded.

    Args:
        limit: how many deliveries are kept.
    """

    def __init__(self, limit: int = 200) -> None:
        self.deliveries: collections.deque[Delivery] = collections.deque(maxlen=limit)
        self.seen = 0

    def begin(self, delivery: Delivery) -> None:
        """Keep a delivery from now on."""
        delivery.outcomes = {}
        self.deliveries.append(delivery)
        self.seen += 1
