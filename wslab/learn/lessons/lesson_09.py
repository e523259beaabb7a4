"""The check of lesson 09: a way for each of three cases, within a budget of bytes and of delay.

Its rule: the tape decides. Each case comes with fresh numbers, is really run in the way that was
picked for it, and what that took is read from the server's tape. How the learner finds a way is
the learner's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import math
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...loops.portals import lab
from ...network.exchange import exchange
from ...widgets.race.feed import Feed
from ...widgets.race.lanes import run_lane
from ...widgets.race.tally import WAYS, Figures, Tally, update_text
from ..answers import ask
from ..exercises import Miss, exercise
from ..testbench import BenchClient, TestBench

LASTS_S = 1.2  # each case
GRACE_S = 0.25  # for a machine that is busy with other things
READY_S = 3.0  # for the first request to be there
HEADS_BYTES = 215  # of a request and its answer, as the check's clients ask
_HELD = ("SSE", "fetch stream", "WebSocket")


# --- what the lesson shows -------------------------------------------------------------------


def get(path: str, *headers: str) -> bytes:
    """Return a GET's bytes.

    Args:
        path: such as "/poll?after=3".
        headers: lines such as "Last-Event-ID: 3".
    """
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


class Cache:
    """A browser's cache, in short: what may be kept is not asked for again (RFC 9111 section 4.2).

    Args:
        server: who is asked for the rest.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._kept: dict[str, tuple[float, str]] = {}

    async def get(self, path: str) -> str:
        """Return an answer's body: the kept one while it counts as fresh, or a new one.

        Args:
            path: what to ask for.
        """
        until_s, body = self._kept.get(path, (0.0, ""))
        if time.monotonic() < until_s:
            return body
        answer = await ask(self._server, get(path))
        body, head = answer.body.decode("utf-8", "replace"), answer.response
        rule = "" if head is None else ", ".join(head.get_all("Cache-Control"))
        if (age := re.search(r"max-age=(\d{1,6})", rule)) and "no-store" not in rule:
            self._kept[path] = time.monotonic() + int(age[1]), body
        return body


async def gathered(server: Any, path: str, wait_s: float = 0.5) -> str:
    """Ask through a proxy that hands on an answer when it is whole; say what came of it.

    Args:
        server: who is asked.
        path: what for.
        wait_s: seconds; a real proxy waits for a minute.
    """
    began_s = time.monotonic()
    answer = await ask(server, get(path), wait_s=wait_s)
    if time.monotonic() - began_s < wait_s:
        return f"{answer.outcome}, {len(answer.body)} bytes"
    return f"nothing within {wait_s:g} s; the proxy holds {len(answer.data)} bytes"


