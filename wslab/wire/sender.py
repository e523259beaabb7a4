"""The two sides of a connection, by name and in order.

Its rule: a side is known by who sends, never by which of them we are.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["SENDERS", "Sender"]

Sender = Literal["client", "server"]
SENDERS: tuple[Sender, Sender] = ("client", "server")
