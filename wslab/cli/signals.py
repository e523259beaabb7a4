"""Signals that end a command: Ctrl-C, a stop from outside, a terminal that was closed.

Its rule: the handlers that were there before come back, and a second Ctrl-C does not wait.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["ended_by", "interrupt_at_once"]


@contextlib.contextmanager
def ended_by(end: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call a function with each signal that ends a command, for a block.

    Also where a shell has started us in the background and told us to ignore interrupts.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)  # the terminal was closed
    before = {number: signal.signal(number, end) for number in signals}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def interrupt_at_once() -> None:
    """Let the next Ctrl-C interrupt what runs then."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
