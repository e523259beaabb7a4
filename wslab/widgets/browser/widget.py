"""BrowserView, the widget of a Browser: what crosses to the pages that show it, and back.

Its rule: commands go to the page that has the sockets in batches from the flusher's ticks, and its
events come back in numbered batches, each of which is answered, so that a page never sends more
than a busy kernel can take. From pages come custom messages only, on any thread. What is sent to a
page that goes away is said, not sent again.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

import traitlets

from ...failures import in_words
from ...notebook.page import note_page_origin
from ...wire.frames.close_codes import CLOSE_CODES
from .. import live
from ..widget import Widget, read_static
from . import static_html
from .kernel_socket import KernelSockets
from .page_sockets import PageSockets
from .pages import Batches, Pages
from .record import PageClock, from_page, words_of

__all__ = ["BrowserView"]

FIRST_LOOK_S = 600.0  # a page that a running cell keeps from answering may be showing it already
BYTES_A_TICK = 256 * 1024
MAX_ERRORS_SHOWN = 3
# What its page runs and draws, in the order in which the files stand in one module.
SCRIPTS = (
    *("words", "kernel_socket", "routes", "slot", "outbox", "page_sockets"),
    *("state", "actions", "log", "sockets", "view", "browser"),
)

Json = dict[str, Any]


class BrowserView(Widget):
    """The widget of one Browser.

    Args:
        page_sockets: whose sockets these are.
    """

    _esm = read_static("widgets/dom.js", *(f"widgets/browser/{part}.js" for part in SCRIPTS))
    _css = read_static(
        "widgets/theme.css", "widgets/panels/panel.css", "widgets/browser/browser.css"
    )

    # Kernel to browser only: trait sync the other way jams while a cell awaits.
    key = traitlets.Unicode().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int(1).tag(sync=True)
    protocols: traitlets.List[Any] = traitlets.List().tag(sync=True)
    target = traitlets.Unicode().tag(sync=True)
    waiting = traitlets.Int(0).tag(sync=True)
    meanings = traitlets.Dict().tag(sync=True)
    trouble: traitlets.List[Any] = traitlets.List().tag(sync=True)
    troubles = traitlets.Int(0).tag(sync=True)
    ended = traitlets.Unicode().tag(sync=True)
    failure = traitlets.Unicode().tag(sync=True)

    def __init__(self, page_sockets: PageSockets) -> None:
        self.page_sockets = page_sockets
        self.pages = Pages(page_sockets, self._tell_page, self._change_owner)
        self.kernel_sockets = KernelSockets(page_sockets.routes, self._watch_for_owner)
        self._mutex = threading.RLock()
        self._is_shown_s = float("-inf")
        self._errors_drawn = 0
        self._begin_anew()
        super().__init__(
            key=secrets.token_hex(8),
            name=page_sockets.name,
            count=len(page_sockets.states),
            protocols=list(page_sockets.protocols),
            target=page_sockets.routes.shown,
            meanings={str(code): f"{name}: {text}" for code, (name, text) in CLOSE_CODES.items()},
            waiting=len(page_sockets.commands),
            ended=page_sockets.ended,
        )
        page_sockets.on_change = self.wake
        self.on_msg(self._on_msg)

    def _begin_anew(self) -> None:
        self.clock = PageClock()
        self.batches = Batches()
        self._ack_sent = 0

    def _change_owner(self) -> None:
        if self.pages.owner is None:
            self.kernel_sockets.close()
        else:
            self._begin_anew()

    def _tell_page(self, said: Json) -> None:
        self.send(said)

    # Who looks.

    @property
    def is_watched(self) -> bool:
        """Whether a page shows it, or may be about to."""
        if self.comm is None:
            return False
        is_about_to = time.monotonic() - self._is_shown_s < FIRST_LOOK_S
        return bool(self.pages.shown) or self.pages.is_expected or is_about_to

    def forms(self) -> dict[str, str]:
        return {
            "text/plain": static_html.text(self.page_sockets),
            "text/html": static_html.html(self.page_sockets),
        }

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self._is_shown_s = time.monotonic()
        if not self.page_sockets.ended:
            live.watch(self)
        return super()._repr_mimebundle_(**kwargs)

    def wake(self) -> None:
        """See to it that what waits is sent soon."""
        if self.comm is not None and self.is_watched:
            live.watch(self)

    def _watch_for_owner(self) -> None:
        """Something came for a page through the kernel's sockets."""
        if self.pages.owner is not None:
            live.watch(self)

    # Kernel to browser, on the flusher's ticks.

    def refresh(self) -> int:
        """Send what waits, as one batch; return about how many bytes that was."""
        with self._mutex:
            if self.comm is None:
                return 0
            self.pages.tick()
            sent_bytes = self._send_commands()
            self._draw()
        self.page_sockets.call_callbacks_elsewhere()
        return sent_bytes

    def _draw(self) -> None:
        waiting, errors = len(self.page_sockets.commands), self.page_sockets.callbacks.errors
        if self.waiting != waiting:
            self.waiting = waiting
        if self._errors_drawn != errors.seen:
            self._errors_drawn = errors.seen
            latest = list(errors)[-MAX_ERRORS_SHOWN:]
            with self.hold_sync():
                self.troubles = errors.seen
                self.trouble = [
                    {"at": error.at, "text": str(error), "traceback": error.end_of_traceback(4_000)}
                    for error in latest
                ]

    def _send_commands(self) -> int:
        page = self.pages.active
        if page is None:
            return 0
        buffers: list[bytes] = []
        said: list[Json] = []
        size = 0
        # What the last batches hold and the page has not run yet still takes room there.
        under_way = self.pages.under_way
        if under_way.room:
            max_bytes = min(under_way.room_bytes, BYTES_A_TICK)
            for command in self.page_sockets.take_commands(under_way.room, max_bytes):
                size += command.size_bytes
                under_way.add(command)
                said.append(command.to_page(buffers))
        comm, comm_bytes = self.kernel_sockets.take(BYTES_A_TICK, buffers)
        size += comm_bytes
        ack = self.batches.ack
        if not said and not comm and ack == self._ack_sent:
            return 0
        self._ack_sent = ack
        self.send(
            {
                "type": "do",
                "to": page,
                "at": time.time() * 1000,
                "ack": ack,
                "commands": said,
                "comm": comm,
            },
            buffers=buffers,
        )
        return size + 200

    def show_failure(self, exc: BaseException) -> None:
        """Say that it no longer is up to date, and why."""
        self.failure = f"This browser stopped: {in_words(exc)}"

    def end(self) -> None:
        """Tell the pages that it is over; they close their sockets."""
        with self._mutex:
            live.unwatch(self)
            if self.comm is None:
                return
            with self.hold_sync():
                self.ended = self.page_sockets.ended
                self.waiting = 0
            self.kernel_sockets.close()
            for index, socket in enumerate(self.page_sockets.states):
                if socket.ready_state not in (None, "CLOSED"):
                    self.page_sockets.describe(index, {"ready_state": "CLOSED"})
            if not self.pages.shown and time.monotonic() - self._is_shown_s > FIRST_LOOK_S:
                self.close()

    def close(self) -> None:
        """Close the widget: pages that show it take it away, and close their sockets."""
        live.unwatch(self)
        self.kernel_sockets.close()
        super().close()

    # Browser to kernel.

    def _on_msg(self, _widget: Any, content: Any, buffers: Any) -> None:
        # On the main thread or on a subshell's; what it raised or printed would appear nowhere.
        try:
            with self._mutex:
                self._hear(content, list(buffers or ()), time.time())
            self.page_sockets.callbacks.call()
        except Exception as exc:
            self.show_failure(exc)

    def _hear(self, said: Json, buffers: list[Any], now_s: float) -> None:
        kind, page = said["type"], str(said["page"])
        if kind == "here" or page == self.pages.owner:
            self.pages.hear(page)
        if kind == "ready":
            self._ready(page, said)
        elif kind == "gone":
            self._gone(page, is_for_good=bool(said.get("for_good")))
            return
        elif page != self.pages.owner:
            if kind == "take":
                self.pages.take_over(page)
            return
        elif kind == "batch":
            self._batch(said, buffers, now_s)
        elif kind == "route":
            self._note(self.page_sockets.routes.take(said))
        elif kind == "asks":
            self._note(self.page_sockets.routes.ask(said))
        self._watch_for_owner()

    def _ready(self, page: str, said: Json) -> None:
        try:
            note_page_origin(said.get("origin"), said.get("base") or "/")  # type: ignore[arg-type]
        except ValueError:
            pass  # a page without an address of its own
        self.failure = ""
        self.pages.arrive(page, holds=bool(said.get("holds")))
        if not self.page_sockets.ended:
            live.watch(self)

    def _gone(self, page: str, *, is_for_good: bool) -> None:
        self.pages.leave(page)
        if self.pages.is_expected:
            live.watch(self)  # for what is to be said when it does not come back
        if is_for_good and self.page_sockets.ended and not self.pages.shown:
            self.close()

    def _note(self, text: str) -> None:
        if text:
            self.page_sockets.note(0, text)

    def _batch(self, said: Json, buffers: list[Any], now_s: float) -> None:
        if not self.batches.put(said, buffers):
            self.page_sockets.record.dropped_in_page += len(said["events"])
        for batch, parts in self.batches.take():
            self._enter(batch, parts, now_s)

    def _enter(self, batch: Json, buffers: list[Any], now_s: float) -> None:
        self.clock.came(float(batch["at"]) / 1000, now_s)
        if batch.get("heard"):
            kernel_ms, page_ms = batch["heard"]
            self.clock.went(float(kernel_ms) / 1000, float(page_ms) / 1000)
        # The states first: a callback that hears of "open" finds that it is.
        for words in batch.get("says", ()):
            self.page_sockets.describe(int(words["socket"]), words_of(words))
        for event in batch["events"]:
            fields = from_page(event, buffers, len(self.page_sockets.states))
            command = self.pages.under_way.ran(event.get("command"))
            if command is not None and fields["type"] == "call":
                fields["data"] = command.data if command.what == "send" else None
            at = self.clock.kernel_s(float(event["at"]) / 1000, now_s)
            self.page_sockets.happened(at, fields)
        for order in batch.get("orders", ()):
            self.kernel_sockets.hear(order, buffers)
        for number in batch.get("done", ()):
            self.pages.under_way.ran(number)
        self.page_sockets.record.dropped_in_page += int(batch.get("dropped") or 0)
