"""EchoTimeline: who answers when: one lane a server on one time axis, one dot an echo.

Its rule: every dot is a round trip on the tape. The clients run on a loop of their own, on a
thread of their own, so that they go on asking whichever of the other loops is held; the times are
the client's, since a loop that is held notes late what came. It shows what was measured when its
block has ended, as text and as HTML that needs no script.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from websockets.exceptions import ConnectionClosed

from ...client.client import Client
from ...client.connect import begin_connect
from ...client.open_diagnosis import not_opened
from ...client.urls import check_url, is_loopback
from ...loops.portal import Portal
from ...wire.tape.tape import Tape
from ..static_html import SOFT, SVG, TEXT, same_as_text

__all__ = ["Echo", "EchoTimeline", "Lane", "Span"]

EVERY_S = 0.05
MAX_ASKED = 1_000  # a lane; then it asks no more
OPEN_TIMEOUT_S = 10.0
LAST_ECHO_S = 5.0  # for what is still on its way when the block ends
_COLUMN_S = 0.1  # of the text
_FLOOR_S = 0.25  # the lanes' scale ends no lower: the noise of a free loop is to look small


@dataclass(frozen=True, slots=True)
class Echo:
    """A message and its echo, in seconds on the lanes' common clock.

    ``came_s`` is None where no echo came.
    """

    sent_s: float
    came_s: float | None

    @property
    def took_s(self) -> float:
        """The round trip, in seconds; endless where no echo came."""
        return math.inf if self.came_s is None else self.came_s - self.sent_s


@dataclass(frozen=True, slots=True)
class Lane:
    """What one server answered; ``echoes`` are in the order in which they were asked for."""

    name: str
    echoes: tuple[Echo, ...]

    @property
    def worst_s(self) -> float:
        """The longest round trip, in seconds; 0 where nothing was asked."""
        return max((echo.took_s for echo in self.echoes), default=0.0)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that was given a name, in seconds on the lanes' common clock."""

    label: str
    began_s: float
    ended_s: float


