"""Packets of Socket.IO 5, which are the messages of Engine.IO.

A packet is one text (a digit for its type; for bytes, how many and ``-``; the namespace and a
comma, but for ``/``; an id; JSON) and as many binary messages right after it, each of which
``{"_placeholder":true,"num":0}`` stands for in the JSON. Its rule: pure and strict, both ways; what
is no such packet raises ProtocolViolation and nothing else. Left out: who may send which packet
when, such as anything before CONNECT, which is the connection's affair.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, Final, NamedTuple

from .placeholders import Place, escaped, from_json, places_of, put, to_json
from .violation import ProtocolViolation, shown

__all__ = [
    "MAX_ATTACHMENTS",
    "RESERVED",
    "Decoder",
    "Packet",
    "PacketType",
    "attachment_missing",
    "attachment_unexpected",
    "cut",
    "decode_text",
    "encode",
    "head",
]

MAX_ATTACHMENTS: Final = 10  # a stock client takes no more
_KEPT_CHARACTERS: Final = 4_096
MAX_ID: Final = 2**53 - 1  # above it JavaScript has no whole numbers of its own
RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)


class PacketType(IntEnum):
    """The digit that a packet begins with."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class Packet(NamedTuple):
    """One packet, with its bytes where they belong.

    Args:
        type: what it is; one that is read is never BINARY_EVENT or BINARY_ACK, but EVENT or ACK
            with attachments, and :func:`encode` chooses by what the data holds.
        namespace: such as ``/admin``.
        id: of an event that shall be answered, and of its ACK.
        data: an event's name and arguments; an ACK's arguments; what a CONNECT or CONNECT_ERROR
            says.
        attachments: the bytes in ``data`` as they came; :func:`encode` finds them itself.
    """

    type: PacketType
    namespace: str = "/"
    id: int | None = None
    data: Any = None
    attachments: tuple[bytes, ...] = ()


_CONNECT, _DISCONNECT, _EVENT, _ACK, _CONNECT_ERROR, _BINARY_EVENT, _BINARY_ACK = PacketType
_TYPES: Final = {str(int(type)): type for type in PacketType}
_PLAIN: Final = {_BINARY_EVENT: _EVENT, _BINARY_ACK: _ACK}
_BINARY: Final = {plain: binary for binary, plain in _PLAIN.items()}
_COUNT: Final = re.compile(r"([1-9][0-9]*)-")
_ADDRESS: Final = re.compile(r"(?:(/[^,]*),?)?([0-9]*)")


# --- reading -------------------------------------------------------------------------------------


class Decoder:
    """Makes packets of one connection's messages; after a violation it can read on.

    Args:
        max_attachments: more of them are refused before any has come.
        max_bytes: of a packet's text (as characters) and attachments together.
    """

    __slots__ = (
        "_attachments", "_max_attachments", "_max_bytes", "_partial", "_places", "_size",
        "_text_of_partial", "missing",
    )  # fmt: skip

    def __init__(self, max_attachments: int = MAX_ATTACHMENTS, max_bytes: int = 2**24) -> None:
        self._max_attachments = max_attachments
        self._max_bytes = max_bytes
        self._partial: Packet | None = None
        self._places: list[Place] = []
        self._text_of_partial = ""  # of a large one: its JSON can take 25 times the memory
        self._attachments: list[bytes] = []
        self._size = 0
        self.missing = 0  #: how many attachments are still to come

    def add(self, message: str | bytes) -> Packet | None:
        """Return the packet that a message completes; None while attachments are to come.

        Raises:
            ProtocolViolation: and what was under way is dropped.
        """
        if isinstance(message, str):
            return self._text(message)
        return self._bytes(message)

    def _text(self, text: str) -> Packet | None:
        missing = self.missing
        if missing:
            self._drop()
            raise attachment_missing(missing, text)
        self._count(len(text), 0)
        packet, self._places = _decode(text, self._max_attachments)
        if not self._places:
            return packet
        self._partial, self._size, self.missing = packet, len(text), len(self._places)
        if len(text) > _KEPT_CHARACTERS:
            self._text_of_partial, self._places = text, []
            self._partial = packet._replace(data=None)
        return None

    def _bytes(self, message: bytes) -> Packet | None:
        partial = self._partial
        if partial is None:
            raise attachment_unexpected(len(message))
        self._count(len(message), self._size)
        self._size += len(message)
        self._attachments.append(bytes(message))
        self.missing -= 1
        if self.missing:
            return None
        attachments = tuple(self._attachments)
        places, text = self._places, self._text_of_partial
        self._drop()
        if text:
            partial, places = _decode(text, self._max_attachments)
        put(places, attachments)
        return partial._replace(attachments=attachments)

    def _count(self, size: int, before: int) -> None:
        if before + size > self._max_bytes:
            self._drop()
            raise ProtocolViolation(
                "too-large", f"at most {self._max_bytes:,} bytes in one packet",
                f"{before + size:,}",
            )  # fmt: skip

    def _drop(self) -> None:
        self._partial, self._places, self._attachments = None, [], []
        self._text_of_partial = ""
        self._size = self.missing = 0


