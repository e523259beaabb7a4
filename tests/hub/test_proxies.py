"""Two processes of one hub behind one address: the proxies' configurations in wslab/examples.

Real proxies, and real processes. Skipped where nginx or HAProxy is not installed
(on Debian: apt install nginx-light haproxy).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wslab
from tests.hub import stock
from tests.hub.rig import aio
from tests.kernels import environment
from tests.node import need
from tests.peers import free_port, until

pytestmark = pytest.mark.slow

EXAMPLES = Path(wslab.__file__).parent / "examples"
WAIT_S = 30.0
MAIN = """
from fastapi import FastAPI
import wslab

hub = wslab.Hub("NAME", history=100, backplane="REDIS")
hub.on("where", lambda client, data: hub.node_id)
hub.on("enter", lambda client, room: client.join(room))
hub.on("say", lambda client, data: hub.emit("said", data, to="lobby"))
inner = FastAPI()

@inner.get("/where")
async def where():
    return hub.node_id

@inner.get("/drain")
async def drain():
    return await hub.drain(0.1)

@inner.get("/open")
async def open_again():
    hub.is_draining = False

app = hub.asgi(inner)
"""


def get(port: int, path: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S) as response:
        return str(response.read().decode())


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(port: int, *command: str, cwd: Path) -> Iterator[None]:
    """Run a program until it listens; kill it at the end."""
    with (cwd / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, env=environment(), stdout=log, stderr=log)
        try:
            until(lambda: listens(port) or process.poll() is not None, WAIT_S)
            assert process.poll() is None, (cwd / f"{port}.log").read_text()
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Behind:
    """A proxy at one port, and the ports and names of the two processes behind it."""

    def __init__(self, port: int, ports: list[int]) -> None:
        self.port = port
        self.url = f"ws://127.0.0.1:{port}/ws"
        self.port_of = {get(each, "/where").strip('"'): each for each in ports}
        assert len(self.port_of) == 2


def proxied(kind: str, port: int, ports: list[int], cwd: Path) -> list[str]:
    """Write a proxy's configuration with ports of our own; return the command that runs it."""
    name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[kind]
    text = (EXAMPLES / name).read_text()
    for old, new in {"8080": port, "8001": ports[0], "8002": ports[1]}.items():
        assert f"127.0.0.1:{old}" in text
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    if kind == "nginx":  # whose other files are the system's by default
        folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        own = "".join(f"{each}_temp_path {cwd}/{each};" for each in folders)
        text = text.replace("http {", f"http {{ access_log off; {own}")
    (cwd / name).write_text(text)
    if kind == "haproxy":
        return ["haproxy", "-db", "-f", str(cwd / name)]
    own = f"daemon off; pid {cwd}/pid; user {os.environ.get('USER', 'root')};"
    return ["nginx", "-e", "stderr", "-p", str(cwd), "-c", str(cwd / name), "-g", own]


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[Behind]:
    """Serve a hub by two processes of uvicorn behind a proxy."""
    if shutil.which(request.param) is None:
        required = os.environ.get("REQUIRE_PROXIES", "") not in ("", "0")
        (pytest.fail if required else pytest.skip)(f"no {request.param} here")
    tmp_path = tmp_path_factory.mktemp(request.param)
    main = MAIN.replace("NAME", tmp_path.name).replace("REDIS", redis_url)
    (tmp_path / "main.py").write_text(main)
    ports, port = [free_port(), free_port()], free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "main:app", "--proxy-headers"]
    uvicorn += ["--timeout-graceful-shutdown", "1"]
    with contextlib.ExitStack() as stack:
        for each in ports:
            stack.enter_context(running(each, *uvicorn, "--port", str(each), cwd=tmp_path))
        stack.enter_context(
            running(port, *proxied(request.param, port, ports, tmp_path), cwd=tmp_path)
        )
        yield Behind(port, ports)


@pytest.fixture
def behind(both: Behind) -> Iterator[Behind]:
    """Give them with both processes open to whoever comes."""
    yield both
    for port in both.port_of.values():
        get(port, "/open")


def connected(behind: Behind, count: int) -> list[Any]:
    return [
        wslab.connect(behind.url, name=f"client {n}", reconnect=wslab.Reconnect(max_delay_s=1.0))
        for n in range(count)
    ]


def test_clients_are_at_both_and_in_one_room(behind: Behind) -> None:
    clients = connected(behind, 8)
    try:
        nodes = [client.call("where", timeout=WAIT_S) for client in clients]
        assert set(nodes) == set(behind.port_of)
        heard: dict[str, list[Any]] = {client.name: [] for client in clients}
        for client in clients:
            client.on("said", heard[client.name].append)
            client.call("enter", "lobby", timeout=WAIT_S)
        for n in range(20):
            clients[n % 8].call("say", n, timeout=WAIT_S)
        until(lambda: all(len(each) == 20 for each in heard.values()), WAIT_S)
        assert len({tuple(each) for each in heard.values()}) == 1  # in one order
        assert sorted(heard["client 0"]) == list(range(20))
    finally:
        wslab.shutdown()


def test_a_process_is_emptied_and_nobody_notices_but_by_where_he_is(behind: Behind) -> None:
    clients = connected(behind, 8)
    try:
        nodes = {client.name: client.call("where", timeout=WAIT_S) for client in clients}
        heard: dict[str, list[Any]] = {client.name: [] for client in clients}
        for client in clients:
            client.on("said", heard[client.name].append)
            client.call("enter", "lobby", timeout=WAIT_S)
        drained, other = sorted(behind.port_of)
        moving = [client for client in clients if nodes[client.name] == drained]
        staying = next(client for client in clients if nodes[client.name] == other)
        assert int(get(behind.port_of[drained], "/drain")) == len(moving)
        for n in range(20):
            staying.call("say", n, timeout=WAIT_S)
        until(lambda: all(len(each) == 20 for each in heard.values()), WAIT_S)
        assert all(each == list(range(20)) for each in heard.values())
        assert {client.call("where", timeout=WAIT_S) for client in moving} == {other}
        assert [client.gap for client in moving] == [None] * len(moving)
        for client in connected(behind, 6):  # the proxy asks the one that drains, too
            assert client.call("where", timeout=WAIT_S) == other
    finally:
        wslab.shutdown()


# Of aiohttp, whose session python-socketio leaves where it connects again.
@pytest.mark.filterwarnings("ignore:Unclosed c:ResourceWarning")
@pytest.mark.parametrize("transports", [["polling"], None], ids=["polling", "default"])
@pytest.mark.parametrize("which", [stock.node, stock.python])
@aio
async def test_polling_comes_to_one_process_and_another_when_that_drains(
    behind: Behind, transports: list[str] | None, which: Any
) -> None:
    if which is stock.node:
        need("socket.io-client")
    options = {} if transports is None else {"transports": transports}
    async with which(f"http://127.0.0.1:{behind.port}", **options) as client:
        assert (await client.hear())[0] == "connect"
        [node] = await client.call("where")
        for _ in range(10):
            assert await client.call("where") == [node]
        await asyncio.to_thread(get, behind.port_of[node], "/drain")
        while (await client.hear())[0] != "connect":
            pass
        [other] = set(behind.port_of) - {node}
        for _ in range(10):
            assert await client.call("where") == [other]
    gc.collect()  # while what it left may be ignored
