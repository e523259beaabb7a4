"""What a hub has asked one client, and waits for the answers to.

Its rule: a question has a number that no other of the hub's has, an answer comes to whoever asked,
and one that comes too late, perhaps over the client's next connection, is nobody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from ...calls.calling import must_pass
from ...errors import BadPacket, CallFailed
from ...failures import kind_of, said_by
from ..protocol import packets

__all__ = ["Questions"]


class Questions:
    """One client's open questions; on the hub's loop only.

    Args:
        numbers: of questions, of all the hub's clients.
        loads: what makes values of an answer's JSON text, in place of ours.
    """

    __slots__ = ("_loads", "_numbers", "_open")

    def __init__(self, numbers: Iterator[int], loads: packets.Loads | None) -> None:
        self._numbers = numbers
        self._loads = loads
        self._open: dict[int, asyncio.Future[Any]] | None = None  # most clients are never asked

    def __len__(self) -> int:
        return len(self._open or ())

    def ask(self) -> tuple[int, asyncio.Future[Any]]:
        """Return the number of a new question, and what will be its answer; `forget` it then."""
        if self._open is None:
            self._open = {}
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        return number, answer

    def forget(self, number: int) -> None:
        """Wait no longer for an answer."""
        assert self._open is not None
        del self._open[number]

    def fail(self, why: Callable[[], Exception]) -> None:
        """Give up all questions: no answer will come."""
        for answer in tuple((self._open or {}).values()):
            if not answer.done():
                answer.set_exception(why())

    def settle(self, packet: packets.Packet) -> None:
        """Give an answer to whoever waits for it."""
        answer = (self._open or {}).get(packet.answer)  # type: ignore[arg-type]
        if answer is None or answer.done():
            return
        packet.unfold()
        if packet.flaw:
            answer.set_exception(CallFailed(packet.flaw, code="too-large"))
        elif packet.error is not None:
            message = str(packet.error.get("message", "the client answered with an error"))
            code = str(packet.error.get("code", "failed"))
            answer.set_exception(CallFailed(message, code=code))
        else:
            try:
                answer.set_result(packets.take_binary(packet, self._loads))
            except BadPacket as exc:
                answer.set_exception(CallFailed(str(exc), code="bad-packet"))
            except BaseException as exc:  # of loads
                if must_pass(exc, is_async=True):
                    raise
                told = f"loads= could not read the answer: {kind_of(exc)}: {said_by(exc)}"
                answer.set_exception(CallFailed(told, code="bad-packet"))
