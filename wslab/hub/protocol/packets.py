"""What a hub and its clients say to each other: packets, as JSON that a person can read.

A packet is one text frame, and as many binary frames right after it as its ``binary`` says; ten
lines of browser JavaScript can speak it:

    who     text frame                              meaning
    both    {"event": "chat", "data": "hi"}         an event; data may be any JSON, or left out
    both    ... "id": 7                             the sender waits for the answer to its number 7
    both    {"answer": 7, "data": ...}              that answer
    both    {"answer": 7, "error": {"code": ...,    it could not be given, and why
             "message": ...}}
    both    ... "binary": 2                         two binary frames follow; in data,
                                                    {"$binary": 0} stands for the first of them
    hub     ... "offset": 42                        the event's place in the hub's history
    client  ... "n": 3                              the third packet of this session: should it come
                                                    twice, it is handled once
    hub     {"received": 3}                         every packet up to n = 3 has come

A client that wants to come back chooses a token of 16 to 64 characters (A-Z a-z 0-9 _ -) and
connects to ``?session=TOKEN``, and later to ``?session=TOKEN&offset=LAST``: LAST is the offset of
the last event that had one, or of the welcome before it that was the first or told of a gap. A page
that is sent bytes sets its socket's ``binaryType`` to ``"arraybuffer"``.

A client that brings a token in a packet, and not in its request, connects to ``?auth=packet`` and
says ``{"event": "authenticate", "data": {"token": "..."}}`` first of all; the same packet later
renews what it has shown.

Three events are the hub's own. ``welcome`` comes first of all: id, session (a token to come back
with, or true where the client has brought one), offset, received, resumed, gap, and where it keeps
a session, user (the client's public name in the hub, over all its connections), and expires_at
(epoch seconds) where what it has shown ends. A session that is resumed with a smaller ``received``
than its client was told before has lost what came in between. ``error`` has code and message, and
the event that it is about; ``dropped`` the count of what a slow client did not get (here, or in an
earlier connection, which broke before it was told). Everything else is a raw message, which the hub
hands to its ``message`` handler. Its rule: what cannot be read raises BadPacket with the reason,
and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ...errors import BadPacket
from .arguments import Args
from .payload import MAX_BINARY, Dumps, Loads, dumps, from_json, put_binary, reloaded, to_json
from .reserved_events import OF_SOCKET_IO

__all__ = [
    "AUTHENTICATE",
    "FROM_HUB",
    "RESERVED",
    "Dumps",
    "Loads",
    "Packet",
    "decode",
    "dumps",
    "encode_answer",
    "encode_dropped",
    "encode_error",
    "encode_event",
    "encode_received",
    "put_binary",
    "take_binary",
]

AUTHENTICATE = "authenticate"  # brings a token: first of all, or a newer one later
FROM_HUB = frozenset({"welcome", "error", "dropped"})
# What a client may not emit, since a handler of that name means something else.
RESERVED = FROM_HUB | OF_SOCKET_IO | {"connect", "disconnect", "member_lost", "message", "*"}
MAX_NAME = 128  # characters of an event's name
NOTHING: Any = object()
Reread: TypeAlias = Callable[[str, Sequence[bytes]], Any]  # of a packet's text and attachments


@dataclass(slots=True)
class Packet:
    """One packet as it came; what it does not have is None."""

    event: str | None = None
    data: Any = None
    id: int | None = None
    n: int | None = None
    offset: int | None = None
    answer: int | None = None
    error: dict[str, Any] | None = None
    received: int | None = None
    binary: int = 0
    attachments: list[bytes] = field(default_factory=list)
    size_bytes: int = 0  # where somebody counts
    flaw: str = ""  # why it will not be handled, although it could be read
    text: str = ""  # of one that waits: its data is to be read of it again
    reread: Reread | None = None  # by this, where it is no plain JSON

    @property
    def is_whole(self) -> bool:
        """Whether all binary frames that belong to it have come."""
        return len(self.attachments) >= self.binary

    def fold(self, text: str) -> None:
        """Let go of the data until `unfold`: of some JSON it takes 25 times the text's memory."""
        if type(self.data) in (list, dict, Args):
            self.data, self.text = None, text

    def unfold(self) -> None:
        """Have the data again."""
        text, self.text = self.text, ""
        if text:
            try:
                if self.reread is not None:
                    self.data = self.reread(text, self.attachments)
                else:
                    self.data = from_json(text).get("data")
            except RecursionError:  # it could be read where less was on the stack
                self.flaw = self.flaw or "too large: expected data of a sensible depth"


def encode_event(
    event: str,
    data: Any = NOTHING,
    *,
    id: int | None = None,
    n: int | None = None,
    offset: int | None = None,
    encoded: tuple[str, Sequence[bytes]] | None = None,
) -> tuple[str, list[bytes]]:
    """Return an event as the text of its first frame, and the binary frames that follow.

    Args:
        event: its name.
        data: what it carries; left out, the packet has none.
        id: its sender waits for the answer to this number.
        n: its number in the client's session.
        offset: its place in the hub's history.
        encoded: the data as :func:`dumps` returned it, where that has been done.

    Raises:
        TypeError, ValueError: JSON cannot hold it.
    """
    check_name(event)
    text, attachments = ("", []) if data is NOTHING and encoded is None else encoded or dumps(data)
    parts = ['{"event":', to_json(event)]
    if text:
        parts += (',"data":', text)
    return _closed(parts, attachments, id=id, n=n, offset=offset), list(attachments)


