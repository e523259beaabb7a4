"""Heartbeats by the server: a ping, an answer within the timeout, and a pause.

Its rule: a client's silence counts only while somebody listens to it, and a client that says
anything else meanwhile gets its time once more, as from the reference server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["Heartbeat", "Patient"]


class Patient(Protocol):
    """Whose heart beats: a session."""

    @property
    def is_listened_to(self) -> bool:
        """Whether what it says is read now."""

    def ping(self) -> None:
        """Send a ping."""

    def expire(self) -> None:
        """End: no answer has come in time."""


class Heartbeat:
    """One session's; on its loop only.

    Args:
        patient: the session.
        interval_s: from an answer to the next ping.
        timeout_s: that an answer may take.
    """

    __slots__ = ("_has_more_time", "_interval_s", "_is_awaited", "_patient", "_timeout_s", "_timer")

    def __init__(self, patient: Patient, interval_s: float, timeout_s: float) -> None:
        self._patient: Patient | None = patient
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._is_awaited = self._has_more_time = False
        self._timer = self._in(interval_s, self._beat)

    @property
    def timeout_s(self) -> float:
        """Seconds that an answer may take."""
        return self._timeout_s

    def _in(self, seconds: float, then: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, then)

    def _beat(self) -> None:
        assert self._patient is not None
        self._is_awaited, self._has_more_time = True, False
        self._timer = self._in(self._timeout_s, self._check)
        self._patient.ping()

    def _check(self) -> None:
        assert self._patient is not None
        if self._patient.is_listened_to:
            self._patient.expire()
        else:
            self._timer = self._in(self._timeout_s, self._check)

    def pong(self) -> None:
        """Take the client's answer; one that nobody asked for says nothing."""
        if self._is_awaited:
            self._is_awaited = False
            self._timer.cancel()
            self._timer = self._in(self._interval_s, self._beat)

    def heard(self) -> None:
        """Note that the client has said something else."""
        if self._is_awaited and not self._has_more_time:
            self._has_more_time = True
            self._timer.cancel()
            self._timer = self._in(self._timeout_s, self._check)

    def stop(self) -> None:
        """Beat no more; idempotent."""
        self._is_awaited = False
        self._timer.cancel()
        self._patient = None  # it leads back here: a cycle for the collector
