"""A tape as a pcapng capture, which Wireshark reads as TCP, HTTP and WebSocket; and back.

Its rule: the bytes are the tape's, redacted; the packets around them are made up, and say so. The
end of a write is the PSH flag, and a block of type 0x80575334 (of those left to everyone, so that
others pass over it) holds what packets cannot: ids, labels, and what was dropped.
"""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Iterator
from typing import IO, Any

from ..tape.tape import _ENDED, _OPENED, Tape
from .packets import (
    ACK,
    FIN,
    MAX_IN_FLIGHT_BYTES,
    MAX_SEGMENT_BYTES,
    PSH,
    RST,
    SYN,
    Address,
    Endpoints,
    Peer,
)
from .snapshot import BadFile, Saved, replacing, take

__all__ = ["load_pcapng", "to_pcapng"]

# pcapng, draft-ietf-opsawg-pcapng: block types, options, and the byte order that we write.
SECTION, INTERFACE, PACKET, OURS = 0x0A0D0D0A, 1, 6, 0x80575334
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_RAW = 101  # the packet begins with its IPv4 or IPv6 header
_COMMENT, _USER_APPLICATION, _NAME, _RESOLUTION = 1, 4, 2, 9
_NS = 10**9
_SNAP_BYTES = 2**18

_SYNTHESISED = (
    "TCP is synthesised by wslab: the bytes, their order and their times were recorded, addresses "
    "and ports where they were known; packets, sequence numbers and handshakes are made up."
)
_RETOLD = "What follows the handshake was dropped by the tape, up to the next bytes of this side."
_ABRUPT = (
    "TCP ended before both close frames, or a whole HTTP answer, had come. How it ended was not "
    "recorded: the RST is made up."
)


def to_pcapng(tape: Tape, path: str | os.PathLike[str], *, reveal: bool = False) -> None:
    """Write a capture that Wireshark reads as TCP, HTTP and WebSocket.

    Args:
        tape: what to save, as it is at this moment.
        path: of the file, usually ``*.pcapng``; it is replaced.
        reveal: leave cookies, credentials and tokens in the heads.
    """
    saved = take(tape, reveal=reveal)
    with replacing(path) as file:
        _Writer(file, saved).write()


