"""Race: five ways from a server to a page, at once, with the bytes and delays of each on the tape.

A page of the server's own, in a frame, runs them with XMLHttpRequest, fetch, EventSource and
WebSocket. Its rule: every number comes from the server's tape, so nothing depends on what the page
tells; where no page comes, Python runs the same five ways, and the race says so. One round at a
time, on the server's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import traitlets

from ...failures import in_words
from ...notebook.shell import running_shell
from ...server.server import Server
from .. import live, static_html
from ..widget import Widget, read_static
from .feed import Feed
from .lanes import run_lane
from .results import COLUMNS, Result, Results
from .settings import ENDS, Settings
from .tally import WAYS, Tally, update_text

__all__ = ["PAGE", "Race"]

PAGE = read_static("widgets/race/page.html")
"""The page that runs the lanes; serve it at /, beside the five ways."""

PAGE_S = 2.0  # for the page to be asked for
ASK_S = 5.0  # for all lanes to ask, once there is a page
ARRIVE_S = 5.0  # for the last update to arrive in each lane
LOOK_S = 0.02
SETTLED_S = 0.1  # after the last update the silence begins
_HINT = "Press Start, or `await race.run()` in a cell."


class Race(Widget):
    """Run five ways to tell a page what is new, and compare them.

    Args:
        server: answers at ``WAYS``' paths, and with ``PAGE`` at /; it is not kept alive.
        feed: what it tells.
        settings: ``rate_per_s``, ``size_bytes``, ``idle_s``, ``poll_s``, ``updates``; see Settings.

    Raises:
        TypeError: not a Server.
        ValueError: the server keeps no tape.
    """

    _esm = read_static("widgets/dom.js", "widgets/race/race.js")
    _css = read_static("widgets/theme.css", "widgets/race/race.css")

    # Kernel to browser only.
    ends = traitlets.Dict({name: list(both) for name, both in ENDS.items()}).tag(sync=True)
    columns: Any = traitlets.List(list(COLUMNS)).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)  # the page's address, while it is to run the lanes
    state = traitlets.Unicode("ready").tag(sync=True)  # asking, racing, silence, done
    lanes: Any = traitlets.List().tag(sync=True)
    axis_s = traitlets.Float(1.0).tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)
    failure = traitlets.Unicode("").tag(sync=True)

    def __init__(self, server: Server, feed: Feed, **settings: float) -> None:
        if not isinstance(server, Server):
            raise TypeError(f"expected a Server, got {type(server).__name__}: pass serve(app)")
        if server.tape is None:
            raise ValueError("expected a server with a tape: leave record=False out of serve()")
        self._thing, self._feed = weakref.ref(server), feed
        self._settings = Settings().changed(settings)
        self._tally: Tally | None = None
        self._round: asyncio.Task[Results] | None = None
        self._rounds = 0
        self._began_s = 0.0
        self._first = 0  # the last number before this round
        self._page_is_away = running_shell() is None
        self._lock = threading.RLock()
        self.results: Results | None = None
        super().__init__(settings=self._settings.to_dict(), lanes=_empty(), said=_HINT)
        self.on_msg(self._take)

    async def run(self, **changes: float) -> Results:
        """Run one round, and return what each way took; from a cell, with ``await``.

        Args:
            changes: settings to change, such as ``rate_per_s=2``; they stay so.

        Raises:
            RuntimeError: a round is running, or the server is not.
        """
        return await asyncio.wrap_future(self._server().runner.submit(self._run, changes))

    def _server(self) -> Server:
        server = self._thing()
        if server is None or not server.is_serving:
            raise RuntimeError(
                "expected a server that is serving, got one that has stopped; run the cell that "
                "starts it, and then the race's"
            )
        return server

    async def _run(self, changes: dict[str, Any]) -> Results:
        # On the server's loop.
        server = self._server()
        if self._round is not None and not self._round.done():
            raise RuntimeError("expected one round at a time; the last one is still running")
        self._round = asyncio.current_task()
        self._settings = self._settings.changed(changes)
        with self._lock, self.hold_sync():
            self.settings = self._settings.to_dict()
            self.failure, self.state = "", "asking"
        self._rounds += 1
        assert server.tape is not None
        tally = self._tally = Tally(server.tape)
        self._began_s = tally.now_s()
        self._first = self._feed.last
        live.watch(self)
        lanes: list[asyncio.Task[None]] = []
        try:
            ran_in = await self._begin(server, tally, lanes)
            await self._make(tally)
            self.state = "silence"
            await asyncio.sleep(self._settings.idle_s)
            await self._arrived(tally)
            tally.count()
            self.results = self._results(tally, ran_in)
            return self.results
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            with contextlib.suppress(Exception):  # closed meanwhile
                self.state, self.frame = "done", {}
                self.refresh()
                self._tally = None

    async def _begin(self, server: Server, tally: Tally, lanes: list[asyncio.Task[None]]) -> str:
        """Let all lanes ask for what comes next; return who does."""
        settings, until = self._settings, self._first + self._settings.count
        ask = {"after": self._first, "until": until, "poll": settings.poll_s, "round": self._rounds}
        self.frame = {"src": f"{server.page_url}?{urlencode(ask)}"}
        patience_s = LOOK_S if self._page_is_away else PAGE_S
        if await self._until(lambda: tally.others > 0, patience_s, tally):
            self._page_is_away = False
            await self._until(lambda: _all_ask(tally), ASK_S, tally)
            return "page"
        self._page_is_away = True
        self.frame = {}
        for way in WAYS:
            lane = run_lane(
                way, server.port, after=self._first, until=until, poll_s=settings.poll_s
            )
            lanes.append(asyncio.create_task(lane))
        await self._until(lambda: _all_ask(tally), ASK_S, tally)
        return "Python"

    async def _make(self, tally: Tally) -> None:
        self.state = "racing"
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for nth in range(self._settings.count):
            await asyncio.sleep(began_s + nth / self._settings.rate_per_s - loop.time())
            number = self._first + nth + 1
            tally.made(number)
            self._feed.add(update_text(number, self._settings.size_bytes))
        tally.idle_from_s = tally.now_s() + SETTLED_S

    async def _arrived(self, tally: Tally) -> None:
        made = len(tally.made_s)
        ways = [one for one in tally.ways.values() if one.requests and not one.refused]
        await self._until(lambda: all(len(one.came_s) == made for one in ways), ARRIVE_S, tally)

    async def _until(self, is_so: Callable[[], bool], within_s: float, tally: Tally) -> bool:
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            tally.count()
            if is_so():
                return True
            await asyncio.sleep(LOOK_S)
        return False

    def _results(self, tally: Tally, ran_in: str) -> Results:
        made, last = len(tally.made_s), self._first + self._settings.count
        ways = tuple(Result.of(name, one, made, last) for name, one in tally.ways.items())
        note = "The tape was full: some bytes are not counted." if tally.missing else ""
        return Results(ways, self._settings, ran_in, note)

    # Kernel to browser.

    @property
    def is_watched(self) -> bool:
        """Whether there is something new to show: a round is running."""
        return self._tally is not None and self.comm is not None

    def refresh(self) -> int:
        """Send what has changed; return about how many bytes that was."""
        tally = self._tally
        if tally is None or self.comm is None:
            return 0
        made, last = len(tally.made_s), self._first + self._settings.count
        lanes = []
        for name, one in tally.ways.items():
            came = [round(at_s - self._began_s, 3) for at_s in list(one.came_s.values())]
            asked = [round(at_s - self._began_s, 3) for at_s in list(one.asked_s)]
            row = Result.of(name, one, made, last)
            lanes.append({"name": name, "cells": row.cells()[1:], "came": came, "asked": asked})
        said = f"{made} of {self._settings.count} updates made."
        if self.state == "done" and self.results is not None:
            said = " ".join([self.results.by, *self.results.remarks])
        with self._lock, self.hold_sync():
            self.axis_s = round(tally.now_s() - self._began_s, 3)
            self.lanes, self.said = lanes, said
        return len(repr(lanes))

    def show_failure(self, exc: BaseException) -> None:
        """Say that it no longer is up to date, and why."""
        self.failure = f"This race stopped: {in_words(exc)}"

    # Browser to kernel.

    def _take(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # On any thread; what it raised would appear nowhere.
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "ready":
            self._page_is_away = False
        elif kind == "start" and isinstance(content.get("settings"), dict):
            try:
                self.failure = ""
                self._server().runner.submit(self._run_for_page, content["settings"])
            except Exception as exc:
                self.show_failure(exc)

    async def _run_for_page(self, changes: dict[str, Any]) -> None:
        try:
            await self._run(changes)
        except Exception as exc:
            self.show_failure(exc)

    def forms(self) -> dict[str, str]:
        """Return it as text and as HTML that needs no script, as it is at this moment."""
        if self.results is None:
            said = f"A race of five ways: {self._settings}. {_HINT}"
            return {"text/plain": said, "text/html": f"<p>{html.escape(said)}</p>"}
        text = str(self.results)
        static = f"{self.results._repr_html_()}{static_html.same_as_text(text)}"
        return {"text/plain": text, "text/html": static}


def _all_ask(tally: Tally) -> bool:
    return all(figures.requests for figures in tally.ways.values())


def _empty() -> list[dict[str, Any]]:
    return [{"name": way, "cells": [""] * 6, "came": [], "asked": []} for way in WAYS]
