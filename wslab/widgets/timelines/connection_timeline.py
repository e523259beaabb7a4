"""ConnectionTimeline: how long each connection of a server lives, a line each on one time axis.

Its rule: all of it is read from the tape, at the moment when it is shown: a line begins with the
handshake's 101, ends where TCP ended, and carries a mark for each message. It draws what is so
now, as text and as HTML that needs no script, and does not move: show it again for a later moment.
"""

from __future__ import annotations

import html
import time
from dataclasses import dataclass
from typing import Any

from ...wire.events import CloseEvent, EndedEvent, MessageEvent, ResponseEvent
from ...wire.sender import Sender
from ...wire.tape.tape import Tape
from ..static_html import SOFT, SVG, TEXT, same_as_text

__all__ = ["ConnectionLife", "ConnectionTimeline"]

MAX_ROWS = 40
_COLUMNS = 60  # of the text
_LEAST_S = 0.001  # a time axis has a length


@dataclass(frozen=True, slots=True)
class ConnectionLife:
    """One connection from its handshake to its end, in seconds on its tape's clock.

    ``ended_s`` is None while it is open. ``closed_by`` and ``code`` are what the first close frame
    says (RFC 6455 §5.5.1); both None where there was none. ``sent_s`` and ``received_s`` are when
    messages went to the client and came from it.
    """

    number: int
    connection_id: str
    label: str | None
    opened_s: float
    ended_s: float | None
    closed_by: Sender | None
    code: int | None
    sent_s: tuple[float, ...]
    received_s: tuple[float, ...]

    @property
    def is_open(self) -> bool:
        """Whether TCP had not ended."""
        return self.ended_s is None

    @property
    def name(self) -> str:
        """What views call it: its number in order of opening, and the client's name if known."""
        return f"{self.number} {self.label}" if self.label else str(self.number)

    @property
    def fate(self) -> str:
        """How it ended, or that it has not, in words."""
        if self.ended_s is None:
            return "open" if self.closed_by is None else "closing"
        if self.closed_by is None:
            return "broke off without a close frame"
        return f"closed by the {self.closed_by}, {self.code or 'no code'}"


