"""One connection to Redis on which channels are heard.

Its rule: who listens is told when Redis has confirmed it, since what was published before is not
heard. It keeps no list of what was heard before it: `link` listens anew after a break.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio.connection import AbstractConnection

__all__ = ["Heard", "Subscriptions"]

Heard = Callable[[bytes], None]
CHANNELS_AT_ONCE = 500  # of one SUBSCRIBE


class Subscriptions:
    """One connection, from when it is open until it breaks.

    Args:
        connection: an open one.
        heard: returns who hears a channel, if anybody.
    """

    def __init__(
        self, connection: AbstractConnection, heard: Callable[[bytes], Heard | None]
    ) -> None:
        self._connection = connection
        self._heard = heard
        self._confirmations: dict[bytes, list[asyncio.Future[None]]] = {}
        self._waiting: collections.deque[tuple[str, ...]] = collections.deque()
        self._wake = asyncio.Event()
        self._pong: asyncio.Future[None] | None = None

    def subscribe(self, channels: Iterable[str]) -> list[asyncio.Future[None]]:
        """Hear channels; return what is done once Redis has confirmed each."""
        loop = asyncio.get_running_loop()
        all_channels, confirmed = list(channels), []
        for channel in all_channels:
            future: asyncio.Future[None] = loop.create_future()
            self._confirmations.setdefault(channel.encode(), []).append(future)
            confirmed.append(future)
        for first in range(0, len(all_channels), CHANNELS_AT_ONCE):
            self._send("SUBSCRIBE", *all_channels[first : first + CHANNELS_AT_ONCE])
        return confirmed

    def unsubscribe(self, channel: str) -> None:
        """Hear a channel no more."""
        self._send("UNSUBSCRIBE", channel)

    def ping(self) -> asyncio.Future[None]:
        """Return what is done once Redis has answered on this connection."""
        if self._pong is None or self._pong.done():
            self._pong = asyncio.get_running_loop().create_future()
            self._send("PING")
        return self._pong

    def _send(self, *words: str) -> None:
        self._waiting.append(words)
        self._wake.set()

    async def write(self) -> None:
        """Write what is asked for, until the connection breaks."""
        connection = self._connection
        while True:
            await self._wake.wait()
            self._wake.clear()
            chunks: list[bytes] = []
            while self._waiting:
                chunks += connection.pack_command(*self._waiting.popleft())
            if chunks:
                if not connection.is_connected:  # redis-py would connect anew, in silence
                    raise ConnectionResetError("Redis has closed the connection that listens")
                await connection.send_packed_command(chunks, check_health=False)

    async def read(self) -> None:
        """Hear what is published, until the connection breaks."""
        read, heard_by = self._connection.read_response, self._heard
        while True:
            answer: Any = await read()
            if not isinstance(answer, list):  # PONG, while no channel is heard
                self._ponged()
                continue
            kind = answer[0]
            if kind == b"message":
                heard = heard_by(answer[1])
                if heard is not None:
                    heard(answer[2])
            elif kind == b"subscribe":
                waiting = self._confirmations.get(answer[1])
                if waiting:
                    confirmed = waiting.pop(0)
                    if not waiting:
                        del self._confirmations[answer[1]]
                    if not confirmed.done():
                        confirmed.set_result(None)
            elif kind == b"pong":
                self._ponged()

    def _ponged(self) -> None:
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(None)
