"""A fork: the child gets copies of its parent's handles, but neither threads nor loops.

Its rule: what needs the parent's loop says so in the child, and the child keeps no socket of the
parent's open: its copy would keep a port busy, and a connection from ending, after the parent has
closed its own. What a child starts itself works as anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from ..errors import PortalClosed

__all__ = ["ForkGuard", "close_in_child", "closed_in_child", "renew_pool_of_uvloop"]

closed_in_child: set[int] = set()  # descriptors of sockets
_forks = 0  # how many lie between this process and the one that imported this module
_lost_uvloops_pool = False


class ForkGuard:
    """Whether this process was forked from the one that owns something, and what to say then.

    Args:
        label: what is owned, such as "the lab's loop".
    """

    __slots__ = ("_forks", "_label", "_pid")

    def __init__(self, label: str) -> None:
        self._label = label
        self._pid = os.getpid()
        self._forks = _forks

    @property
    def is_child(self) -> bool:
        """Whether this process was forked from the one that owns it."""
        return self._forks != _forks

    def refuse(self, what: str = "") -> None:
        """Refuse in a forked child what only the parent can do.

        Args:
            what: the call that is refused.

        Raises:
            PortalClosed: this is such a child; it says what to do.
        """
        if self.is_child:
            raise PortalClosed(
                f"{what + ': ' if what else ''}{self._label} belongs to the parent process (pid "
                f"{self._pid}) and threads do not survive a fork; what you start in this process "
                f"(pid {os.getpid()}) gets its own: call serve() or connect() again here"
            )


def close_in_child(transport: asyncio.BaseTransport) -> int:
    """Note a connection's socket among the ``closed_in_child``.

    Returns:
        Its descriptor, to take it out when the connection has ended; -1 where it has none.
    """
    sock = transport.get_extra_info("socket")
    number: int = sock.fileno() if sock is not None else -1
    if number >= 0:
        closed_in_child.add(number)
    return number


def _after_in_child() -> None:
    global _forks, _lost_uvloops_pool
    _forks += 1
    _lost_uvloops_pool = _lost_uvloops_pool or "uvloop" in sys.modules
    if closed_in_child:
        null = os.open(os.devnull, os.O_RDWR)
        for number in closed_in_child:  # they stay valid: objects copied by the fork hold them
            with contextlib.suppress(OSError):
                os.dup2(null, number)
        os.close(null)
        closed_in_child.clear()


def renew_pool_of_uvloop() -> None:
    """Let a forked child end without a crash, where its parent had loaded uvloop.

    libuv has a pool of threads of its own, and when a process ends in the ordinary way it joins
    them; after a fork they are not there, and that crashes. A pool that is used again is new.
    """
    if not _lost_uvloops_pool:
        return
    with contextlib.suppress(Exception):
        import uvloop

        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(loop.getaddrinfo(None, 80))  # asks nobody: it needs no name
        finally:
            loop.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