# --- the cases -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What somebody needs, and may spend.

    Attributes:
        name: "dashboard", "ticker" or "game".
        every_s: seconds from one update to the next.
        size_bytes: how long the text of each is.
        only_last: whether the reader wants the newest update and no older one.
        page_talks: whether the page sends as many messages as it gets.
        upgrade: whether the proxies on the way let an Upgrade through.
        late_s: how old the news may be when it reaches the reader, in seconds.
        lasts_s: how long it goes on, in seconds.
        budget_bytes: of HTTP and WebSocket, both directions, for all of that time.
    """

    name: str
    every_s: float
    size_bytes: int
    only_last: bool
    page_talks: bool
    upgrade: bool
    late_s: float
    lasts_s: float
    budget_bytes: int

    @property
    def count(self) -> int:
        """How many updates there are."""
        return max(2, int(self.lasts_s / self.every_s))

    def __str__(self) -> str:
        said = [f"{self.count} updates of {self.size_bytes} bytes in {self.lasts_s:g} s"]
        said += ["only the newest counts"] if self.only_last else []
        said += ["the page sends as many back"] if self.page_talks else []
        said += [] if self.upgrade else ["a proxy lets no Upgrade through"]
        said += [f"at most {self.late_s:.2f} s late, at most {self.budget_bytes:,} bytes"]
        return "\n    ".join([self.name, *said])

    __repr__ = __str__


def cases() -> list[Case]:
    """Make up the three cases, with fresh numbers and in a random order."""
    late_s, size_bytes = round(random.uniform(0.3, 0.5), 2), random.randint(160, 260)
    polls = 2 * LASTS_S / late_s + 2
    dashboard = Case(
        "dashboard", 0.02, size_bytes, True, False, True, late_s, LASTS_S,
        int(polls * (HEADS_BYTES + size_bytes + 20)),
    )  # fmt: skip
    every_s, size_bytes = round(random.uniform(0.15, 0.2), 3), random.randint(30, 60)
    told = int(LASTS_S / every_s) * (size_bytes + 35)
    ticker = Case(
        "ticker", every_s, size_bytes, False, False, False, 0.1, LASTS_S,
        int(1.3 * (HEADS_BYTES + told)),
    )  # fmt: skip
    every_s, size_bytes = round(random.uniform(0.03, 0.04), 3), random.randint(10, 16)
    both = int(LASTS_S / every_s) * (2 * size_bytes + 8)
    game = Case(
        "game", every_s, size_bytes, False, True, True, 0.15, LASTS_S, int(1.5 * (600 + both))
    )
    found = [dashboard, ticker, game]
    random.shuffle(found)
    return found


# --- the check -------------------------------------------------------------------------------


@exercise(
    "09 pick",
    hints=(
        "Ask what rules a way out. No Upgrade rules out one way. A page that talks all the time "
        "rules out those in which each of its messages is a request. And if only the newest "
        "counts, who tells every update tells too much.",
        '`if case.only_last: return "polling", 0.8 * case.late_s`, since the news is then at most '
        'one interval old. `if case.page_talks: return "WebSocket"`. What is left, `"SSE"` can do.',
    ),
    solution="solutions/09_polling_sse_websocket.py",
)
def pick_a_way(pick: Any) -> str:
    """Run each case in the way that was picked for it; compare what it took with its budget."""
    _refuse_no_function(pick)
    picked = [(case, *_picked(pick, case)) for case in cases()]
    runs = [_Run(*one) for one in sorted(picked, key=lambda one: one[0].name)]
    said = []
    for run, took in zip(runs, _all_at_once(runs), strict=True):
        _judge(run.case, run.way, run.poll_s, took)
        budget = f"{took.bytes:,} of {run.case.budget_bytes:,} bytes"
        said.append(f"{run.case.name} by {run.way} took {budget}")
    return "; ".join(said)


def _all_at_once(runs: Sequence[_Run]) -> list[_Took]:
    async def together() -> list[_Took]:
        return await asyncio.gather(*(run.go_on() for run in runs))

    with contextlib.ExitStack() as benches:
        for run in runs:
            run.begin(benches.enter_context(TestBench(_application(run.case, run.way, run.feed))))
        took: list[_Took] = lab().call(together, timeout=READY_S + 4 * LASTS_S)
    return took


def _refuse_no_function(pick: Any) -> None:
    expected = "a function `pick(case)`"
    if isinstance(pick, str | tuple | dict) or not callable(pick):
        raise Miss(expected, f"{type(pick).__name__} {pick!r:.60}", "give the function's name")
    if inspect.iscoroutinefunction(pick):
        raise Miss(expected, "an `async def`", "nothing is to be waited for: a plain `def` will do")


def _picked(pick: Callable[[Case], Any], case: Case) -> tuple[str, float]:
    """Return the way, and how often polling asks."""
    result = pick(case)
    expected = f'for the {case.name} one of {", ".join(map(repr, WAYS))}; or `"polling", seconds`'
    seen = "None: a `return` is missing" if result is None else f"{result!r:.80}"
    name, *more = result if isinstance(result, tuple | list) and result else (result,)
    known = {_plain(way): way for way in WAYS}
    way = known.get(_plain(name)) if isinstance(name, str) else None
    if way is None or len(more) > 1:
        raise Miss(expected, seen, "return the way's name, as a str")
    if way != "polling":
        if more:
            raise Miss(
                expected, seen, f"{way} takes no seconds: the server tells when there is news"
            )
        return way, 0.0
    if not more:
        raise Miss(expected, seen, 'polling needs to know how often: `return "polling", seconds`')
    poll_s = more[0]
    is_number = isinstance(poll_s, int | float) and not isinstance(poll_s, bool)
    if not is_number or not 0 < poll_s < math.inf:
        raise Miss(expected, seen, "the seconds between two requests are a number above 0")
    return way, max(0.005, float(poll_s))


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


@dataclass(frozen=True)
class _Took:
    """What a case took: bytes, a delay that hardly any exceeded, and how many never came."""

    bytes: int
    requests: int
    late_s: float
    missed: int
    refused: int


class _Run:
    """One case, run in one way on a bench of its own."""

    def __init__(self, case: Case, way: str, poll_s: float) -> None:
        self.case, self.way, self.poll_s = case, way, poll_s
        self.feed = Feed()
        self._bench: TestBench
        self._tally: Tally
        self._client: BenchClient | None

    def begin(self, bench: TestBench) -> None:
        """Take a bench, whose server tells in this way."""
        self._bench, self._client = bench, None
        self._tally = Tally(bench.tape, {self.case.name: self.case.name})
        if self.way == "WebSocket" and self.case.upgrade:
            self._client = bench.connect(f"/{self.case.name}?after=0", ping_interval=None)

    async def go_on(self) -> _Took:
        """Make the updates, while the lane gets them; return what that took."""
        case, bench, tally, client = self.case, self._bench, self._tally, self._client
        port, figures = bench.server.port, tally.ways[case.name]
        lane = asyncio.create_task(
            _idle() if client else run_lane(
                self.way, port, after=0, until=case.count, poll_s=self.poll_s,
                path=f"/{case.name}", upgrade=case.upgrade,
            )
        )  # fmt: skip
        talking: set[asyncio.Task[None]] = set()
        try:
            await _until(lambda: figures.requests > 0, READY_S, tally)
            began_s = tally.now_s()
            for number in range(1, case.count + 1):
                await asyncio.sleep(began_s + number * case.every_s - tally.now_s())
                tally.made(number)
                self.feed.add(update_text(number, case.size_bytes))
                if case.page_talks:
                    talk = asyncio.create_task(_say(port, case, number, client))
                    talking.add(talk)
                    talk.add_done_callback(talking.discard)
            ended_s = tally.now_s()
            if talking:
                await asyncio.wait(talking, timeout=1.0)
            if not case.only_last:
                await _until(
                    lambda: len(figures.came_s) == case.count or figures.refused > 0,
                    case.late_s + GRACE_S, tally,
                )  # fmt: skip
            tally.count()
            return _took(case, figures, began_s, ended_s)
        finally:
            for task in (lane, *talking):
                task.cancel()
            await asyncio.gather(lane, *talking, return_exceptions=True)


async def _idle() -> None:
    await asyncio.sleep(60.0)


async def _until(is_so: Callable[[], bool], within_s: float, tally: Tally) -> None:
    deadline_s = time.monotonic() + within_s
    while True:
        tally.count()
        if is_so() or time.monotonic() > deadline_s:
            return
        await asyncio.sleep(0.01)


async def _say(port: int, case: Case, number: int, client: BenchClient | None) -> None:
    """Send one message of the page's: on its WebSocket, or as a request."""
    text = update_text(number, case.size_bytes).replace("u", "p")
    if client is not None:
        await client.handle.websocket.send(text)
        return
    head = f"POST /{case.name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    data = f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()
    with contextlib.suppress(OSError):
        await exchange("127.0.0.1", port, data)