class ConnectionTimeline:
    """Show how long each WebSocket connection of a server has lived; make it a cell's last line.

    Args:
        target: a Server that records, or a Tape.
        since: a moment, as ``time.time()`` gives it, where the time axis begins; a connection that
            had ended before it is left out. None: the first connection's beginning.

    Raises:
        TypeError: it is neither.
        ValueError: the server does not record.
    """

    def __init__(self, target: Any, *, since: float | None = None) -> None:
        tape = target if isinstance(target, Tape) else getattr(target, "tape", target)
        if tape is None:
            raise ValueError(
                f"expected a server that records, got {target!r:.60} with record=False: there is "
                "no tape to read"
            )
        if not isinstance(tape, Tape):
            raise TypeError(f"expected a Server or a Tape, got {type(target).__name__}")
        self.tape = tape
        self.since = since
        # A tape alone may be an old one: its time ends with its last event.
        self._is_live = tape is not target

    @property
    def lives(self) -> tuple[ConnectionLife, ...]:
        """Every connection that became a WebSocket, oldest first, as the tape has it now.

        Where ``since`` is given, those that had ended before it are left out; numbers stay.
        """
        return self._look()[0]

    @property
    def _first_s(self) -> float | None:
        return None if self.since is None else self.since - self.tape.began_at

    def _look(self) -> tuple[tuple[ConnectionLife, ...], float]:
        """Return the lives, and the moment at which they are so."""
        events = self.tape.events
        now_s = time.time() - self.tape.began_at if self._is_live else 0.0
        now_s = max([now_s, *(event.at_s for event in events)])
        opened: dict[str, float] = {}
        ended: dict[str, float] = {}
        closes: dict[str, CloseEvent] = {}
        sent: dict[str, list[float]] = {}
        received: dict[str, list[float]] = {}
        for event in events:
            one = event.connection_id
            if isinstance(event, ResponseEvent) and event.response.status == 101:
                opened.setdefault(one, event.at_s)
            elif isinstance(event, MessageEvent):
                side = sent if event.sender == "server" else received
                side.setdefault(one, []).append(event.at_s)
            elif isinstance(event, CloseEvent):
                closes.setdefault(one, event)
            elif isinstance(event, EndedEvent):
                ended.setdefault(one, event.at_s)
        labels = {track.connection_id: track.label for track in self.tape.connections}
        lives = []
        for number, (one, opened_s) in enumerate(sorted(opened.items(), key=_by_time), 1):
            close = closes.get(one)
            lives.append(
                ConnectionLife(
                    number=number,
                    connection_id=one,
                    label=labels.get(one),
                    opened_s=opened_s,
                    ended_s=ended.get(one),
                    closed_by=close.sender if close else None,
                    code=close.code if close else None,
                    sent_s=tuple(sent.get(one, ())),
                    received_s=tuple(received.get(one, ())),
                )
            )
        first_s = self._first_s
        if first_s is not None:
            lives = [life for life in lives if life.ended_s is None or life.ended_s >= first_s]
        return tuple(lives), now_s

    # How it shows itself.

    def __str__(self) -> str:
        lives, now_s = self._look()
        if not lives:
            return _NOTHING
        axis = _Axis.over(lives, now_s, self._first_s)
        shown = lives[-MAX_ROWS:]
        width = max(len(life.name) for life in shown)
        lines = [_summary(lives, axis)]
        if len(lives) > len(shown):
            lines.append(f"  the {len(lives) - len(shown)} oldest are not drawn")
        for life in shown:
            lines.append(f"  {life.name:>{width}}  {_drawn(life, axis)}  {_said(life, axis)}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lives, now_s = self._look()
        if not lives:
            return f'<p style="{TEXT}">{_NOTHING}</p>'
        axis = _Axis.over(lives, now_s, self._first_s)
        shown = lives[-MAX_ROWS:]
        rows = [f"<div><b>{_summary(lives, axis)}</b></div>"]
        if len(lives) > len(shown):
            rows.append(f'<div style="{SOFT}">the {len(lives) - len(shown)} oldest are not drawn')
            rows.append("</div>")
        for life in shown:
            said = html.escape(_said(life, axis))
            rows.append(
                f'<div style="margin-top:6px"><b>{html.escape(life.name)}</b> '
                f'<span style="{SOFT}">{said}</span></div>' + _life_svg(life, axis)
            )
        return (
            f'<div style="{TEXT}">{"".join(rows)}{_axis_svg(axis)}'
            f'<div style="{SOFT}">A line is a connection: it begins with the handshake, an arrow '
            "means that it is open, a bar that it has ended. A full dot is a message to the "
            "client, a ring one from it.</div>"
            f"{same_as_text(str(self))}</div>"
        )


_NOTHING = "No connection has become a WebSocket yet."
_INK = "var(--jp-ui-font-color2,#5f6775)"
_ACCENT = "var(--jp-brand-color1,#1976d2)"
_PAPER = "var(--jp-layout-color0,#fff)"
_HEIGHT, _MIDDLE, _CAP, _DOT = 20, 10, 6, 4  # pixels


@dataclass(frozen=True, slots=True)
class _Axis:
    """Places times on the width of the page, which only the page knows: in per cent."""

    first_s: float
    length_s: float

    @classmethod
    def over(cls, lives: tuple[ConnectionLife, ...], now_s: float, first_s: float | None) -> _Axis:
        if first_s is None:
            first_s = min(life.opened_s for life in lives)
        ends = [now_s if life.ended_s is None else life.ended_s for life in lives]
        return cls(first_s, max(max(ends) - first_s, _LEAST_S))

    def on(self, moments_s: tuple[float, ...]) -> tuple[float, ...]:
        """Return those of the moments that are not before the axis."""
        return tuple(moment_s for moment_s in moments_s if moment_s >= self.first_s)

    def share(self, moment_s: float) -> float:
        return min(1.0, max(0.0, (moment_s - self.first_s) / self.length_s))

    def at(self, moment_s: float) -> str:
        return f"{98 * self.share(moment_s):.2f}%"  # an arrow needs some room

    def column(self, moment_s: float) -> int:
        return round((_COLUMNS - 1) * self.share(moment_s))


def _by_time(item: tuple[str, float]) -> float:
    return item[1]


def _summary(lives: tuple[ConnectionLife, ...], axis: _Axis) -> str:
    now = sum(life.is_open for life in lives)
    plural = "s" * (len(lives) != 1)
    return f"{len(lives)} connection{plural} in {_duration(axis.length_s)}, {now} open now"


def _said(life: ConnectionLife, axis: _Axis) -> str:
    is_older = life.opened_s < axis.first_s
    since = "before" if is_older else _duration(life.opened_s - axis.first_s)
    if life.ended_s is None:
        when = f"{life.fate} since {since}" if life.fate == "open" else f"{life.fate}, from {since}"
    else:
        span = "until" if is_older else f"{since} to"
        when = f"{span} {_duration(life.ended_s - axis.first_s)}: {life.fate}"
    sent, received = len(axis.on(life.sent_s)), len(axis.on(life.received_s))
    return f"{when}; messages to it: {sent}, from it: {received}"


def _drawn(life: ConnectionLife, axis: _Axis) -> str:
    """Draw a life in characters: from | to > (open) or | (ended), * for each message."""
    first = axis.column(life.opened_s)
    last = _COLUMNS - 1 if life.ended_s is None else axis.column(life.ended_s)
    row = [" "] * _COLUMNS
    row[first : last + 1] = "-" * (last + 1 - first)
    for moment_s in axis.on((*life.sent_s, *life.received_s)):
        row[axis.column(moment_s)] = "*"
    row[last] = ">" if life.ended_s is None else "|"
    return "".join(row)


def _life_svg(life: ConnectionLife, axis: _Axis) -> str:
    left = axis.at(life.opened_s)
    right = "98%" if life.ended_s is None else axis.at(life.ended_s)
    y = _MIDDLE
    parts = [f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}" stroke="{_INK}" stroke-width="2"/>']
    if life.ended_s is None:
        # Nested, so that pixels count from a place that is given in per cent.
        parts.append(
            f'<svg x="{right}" y="{y - _CAP}" width="10" height="{2 * _CAP}" overflow="visible">'
            f'<path d="M0 0 10 {_CAP} 0 {2 * _CAP}z" fill="{_INK}"/></svg>'
        )
    else:
        parts.append(
            f'<line x1="{right}" x2="{right}" y1="{y - _CAP}" y2="{y + _CAP}" stroke="{_INK}" '
            'stroke-width="2"/>'
        )
    for moments, fill, stroke in (
        (life.sent_s, _ACCENT, _PAPER),
        (life.received_s, _PAPER, _ACCENT),
    ):
        parts += [
            f'<circle cx="{axis.at(moment_s)}" cy="{y}" r="{_DOT}" fill="{fill}" '
            f'stroke="{stroke}" stroke-width="1.5"/>'
            for moment_s in axis.on(moments)
        ]
    label = html.escape(f"connection {life.name}: {_said(life, axis)}", quote=True)
    return f'<svg {SVG} height="{_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _axis_svg(axis: _Axis) -> str:
    parts = [
        f'<line x1="0" x2="98%" y1="2" y2="2" stroke="var(--jp-border-color2,#d5dae1)"/>'
        f'<text x="0" y="18" font-size="12" fill="{_INK}">0 s</text>'
        f'<text x="98%" y="18" font-size="12" text-anchor="end" fill="{_INK}">'
        f"{_duration(axis.length_s)}</text>"
    ]
    return f'<svg {SVG} height="24" aria-hidden="true">{"".join(parts)}</svg>'


def _duration(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
