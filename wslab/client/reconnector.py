"""How one client comes back after its connection has broken off: it waits, tries, and gives up.

The loop around `backoff`, which says whether and when. Its rule: it can be stopped at any moment,
in the middle of a delay or of a handshake, and leaves nothing behind. How to connect is handed in;
what a connection is for, it does not know.
"""

from __future__ import annotations

import asyncio
import collections
import threading
import time
from collections.abc import Awaitable, Callable

from websockets.exceptions import ConnectionClosed

from .backoff import Attempt, Backoff, Reconnect, close_code_of, may_pass, told_delay_s

__all__ = ["Reconnector"]

MAX_ATTEMPTS = 100  # that are remembered
EXPIRED = 4401  # close code of a hub, or a server with auth=: other credentials may help


class Reconnector:
    """The attempts of one client, those to come and those that were.

    Args:
        policy: whether and when.
        connect: opens a connection, on the loop.
        explain: says in words why that failed.
        renews: whether the next connection may show newer credentials than the last.
    """

    def __init__(
        self,
        policy: Reconnect,
        connect: Callable[[], Awaitable[None]],
        explain: Callable[[Exception], str],
        *,
        renews: bool = False,
    ) -> None:
        self.attempts: collections.deque[Attempt] = collections.deque(maxlen=MAX_ATTEMPTS)
        self.attempts_seen = 0
        self.opened = 0  # attempts that succeeded
        self.may_send = threading.Event()  # a connection is open, or none will be again
        self._connect = connect
        self._explain = explain
        self._renews = renews
        self._backoff = Backoff(policy)
        self._is_stopped = False
        self._task: asyncio.Task[bool] | None = None
        self._next_s: float | None = None  # when the next attempt begins
        self._why_ended = ""

    # On the loop.

    async def again(self, end: ConnectionClosed, lived_s: float) -> bool:
        """Come back after a connection has ended; False where that is final.

        Args:
            end: how it ended.
            lived_s: seconds for which it had been open.
        """
        has_expired = self._renews and close_code_of(end) == EXPIRED
        if self._is_stopped or not (has_expired or may_pass(end)):
            return False
        self._backoff.ended(lived_s)
        self._backoff.told(told_delay_s(end))
        self._task = task = asyncio.get_running_loop().create_task(self._try())
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()  # where the loop ends
            self._task = self._next_s = None
        return not task.cancelled() and task.result()

    async def _try(self) -> bool:
        while (delay_s := self._backoff.next_delay_s()) is not None:
            self._next_s = time.monotonic() + delay_s
            await asyncio.sleep(delay_s)
            self._next_s = None
            at = time.time()
            try:
                await self._connect()
            except Exception as exc:
                told = self._explain(exc)
                self._backoff.told(told_delay_s(exc))
                self._note(Attempt(at, delay_s, told))
                if not may_pass(exc):
                    self._why_ended = (
                        f"Attempt {self._backoff.attempt} to come back failed in a way that another"
                        f" one would not help: {told}"
                    )
                    return False
            else:
                self._note(Attempt(at, delay_s, "open"))
                return True
        count = self._backoff.attempt
        last = f", the last one: {self.attempts[-1].outcome}" if self.attempts else ""
        self._why_ended = f"It tried {count} time{'s' * (count != 1)} to come back{last}"
        return False

    def _note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.attempts_seen += 1
        self.opened += attempt.has_opened

    def stop(self) -> None:
        """Try no more."""
        if self._task is not None:
            self._why_ended = f"close() ended it at attempt {self._backoff.attempt} to come back"
            self._task.cancel()
        self._is_stopped = True

    def forget(self) -> None:
        """Let go of what leads back to the client, when nothing more will follow."""
        self._connect = self._explain = None  # type: ignore[assignment]

    # Saying where it stands; from any thread.

    @property
    def status(self) -> str:
        """Such as "reconnecting, attempt 3, next in 1.2 s"."""
        nth, next_s = self._backoff.attempt, self._next_s
        if self._task is None or not nth:
            return "reconnecting"
        if next_s is None:
            return f"reconnecting, attempt {nth}"
        return f"reconnecting, attempt {nth}, next in {max(next_s - time.monotonic(), 0.0):.1f} s"

    @property
    def gave_up(self) -> bool:
        """Whether it tried, in vain, and was not stopped."""
        return bool(self._why_ended) and not self._is_stopped

    @property
    def why_ended(self) -> str:
        """In words: why it tried no more, where that is not how the connection ended."""
        return f" {self._why_ended}." if self._why_ended else ""