def _took(case: Case, figures: Figures, began_s: float, ended_s: float) -> _Took:
    if case.only_last:  # the longest time without news, while there was some
        moments = sorted([began_s, *figures.came_s.values(), ended_s])
        late_s = max(after - before for before, after in itertools.pairwise(moments))
        missed = 0 if figures.came_s else case.count
    else:
        # Nine of ten: on a busy machine one may be late that its way did not keep waiting.
        late = sorted(figures.late_s.values())
        late_s = late[int(0.9 * (len(late) - 1))] if late else 0.0
        missed = case.count - len(figures.came_s)
    return _Took(figures.bytes, figures.requests, late_s, missed, figures.refused)


def _judge(case: Case, way: str, poll_s: float, took: _Took) -> None:
    how = f"{way} each {poll_s:.2f} s" if way == "polling" else way
    seen = f"{how} took {took.bytes:,} bytes, {took.requests} requests"
    if took.refused:
        raise Miss(
            f"news for the {case.name}", f"{how}: the server answered {took.refused}",
            "the proxy takes `Upgrade` out of the request, so no WebSocket comes about. The other "
            "four ways are plain HTTP",
        )  # fmt: skip
    if took.missed or took.late_s > case.late_s + GRACE_S:
        late = f"{took.missed} updates never came in time; " if took.missed else ""
        raise Miss(
            f"news for the {case.name} at most {case.late_s:.2f} s late",
            f"{seen}; {late}the news was {took.late_s:.2f} s late",
            "with polling news waits for up to one interval: ask more often, or let the server tell"
            if way == "polling" else "",
        )  # fmt: skip
    if took.bytes > case.budget_bytes:
        raise Miss(
            f"at most {case.budget_bytes:,} bytes for the {case.name}", seen, _too_many(case, way)
        )


