"""How a connection has ended, whatever carried it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Closed"]


class Closed(NamedTuple):
    """How a connection was closed (RFC 6455 §7.1.5); ``is_by_client``: who was first."""

    code: int
    reason: str
    is_by_client: bool