class _Writer:
    """Write one section with one interface."""

    def __init__(self, file: IO[bytes], saved: Saved) -> None:
        self._file = file
        self._saved = saved
        self._began_ns = _nanoseconds(saved.began_at)
        self._ends: list[Endpoints] = []
        self._peers: list[tuple[Peer, Peer]] = []
        self._is_clean = saved.ends()

    def write(self) -> None:
        self._connect()
        file, saved = self._file, self._saved
        options = _option(_COMMENT, _SYNTHESISED) + _option(_USER_APPLICATION, "wslab")
        file.write(_block(SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _end(options)))
        options = _option(_NAME, "wslab") + _option(_RESOLUTION, b"\x09")
        head = struct.pack("<HHI", _LINKTYPE_RAW, 0, _SNAP_BYTES)
        file.write(_block(INTERFACE, head + _end(options)))
        ends = [[*map(_address, (each.client, each.server))] for each in self._ends]
        own = json.dumps({**saved.to_json(), "ends": ends}, separators=(",", ":")).encode()
        file.write(_block(OURS, struct.pack("<I", len(own)) + own))
        self._write_what_came_before()
        for at_s, index, what, data in saved.chunks:
            if what == _OPENED:
                self._open(at_s, index)
            elif what == _ENDED:
                self._close(at_s, index)
            else:
                self._send_all(at_s, index, what, data)

    def _connect(self) -> None:
        """Give every connection ends that no other has, so that none is taken for another."""
        used: set[Endpoints] = set()
        for number, track in enumerate(self._saved.tracks):
            ends = Endpoints.read(track.client_address, track.server_address, number)
            while ends in used:
                number += 1
                ends = Endpoints.read("", _address(ends.server), number)
            used.add(ends)
            self._ends.append(ends)
            self._peers.append((Peer(ends.client, ends.server), Peer(ends.server, ends.client)))

    def _write_what_came_before(self) -> None:
        """Write the handshakes of the connections whose first bytes were dropped."""
        before: list[tuple[float, int, int, bytes]] = []
        for index, track in enumerate(self._saved.tracks):
            if track.state is None:
                continue
            before.append((track.opened_s, index, _OPENED, b""))
            over = track.state.get("handover")
            if over is not None:
                before.append((over["request_s"], index, 0, base64.b64decode(over["request"])))
                before.append((over["response_s"], index, 1, base64.b64decode(over["response"])))
        for at_s, index, what, data in sorted(before, key=lambda each: each[0]):
            if what == _OPENED:
                self._open(at_s, index)
            else:
                self._send_all(at_s, index, what, data, _RETOLD)

    def _open(self, at_s: float, index: int) -> None:
        track = self._saved.tracks[index]
        called = f"{track.label} ({track.connection_id})" if track.label else track.connection_id
        comment = f"Connection {called}, recorded on the {track.side}'s side. {_SYNTHESISED}"
        self._send(at_s, index, 0, SYN, comment=comment)
        self._send(at_s, index, 1, SYN | ACK)
        self._send(at_s, index, 0, ACK)

    def _close(self, at_s: float, index: int) -> None:
        if not self._is_clean.get(index, True):
            self._send(at_s, index, 1, RST | ACK, comment=_ABRUPT)
            return
        self._send(at_s, index, 1, FIN | ACK)
        self._send(at_s, index, 0, FIN | ACK)
        self._send(at_s, index, 1, ACK)

    def _send_all(
        self, at_s: float, index: int, who: int, data: bytes, comment: str | None = None
    ) -> None:
        """Send what was written at once: PSH marks the last segment of it."""
        largest = MAX_SEGMENT_BYTES[self._ends[index].version]
        for start in range(0, len(data), largest):
            part = data[start : start + largest]
            is_last = start + largest >= len(data)
            self._send(at_s, index, who, ACK | PSH if is_last else ACK, part, comment)
            if self._peers[index][who].in_flight >= MAX_IN_FLIGHT_BYTES:
                self._send(at_s, index, 1 - who, ACK)

    def _send(
        self,
        at_s: float,
        index: int,
        who: int,
        flags: int,
        data: bytes = b"",
        comment: str | None = None,
    ) -> None:
        peers = self._peers[index]
        packet = peers[who].packet(flags, data)
        peers[1 - who].received = peers[who].sent
        if flags & ACK:
            peers[1 - who].in_flight = 0
        at_ns = self._began_ns + _nanoseconds(at_s)
        size = len(packet)
        head = struct.pack("<IIIII", 0, at_ns >> 32, at_ns & 0xFFFFFFFF, size, size)
        options = _end(_option(_COMMENT, comment)) if comment else b""
        self._file.write(_block(PACKET, head + packet + bytes(-size % 4) + options))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NS)


def _address(end: tuple[Address, int]) -> str:
    return f"[{end[0]}]:{end[1]}" if end[0].version == 6 else f"{end[0]}:{end[1]}"


