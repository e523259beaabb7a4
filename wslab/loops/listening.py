"""Whether the event loop of this very thread listens at an address of this machine.

Whoever waits here for an answer from there waits for himself. Its rule: it guesses nothing, so
where the system names no descriptors (Windows) nobody is warned; and it opens no connection.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat

from ..calls.calling import running_loop

__all__ = ["loop_here_serves"]


def loop_here_serves(host: str, port: int) -> bool:
    """Whether the event loop that runs on this thread listens there; no loop, no cost."""
    loop = running_loop()
    if loop is None:
        return False
    names = {host, "0.0.0.0", "::"} | ({"127.0.0.1", "::1"} if host == "localhost" else set())
    listening = [number for number, name in _listening_on(port) if name in names]
    if not listening:
        return False
    # asyncio's own loops wait for their listening sockets with a selector. uvloop says nothing of
    # its own, so the servers are looked for among all objects, which may be millions.
    selector = getattr(loop, "_selector", None)
    if selector is not None:
        waited_for = selector.get_map() or {}
        return any(number in waited_for for number in listening)
    for thing in gc.get_objects():
        kind = type(thing)  # isinstance() would ask the thing, which may be a user's proxy
        if kind.__name__ != "Server" or not hasattr(kind, "get_loop"):
            continue
        with contextlib.suppress(Exception):
            if thing.get_loop() is loop and any(
                sock.fileno() in listening for sock in thing.sockets
            ):
                return True
    return False


def _listening_on(port: int) -> list[tuple[int, str]]:
    """Return the descriptors of this process that listen on a port, and at which address."""
    found: list[tuple[int, str]] = []
    with contextlib.suppress(OSError):  # not on Windows: there nobody is warned
        for number in map(int, os.listdir("/dev/fd")):
            with contextlib.suppress(OSError):
                if not stat.S_ISSOCK(os.fstat(number).st_mode):
                    continue
                with socket.socket(fileno=os.dup(number)) as sock:
                    name = sock.getsockname()
                    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    if listens and isinstance(name, tuple) and name[1] == port:
                        found.append((number, name[0]))
    return found
