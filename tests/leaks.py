"""What a test left behind in this process: threads, sockets, children, tasks on the lab's loop,
connections that nobody has told that they are lost.

Compare two snapshots. The one thing allowed to stay is the lab's own loop: it is started on first
use and serves the whole process, so its thread, its self-pipe and its main task are left out.
Sockets and children are read from /proc; elsewhere than on Linux only threads and tasks are seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

PROC = Path("/proc/self")
STATES = {"01": "established", "06": "time-wait", "08": "close-wait", "0A": "listening"}
PAUSE_S = 0.01


def _lab() -> Any:
    """Return the portal that serves this process, if it runs; never start it."""
    module = sys.modules.get("wslab.loops.portals")
    portal = getattr(module, "_lab", None)
    return portal if portal is not None and portal.is_running else None


def _let_the_lab_catch_up() -> None:
    """Wait until the lab's loop has run what was handed to it: it may be about to start a task."""
    portal = _lab()
    if portal is not None:
        caught_up = threading.Event()
        with contextlib.suppress(RuntimeError):  # it has ended in this moment
            portal.loop.call_soon_threadsafe(caught_up.set)
            caught_up.wait(1.0)


def _sockets() -> dict[int, str]:
    """Return the inodes of the sockets that this process holds open, by file descriptor."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(PROC / "fd"):
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(PROC / "fd" / name)
                if target.startswith("socket:["):
                    found[int(name)] = target[8:-1]
    return found


def _describe(inode: str) -> str:
    for family in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in (PROC / "net" / family).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[9] == inode:
                    ports = [int(columns[i].rpartition(":")[2], 16) for i in (1, 2)]
                    state = STATES.get(columns[3], f"state {columns[3]}")
                    return f"{family} port {ports[0]} to {ports[1]}, {state}"
    return "not TCP (a socket pair or a Unix socket)"


def _networks() -> tuple[Any, ...]:
    """Return the networks in memory that are in use."""
    module = sys.modules.get("wslab.network.in_use")
    return tuple(module.IN_USE) if module is not None else ()


def _connections() -> dict[Any, str]:
    """Return the ends of connections that are recorded and not lost: by address, whose they are."""
    module = sys.modules.get("wslab.network.traffic")
    ends = dict(module._ENDS) if module is not None else {}
    return {where: ", ".join(f"{one.id} ({one.label})" for one in ends[where]) for where in ends}


def _children() -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError):
        for task in os.listdir(PROC / "task"):
            with contextlib.suppress(FileNotFoundError):
                found.update(map(int, (PROC / "task" / task / "children").read_text().split()))
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return line.decode(errors="replace").strip() or "ended, not waited for"
    return "ended"


@functools.cache
def _sockets_of_a_loop() -> int:
    """Count the sockets that one idle portal holds (its self-pipe; uvloop has its own way)."""
    from wslab.loops.portal import Portal

    before = len(_sockets())
    portal = Portal("counted")
    try:
        _ = portal.loop
        return len(_sockets()) - before
    finally:
        portal.close()


@dataclass
class Snapshot:
    """What this process holds at one moment."""

    portal: Any
    threads: set[threading.Thread]
    sockets: dict[int, str]
    children: set[int]
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    networks: tuple[Any, ...] = ()
    connections: dict[Any, str] = field(default_factory=dict)

    @classmethod
    def take(cls) -> Self:
        portal = _lab()
        return cls(
            portal,
            set(threading.enumerate()),
            _sockets(),
            _children(),
            asyncio.all_tasks(portal.loop) if portal else set(),
            _networks(),
            _connections(),
        )

    def left_since(self, before: Snapshot) -> list[str]:
        """Say in words what is here now and was not before."""
        return [
            *self._threads(before),
            *self._tasks(before),
            *self._sockets(before),
            *self._children(before),
            *(
                f"a MemoryNetwork in use, with {len(network.connections)} connections"
                for network in self.networks
                if network not in before.networks
            ),
            *(
                f"connections from {where} that were not told that they are lost: {ids}"
                for where, ids in self.connections.items()
                if where not in before.connections
            ),
        ]

    def _threads(self, before: Snapshot) -> list[str]:
        own = self.portal.thread_id if self.portal else None
        return [
            f"thread {thread.name!r} ({'daemon' if thread.daemon else 'not a daemon'})"
            for thread in self.threads - before.threads
            # asyncio_N: a loop's pool for name look-ups; it lives as long as its loop. The other
            # one is pycares' own (aiohttp's name look-ups): one a process, started on first use.
            if thread.ident != own
            and thread.is_alive()
            and not thread.name.startswith("asyncio_")
            and "_run_safe_shutdown_loop" not in thread.name
        ]

    def _tasks(self, before: Snapshot) -> list[str]:
        return [
            f"task on the lab's loop: {task!r}, in {_within(task)}"
            for task in self.tasks - before.tasks
            if getattr(task.get_coro(), "__qualname__", "") != "Portal._until_stopped"
        ]

    def _sockets(self, before: Snapshot) -> list[str]:
        allowed = 0
        if self.portal is not before.portal:
            allowed = _sockets_of_a_loop() * (bool(self.portal) - bool(before.portal))
        if len(self.sockets) - len(before.sockets) <= allowed:
            return []
        old = set(before.sockets.values())
        return [
            f"socket on descriptor {descriptor}: {_describe(inode)}"
            for descriptor, inode in self.sockets.items()
            if inode not in old
        ]

    def _children(self, before: Snapshot) -> list[str]:
        return [
            f"child process {pid}: {command}"
            for pid in self.children - before.children
            # multiprocessing keeps this one for the whole life of the process
            if "resource_tracker" not in (command := _command(pid))
        ]


def _within(task: asyncio.Task[Any]) -> str:
    """Name the coroutines that a task is in, the outermost first, each with its line."""
    names, coroutine = [], task.get_coro()
    while coroutine is not None and len(names) < 20:
        frame = getattr(coroutine, "cr_frame", None)
        name = getattr(coroutine, "__qualname__", type(coroutine).__name__)
        names.append(f"{name}:{frame.f_lineno}" if frame is not None else name)
        coroutine = getattr(coroutine, "cr_await", None)
    return " > ".join(names)


def wait_for_nothing(before: Snapshot, deadline_s: float = 5.0) -> list[str]:
    """Wait until nothing is left since `before`; return what is left at the deadline."""
    _let_the_lab_catch_up()
    deadline = time.monotonic() + deadline_s
    left = Snapshot.take().left_since(before)
    if left:
        gc.collect()
    while left and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
        left = Snapshot.take().left_since(before)
    return left
