"""A dialect: how greeting, event, answer, error, welcome and receipt look on one link.

Its rule: pure. Words in, text and bytes out, and the other way round; what they lead to is the
hub's affair. Clients of all dialects share a hub and its rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from ...errors import BadPacket
from ..protocol.packets import Dumps, Packet

__all__ = ["Assembler", "Dialect", "Greeting", "Item", "Payloads", "Raw", "Said"]

Item: TypeAlias = Packet | BadPacket | str | bytes  # a packet, a flaw, or a raw message
# Of a text frame (bytes are UTF-8), if any, and the binary ones after it.
Payloads: TypeAlias = tuple[str | bytes | None, Sequence[bytes]]


class Said(NamedTuple):
    """An event before it is put into any dialect, as a hub keeps it.

    Args:
        event: its name.
        data: what it carries: JSON, in UTF-8.
        attachments: the bytes that the data refers to.
        offset: its place in the hub's history, where it has one.
        is_several: the data is an array of several arguments.
    """

    event: str
    data: bytes
    attachments: Sequence[bytes] = ()
    offset: int | None = None
    is_several: bool = False

    @property
    def size_bytes(self) -> int:
        """What it carries."""
        return len(self.event) + len(self.data) + sum(map(len, self.attachments))


class Raw(NamedTuple):
    """A message that is no event, before it is put into any dialect.

    Args:
        payload: its bytes; of text, in UTF-8.
        is_text: whether it is text.
        offset: of the latest event in the hub's history, where that is kept.
    """

    payload: bytes
    is_text: bool
    offset: int | None = None


class Greeting(NamedTuple):
    """What a client comes with.

    Args:
        token: its session's, or "".
        offset: of the last event that it has.
        is_whole_or_new: it cannot be told of a gap, nor choose a token: what is not continued
            without one is a session of another token.
    """

    token: str
    offset: int | None
    is_whole_or_new: bool = False


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
        max_attachments: values of bytes that one event may carry.
        introduces: whether a client introduces itself before it is let in (a link's ``auth``).
    """

    name: str
    ends_with: Mapping[str, int]
    max_attachments: int
    introduces: bool

    def __hash__(self) -> int: ...

    def greeting(self, path: str, auth: Any) -> Greeting:
        """Return what a client comes with, from the path and whatever it has introduced itself."""

    def shown_path(self, path: str) -> str:
        """Return that path without what names a session, which is a secret."""

    def shown_auth(self, auth: Any) -> Any:
        """Return what a client has introduced itself with, without what names a session."""

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

    def raw(self, raw: Raw) -> Payloads:
        """Return a message that is no event."""

    def answer(self, id: int, data: Any, dumps: Dumps | None) -> Payloads:
        """Return the answer to the client's packet of that id; ``dumps`` makes the data's JSON."""

    def error(
        self, code: str, message: str, *, answer: int | None = None, event: str | None = None
    ) -> Payloads:
        """Return what went wrong: as the answer to a packet, or about an event, or at all."""

    def refusal(self, code: str, message: str, data: Any = None) -> Payloads:
        """Return what is said to a client that is not let in, and why.

        Raises:
            TypeError, ValueError: JSON cannot hold the data.
        """

    def farewell(self, code: int, reason: str, *, was_let_in: bool) -> Payloads:
        """Return the last that is said before a link is closed, where that itself says too little.

        Args:
            code: why, as a close code.
            reason: the same in words.
            was_let_in: whether its client was.
        """

    def welcome(self, fields: Mapping[str, Any]) -> Payloads:
        """Return the first that is said to a client: its id, its session, and what it missed."""

    def received(self, n: int) -> Payloads:
        """Return that every packet up to n has come; nothing where packets have no numbers."""

    def dropped(self, count: int, offset: int | None = None) -> Payloads:
        """Return how many events the client will never get, up to that place in the history."""
