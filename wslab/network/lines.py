"""The lines under the connections of one handle: put in when one is needed, told what changes.

Its rule: what is asked on any thread is done on the connection's loop, in the order in which it was
asked, and a line that has to come in is in when the call returns; only a loop that something holds
for more than PUT_S is not waited for. What is set is for `line_conditions` to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from ..calls.waiting import is_set_within
from .conditions import Conditions
from .line import Line

__all__ = ["Joint", "Lines"]

PUT_S: Final = 1.0


class Joint(Protocol):
    """A connection between whose protocol and transport a line can be put."""

    loop: asyncio.AbstractEventLoop

    def put_line(self, make: Callable[..., Line]) -> Line | None:
        """Put a line in; on the loop. None where the transport is about to end."""

    def take_line_out(self, below: Any) -> None:
        """Join the protocol again with the transport below the line; on the loop."""


class Lines:
    """The line of one connection after another, and those that still hold something.

    Args:
        sending, receiving: the conditions of the two directions.
        is_needed: says whether there has to be a line.

    Attributes:
        seed: of the times; None takes another one each time.
    """

    def __init__(
        self, sending: Conditions, receiving: Conditions, is_needed: Callable[[], bool]
    ) -> None:
        self.seed: int | None = None
        self._sending, self._receiving, self._is_needed = sending, receiving, is_needed
        self._joint: Joint | None = None
        self._line: Line | None = None  # under the joint
        self._all: dict[Line, None] = {}  # also under earlier ones
        self._numbers = itertools.count(1)

    @property
    def held_bytes(self) -> int:
        """How much they hold."""
        return sum(line.held_bytes for line in tuple(self._all.copy()))

    def join(self, joint: Joint) -> None:
        """Go with a connection from now on."""
        self._joint, self._line = joint, None
        if self._is_needed():
            self._on_loop(self._put)

    def leave(self, joint: Joint) -> None:
        """Let go of a connection that is gone; what is still held of it stays held."""
        if self._joint is joint:
            self._joint = self._line = None

    def changed(self, *, hasten: bool = False) -> None:
        """Take note that something was set; ``hasten``: let pass what waits for its time."""
        if self._line is None and self._is_needed():
            self._on_loop(self._put)
        for line in tuple(self._all.copy()):
            with contextlib.suppress(RuntimeError):  # its loop has ended
                line.loop.call_soon_threadsafe(line.hasten if hasten else line.look)

    def void(self) -> None:
        """End the connection, if there is one, by RST."""
        self._on_loop(self._void)

    def end(self) -> None:
        """Give up what is held, and end what is left of connections; on their loop."""
        for line in tuple(self._all):
            line.end()

    def _on_loop(self, function: Callable[[], None]) -> None:
        """Call a function on the connection's loop, and wait until that is done."""
        joint = self._joint
        if joint is None:
            return
        if _running_loop() is joint.loop:
            function()
            return
        done = threading.Event()

        def call() -> None:
            try:
                function()
            finally:
                done.set()

        with contextlib.suppress(RuntimeError):  # it has ended
            joint.loop.call_soon_threadsafe(call)
            is_set_within(done, PUT_S)

    def _put(self) -> None:
        joint = self._joint
        if joint is None or self._line is not None:
            return
        seed = random.getrandbits(32) if self.seed is None else self.seed

        def make(transport: Any, protocol: Any, *, is_new: bool, is_full: bool) -> Line:
            return Line(
                transport, protocol, sending=self._sending, receiving=self._receiving,
                seed=f"{seed} {next(self._numbers)}", is_new=is_new, is_full=is_full,
                ended=self._over,
            )  # fmt: skip

        line = joint.put_line(make)
        if line is not None:
            self._all[line] = None
            self._line = line

    def _void(self) -> None:
        self._put()
        if self._line is not None:
            self._line.void()

    def _over(self, line: Line) -> None:
        self._all.pop(line, None)
        if self._line is line:
            self._line = None
            if line.is_out and self._joint is not None:
                self._joint.take_line_out(line.below)
                self.changed()  # something may have been set in this moment


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