class EchoTimeline:
    """Ask each server the same again and again, for an ``async with`` block, and note each echo.

    Where the block ends the echoes that are still on their way are waited for, and all is closed.

    Args:
        targets: what to call a lane, and its server: a Server, a ``ws://`` URL, or a server of
            websockets' own. Its handler has to send back what comes.
        every_s: from one message to the next, in seconds.

    Raises:
        ConnectFailed: on entering: a server could not be reached; see ``wslab.connect``.
        TypeError, ValueError: a target is none of these, or there is none.
    """

    def __init__(self, targets: Mapping[str, Any], *, every_s: float = EVERY_S) -> None:
        if not targets:
            raise ValueError("expected at least one server to ask, got none")
        if not every_s > 0:
            raise ValueError(f"expected every_s above 0 seconds, got {every_s}")
        self.every_s = every_s
        self.tape = Tape()
        self._began_s = time.monotonic()
        self._urls = {str(name): _url(target) for name, target in targets.items()}
        self._spans: list[Span] = []
        self._clients: list[Client] = []
        self._runner: Portal | None = None
        self._asking = False

    # Measuring.

    async def __aenter__(self) -> Self:
        if self._runner is not None or self._clients:
            raise RuntimeError("these lanes have been used; make new ones: EchoTimeline({...})")
        self._runner = runner = Portal("lanes")
        try:
            for name, url in self._urls.items():
                client, opening = begin_connect(
                    url,
                    runner,
                    name=name,
                    tape=self.tape,
                    max_waiting=2 * MAX_ASKED,
                    **_options(url),
                )
                self._clients.append(client)
                try:
                    await asyncio.wrap_future(opening)
                except Exception as exc:
                    told = not_opened(exc, url)
                    if told is None:
                        raise
                    raise told from exc
        except BaseException:
            await self._close()
            raise
        self._asking = True
        for client in self._clients:
            runner.submit(self._ask, client)
        return self

    async def __aexit__(self, kind: object, exc: object, tb: object) -> None:
        self._asking = False
        try:
            if exc is None:
                await self._last_echoes()
        finally:
            await self._close()

    async def _ask(self, client: Client) -> None:
        # On the lanes' own loop. A message goes out on time whether or not the last came back.
        began_s = time.monotonic()
        for number in range(MAX_ASKED):
            if not self._asking:
                return
            try:
                await client.websocket.send(str(number))
            except ConnectionClosed:
                return
            await asyncio.sleep(began_s + (number + 1) * self.every_s - time.monotonic())

    async def _last_echoes(self) -> None:
        deadline = time.monotonic() + LAST_ECHO_S
        while time.monotonic() < deadline:
            await asyncio.sleep(0.01)  # lets the loop run that the lanes were entered on
            counts = [client.counts for client in self._clients if client.close_code is None]
            if all(received >= sent for received, sent, *_ in counts):
                return

    async def _close(self) -> None:
        runner = self._runner
        assert runner is not None
        closing = [client.begin_close() for client in self._clients if client.id]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ECHO_S):
                for future in closing:
                    with contextlib.suppress(Exception):
                        await asyncio.wrap_future(future)
        await asyncio.to_thread(runner.close)

    @contextlib.contextmanager
    def span(self, label: str) -> Iterator[None]:
        """Mark what happens in a ``with`` block on the time axis.

        Args:
            label: what it is.
        """
        began_s = time.monotonic()
        try:
            yield
        finally:
            ended_s = time.monotonic()
            self._spans.append(Span(label, began_s - self._began_s, ended_s - self._began_s))

    # What was measured.

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Every lane with its echoes, read from the tape."""
        names = {track.connection_id: track.label for track in self.tape.connections}
        sent: dict[str, dict[Any, float]] = {name: {} for name in self._urls}
        came: dict[str, dict[Any, float]] = {name: {} for name in self._urls}
        for message in self.tape.messages:
            name = names.get(message.connection_id)
            if name in sent:
                side = sent if message.sender == "client" else came
                side[name].setdefault(message.data, message.at_s)
        return tuple(
            Lane(name, tuple(Echo(at_s, came[name].get(data)) for data, at_s in sent[name].items()))
            for name in self._urls
        )

    @property
    def spans(self) -> tuple[Span, ...]:
        """The stretches of time that :meth:`span` marked, in order."""
        return tuple(self._spans)

    def during(self, label: str) -> dict[str, int]:
        """Count the echoes of each lane that were asked for, and came, within a span.

        Args:
            label: the span's.

        Raises:
            KeyError: no span is called that.
        """
        spans = [span for span in self._spans if span.label == label]
        if not spans:
            known = ", ".join(repr(span.label) for span in self._spans) or "none"
            raise KeyError(f"expected the label of a span, got {label!r}; known here: {known}")
        return {lane.name: sum(_within(lane, span) for span in spans) for lane in self.lanes}

    # How it shows itself.

    def __str__(self) -> str:
        lanes = self.lanes
        if not any(lane.echoes for lane in lanes):
            return _NOTHING
        width = max(len(lane.name) for lane in lanes)
        first_s, last_s = self._ends(lanes)
        count = 1 + int((last_s - first_s) / _COLUMN_S)
        lines = [
            f"echoes on {_counted(len(lanes), 'lane')} in {last_s - first_s:.1f} s; each character "
            f"is {_COLUMN_S:g} s and says how many came"
        ]
        for lane in lanes:
            columns = [0] * count
            for echo in lane.echoes:
                if echo.came_s is not None:
                    columns[int((echo.came_s - first_s) / _COLUMN_S)] += 1
            lines.append(f"  {lane.name:<{width}}  {''.join(map(_digit, columns))}")
        for span in self._spans:
            start = max(0, int((span.began_s - first_s) / _COLUMN_S))
            length = max(1, round((span.ended_s - span.began_s) / _COLUMN_S))
            lines.append(f"  {'':<{width}}  {' ' * start}{'^' * length} {span.label}")
        lines += [f"  {lane.name}: {self._said(lane)}" for lane in lanes]
        return "\n".join(lines)

    __repr__ = __str__

    def _said(self, lane: Lane) -> str:
        said = [_counted(sum(echo.came_s is not None for echo in lane.echoes), "echo", "echoes")]
        for span in self._spans:
            said.append(f"{_within(lane, span)} of them during {span.label}")
        lost = sum(echo.came_s is None for echo in lane.echoes)
        came = [echo.took_s for echo in lane.echoes if echo.came_s is not None]
        sentence = ", ".join(said)
        if came:
            sentence += f"; the slowest took {_duration(max(came))}"
        return sentence + (f"; {lost} never came" if lost else "")

    def _ends(self, lanes: tuple[Lane, ...]) -> tuple[float, float]:
        times = [echo.sent_s for lane in lanes for echo in lane.echoes]
        times += [e.came_s for lane in lanes for e in lane.echoes if e.came_s is not None]
        times += [moment for span in self._spans for moment in (span.began_s, span.ended_s)]
        return min(times), max(times)

    def _repr_html_(self) -> str:
        lanes = self.lanes
        if not any(lane.echoes for lane in lanes):
            return f'<p style="{TEXT}">{_NOTHING}</p>'
        first_s, last_s = self._ends(lanes)
        axis = _Axis(first_s, max(last_s - first_s, _COLUMN_S))
        scale_s = max(_FLOOR_S, *(_worst_seen(lane) for lane in lanes))
        rows = "".join(
            f'<div style="margin-top:8px"><b>{html.escape(lane.name)}</b> '
            f'<span style="{SOFT}">{html.escape(self._said(lane))}</span></div>'
            + _lane_svg(lane, self._spans, axis, scale_s)
            for lane in lanes
        )
        return (
            f'<div style="{TEXT}">{rows}{_axis_svg(axis)}'
            f'<div style="{SOFT}">A dot is an echo: further right it came later, further up it '
            f"took longer, up to {_duration(scale_s)} at the thin line.</div>"
            f"{same_as_text(str(self))}</div>"
        )


_NOTHING = "No echo was asked for yet: `async with` these lanes, then show them."
_LINE = "var(--jp-border-color2,#d5dae1)"
_HEIGHT, _TOP, _BASE, _DOT = 88, 10, 80, 3  # pixels, down from a lane's upper edge


@dataclass(frozen=True, slots=True)
class _Axis:
    """Places times on the width of the page, which only the page knows: in per cent."""

    first_s: float
    length_s: float

    def at(self, moment_s: float) -> str:
        return f"{100 * (moment_s - self.first_s) / self.length_s:.2f}%"

    def ticks(self) -> list[float]:
        step_s = next(
            (step for step in (0.1, 0.25, 0.5, 1, 2, 5, 10, 20) if self.length_s / step <= 8), 60.0
        )
        return [nth * step_s for nth in range(int(self.length_s / step_s) + 1)]


def _lane_svg(lane: Lane, spans: list[Span], axis: _Axis, scale_s: float) -> str:
    parts = []
    for span in spans:
        left, right = axis.at(span.began_s), axis.at(span.ended_s)
        width = f"{float(right[:-1]) - float(left[:-1]):.2f}%"
        parts.append(
            f'<rect x="{left}" y="0" width="{width}" height="{_BASE}" '
            'fill="var(--jp-layout-color2,#eee)" fill-opacity="0.6"/>'
            f'<text x="{left}" dx="6" y="{_TOP + 18}" font-size="12" '
            'fill="var(--jp-ui-font-color2,#5f6775)" '
            f'style="font-family:var(--jp-code-font-family,ui-monospace,monospace)">'
            f"{html.escape(span.label)}</text>"
        )
    for y, dash in ((_TOP, ' stroke-dasharray="2 4"'), (_BASE, "")):
        parts.append(f'<line x1="0" x2="100%" y1="{y}" y2="{y}" stroke="{_LINE}"{dash}/>')
    for echo in lane.echoes:
        if echo.came_s is not None:
            height = (_BASE - _DOT - _TOP) * echo.took_s / scale_s
            parts.append(
                f'<circle cx="{axis.at(echo.came_s)}" cy="{_BASE - _DOT - height:.1f}" r="{_DOT}" '
                # An edge in the page's colour keeps apart the dots of a burst.
                'fill="var(--jp-brand-color1,#1976d2)" '
                'stroke="var(--jp-layout-color0,#fff)" stroke-width="0.8"/>'
            )
    label = html.escape(f"{lane.name}: the same as text below", quote=True)
    return f'<svg {SVG} height="{_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _axis_svg(axis: _Axis) -> str:
    parts = []
    for tick_s in axis.ticks():
        x = axis.at(axis.first_s + tick_s)
        # The first label would hang over the edge, and so would the last.
        share = tick_s / axis.length_s
        anchor = "start" if share < 0.02 else "end" if share > 0.98 else "middle"
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="-8" y2="-3" stroke="var(--jp-border-color0,#bdbdbd)"/>'
            f'<text x="{x}" y="10" font-size="12" text-anchor="{anchor}" '
            f'fill="var(--jp-ui-font-color2,#5f6775)">{tick_s:g} s</text>'
        )
    return f'<svg {SVG} height="16" aria-hidden="true">{"".join(parts)}</svg>'


def _within(lane: Lane, span: Span) -> int:
    return sum(
        echo.came_s is not None and span.began_s <= echo.sent_s and echo.came_s <= span.ended_s
        for echo in lane.echoes
    )


def _worst_seen(lane: Lane) -> float:
    return max((echo.took_s for echo in lane.echoes if echo.came_s is not None), default=0.0)


def _digit(count: int) -> str:
    return "." if count == 0 else str(count) if count < 10 else "+"


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = {"compression": None, "open_timeout": OPEN_TIMEOUT_S}
    host, _ = check_url(url)
    if is_loopback(host):
        options["proxy"] = None  # a proxy's own 127.0.0.1 is another machine
    return options


def _url(target: Any) -> str:
    if isinstance(target, str):
        return target
    if isinstance(getattr(target, "url", None), str):
        return str(target.url)
    sockets = tuple(getattr(target, "sockets", ()))
    if not sockets:
        raise TypeError(
            f"expected a Server, a ws:// URL or a server of websockets' own that listens, got "
            f"{type(target).__name__} {target!r:.60}"
        )
    host, port = sockets[0].getsockname()[:2]
    return f"ws://[{host}]:{port}/" if ":" in host else f"ws://{host}:{port}/"
