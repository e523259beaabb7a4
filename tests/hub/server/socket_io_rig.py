"""An Engine.IO session that a test plays by hand: what a hub's namespaces stand on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re

from tests.hub.rig import inside, until
from wslab.hub.server.link import Closed

PATH = "/socket.io/?EIO=4&transport=websocket"


class SessionEnded(Exception):
    pass


class FakeSession:
    """As much of a session as namespaces touch; nothing happens by itself."""

    closed_error = SessionEnded

    def __init__(self, path=PATH):
        self.id, self.path, self.headers = "a-secret", path, {}
        self.address, self.connection = ("127.0.0.1", 1), None
        self.closed = None
        self.is_open = True
        self.is_paused = self.was_aborted = False
        self.written = []  # texts without the 4, and bytes
        self.reason = None
        self._incoming = asyncio.Queue()
        self._lost = []
        self._resumed = asyncio.Event()

    @property
    def is_closing(self):
        return not self.is_open

    @property
    def is_writable(self):
        return self.is_open and not self.is_paused

    @property
    def waiting(self):
        return self._incoming.qsize()

    def feed(self, *messages):
        for message in messages:
            self._incoming.put_nowait(message)

    async def receive(self):
        message = await self._incoming.get()
        if message is None:
            self._incoming.put_nowait(None)
            raise SessionEnded
        return message

    def write(self, message, dialect):
        if not self.is_writable:
            return False
        for opcode, payload in message.parts(dialect):
            if opcode == 1:
                text = bytes(payload).decode()
                assert text[0] == "4", text
                self.written.append(text[1:])
            else:
                self.written.append(bytes(payload))
        return True

    async def drain(self):
        while self.is_paused and self.is_open:
            self._resumed.clear()
            await self._resumed.wait()

    def resume(self):
        self.is_paused = False
        self._resumed.set()

    async def close(self, reason="", code=1000):
        self.reason, self.code = reason, code
        self.lose(Closed(code, reason, False))

    def abort(self):
        self.was_aborted = True
        self.lose()

    def lose(self, closed=None):
        if not self.is_open:
            return
        self.is_open, self.closed = False, closed
        self._resumed.set()
        self._incoming.put_nowait(None)
        for tell in self._lost:
            asyncio.get_running_loop().call_soon(tell)

    def when_lost(self, tell):
        self._lost.append(tell)

    async def said(self, start="", count=1):
        """Wait for that many texts with this beginning; return the JSON of the last, or None."""

        def found():
            texts = [text for text in self.written if isinstance(text, str)]
            return [text for text in texts if text.startswith(start)][count - 1 :]

        text = (await until(found, f"for {start!r} in {self.written}"))[0]
        match = re.match(r"\d(?:\d+-)?(?:/[^,]*,)?\d*(.*)", text)
        return json.loads(match[1]) if match[1] else None


@contextlib.asynccontextmanager
async def session_of(hub, *messages, path=PATH):
    """Serve a session of a hub, which begins with these messages; it ends in the end."""
    inside(hub).take_loop()
    session = FakeSession(path)
    session.feed(*messages)
    session.task = asyncio.create_task(hub._entrance.namespaces.serve(session))
    try:
        yield session
    finally:
        session.lose()
        async with asyncio.timeout(10):
            await asyncio.wait([session.task])
        assert session.task.cancelled() or session.task.exception() is None
