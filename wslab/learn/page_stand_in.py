"""PageStandIn: a page that is played, with a socket of the kernel, for a Browser that nobody shows.

Its rule: it keeps a browser's rules (what throws, what is lost, when events come), so that a check
of code for a page needs no page. It tells what happened only while the learner's code does not run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from websockets.protocol import State

from ..calls.waiting import result_of
from ..client.client import Client
from ..client.connect import connect
from ..loops.portals import lab
from ..widgets.browser.browser import Browser
from ..widgets.browser.record import STATES
from .learner_loop import bounded

__all__ = ["CALL_S", "ROUND_S", "PageStandIn"]

QUIET_S = 0.7  # a sender of which nothing is heard for so long has stopped
MAX_EVENTS = 300  # of a round; one that causes more answers its own events, without end
ROUND_S = 5.0
CALL_S = 2.0


class PageStandIn:
    """Plays a Browser's page with a socket of the kernel's: what a page would do, it does.

    As with a page, what happens is told only while the learner's code does not run.
    """

    def __init__(self, page: Browser) -> None:
        self.page = page
        self._state: int | None = None
        self._opening: Future[Any] | None = None
        self._client: Client | None = None
        self._when_open: list[str | bytes] = []
        self._buffered = 0
        self._code = 1000
        self._heard_s = time.monotonic()

    def step_until(self, is_so: Callable[[], bool], timeout_s: float = ROUND_S) -> None:
        """Go on until something is so, nothing more is heard, or the time is over."""
        began_s = self._heard_s = time.monotonic()
        while not is_so() and time.monotonic() - began_s < timeout_s:
            self.step()
            is_quiet = self._state != 0 and time.monotonic() - self._heard_s > QUIET_S
            if is_quiet or self.page.page_sockets.record.seen > MAX_EVENTS:
                return
            time.sleep(0.005)

    def step(self) -> None:
        """Do what was asked for, look at the socket, and tell what happened."""
        seen = self.page.page_sockets.record.seen
        for command in self.page.page_sockets.take_commands(50, 2**24):
            if command.what == "connect":
                self._connect()
            elif command.what == "send" and command.data is not None:
                self._send(command.data, command.when_open)
            elif command.what == "close":
                self._close(command.code, command.reason or "")
        if self.page.ended and self._state in (0, 1):
            self._close(1000, "")
        if self._state == 0 and self._opening is not None and self._opening.done():
            self._open()
        if self._state in (1, 2) and self._client and self._client.state is State.CLOSED:
            self._ended(self._client.close_code or 1006, self._client.close_reason or "")
        if self.page.page_sockets.record.seen > seen:
            self._heard_s = time.monotonic()
            self._says()
            bounded(
                self.page.page_sockets.callbacks.call,
                timeout_s=CALL_S,
                expected="a callback that returns at once",
            )

    def say(self, text: str) -> None:
        """Send a text of our own, behind all that was sent; nothing once it is being closed.

        The close frame goes out on the loop, and a text from here might overtake it.
        """
        if self._client is not None and self._state == 1:
            with contextlib.suppress(Exception):  # closed meanwhile
                self._client.send(text, timeout=1.0)

    def close(self) -> None:
        """Leave nothing open."""
        if self._opening is not None and self._client is None:
            with contextlib.suppress(Exception):
                self._client = result_of(self._opening, CALL_S)
        if self._client is not None:
            self._client.close(timeout=1.0)

    # What a WebSocket does.

    def _connect(self) -> None:
        if self._state in (0, 1):
            self._happened("note", text="nothing was done: it still is CONNECTING or OPEN")
            return
        self.close()  # the one before
        self._state, self._client = 0, None
        url = self.page.page_sockets.routes.url
        self._happened("call", js=f'const socket = new WebSocket("{url}");', by="python")
        self._opening = lab().submit(
            lambda: asyncio.to_thread(connect, url, name="a stand-in", keep=True, record=False)
        )

    def _open(self) -> None:
        assert self._opening is not None
        try:
            self._client = self._opening.result()
        except Exception:
            self._ended(1006, "")
            return
        self._state = 1
        self._happened("open")
        waiting, self._when_open = self._when_open, []
        for data in waiting:
            self._send(data, False)

    def _send(self, data: str | bytes, when_open: bool) -> None:
        js = f"socket.send({data!r});"
        if when_open and self._state == 0:
            js = f'socket.addEventListener("open", () => socket.send({data!r}), {{ once: true }});'
            self._when_open.append(data)
            self._happened("call", js=js, by="python")
            return
        is_open = self._state == 1 and self._client is not None
        if is_open and self._client is not None:
            with contextlib.suppress(Exception):  # closed meanwhile: silence, as in a page
                self._client.send(data, timeout=1.0)
        elif self._state in (2, 3):
            self._buffered += len(data)
        self._happened("call", js=js, by="python", data=data, buffered_amount=self._buffered)
        if self._state is None:
            self._throw(js, "TypeError", "Cannot read properties of undefined (reading 'send')")
        elif self._state == 0:
            self._throw(js, "InvalidStateError", "Still in CONNECTING state.")

    def _close(self, code: int | None, reason: str) -> None:
        js = f"socket.close({'' if code is None else code});"
        is_allowed = code is None or code == 1000 or 3000 <= code <= 4999
        was = self._state
        if is_allowed and was in (0, 1):
            self._state = 2
        self._happened("call", js=js, by="python")
        if was is None:
            self._throw(js, "TypeError", "Cannot read properties of undefined (reading 'close')")
        elif not is_allowed:
            self._throw(js, "InvalidAccessError", "either 1000, or between 3000 and 4999")
        elif len(reason.encode()) > 123:
            self._throw(js, "SyntaxError", "not greater than 123 UTF-8 bytes")
        elif was == 0:
            self._ended(1006, "")
        elif was == 1 and self._client is not None:
            lab().submit(self._client.websocket.close, 1000 if code is None else code, reason)

    def _ended(self, code: int, reason: str) -> None:
        self._state = 3
        if code == 1006:
            self._happened("error")
        self._happened("close", code=code, reason=reason, was_clean=code != 1006)

    def _throw(self, js: str, name: str, text: str) -> None:
        self._happened("exception", js=js, name=name, text=text)

    def _happened(self, kind: str, **fields: Any) -> None:
        self._says()
        fields |= {"type": kind, "connection": 1, "ready_state": self._state_name}
        self.page.page_sockets.happened(time.time(), fields)

    def _says(self) -> None:
        if self._state is not None:
            words = {"ready_state": self._state_name, "buffered_amount": self._buffered}
            self.page.page_sockets.describe(0, {**words, "url": self.page.page_sockets.routes.url})

    @property
    def _state_name(self) -> str | None:
        return None if self._state is None else STATES[self._state]
