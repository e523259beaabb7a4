"""Clients in Node, one process each, steered by lines of JSON, which tell what happens as it does.

Of a `tests.node.Script` every line is answered; this one has also much to say by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.node import MODULES

HERE = Path(__file__).parent
DEADLINE_S = 20.0


class NodeClient:
    """A script in Node that takes commands and tells what happens; `node` starts it.

    Attributes:
        told: all that it has told, in order.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[Any] = []
        self._read = 0
        self._has_more = asyncio.Event()
        self._reading = asyncio.create_task(self._take())

    async def _take(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.told.append(json.loads(line))
            self._has_more.set()
        self._has_more.set()

    def do(self, command: str, *arguments: Any) -> None:
        """Let it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *arguments]).encode() + b"\n")

    async def until(self, is_meant: Callable[[list[Any]], Any], what: str = "") -> Any:
        """Return the next thing told that is meant, and go over what was told before it."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                while self._read < len(self.told):
                    self._read += 1
                    if is_meant(told := self.told[self._read - 1]):
                        return told
                self._has_more.clear()
                assert not self._reading.done(), f"it has ended; waited for {what or is_meant}"
                await self._has_more.wait()

    async def told_of(self, *words: Any) -> Any:
        """Return the next thing told that begins with these words; of a dict, so much is there."""

        def is_meant(told: list[Any]) -> bool:
            return len(told) >= len(words) and all(map(_fits, words, told))

        return await self.until(is_meant, str(words))

    def all(self, word: str) -> list[Any]:
        """Return all told that begins with a word, without that word."""
        return [told[1:] for told in self.told if told[0] == word]

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading


def _fits(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(got, dict):
        return all(name in got and got[name] == value for name, value in wanted.items())
    return bool(wanted == got)


@contextlib.asynccontextmanager
async def node(script: str, *arguments: Any) -> Any:
    """Run a script of this folder in Node; its ``process.argv[2]`` is npm's folder."""
    process = await asyncio.create_subprocess_exec(
        "node", HERE / script, f"{MODULES}{os.sep}", *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    client = NodeClient(process)
    try:
        yield client
    finally:
        await client.end()