def _too_many(case: Case, way: str) -> str:
    if case.page_talks:
        if way == "WebSocket":
            return ""
        return (
            "each message of the page's is a request here, and its headers are longer than it is. "
            "Which way carries both directions?"
        )
    if way in _HELD:
        return (
            "this way tells every update, and this reader looks at the newest one only. Who asks "
            "for it when it is needed gets no other"
        )
    return (
        f"each request costs about {HEADS_BYTES} bytes of headers, there and back: ask less often, "
        "or only once"
    )


def _application(case: Case, way: str, feed: Feed) -> Any:
    """Return an application that tells the feed in one way, at a path that the case names."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    def after(request: Any) -> int:
        return int(request.query_params.get("after", "0"))

    def news(request: Any) -> list[str]:
        texts = feed.since(after(request))
        return texts[-1:] if case.only_last and way == "polling" else texts

    async def lines(request: Any) -> Any:
        async for number, text in feed.each(after(request)):
            yield f"id: {number}\ndata: {text}\n\n" if way == "SSE" else json.dumps(text) + "\n"

    async def http(request: Any) -> Response:
        if request.method == "POST":
            await request.body()
            return Response(status_code=204)
        if way in _HELD:
            kind = "text/event-stream" if way == "SSE" else "application/x-ndjson"
            return StreamingResponse(lines(request), media_type=kind)
        if way == "long polling":
            await feed.newer(after(request), within_s=20.0)
        return JSONResponse(news(request))

    async def socket(websocket: Any) -> None:
        async def tell() -> None:
            async for _, text in feed.each(after(websocket)):
                await websocket.send_text(text)

        await websocket.accept()
        telling = asyncio.create_task(tell())
        async for _ in websocket.iter_text():
            pass
        telling.cancel()

    path = f"/{case.name}"
    routes: list[Any] = [WebSocketRoute(path, socket)]
    if way != "WebSocket":
        routes = [Route(path, http, methods=["GET", "POST"])]
    return Starlette(routes=routes)
