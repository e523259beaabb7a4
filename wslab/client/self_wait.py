"""Refuses a call that would wait for itself, on the lab's loop or on the server's.

Its rule: told at once and in words what to write instead, and never where it would have worked: so
a wait with a bound of its own is let through where it is not certain.
"""

from __future__ import annotations

import threading
from typing import Any

from ..calls.calling import running_loop
from ..errors import WrongThread
from ..loops.kernel_portal import KernelPortal
from ..loops.listening import loop_here_serves
from ..loops.portal import Portal
from ..network.in_use import loop_here_serves_in_memory
from .urls import check_url, is_loopback

__all__ = ["SelfWaitGuard", "refuse_kernel_server", "refuse_loop_that_serves"]


class SelfWaitGuard:
    """What one client's calls are let through by.

    Args:
        runner: whose loop the client lives on.
        url: where it is connected to.
        server: this process's own server there, if there is one.
        is_unix: over a socket of the file system, which has no port to ask for.
    """

    def __init__(self, runner: Portal, url: str, server: Any, *, is_unix: bool) -> None:
        self._runner = runner
        self._server = server
        # A server that we know knows its loop.
        self._address = None if server is not None or is_unix else check_url(url)
        self._no_server_of_ours: Any = None  # a loop that does not serve the other end

    def refuse_own_thread(self, what: str) -> None:
        """Refuse a call on the lab's own thread.

        Args:
            what: the call, such as "send()".

        Raises:
            WrongThread: it was made there.
            PortalClosed: in a process forked from the client's.
        """
        self._runner.fork.refuse(what)
        if threading.get_ident() == self._runner.thread_id:
            raise WrongThread(
                f"{what} was called on the lab's own loop, where it would wait for itself; async "
                "code awaits `websockets.connect(server.url)` instead"
            )

    def refuse_to_wait(self, what: str, *, has_bound: bool = False) -> None:
        """Refuse a call that waits for the other side where that gets no turn meanwhile.

        Args:
            what: the call, such as "recv()".
            has_bound: it waits for no longer than an instant.

        Raises:
            WrongThread: it would wait for itself.
        """
        self.refuse_own_thread(what)
        if has_bound:
            return
        refuse_kernel_server(self._server, what)
        loop = running_loop()
        if loop is not None and self._no_server_of_ours is not loop:
            if self._address is not None:
                refuse_loop_that_serves(*self._address, what)
            self._no_server_of_ours = loop  # asked once: it takes milliseconds


def refuse_loop_that_serves(host: str, port: int, what: str) -> None:
    """Refuse a call on the very thread whose loop serves that address.

    Raises:
        WrongThread: it is that thread.
    """
    if is_loopback(host) and (
        loop_here_serves_in_memory(host, port) or loop_here_serves(host, port)
    ):
        raise WrongThread(
            f"{what} would wait for itself: the server's event loop runs on this very thread, and "
            "gets no turn while it waits. In async code await websockets' own calls (`async with "
            "websockets.connect(url) as websocket: ...`), or move this one off the loop: `await "
            f"asyncio.to_thread(...)`. A server by wslab.serve() has a loop of its own"
        )


def refuse_kernel_server(server: Any, what: str) -> None:
    """Refuse a call in a cell that waits for a server on the kernel's own loop.

    Raises:
        WrongThread: it is such a server, and this is its thread.
    """
    runner = getattr(server, "runner", None)
    if isinstance(runner, KernelPortal) and threading.get_ident() == runner.thread_id:
        raise WrongThread(
            f"{what} would wait for ever: the server runs on the kernel's loop, which gets no turn "
            "while this very cell waits for it. Await it: `async with websockets.connect(url) as "
            "websocket: ...`, or start the server on the lab's loop (leave out loop=)"
        )
