"""A real Jupyter server of this interpreter, under a Hub's base URL, without a lab.

It has folders of its own for configuration, data and runtime files, and never sees a user's. What
it holds open and how much memory it uses can be asked: a tunnel must leave nothing behind there.
Left out: kernels. A test's own process plays one, with `as_kernel_of`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import environment

TOKEN = "s3cret-token-of-a-test"
BASE_URL = "/user/demo-abc/"


class Jupyter:
    """The server; `close` ends it.

    Args:
        folder: an empty folder for all its files.
        arguments: more of the command line.
        python: another interpreter that has jupyter_server.
        path: whether the checkout is on its path.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        python: str = sys.executable,
        path: bool = True,
        env: dict[str, str] | None = None,
    ) -> None:
        self.runtime = folder / "runtime"
        self.runtime.mkdir(mode=0o700)
        own = {
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "HOME": str(folder),
        }
        self.process = subprocess.Popen(
            [
                *(python, "-m", "jupyter_server", "--no-browser", "--allow-root", "--port=0"),
                *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.base_url={BASE_URL}"),
                *arguments,
            ],
            env=(environment(**own) if path else {**os.environ, "PYTHONPATH": "", **own})
            | (env or {}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.log = ""
        for line in self.process.stderr:
            self.log += line
            if "Use Control-C" in line:
                break
        else:
            self.process.wait(10)
            raise RuntimeError(self.log)
        # What it goes on to say must be read, or it would stop when the pipe is full.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.info: dict[str, Any] = self._written()
        except BaseException:
            self.close()
            raise

    def _written(self) -> dict[str, Any]:
        file = self.runtime / f"jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):  # not written, or half; not listening
                info = dict(json.loads(file.read_text()))
                socket.create_connection(("127.0.0.1", info["port"]), timeout=5).close()
                return info
            time.sleep(0.02)
        raise RuntimeError(self.log)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line

    @property
    def port(self) -> int:
        """The port that it listens on, at 127.0.0.1."""
        return int(self.info["port"])

    @property
    def sockets(self) -> int:
        """How many sockets it holds open (Linux)."""
        folder = f"/proc/{self.process.pid}/fd"
        count = 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed in this moment
                count += os.readlink(f"{folder}/{name}").startswith("socket:")
        return count

    @property
    def memory_bytes(self) -> int:
        """Its resident memory (Linux)."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu_s(self) -> float:
        """How long it has computed, in seconds (Linux)."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")

    def dial(self, data: bytes, timeout_s: float = 10.0) -> socket.socket:
        """Connect over TCP and send bytes."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)
        sock.sendall(data)
        return sock

    def close(self) -> None:
        """End it, and wait until it has."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


def as_kernel_of(monkeypatch: pytest.MonkeyPatch, jupyter: Jupyter) -> None:
    """Let this process take itself for a kernel that this Jupyter server started."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(jupyter.runtime))
    monkeypatch.setenv("JPY_PARENT_PID", str(jupyter.process.pid))


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Return that many bytes."""
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(min(65536, count - len(data)))
        assert piece, f"expected {count} bytes, the connection ended after {bytes(data[:200])!r}"
        data += piece
    return bytes(data)


def read_to_end(sock: socket.socket) -> bytes:
    """Return all that comes until the other side ends; a reset is an end, too."""
    data = bytearray()
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


def settled(figure: Callable[[], int]) -> int:
    """Wait until a figure has stood still for half a second; return it."""
    last, since = figure(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.02)
        if (now := figure()) != last:
            last, since = now, time.monotonic()
    return last
