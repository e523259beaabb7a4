"""A direct connection, one through a tap, and one through mitmproxy in its reverse mode.

``python -m tests.benchmarks.bench_tap [--quick] [--mitmdump PATH]``. The server behind them is made
of plain sockets and costs next to nothing; it, the taps and mitmproxy are each a process of their
own, and take turns. mitmproxy is in an environment of its own, made anew in a temporary folder
where no ``mitmdump`` is named or on the PATH; without it, its rows are left out. Read the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from wslab.wire.frames.layout import apply_mask, encode_frame
from wslab.wire.http.building import build_response

from .bench_basics import FRAME, in_turns, pipelined, round_trips, show, upgraded

MIB = 2**20
ANSWER = encode_frame(1, b"hello")
FLOOD = encode_frame(1, b"flood", mask_key=bytes(4))
BLOCK = encode_frame(2, os.urandom(65_536))
WAIT_S = 20.0
PEER = "mitmproxy, reverse mode"


# The server behind.


def serve_upstream() -> None:
    """Answer each frame with one, or the frame "flood" with the megabytes that were asked for."""
    flood_mib = int(sys.argv[sys.argv.index("--upstream") + 1])
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    print(f"ws://127.0.0.1:{listener.getsockname()[1]}/", flush=True)

    def converse(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1)
            key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
            assert key is not None
            sock.sendall(build_response(key=key[1].decode()))
            left = 0  # of a frame that is not complete
            is_first = True
            while data := sock.recv(65_536):
                if is_first and apply_mask(data[6:11], data[2:6]) == b"flood":
                    for _ in range(flood_mib * MIB // 65_536):
                        sock.sendall(BLOCK)
                    continue
                is_first = False
                count, left = divmod(left + len(data), len(FRAME))
                sock.sendall(ANSWER * count)

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=converse, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


def serve_tap() -> None:
    """Tap the URL that was named."""
    _, url, loop, record = sys.argv[sys.argv.index("--tap") :][:4]
    if loop == "asyncio":
        sys.modules["uvloop"] = None  # type: ignore[assignment]
    import wslab

    with wslab.tap(url, record=record == "recorded") as tap:
        print(tap.url, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[str, int]]:
    """Run this file as another process; gives the URL that it prints, and its number."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bench_tap", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


# mitmproxy.


def find_mitmdump(folder: Path) -> str | None:
    """Return where mitmdump is, installing it into a folder where it is nowhere; None without."""
    if found := shutil.which("mitmdump"):
        return found
    print("installing mitmproxy into an environment of its own ...", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
        subprocess.run(
            [folder / "bin" / "pip", "install", "--quiet", "mitmproxy"],
            check=True,
            timeout=600,
            capture_output=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        print(f"mitmproxy can't be had here, so its rows are left out: {exc}")
        return None
    return str(folder / "bin" / "mitmdump")


@contextlib.contextmanager
def mitmproxy(mitmdump: str, url: str) -> Iterator[tuple[str, int]]:
    """Run mitmproxy before a server; gives its URL, and the number of its process."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [mitmdump, "--quiet", "--mode", f"reverse:{url.replace('ws:', 'http:')}",
             "--listen-host", "127.0.0.1", "--listen-port", str(port),
             "--set", f"confdir={folder}"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until_s = time.monotonic() + WAIT_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if time.monotonic() > until_s:
                        raise
                    time.sleep(0.1)
            yield f"ws://127.0.0.1:{port}/", process.pid
        finally:
            process.terminate()
            process.wait(20)


# What is measured.


def flooded(url: str, size_mib: int) -> float:
    """Return the megabytes a second that a client gets which only reads."""
    expected = size_mib * MIB // 65_536 * len(BLOCK)
    with upgraded(url) as sock:
        buffer = bytearray(MIB)
        began = time.perf_counter()
        sock.sendall(FLOOD)
        while expected > 0:
            count = sock.recv_into(buffer)
            assert count, "it ended early"
            expected -= count
        return size_mib / (time.perf_counter() - began)


def cpu_s(pid: int) -> float:
    """Return the seconds that a process has been executing; on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def added(figures: dict[str, float]) -> dict[str, float]:
    """Return what each way adds to the direct one."""
    return {name: value - figures["direct"] for name, value in figures.items() if name != "direct"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mitmdump", help="where it is")
    args = parser.parse_args()
    # Few messages: mitmproxy takes one or two milliseconds for each.
    rounds, trips, messages, size_mib = (3, 300, 1_000, 32) if args.quick else (7, 1_000, 2_000, 64)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mitmdump = args.mitmdump or find_mitmdump(folder)
        upstream, _ = stack.enter_context(running("--upstream", str(size_mib)))
        ways, pids = {"direct": upstream}, {}
        between = {
            "tap": running("--tap", upstream, "uvloop", "recorded"),
            "tap, record=False": running("--tap", upstream, "uvloop", "unrecorded"),
            "tap, stock loop": running("--tap", upstream, "asyncio", "recorded"),
        }
        if mitmdump is not None:
            between = {PEER: mitmproxy(mitmdump, upstream), **between}
        for name, process in between.items():
            ways[name], pids[name] = stack.enter_context(process)
        busy_s = dict.fromkeys(pids, 0.0)

        def measured(measure: Callable[[str, int], float], count: int) -> dict[str, float]:
            def one(name: str) -> float:
                began_s = cpu_s(pids[name]) if name in pids else 0.0
                figure = measure(ways[name], count)
                if name in pids:
                    busy_s[name] += cpu_s(pids[name]) - began_s
                return figure

            busy_s.update(dict.fromkeys(pids, 0.0))
            return in_turns({name: functools.partial(one, name) for name in ways}, rounds)

        latency = measured(round_trips, trips)
        delay = added(latency)
        show("round trip of one small message", latency, "us", bigger_is_better=False)
        show("of that, added", delay, "us", bigger_is_better=False)
        small = measured(pipelined, messages)
        show("small messages, 100 on the way", small, "messages/s", bigger_is_better=True)
        large = measured(flooded, size_mib)
        show("64 KiB messages, one way", large, "MiB/s", bigger_is_better=True)
        # What a busy machine changes least: how long the process in the middle has executed.
        load = {name: busy_s[name] * 1e3 / rounds / size_mib for name in pids}
        show("of that, the processor's time in the middle", load, "ms/MiB", bigger_is_better=False)
        for name in ways if mitmdump is not None else ():
            if name in ("direct", PEER):
                continue
            print(
                f"\n{name} beside mitmproxy: {delay[name] / delay[PEER]:.3f} of its added delay, "
                f"{small[name] / small[PEER]:.0f} times its small messages, "
                f"{large[name] / large[PEER]:.1f} times its throughput, "
                f"{load[name] / load[PEER]:.3f} of its processor's time"
            )


if __name__ == "__main__":
    if "--upstream" in sys.argv:
        serve_upstream()
    elif "--tap" in sys.argv:
        serve_tap()
    else:
        main()