def attachment_missing(missing: int, text: str) -> ProtocolViolation:
    """Return what a text violates while so many attachments are still to come."""
    return ProtocolViolation(
        "attachment-missing", f"binary attachments, {missing} more", f"text {shown(text)}"
    )


def attachment_unexpected(size_bytes: int) -> ProtocolViolation:
    """Return what a binary message violates that no packet waits for."""
    return ProtocolViolation(
        "attachment-unexpected",
        "text, since no packet waits for attachments",
        f"a binary message of {size_bytes:,} bytes",
    )


def decode_text(text: str) -> tuple[Packet, int]:
    """Read a packet's text alone, for whoever shows it: placeholders stay where bytes belong.

    Returns:
        The packet, and how many attachments are to come.

    Raises:
        ProtocolViolation: it is no packet.
    """
    packet, places = _decode(text, MAX_ATTACHMENTS)
    return packet, len(places)


def cut(text: str) -> tuple[str, str, str, str, str]:
    """Cut a packet's text, right or wrong, into type, attachments, namespace, id and JSON."""
    type, rest = text[:1], text[1:]
    match = _COUNT.match(rest) if type in ("5", "6") else None
    count = match[0] if match else ""
    address = _ADDRESS.match(rest, len(count))
    assert address is not None  # it matches nothing, too
    namespace = rest[len(count) : address.start(2)]
    return type, count, namespace, address[2], rest[address.end() :]


def _decode(text: str, max_attachments: int) -> tuple[Packet, list[Place]]:
    type = _TYPES.get(text[:1])
    if type is None:
        if not text:
            raise ProtocolViolation(
                "empty-packet", "a packet, which begins with its type", "no text"
            )
        raise ProtocolViolation("unknown-type", "a packet's type, 0 to 6", shown(text))
    at, count, plain = 1, 0, _PLAIN.get(type)
    if plain is not None:
        at, count = _attachment_count(text, max_attachments)
        type = plain
    address = _ADDRESS.match(text, at)
    assert address is not None  # it matches nothing, too
    namespace, digits = address.groups()
    id = _id(digits) if digits else None
    rest = text[address.end() :]
    data = from_json(rest) if rest else None
    packet = Packet(type, namespace or "/", id, data)
    _check(packet, bool(rest))
    return packet, places_of(data, count) if count else []


def _attachment_count(text: str, most: int) -> tuple[int, int]:
    match = _COUNT.match(text, 1)
    if match is None:
        raise ProtocolViolation(
            "bad-attachment-count", 'how many attachments come, such as "1-"', shown(text[1:])
        )
    digits = match[1]
    count = int(digits) if len(digits) < 10 else most + 1
    if count > most:
        raise ProtocolViolation(
            "too-many-attachments", f"at most {most} attachments", f"{digits:.20}"
        )
    return match.end(), count


