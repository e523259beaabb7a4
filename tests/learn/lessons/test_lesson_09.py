"""Lesson 09's check: its solution, other right ways to pick, the stub, and plausible wrong ones."""

from __future__ import annotations

import asyncio

import pytest

import wslab
from tests.learn.rig import cells, solution
from tests.widgets.race.app import app_of
from wslab.learn import NotYet, check, hint
from wslab.learn.lessons import lesson_09
from wslab.learn.lessons.lesson_09 import HEADS_BYTES, Cache, cases, gathered
from wslab.widgets.race.feed import Feed

LESSON = "09_polling_sse_websocket"
pick = solution(LESSON).pick


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Let each case go on for less long; its numbers are made up for that."""
    monkeypatch.setattr(lesson_09, "LASTS_S", 0.6)


# Right ones.


def by_name(case):
    return {"dashboard": ("polling", case.late_s), "ticker": "SSE", "game": "WebSocket"}[case.name]


def a_stream_in_place_of_sse(case):
    return "fetch stream" if pick(case) == "SSE" else pick(case)


def twice_as_often_as_needed(case):
    return ["polling", case.late_s / 2 + 0.03] if case.only_last else pick(case)


def a_socket_unless_something_forbids_it(case):
    if not case.upgrade:
        return "sse"
    return ("Polling", 0.7 * case.late_s) if case.only_last else "web-socket"


def the_cheapest_that_is_early_enough(case):
    talk = case.count * (HEADS_BYTES + case.size_bytes) if case.page_talks else 0
    costs = {"SSE": HEADS_BYTES + case.count * (case.size_bytes + 30) + talk}
    if case.upgrade:
        twice = case.count * (2 * case.size_bytes + 8) if case.page_talks else 0
        costs["WebSocket"] = 500 + max(twice, case.count * (case.size_bytes + 2))
    if case.only_last:
        polls = case.lasts_s / case.late_s + 1
        costs["polling"] = polls * (HEADS_BYTES + case.size_bytes)
    best = min(costs, key=costs.get)
    return (best, 0.9 * case.late_s) if best == "polling" else best


class Picker:
    def __call__(self, case):
        match case:
            case _ if case.page_talks:
                return "WebSocket"
            case _ if case.only_last:
                return "long polling" if case.every_s > case.late_s else ("polling", case.late_s)
        return ("SSE",)


RIGHT = [
    by_name, a_stream_in_place_of_sse, twice_as_often_as_needed,
    a_socket_unless_something_forbids_it, the_cheapest_that_is_early_enough, Picker(),
]  # fmt: skip


def test_the_solution_passes():
    verdict = check("09 pick", pick)
    assert verdict.passed is True, str(verdict)
    for words in ("dashboard by polling", "game by WebSocket", "ticker by SSE"):
        assert words in verdict.seen
    assert wslab.learn.left_open().tasks == 0


@pytest.mark.parametrize("right", RIGHT, ids=lambda one: getattr(one, "__name__", "a class"))
def test_other_right_ways_to_pick_pass(right):
    verdict = check("09 pick", right)
    assert verdict.passed is True, str(verdict)


# Stubs.


def test_the_stub_in_the_notebook_is_not_yet():
    namespace = {"NotYet": NotYet}
    exec(cells(LESSON)["exercise-pick"], namespace)
    assert check("09 pick", namespace["pick"]).passed is None
    assert check("09 pick", ...).passed is None


def test_a_not_yet_that_is_left_over_is_not_yet():
    def half(case):
        if case.only_last:
            return pick(case)
        raise NotYet

    assert check("09 pick", half).passed is None


# Wrong ones.


def but(name, other):
    """Pick right but for one case."""
    return lambda case: (
        (other(case) if callable(other) else other) if case.name == name else pick(case)
    )


async def waits(case):
    return pick(case)


def returns_nothing(case):
    pick(case)


ONE_OF = "one of 'polling', 'long polling'"
WRONG = [
    ("always a WebSocket", lambda case: "WebSocket", "bytes for the dashboard", "the newest one"),
    ("always SSE", lambda case: "SSE", "bytes for the dashboard", "the newest one"),
    ("SSE for a game", but("game", "SSE"), "bytes for the game", "a request here"),
    ("long polling: a game", but("game", "long polling"), "bytes for the game", "both directions"),
    ("a WebSocket, no Upgrade", but("ticker", "WebSocket"), "news for the ticker", "takes `Upgr"),
    ("long polling: a ticker", but("ticker", "long polling"), "bytes for the tick", "only once"),
    ("polls a ticker", but("ticker", ("polling", 0.05)), "bytes for the ticker", "headers"),
    ("polls too often", but("dashboard", ("polling", 0.02)), "bytes for the dash", "ask less"),
    ("polls too seldom", but("dashboard", ("polling", 5)), "news for the dashboard", "more often"),
    ("held and long", but("dashboard", "long polling"), "bytes for the dashboard", "ask less"),
    ("no seconds", but("dashboard", "polling"), ONE_OF, "how often"),
    ("seconds for SSE", but("ticker", ("SSE", 1)), ONE_OF, "takes no seconds"),
    ("zero seconds", but("dashboard", ("polling", 0)), ONE_OF, "above 0"),
    ("a str of seconds", but("dashboard", ("polling", "1 s")), ONE_OF, "a number"),
    ("bytes", but("ticker", b"SSE"), ONE_OF, "as a str"),
    ("no such way", but("game", "UDP"), ONE_OF, "the way's name"),
    ("no return", returns_nothing, ONE_OF, "the way's name"),
    ("async", waits, "a function", "a plain `def`"),
    ("its result", {"game": "WebSocket"}, "a function", "the function's name"),
]


@pytest.mark.parametrize(
    ("wrong", "expected", "tip"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_wrong_picks_are_told_apart(wrong, expected, tip):
    verdict = check("09 pick", wrong)
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected, str(verdict)
    assert tip in verdict.hint, str(verdict)


def test_what_pick_raises_is_said():
    verdict = check("09 pick", lambda case: case.late)
    assert verdict.passed is False
    assert "AttributeError" in verdict.seen


def test_hints_end_with_the_solution():
    assert "solutions/09_polling_sse_websocket.py" in repr(hint("09 pick", 3))


# What the lesson shows.


def test_cases_come_with_fresh_numbers_in_a_random_order():
    many = [cases() for _ in range(20)]
    assert {one.name for one in many[0]} == {"dashboard", "ticker", "game"}
    assert len({tuple(one.name for one in three) for three in many}) > 1
    assert len({one.budget_bytes for three in many for one in three}) > 20
    assert "a proxy lets no Upgrade through" in str(many[0])


def test_a_cache_keeps_what_it_may():
    asked = []

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        asked.append(scope["path"])
        rule = {"/may": b"max-age=60", "/no": b"no-store", "/both": b"max-age=60, no-store"}
        headers = [(b"cache-control", rule[scope["path"]])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"%d" % len(asked)})

    async def twice():
        cache = Cache(server)
        return [await cache.get(path) for path in ("/may", "/no", "/both") for _ in range(2)]

    server = wslab.serve(app)
    assert asyncio.run(twice()) == ["1", "1", "2", "3", "4", "5"]
    wslab.shutdown()


def test_a_gathering_proxy_waits_for_the_end():
    feed = Feed()
    feed.add("news")
    server = wslab.serve(app_of(feed))

    async def through():
        return [await gathered(server, f"/{path}?after=0", 0.5) for path in ("poll", "events")]

    said = asyncio.run(through())
    assert said[0] == "200 OK, 8 bytes"
    assert said[1].startswith("nothing within 0.5 s; the proxy holds")
    wslab.shutdown()
