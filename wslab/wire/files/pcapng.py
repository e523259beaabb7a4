"""A tape written as a pcapng capture, which Wireshark reads as TCP, HTTP and WebSocket.

Its rule: the bytes are the tape's, redacted; the packets around them are made up, and say so. The
end of a write is the PSH flag, and a block of type 0x80575334 (of those left to everyone, so that
others pass over it) holds what packets cannot: ids, labels, and what was dropped.
"""

from __future__ import annotations

import json
import os
import struct
from typing import IO

from ..tape.segment import ENDED, OPENED
from ..tape.snapshot import Snapshot
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
    TcpEnd,
)
from .pcapng_blocks import (
    BYTE_ORDER,
    COMMENT,
    INTERFACE,
    NAME,
    OURS,
    PACKET,
    RESOLUTION,
    SECTION,
    USER_APPLICATION,
    block,
    end_options,
    nanoseconds,
    option,
)
from .replacing import replacing

__all__ = ["write_pcapng"]

_LINKTYPE_RAW = 101  # the packet begins with its IPv4 or IPv6 header
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


def write_pcapng(saved: Snapshot, path: str | os.PathLike[str]) -> None:
    """Write a capture that Wireshark reads as TCP, HTTP and WebSocket.

    Args:
        saved: a tape's snapshot.
        path: of the file, usually ``*.pcapng``; it is replaced.
    """
    with replacing(path) as file:
        _Writer(file, saved).write()


class _Writer:
    """Write one section with one interface."""

    def __init__(self, file: IO[bytes], saved: Snapshot) -> None:
        self._file = file
        self._saved = saved
        self._began_ns = nanoseconds(saved.began_at)
        self._ends: list[Endpoints] = []
        self._peers: list[tuple[TcpEnd, TcpEnd]] = []
        self._is_clean = saved.ends()

    def write(self) -> None:
        self._connect()
        file, saved = self._file, self._saved
        options = option(COMMENT, _SYNTHESISED) + option(USER_APPLICATION, "wslab")
        file.write(
            block(SECTION, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1) + end_options(options))
        )
        options = option(NAME, "wslab") + option(RESOLUTION, b"\x09")
        head = struct.pack("<HHI", _LINKTYPE_RAW, 0, _SNAP_BYTES)
        file.write(block(INTERFACE, head + end_options(options)))
        ends = [[*map(_address, (each.client, each.server))] for each in self._ends]
        own = json.dumps({**saved.to_json(), "ends": ends}, separators=(",", ":")).encode()
        file.write(block(OURS, struct.pack("<I", len(own)) + own))
        self._write_what_came_before()
        for at_s, index, what, data in saved.chunks:
            if what == OPENED:
                self._open(at_s, index)
            elif what == ENDED:
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
            self._peers.append((TcpEnd(ends.client, ends.server), TcpEnd(ends.server, ends.client)))

    def _write_what_came_before(self) -> None:
        """Write the handshakes of the connections whose first bytes were dropped."""
        before: list[tuple[float, int, int, bytes]] = []
        for index, track in enumerate(self._saved.tracks):
            if track.state is None:
                continue
            before.append((track.opened_s, index, OPENED, b""))
            over = track.state.get("handover")
            if over is not None:
                before.append((over["request_s"], index, 0, over["request"]))
                before.append((over["response_s"], index, 1, over["response"]))
        for at_s, index, what, data in sorted(before, key=lambda each: each[0]):
            if what == OPENED:
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
        if index not in self._is_clean:
            return  # how it ended is not known: neither FIN nor RST
        if not self._is_clean[index]:
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
        at_ns = self._began_ns + nanoseconds(at_s)
        size = len(packet)
        head = struct.pack("<IIIII", 0, at_ns >> 32, at_ns & 0xFFFFFFFF, size, size)
        options = end_options(option(COMMENT, comment)) if comment else b""
        self._file.write(block(PACKET, head + packet + bytes(-size % 4) + options))


def _address(end: tuple[Address, int]) -> str:
    return f"[{end[0]}]:{end[1]}" if end[0].version == 6 else f"{end[0]}:{end[1]}"
