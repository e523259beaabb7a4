"""left_open(): what of this process's servers and connections is still open.

For a lesson's last cell, after ``wslab.shutdown()``: its rule is that it counts, and neither
closes nor starts anything.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from websockets.protocol import State

from ..client.client import Client
from ..loops import portals
from ..loops.portal import OWN_TASK
from ..notebook import cells
from ..server.server import Server

__all__ = ["OpenResources", "left_open"]


@dataclass(frozen=True)
class OpenResources:
    """Counts of what is open; false where that is nothing."""

    connections: int
    servers: int
    tasks: int

    def __bool__(self) -> bool:
        return bool(self.connections or self.servers or self.tasks)

    def __str__(self) -> str:
        return f"open connections: {self.connections}, servers: {self.servers}, tasks: {self.tasks}"

    __repr__ = __str__


def left_open() -> OpenResources:
    """Count the open connections, the servers, and the tasks on the lab's loop."""
    things = cells.things()
    servers = [thing for thing in things if isinstance(thing, Server)]
    clients = sum(isinstance(thing, Client) and thing.state is not State.CLOSED for thing in things)
    # A connection between two of ours has two ends here; it is one connection.
    others = sum(one.label is None for server in servers for one in server.connections)
    return OpenResources(clients + others, len(servers), _tasks())


def _tasks() -> int:
    runner = portals.lab()
    if not runner.is_running:
        return 0

    def count() -> int:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        return sum(task.get_name() != OWN_TASK for task in others)

    return int(runner.call(count, timeout=2.0))