def _id(digits: str) -> int:
    if len(digits) > 16 or (digits[0] == "0" and digits != "0") or int(digits) > MAX_ID:
        raise ProtocolViolation(
            "bad-id", "a whole number below 2**53, without zeros before it", f"{digits:.60}"
        )
    return int(digits)


# --- both ways -----------------------------------------------------------------------------------


def _check(packet: Packet, has_data: bool) -> None:
    """Refuse a packet whose parts do not fit its type."""
    type, _, id, data, _ = packet
    if type is _EVENT:
        _check_event(data)
    elif type is _ACK:
        if id is None or not isinstance(data, list):
            raise ProtocolViolation(
                "bad-ack",
                "an ACK's id and an array of its arguments",
                "no id" if id is None else shown(data),
            )
    elif id is not None:
        raise ProtocolViolation("unexpected-id", f"no id in a packet {type.name}", f"{id}")
    elif type is _CONNECT:
        if has_data and not isinstance(data, dict):
            raise ProtocolViolation("bad-connect", "an object, or nothing", shown(data))
    elif type is _DISCONNECT:
        if has_data:
            raise ProtocolViolation("bad-disconnect", "no data in a DISCONNECT", shown(data))
    elif not isinstance(data, dict | str):
        raise ProtocolViolation("bad-connect-error", "an object or a text", shown(data))


def _check_event(data: Any) -> None:
    name = data[0] if isinstance(data, list) and data else None
    if isinstance(name, str):
        if name in RESERVED:
            raise ProtocolViolation("reserved-event", "an event's name that is free", shown(name))
    elif type(name) not in (int, float):
        raise ProtocolViolation(
            "bad-event", "an array that begins with the event's name", shown(data)
        )


# --- writing -------------------------------------------------------------------------------------


def head(
    type: PacketType, namespace: str = "/", id: int | None = None, attachments: int = 0
) -> str:
    """Return what stands before a packet's JSON.

    Args:
        type: EVENT and ACK become BINARY_EVENT and BINARY_ACK where there are attachments.
        namespace: begins with ``/`` and holds no comma.
        id: 0 to 2**53 - 1.
        attachments: how many binary messages will follow.

    Raises:
        ProtocolViolation: bad-namespace, bad-id, bad-attachment-count or too-many-attachments.
    """
    type = _PLAIN.get(type, type)
    text = str(int(type))
    if attachments:
        binary = _BINARY.get(type)
        if binary is None:
            raise ProtocolViolation(
                "bad-attachment-count", "bytes only in events and ACKs", f"some in a {type.name}"
            )
        if attachments > MAX_ATTACHMENTS:
            raise ProtocolViolation(
                "too-many-attachments",
                f"at most {MAX_ATTACHMENTS} values of bytes in one packet",
                f"{attachments}",
            )
        text = f"{int(binary)}{attachments}-"
    if namespace != "/":
        if not namespace.startswith("/") or "," in namespace or escaped(namespace) != namespace:
            raise ProtocolViolation(
                "bad-namespace",
                "a name that begins with / and holds no comma",
                shown(namespace),
            )
        text += namespace + ","
    if id is not None:
        # bool is an int to isinstance, and no id.
        if not isinstance(id, int) or isinstance(id, bool) or not 0 <= id <= MAX_ID:
            raise ProtocolViolation("bad-id", "a whole number, 0 to 2**53 - 1", shown(id))
        text += str(id)
    return text


def encode(packet: Packet) -> tuple[str, list[bytes]]:
    """Return a packet as its text and the binary messages that must follow it.

    Raises:
        ProtocolViolation: the other side would have to end the connection.
        TypeError: JSON cannot hold the data, and it is not bytes.
    """
    type = _PLAIN.get(packet.type, packet.type)
    data = list(packet.data) if isinstance(packet.data, tuple) else packet.data
    has_data = data is not None
    _check(packet._replace(type=type, data=data), has_data)
    attachments: list[bytes] = []
    text = to_json(data, attachments) if has_data else ""
    return head(type, packet.namespace, packet.id, len(attachments)) + text, attachments
