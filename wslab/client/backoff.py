"""Whether to connect again after a connection has ended, and when: ``Reconnect`` says how.

Pure: numbers in, numbers out; no clock, no socket, no loop. Its rule: what may pass by itself is
tried again (TCP broke off, a server that restarts or is too busy), and what was said on purpose is
final. Delays grow by a factor up to a bound, with *full jitter*: each is drawn evenly between
nothing and the bound of its turn, so that a thousand clients that lost one server do not come back
in one instant. A server that says when to come back is heeded, up to that bound. Left out: the
trying itself (see `reconnector`).
"""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

__all__ = [
    "Attempt",
    "Backoff",
    "Reconnect",
    "close_code_of",
    "may_pass",
    "told_delay_s",
]

# What a server says, or TCP does, when it is no fault of what this client sent or asked for:
# going away, broken off, internal error (a keepalive that timed out is one), service restart, try
# again later, bad gateway.
PASSING_CODES = frozenset({1001, 1006, 1011, 1012, 1013, 1014})
PASSING_STATUS = frozenset({408, 425, 429})  # and all from 500 on
STABLE_S = 5.0  # a connection that lived so long starts the delays afresh


@dataclass(frozen=True)
class Reconnect:
    """How ``connect(..., reconnect=...)`` comes back after a connection has broken off.

    Attributes:
        first_delay_s: upper bound of the first delay, in seconds; 0 waits never.
        max_delay_s: upper bound of every delay, in seconds.
        factor: by how much the bound grows from one attempt to the next.
        attempts: how many in a row may fail; None goes on until close().
        session: add ``?session=...`` to the URL, by which a Hub with a history knows the client
            again; False leaves the URL as it is, for servers that read their query closely.
        on_open: called with the client on each opening, the first included: to subscribe to a feed
            again, or to say who one is. See :func:`connect`.
        random: returns a number from 0 to 1 for each delay, such as ``random.Random(7).random``.
    """

    first_delay_s: float = 0.1
    max_delay_s: float = 30.0
    factor: float = 2.0
    attempts: int | None = None
    session: bool = True
    on_open: Callable[[Any], Any] | None = field(default=None, compare=False)
    random: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.first_delay_s <= self.max_delay_s < float("inf"):
            raise ValueError(
                "expected delays in seconds, 0 <= first_delay_s <= max_delay_s, got "
                f"first_delay_s={self.first_delay_s!r} and max_delay_s={self.max_delay_s!r}"
            )
        if not 1 <= self.factor < float("inf"):
            raise ValueError(f"expected a factor of at least 1, got {self.factor!r}")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError(f"expected attempts of at least 1, or None, got {self.attempts!r}")
        if self.on_open is not None and not callable(self.on_open):
            raise TypeError(
                "expected on_open as a function of one argument, the client, got "
                f"{type(self.on_open).__name__} {self.on_open!r:.60}"
            )

    @classmethod
    def from_argument(cls, reconnect: bool | Reconnect) -> Reconnect | None:
        """Return what the ``reconnect`` argument of ``connect()`` asks for; None: nothing.

        Raises:
            TypeError: it is neither True, False nor a Reconnect.
        """
        if isinstance(reconnect, cls):
            return reconnect
        if isinstance(reconnect, bool):
            return cls() if reconnect else None
        raise TypeError(
            "expected reconnect=True, False or wslab.Reconnect(...), got "
            f"{type(reconnect).__name__} {reconnect!r:.60}"
        )

    def bound_s(self, nth: int) -> float:
        """Return the upper bound of the delay before the ``nth`` attempt (from 1), in seconds."""
        if not self.first_delay_s:
            return 0.0
        try:
            return min(self.max_delay_s, self.first_delay_s * self.factor ** (nth - 1))
        except OverflowError:
            return self.max_delay_s


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to come back. ``at``: epoch seconds; ``outcome``: "open", or what went wrong."""

    at: float
    delay_s: float
    outcome: str

    @property
    def has_opened(self) -> bool:
        """Whether the connection opened."""
        return self.outcome == "open"


class Backoff:
    """Counts the attempts of one client and draws their delays."""

    def __init__(self, policy: Reconnect) -> None:
        self.policy = policy
        self.attempt = 0  # which one comes now, or is under way; 0: none since it was stable
        self._told_s = 0.0

    def ended(self, lived_s: float) -> None:
        """Note that a connection has ended which had been open for ``lived_s`` seconds."""
        if lived_s >= STABLE_S:
            self.attempt = 0

    def told(self, delay_s: float) -> None:
        """Note for how long the server wants the next attempt to wait, at least."""
        self._told_s = delay_s

    def next_delay_s(self) -> float | None:
        """Return how long to wait before the next attempt; None where there shall be none."""
        policy = self.policy
        if policy.attempts is not None and self.attempt >= policy.attempts:
            return None
        self.attempt += 1
        told_s, self._told_s = self._told_s, 0.0
        return min(policy.max_delay_s, told_s + policy.bound_s(self.attempt) * policy.random())


def close_code_of(end: ConnectionClosed) -> int:
    """Return the code that ended a connection: of whoever spoke first; 1006 where nobody did."""
    if end.rcvd is not None and (end.sent is None or end.rcvd_then_sent):
        return int(end.rcvd.code)
    return int(end.sent.code) if end.sent is not None else 1006


def told_delay_s(reason: Any) -> float:
    """Return for how long the server wants its client to wait; 0 where it says nothing of it.

    Args:
        reason: the ConnectionClosed of a connection, or the exception of an attempt.
    """
    if isinstance(reason, ConnectionClosed) and reason.rcvd is not None:
        from ..hub.protocol.come_back import come_back_s  # importing wslab loads no hub

        return come_back_s(reason.rcvd.reason) or 0.0
    if isinstance(reason, InvalidStatus):  # RFC 9110 §10.2.3; a date, nobody sends with a 503
        seconds = reason.response.headers.get_all("Retry-After")
        return float(seconds[0]) if seconds and re.fullmatch("[0-9]{1,6}", seconds[0]) else 0.0
    return 0.0


def may_pass(reason: Any) -> bool:
    """Whether what ended a connection, or kept one from opening, may be gone the next time.

    Args:
        reason: a close code, the ConnectionClosed of a connection, or the exception of an attempt.
    """
    if isinstance(reason, ConnectionClosed):
        reason = close_code_of(reason)
    if isinstance(reason, int):
        return reason in PASSING_CODES
    if isinstance(reason, InvalidStatus):
        status = reason.response.status_code
        return status >= 500 or status in PASSING_STATUS
    if isinstance(reason, InvalidMessage):  # it hung up during the handshake, or spoke no HTTP
        return isinstance(reason.__cause__, EOFError | OSError)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return False
    return isinstance(reason, OSError)  # TimeoutError and all that TCP, TLS and DNS say
