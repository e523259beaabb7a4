"""SocketIO: what a Hub is told about Engine.IO and Socket.IO, checked.

Its rule: the defaults are the reference server's, so that a stock client needs no option.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["SocketIO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketIO:
    """How a Hub takes Socket.IO clients: ``Hub(socketio=SocketIO(ping_interval_s=10.0))``.

    Args:
        ping_interval_s: seconds between an answered ping and the next.
        ping_timeout_s: seconds that a client has to answer one.
        upgrade_timeout_s: seconds that a client has to go over from polling to a WebSocket.
        max_payload: bytes of one polling body, or of one WebSocket message, from a client. What
            one event may have is `Limits.max_size`.
        path: where clients come.
        origins: pages that may come, such as ``["https://example.org"]``, or ``["*"]`` for all;
            None for those that the server lets in (`wslab.serve` knows the notebook's), elsewhere
            for the page's own host.
        polling: whether clients may speak HTTP; else they need ``transports: ["websocket"]``.

    Raises:
        TypeError, ValueError: what was expected, and what came.
    """

    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    upgrade_timeout_s: float = 10.0
    max_payload: int = 1_000_000
    path: str = "/socket.io/"
    origins: Sequence[str] | None = None
    polling: bool = True

    def __post_init__(self) -> None:
        for name in ("ping_interval_s", "ping_timeout_s", "upgrade_timeout_s"):
            _check(name, getattr(self, name), (int, float), "a number of seconds above 0")
        _check("max_payload", self.max_payload, (int,), "a number of bytes above 0")
        if not isinstance(self.path, str) or not self.path.startswith("/"):
            raise ValueError(f"expected path to begin with /, got {self.path!r:.60}")
        if not self.path.endswith("/"):
            object.__setattr__(self, "path", self.path + "/")
        if isinstance(self.origins, str):
            raise TypeError(f"expected origins as a list, got the str {self.origins!r:.60}")
        if self.origins is not None:
            object.__setattr__(self, "origins", tuple(self.origins))
        if type(self.polling) is not bool:
            raise TypeError(f"expected polling as True or False, got {self.polling!r:.60}")


def _check(name: str, value: Any, kinds: tuple[type, ...], what: str) -> None:
    if type(value) not in kinds:
        raise TypeError(f"expected {name} as {what}, got {type(value).__name__} {value!r:.60}")
    if not 0 < value < float("inf"):
        raise ValueError(f"expected {name} as {what}, got {value!r}")
