"""Engine.IO's own server and client, from npm, and an echo of ours that meets them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.hub.engineio.rig import echo
from tests.node import Script
from wslab.hub.engineio.server import EngineServer
from wslab.hub.engineio.settings import SocketIO
from wslab.hub.protocol.limits import Limits
from wslab.hub.server.prepared_message import PreparedMessage
from wslab.hub.server.websockets_link import WebSocketsLink

HERE = Path(__file__).parent


class EngineEcho:
    """A handler for ``wslab.serve``: Engine.IO that echoes."""

    def __init__(self, serve: Any = echo, **settings: Any) -> None:
        self._serve = serve
        self.settings = SocketIO(**settings)
        self.engine: Any = None
        self.failed: list[BaseException] = []

    def _started(self) -> Any:
        if self.engine is None:
            self.engine = EngineServer(
                self._serve, self.settings, prepare=PreparedMessage, limits=Limits,
                failed=lambda exc, session: self.failed.append(exc),
            )  # fmt: skip
        return self.engine

    async def __call__(self, websocket: Any) -> None:
        await self._started().websocket(WebSocketsLink(websocket))

    async def http(self, request: Any) -> Any:
        engine = self._started()
        return await engine.http(request) if engine.is_asked_for(request.path) else None

    def refusal(self, request: Any) -> Any:
        engine = self._started()
        return engine.refusal(request) if engine.is_asked_for(request.path) else None

    async def end_http(self) -> None:
        await self._started().close()


@contextlib.contextmanager
def reference_server(**options: Any) -> Iterator[int]:
    """Run the reference server, and give its port."""
    with Script(HERE / "reference_server.js", json.dumps(options)) as script:
        assert script.process.stdout is not None
        yield int(script.process.stdout.readline())


class Client:
    """npm's engine.io-client in a process of its own; it tells a line for each thing it sees."""

    def __init__(self, script: Script) -> None:
        self._process = script.process

    def send(self, *messages: str | bytes) -> None:
        """Send all of these in one turn of its loop."""
        self._say("send", *[m if isinstance(m, str) else {"hex": m.hex()} for m in messages])

    def close(self) -> None:
        self._say("close")

    def _say(self, *words: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def hear(self) -> list[Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "node has ended"
        words: list[Any] = json.loads(line)
        if words[0] == "message" and isinstance(words[1], dict):
            words[1] = bytes.fromhex(words[1]["hex"])
        return words

    def messages(self, count: int) -> list[Any]:
        """Return the next messages; what it tells of pings and upgrades is passed over."""
        found: list[Any] = []
        while len(found) < count:
            word, *rest = self.hear()
            if word == "message":
                found.append(rest[0])
            else:
                assert word in ("ping", "upgrade"), (word, rest)
        return found


@contextlib.contextmanager
def reference_client(port: int, **options: Any) -> Iterator[Client]:
    """Connect the reference client."""
    url = f"http://127.0.0.1:{port}"
    with Script(HERE / "reference_client.js", url, json.dumps(options)) as script:
        yield Client(script)


def ask(
    port: int, method: str, target: str, body: str | bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Make one request; header names in lower case."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, fields)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.headers.items()}
        return response.status, names, response.read()
    finally:
        connection.close()
