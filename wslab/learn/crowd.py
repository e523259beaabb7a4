"""come_back(): a crowd that has lost its server at one moment, and how it comes back.

    come_back({"the same wait": lambda attempt: 0.5})

Its rule: every attempt is a handshake with a real server, which takes so many clients each tenth of
a second and refuses the others with 503, as one does that has just been restarted. When a client
comes again is for the caller's function to say. All crowds run at once, each with a server of its
own, on a loop of their own. What is shown are attempts by tenths of a second, as text and HTML.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import http
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..calls.waiting import result_of
from ..client.connect import begin_connect
from ..loops.portal import Portal
from ..widgets.static_html import SOFT, SVG, TEXT, same_as_text
from .testbench import TestBench

__all__ = ["Comeback", "Crowd", "come_back"]

CLIENTS = 24
ROOM = 6  # clients that a server takes in each tenth of a second
WINDOW_S = 0.1
MAX_ATTEMPTS = 100  # of one client
MAX_DELAY_S = 5.0
RUN_S = 15.0

Delay = Callable[[int], float]


@dataclass
class Crowd:
    """One crowd's attempts, in seconds since its server was lost, and whether each was let in."""

    name: str
    attempts: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many attempts were refused."""
        return sum(not is_in for _, is_in in self.attempts)

    @property
    def took_s(self) -> float:
        """When the last one was back, in seconds."""
        return max((at_s for at_s, is_in in self.attempts if is_in), default=0.0)

    @property
    def windows(self) -> list[tuple[int, int]]:
        """How many were let in, and refused, in each tenth of a second."""
        last = int(max((at_s for at_s, _ in self.attempts), default=0.0) / WINDOW_S)
        counted = [(0, 0)] * (last + 1)
        for at_s, is_in in self.attempts:
            came, refused = counted[int(at_s / WINDOW_S)]
            counted[int(at_s / WINDOW_S)] = (came + is_in, refused + (not is_in))
        return counted

    def peak(self, after_s: float = 0.0) -> int:
        """Return the most attempts in one tenth of a second that begins at ``after_s`` or later."""
        windows = self.windows[int(after_s / WINDOW_S) :]
        return max((came + refused for came, refused in windows), default=0)

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.attempts)} attempts, {self.refused} refused; "
            f"all back after {self.took_s:.1f} s"
        )


class _Door:
    """A server that takes few at a time."""

    def __init__(self, name: str) -> None:
        self.crowd = Crowd(name)
        self._began_s = 0.0
        self._window, self._room = -1, ROOM

    def lose(self) -> None:
        """Begin to count: the server is lost, and there again at once."""
        self._began_s = time.monotonic()

    def decide(self, connection: Any, _request: Any) -> Any:
        """Let one in, or refuse it with 503."""
        at_s = time.monotonic() - self._began_s
        if int(at_s / WINDOW_S) != self._window:
            self._window, self._room = int(at_s / WINDOW_S), ROOM
        is_in = self._room > 0
        self._room -= is_in
        self.crowd.attempts.append((at_s, is_in))
        if is_in:
            return None
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many at once\n")

    async def hold(self, websocket: Any) -> None:
        """Keep a connection until its client leaves."""
        await websocket.wait_closed()


async def _client(bench: TestBench, name: str, delay: Delay) -> None:
    """Try until it is let in; then leave."""
    runner = cast("Portal", bench.server.runner)
    for attempt in range(MAX_ATTEMPTS):
        await asyncio.sleep(min(max(0.0, float(delay(attempt))), MAX_DELAY_S))
        client, opening = begin_connect(
            bench.server.url,
            runner,
            name=name,
            tape=bench.tape,
            max_waiting=1,
            compression=None,
            proxy=None,
        )
        with contextlib.suppress(Exception):  # refused
            await asyncio.wrap_future(opening)
            await asyncio.wrap_future(client.begin_close())
            return


@dataclass(frozen=True)
class Comeback:
    """How each crowd came back; shows itself as a timeline, and as text."""

    crowds: tuple[Crowd, ...]

    def __getitem__(self, name: str) -> Crowd:
        return next(crowd for crowd in self.crowds if crowd.name == name)

    @property
    def _count(self) -> int:
        return max(len(crowd.windows) for crowd in self.crowds)

    def __str__(self) -> str:
        width = max(len(crowd.name) for crowd in self.crowds)
        lines = [f"attempts in each tenth of a second; the server takes {ROOM}, and refuses more"]
        for crowd in self.crowds:
            shown = "".join(_digit(sum(window)) for window in crowd.windows)
            lines.append(f"  {crowd.name:<{width}}  {shown}")
        return "\n".join([*lines, *(f"  {crowd}" for crowd in self.crowds)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        scale = max(crowd.peak() for crowd in self.crowds)
        rows = "".join(
            f'<div style="margin-top:8px"><b>{html.escape(crowd.name)}</b> <span style="{SOFT}">'
            f"{html.escape(str(crowd).partition(': ')[2])}</span></div>"
            + _lane(crowd, self._count, scale)
            for crowd in self.crowds
        )
        return (
            f'<div style="{TEXT}">{rows}{_axis(self._count)}<div style="{SOFT}">A bar is a tenth '
            f"of a second. Full: let in, at most {ROOM}. Hollow: refused with 503, and so to come "
            f"again.</div>{same_as_text(str(self))}</div>"
        )


_HEIGHT = 72  # pixels


def _lane(crowd: Crowd, count: int, scale: int) -> str:
    parts = []
    unit = (_HEIGHT - 4) / max(scale, 1)
    for nth, (came, refused) in enumerate(crowd.windows):
        x, width = f"{100 * (nth + 0.12) / count:.2f}%", f"{100 * 0.76 / count:.2f}%"
        top = _HEIGHT - 1 - came * unit
        if came:
            parts.append(
                f'<rect x="{x}" y="{top:.1f}" width="{width}" height="{came * unit:.1f}" '
                'fill="var(--jp-brand-color1,#1976d2)"/>'
            )
        if refused:
            parts.append(
                f'<rect x="{x}" y="{top - refused * unit:.1f}" width="{width}" '
                f'height="{refused * unit - 1:.1f}" fill="none" '
                'stroke="var(--jp-ui-font-color2,#5f6775)" stroke-dasharray="2 2"/>'
            )
    parts.append(
        f'<line x1="0" x2="100%" y1="{_HEIGHT}" y2="{_HEIGHT}" '
        'stroke="var(--jp-border-color2,#d5dae1)"/>'
    )
    label = html.escape(f"{crowd.name}: the same as text below", quote=True)
    return (
        f'<svg {SVG} height="{_HEIGHT + 1}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _axis(count: int) -> str:
    step = 5 if count <= 20 else 10
    ticks = "".join(
        f'<text x="{100 * nth / count:.2f}%" y="11" font-size="12" '
        f'fill="var(--jp-ui-font-color2,#5f6775)">{nth * WINDOW_S:g} s</text>'
        for nth in range(0, count, step)
    )
    return f'<svg {SVG} height="16" aria-hidden="true">{ticks}</svg>'


def _digit(count: int) -> str:
    return "." if count == 0 else str(count) if count < 10 else "+"


def come_back(delays: Mapping[str, Delay], *, clients: int = CLIENTS) -> Comeback:
    """Let crowds lose their servers at one moment, and come back; return what their servers saw.

    Args:
        delays: what to call a crowd, and its function: it gets the number of the attempt, from 0,
            and returns how long to wait before that attempt, in seconds (5 at the most).
        clients: how many a crowd has.

    Raises:
        ValueError: there is no crowd.
    """
    if not delays:
        raise ValueError("expected at least one crowd, got none")
    doors = {name: _Door(name) for name in delays}
    with contextlib.ExitStack() as stack:
        running = []
        for name, door in doors.items():
            bench = TestBench(door.hold, process_request=door.decide, ping_interval=None)
            stack.enter_context(bench)
            running.append(bench.server.runner.submit(_crowd, bench, door, delays[name], clients))
        for one in running:
            result_of(one, RUN_S)
    return Comeback(tuple(door.crowd for door in doors.values()))


async def _crowd(bench: TestBench, door: _Door, delay: Delay, clients: int) -> None:
    door.lose()
    await asyncio.gather(*(_client(bench, f"client {nth}", delay) for nth in range(clients)))
