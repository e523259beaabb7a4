"""Socket.IO 5, as stock clients speak it: one dialect for each namespace of a hub.

Its rule: what is no packet ends the connection (`wire/socketio` says what is one). What is written
is a whole Engine.IO message, with its digit 4 before it, so that all who get an event share its
frames; what is read comes without. An answer that could not be given is an ACK of one argument,
``{"error": {"code", "message"}}``; text and bytes that are no event are the event ``message``.

Where a hub keeps a history, an event's last argument is its place there, as from the reference
server, with a mark of that history: a client that has been given a new session still names the last
place of the one before. Left out: which namespaces there are, and who may connect to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ...errors import BadPacket
from ...wire import socketio
from ...wire.engineio import PacketType as EngineType
from ...wire.socketio import MAX_ATTACHMENTS, Decoder, PacketType, head
from ...wire.violation import ProtocolViolation
from ..protocol import packets
from ..protocol.arguments import Args
from ..protocol.packets import MAX_NAME, Dumps, Packet
from ..protocol.payload import to_json
from .dialect import Greeting, Item, Payloads, Raw, Said
from .sizes import held_to, size_of, too_large

__all__ = ["MESSAGE", "VIOLATION", "SocketIo"]

VIOLATION: Final = "violation"  # what is told before a connection ends because of one
MESSAGE: Final = str(int(EngineType.MESSAGE))  # before each text
# What ends the connection, and not the namespace alone: a violation, a restart, and being too slow.
# Who is told to disconnect does not come again by itself (RFC 6455 §7.4.1).
_ENDS_ALL: Final = {1002, 1012, 1013}
_PLACEHOLDER: Final = re.compile(r'\{\s*"\$binary"\s*:\s*(\d+)\s*\}')
_PID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_OFFSET: Final = re.compile(r"([A-Za-z0-9_-]+)\.([0-9]{1,15})")


class SocketIo:
    """The dialect of one namespace; a `Dialect`.

    Args:
        namespace: such as ``/admin``.
        mark: of the history that offsets are places of; "" for clients that know no recovery.

    Raises:
        ProtocolViolation: bad-namespace.
    """

    ends_with: Mapping[str, int] = {VIOLATION: 1002}
    max_attachments = MAX_ATTACHMENTS
    introduces = True

    def __init__(self, namespace: str = "/", mark: str = "") -> None:
        self.name = f"Socket.IO {namespace}"
        self.namespace = namespace
        self.mark = mark
        self._event = MESSAGE + head(PacketType.EVENT, namespace)

    def greeting(self, path: str, auth: Any) -> Greeting:
        if not self.mark or not isinstance(auth, dict):
            return Greeting("", None, is_whole_or_new=True)
        pid, offset = auth.get("pid"), auth.get("offset")
        if not isinstance(pid, str) or not _PID.fullmatch(pid):
            return Greeting("", None, is_whole_or_new=True)
        match = _OFFSET.fullmatch(offset) if isinstance(offset, str) else None
        place = int(match[2]) if match is not None and match[1] == self.mark else None
        return Greeting(pid, place, is_whole_or_new=True)

    @property
    def may_recover(self) -> bool:
        """Whether its clients may come back to what they have missed."""
        return bool(self.mark)

    def shown_auth(self, auth: Any) -> Any:
        """Return what a client has introduced itself with, without what names its session."""
        if not isinstance(auth, dict):
            return auth
        return {name: value for name, value in auth.items() if name not in ("pid", "offset")}

    def shown_path(self, path: str) -> str:
        path, mark, query = path.partition("?")
        if mark:
            query = "&".join(part for part in query.split("&") if not part.startswith("sid="))
        return f"{path}?{query}" if query else path

    def assembler(
        self,
        max_size: Callable[[], int],
        takes_raw: Callable[[], bool],
        broke_off: Callable[[Packet, str], object],
    ) -> _Assembler:
        return _Assembler(max_size)

    # What is said.

    def event(self, said: Said, id: int | None = None) -> Payloads:
        text = said.data.decode()
        if said.is_several:
            text = text.strip()[1:-1].strip()
        elif text == "null":  # as a stock client says it
            text = ""
        return self._packet(said.event, text, said.attachments, id, said.offset)

    def raw(self, raw: Raw) -> Payloads:
        if raw.is_text:
            return self._packet("message", to_json(raw.payload.decode()), (), None, raw.offset)
        return self._packet("message", '{"$binary":0}', (raw.payload,), None, raw.offset)

    def answer(self, id: int, data: Any, dumps: Dumps | None) -> Payloads:
        if data is None:
            return self._ack(id, "[]"), ()
        text, attachments = packets.dumps(data, dumps)
        if len(attachments) > MAX_ATTACHMENTS:
            raise ValueError(
                f"expected at most {MAX_ATTACHMENTS} values of bytes in an answer to a Socket.IO "
                f"client, got {len(attachments)}: it takes no more"
            )
        if type(data) is not Args:
            text = f"[{text}]"
        return self._ack(id, _placed(text, attachments), len(attachments)), attachments

    def error(
        self, code: str, message: str, *, answer: int | None = None, event: str | None = None
    ) -> Payloads:
        error = {"code": code, "message": message}
        if answer is not None:
            return self._ack(answer, to_json([{"error": error}])), ()
        if event is not None:
            error["event"] = event
        return self._packet("error", to_json(error))

    def dropped(self, count: int, offset: int | None = None) -> Payloads:
        return self._packet("dropped", f'{{"count":{count}}}', offset=offset)

    def received(self, n: int) -> Payloads:
        return None, ()

    def _packet(
        self,
        event: str,
        arguments: str,
        attachments: Sequence[bytes] = (),
        id: int | None = None,
        offset: int | None = None,
    ) -> Payloads:
        parts = [to_json(event)]
        if arguments:
            parts.append(_placed(arguments, attachments))
        if offset is not None and self.mark:
            parts.append(f'"{self.mark}.{offset}"')
        start = self._event
        if attachments or id is not None:
            start = MESSAGE + head(PacketType.EVENT, self.namespace, id, len(attachments))
        return f"{start}[{','.join(parts)}]", attachments

    def _ack(self, id: int, arguments: str, attachments: int = 0) -> str:
        return f"{MESSAGE}{head(PacketType.ACK, self.namespace, id, attachments)}{arguments}"

    # Who comes and goes.

    def welcome(self, fields: Mapping[str, Any]) -> Payloads:
        told = {"sid": fields["id"]}
        if self.mark and fields["session"]:
            told["pid"] = fields["session"]
        return self._encoded(PacketType.CONNECT, told)

    def refusal(self, code: str, message: str, data: Any = None) -> Payloads:
        told = {"message": message} if data is None else {"message": message, "data": data}
        to_json(told)  # which is stricter
        return self._encoded(PacketType.CONNECT_ERROR, told)

    def farewell(self, code: int, reason: str, *, was_let_in: bool) -> Payloads:
        if code in _ENDS_ALL and was_let_in:
            return None, ()
        if was_let_in:
            return self._encoded(PacketType.DISCONNECT, None)
        return self.refusal("refused", reason or "refused")

    def _encoded(self, type: PacketType, data: Any) -> Payloads:
        text, _ = socketio.encode(socketio.Packet(type, self.namespace, None, data))
        return MESSAGE + text, ()


def _placed(text: str, attachments: Sequence[bytes]) -> str:
    # Quotes in JSON's texts are escaped, so that this can only be what `dumps` has put there.
    if not attachments:
        return text
    return _PLACEHOLDER.sub(r'{"_placeholder":true,"num":\1}', text)


class _Assembler:
    __slots__ = ("_decoder", "_max_size", "_size", "_text")

    def __init__(self, max_size: Callable[[], int]) -> None:
        self._max_size = max_size
        self._decoder = Decoder()
        self._text = ""  # of a packet whose attachments are still to come
        self._size = 0

    def add(self, message: str | bytes) -> Item | None:
        limit = self._max_size()
        try:
            if isinstance(message, str):
                self._size = size_of(message, limit)
                came = self._decoder.add(message)
                if came is None:
                    self._text = message
            else:
                self._size += len(message)
                came = self._decoder.add(message if self._size <= limit else b"")
        except ProtocolViolation as violation:
            return BadPacket(f"{violation.rule}: {violation}", code=VIOLATION)
        return None if came is None else self._item(came, limit)

    def _item(self, came: socketio.Packet, limit: int) -> Item:
        text, self._text = self._text, ""
        data = _data_of(came)
        packet = Packet(data=data, id=came.id, size_bytes=self._size, reread=_reread)
        if came.type is PacketType.ACK:
            packet.id, packet.answer = None, came.id
        else:
            name = came.data[0]
            packet.event = name = name if isinstance(name, str) else to_json(name)
            if not 0 < len(name) <= MAX_NAME:
                flaw = BadPacket(f"expected an event's name of 1 to {MAX_NAME} characters")
                flaw.id = came.id
                return flaw
            if name == "message" and came.id is None and isinstance(data, str | bytes):
                return data if self._size <= limit else BadPacket(too_large(self._size, limit))
        if came.attachments:  # values made of JSON can take 25 times the memory, and it may wait
            packet.data, packet.text, packet.attachments = None, text, list(came.attachments)
        return held_to(packet, limit)


def _data_of(packet: socketio.Packet) -> Any:
    arguments = packet.data if packet.type is PacketType.ACK else packet.data[1:]
    if len(arguments) == 1:
        return arguments[0]
    return Args(*arguments) if arguments or packet.type is PacketType.EVENT else None


def _reread(text: str, attachments: Sequence[bytes]) -> Any:
    decoder = Decoder()
    packet = decoder.add(text)
    for attachment in attachments:
        packet = decoder.add(attachment)
    assert packet is not None
    return _data_of(packet)
