"""Opening and closing a client, from the thread that asks for it and waits.

Its rule: where opening fails, nothing of the client is left behind, and the error says what to do;
what may not be sent is refused before anything closes, and each wait has a bound. Later connections
are the `reconnector`'s, and what closes on the loop is the `lifecycle`'s.
"""

from __future__ import annotations

import concurrent.futures

from ..calls.waiting import result_of
from ..errors import LoopBlocked, NobodyListening, PortalClosed
from ..wire.frames.close_codes import close_code_meaning, may_be_sent
from .lifecycle import Lifecycle
from .self_wait import SelfWaitGuard

__all__ = ["close_from_outside", "open_first"]


def open_first(life: Lifecycle, timeout: float | None) -> None:
    """Open the first connection and call ``on_open``.

    Args:
        life: the client's; it has not begun.
        timeout: seconds; None waits as long as it takes.
    """
    try:
        life.runner.call(life.open, timeout=timeout)
    except BaseException as exc:
        life.discard()
        told = life.opener.explained(exc) if isinstance(exc, Exception) else None
        if told is None:
            raise
        if isinstance(told, NobodyListening):
            exc.__traceback__ = None  # TCP's refusal: a screenful of asyncio, no line of theirs
        raise told from exc
    if life.on_open is not None:
        try:
            life.on_open.first(life.runner.call)
        except BaseException:
            life.discard()
            raise


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
