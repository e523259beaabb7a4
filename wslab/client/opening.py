"""Opening a client's first connection, from the thread that asked for it.

Its rule: where it fails, nothing of the client is left behind, and the error says what to do. Later
connections are the `reconnector`'s.
"""

from __future__ import annotations

from ..errors import NobodyListening
from .lifecycle import Lifecycle

__all__ = ["open_first"]


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
