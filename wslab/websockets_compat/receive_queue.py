"""The receive queue of a connection, bounded in bytes.

The ``max_queue`` of websockets counts frames, and 17 of them may be 17 MiB. Its rule: beyond the
limit, and one frame, no more is read until websockets finds its queue short again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["LARGE_BYTES", "queue_bounded", "queued_bytes"]

LARGE_BYTES = 2**13  # a frame that counts; websockets holds back the peer after 16 small ones


@contextlib.contextmanager
def queue_bounded(connection: Any, limit_bytes: int) -> Iterator[None]:
    """Bound the bytes that wait for ``recv()``, for as long as this lasts.

    Where the connection has no such queue, it does nothing.
    """
    queue = getattr(connection, "recv_messages", None)
    if queue is None or not hasattr(queue, "maybe_pause"):
        yield
        return
    put = queue.put

    def put_bounded(frame: Any) -> None:
        put(frame)
        if (
            len(frame.data) >= LARGE_BYTES
            and not queue.paused
            and sum(len(each.data) for each in queue.frames.queue) > limit_bytes
        ):
            queue.paused = True
            queue.pause()

    queue.put = put_bounded
    try:
        yield
    finally:
        del queue.put  # it leads back here: a cycle that only the garbage collector would end


def queued_bytes(connection: Any) -> int:
    """Return the bytes of the frames that wait for ``recv()``; 0 where there is no such queue."""
    queue = getattr(connection, "recv_messages", None)
    frames = getattr(getattr(queue, "frames", None), "queue", ())
    return sum(len(frame.data) for frame in tuple(frames))
