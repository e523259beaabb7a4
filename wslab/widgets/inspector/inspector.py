"""Inspector: a live view of the wire: timeline, frame microscope, handshake reader.

Its rule: what goes to a page is rows with a bounded prefix of their bytes, in batches, so that it
can explain a frame while the kernel is busy; what is too fast to be drawn is counted. From the page
come custom messages only, on any thread. While nobody looks it reads nothing and holds nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import traitlets

from ...failures import in_words
from ...wire.events import Event
from .. import live
from ..widget import Widget, read_static
from . import static_html
from .choice import Choice
from .feed import ROWS_A_TICK, Feed, numbers_since
from .remarks import Remarks
from .sources import Sources
from .timeline import Row

__all__ = ["Inspector"]

FIRST_LOOK_S = 30.0  # a page that a running cell keeps from answering may be looking already
EARLY_ROWS = 150
# What its page draws, in the order in which the files stand in one module.
SCRIPTS = (
    *("words", "frame", "arrows", "store"),
    *("lines", "lanes", "row", "timeline"),
    *("layers", "microscope", "handshake", "detail", "controls", "inspector"),
)

Json = dict[str, Any]


class Inspector(Widget):
    """Show what crosses the wire, live: every handshake, frame and closing, to be looked into.

    Args:
        sources: Servers, Clients, Replays and Tapes, or lists of them. Where a server and its
            client are both among them, their connection is drawn once, from the server's record.
            A replay's differences stand behind the messages that they are about.
        max_rows: rows that are kept to be looked at; what is older is only counted.
        height: of the timeline, in CSS pixels.
        select: the arrow to open it on: an event of the tape (``server.tape.frames[-1]``), or a
            function of an event: the latest for which it is true, or the first that comes.
        fold_keepalive: whether the pings and pongs that a library sends by itself stand on one line
            that opens; False where they are the subject.

    Raises:
        TypeError: a source is none of these, or ``select`` is neither event nor function.
        ValueError: a source has no tape, or there is no source.
    """

    _esm = read_static("widgets/dom.js", *(f"widgets/inspector/{part}.js" for part in SCRIPTS))
    _css = read_static("widgets/theme.css", "widgets/inspector/inspector.css")

    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(480).tag(sync=True)
    max_rows = traitlets.Int(2_000).tag(sync=True)
    paused = traitlets.Bool(False).tag(sync=True)
    state = traitlets.Unicode().tag(sync=True)
    failure = traitlets.Unicode().tag(sync=True)
    folds_keepalive = traitlets.Bool(True).tag(sync=True)
    early = traitlets.Dict().tag(sync=True)  # what a page finds that the kernel cannot answer yet

    def __init__(
        self,
        *sources: Any,
        max_rows: int = 2_000,
        height: int = 480,
        select: Event | Callable[[Event], bool] | None = None,
        fold_keepalive: bool = True,
    ) -> None:
        self._pages: set[str] = set()
        self._feed: Feed | None = None
        self._outbox: deque[Row] = deque()
        self._is_reset_due = False
        self._sent: Json = {}
        self._texts_sent = 0
        self._cleared_s = -1.0
        self._base: Json = {}
        self._mutex = threading.RLock()
        self._shown_s = float("-inf")
        if not 50 <= max_rows <= 20_000:
            raise ValueError(f"expected max_rows from 50 to 20,000, got {max_rows}")
        self._sources = Sources(sources)
        self._choice = None if select is None else Choice(select, self._sources.tapes)
        super().__init__(
            title=self._sources.title,
            height=height,
            max_rows=max_rows,
            state=self._sources.state,
            folds_keepalive=fold_keepalive,
        )
        self.on_msg(self._on_msg)

    # What a program may do.

    def pause(self) -> None:
        """Hold the picture still; counting goes on."""
        self.paused = True

    def resume(self) -> None:
        """Go on drawing, what came meanwhile first."""
        self.paused = False

    def clear(self) -> None:
        """Take all rows away and count from here on."""
        with self._mutex:
            feed = self._feed or self._read()
            numbers = feed.numbers()
            at_s = feed.rows[-1].json["at"] if feed.rows else self._cleared_s
            self._clear(at_s, numbers)
            if self._feed is not None:
                self._is_reset_due = True

    def _clear(self, at_s: float, base: Json) -> None:
        self._cleared_s, self._base = max(at_s, self._cleared_s), base
        for rows in (self._outbox, self._feed.rows if self._feed else deque[Row]()):
            while rows and rows[0].json["at"] <= at_s:
                rows.popleft()
        if self._feed is not None:
            self._feed.since_s = self._cleared_s

    # Who looks.

    @property
    def is_watched(self) -> bool:
        """Whether a page shows it, or may be about to."""
        if self.comm is None:
            return False
        is_looked_at = bool(self._pages) or time.monotonic() - self._shown_s < FIRST_LOOK_S
        if not is_looked_at and self._mutex.acquire(blocking=False):
            self._let_go()
            self._mutex.release()
        return is_looked_at

    def forms(self) -> dict[str, str]:
        with self._mutex:
            if self._feed is None:
                self._begin()
            assert self._feed is not None
            rows = [self._unfolded(row.json) for row in self._feed.rows]
            lanes = self._feed.timeline.lanes.by_number
            numbers = numbers_since(self._feed.numbers(), self._base)
        return {
            "text/plain": static_html.text(self.title, lanes, rows, numbers),
            "text/html": static_html.html(self.title, lanes, rows, numbers),
        }

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        self._shown_s = time.monotonic()
        live.watch(self)
        return bundle

    def _unfolded(self, row: Json) -> Json:
        return row if self.folds_keepalive else {**row, "keepalive": False}

    def _read(self) -> Feed:
        """Return a feed that has read what is there, so that its next poll brings what is new."""
        feed = Feed(
            self._sources.tapes,
            self._sources.servers,
            since_s=self._cleared_s,
            max_rows=self.max_rows,
            intervals_s=self._sources.intervals_s,
            is_chosen=self._choice,
            remarks=Remarks(self._sources.replays),
        )
        feed.catch_up()
        while feed.poll():
            pass
        return feed

    def _begin(self) -> None:
        """Begin to read; not on a tick, for a big tape takes its time."""
        self._feed = self._read()
        self._is_reset_due = True

    def _let_go(self) -> None:
        self._feed = None
        self._outbox.clear()
        self._sent = {}
        if self.early:
            self.early = {}

    # Kernel to browser.

    def refresh(self) -> int:
        """Send what is new, as one batch; return about how many bytes that was."""
        if not self._mutex.acquire(blocking=False):
            return 0  # a page has just come, and is being read for; a tick may not wait
        try:
            if self._feed is None or self.comm is None:
                return 0
            new = self._feed.poll(self._outbox)
            if not self._is_reset_due:
                self._outbox.extend(new)
            state = self._sources.state
            if state != self.state:
                self.state = state
            return self._send_batch()
        finally:
            self._mutex.release()

    def _send_batch(self) -> int:
        feed = self._feed
        assert feed is not None
        batch: Json = {"type": "rows"}
        if self._is_reset_due:
            self._is_reset_due = False
            self._outbox = deque(feed.rows)
            self._sent, self._texts_sent = {}, 0
            batch |= {"reset": True, "base": self._base}
        is_early = not self._pages
        if is_early:
            # Nobody has answered: leave all that matters where a page will find it.
            self._outbox = deque(list(feed.rows)[-EARLY_ROWS:])
            self._sent, self._texts_sent = {}, 0
            batch |= {"reset": True, "base": self._base}
        rows = [self._outbox.popleft() for _ in range(min(len(self._outbox), ROWS_A_TICK))]
        numbers = feed.numbers()
        if not rows and numbers == self._sent and "reset" not in batch:
            return 0
        if is_early and self.early and self.early.get("numbers") == numbers:
            return 0
        self._sent = numbers
        batch["numbers"] = numbers
        is_reset = "reset" in batch
        lanes = feed.lanes_of_rows() if is_reset else feed.timeline.lanes.take_new()
        if lanes:
            batch["lanes"] = lanes
        texts = feed.timeline.texts
        if len(texts) > self._texts_sent:
            batch["texts"] = [self._texts_sent, texts[self._texts_sent :]]
            self._texts_sent = len(texts)
        batch["rows"] = [row.json for row in rows]
        data = b"".join(row.data for row in rows)
        if is_early:
            self.early = {**batch, "data": data}
        else:
            if self.early:
                self.early = {}
            self.send(batch, buffers=[data])
        return len(data) + 300 * len(rows) + 500

    def show_failure(self, exc: BaseException) -> None:
        """Say that it no longer is up to date, and why."""
        self.failure = f"The Inspector stopped: {in_words(exc)}"

    # Browser to kernel.

    def _on_msg(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # On the main thread or on a subshell's; what it raised or printed would appear nowhere.
        try:
            kind = content.get("type")
            if kind == "ready":
                with self._mutex:
                    self._pages.add(str(content["page"]))
                    self.failure = ""
                    if self._feed is None:
                        self._begin()
                    self._is_reset_due = True
                live.watch(self)
            elif kind == "gone":
                self._pages.discard(str(content["page"]))
            elif kind == "clear":
                with self._mutex:
                    self._clear(float(content["at"]), content["base"])
        except Exception as exc:
            self.show_failure(exc)

    def close(self) -> None:
        """Close the widget: pages that show it take it away."""
        live.unwatch(self)
        with self._mutex:
            self._let_go()
        super().close()

    def __repr__(self) -> str:
        return f"<Inspector of {self.title}>"

    __str__ = __repr__  # what was on the wire is read when it is shown
