"""Peeler: one side's messages of an Engine.IO session, each as its packet and what is in it.

Its rule: a packet that breaks a rule is a value with the rule's name, and reading goes on after it;
where messages were passed over nothing is called a violation that may be none. It holds a count and
some names, never a payload. Left out: which messages belong to a session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .. import engineio, socketio
from ..engineio import PacketType as Engine
from ..sender import Sender
from ..socketio import PacketType as Socket
from ..violation import ProtocolViolation, shown

__all__ = ["MAX_READ", "Peeled", "Peeler"]

MAX_READ: Final = 64 * 2**10  # characters of a packet; a tick holds the loop of every server
_MAX_NAMESPACES: Final = 100
_MAX_NAME: Final = 200
# What each side says in Engine.IO 4, where the server asks and the client answers.
_MAY_SAY: Final[dict[Sender, frozenset[Engine]]] = {
    "client": frozenset({Engine.CLOSE, Engine.PONG, Engine.MESSAGE, Engine.UPGRADE}),
    "server": frozenset({Engine.OPEN, Engine.CLOSE, Engine.PING, Engine.MESSAGE, Engine.NOOP}),
}
_PROBES: Final[dict[Sender, Engine]] = {"client": Engine.PING, "server": Engine.PONG}


@dataclass(frozen=True, slots=True)
class Peeled:
    """One packet of Engine.IO, from the outside to the inside.

    Attributes:
        says: all of it in a few words, such as ``event chat, id 7``.
        size: in characters, or bytes of what is binary.
        engine: its type; None where that is not known.
        parts: the text, cut into its parts, by name: engine, type, attachments, namespace, id,
            data.
        packet: of Socket.IO, its bytes still placeholders; None for what is no such packet.
        attachment: which of how many attachments this is.
        violation: the rule that it breaks.
    """

    says: str
    size: int
    engine: Engine | None = None
    parts: tuple[tuple[str, str], ...] = ()
    packet: socketio.Packet | None = None
    missing: int = 0  #: attachments that are to come
    attachment: tuple[int, int] | None = None
    violation: ProtocolViolation | None = None

    @property
    def data(self) -> str:
        """The last part of the text."""
        return dict(self.parts).get("data", "")


class Peeler:
    """Reads what one side says, message by message.

    Args:
        sender: which side.
        is_socketio: whether messages are packets of Socket.IO.
    """

    __slots__ = ("_asked", "_count", "_event", "_is_lost", "_missing", "_sender", "is_socketio")

    def __init__(self, sender: Sender, is_socketio: bool = True) -> None:
        self._sender = sender
        self.is_socketio = is_socketio
        self._is_lost = False  # messages were passed over
        self._asked: set[str] | None = set()  # namespaces; None where not all are known
        self._event = ""  # that waits for attachments
        self._count = self._missing = 0  # of attachments

    def lose(self) -> None:
        """Take note that messages were passed over."""
        self._is_lost, self._asked = True, None
        self._count = self._missing = 0

    def binary(self, size: int) -> Peeled:
        """Peel a binary frame, or bytes in base64."""
        if not self.is_socketio:
            return Peeled(f"{size:,} bytes", size, Engine.MESSAGE)
        if self._missing:
            self._missing -= 1
            nth = self._count - self._missing
            says = f"attachment {nth} of {self._count}, {self._event}"
            return Peeled(says, size, Engine.MESSAGE, attachment=(nth, self._count))
        if self._is_lost:
            return Peeled("bytes of something before", size, Engine.MESSAGE)
        return self._broken(size, Engine.MESSAGE, (), socketio.attachment_unexpected(size))

    def text(self, text: str) -> Peeled:
        """Peel a text frame, or one packet of a polling body."""
        size = len(text)
        is_long = size > MAX_READ
        if is_long and text[0] == "b":
            return self.binary(size * 3 // 4)
        try:
            packet = engineio.decode_text(text)
        except ProtocolViolation as exc:
            return self._broken(size, None, (("unknown", text),) if text else (), exc)
        engine, data = packet
        if isinstance(data, bytes):
            return self.binary(len(data))
        rest = text[1:]
        parts = (("engine", text[0]), ("data", rest)) if rest else (("engine", text[0]),)
        violation = self._wrong_side(engine, rest)
        if engine is not Engine.MESSAGE or not self.is_socketio:
            says = f"{engine.name.lower()}{f' {rest}' if rest == 'probe' else ''}"
            if violation is not None:
                return self._broken(size, engine, parts, violation)
            return Peeled(says, size, engine, parts)
        if is_long:
            self.lose()
            cut = _parts(rest[:MAX_READ])
            return Peeled(f"a packet of {size:,} characters, not read here", size, engine, cut)
        return self._message(rest, size)

    def _message(self, text: str, size: int) -> Peeled:
        parts = _parts(text)
        violation = None
        if self._missing:
            violation = socketio.attachment_missing(self._missing, text)
            self._missing = 0
        self._is_lost = False  # whatever waits for bytes waits for those after this
        try:
            packet, missing = socketio.decode_text(text)
        except ProtocolViolation as exc:
            return self._broken(size, Engine.MESSAGE, parts, violation or exc)
        says = _says(packet)
        self._count = self._missing = missing
        self._event = says.partition(" in ")[0]
        violation = violation or self._too_early(packet)
        return Peeled(
            says if violation is None else f"{says}: {violation.rule}",
            size, Engine.MESSAGE, parts, packet, missing, violation=violation,
        )  # fmt: skip

    def _broken(
        self,
        size: int,
        engine: Engine | None,
        parts: tuple[tuple[str, str], ...],
        violation: ProtocolViolation,
    ) -> Peeled:
        return Peeled(f"breaks {violation.rule}", size, engine, parts, violation=violation)

    def _wrong_side(self, engine: Engine, data: str) -> ProtocolViolation | None:
        if engine in _MAY_SAY[self._sender]:
            return None
        if engine is _PROBES[self._sender] and data == "probe":
            return None
        other = "server" if self._sender == "client" else "client"
        return ProtocolViolation(
            "wrong-side", f"{engine.name} from a {other} only", f"one from a {self._sender}"
        )

    def _too_early(self, packet: socketio.Packet) -> ProtocolViolation | None:
        """Name what a client says in a namespace that it has not asked for."""
        if self._sender == "server" or self._asked is None:
            return None
        if packet.type is Socket.CONNECT:
            self._asked.add(packet.namespace)
            if len(self._asked) > _MAX_NAMESPACES or len(packet.namespace) > _MAX_NAME:
                self._asked = None
        elif packet.namespace not in self._asked:
            return ProtocolViolation(
                "before-connect", f"CONNECT first in {shown(packet.namespace)}", packet.type.name
            )
        return None


def _parts(text: str) -> tuple[tuple[str, str], ...]:
    names = ("type", "attachments", "namespace", "id", "data")
    cut = zip(names, socketio.cut(text), strict=True)
    return (("engine", "4"), *((name, part) for name, part in cut if part))


def _says(packet: socketio.Packet) -> str:
    type, data = packet.type, packet.data
    words = type.name.lower().replace("_", " ")
    if type is Socket.EVENT:
        words += f" {_name(str(data[0]))}"
    if packet.id is not None:
        words += f", id {packet.id}" if type is Socket.EVENT else f" {packet.id}"
    if packet.namespace != "/":
        words += f" in {_name(packet.namespace)}"
    return words


def _name(text: str) -> str:
    """Return the beginning of a name; one that is not plain as Python would write it."""
    return text[:40] if text.isprintable() and text.strip() == text != "" else shown(text[:40])
