"""A page that is played: it says what a page would say, and keeps what it is told."""

from __future__ import annotations

import functools
import json
import time

from tests import peers
from wslab.widgets import Browser

URL = "ws://127.0.0.1:9/"

MIB = 2**20

until = functools.partial(peers.until, within_s=20.0)

OPENED = {"type": "open", "ready_state": 1, "connection": 1, "protocol": "chat"}


class Page:
    """Plays a page: says what a page would say, and keeps what it is told."""

    def __init__(self, browser: Browser, name: str = "page1", *, own: bool = True) -> None:
        self.view, self.name, self.number = browser.view, name, 0
        if not hasattr(self.view, "told"):
            self.view.told = []
            self.view.send = lambda said, buffers=(): self.view.told.append((said, list(buffers)))
        if own:
            self.say("ready", origin="http://localhost:8888", base="/", holds=False)

    def say(self, type: str, /, *buffers, **said) -> None:
        said = json.loads(json.dumps({"type": type, "page": self.name, **said}))
        self.view._on_msg(self.view, said, [memoryview(one) for one in buffers])

    def batch(self, *events, buffers=(), number=None, says=(), **more) -> None:
        self.number = number or self.number + 1
        now_ms = time.time() * 1000
        events = [{"at": now_ms, **event} for event in events]
        said = {"number": self.number, "at": now_ms, "events": events, "says": list(says)}
        self.say("batch", *buffers, **said, **more)
        assert self.view.failure == ""

    def told(self, kind: str) -> list[dict]:
        return [
            said
            for said, _ in self.view.told
            if said["type"] == kind and said.get("to", self.name) == self.name
        ]

    @property
    def commands(self) -> list[dict]:
        return [command for said in self.told("do") for command in said["commands"]]


def message(data: str, socket: int = 0) -> dict:
    return {"type": "message", "socket": socket, "ready_state": 1, "connection": 1, "data": data}
