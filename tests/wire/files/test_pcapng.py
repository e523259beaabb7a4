"""Captures: packets that real TCP could have sent, and what Wireshark makes of them."""

from __future__ import annotations

import ipaddress
import itertools
import os
import random
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.wire.capture import SECRETS, capture
from tests.wire.taping import close, differences, masked, random_session, upgrade, websocket
from wslab.wire.events import FrameEvent, MessageEvent
from wslab.wire.files import packets
from wslab.wire.files.packets import ACK, FIN, PSH, RST, SYN
from wslab.wire.files.pcapng import OURS
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape

TSHARK = shutil.which("tshark")


def options(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            assert at + 4 == len(data)
            break
        found[code] = data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return found


@pytest.fixture(scope="module")
def tshark():
    """Run tshark on a file and return what it prints."""

    def run(path: Path, *arguments: str) -> str:
        if TSHARK is None:
            advice = "no tshark on the PATH; on Debian and Ubuntu: apt install tshark"
            if os.environ.get("REQUIRE_TSHARK", "") not in ("", "0"):
                pytest.fail(f"REQUIRE_TSHARK is set, but there is {advice}")
            pytest.skip(advice)  # said here, so that all of them make one line
        checks = ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"]
        wanted = itertools.chain.from_iterable(("-o", check) for check in checks)
        done = subprocess.run(
            [TSHARK, "-n", "-r", str(path), *wanted, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@dataclass
class Packet:
    at_ns: int
    source: tuple[Any, int]
    target: tuple[Any, int]
    sequence: int
    acknowledged: int
    flags: int
    window: int
    options: bytes
    data: bytes
    comment: str | None


def folded(data: bytes) -> int:
    """The checksum as RFC 1071 tells it, word by word; 0 where a right one is included."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def read(path: Path) -> tuple[list[Packet], list[int]]:
    """Read a capture as its formats say; return its packets and the types of its blocks."""
    data, at, found, kinds = path.read_bytes(), 0, [], []
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert struct.unpack_from("<I", data, at + size - 4) == (size,)
        assert size % 4 == 0
        kinds.append(kind)
        body = data[at + 8 : at + size - 4]
        if kind == 1:
            link, _, snap = struct.unpack_from("<HHI", body)
            assert (link, options(body[8:])[9]) == (101, b"\x09")
        if kind == 6:
            interface, high, low, kept, whole = struct.unpack_from("<IIIII", body)
            assert (interface, kept) == (0, whole)
            assert kept <= snap
            told = options(body[20 + kept + -kept % 4 :])
            comment = told[1].decode() if 1 in told else None
            found.append(parse(high << 32 | low, body[20 : 20 + kept], comment))
        at += size
    assert at == len(data)
    return found, kinds


def parse(at_ns: int, ip: bytes, comment: str | None) -> Packet:
    if ip[0] >> 4 == 4:
        assert struct.unpack_from("!H", ip, 2) == (len(ip),)
        assert (ip[0], ip[9], folded(ip[:20])) == (0x45, 6, 0)
        ends, tcp = ip[12:20], ip[20:]
    else:
        assert (ip[0] >> 4, ip[6]) == (6, 6)
        assert struct.unpack_from("!H", ip, 4) == (len(ip) - 40,)
        ends, tcp = ip[8:40], ip[40:]
    assert folded(ends + struct.pack("!II", 6, len(tcp)) + tcp) == 0
    half = len(ends) // 2
    source, target = (ipaddress.ip_address(part) for part in (ends[:half], ends[half:]))
    ports = struct.unpack_from("!HH", tcp)
    sequence, acknowledged, offset, flags, window = struct.unpack_from("!IIBBH", tcp, 4)
    start = (offset >> 4) * 4
    return Packet(
        at_ns, (source, ports[0]), (target, ports[1]), sequence, acknowledged, flags, window,
        tcp[20:start], tcp[start:], comment,
    )  # fmt: skip


def check_tcp(found: list[Packet]) -> dict[tuple[Any, Any], bytes]:
    """Assert what TCP asks for; return what each end sent to which, by (source, target)."""
    following: dict[Any, int] = {}
    acked: dict[Any, int] = {}  # by whom it was sent
    sent: dict[tuple[Any, Any], bytes] = {}
    over: set[Any] = set()
    for packet in found:
        way, back = (packet.source, packet.target), (packet.target, packet.source)
        assert way not in over
        if packet.flags & SYN:
            assert way not in following
            following[way], acked[way], sent[way] = packet.sequence, packet.sequence, b""
            assert packet.options[:2] == b"\x02\x04"
        assert packet.sequence == following[way]
        step = len(packet.data) + bool(packet.flags & (SYN | FIN))
        following[way] = (following[way] + step) % 2**32
        sent[way] += packet.data
        assert len(packet.data) <= struct.unpack("!H", found[0].options[2:4])[0]
        if packet.flags & ACK:
            assert packet.acknowledged == following[back]
            acked[back] = packet.acknowledged
        else:
            assert packet.flags == SYN
        if packet.flags & PSH:
            assert packet.data
        assert (following[way] - acked[way]) % 2**32 <= packet.window << 7
        if packet.flags & (FIN | RST):
            over |= {way, back} if packet.flags & RST else set()
    return sent


def save(tape: Tape, path: Path) -> Path:
    tape.to_pcapng(path / "x.pcapng")
    return path / "x.pcapng"


class TestPackets:
    def test_of_a_session(self, tmp_path):
        tape = Tape()
        track = websocket(tape)
        track.client(masked(1, b"Hello"))
        track.server(encode_frame(8, close(1000)))
        track.client(masked(8, close(1000)))
        track.end()
        found, kinds = read(save(tape, tmp_path))
        assert kinds[:3] == [0x0A0D0D0A, 1, OURS]
        assert OURS >> 31, "local use: others pass over it"
        assert [packet.flags for packet in found] == [
            SYN, SYN | ACK, ACK, *[PSH | ACK] * 5, FIN | ACK, FIN | ACK, ACK,
        ]  # fmt: skip
        client, server = (ipaddress.ip_address("127.0.0.1"), 50001), (
            ipaddress.ip_address("127.0.0.1"), 8765,
        )  # fmt: skip
        sent = check_tcp(found)
        assert set(sent) == {(client, server), (server, client)}
        assert sent[client, server].endswith(masked(1, b"Hello") + masked(8, close(1000)))
        assert sent[server, client].endswith(encode_frame(8, close(1000)))
        assert "alice (a1)" in (found[0].comment or "")
        assert "TCP is synthesised by wslab" in (found[0].comment or "")

    def test_times(self, tmp_path):
        tape = Tape()
        track = websocket(tape)
        track.client(masked(1, b"Hello"))
        found, _ = read(save(tape, tmp_path))
        times = [chunk.at_s for chunk in tape.chunks()]
        expected = [round(tape.began_at * 1e9) + round(at_s * 1e9) for at_s in times]
        assert [packet.at_ns for packet in found] == expected[:1] * 3 + expected[1:]

    def test_an_end_without_close_frames(self, tmp_path):
        tape = Tape()
        websocket(tape).end()
        *_, last = read(save(tape, tmp_path))[0]
        assert last.flags == RST | ACK
        assert "the RST is made up" in (last.comment or "")

    def test_a_connection_that_is_open_has_no_end(self, tmp_path):
        tape = Tape()
        websocket(tape)
        found, _ = read(save(tape, tmp_path))
        assert not any(packet.flags & (FIN | RST) for packet in found)

    @pytest.mark.parametrize("server", ["127.0.0.1:8765", "[::1]:8765"])
    def test_long_writes_are_cut_and_acknowledged(self, tmp_path, server):
        tape = Tape()
        track = tape.open(
            "a1", client_address=server.replace("8765", "5000"), server_address=server
        )
        upgrade(track)
        data = encode_frame(2, random.Random(1).randbytes(5_000_000))
        track.server(data)
        found, _ = read(save(tape, tmp_path))
        sent = check_tcp(found)
        assert [part for part in sent.values() if part.endswith(data)]
        pushed = [packet for packet in found if packet.flags & PSH]
        assert len(pushed) == 3  # two heads, and the end of one write
        assert sum(packet.flags == ACK and not packet.data for packet in found) == 1 + 4
        assert differences(tape.events, Tape.load(save(tape, tmp_path)).events, 1e-6) == []

    def test_sequence_numbers_go_round(self, monkeypatch, tmp_path):
        tape = Tape()
        track = websocket(tape)
        track.server(encode_frame(2, bytes(200_000)))

        def near_the_end(self: Any, *args: Any) -> None:
            original(self, *args)
            self.sent = 2**32 - 100_000

        original = packets.TcpEnd.__init__
        monkeypatch.setattr(packets.TcpEnd, "__init__", near_the_end)
        found, _ = read(save(tape, tmp_path))
        check_tcp(found)
        numbers = [packet.sequence for packet in found if packet.source[1] == 8765]
        assert numbers != sorted(numbers)

    @pytest.mark.parametrize("seed", range(40))
    def test_of_any_session(self, tmp_path, seed):
        tape = Tape()
        random_session(tape, random.Random(seed), ["secret" * 4] * 5)
        found, _ = read(save(tape, tmp_path))
        sent = check_tcp(found)
        assert len(sent) == 2 * len(tape.connections)
        assert [p.at_ns for p in found] == sorted(p.at_ns for p in found)

    def test_two_connections_never_look_like_one(self, tmp_path):
        tape = Tape()
        for number in range(3):
            websocket(tape, f"c{number}").end()
        found, _ = read(save(tape, tmp_path))
        assert len(check_tcp(found)) == 6
        assert {packet.target[1] for packet in found if packet.flags == SYN} == {8765}

    def test_of_a_tape_that_dropped_its_beginning(self, tmp_path):
        tape = Tape(max_bytes=2**16)
        track = websocket(tape)
        for number in range(5000):
            track.client(masked(1, b"%d" % number))
        found, _ = read(save(tape, tmp_path))
        sent = check_tcp(found)
        (client,) = [data for (_, target), data in sent.items() if target[1] == 8765]
        assert client.startswith(b"GET /chat HTTP/1.1\r\n")
        frames = b"".join(event.raw for event in tape.frames)
        assert client.endswith(b"\r\n\r\n" + frames)
        assert "dropped by the tape" in (found[4].comment or "")


@dataclass
class Seen:
    """A frame as tshark shows it."""

    stream: int
    opcode: int
    fin: bool
    compressed: bool
    size: int
    key: bytes | None
    text: str | None
    status: int | None
    reason: str | None


def frames_seen(tshark: Any, path: Path, port: int) -> list[Seen]:
    tree = ET.fromstring(tshark(path, "-d", f"tcp.port=={port},http", "-T", "pdml"))
    found = []
    for packet in tree.iter("packet"):
        stream = int(packet.find(".//field[@name='tcp.stream']").get("show"))
        for frame in packet.findall("proto[@name='websocket']"):
            fields = {
                field.get("name", "").removeprefix("websocket."): field.get("show", "")
                for field in frame.iter("field")
            }
            longer = fields.get("payload_length_ext_64") or fields.get("payload_length_ext_16")
            key = fields.get("masking_key")
            status = fields.get("payload.close.status_code")
            found.append(
                Seen(
                    stream=stream,
                    opcode=int(fields["opcode"]),
                    fin=fields["fin"] == "1",
                    compressed=fields.get("pmc") == "1",
                    size=int(longer or fields["payload_length"]),
                    key=bytes.fromhex(key.replace(":", "")) if key else None,
                    text=fields.get("payload.text"),
                    status=int(status) if status is not None else None,
                    reason=fields.get("payload.close.reason"),
                )
            )
    return found


def complaints(tshark: Any, path: Path, port: int) -> str:
    """What tshark finds wrong: with TCP, checksums, HTTP, frames or inflating them."""
    wrong = (
        "_ws.malformed or tcp.analysis.flags or tcp.checksum.status == 0 or "
        "ip.checksum.status == 0 or websocket.decompression.failed.expert or "
        "(_ws.expert.severity >= 0x600000 and tcp.flags.reset == 0)"  # a reset alone is a warning
    )
    return tshark(path, "-d", f"tcp.port=={port},http", "-Y", wrong)


class TestTshark:
    def test_reads_the_session_as_we_do(self, tmp_path, tshark):
        """Opcodes, lengths, masks, texts and close codes equal those of the events."""
        tape, port = capture()
        path = save(tape, tmp_path)
        assert complaints(tshark, path, port) == ""
        seen = frames_seen(tshark, path, port)
        streams = {track.connection_id: n for n, track in enumerate(tape.connections)}
        frames = tape.frames
        assert len(frames) > 40
        for frame, other in zip(frames, seen, strict=True):
            assert other.stream == streams[frame.connection_id]
            assert (other.opcode, other.fin) == (int(frame.opcode), frame.fin)
            assert other.size == len(frame.frame.payload_raw)
            assert other.key == frame.mask_key
            assert other.compressed == frame.rsv1
            assert other.status == frame.frame.close_code
            assert (other.reason or "") == (frame.frame.close_reason or "")
        assert 999 in {other.status for other in seen}
        assert 1005 in {other.status for other in seen}
        expected = self.texts(tape)
        assert [other.text for n, other in enumerate(seen) if n in expected] == [*expected.values()]
        assert {"Hello", "in pieces", "by hand, in two €"} < set(expected.values())
        assert sum(other.compressed for n, other in enumerate(seen) if n in expected) > 8

    def texts(self, tape: Tape) -> dict[int, str | None]:
        """The text that tshark 4.0 shows with a frame, by the number of the frame on the tape.

        It puts fragments together, and it inflates; but it looks for RSV1 on the last fragment,
        where RFC 7692 section 6.1 has it on the first. And it shows no payload with an empty last
        fragment. Of such messages nothing is expected here.
        """
        found: dict[int, str | None] = {}
        number = -1
        for event in tape.events:
            if isinstance(event, FrameEvent):
                number += 1
                found[number], last = None, event
            elif isinstance(event, MessageEvent) and isinstance(event.data, str):
                is_shown = not event.compressed and last.payload
                if event.fragments > 1 and not is_shown:
                    del found[number]
                else:
                    found[number] = event.data
        return found

    def test_finds_no_secret(self, tmp_path, tshark):
        tape, port = capture()
        out = tshark(save(tape, tmp_path), "-d", f"tcp.port=={port},http", "-V")
        assert "[redacted]" in out
        assert not any(secret in out for secret in SECRETS)

    def test_reads_the_heads(self, tmp_path, tshark):
        tape, port = capture()
        out = tshark(
            save(tape, tmp_path), "-d", f"tcp.port=={port},http", "-Y", "http", "-T", "fields",
            "-e", "http.request.uri", "-e", "http.response.code",
        )  # fmt: skip
        assert out.split() == ["/chat?token=[redacted]", "101"] * 2 + [
            "/page?token=[redacted]", "200",
        ]  # fmt: skip

    def test_has_no_complaint_about_any_session(self, tmp_path, tshark):
        """Ends of all kinds, addresses of all kinds, writes cut anywhere."""
        tape = Tape(max_bytes=2**25)
        for number, address in enumerate(["127.0.0.1", "[::1]", ""]):
            track = tape.open(
                f"c{number}",
                client_address=address and f"{address}:50001",
                server_address=address and f"{address}:8765",
            )
            upgrade(track)
            track.client(masked(1, "€".encode())[:3])
            track.server(encode_frame(2, bytes(200_000)))
            track.client(masked(1, "€".encode())[3:])
            if number:
                track.client(masked(8, close(1000)))
                track.server(encode_frame(8, close(1000)))
            track.end()
        http = tape.open("http", server_address="127.0.0.1:8765")
        for _ in range(2):
            http.client(b"GET /poll HTTP/1.1\r\nHost: x\r\n\r\n")
            http.server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            http.server(b"hi")
        http.end()
        path = save(tape, tmp_path)
        assert complaints(tshark, path, 8765) == ""
        sizes = [(seen.opcode, seen.size) for seen in frames_seen(tshark, path, 8765)]
        assert sizes == [
            (int(event.opcode), len(event.frame.payload_raw))
            for event in tape.events
            if isinstance(event, FrameEvent)
        ]

    def test_reads_what_is_left_of_a_tape_that_dropped(self, tmp_path, tshark):
        tape = Tape(max_bytes=2**16)
        track = websocket(tape)
        for number in range(5000):
            track.client(masked(1, b"message %d" % number))
        path = save(tape, tmp_path)
        out = tshark(path, "-Y", "websocket", "-T", "fields", "-e", "websocket.payload.text")
        assert out.splitlines() == [event.text for event in tape.frames]
        assert out.endswith("message 4999\n")
