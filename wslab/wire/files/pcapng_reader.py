"""Captures read back that `pcapng` has written.

Its rule: chunks are put together from packets; what packets cannot say is in wslab's own block, and
captures without it are refused.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from ..tape.segment import ENDED, OPENED
from ..tape.snapshot import BadFile, Snapshot
from .packets import ACK, FIN, PSH, RST, SYN, Endpoints
from .pcapng_blocks import NANOSECONDS, OURS, PACKET, nanoseconds, read_blocks

__all__ = ["read_pcapng"]


def read_pcapng(data: bytes, where: str) -> Snapshot:
    """Read what `pcapng` has written.

    Args:
        data: the file's bytes.
        where: its name, for error messages.

    Raises:
        BadFile: another program wrote it, or it is cut off or changed.
    """
    saved: Snapshot | None = None
    ends: Any = None
    packets: list[bytes] = []
    for kind, body in read_blocks(data, where):
        if kind == OURS:
            own = _own(body, where)
            saved, ends = Snapshot.from_json(own, where), own.get("ends")
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


class _Reader:
    """Put chunks together from packets, into a snapshot."""

    def __init__(self, saved: Snapshot, ends: Any) -> None:
        self._saved = saved
        self._began_ns = nanoseconds(saved.began_at)
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
        at_s = (at_ns - self._began_ns) / NANOSECONDS
        put = self._saved.chunks.append
        if flags & SYN and not flags & ACK and self._saved.tracks[index].state is None:
            put((at_s, index, OPENED, b""))
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
            put((at_s, index, ENDED, b""))
