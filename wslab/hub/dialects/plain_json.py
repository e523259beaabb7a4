"""Plain JSON, the first dialect: a packet is an object that a person can read and write.

What it looks like stands in `hub/protocol/packets`, which both ends use. Its rule: a violation is
told and the connection lives on, so that a learner can try again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from ...errors import BadPacket
from ..protocol import packets
from ..protocol.packets import Dumps, Packet
from ..protocol.payload import MAX_BINARY
from .dialect import Greeting, Item, Payloads, Raw, Said
from .sizes import held_to, size_of, too_large

__all__ = ["PLAIN_JSON", "PlainJson"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_STRANGER = Greeting("", None)
_OURS = ("session=", "offset=")


class PlainJson:
    """The dialect; a `Dialect`."""

    name = "plain JSON"
    ends_with: Mapping[str, int] = {}
    max_attachments = MAX_BINARY
    introduces = False

    def greeting(self, path: str, auth: Any = None) -> Greeting:
        if "session=" not in path:
            return _STRANGER
        query = parse_qs(urlsplit(path).query)
        token = query.get("session", [""])[0]
        offset = query.get("offset", [""])[0]
        if not _TOKEN.fullmatch(token):
            return _STRANGER
        return Greeting(token, int(offset) if re.fullmatch(r"[0-9]{1,15}", offset) else None)

    def shown_path(self, path: str) -> str:
        path, mark, query = path.partition("?")
        if mark and "session=" in query:
            query = "&".join(part for part in query.split("&") if not part.startswith(_OURS))
        return f"{path}?{query}" if query else path

    def shown_auth(self, auth: Any) -> Any:
        return auth

    def assembler(
        self,
        max_size: Callable[[], int],
        takes_raw: Callable[[], bool],
        broke_off: Callable[[Packet, str], object],
    ) -> _Assembler:
        return _Assembler(max_size, takes_raw, broke_off)

    def event(self, said: Said, id: int | None = None) -> Payloads:
        encoded = said.data.decode(), said.attachments
        return packets.encode_event(said.event, id=id, offset=said.offset, encoded=encoded)

    def raw(self, raw: Raw) -> Payloads:
        return (raw.payload, ()) if raw.is_text else (None, (raw.payload,))

    def answer(self, id: int, data: Any, dumps: Dumps | None) -> Payloads:
        return packets.encode_answer(id, data, dumps)

    def error(
        self, code: str, message: str, *, answer: int | None = None, event: str | None = None
    ) -> Payloads:
        return packets.encode_error(code, message, answer=answer, event=event), ()

    def refusal(self, code: str, message: str, data: Any = None) -> Payloads:
        if data is None:
            return packets.encode_error(code, message), ()
        error = {"code": code, "message": message, "data": data}
        return packets.encode_event("error", error)

    def farewell(self, code: int, reason: str, *, was_let_in: bool) -> Payloads:
        return None, ()

    def welcome(self, fields: Mapping[str, Any]) -> Payloads:
        return packets.encode_event("welcome", dict(fields))

    def received(self, n: int) -> Payloads:
        return packets.encode_received(n), ()

    def dropped(self, count: int, offset: int | None = None) -> Payloads:
        return packets.encode_dropped(count, offset), ()


PLAIN_JSON: Final = PlainJson()


class _Assembler:
    __slots__ = ("_broke_off", "_max_size", "_partial", "_takes_raw")

    def __init__(
        self,
        max_size: Callable[[], int],
        takes_raw: Callable[[], bool],
        broke_off: Callable[[Packet, str], object],
    ) -> None:
        self._max_size = max_size
        self._takes_raw = takes_raw
        self._broke_off = broke_off
        self._partial: Packet | None = None  # its binary frames are still to come

    def add(self, message: str | bytes) -> Item | None:
        limit = self._max_size()
        return self._text(message, limit) if type(message) is str else self._bytes(message, limit)  # type: ignore[arg-type]

    def _bytes(self, message: bytes, limit: int) -> Item | None:
        partial, size = self._partial, len(message)
        if partial is None:
            return message if size <= limit else BadPacket(too_large(size, limit))
        partial.size_bytes += size
        partial.attachments.append(message if partial.size_bytes <= limit else b"")
        if not partial.is_whole:
            return None
        self._partial = None
        return held_to(partial, limit)

    def _text(self, message: str, limit: int) -> Item | None:
        partial, self._partial = self._partial, None
        if partial is not None:
            self._broke_off(
                partial,
                f"expected {partial.binary} binary frames after {partial.event!r}, got a text "
                f"frame after {len(partial.attachments)}",
            )
        size = size_of(message, limit)
        try:
            packet = packets.decode(message)
        except BadPacket as exc:
            if size > limit:
                return BadPacket(too_large(size, limit))
            return message if exc.is_raw and self._takes_raw() else exc
        packet.size_bytes = size
        if packet.is_whole:
            return held_to(packet, limit)
        if size > limit:
            packet.data = None
        else:
            packet.fold(message)
        self._partial = packet
        return None
