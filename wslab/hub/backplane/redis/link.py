"""A node's link to Redis: one connection for commands, one that listens; up, or not.

Its rule: it knows within a few seconds that Redis is gone, also where no error tells so (a machine
that is cut off, a process that stands still): both connections answer a PING, and what is published
here comes back here, within a deadline. Both fall and come up together. What redis-py would do by
itself, in silence, is switched off: it loses what was published meanwhile, and nobody would know.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ....errors import BackplaneDown
from ..status import without_password
from .commands import Commands, Word
from .keys import Keys
from .script import Script
from .subscriptions import Heard, Subscriptions

__all__ = ["RedisLink", "Status"]

Status = Literal["connecting", "up", "down"]
BEAT_S = 1.0  # between two looks at whether Redis is there
DEADLINE_S = 3.0  # for each of its answers then
LISTENER_S = 30.0  # for each of those who are told that it is up
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0  # between attempts to connect
_FALLS: Final = (RedisError, OSError, TimeoutError, BackplaneDown)


class RedisLink:
    """One node's link; on one event loop.

    It has more lines than a class of ours should: how it falls and comes up is one story.

    Args:
        url: such as ``redis://127.0.0.1:6379/0``.
        keys: the hub's.
        failed: called with an error of ours, of those who listen; the link comes up again.
        beat_s, deadline_s: as above.

    Attributes:
        node_id: the name of this process among those that serve the hub; a new one each time.
        keys: the hub's.
        status: "up" once all who listen for that have done their part.
        why: why it is not up, in words.
        up_listeners: awaited, in order, each time that Redis is there (again), before it is "up".
        beat_listeners: awaited each time that Redis has shown that it is there.
        down_listeners: called when it falls, after some who listen for "up" have done their part.
        deadline_s: as above.
        reconnects: how often it came up again.

    Raises:
        ValueError: no URL of a Redis.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        failed: Callable[[BaseException], object] = lambda _exc: None,
        *,
        beat_s: float = BEAT_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._connect = dict(parse_url(url))
        self._shown_url = without_password(url)
        self._failed = failed
        self._beat_s, self.deadline_s = beat_s, deadline_s
        self.node_id = secrets.token_hex(6)
        self.keys = keys
        self.status: Status = "connecting"
        self.why = "it has not been started"
        self.up_listeners: list[Callable[[], Awaitable[None]]] = []
        self.beat_listeners: list[Callable[[], Awaitable[None]]] = []
        self.down_listeners: list[Callable[[], None]] = []
        self.reconnects = 0
        self._was_up = self._has_told = False
        self._heard: dict[bytes, Heard] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._commands: Commands | None = None
        self._subscriptions: Subscriptions | None = None
        self._up = asyncio.Event()
        self._canary: asyncio.Future[None] | None = None
        self._canaries = itertools.count(1)
        self._break: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    # Its life.

    def start(self) -> None:
        """Begin to connect, and stay connected until it is closed."""
        if self._task is None:
            self._heard[self._canary_channel.encode()] = self._canary_came
            self._task = asyncio.get_running_loop().create_task(self._supervise())

    async def wait_up(self, timeout_s: float) -> None:
        """Wait until it is up.

        Raises:
            BackplaneDown: that took too long, and why.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            raise self._down(f"it was not there within {timeout_s:g} s") from None

    async def close(self) -> None:
        """End it; nothing can be asked of it afterwards."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.why = "it was closed"
        for confirmed in self._confirmed.values():
            confirmed.cancel()
        self._confirmed.clear()

    # What is asked of it.

    def post(
        self, script: Script, keys: Sequence[str], args: Sequence[Word]
    ) -> asyncio.Future[Any]:
        """Have a script run, after all that was sent before it; return what will be its answer.

        The answer is BackplaneDown where the link has broken: it may have run, or not.
        """
        if self._commands is None:
            return self._refused()
        return self._commands.script(script, keys, args)

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Word] = (),
        *,
        timeout_s: float = 5.0,
    ) -> Any:
        """Have a script run, and return its answer.

        Raises:
            BackplaneDown: Redis is not there, or did not answer in time; it may have run.
            redis.ResponseError: the script has failed.
        """
        return await self._answer(self.post(script, keys, args), timeout_s)

    def send(self, *words: Word) -> asyncio.Future[Any]:
        """Send a command, after all that was sent before it; return what will be its answer."""
        return self._refused() if self._commands is None else self._commands.command(*words)

    async def command(self, *words: Word, timeout_s: float = 5.0) -> Any:
        """Send a command, and return its answer; it raises what `run` does."""
        return await self._answer(self.send(*words), timeout_s)

    def fail(self, why: str) -> None:
        """Let it fall and connect anew: what is behind it does not do what it should."""
        if self._break is not None and not self._break.done():
            self._break.set_exception(BackplaneDown(why))

    async def _answer(self, answer: asyncio.Future[Any], timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise self._down(f"it did not answer within {timeout_s:g} s") from None

    def _refused(self) -> asyncio.Future[Any]:
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(self._down(self.why))
        refused.exception()  # whoever does not wait for it has nothing to hear
        return refused

    def _down(self, why: str) -> BackplaneDown:
        return BackplaneDown(
            f"expected Redis at {self._shown_url}, {why}. Clients of this process go on being "
            "served, and the link is tried again; hub.backplane says how it is"
        )

    def listen(self, channel: str, heard: Heard) -> Awaitable[None]:
        """Have what is published on a channel heard, from now on, over all connections.

        Returns:
            What is done once Redis has confirmed it: at the earliest when it is there.
        """
        self._heard[channel.encode()] = heard
        future = self._confirmed.get(channel)
        if future is None:
            future = self._confirmed[channel] = asyncio.get_running_loop().create_future()
            if self._subscriptions is not None:
                self._subscribe([channel])
        return asyncio.shield(future)

    def unlisten(self, channel: str) -> None:
        """Hear a channel no more."""
        self._heard.pop(channel.encode(), None)
        future = self._confirmed.pop(channel, None)
        if future is not None:
            future.cancel()
        if self._subscriptions is not None:
            self._subscriptions.unsubscribe(channel)

    def _subscribe(self, channels: list[str]) -> list[asyncio.Future[None]]:
        assert self._subscriptions is not None
        confirmed = self._subscriptions.subscribe(channels)
        for channel, future in zip(channels, confirmed, strict=True):
            future.add_done_callback(functools.partial(self._confirm, channel))
        return confirmed

    def _confirm(self, channel: str, done: asyncio.Future[None]) -> None:
        future = self._confirmed.get(channel)
        if future is not None and not future.done() and not done.cancelled():
            future.set_result(None)

    # How it stays up.

    async def _supervise(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                await self._connected()
            except _FALLS as exc:
                if self.status == "up":
                    wait_s = FIRST_WAIT_S
                self._fall(f"got {type(exc).__name__}: {exc}")
            except Exception as exc:  # ours; seen, and no reason to be down for ever
                self._failed(exc)
                self._fall(f"a listener of ours failed with {type(exc).__name__}")
            except asyncio.CancelledError:
                self._fall("it was closed")
                raise
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _fall(self, why: str) -> None:
        has_told, self._has_told = self._has_told, False
        self.status, self.why = "down", why
        self._up.clear()
        if self._commands is not None:
            self._commands.fail(self._down(why))
        self._commands = self._subscriptions = self._canary = None
        if has_told:
            for tell in tuple(self.down_listeners):
                tell()

    async def _connected(self) -> None:
        """Connect, and return only by the error that ends it."""
        connections = [self._connection("commands"), self._connection("listens")]
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(self.deadline_s):
                for connection in connections:
                    await connection.connect()  # type: ignore[no-untyped-call]
            self._commands = commands = Commands(connections[0])
            self._subscriptions = subscriptions = Subscriptions(connections[1], self._heard.get)
            start = asyncio.get_running_loop().create_task
            for each in (commands, subscriptions):
                tasks += start(each.read()), start(each.write())
            tasks.append(start(self._stay_up()))
            self._break = asyncio.get_running_loop().create_future()
            ends: list[asyncio.Future[None]] = [*tasks, self._break]
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()  # which raises: none of them returns
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for connection in connections:
                with contextlib.suppress(*_FALLS):
                    await connection.disconnect(nowait=True)

    def _connection(self, what: str) -> AbstractConnection:
        keywords: dict[str, Any] = {"host": "127.0.0.1", "port": 6379, **self._connect}
        made_by = keywords.pop("connection_class", Connection)
        if "path" in keywords:
            del keywords["host"], keywords["port"]
        keywords |= {
            "decode_responses": False,
            "protocol": 2,  # one shape of what is published, whatever Redis's version
            "socket_timeout": None,  # our own deadlines
            "socket_connect_timeout": self.deadline_s,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "client_name": f"wslab:{self.node_id}:{what}",
        }
        connection: AbstractConnection = made_by(**keywords)
        return connection

    async def _stay_up(self) -> None:
        await self._listen_again()
        self._has_told = True
        for listener in tuple(self.up_listeners):
            async with asyncio.timeout(LISTENER_S):
                await listener()
        self.status, self.why = "up", ""
        self.reconnects += self._was_up
        self._was_up = True
        self._up.set()
        while True:
            await asyncio.sleep(self._beat_s)
            await self._beat()
            for listener in tuple(self.beat_listeners):
                await listener()

    async def _listen_again(self) -> None:
        async with asyncio.timeout(LISTENER_S):
            channels = [self._canary_channel, *self._confirmed]
            await asyncio.gather(*self._subscribe(channels))

    async def _beat(self) -> None:
        assert self._commands is not None
        assert self._subscriptions is not None
        self._canary = asyncio.get_running_loop().create_future()
        self._canary_id = b"%d" % next(self._canaries)
        sent = self._commands.command("PUBLISH", self._canary_channel, self._canary_id)
        try:
            async with asyncio.timeout(self.deadline_s):
                await sent
                await self._subscriptions.ping()
                await self._canary
        except TimeoutError:
            what = "answered" if not sent.done() else "let us hear what is published"
            raise TimeoutError(
                f"Redis has not {what} within {self.deadline_s:g} s, with its connections open"
            ) from None

    @property
    def _canary_channel(self) -> str:
        return self.keys.channel(self.node_id, "canary")

    def _canary_came(self, payload: bytes) -> None:
        canary = self._canary
        if canary is not None and not canary.done() and payload == self._canary_id:
            canary.set_result(None)
