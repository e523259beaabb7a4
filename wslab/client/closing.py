"""Closing a client, from a thread that waits for it.

Its rule: what may not be sent is refused before anything closes, and the wait has a bound. What
closes on the loop is the `lifecycle`'s.
"""

from __future__ import annotations

import concurrent.futures

from ..calls.waiting import result_of
from ..errors import LoopBlocked, PortalClosed
from ..wire.frames.close_codes import close_code_meaning, may_be_sent
from .lifecycle import Lifecycle
from .self_wait import SelfWaitGuard

__all__ = ["close_from_outside"]


def close_from_outside(
    life: Lifecycle, guard: SelfWaitGuard, code: int, reason: str, timeout: float | None
) -> None:
    """Close with the closing handshake and wait until it is done; see :meth:`Client.close`."""
    if not may_be_sent(code):
        raise ValueError(
            f"close code {code} may not be sent: {close_code_meaning(code)}. Use 1000, or one of "
            "your own between 4000 and 4999 (RFC 6455 §7.4)"
        )
    if len(reason.encode()) > 123:
        raise ValueError(
            f"expected a reason of at most 123 bytes, got {len(reason.encode())}: a close frame"
            " holds 125, and the code takes two (RFC 6455 §5.5)"
        )
    runner = life.runner
    runner.fork.refuse("close()")
    if not life.has_ended:
        guard.refuse_own_thread("close()")
    closing = life.begin_close(code, reason, timeout)
    try:
        result_of(closing, None if timeout is None else timeout + 1.0)
    except (concurrent.futures.CancelledError, PortalClosed):
        return  # the lab's loop has been closed, and everything on it
    except TimeoutError:
        if runner.answers():
            raise TimeoutError(
                f"{life.name!r} did not close within {timeout:g} s; an earlier close() of a "
                "longer timeout still waits for the other side"
            ) from None
        raise LoopBlocked(f"{life.name!r} did not close, because {runner.held_by()}") from None
