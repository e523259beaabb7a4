"""What comes to one end of a line: held until the conditions let it in and the program reads.

Its rule: the transport is read only while there is room and the program wants to read, so that TCP
makes the other end wait; the order stays, and what comes behind the last byte is told last. How a
connection ends is for `line` to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from .conditions import Conditions
from .pipe import Mark, Pipe

__all__ = ["Arrivals"]

_READ_BYTES: Final = 2**18  # in one data_received, as asyncio reads


class Arrivals:
    """The incoming direction; on the connection's loop.

    Args:
        transport: what is read.
        conditions: of this direction.
        seed: see :class:`Pipe`.
        is_new: whether the transport begins only now, and may not yet say that it reads.
        deliver: called with what is let in.
        moved: called when something was let in that had been held.

    Attributes:
        pipe: what is held.
        has_fin: whether nothing more comes from the transport.
        has_unread: whether bytes came that nobody will read.
    """

    def __init__(
        self,
        transport: Any,
        conditions: Conditions,
        seed: str,
        *,
        is_new: bool,
        deliver: Callable[[bytes | Mark], None],
        moved: Callable[[], None],
    ) -> None:
        self.pipe = Pipe(conditions, seed)
        self.has_fin = self.has_unread = False
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._conditions = conditions
        self._deliver, self._moved = deliver, moved
        self._wake: asyncio.Handle | None = None
        self.wants_to_read = self._is_read = is_new or transport.is_reading()
        self._is_closed = False  # nobody reads any more
        self._looks_for_end = False
        self._dropped_bytes = 0
        self._loop.call_soon(self.tune)  # a new transport does not hear it at once

    @property
    def can_read(self) -> bool:
        """Whether the program reads, and is let."""
        return self.wants_to_read and not self._is_closed and not self._conditions.is_stopped

    def put(self, what: bytes | Mark) -> None:
        """Take what has come from the transport."""
        if self._is_closed:
            if isinstance(what, bytes):
                self.has_unread = True
                self._dropped_bytes += len(what)
                self.tune()
        elif self.pipe.is_empty and self.can_read and self._conditions.lets_all_pass:
            self._deliver(what)
        else:
            self.pipe.put(what, self._loop.time())
            self.tune()
            self.plan()

    def close(self) -> None:
        """Let nobody read any more."""
        if not self._is_closed:
            self._is_closed = True
            self.tune()

    def end(self) -> None:
        """Drop what is held; from here on the transport is read only to see how it ends.

        No further than a kernel would take bytes: over a line that is cut its peer's writes wait.
        """
        self._is_closed = self._looks_for_end = True
        self.has_unread |= bool(self.pipe.size_bytes) and self.pipe.has_come(self._loop.time())
        self.pipe.drop_beyond(0)
        self.tune()

    def look(self) -> None:
        """Take note that the conditions have changed."""
        self.pipe.note_change(self._loop.time())
        self.cancel()
        self.tune()
        self.plan()

    def forget(self) -> None:
        """Drop what is held, and let go of who is told: it leads back here, a cycle."""
        self.cancel()
        self.pipe.drop_beyond(0)
        self.has_fin = True  # for us: whether the transport is read is no longer our affair
        self._deliver = self._moved = _nothing

    def cancel(self) -> None:
        """Forget when to look again."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def tune(self) -> None:
        """Read of the transport what there is room for."""
        taken_bytes = self.pipe.size_bytes + self._dropped_bytes
        has_room = taken_bytes < max(self._conditions.buffer_bytes, 1)
        self._read(should_read=has_room and (self.can_read or self._looks_for_end))

    def _read(self, *, should_read: bool) -> None:
        transport = self._transport
        if should_read is self._is_read or self.has_fin or transport.is_closing():
            return
        self._is_read = should_read
        (transport.resume_reading if should_read else transport.pause_reading)()

    def plan(self) -> None:
        """Look again when something is due; who reads nothing learns of RST all the same."""
        if self._wake is None:
            due_s = self.pipe.due_s() if self.can_read else self.pipe.reset_s()
            if due_s is not None:
                self._wake = self._loop.call_at(due_s, self._receive)

    def _receive(self) -> None:
        self._wake = None
        now_s = self._loop.time()
        if self.can_read:
            what = self.pipe.take(now_s, _READ_BYTES)
            if what is not None:
                self._deliver(what)
                self.tune()
        elif self.pipe.has_reset(now_s):
            self._is_closed = True
            self._deliver(Mark.RST)
        if not self._is_closed:
            self.plan()
        self._moved()


def _nothing(*_args: Any) -> None:
    pass
