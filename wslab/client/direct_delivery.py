"""A short way for a message that is one frame: past websockets' own queue and the task behind it.

It saves two turns of the loop. Its rule: it only offers; what is not taken goes the long way, so
that fragments, faults and backpressure stay what websockets makes of them.
"""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["delivering"]


@functools.lru_cache(maxsize=32)
def delivering(kind: Any) -> type:
    """Return a kind of websockets' connection that offers data frames to its ``deliver`` first.

    Args:
        kind: the connection class that is built upon.
    """

    class Delivering(kind):  # type: ignore[misc]
        deliver: Any = None  # called with a data frame; whether it took it

        def process_event(self, event: Any) -> None:
            opcode = getattr(event, "opcode", 8)
            if opcode < 8 and self.deliver is not None and self.deliver(event):
                return
            super().process_event(event)

        def connection_lost(self, exc: Exception | None) -> None:
            self.deliver = None  # it leads back here: a cycle
            super().connection_lost(exc)

    Delivering.__name__, Delivering.__qualname__ = kind.__name__, kind.__qualname__
    Delivering.__module__ = kind.__module__
    return Delivering
