"""A node's process, from outside: started, asked, killed, held still.

Its rule: it is our own child, and ends with us: its input ends then. Everything that it has printed
is read, also what it printed before it was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["NodeGone", "NodeProcess"]

START_S = 60.0
ASK_S = 15.0


class NodeGone(Exception):
    """The process that was asked has ended, or does not answer."""


class NodeProcess:
    """One process of `tests.hub.machines.node`.

    Args:
        happened: called with each line that is no answer.
    """

    def __init__(self, happened: Callable[[dict[str, Any]], None]) -> None:
        self.port = 0
        self.is_held = False
        self._happened = happened
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._nth = 0

    async def start(self, redis: str | None, carrier: str) -> None:
        """Start it, and wait until it listens."""
        options = ["--carrier", carrier, *(["--redis", redis] if redis else [])]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.hub.machines.node", *options,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
        )  # fmt: skip
        self._listening = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())
        self.port = await asyncio.wait_for(self._listening, START_S)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with contextlib.suppress(ValueError):  # it was killed in the middle of a line
                self._take(json.loads(line))
        for waiting in (self._listening, *self._asked.values()):
            if not waiting.done():
                waiting.set_exception(NodeGone("the node's process has ended"))

    def _take(self, line: dict[str, Any]) -> None:
        if "port" in line:
            self._listening.set_result(line["port"])
        elif "to" not in line:
            self._happened(line)
        elif (asked := self._asked.get(line["to"])) is not None and not asked.done():
            if "error" in line:
                asked.set_exception(RuntimeError(f"a node answered {line['error']}"))
            else:
                asked.set_result(line["answer"])

    @property
    def is_alive(self) -> bool:
        """Whether it runs, and is not held still."""
        return not self.is_held and self._process.returncode is None

    async def ask(self, do: str, **data: Any) -> Any:
        """Have it do something; return what it answers.

        Raises:
            NodeGone: it has ended, or does not answer.
            RuntimeError: it failed.
        """
        self._nth = nth = self._nth + 1
        asked = self._asked[nth] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"nth": nth, "do": do, **data}).encode() + b"\n")
            return await asyncio.wait_for(asked, ASK_S)
        except (TimeoutError, OSError) as exc:
            raise NodeGone(f"the node does not answer: {exc!r}") from None
        finally:
            del self._asked[nth]

    async def kill(self) -> None:
        """Kill it (-9)."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    def hold(self) -> None:
        """Have it stand still, with all its connections open."""
        self._process.send_signal(signal.SIGSTOP)
        self.is_held = True

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)
        self.is_held = False

    async def close(self) -> None:
        """End it as a program ends, or else kill it.

        Raises:
            NodeGone: it did not end by itself.
        """
        if self._process.returncode is not None:
            await self._reader
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), ASK_S)
        except TimeoutError:
            await self.kill()
            raise NodeGone("the node did not end when its input ended") from None
        await self._reader
