"""The network under one connection, as a user sets it: slower, cut, read slowly, reset.

For any thread. Its rule: when a call returns it holds, and where nothing is set, nothing lies
between a connection and its transport. How that comes there is `lines`' business.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

from .conditions import BUFFER_BYTES, Conditions
from .lines import Joint, Lines
from .presets import preset_named

if TYPE_CHECKING:
    from ..wire.sender import Sender

__all__ = ["LineConditions", "Way"]

Way = float | tuple[float, float]
"""One figure for both directions, or one for sending and one for receiving."""

Rate = float | tuple[float | None, float | None] | None
"""The same, where None is no limit."""


class LineConditions:
    """The network under one connection; all its members work from any thread.

    They are many, since they are all that a user may ask of a network; each is a line or two.

    Figures are one number for both directions, or a pair ``(sending, receiving)``, seen from the
    end whose handle this is. The tape records what the program wrote and what it read: what is held
    lies behind it.

    ``delay_s`` and ``jitter_s`` hold for what is sent from then on, ``bytes_per_s`` also for what
    is held already. Nothing of it delays how TCP itself opens.

    Args:
        side: which end of the connection this is.
    """

    def __init__(self, side: Sender) -> None:
        self._side = side
        self._sending, self._receiving = Conditions(), Conditions()
        self._lines = Lines(self._sending, self._receiving, lambda: not self.is_plain)
        self._waiters: dict[asyncio.Future[None], None] = {}

    # What a user sets.

    @property
    def delay_s(self) -> Way:
        """Seconds from a write until the other end can read it, one way; 0.0."""
        return cast("Way", self._pair("delay_s"))

    @delay_s.setter
    def delay_s(self, value: Way) -> None:
        self._set("delay_s", value)

    @property
    def jitter_s(self) -> Way:
        """Up to so many seconds more, at random; the order is kept, as by TCP; 0.0."""
        return cast("Way", self._pair("jitter_s"))

    @jitter_s.setter
    def jitter_s(self, value: Way) -> None:
        self._set("jitter_s", value)

    @property
    def bytes_per_s(self) -> Rate:
        """How many bytes pass in a second; None: there is no limit."""
        return cast("Rate", self._pair("bytes_per_s"))

    @bytes_per_s.setter
    def bytes_per_s(self, value: Rate) -> None:
        self._set("bytes_per_s", value)

    @property
    def buffer_bytes(self) -> Way:
        """How much is held before a writer has to wait, as in the buffers of a kernel; 256 KiB."""
        return cast("Way", self._pair("buffer_bytes"))

    @buffer_bytes.setter
    def buffer_bytes(self, value: Way) -> None:
        self._set("buffer_bytes", value)

    @property
    def seed(self) -> int | None:
        """Makes the jitter of connections to come repeat; None: it is another one each time."""
        return self._lines.seed

    @seed.setter
    def seed(self, value: int | None) -> None:
        self._lines.seed = value

    def use(self, preset: str) -> None:
        """Set delay, jitter and rate as some network has them, such as ``"3g"``.

        Args:
            preset: one of `wslab.network.presets`: the client is the one on that network, at
                whichever end this is called.

        Raises:
            ValueError: there is none of that name; it says which there are.
        """
        figures = preset_named(preset)
        ways = [figures.up, figures.down]
        if self._side == "server":
            ways.reverse()
        both = (self._sending, self._receiving)
        for conditions, (rate, delay_s) in zip(both, ways, strict=True):
            conditions.delay_s, conditions.bytes_per_s = delay_s, rate
            conditions.jitter_s = figures.jitter_s
        self._lines.changed()

    def clear(self) -> None:
        """Set everything back, and let pass at once all that is held."""
        for conditions in (self._sending, self._receiving):
            conditions.delay_s = conditions.jitter_s = 0.0
            conditions.bytes_per_s, conditions.buffer_bytes = None, BUFFER_BYTES
            conditions.is_cut = conditions.is_stopped = False
        self._lines.changed(hasten=True)
        self._wake()

    # What a user does to it.

    def cut(self) -> None:
        """Let nothing pass, either way, and say nothing of it: no FIN, no RST.

        What is written is taken until the buffers are full, as a kernel takes it. An end that
        closes meanwhile is not heard of at the other end before :meth:`restore`: its last bytes
        and its FIN wait with the rest, for about 15 minutes as on Linux, or until the other end has
        given up as well, or the server stops.
        """
        for conditions in (self._sending, self._receiving):
            conditions.is_cut = True
        self._lines.changed()

    def restore(self) -> None:
        """Let all pass again that was sent meanwhile, in order."""
        for conditions in (self._sending, self._receiving):
            conditions.is_cut = False
        self._lines.changed()
        self._wake()

    def stop_reading(self) -> None:
        """Read nothing, whatever the program wants: be the slow reader, whom TCP waits for."""
        self._receiving.is_stopped = True
        self._lines.changed()

    def resume_reading(self) -> None:
        """Read again, as the program wants."""
        self._receiving.is_stopped = False
        self._lines.changed()

    def reset(self) -> None:
        """End the connection by RST (RFC 9293 §3.5.2), at both ends and also where it is cut.

        What is held is lost. Where there is no connection, nothing happens.
        """
        self._lines.void()

    # What there is to see.

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes."""
        return self._sending.is_cut

    @property
    def is_stopped(self) -> bool:
        """Whether this end reads nothing."""
        return self._receiving.is_stopped

    @property
    def held_bytes(self) -> int:
        """How many bytes are held now: written and not yet let go, come and not yet let in."""
        return self._lines.held_bytes

    @property
    def is_plain(self) -> bool:
        """Whether nothing is set."""
        both = (self._sending, self._receiving)
        return all(each.lets_all_pass for each in both) and not self.is_stopped

    def __repr__(self) -> str:
        names = ("delay_s", "jitter_s", "bytes_per_s")
        set_ = [f"{name}={self._pair(name)!r}" for name in names if self._pair(name)]
        set_ += ["cut"] * self.is_cut + ["not reading"] * self.is_stopped
        held = f"{self.held_bytes} B held" if self.held_bytes else ""
        return f"<Network, {', '.join(filter(None, [*set_, held])) or 'as it is'}>"

    # Whose it is.

    def take(self, other: LineConditions) -> None:
        """Set all that is set there."""
        for mine, its in (
            (self._sending, other._sending),
            (self._receiving, other._receiving),
        ):
            vars(mine).update(vars(its))
        self.seed = other.seed

    def join(self, joint: Joint) -> None:
        """Be the network of a connection from now on; on its loop, or before anything is set."""
        self._lines.join(joint)

    async def until_whole(self) -> None:
        """Wait until it is not cut: until then TCP would open no connection over it."""
        loop = asyncio.get_running_loop()
        while self.is_cut:
            waiter = loop.create_future()
            self._waiters[waiter] = None
            try:
                if self.is_cut:
                    await waiter
            finally:
                del self._waiters[waiter]

    def _wake(self) -> None:
        for waiter in tuple(self._waiters.copy()):
            with contextlib.suppress(RuntimeError):  # its loop has ended
                waiter.get_loop().call_soon_threadsafe(_set, waiter)

    def end(self) -> None:
        """Give up what is held, and end what is left of connections; on their loop."""
        self._lines.end()

    def leave(self, joint: Joint) -> None:
        """Let go of a connection that is gone; what is still held of it stays held."""
        self._lines.leave(joint)

    def _pair(self, name: str) -> Any:
        sending, receiving = getattr(self._sending, name), getattr(self._receiving, name)
        return sending if sending == receiving else (sending, receiving)

    def _set(self, name: str, value: Any) -> None:
        pair = value if isinstance(value, tuple) else (value, value)
        if len(pair) != 2:
            raise ValueError(
                f"expected {name} to be one figure, or two: (sending, receiving); got {value!r}"
            )
        before = getattr(self._sending, name)
        setattr(self._sending, name, pair[0])
        try:
            setattr(self._receiving, name, pair[1])
        except ValueError:
            setattr(self._sending, name, before)
            raise
        self._lines.changed()


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
