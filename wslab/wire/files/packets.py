"""IP and TCP around bytes that were recorded above them, for programs that read packets.

Its rule: every number is one that real TCP could have sent: sequence and acknowledgement numbers
follow the bytes, checksums are right, and nobody sends more than the other side's window takes.
What was never recorded is invented as simply as that allows: no loss, no delay, no second copy.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "Endpoints", "TcpEnd", "split_address"]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

# As on a loopback interface: the largest segment that an IP packet of 65,535 bytes can hold. Small
# ones would only be more of them; a WebSocket frame is rarely longer than one of these.
MAX_SEGMENT_BYTES = {4: 65535 - 20 - 20, 6: 65535 - 20}
_WINDOW, _WINDOW_SCALE = 65535, 7
MAX_IN_FLIGHT_BYTES = 2**20  # then the other side acknowledges; its window takes 8 MiB
_SEQUENCE = 2**32

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def split_address(text: str) -> tuple[Address, int] | None:
    """Read "127.0.0.1:8765" or "[::1]:8765"; None for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
        return None
    host = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host), int(port)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The two ends of a TCP connection, both IPv4 or both IPv6."""

    client: tuple[Address, int]
    server: tuple[Address, int]

    @classmethod
    def read(cls, client: str, server: str, number: int) -> Endpoints:
        """Read both ends; what is not known is invented.

        Args:
            client, server: "host:port", or anything else.
            number: of the connection, for a port that no other has.
        """
        here = split_address(server)
        there = split_address(client)
        host: Address = ipaddress.IPv4Address("127.0.0.1")
        if here is None:
            here = (there[0] if there else host), 80
        if there is None:
            there = here[0], 50000 + number % 15000
        if here[0].version != there[0].version:
            here, there = (_as_v6(here[0]), here[1]), (_as_v6(there[0]), there[1])
        return cls(there, here)

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.client[0].version


def _as_v6(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)


class TcpEnd:
    """One end of a connection: makes the packets that it sends.

    Attributes:
        sent: its next sequence number.
        received: the next one that it expects of the other.
        in_flight: bytes that the other has not acknowledged yet.
    """

    __slots__ = ("_fixed", "_is_v4", "_ports", "_sum", "in_flight", "received", "sent")

    def __init__(self, source: tuple[Address, int], target: tuple[Address, int]) -> None:
        self._is_v4 = source[0].version == 4
        addresses = source[0].packed + target[0].packed
        self._fixed = addresses
        self._ports = struct.pack("!HH", source[1], target[1])
        self._sum = int.from_bytes(addresses, "big") % 0xFFFF
        self.sent = 0
        self.received = 0
        self.in_flight = 0

    def packet(self, flags: int, data: bytes = b"") -> bytes:
        """Return the next packet that this end sends, from the IP header on."""
        options = b""
        if flags & SYN:
            largest = MAX_SEGMENT_BYTES[4 if self._is_v4 else 6]
            # Maximum segment size, no-operation, window scale (RFC 9293 §3.2, RFC 7323 §2.2).
            options = struct.pack("!BBHBBBB", 2, 4, min(largest, 65535), 1, 3, 3, _WINDOW_SCALE)
        size = 20 + len(options) + len(data)
        acked = self.received if flags & ACK else 0
        offset = (5 + len(options) // 4) << 4
        head = struct.pack("!IIBBH", self.sent, acked, offset, flags, _WINDOW)
        # The pseudo header counts too: addresses, protocol 6 and the length (RFC 9293 §3.1).
        checked = self._ports + head + b"\0\0\0\0" + options + data
        total = self._sum + 6 + size + _sum_of(checked)
        tcp = b"".join((self._ports, head, _checksum(total), b"\0\0", options, data))
        step = len(data) + (1 if flags & (SYN | FIN) else 0)
        self.sent = (self.sent + step) % _SEQUENCE
        self.in_flight += len(data)
        if not self._is_v4:
            return struct.pack("!IHBB", 0x60000000, size, 6, 64) + self._fixed + tcp
        # Don't fragment, 64 hops, TCP.
        before = struct.pack("!BBHHHBB", 0x45, 0, 20 + size, 0, 0x4000, 64, 6)
        return before + _checksum(_sum_of(before) + self._sum) + self._fixed + tcp


def _sum_of(data: bytes) -> int:
    # The sum of 16-bit words with end-around carry is the remainder by 65,535, since 65,536 leaves
    # 1: one division of a big integer, and no Python loop (RFC 1071).
    number = int.from_bytes(data, "big")
    return (number << 8 if len(data) % 2 else number) % 0xFFFF


def _checksum(total: int) -> bytes:
    return (0xFFFF - total % 0xFFFF).to_bytes(2, "big")
