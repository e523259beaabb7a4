"""Line: a way through this process to another port, which can be cut, joined and reset.

Between a node and its Redis, or before several nodes (`start_front`). Its rule: it is the handle,
for any thread; the bytes are carried by a `Relay` on the lab's loop.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence
from typing import Any

from ..loops import portals
from ..network.relay import Relay
from ..notebook import cells
from ..wire.tape.tape import Tape

__all__ = ["Front", "Line"]

CALL_S = 5.0


class Line:
    """A port that leads to another one.

    Args:
        targets: host and port of each that is tried, in that order.
        tape: what to record on.
        label: what the tape calls its connections.
    """

    def __init__(
        self, targets: Sequence[tuple[str, int]], *, tape: Tape | None = None, label: str = ""
    ) -> None:
        self.label = label
        self._portal = portals.lab()
        self.relay = self._portal.call(self._open, targets, tape, label, timeout=CALL_S)
        self.port: int = self.relay.port

    async def _open(
        self, targets: Sequence[tuple[str, int]], tape: Tape | None, label: str
    ) -> Relay:
        relay = Relay(targets, tape=tape, label=label)
        await relay.start()
        return relay

    def cut(self) -> None:
        """Let nothing pass and tell neither end, as a cable that is cut."""
        self._portal.call(self.relay.cut, timeout=CALL_S)

    def restore(self) -> None:
        """Join it again; what has waited passes now."""
        self._portal.call(self.relay.restore, timeout=CALL_S)

    def reset(self) -> None:
        """End its connections by RST: what has waited is lost. New ones may come."""
        self._portal.call(self.relay.reset, timeout=CALL_S)

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes."""
        return bool(self.relay.is_cut)


class Front(Line):
    """One address for several nodes: a client is carried to the first that takes it.

    Made by `start_front`.
    """

    def __init__(
        self, targets: Sequence[tuple[str, int]], claim: cells.Claim, name: str = "front"
    ) -> None:
        super().__init__(targets)
        self.name = name
        self.url = f"ws://127.0.0.1:{self.port}/"
        self._closing: concurrent.futures.Future[Any] | None = None
        claim.adopt(self)

    @property
    def status(self) -> str:
        """How many connections it carries."""
        count = self.relay.connections
        return f"{count} connection{'' if count == 1 else 's'}"

    def stop(self, timeout: float | None = 5.0) -> None:
        """End its connections and listen no more; idempotent."""
        cells.close(self, timeout)

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[Any]:
        """Start closing it, without waiting."""
        if self._closing is None:
            self._closing = self._portal.submit(self._close)
        return self._closing

    async def _close(self) -> None:
        await self.relay.close()
        cells.forget(self)

    def __repr__(self) -> str:
        return f"<Front at {self.url}, {self.status}>"
