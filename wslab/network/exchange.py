"""Bytes over TCP, below WebSocket and below HTTP: one exchange, and one listener.

For what no WebSocket library would do: send a handshake that is wrong on purpose, or answer one by
hand. Its rule: it understands nothing of the bytes, every wait has a bound, and whatever it opens
is closed when it returns. It keeps no record; what the bytes mean is for `wire` to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Callback", "Ending", "Exchange", "Listener", "exchange", "listening"]

Callback = Callable[[asyncio.StreamReader, asyncio.StreamWriter], "Awaitable[None] | None"]
"""What ``asyncio.start_server`` takes."""

Ending = Literal["closed", "enough", "full", "timeout"]

_LEAVE_S = 0.5  # for the other side to end the connection after a farewell
_CLEAN_UP_S = 1.0
_ACCEPT_TURNS = 8  # of the loop, from TCP's connection to the callback's; asyncio needs four


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came back.

    Attributes:
        data: all bytes that came, in order.
        ended: why reading stopped: "closed" by the other side, "enough" came, it was "full" at
            ``max_bytes``, or the "timeout" passed.
        took_s: seconds from connecting to the end of reading.
    """

    data: bytes
    ended: Ending
    took_s: float


async def exchange(
    host: str,
    port: int,
    data: bytes,
    *,
    timeout_s: float = 3.0,
    max_bytes: int = 65_536,
    enough: Callable[[bytes], bool] | None = None,
    farewell: Callable[[bytes], bytes] | None = None,
    answered: Callable[[bytes], bool] | None = None,
    **kwargs: Any,
) -> Exchange:
    """Connect, send bytes, read what comes back, and close.

    Args:
        host, port: whom to connect to.
        data: goes out in one piece.
        timeout_s: seconds for connecting, and again for sending and reading.
        max_bytes: read no more than about this.
        enough: called with all that has come; True ends the reading. By default it goes on until
            the other side closes.
        farewell: called with all that has come; the bytes it returns are sent before closing, and
            the other side gets half a second to close first.
        answered: given where the farewell wants an answer: called with all that has come, and True
            ends the reading; ``ended`` and ``took_s`` are then those of this second part.
        kwargs: more for ``asyncio.open_connection``, such as ``ssl``.

    Raises:
        OSError: the connection could not be made: nobody listens there, say; TimeoutError, which
            is one, where it took too long.
    """
    began_s = time.perf_counter()
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port, **kwargs)
    came = bytearray()
    ended: Ending = "timeout"
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                writer.write(data)
                ended = await _read(reader, came, max_bytes, enough)
        took_s = time.perf_counter() - began_s
        last = farewell(bytes(came)) if farewell and ended != "closed" else b""
        if last:
            said_s, parting = time.perf_counter(), ended
            with contextlib.suppress(TimeoutError, OSError):
                parting = "timeout"
                async with asyncio.timeout(_LEAVE_S):
                    writer.write(last)
                    parting = await _read(reader, came, max_bytes, answered)
            if answered is not None:
                ended, took_s = parting, time.perf_counter() - said_s
    finally:
        await _close(writer)
    return Exchange(bytes(came), ended, took_s)


async def _read(
    reader: asyncio.StreamReader,
    came: bytearray,
    max_bytes: int,
    enough: Callable[[bytes], bool] | None,
) -> Ending:
    while len(came) < max_bytes:
        try:
            more = await reader.read(max_bytes)
        except ConnectionError:
            return "closed"  # it hung up before it had read all of ours
        if not more:
            return "closed"
        came += more
        if enough is not None and enough(bytes(came)):
            return "enough"
    return "full"


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(_CLEAN_UP_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


@dataclass(eq=False)
class Listener:
    """A port that listens, and what its callback let through; made by :func:`listening`."""

    port: int = 0
    errors: list[BaseException] = field(default_factory=list)


@contextlib.asynccontextmanager
async def listening(callback: Callback, host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    """Listen on a free port for an ``async with`` block; every connection goes to ``callback``.

    At the end the port is free, and connections and callbacks that still run are cut off.

    Args:
        callback: called with a StreamReader and a StreamWriter, as by ``asyncio.start_server``;
            plain or async. What it raises is kept in ``errors``.
        host: the address to listen on.
    """
    listener = Listener()
    tasks: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()
    is_over = False

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Called as soon as the connection is there, so that none is forgotten at the end.
        if is_over:
            writer.transport.abort()
            return
        writers.add(writer)
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            result = callback(reader, writer)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError:
            if not is_over:
                listener.errors.append(RuntimeError("the callback cancelled itself"))
            raise
        except BaseException as exc:  # let through, it would be printed, or end the loop
            listener.errors.append(exc)
            writer.transport.abort()

    server = await asyncio.start_server(begin, host, 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        try:
            # What is being accepted becomes a connection first: a server that is closed in between
            # would lose it, open.
            for _ in range(_ACCEPT_TURNS):
                await asyncio.sleep(0)
        finally:  # at once, for there may be no further turn
            is_over = True
            server.close()
            running = set(tasks)
            for task in running:
                task.cancel()
            for writer in writers:
                writer.transport.abort()
        if running:
            await asyncio.wait(running, timeout=_CLEAN_UP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLEAN_UP_S):
                await server.wait_closed()
