"""BrowserView, the widget of a Browser: which page has the sockets, what crosses to it and back.

Its rule: one page has the sockets, the first that showed this, and the others look on; commands go
there in batches from the flusher's ticks, and its events come back in numbered batches, each of
which is answered, so that a page never sends more than a busy kernel can take. From pages come
custom messages only, on any thread. What is sent to a page that goes away is said, not sent again.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ...errors import in_words
from ...notebook import environment
from ...wire.frames.close_codes import CLOSE_CODES
from .. import live
from ..assets import read_static
from . import static_html
from .kernel_socket import KernelSockets
from .record import PageClock, bytes_of, from_page, says_of, to_page
from .routes import WAYS

if TYPE_CHECKING:
    from .browser import Browser, Command

__all__ = ["BrowserView"]

FIRST_LOOK_S = 600.0  # a page that a running cell keeps from answering may be showing it already
RETURN_S = 0.8  # for a page that takes its last view away only to draw it again
ROLL_CALL_S = 2.0  # for the page that has the sockets to answer another one
COMMANDS_A_TICK = 200
BYTES_A_TICK = 256 * 1024
HISTORY = 100  # events that a page gets when it is loaded again
MAX_UNDER_WAY_BYTES = 8 * 2**20  # of commands that a page has not said it ran
MAX_EARLY = 8  # batches that overtook others, and at most so many bytes of them:
MAX_EARLY_BYTES = 32 * 2**20
MAX_PAGES = 64
MAX_ERRORS_SHOWN = 3

Json = dict[str, Any]


class BrowserView(anywidget.AnyWidget):
    """The widget of one Browser.

    Args:
        browser: whose sockets these are.
    """

    _esm = read_static("widgets/dom.js", "widgets/browser/browser.js")
    _css = read_static("widgets/theme.css", "widgets/browser/browser.css")

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

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.owner: str | None = None  # the page that has the sockets
        self.pages: set[str] = set()
        self.clock = PageClock()
        self.kernel_sockets = KernelSockets(browser.ways, self._comm_room)
        self._mutex = threading.RLock()
        self._is_shown_s = float("-inf")
        self._is_gone_s: float | None = None  # when the owner took its leave
        self._candidate: Json | None = None  # a page that asks whether the owner still lives
        self._roll_s = 0.0
        self._next_batch = 1
        self._early: dict[int, tuple[Json, list[Any]]] = {}
        self._early_bytes = 0
        self._ack = 0
        self._ack_sent = 0
        self._under_way: dict[int, Command] = {}  # sent, and not yet said to have run
        self._under_way_bytes = 0
        self._reopen: list[int] = []
        self._errors_drawn = 0
        super().__init__(
            key=secrets.token_hex(8),
            name=browser.name,
            count=len(browser),
            protocols=list(browser.protocols),
            target=browser.ways.shown,
            meanings={str(code): f"{name}: {text}" for code, (name, text) in CLOSE_CODES.items()},
            waiting=browser.waiting,
            ended=browser.ended,
        )
        self.on_msg(self._on_msg)

    # Who looks.

    @property
    def is_watched(self) -> bool:
        """Whether a page shows it, or may be about to."""
        if self.comm is None:
            return False
        is_about_to = time.monotonic() - self._is_shown_s < FIRST_LOOK_S
        return bool(self.pages) or self._is_gone_s is not None or is_about_to

    def mimebundle(self, **kwargs: Any) -> Any:
        """Return all forms of it that a front end could show."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, meta = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        self._is_shown_s = time.monotonic()
        if not self.browser.ended:
            live.watch(self)
        return {
            **data,
            "text/plain": static_html.text(self.browser),
            "text/html": static_html.html(self.browser),
        }, meta

    def wake(self) -> None:
        """See to it that what waits is sent soon."""
        if self.comm is not None and self.is_watched:
            live.watch(self)

    # Kernel to browser, on the flusher's ticks.

    def refresh(self) -> int:
        """Send what waits, as one batch; return about how many bytes that was."""
        with self._mutex:
            if self.comm is None:
                return 0
            self._take_leave()
            self._call_roll()
            sent_bytes = self._send_commands()
            self._draw()
        self.browser.tell_elsewhere()
        return sent_bytes

    def _draw(self) -> None:
        browser = self.browser
        if self.waiting != browser.waiting:
            self.waiting = browser.waiting
        if self._errors_drawn != browser.errors_seen:
            self._errors_drawn = browser.errors_seen
            latest = list(browser.errors)[-MAX_ERRORS_SHOWN:]
            with self.hold_sync():
                self.troubles = browser.errors_seen
                self.trouble = [
                    {"at": error.at, "text": str(error), "traceback": error.traceback[-4_000:]}
                    for error in latest
                ]

    def _send_commands(self) -> int:
        if self.owner is None or self._is_gone_s is not None:
            return 0
        buffers: list[bytes] = []
        said: list[Json] = []
        size = 0
        # What the last batches hold and the page has not run yet still takes room there.
        room = COMMANDS_A_TICK * 5 - len(self._under_way)
        room_bytes = MAX_UNDER_WAY_BYTES - self._under_way_bytes
        if room > 0 and room_bytes > 0:
            for command in self.browser.take_commands(
                min(room, COMMANDS_A_TICK), min(room_bytes, BYTES_A_TICK)
            ):
                size += command.size_bytes
                self._under_way[command.number] = command
                self._under_way_bytes += command.size_bytes
                said.append(_command(command, buffers))
        comm, comm_bytes = self.kernel_sockets.take(BYTES_A_TICK, buffers)
        size += comm_bytes
        if not said and not comm and self._ack == self._ack_sent:
            return 0
        self._ack_sent = self._ack
        self.send(
            {
                "type": "do",
                "to": self.owner,
                "at": time.time() * 1000,
                "ack": self._ack,
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
                self.ended = self.browser.ended
                self.waiting = 0
            self.kernel_sockets.close()
            for index, socket in enumerate(self.browser):
                if socket.ready_state not in (None, "CLOSED"):
                    self._says(index, {"ready_state": "CLOSED"})
            if not self.pages and time.monotonic() - self._is_shown_s > FIRST_LOOK_S:
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
            self.browser.tell()
        except Exception as exc:
            self.show_failure(exc)

    def _hear(self, said: Json, buffers: list[Any], now_s: float) -> None:
        kind, page = said["type"], str(said["page"])
        if kind == "ready":
            self._ready(page, said)
        elif kind == "gone":
            self._gone(page, is_for_good=bool(said.get("for_good")))
        elif page != self.owner:
            if kind == "take":
                self._take_over(page)
            return
        elif kind == "batch":
            self._batch(said, buffers, now_s)
        elif kind == "here":
            self._candidate = None
        elif kind == "way":
            way, label = str(said["kind"]), str(said["label"])
            tried = self.browser.ways.note(said.get("tried") or ())
            self.browser.ways.take(way, label, str(said["changes"]))
            if way not in WAYS:
                tried = tried or "the way that was asked for is not there"
                self._note(0, f"No way leads to {self.browser.ways.shown}: {tried}"[:500])
        elif kind == "asks":
            tried = self.browser.ways.note(said.get("tried") or ())
            self.browser.ways.ask(str(said["asks"]))
            self._note(0, ". ".join(filter(None, (tried, self.browser.ways.asks)))[:800])
        if self.owner is not None and kind != "gone":
            live.watch(self)

    # Which page has the sockets.

    def _ready(self, page: str, said: Json) -> None:
        try:
            environment.note_page_origin(said.get("origin"), said.get("base") or "/")  # type: ignore[arg-type]
        except ValueError:
            pass  # a page without an address of its own
        self.pages.add(page)
        while len(self.pages) > MAX_PAGES:  # of some the last word never came
            self.pages.discard(next(one for one in self.pages if one not in (page, self.owner)))
        self.failure = ""
        if self.browser.ended:
            self.send({"type": "ended", "to": page})
            return
        live.watch(self)
        if self.owner is None or self.owner == page or self._is_gone_s is not None:
            self._own(page, holds=bool(said.get("holds")))
        else:
            self._candidate, self._roll_s = {"page": page}, time.monotonic()
            self.send({"type": "roll", "to": self.owner})
            self.send({"type": "look on", "to": page, "history": self._history()})

    def _own(self, page: str, *, holds: bool) -> None:
        is_back = page == self.owner and holds
        if self.owner is not None and not is_back:
            self._lose("its page was left or loaded again, and the sockets with it")
        self._is_gone_s = None
        self._candidate = None
        if is_back:
            self.send({"type": "own", "to": page, "is_back": True})
            return
        self.owner = page
        self._next_batch, self._ack, self._ack_sent = 1, 0, 0
        self._early.clear()
        self._early_bytes = 0
        self.clock = PageClock()
        reopen, self._reopen = self._reopen, []
        self.send(
            {
                "type": "own",
                "to": page,
                "ways": self.browser.ways.to_page(),
                "reopen": reopen,
                "made": [self._made(index) for index in range(len(self.browser))],
                "history": self._history(),
                "seen": self.browser.record.seen,
            }
        )

    def _made(self, index: int) -> int:
        """Return how many connections this socket has had."""
        return max((event.connection for event in self.browser[index].events), default=0)

    def _history(self) -> list[Json]:
        return [to_page(event) for event in self.browser.events[-HISTORY:]]

    def _gone(self, page: str, *, is_for_good: bool) -> None:
        self.pages.discard(page)
        if page == self.owner:
            self._is_gone_s = time.monotonic()
            live.watch(self)  # for what is to be said when it does not come back
        if is_for_good and self.browser.ended and not self.pages:
            self.close()

    def _take_leave(self) -> None:
        if self._is_gone_s is None or time.monotonic() - self._is_gone_s < RETURN_S:
            return
        self._lose("its last view was closed, or its page left, and the sockets with it")
        self._is_gone_s = None
        heir = next(iter(self.pages), None)  # one that looked on
        if heir is not None:
            self._own(heir, holds=False)

    def _lose(self, why: str) -> None:
        """Say what became of the sockets of a page that is gone, and keep what to open again."""
        self.owner = None
        self.kernel_sockets.close()
        self._reopen = []
        for index, socket in enumerate(self.browser):
            state = socket.ready_state
            if state in (None, "CLOSED"):
                continue
            if state != "CLOSING":
                self._reopen.append(index)
            self._says(index, {**socket._says, "ready_state": "CLOSED", "buffered_amount": 0})
            self._note(index, why)
        lost = len(self._under_way)
        self._under_way.clear()
        self._under_way_bytes = 0
        if lost:
            self._note(
                0,
                f"{lost:,} command{'s were' if lost != 1 else ' was'} on the way to that page: "
                "whether they ran is not known",
            )

    def _call_roll(self) -> None:
        if self._candidate is None or time.monotonic() - self._roll_s < ROLL_CALL_S:
            return
        self._own(self._candidate["page"], holds=False)  # the other one never answered

    def _take_over(self, page: str) -> None:
        if self.owner is not None:
            self.send({"type": "let go", "to": self.owner})
            other = self.owner
            self._own(page, holds=False)
            self.send({"type": "look on", "to": other, "history": []})
        else:
            self._own(page, holds=False)

    # What the page tells.

    def _batch(self, said: Json, buffers: list[Any], now_s: float) -> None:
        number = int(said["number"])
        if number < self._next_batch or number in self._early:
            return
        size = _bytes_of_batch(said, buffers)
        if number > self._next_batch:
            if len(self._early) >= MAX_EARLY or self._early_bytes + size > MAX_EARLY_BYTES:
                # No page of ours is so far ahead: it waits for an answer after a few batches.
                self.browser.record.dropped_in_page += len(said["events"])
                return
            self._early_bytes += size
        self._early[number] = said, buffers
        while self._next_batch in self._early:
            batch, parts = self._early.pop(self._next_batch)
            if batch is not said:
                self._early_bytes -= _bytes_of_batch(batch, parts)
            self._ack = self._next_batch
            self._next_batch += 1
            self._enter(batch, parts, now_s)

    def _enter(self, batch: Json, buffers: list[Any], now_s: float) -> None:
        self.clock.came(float(batch["at"]) / 1000, now_s)
        if batch.get("heard"):
            kernel_ms, page_ms = batch["heard"]
            self.clock.went(float(kernel_ms) / 1000, float(page_ms) / 1000)
        # The states first: a callback that hears of "open" finds that it is.
        for words in batch.get("says", ()):
            self._says(int(words["socket"]), says_of(words))
        for event in batch["events"]:
            fields = from_page(event, buffers, len(self.browser))
            command = self._ran(event.get("command"))
            if command is not None and fields["type"] == "call":
                fields["data"] = command.data if command.what == "send" else None
            at = self.clock.kernel_s(float(event["at"]) / 1000, now_s)
            self.browser.happened(at, fields)
        for order in batch.get("orders", ()):
            self.kernel_sockets.hear(order, buffers)
        for number in batch.get("done", ()):
            self._ran(number)
        self.browser.record.dropped_in_page += int(batch.get("dropped") or 0)

    def _ran(self, number: Any) -> Command | None:
        command = self._under_way.pop(int(number or 0), None)
        if command is not None:
            self._under_way_bytes -= command.size_bytes
        return command

    def _says(self, index: int, words: Json) -> None:
        self.browser.says(index, words)

    def _note(self, index: int, text: str) -> None:
        socket = self.browser[index]
        connection = self._made(index)
        fields = {"type": "note", "socket": index, "connection": connection, "text": text}
        self.browser.happened(time.time(), {**fields, "ready_state": socket.ready_state})

    def _comm_room(self) -> None:
        """Something came for a page through the kernel's sockets."""
        if self.owner is not None:
            live.watch(self)


def _bytes_of_batch(said: Json, buffers: list[Any]) -> int:
    """Return about how much memory a batch of a page stands for."""
    parts = [*said["events"], *said.get("orders", ())]
    texts = sum(bytes_of(str(part.get("data") or "")) for part in parts)
    return 300 * len(parts) + texts + sum(map(len, buffers))


def _command(command: Command, buffers: list[bytes]) -> Json:
    said: Json = {"number": command.number, "socket": command.socket, "what": command.what}
    if isinstance(command.data, bytes):
        said["buffer"] = len(buffers)
        buffers.append(command.data)
    elif command.data is not None:
        said["data"] = command.data
    for name in ("code", "reason"):
        if getattr(command, name) is not None:
            said[name] = getattr(command, name)
    if command.when_open:
        said["when_open"] = True
    return said
