"""One connection to Redis for commands, many of them on their way at a time.

Its rule: they are sent in the order in which they are asked for, and answered in it. A script that
Redis no longer knows (SCRIPT FLUSH) is sent anew as text, and so are those behind it, before
anything later: else what was said later would be numbered earlier.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import DataError, NoScriptError, ResponseError

from ....errors import BackplaneDown
from .script import Script

__all__ = ["Commands", "Word"]

Word: TypeAlias = str | bytes | int | float
MAX_ON_THEIR_WAY = 100_000  # commands; who sends them has bounds of his own, in bytes


class _Command:
    __slots__ = ("answer", "rest", "script")

    def __init__(
        self, script: Script | None, rest: tuple[Word, ...], answer: asyncio.Future[Any]
    ) -> None:
        self.script, self.rest, self.answer = script, rest, answer

    def words(self) -> tuple[Word, ...]:
        return self.rest if self.script is None else ("EVALSHA", self.script.sha, *self.rest)

    def spelled_out(self) -> _Command:
        """Return it with the script's text in place of its hash."""
        assert self.script is not None
        return _Command(None, ("EVAL", self.script.text, *self.rest), self.answer)


class Commands:
    """One connection, from when it is open until it breaks.

    Args:
        connection: an open one.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._waiting: collections.deque[_Command] = collections.deque()  # to be written
        self._sent: collections.deque[_Command] = collections.deque()  # to be answered
        self._again: collections.deque[_Command] | None = None  # as text, when _sent is empty
        self._wake = asyncio.Event()
        self._broken: BackplaneDown | None = None

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Send a command; return what will be its answer."""
        return self._put(None, words)

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[Word]
    ) -> asyncio.Future[Any]:
        """Have a script run; return what will be its answer."""
        return self._put(script, (len(keys), *keys, *args))

    def _put(self, script: Script | None, rest: tuple[Word, ...]) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._broken is not None:
            answer.set_exception(self._broken)
        elif len(self._waiting) + len(self._sent) >= MAX_ON_THEIR_WAY:
            told = f"expected at most {MAX_ON_THEIR_WAY:,} commands on their way to Redis"
            answer.set_exception(BackplaneDown(f"{told}: it answers too slowly"))
        else:
            self._waiting.append(_Command(script, rest, answer))
            self._wake.set()
        return answer

    async def write(self) -> None:
        """Write what is asked for, until the connection breaks."""
        connection = self._connection
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._again is not None:
                continue  # what it waits for wakes it
            chunks: list[bytes] = []
            while self._waiting:
                command = self._waiting.popleft()
                try:
                    chunks += connection.pack_command(*command.words())
                except (UnicodeError, DataError) as exc:  # its asker's fault, and nobody else's
                    if not command.answer.done():
                        command.answer.set_exception(exc)
                    continue
                self._sent.append(command)
            if chunks:
                if not connection.is_connected:  # redis-py would connect anew, in silence
                    raise ConnectionResetError("Redis has closed the connection for commands")
                await connection.send_packed_command(chunks, check_health=False)

    async def read(self) -> None:
        """Read the answers, until the connection breaks."""
        while True:
            answer, error = None, None
            try:
                answer = await self._connection.read_response()
            except ResponseError as exc:
                error = exc
            command = self._sent.popleft()
            if isinstance(error, NoScriptError) and command.script is not None:
                self._again = self._again or collections.deque()
                self._again.append(command.spelled_out())
            elif not command.answer.done():
                if error is None:
                    command.answer.set_result(answer)
                else:
                    command.answer.set_exception(error)
            if self._again is not None and not self._sent:
                self._again.extend(self._waiting)
                self._waiting, self._again = self._again, None
                self._wake.set()

    def fail(self, why: BackplaneDown) -> None:
        """Answer all that is on its way with this: nobody knows which of it was done."""
        self._broken = why
        for commands in (self._sent, self._again or (), self._waiting):
            for command in commands:
                if not command.answer.done():
                    command.answer.set_exception(why)
                    command.answer.exception()  # whoever waits for none has nothing to hear
