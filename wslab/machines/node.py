"""Node: a process of its own that serves what one function makes; `start_nodes` starts several.

Its rule: the process gets the text of that function and nothing else, as a server elsewhere would:
no name, no object and no connection of this process. Where it says what to Redis, it says it over a
`Line` of its own, which is recorded and can be cut.
"""

from __future__ import annotations

import inspect
import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from ..failures import Failure
from ..notebook import cells
from .line import Front, Line
from .process import ChildProcess
from .redis_server import RedisServer

__all__ = ["Node", "source_of", "start_front", "start_node", "start_nodes"]

MAX_FAILURES_BYTES = 256 * 2**10  # read of what a node has told
REPLACE_S = 5.0

_numbers = itertools.count(1)


class Node(ChildProcess):
    """One process that serves; made by :func:`start_nodes`.

    Attributes:
        redis_line: its way to Redis, with ``cut()``, ``restore()`` and ``reset()``; None without.
        url: what clients connect to; "" before it is up.
    """

    def __init__(self, name: str, claim: cells.Claim, redis: RedisServer | None = None) -> None:
        super().__init__(name, claim)
        self.url = ""
        self.is_kept = claim.keep
        self.redis_line: Line | None = None
        if redis is not None:
            label = f"{name}, {next(_numbers)}"  # another node may have had this name
            self.redis_line = Line([("127.0.0.1", redis.port)], tape=redis.tape, label=label)

    @property
    def redis_url(self) -> str | None:
        """What its function is called with."""
        line = self.redis_line
        return None if line is None else f"redis://127.0.0.1:{line.port}/0"

    @property
    def failures(self) -> list[Failure]:
        """What its handlers, and its background, have let through: the oldest first."""
        try:
            with (self.folder / "failures.jsonl").open("rb") as file:
                lines = file.read(MAX_FAILURES_BYTES).splitlines()
        except OSError:
            return []
        return [Failure(**json.loads(line)) for line in lines if line.endswith(b"}")]

    def begin(self, source: str, function: str) -> None:
        """Start its process; see `await_url`."""
        told = {
            "name": self.name, "source": source, "function": function, "redis": self.redis_url,
            "folder": str(self.folder),
        }  # fmt: skip
        command = [sys.executable, "-m", "wslab.machines.serving"]
        self.launch(command, json.dumps(told))

    def await_url(self) -> None:
        """Wait until it serves.

        Raises:
            RuntimeError: it does not; with the end of what it logged.
        """
        ready = self.folder / "ready.json"
        self.wait_until(ready.exists)
        self.url = json.loads(ready.read_text())["url"]

    def drain(self, seconds: float = 2.0) -> None:
        """Ask it to take nobody in any more, and to send those who are there elsewhere.

        Args:
            seconds: over which they are told (1012); it does not wait for that.
        """
        self.tell(f"drain {seconds:g}")

    async def closed(self) -> None:
        """End its line; on the lab's loop."""
        if self.redis_line is not None:
            await self.redis_line.relay.close()


def source_of(make: Callable[..., Any]) -> tuple[str, str]:
    """Return a function's text, and its name.

    Raises:
        TypeError: it is no function with a text of its own.
    """
    try:
        if not inspect.isfunction(make) or make.__name__ == "<lambda>":
            raise TypeError
        return textwrap.dedent(inspect.getsource(make)), make.__name__
    except (OSError, TypeError):
        raise TypeError(
            f"expected a function written with `def` in a cell or a file, got {make!r:.80}: a node "
            "is another process, which gets the text of this function and nothing else"
        ) from None


def start_node(
    source: str, function: str, name: str, redis: RedisServer | None = None, *, keep: bool = False
) -> Node:
    """Start one node of a source text, and wait until it serves.

    Args:
        source: Python, with the function in it.
        function: its name.
        name: the node's.
        redis: what it is connected to.
        keep: a cell that runs again does not replace it.
    """
    node = Node(name, cells.claim("node", keep=keep), redis)
    node.begin(source, function)
    node.await_url()
    return node


def start_nodes(
    make: Callable[[str | None], Any],
    redis: RedisServer | None = None,
    names: Iterable[str] = ("node one", "node two"),
) -> tuple[Node, ...]:
    """Start processes that serve what a function makes; the same cell again replaces them.

    A name is in use once: a node that had it, from whatever cell, ends before.

    Args:
        make: called in each of them with the URL of its Redis (None without one); returns a
            handler or a Hub, or a pair of one and a coroutine function that runs beside it, again
            when it ends. It finds asyncio, json, wslab and redis.asyncio, and imports the rest.
        redis: from `start_redis`; None for nodes that share nothing.
        names: one for each node.

    Raises:
        TypeError: no function with a text of its own.
        RuntimeError: one of them does not come up; with the end of what it logged.
    """
    source, function = source_of(make)
    names = list(names)
    for thing in cells.things():
        if isinstance(thing, Node) and thing.name in names and not thing.is_kept:
            thing.stop(REPLACE_S)
    nodes = [Node(name, cells.claim("node"), redis) for name in names]
    for node in nodes:
        node.begin(source, function)
    for node in nodes:
        node.await_url()
    return tuple(nodes)


def start_front(nodes: Iterable[Node]) -> Front:
    """Return one address for several nodes, as a load balancer has; the same cell replaces it.

    Args:
        nodes: in the order in which they are tried.
    """
    targets = []
    for node in nodes:
        host, _, port = node.url.removeprefix("ws://").rstrip("/").rpartition(":")
        targets.append((host, int(port)))
    return Front(targets, cells.claim("front"))
