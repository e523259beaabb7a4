"""Relay: a TCP port that leads to another one, whatever is spoken there, on a tape, and to cut.

What stands between a program that is not ours and its server: a node and its Redis, clients and
the first of several nodes that lives. Its rule: it changes no byte, and what it holds has a bound,
since it reads on only when what it read was taken. It runs on one loop, and owns none. What the
bytes mean is not here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..wire.tape.tape import Tape

__all__ = ["Filter", "Note", "Relay"]

READ_BYTES = 64 * 2**10
MAX_NOTES = 200
MAX_PORTS = 500  # of clients whose target is known afterwards
CONNECT_S = 5.0

Filter = Callable[[str, bytes], bytes]
"""Takes the id of a connection and bytes towards the target; returns those that go on now."""


class Note(NamedTuple):
    """What was done to it. ``at_s``: seconds since the epoch."""

    at_s: float
    what: str  # "cut", "joined", "reset"
    lost_bytes: int = 0


class _Carried:
    """One connection."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.ends = (near, far)
        self.held_bytes = 0

    def abort(self) -> None:
        for end in self.ends:
            end.transport.abort()


class Relay:
    """Connections to a port of this machine, carried to the first target that takes them.

    Args:
        targets: host and port of each, in the order in which they are tried.
        tape: what to record on; None keeps no byte. Recorded is what is handed on.
        label: what the tape calls its connections.

    Attributes:
        port: where it listens, on 127.0.0.1; 0 before `start`.
        notes: what was done to it.
        filter: decides what goes on towards the target; None lets all pass.
        ports: by a client's own port, which target it was carried to.
    """

    def __init__(
        self, targets: Sequence[tuple[str, int]], *, tape: Tape | None = None, label: str = ""
    ) -> None:
        self.targets = list(targets)
        self.port = 0
        self.notes: deque[Note] = deque(maxlen=MAX_NOTES)
        self.filter: Filter | None = None
        self.ports: dict[int, tuple[str, int]] = {}
        self._tape, self._label = tape, label
        self._server: asyncio.Server | None = None
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._carried: dict[_Carried, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes, in either direction."""
        return not self._is_whole.is_set()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._carried)

    async def start(self) -> None:
        """Listen, on a port that was free."""
        self._server = await asyncio.start_server(self._came, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end what is carried; idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for one in tuple(self._carried):
            one.abort()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Let nothing pass, and tell neither end; what was read already waits."""
        if not self.is_cut:
            self._is_whole.clear()
            self._note("cut")

    def restore(self) -> None:
        """Let all pass again, first what has waited."""
        if self.is_cut:
            self._is_whole.set()
            self._note("joined")

    def reset(self) -> None:
        """End all connections by RST; what has waited is lost. New ones are carried."""
        lost_bytes = sum(one.held_bytes for one in self._carried)
        for one in tuple(self._carried):
            one.abort()
        for task in tuple(self._tasks):
            task.cancel()  # one that waits before the cut would write no more, but live on
        self._is_whole.set()
        self._note("reset", lost_bytes)

    def _note(self, what: str, lost_bytes: int = 0) -> None:
        self.notes.append(Note(time.time(), what, lost_bytes))

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            pass  # a reset, or the end: nobody waits for this task but us
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")
        for target in self.targets:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    far_reader, far_writer = await asyncio.open_connection(*target)
                break
        else:
            return  # nobody listens: to the client it looks the same
        self.ports[client[1]] = target
        while len(self.ports) > MAX_PORTS:
            del self.ports[next(iter(self.ports))]
        name, one = uuid.uuid4().hex[:6], _Carried(writer, far_writer)
        track = self._tape and self._tape.open(
            name,
            label=self._label,
            client_address=f"{client[0]}:{client[1]}",
            server_address=f"{target[0]}:{target[1]}",
        )
        up = track.client if track else _nothing
        down = track.server if track else _nothing
        self._carried[one] = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(one, reader, far_writer, up, name))
                group.create_task(self._pump(one, far_reader, writer, down, ""))
        except* OSError:
            pass  # one end broke off: so does the other
        finally:
            one.abort()
            del self._carried[one]
            if track:
                track.end()

    async def _pump(
        self,
        one: _Carried,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        record: Callable[[bytes], None],
        upwards: str,
    ) -> None:
        while data := await reader.read(READ_BYTES):
            one.held_bytes += len(data)
            await self._is_whole.wait()
            one.held_bytes -= len(data)
            if upwards and self.filter is not None:
                data = self.filter(upwards, data)
            if data:
                record(data)
                writer.write(data)
                await writer.drain()
        await self._is_whole.wait()
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()


def _nothing(_data: bytes) -> None:
    pass
