"""How a connection or a server of websockets ends, where its public names say too little.

Its rule: what ended it is websockets' to say. Here it is only asked, or told what it can't know.
"""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

__all__ = [
    "abort_unopened",
    "blame",
    "end_cancelled",
    "end_handlers",
    "is_end_of",
    "reads_no_further",
    "stop_closing",
]


def is_end_of(connection: Any, exc: BaseException) -> bool:
    """Whether an exception, or each one in a group, says that this very connection has ended."""
    if isinstance(exc, BaseExceptionGroup):
        return all(is_end_of(connection, each) for each in exc.exceptions)
    protocol = connection.protocol
    return (
        isinstance(exc, ConnectionClosed)
        and protocol.state is not State.OPEN
        and exc.rcvd is protocol.close_rcvd
        and exc.sent is protocol.close_sent
    )


def reads_no_further(connection: Any) -> bool:
    """Whether it passes over all that comes from now on: after a fault or a close frame."""
    return bool(connection.protocol.parser.__name__ == "discard")


def blame(connection: Any, exc: Exception) -> None:
    """Let what it raises from now on name this as its cause, unless it has sent a close frame."""
    if connection.protocol.close_sent is None:
        connection.set_connection_exc(exc)


def end_cancelled(connection: Any) -> None:
    """Let a connection hear that it is lost, whose opening was cancelled, if nobody tells it.

    uvloop 0.23 closes a transport that is cancelled while it is made, and tells nobody; asyncio
    tells the protocol.
    """

    def tell() -> None:
        if not connection.connection_lost_waiter.done():
            connection.connection_lost(None)

    asyncio.get_running_loop().call_soon(tell)


async def end_handlers(server: Any, grace_s: float) -> int:
    """Cancel a server's handlers that still run; return how many go on all the same.

    Args:
        server: what ``websockets.serve`` has returned.
        grace_s: seconds that they have to end, each time: one may swallow a cancellation.
    """
    tasks: set[asyncio.Task[None]] = server.handler_tasks
    for _ in range(3):
        if not tasks:
            break
        for task in tuple(tasks):
            task.cancel()
        await asyncio.wait(tuple(tasks), timeout=grace_s)
    stubborn = len(tasks)
    tasks.clear()
    return stubborn


def abort_unopened(server: Any) -> None:
    """End what came to a server by TCP and has not become a connection: TLS that never opens."""
    if hasattr(server.server, "abort_clients"):  # from Python 3.13
        server.server.abort_clients()


def stop_closing(server: Any) -> None:
    """Let a server's close() wait no longer for what does not end."""
    if server.close_task is not None:
        server.close_task.cancel()