def encode_answer(
    answer: int, data: Any = None, own: Dumps | None = None
) -> tuple[str, list[bytes]]:
    """Return the answer to the packet of that id, as :func:`encode_event` does."""
    text, attachments = dumps(data, own)
    return _closed([f'{{"answer":{answer},"data":', text], attachments), attachments


def encode_error(
    code: str, message: str, *, answer: int | None = None, event: str | None = None
) -> str:
    """Return an error: as an answer where one was asked for, else as an ``error`` event."""
    error: dict[str, Any] = {"code": code, "message": message}
    if answer is not None:
        return to_json({"answer": answer, "error": error})
    if event is not None:
        error["event"] = event
    return to_json({"event": "error", "data": error})


def encode_received(n: int) -> str:
    """Return the packet that says that all up to n have come."""
    return f'{{"received":{n}}}'


def encode_dropped(count: int, offset: int | None = None) -> str:
    """Return the packet that says how many events the client will never get."""
    text = f'{{"event": "dropped", "data": {{"count": {count}}}'
    return text + ("}" if offset is None else f', "offset": {offset}}}')


def _closed(parts: list[str], attachments: Sequence[bytes], **numbers: int | None) -> str:
    for name, number in numbers.items():
        if number is not None:
            parts.append(f',"{name}":{number}')
    if attachments:
        parts.append(f',"binary":{len(attachments)}')
    parts.append("}")
    return "".join(parts)


def check_name(event: Any) -> None:
    """Refuse what cannot be an event's name.

    Raises:
        TypeError, ValueError: it is no text, or empty, or too long.
    """
    if not isinstance(event, str):
        raise TypeError(
            f"expected an event's name, such as 'chat', got {type(event).__name__} {event!r:.60}"
        )
    if not 0 < len(event) <= MAX_NAME:
        raise ValueError(
            f"expected an event's name of 1 to {MAX_NAME} characters, got {len(event)}"
        )


def decode(text: str) -> Packet:
    """Read a packet; its attachments are yet to come (see :attr:`Packet.is_whole`).

    Raises:
        BadPacket: this is no packet; ``is_raw`` says that it does not look like one either.
    """
    if not text.startswith("{"):
        raise BadPacket(
            f'expected a packet such as {{"event": "chat", "data": "hi"}}, got {text!r:.60}',
            is_raw=True,
        )
    try:
        fields = from_json(text)
    except (ValueError, RecursionError) as exc:
        raise BadPacket(
            f'expected a packet such as {{"event": "chat", "data": "hi"}}, got text that is no '
            f"JSON: {exc}",
            is_raw=True,
        ) from None
    get = fields.get
    packet = Packet(
        get("event"),
        get("data"),
        get("id"),
        get("n"),
        get("offset"),
        get("answer"),
        get("error"),
        get("received"),
        get("binary", 0),
    )
    try:
        _check(packet, fields)
    except BadPacket as exc:
        if type(packet.id) is int and 0 <= packet.id < 2**53:
            exc.id = packet.id  # somebody waits for the answer
        raise
    return packet


def _check(packet: Packet, fields: dict[str, Any]) -> None:
    event = packet.event
    if event is None and packet.answer is None and packet.received is None:
        raise BadPacket(
            'expected a packet with "event" or "answer", got one with '
            + (", ".join(f'"{name:.40}"' for name in list(fields)[:5]) or "nothing"),
            is_raw=True,
        )
    if event is not None and (type(event) is not str or not 0 < len(event) <= MAX_NAME):
        raise BadPacket(
            f'expected "event" to be a name of 1 to {MAX_NAME} characters, got {event!r:.60}'
        )
    for name in ("id", "n", "offset", "answer", "received", "binary"):
        number = getattr(packet, name)
        if number is not None and (type(number) is not int or not 0 <= number < 2**53):
            raise BadPacket(f'expected "{name}" to be a whole number, got {number!r:.60}')
    packet.binary = packet.binary or 0  # null is as good as left out, as for the others
    if packet.error is not None and type(packet.error) is not dict:
        raise BadPacket(f'expected "error" to be an object, got {packet.error!r:.60}')
    if packet.binary > MAX_BINARY:
        raise BadPacket(f'expected "binary" to be at most {MAX_BINARY} frames, got {packet.binary}')


def take_binary(packet: Packet, own: Loads | None = None) -> Any:
    """Return the packet's data with its binary frames put where they belong.

    Args:
        packet: whole.
        own: what makes values of the data's JSON text, in place of ours; what it raises is raised.

    Raises:
        BadPacket: a placeholder names a frame that there is not.
    """
    data = packet.data
    if own is not None and data is not None:
        data = reloaded(data, own)
    if not packet.binary:
        return data
    try:
        return put_binary(data, packet.attachments)
    except RecursionError:
        raise BadPacket("expected data of a sensible depth, got some nested too deep") from None
