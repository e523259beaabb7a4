"""Short ways between a thread and the socket, in and out, for a message that is one frame.

A message that comes goes past websockets' own queue and the task behind it, which saves two turns
of the loop; one that is sent is written on the thread that sends it, which saves waking the loop.
Its rule: it only offers; what is not taken goes the long way, so that fragments, faults and
backpressure stay what websockets makes of them.
"""

from __future__ import annotations

import functools
from typing import Any

from websockets.frames import Opcode

from ..network.direct_writes import DirectWrites
from ..websockets_compat.sending import masked_frame, takes_frame

__all__ = ["direct"]

_TEXT, _BINARY = int(Opcode.TEXT), int(Opcode.BINARY)


@functools.lru_cache(maxsize=32)
def direct(kind: Any) -> type:
    """Return a kind of websockets' connection that has these short ways.

    Args:
        kind: the connection class that is built upon.
    """

    class Direct(kind):  # type: ignore[misc]
        deliver: Any = None  # called with a data frame that came; whether it took it
        writes: DirectWrites | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if not self.protocol.debug:  # else websockets logs its frames
                self.writes = DirectWrites(transport, self.loop)

        def send_now(self, payload: bytes, *, is_text: bool) -> bool:
            """Send a message past the loop, from any thread; whether that was possible."""
            if self.writes is None or self.protocol.extensions:
                return False
            frame = masked_frame(_TEXT if is_text else _BINARY, payload)
            return self.writes.write_now(frame, takes_frame, self)

        def process_event(self, event: Any) -> None:
            opcode = getattr(event, "opcode", 8)
            if opcode < 8 and self.deliver is not None and self.deliver(event):
                return
            super().process_event(event)

        def connection_lost(self, exc: Exception | None) -> None:
            self.deliver = None  # it leads back here: a cycle
            if self.writes is not None:
                self.writes.stop()
            super().connection_lost(exc)

    Direct.__name__, Direct.__qualname__ = kind.__name__, kind.__qualname__
    Direct.__module__ = kind.__module__
    return Direct
