"""Two network namespaces and a link between them: real TCP of Linux, on a network that can be cut.

A namespace is a thread that has left the machine's network; what is called on it, and every socket
made there, is in that namespace. None has a name and none outlives its thread and sockets, so that
nothing is left on the machine, also after a crash. Two links: a veth pair, whose end is set down
(iproute2), and `tun_link`, which can hold packets back, pace them and forge a RST as well.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import pytest

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
CLIENT, SERVER = "10.77.0.1", "10.77.0.2"
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network of its own, without any link; a context manager."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "namespace")
        try:
            self.path = self.call(self._leave)
            self.run("ip link set lo up")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _leave() -> str:
        if _libc.unshare(CLONE_NEWNET) != 0:  # of this thread alone
            number = ctypes.get_errno()
            raise OSError(number, f"unshare(CLONE_NEWNET): {os.strerror(number)}")
        return f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"

    def call(self, function: Callable[..., T], *args: object) -> T:
        """Call a function in this namespace."""
        return self._thread.submit(function, *args).result(20)

    def run(self, command: str) -> str:
        """Run a command in this namespace, and return what it says."""
        ended = self.call(
            functools.partial(subprocess.run, capture_output=True, text=True, timeout=10),
            command.split(),
        )
        if ended.returncode != 0:
            raise OSError(f"{command}: {ended.stderr.strip()}")
        return ended.stdout

    def socket(self) -> socket.socket:
        """Return a socket of TCP in this namespace, for a loop."""
        sock = self.call(socket.socket)
        sock.setblocking(False)
        return sock

    def close(self) -> None:
        """Leave it to the kernel, which takes its links with it."""
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class VethLink:
    """A cable between two namespaces, with an address at each end; nothing holds it up but them."""

    def __init__(self, client: Namespace, server: Namespace) -> None:
        self._server = server
        client.run(f"ip link add eth0 type veth peer name eth0 netns {server.path}")
        for end, address in ((client, CLIENT), (server, SERVER)):
            end.run(f"ip address add {address}/24 dev eth0")
            end.run("ip link set eth0 up")

    def cut(self) -> None:
        """Pull the cable at the server's end: the other one has no carrier."""
        self._server.run("ip link set eth0 down")

    def restore(self) -> None:
        """Put it in again."""
        self._server.run("ip link set eth0 up")

    def close(self) -> None:
        """Do nothing: it goes with its namespaces."""


@functools.cache
def missing() -> str | None:
    """Say why no such network can be had here, or return None."""
    if shutil.which("ip") is None:
        return "no ip on the PATH; on Debian and Ubuntu: apt install iproute2"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    try:
        with Namespace():
            return None
    except OSError as exc:
        return f"no network namespace can be made here (it takes root): {exc}"


def need() -> None:
    """Skip what calls this where no such network can be had; REQUIRE_NAMESPACES: fail."""
    reason = missing()
    if reason is None:
        return
    if os.environ.get("REQUIRE_NAMESPACES", "") not in ("", "0"):
        pytest.fail(f"REQUIRE_NAMESPACES is set, but there is {reason}")
    pytest.skip(reason)
