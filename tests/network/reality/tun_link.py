"""A link between two namespaces made of two TUN devices: packets pass through this process.

What netem does where a kernel has it (many lack the module), and what it cannot: each packet of IP
is held back, paced and dropped here, and a RST can be forged for both ends as a firewall does
(RFC 9293 §3.5.2). Its rule: packets keep their order, and none is changed. The two ends are TCP of
Linux and know nothing of it.
"""

from __future__ import annotations

import collections
import fcntl
import os
import random
import select
import struct
import threading
import time

from tests.network.reality.namespaces import CLIENT, SERVER, Namespace

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 1500
QUEUE_BYTES = 2**18  # of one direction; what comes beyond is dropped, and TCP sends it again
RST = 0x04


class TunLink:
    """The link; it belongs to two namespaces, and has a thread until it is closed.

    Attributes:
        delay_s: seconds that each packet is held, each way.
        jitter_s: up to so many more, at random.
        bytes_per_s: of packets, each way; None sets no limit.
    """

    def __init__(self, client: Namespace, server: Namespace, seed: int = 1) -> None:
        self.delay_s = self.jitter_s = 0.0
        self.bytes_per_s: float | None = None
        self._is_cut = False
        self._random = random.Random(seed)
        self._ends = [_device(client, CLIENT), _device(server, SERVER)]
        self._queues: list[collections.deque[tuple[float, bytes]]] = [
            collections.deque(),
            collections.deque(),
        ]
        self._free_s = [0.0, 0.0]  # when each direction has sent what it has been given
        self._last: list[bytes | None] = [None, None]  # of TCP, by whose it was
        self._lock = threading.Lock()
        self._bell_read, self._bell = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="tun link")
        self._thread.start()

    def cut(self) -> None:
        """Drop every packet, also those under way."""
        with self._lock:
            self._is_cut = True
            for queue in self._queues:
                queue.clear()

    def restore(self) -> None:
        """Let packets pass again; what was dropped is for TCP to send again."""
        with self._lock:
            self._is_cut = False
            self._free_s = [0.0, 0.0]

    def reset(self) -> None:
        """Hand both ends a RST that they believe comes from the other one."""
        with self._lock:
            for end, last in zip(self._ends, self._last, strict=True):
                assert last is not None
                os.write(end, forged_reset(last))

    def close(self) -> None:
        """End the thread, and both devices."""
        os.close(self._bell)
        self._thread.join(10)
        for descriptor in (self._bell_read, *self._ends):
            os.close(descriptor)

    def _carry(self) -> None:
        while True:
            with self._lock:
                due = [queue[0][0] for queue in self._queues if queue]
            wait_s = max(min(due) - time.monotonic(), 0) if due else None
            ready, _, _ = select.select([self._bell_read, *self._ends], [], [], wait_s)
            if self._bell_read in ready:
                return
            with self._lock:
                for number in (0, 1):
                    if self._ends[number] in ready:
                        self._take(number, os.read(self._ends[number], 2**16))
                    self._deliver(number)

    def _take(self, number: int, packet: bytes) -> None:
        """Hold a packet that came from one end."""
        if packet[0] >> 4 != 4:  # IPv6 looks for neighbours
            return
        self._last[number] = packet
        queue = self._queues[number]
        if self._is_cut or sum(len(packet) for _, packet in queue) > QUEUE_BYTES:
            return
        now_s = time.monotonic()
        sent_s = now_s
        if self.bytes_per_s is not None:
            sent_s = max(now_s, self._free_s[number]) + len(packet) / self.bytes_per_s
            self._free_s[number] = sent_s
        due_s = sent_s + self.delay_s + self.jitter_s * self._random.random()
        queue.append((max(due_s, queue[-1][0] if queue else 0.0), packet))

    def _deliver(self, number: int) -> None:
        """Hand the other end what is due of one end's."""
        queue = self._queues[number]
        while queue and queue[0][0] <= time.monotonic():
            os.write(self._ends[1 - number], queue.popleft()[1])


def _device(namespace: Namespace, address: str) -> int:
    """Return the descriptor of a new TUN device in a namespace; it goes when that is closed."""

    def opened() -> int:
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        return descriptor

    descriptor = namespace.call(opened)
    try:
        namespace.run(f"ip address add {address}/24 dev tun0")
        namespace.run(f"ip link set tun0 mtu {MTU} up")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def forged_reset(packet: bytes) -> bytes:
    """Return a RST for the end that sent a packet of TCP, as if the other end had sent it."""
    start = (packet[0] & 15) * 4
    source, target = packet[12:16], packet[16:20]
    ports, acknowledged = packet[start : start + 4], packet[start + 8 : start + 12]
    head = struct.pack("!4s4sIBBHHH", ports[2:] + ports[:2], acknowledged, 0, 5 << 4, RST, 0, 0, 0)
    pseudo = target + source + struct.pack("!BBH", 0, 6, len(head))
    head = head[:16] + _checksum(pseudo + head) + head[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(head), 0, 0, 64, 6, 0, target, source)
    return ip[:10] + _checksum(ip) + ip[12:] + head


def _checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
