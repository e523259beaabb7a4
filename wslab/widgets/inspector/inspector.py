"""Inspector: a live view of the wire: timeline, frame microscope, handshake reader.

Its rule: what goes to a page is rows with a bounded prefix of their bytes, in batches, so that it
can explain a frame while the kernel is busy; what is too fast to be drawn is counted. From the page
come custom messages only, on any thread. While nobody looks it reads nothing and holds nothing.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import anywidget
import traitlets

from ...errors import in_words
from ...wire.events import Event, FrameEvent
from ...wire.frames.opcodes import Opcode
from ...wire.tape.sampling import SamplingReader, Tally
from ...wire.tape.tape import Tape
from .. import live
from ..assets import read_static
from ..panels import model
from . import static_html
from .model import KEEPALIVE_S, Row, Timeline

__all__ = ["Feed", "Inspector"]

FIRST_LOOK_S = 30.0  # a page that a running cell keeps from answering may be looking already
EARLY_ROWS = 150
ROWS_A_TICK = 150
CHUNKS_A_TICK = 2_500  # read at once; a tick holds the loop of every server
STEADY_ROWS_S = 120.0  # what is drawn of an endless stream; nobody could read more
BURST_ROWS = 1_000

Json = dict[str, Any]


class Feed:
    """Reads tapes into rows, as many as can be drawn, and counts the rest.

    Args:
        tapes: to be shown together, on one clock.
        servers: addresses of the servers among the sources.
        since_s: what happened before is counted and not drawn.
        max_rows: rows that are kept.
        intervals_s, is_chosen: see :class:`Timeline`.
    """

    def __init__(
        self,
        tapes: Iterable[Tape],
        servers: Iterable[str] = (),
        *,
        since_s: float = -1.0,
        max_rows: int = 2_000,
        intervals_s: Iterable[float] = (KEEPALIVE_S,),
        is_chosen: Callable[[int, Event], bool] | None = None,
    ) -> None:
        self.tapes = tuple(tapes)
        self.timeline = Timeline(servers, intervals_s=intervals_s, is_chosen=is_chosen)
        self.rows: deque[Row] = deque(maxlen=max_rows)
        self.since_s = since_s
        self.drawn = 0  # frames that became rows
        self._readers = [SamplingReader(tape) for tape in self.tapes]
        began_at = min((tape.began_at for tape in self.tapes), default=0.0)
        self._offsets = [tape.began_at - began_at for tape in self.tapes]
        self._burst = float(min(BURST_ROWS, max_rows))
        self._tokens = self._burst
        self._filled_s = time.monotonic()
        self._decoded = {"client": [0, 0], "server": [0, 0]}  # frames, header bytes
        self._inflated = [0, 0]  # bytes before, bytes after
        self._passed = 0
        self._at_s = 0.0

    def catch_up(self) -> None:
        """Count what is there but the last rows; on a big tape it takes up to a second."""
        for source, reader in enumerate(self._readers):
            self.timeline.meet(source, self.tapes[source])
            self._take(source, reader.catch_up(int(self._burst)))
        self._passed = sum(reader.passed_over for reader in self._readers)  # long ago: no row

    def poll(self, waiting: Iterable[Row] = ()) -> list[Row]:
        """Return the rows that are new, at most about 150.

        Args:
            waiting: rows of earlier calls that are still to be shown.
        """
        now_s = time.monotonic()
        refill = STEADY_ROWS_S * (now_s - self._filled_s)
        self._tokens, self._filled_s = min(self._burst, self._tokens + refill), now_s
        new: list[Row] = []
        for source, reader in enumerate(self._readers):
            if reader.is_idle:
                continue
            self.timeline.meet(source, self.tapes[source])
            keep = max(10, int(self._tokens))
            limit = min(keep, ROWS_A_TICK)
            new += self._take(source, reader.sample(limit, keep, max_chunks=CHUNKS_A_TICK))
        if len(self._readers) > 1:
            new.sort(key=lambda row: row.json["at"])
        if new:
            self._tokens -= len(new)
            self._at_s = new[-1].json["at"]
        passed = sum(reader.passed_over for reader in self._readers)
        if passed > self._passed:
            row = self.timeline.passed_over(passed - self._passed, self._at_s)
            self._passed = passed
            new.insert(0, row)
            row.json["at"] = new[1].json["at"] if len(new) > 1 else self._at_s
        new = [row for row in new if row.json["at"] > self.since_s]
        self.rows.extend(new)
        self.timeline.forget(self.tapes, itertools.chain(self.rows, waiting))
        return new

    def _take(self, source: int, events: list[Any]) -> list[Row]:
        for event in events:
            if isinstance(event, FrameEvent):
                frame = event.frame
                decoded = self._decoded[event.sender]
                decoded[0] += 1
                decoded[1] += len(frame.header)
                if frame.inflated is not None:
                    self._inflated[0] += len(frame.payload_raw)
                    self._inflated[1] += len(frame.inflated)
        rows = self.timeline.rows(source, events, self._offsets[source])
        self.drawn += sum(row.json["what"] == "frame" for row in rows)
        return rows

    def numbers(self) -> Json:
        """Return what the footer says; frames and bytes are exact, whatever was drawn."""
        total = {"client": Tally(), "server": Tally()}
        for reader in self._readers:
            for sender, tally in reader.tally().items():
                total[sender].merge(tally)
        frames = total["client"].frames + total["server"].frames
        size_bytes = total["client"].size_bytes + total["server"].size_bytes
        # Headers are known of what was decoded; each side's others are taken to be like its own.
        header_bytes = sum(
            size * total[sender].frames / count
            for sender, (count, size) in self._decoded.items()
            if count
        )
        decoded = sum(count for count, _ in self._decoded.values())
        dropped = [tape.dropped for tape in self.tapes]
        return {
            **{sender: _numbers(tally) for sender, tally in total.items()},
            "header": round(header_bytes),
            "bytes": size_bytes,
            "about": decoded < frames,
            "inflated": self._inflated,
            "ping": self.timeline.ping_s,
            "dropped": [sum(d.frames for d in dropped), sum(d.size_bytes for d in dropped)],
            "passed": self._passed,
        }


def _numbers(tally: Tally) -> Json:
    kinds = tally.opcodes
    return {
        "frames": tally.frames,
        "size": tally.size_bytes,
        "text": kinds[Opcode.TEXT],
        "binary": kinds[Opcode.BINARY],
        "continuation": kinds[Opcode.CONT],
        "ping": kinds[Opcode.PING],
        "pong": kinds[Opcode.PONG],
        "close": kinds[Opcode.CLOSE],
    }


class Inspector(anywidget.AnyWidget):
    """Show what crosses the wire, live: every handshake, frame and closing, to be looked into.

    Args:
        sources: Servers, Clients and Tapes, or lists of them. Where a server and its client are
            both among them, their connection is drawn once, from the server's record.
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

    _esm = read_static("widgets/dom.js", "widgets/inspector/inspector.js")
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
        self._sources = _flat(sources)
        self._tapes = [_tape_of(source) for source in self._sources]
        if not self._tapes:
            raise ValueError("expected a Server, a Client or a Tape to inspect, got none")
        self._choice = None if select is None else _Choice(select, self._tapes)
        super().__init__(
            title=_title(self._sources),
            height=height,
            max_rows=max_rows,
            state=self._state(),
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

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is None:
            return bundle
        with self._mutex:
            if self._feed is None:
                self._begin()
            assert self._feed is not None
            rows = [self._unfolded(row.json) for row in self._feed.rows]
            lanes, numbers = self._feed.timeline.lanes, self._feed.numbers()
            numbers = views_numbers(numbers, self._base)
        data["text/html"] = static_html.html(self.title, lanes, rows, numbers)
        data["text/plain"] = static_html.text(self.title, lanes, rows, numbers)
        self._shown_s = time.monotonic()
        live.watch(self)
        return bundle

    def _unfolded(self, row: Json) -> Json:
        return row if self.folds_keepalive else {**row, "keepalive": False}

    def _read(self) -> Feed:
        """Return a feed that has read what is there, so that its next poll brings what is new."""
        servers = [_address_of(source) for source in self._sources]
        intervals_s = {interval for source in self._sources for interval in _intervals_of(source)}
        feed = Feed(
            self._tapes,
            filter(None, servers),
            since_s=self._cleared_s,
            max_rows=self.max_rows,
            intervals_s=sorted(intervals_s),
            is_chosen=self._choice,
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
            state = self._state()
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
        lanes = feed.timeline.lanes_of(feed.rows) if is_reset else feed.timeline.take_new_lanes()
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

    def _state(self) -> str:
        for source in self._sources:
            if hasattr(source, "is_serving"):
                return "listening" if source.is_serving else "stopped"
        for source in self._sources:
            if hasattr(source, "why_closed"):
                return str(source.state.name).lower()
        return "recorded"

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


def views_numbers(numbers: Json, base: Json) -> Json:
    """Return numbers counted from a base on, as a page that was cleared shows them."""
    if not base:
        return numbers
    since = dict(numbers)
    for sender in ("client", "server"):
        since[sender] = {key: n - base[sender].get(key, 0) for key, n in numbers[sender].items()}
    for key in ("header", "bytes"):
        since[key] = max(0, numbers[key] - base.get(key, 0))
    return since


class _Choice:
    """Which event to open on: known from the beginning, or the first that fits."""

    def __init__(self, select: Any, tapes: list[Tape]) -> None:
        if not callable(select) and not isinstance(select, Event):
            raise TypeError(
                "expected for select an event of the tape, such as server.tape.frames[-1], or a "
                f"function of an event that is true of it, got {type(select).__name__}"
            )
        self._fits: Callable[[Event], bool] | None = None
        self._key: tuple[Any, ...] | None = None
        if not callable(select):
            self._key = _key_of(select)
            return
        self._fits = select
        events = (event for tape in reversed(tapes) for event in reversed(tape.events))
        self._take(next(filter(self._is_true_of, events), None))

    def __call__(self, _source: int, event: Event) -> bool:
        if self._key is None and self._is_true_of(event):
            self._take(event)
        return self._key is not None and _key_of(event) == self._key

    def _take(self, event: Event | None) -> None:
        self._key = None if event is None else _key_of(event)

    def _is_true_of(self, event: Event) -> bool:
        assert self._fits is not None
        try:
            return bool(self._fits(event))
        except (AttributeError, TypeError):  # an event of a kind that it does not speak of
            return False


def _key_of(event: Event) -> tuple[Any, ...]:
    """Return what an event is known by, however often its tape is read."""
    number = event.number if isinstance(event, FrameEvent) else 0
    return event.kind, event.connection_id, event.sender, event.at_s, number


def _intervals_of(source: Any) -> Iterable[float]:
    """Return how often the ends of a source ping, in seconds."""
    for end in (source, *getattr(source, "connections", ())):
        websocket = getattr(end, "websocket", None)
        interval_s = getattr(websocket, "ping_interval", KEEPALIVE_S)
        if isinstance(interval_s, int | float) and 0 < interval_s < float("inf"):
            yield float(interval_s)


def _flat(sources: Iterable[Any]) -> list[Any]:
    flat: list[Any] = []
    for source in sources:
        flat += _flat(source) if isinstance(source, list | tuple) else [source]
    return flat


def _tape_of(source: Any) -> Tape:
    if isinstance(source, Tape):
        return source
    if not hasattr(source, "tape"):
        raise TypeError(
            f"expected a Server, a Client, a Tape or a list of them, got {type(source).__name__}"
        )
    if not isinstance(source.tape, Tape):
        raise ValueError(
            f"{source!r} has no tape: it was made with record=False. Make it with record=True to "
            "look at its bytes"
        )
    return source.tape


def _address_of(source: Any) -> str | None:
    if hasattr(source, "is_serving"):
        return f"{source.host}:{source.port}"
    return None


def _title(sources: list[Any]) -> str:
    names = [
        source.name or "tape" if isinstance(source, Tape) else str(source.url) for source in sources
    ]
    names = list(dict.fromkeys(model.one_line(name) for name in names))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