def _option(code: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<HH", code, len(data)) + data + bytes(-len(data) % 4)


def _end(options: bytes) -> bytes:
    return options + b"\0\0\0\0"


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return b"".join((struct.pack("<I", kind), size, body, size))


def load_pcapng(data: bytes, where: str) -> Saved:
    """Read what :func:`to_pcapng` has written.

    Args:
        data: the file's bytes.
        where: its name, for error messages.

    Raises:
        BadFile: another program wrote it, or it is cut off or changed.
    """
    saved: Saved | None = None
    ends: Any = None
    packets: list[bytes] = []
    for kind, body in _blocks(data, where):
        if kind == OURS:
            own = _own(body, where)
            saved, ends = Saved.from_json(own, where), own.get("ends")
        elif kind == PACKET:
            packets.append(body)
    if saved is None:
        raise BadFile(
            f"expected a capture that wslab wrote, got one without wslab's own block in {where}: "
            "another program wrote it, or saved it anew and left the block out. Load the original "
            "file; wslab reads no other captures"
        )
    try:
        reader = _Reader(saved, ends)
        for body in packets:
            high, low, size = struct.unpack_from("<III", body, 4)
            reader.add(high << 32 | low, body[20 : 20 + size])
    except (LookupError, TypeError, ValueError, ArithmeticError, struct.error) as error:
        raise BadFile(
            f"expected packets of the connections that wslab's own block names in {where}, got "
            f"others ({error!r}): the file was changed, so load the original"
        ) from error
    return saved


def _own(body: bytes, where: str) -> dict[str, Any]:
    try:
        (size,) = struct.unpack_from("<I", body)
        own = json.loads(body[4 : 4 + size])
    except (struct.error, ValueError) as error:
        raise BadFile(
            f"expected JSON in wslab's own block in {where}, got something else ({error}): the "
            "file was changed, so load the original"
        ) from error
    return own if isinstance(own, dict) else {}


def _blocks(data: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Give the type and the body of each block."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at) if len(data) - at >= 8 else (0, 0)
        if kind == SECTION and data[at + 8 : at + 12] != struct.pack("<I", _BYTE_ORDER):
            raise BadFile(
                f"expected a little-endian capture, as wslab writes it, got another in {where}: "
                "another program wrote it, and wslab reads only its own"
            )
        if size < 12 or size % 4 or at + size > len(data):
            raise BadFile(
                f"expected a whole block at byte {at:,} of {where}, got {len(data) - at:,} bytes "
                "that are none: the file is cut off or damaged, so copy it once more"
            )
        yield kind, data[at + 8 : at + size - 4]
        at += size


class _Reader:
    """Put chunks together from packets, into a Saved."""

    def __init__(self, saved: Saved, ends: Any) -> None:
        self._saved = saved
        self._began_ns = _nanoseconds(saved.began_at)
        self._who: dict[bytes, tuple[int, int]] = {}  # by addresses and ports, as in a packet
        self._parts: dict[tuple[int, int], list[bytes]] = {}
        # Of a connection whose beginning was dropped, the handshake is in its state already.
        self._retold: dict[tuple[int, int], int] = {}
        self._ended: set[int] = set()
        for index, (client, server) in enumerate(ends):
            ends_of = Endpoints.read(client, server, index)
            for who, (source, target) in enumerate(
                ((ends_of.client, ends_of.server), (ends_of.server, ends_of.client))
            ):
                ports = struct.pack("!HH", source[1], target[1])
                self._who[source[0].packed + target[0].packed + ports] = index, who
                self._parts[index, who] = []
                state = saved.tracks[index].state
                self._retold[index, who] = int(state is not None and "handover" in state)

    def add(self, at_ns: int, packet: bytes) -> None:
        if packet[0] >> 4 == 4:
            start = 4 * (packet[0] & 0x0F)
            addresses = packet[12:20]
        else:
            start, addresses = 40, packet[8:40]
        index, who = self._who[addresses + packet[start : start + 4]]
        flags = packet[start + 13]
        data = packet[start + 4 * (packet[start + 12] >> 4) :]
        at_s = (at_ns - self._began_ns) / _NS
        put = self._saved.chunks.append
        if flags & SYN and not flags & ACK and self._saved.tracks[index].state is None:
            put((at_s, index, _OPENED, b""))
        if data:
            parts = self._parts[index, who]
            parts.append(data)
            if flags & PSH:
                if self._retold[index, who]:
                    self._retold[index, who] = 0
                else:
                    put((at_s, index, who, b"".join(parts)))
                parts.clear()
        if flags & (FIN | RST) and index not in self._ended:
            self._ended.add(index)
            put((at_s, index, _ENDED, b""))
