"""Ids of what a handler says, so that a packet that is handled again says nothing twice.

Where the process that handled a packet ends before that is known, another one handles it again. Its
rule: what is the same, to the same rooms and in the same place among the handler's emits, has the
same id, and reaches nobody twice; what is not the same (another text, another order) is something
else, and is said. Emits of no such handler have no id.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
from collections.abc import Iterable, Iterator

from ..dialects.dialect import Said
from ..protocol.packets import Packet

__all__ = ["Sayings", "saying_once", "sayings"]

_SIZE_BYTES = 16


class Sayings:
    """What the handler of one packet says.

    Args:
        token: of its client's session.
        n: the packet's number in that.
    """

    __slots__ = ("_count", "_n", "_token")

    def __init__(self, token: str, n: int) -> None:
        self._token, self._n, self._count = token, n, 0

    def next_id(self, said: Said, to: Iterable[str | None]) -> str:
        """Return the id of the next thing that it says, and to which rooms and sessions."""
        self._count += 1
        words = repr((self._token, self._n, self._count, said.event, list(to))).encode()
        digest = hashlib.blake2b(words, digest_size=_SIZE_BYTES)
        for part in (said.data, *said.attachments):
            digest.update(part)
        return digest.hexdigest()


# What the code at hand was called from; threads and tasks that a handler starts have it, too.
sayings: contextvars.ContextVar[Sayings | None] = contextvars.ContextVar("sayings", default=None)


@contextlib.contextmanager
def saying_once(token: str, packet: Packet) -> Iterator[None]:
    """Have what is said meanwhile said by the handler of a numbered packet."""
    assert packet.n is not None
    reset = sayings.set(Sayings(token, packet.n))
    try:
        yield
    finally:
        sayings.reset(reset)
