"""A server that is thrown away, and what is found out with it: by a handshake, an echo, a page.

Its rule: it is kept out of the way of the user's own servers. Each check may hang, so whoever calls
it does so on a spare thread; but `busy` has to hold the calling thread itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from typing import Any

from ..calls.waiting import result_of
from ..client.connect import connect
from ..client.urls import is_loopback
from ..errors import LoopBlocked
from ..loops.portal import Portal
from ..server.serve import serve
from ..server.server import Server
from .budget import Budget, short
from .report import Finding

__all__ = [
    "busy",
    "expect_echo",
    "handshake",
    "listen",
    "localhost",
    "numeric_address",
    "page",
    "stopped",
]

BUSY_S = 0.3  # how long the calling thread computes while the loop has to answer
BUSY_TRIES = 3  # what happens to hold the machine passes, what holds the interpreter stays
LATE_S = 0.25  # an echo slower than this while it computes: watchdog.BLOCKED_S is the same

_SLOW = (
    "The machine is overloaded, or an extension holds Python's interpreter lock: answers come late "
    "while a cell runs"
)


async def _echo(websocket: Any) -> None:
    async for message in websocket:
        await websocket.send(message)


def listen(budget: Budget) -> tuple[Server | None, Finding]:
    """Start the server; None where that failed or hung, and the finding says how."""
    name = "listen on 127.0.0.1"
    try:
        server: Server = budget.ask(
            lambda: serve(_echo, name="doctor", keep=True), 2.5, lambda late: late.begin_close()
        )
    except OSError as exc:
        if isinstance(exc, TimeoutError):  # no refusal
            return None, Finding(name, False, short(exc))
        advice = (
            "A firewall, an antivirus or a sandbox keeps this Python from listening. Allow "
            f"{os.path.basename(sys.executable)} to listen on 127.0.0.1; nobody outside this "
            "machine can reach that address"
        )
        return None, Finding(name, False, f"refused: {exc.strerror or exc}", advice)
    except Exception as exc:
        return None, Finding(name, False, short(exc))
    return server, Finding(name, True, "got a free port")


def stopped(server: Server) -> Finding:
    """Stop the server and take its port once, to see that it is free."""
    began_s = time.monotonic()
    server.stop(timeout=2.0)
    took_ms = (time.monotonic() - began_s) * 1e3
    with socket.socket() as taken:
        if os.name == "posix":  # past TIME_WAIT; elsewhere this option would steal a port in use
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
    seen = f"stopped in {took_ms:.0f} ms, then the port was free"
    return Finding("stop() frees the port", True, seen)


def handshake(url: str) -> Finding:
    """Open a connection, and send something that comes back."""
    began_s = time.perf_counter()
    with connect(url, name="doctor", keep=True, open_timeout=2.0) as client:
        opened_s = time.perf_counter()
        expect_echo(client)
        echoed_s = time.perf_counter()
        client.close(timeout=0.5)
    opened_ms, echoed_ms = (opened_s - began_s) * 1e3, (echoed_s - opened_s) * 1e3
    seen = f"101 (open) after {opened_ms:.1f} ms, then an echo in {echoed_ms:.1f} ms"
    return Finding("handshake and echo", True, seen)


def expect_echo(client: Any) -> None:
    """Send something that nobody can know, and wait a second for it.

    Raises:
        ConnectionError: something else came back.
    """
    nonce = os.urandom(8).hex()
    client.send(nonce)
    answer = client.recv(timeout=1.0)
    if answer != nonce:
        raise ConnectionError(
            f"expected {nonce!r} back, got {answer!r:.40}: another program answers at this address"
        )


def page(port: int) -> Finding:
    """Get the server's page, as a browser does."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        body = response.read(1 << 20)
    finally:
        connection.close()
    seen = f"{response.status} {response.reason}, {len(body)} bytes"
    if response.status != 200 or b"<html" not in body.lower():
        return Finding(
            "page over HTTP",
            False,
            f"{seen}; expected 200 and an HTML page",
            "The installation is not complete: `pip install --force-reinstall wslab`",
        )
    return Finding("page over HTTP", True, seen)


def busy(budget: Budget, server: Server) -> Finding:
    """Ask for echoes while this thread computes; once more if they came late, by chance."""
    for _ in range(BUSY_TRIES):
        finding = _busy_once(budget, server)
        if finding.ok is not False or budget.left_s < 15 * BUSY_S:
            break
    return finding


def _busy_once(budget: Budget, server: Server) -> Finding:
    """Measure echoes from loop to loop while the calling thread computes and awaits nothing."""
    name = "answers while busy"
    if budget.left_s < 10 * BUSY_S:
        return Finding(name, None, "not tried: no time was left")
    worker = Portal("wslab doctor")
    try:
        future = worker.submit(_worst_echo, server.url)
        until_s = time.monotonic() + 5 * BUSY_S
        while not future.done() and time.monotonic() < until_s:
            pass  # this is the computing
        worst_s: float = result_of(future, 0.5)
    except TimeoutError:
        return Finding(name, False, "no echo came while this thread computed", _SLOW)
    except Exception as exc:
        return Finding(name, False, short(exc), _SLOW)
    finally:
        with contextlib.suppress(LoopBlocked):
            worker.close(1.0)
    seen = f"slowest echo {worst_s * 1e3:.0f} ms while this thread computed"
    if worst_s > LATE_S:
        return Finding(name, False, f"{seen}; expected under {LATE_S * 1e3:.0f} ms", _SLOW)
    return Finding(name, True, seen)


async def _worst_echo(url: str) -> float:
    """Return the slowest of the echoes during BUSY_S, in seconds."""
    from websockets.asyncio.client import connect as connect_async

    worst_s = 0.0
    async with asyncio.timeout(4 * BUSY_S):
        async with connect_async(url, proxy=None, compression=None) as websocket:
            until_s = time.perf_counter() + BUSY_S
            while (began_s := time.perf_counter()) < until_s:
                await websocket.send("echo")
                await websocket.recv()
                worst_s = max(worst_s, time.perf_counter() - began_s)
    return worst_s


def localhost(server: Server) -> Finding:
    """Look where the name localhost leads."""
    name = "localhost"
    found = socket.getaddrinfo("localhost", server.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    seen = f"means {' and '.join(addresses)}"
    elsewhere = [address for address in addresses if not is_loopback(address)]
    instead = numeric_address(server)
    if elsewhere:
        return Finding(name, False, f"{seen}, which is not this machine", f"Use {instead}")
    began_s = time.monotonic()
    try:
        handshake(f"ws://localhost:{server.port}/")
    except Exception as exc:
        return Finding(
            name,
            False,
            f"{seen}; a server on 127.0.0.1 is not reached by it ({type(exc).__name__})",
            f"Use {instead}",
        )
    took_s = time.monotonic() - began_s
    if took_s > 0.5:
        seen = f"{seen}; reaches a server on 127.0.0.1 only after {took_s:.1f} s"
        return Finding(name, True, seen, f"Faster: {instead}")
    return Finding(name, True, f"{seen}; reaches a server on 127.0.0.1")


def numeric_address(server: Server) -> str:
    """Say what to use where the name localhost does not do."""
    return (
        f"the address 127.0.0.1 instead of the name localhost, as in ws://127.0.0.1:{server.port}/"
    )
