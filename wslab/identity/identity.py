"""Identity: who a client is, as the one says it who has looked at its credentials.

Its rule: it holds no credential, so that it may be kept and shown. ``data`` is the application's
own, and is shown nowhere. Who is let in with it is not decided here.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAX_USER_ID", "Identity", "check_expiry"]

MAX_USER_ID = 256  # characters; it goes to other clients, and to other processes


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is; what ``auth=`` and ``@hub.on("authenticate")`` return.

    Args:
        user_id: who it is, for everybody to see; the same over all its connections.
        expires_at: when that ends, in seconds since the epoch (a token's ``exp``); its connection
            is closed with 4401 then, unless it is renewed. None for never.
        data: anything of yours, such as what a token claims.

    Raises:
        TypeError, ValueError: what was expected, and what came.
    """

    user_id: str
    expires_at: float | None = None
    data: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.user_id, str):
            raise TypeError(f"expected user_id as a str, got {type(self.user_id).__name__}")
        if not 0 < len(self.user_id) <= MAX_USER_ID or not _is_text(self.user_id):
            raise ValueError(
                f"expected user_id of 1 to {MAX_USER_ID} characters that UTF-8 can hold, got "
                f"{self.user_id!r:.60}"
            )
        check_expiry(self.expires_at)

    @property
    def is_expired(self) -> bool:
        """Whether its end has come."""
        return self.expires_at is not None and self.expires_at <= time.time()


def check_expiry(expires_at: float | None) -> None:
    """Refuse what is no moment.

    Raises:
        TypeError, ValueError: what was expected, and what came.
    """
    if expires_at is None:
        return
    if type(expires_at) not in (int, float):
        raise TypeError(
            "expected expires_at in seconds since the epoch, such as time.time() + 3600, or None, "
            f"got {type(expires_at).__name__} {expires_at!r:.60}"
        )
    if not math.isfinite(expires_at):
        raise ValueError(f"expected expires_at as a moment, or None for never, got {expires_at}")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True
