"""Which networks in memory are in use, for who must know of them without loading them.

Its rule: the last one counts; `memory` alone puts one in and takes it out.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["IN_USE", "loop_here_serves_in_memory"]


class Network(Protocol):
    """What is asked of a network in use."""

    def serves(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> bool:
        """Whether a server of that loop listens there."""


IN_USE: list[Network] = []


def loop_here_serves_in_memory(host: str, port: int) -> bool:
    """Whether the event loop that runs on this thread listens at an address in memory.

    Whoever waits here for an answer from there waits for himself. Where no network is in use, or no
    loop runs, it costs nothing.
    """
    if not IN_USE:
        return False
    try:
        return IN_USE[-1].serves(asyncio.get_running_loop(), host, port)
    except RuntimeError:
        return False
