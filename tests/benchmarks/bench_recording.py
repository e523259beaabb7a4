"""What recording costs: on beside off in the same run, and a full tape's memory over time.

``python -m tests.benchmarks.bench_recording [--quick]``
"""

from __future__ import annotations

import argparse
import contextlib
import time

from wslab.wire.frames import encode_frame
from wslab.wire.handshake import build_request, build_response
from wslab.wire.tape import Tape

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
    full_tape(200_000 if quick else 5_000_000)


if __name__ == "__main__":
    main()
