"""What recording costs: on beside off in the same run, also for others while one peer floods it,
and a full tape's memory over time.

``python -m tests.benchmarks.bench_recording [--quick]``
"""

from __future__ import annotations

import argparse
import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import websockets.sync.client

from wslab.wire.frames.layout import encode_frame
from wslab.wire.http.building import build_request, build_response
from wslab.wire.tape.tape import Tape

from .bench_basics import in_turns, pipelined, round_trips, show
from .servers import running

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def resident_mib() -> float:
    """Return this process's resident memory in MiB (Linux; 0 elsewhere)."""
    with contextlib.suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0


def masked(first: int, payload: bytes = b"") -> bytes:
    """Return a client's frame, given its first byte."""
    return bytes([first, 0x80 | len(payload)]) + b"abcd" + payload


# What a peer may send without end; websockets reads no further after the first fault of each.
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
TOO_BIG = b"\x82\xff" + (2**33).to_bytes(8, "big") + b"abcd"
FLOODS = {
    "noise": (True, b"", random.Random(1).randbytes(2**20)),
    "empty unmasked frames": (True, b"", bytes(2**20)),
    "a frame of 8 GiB": (True, TOO_BIG, b"x" * 2**20),
    "fragments after a fault": (True, masked(0x91), masked(0x01) + masked(0, b"a") * 40_000),
    "pings after a fault": (True, masked(0x91), masked(0x89) * 40_000),
    "texts after a close": (True, masked(0x88), masked(0x81, b"a") * 40_000),
    "a body of tiny chunks": (False, CHUNKED_HEAD, b"1\r\na\r\n" * 40_000),
    "noise for a head": (False, b"", b"GET " + random.Random(1).randbytes(2**20)),
}


def flooded(url: str, flood: tuple[bool, bytes, bytes], seconds: float) -> float:
    """Return another client's worst round trip while one peer floods, in ms."""
    is_websocket, first, data = flood
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    stop = threading.Event()

    def pour() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection((host, port)) as peer:
                if is_websocket:
                    peer.sendall(build_request("/", f"{host}:{port}", KEY))
                    peer.recv(4096)
                peer.sendall(first)
                while not stop.is_set():
                    peer.sendall(data)

    worst_s = 0.0
    with websockets.sync.client.connect(url, proxy=None) as client:
        client.send("warm")
        client.recv()
        thread = threading.Thread(target=pour)
        thread.start()
        ends_s = time.perf_counter() + seconds
        while (began_s := time.perf_counter()) < ends_s:
            client.send("hello")
            client.recv()
            worst_s = max(worst_s, time.perf_counter() - began_s)
        stop.set()
        thread.join()
    return worst_s * 1e3


def full_tape(frames: int) -> None:
    """Record ``frames`` frames on one tape and say what it holds on the way."""
    tape = Tape()
    track = tape.open("7f3a")
    track.client(build_request("/", "localhost", KEY))
    track.server(build_response(101, key=KEY))
    ours = encode_frame(1, b"a message of 32 bytes, or about", mask_key=b"abcd")
    theirs = encode_frame(1, b"a message of 32 bytes, or about")
    print(f"\na tape of {tape.max_bytes / 2**20:.0f} MiB, {frames:,} frames")
    began = time.perf_counter()
    for step in range(10):
        for _ in range(frames // 20):
            track.client(ours)
            track.server(theirs)
        print(
            f"  {(step + 1) * frames // 10:>10,} frames: {tape.size_bytes / 2**20:6.2f} MiB on the"
            f" tape, {tape.dropped.frames:>10,} frames dropped, process {resident_mib():6.1f} MiB"
        )
    took_us = (time.perf_counter() - began) / frames * 1e6
    print(f"  {took_us:.2f} us a frame, dropping included; {len(tape.frames):,} frames readable")


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a smoke test")
    quick = parser.parse_args().quick
    rounds, count = (3, 500) if quick else (15, 3000)
    kinds = {"record=False": "wslab-unrecorded", "record=True": "wslab"}
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(running(kind)) for name, kind in kinds.items()}
        for url in urls.values():
            pipelined(url, 2000)
        show(
            "echo round trip, stock loop",
            in_turns({n: (lambda u=u: round_trips(u, count)) for n, u in urls.items()}, rounds),
            "us",
            bigger_is_better=False,
        )
        show(
            "echo, 100 messages on the way, stock loop",
            in_turns({n: (lambda u=u: pipelined(u, count * 10)) for n, u in urls.items()}, rounds),
            "messages/s",
            bigger_is_better=True,
        )
        for name, flood in FLOODS.items():
            took: dict[str, Callable[[], float]] = {
                n: (lambda u=u, f=flood: flooded(u, f, 0.5 if quick else 2.0))
                for n, u in urls.items()
            }
            show(
                f"worst round trip beside a flood of {name}",
                in_turns(took, 1 if quick else 3),
                "ms",
                bigger_is_better=False,
            )
    full_tape(200_000 if quick else 5_000_000)


if __name__ == "__main__":
    main()
