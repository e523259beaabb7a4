"""Work for a portal, and an interrupt at a moment of one's choice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator

import pytest

SOON_S = 5.0  # a bound for what happens at once; nothing here sleeps that long
posix = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")


class Work:
    """A coroutine that tells when it starts, waits to be let go or cancelled, and cleans up."""

    def __init__(self, cleanup_s: float = 0.0) -> None:
        self.started = threading.Event()
        self.cleaned_up = threading.Event()
        self.may_end = asyncio.Event()
        self._cleanup_s = cleanup_s

    async def __call__(self) -> str:
        try:
            self.started.set()
            await self.may_end.wait()
            return "ended"
        finally:
            await asyncio.sleep(self._cleanup_s)
            self.cleaned_up.set()


@contextlib.contextmanager
def interrupted_when(event: threading.Event) -> Iterator[None]:
    """Send SIGINT to the main thread as soon as ``event`` is set."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        assert event.wait(SOON_S)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
