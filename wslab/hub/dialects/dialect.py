"""A dialect: how greeting, event, answer, error, welcome and receipt look on one link.

Its rule: pure. Words in, text and bytes out, and the other way round; what they lead to is the
hub's affair. Clients of all dialects share a hub and its rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from ...errors import BadPacket
from ..protocol.packets import Dumps, Packet

__all__ = ["Assembler", "Dialect", "Greeting", "Item", "Payloads", "Said"]

Item: TypeAlias = Packet | BadPacket | str | bytes  # a packet, a flaw, or a raw message
Payloads: TypeAlias = tuple[str, Sequence[bytes]]  # of a text frame and the binary ones after it


class Said(NamedTuple):
    """An event before it is put into any dialect, as a hub keeps it.

    Args:
        event: its name.
        data: what it carries: JSON, in UTF-8.
        attachments: the bytes that the data refers to.
        offset: its place in the hub's history, where it has one.
    """

    event: str
    data: bytes
    attachments: Sequence[bytes] = ()
    offset: int | None = None


class Greeting(NamedTuple):
    """What a client comes with: its session's token, or "", and the last offset that it has."""

    token: str
    offset: int | None


class Assembler(Protocol):
    """Makes whole packets of one connection's messages, in which it keeps its place."""

    def add(self, message: str | bytes) -> Item | None:
        """Return what a message completes; None while more of it is to come."""


class Dialect(Protocol):
    """One way to say it; the same object for all connections that speak it.

    Attributes:
        name: its name, for views.
        ends_with: the close code by which a violation ends the connection, by what it is told as;
            what is not here is told, and no more.
    """

    name: str
    ends_with: Mapping[str, int]

    def __hash__(self) -> int: ...

    def greeting(self, path: str) -> Greeting:
        """Return what a client comes with, from the path that it asked for."""

    def shown_path(self, path: str) -> str:
        """Return that path without what names a session, which is a secret."""

    def assembler(
        self,
        max_size: Callable[[], int],
        takes_raw: Callable[[], bool],
        broke_off: Callable[[Packet, str], object],
    ) -> Assembler:
        """Return what makes packets of a connection's messages.

        Args:
            max_size: returns the most bytes that one may have; a larger one has a ``flaw``.
            takes_raw: whether somebody handles what is no packet; else it is a flaw.
            broke_off: called with a packet that stays incomplete, and what was expected.
        """

    def event(self, said: Said, id: int | None = None) -> Payloads:
        """Return an event; with ``id``, its client shall answer."""

    def answer(self, id: int, data: Any, dumps: Dumps | None) -> Payloads:
        """Return the answer to the client's packet of that id; ``dumps`` makes the data's JSON."""

    def error(
        self, code: str, message: str, *, answer: int | None = None, event: str | None = None
    ) -> Payloads:
        """Return what went wrong: as the answer to a packet, or about an event, or at all."""

    def welcome(self, fields: Mapping[str, Any]) -> Payloads:
        """Return the first that is said to a client: its id, its session, and what it missed."""

    def received(self, n: int) -> Payloads:
        """Return that every packet up to n has come."""

    def dropped(self, count: int, offset: int | None = None) -> Payloads:
        """Return how many events the client will never get, up to that place in the history."""
