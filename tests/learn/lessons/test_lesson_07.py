"""Lesson 07's check: its solution, other right ways, the stub, and plausible wrong ones, against
the stand-in for a page; the page's part without a page; and what `ends` reads from page and wire.
The page's part with a page: tests/lab/test_lesson_07_in_lab.py.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time

import pytest

import wslab
from tests.kernels import Kernel, lost
from tests.learn import rig
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, check
from wslab.learn.lessons import lesson_07
from wslab.learn.lessons.lesson_07 import (
    ARRIVES,
    ENDS,
    LOST,
    THROWS,
    ends,
    in_page,
    so_far,
)
from wslab.learn.page_stand_in import PageStandIn

LESSON = "07_browser"
EXERCISE = "07 safe sender"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Wait less long for a page that is not there."""
    monkeypatch.setattr(lesson_07, "PAGE_DOOR_S", 0.05)


send_safely = solution("07_browser").send_safely


def send_all(page, messages):
    for message in messages:
        page.send(message)


def test_the_solution_passes_every_time():
    for _ in range(3):
        verdict = check(EXERCISE, send_safely)
        assert verdict, str(verdict)
        assert verdict.took_s < 32
    assert "a stand-in for a page sent" in verdict.seen
    assert verdict.seen.endswith("in order, then close 4000")


# Right ways.


def leaves_the_sends_to_when_open(page, messages):
    for message in messages:
        page.send(message, when_open=True)

    def go(event):
        if event.type == "open":
            page.off(go)
            page.close(4000)

    if page.ready_state == "OPEN":
        page.close(4000)
    else:
        page.on_event(go)


def listens_first_and_sends_once(page, messages):
    left = [messages]

    @page.on_event
    def go(_event=None):
        if page.ready_state == "OPEN" and left:
            send_all(page, left.pop())
            page.close(code=4000, reason="that was all")

    go()


def one_after_the_other(page, messages):
    """Send the next one when the page says that it has taken the one before."""
    left = iter(messages)

    def step():
        message = next(left, None)
        if message is None:
            page.off(go)
            page.close(4000)
        else:
            page.send(message)

    @page.on_event
    def go(event):
        if event.type == "open" or (event.type == "call" and ".send(" in event.js):
            step()

    if page.ready_state == "OPEN":
        step()


def waits_beside_the_cell(page, messages):
    def wait():
        end_s = time.monotonic() + 5
        while page.ready_state != "OPEN" and time.monotonic() < end_s:
            time.sleep(0.01)
        send_all(page, messages)
        page.close(4000)

    threading.Thread(target=wait).start()


async def is_async(page, messages):
    send_safely(page, messages)


class Sender:
    def __call__(self, page, messages):
        send_safely(page, messages)


RIGHT = [
    leaves_the_sends_to_when_open,
    listens_first_and_sends_once,
    one_after_the_other,
    waits_beside_the_cell,
    is_async,
    Sender(),
    functools.partial(lambda how, page, messages: how(page, messages), send_safely),
]


@pytest.mark.parametrize("right", RIGHT, ids=lambda one: getattr(one, "__name__", "object"))
def test_other_right_ways_pass(right):
    verdict = check(EXERCISE, right)
    assert verdict, str(verdict)


# Not yet.


def stub(page, messages):
    raise NotYet


def stub_within(page, messages):
    @page.on_event
    def go(event):
        raise NotYet


@pytest.mark.parametrize("untouched", [stub, stub_within, None, ...])
def test_the_untouched_stub_is_not_yet(untouched):
    assert check(EXERCISE, untouched).passed is None


def test_the_untouched_stub_leaves_nothing_in_the_page():
    trial = in_page(stub)
    assert repr(trial) == "not yet: write the cell above, run it, then run this one"
    assert check(EXERCISE, stub, trial).passed is None
    assert str(wslab.learn.left_open()) == "open connections: 0, servers: 0, tasks: 0"


# Wrong ones.


def at_once(page, messages):
    send_all(page, messages)
    page.close(4000)


def sends_and_never_closes(page, messages):
    for message in messages:
        page.send(message, when_open=True)


def closes_too_early(page, messages):
    for message in messages:
        page.send(message, when_open=True)
    page.close(4000)


def only_when_it_opens(page, messages):
    @page.on_event
    def go(event):
        if event.type == "open":
            send_all(page, messages)
            page.close(4000)


def when_something_happens(page, messages):
    @page.on_event
    def go(event):
        send_all(page, messages)
        page.close(4000)


def believes_none_is_open(page, messages):
    def go():
        send_all(page, messages)
        page.close(4000)

    if page.ready_state == "CONNECTING":
        page.on_event(lambda event: event.type == "open" and go())
    else:
        go()


def with_the_wrong_end(close):
    def wrong(page, messages):
        def go(event=None):
            if event is None or event.type == "open":
                send_all(page, messages)
                close(page)

        go() if page.ready_state == "OPEN" else page.on_event(go)

    return wrong


def with_other_messages(change):
    def wrong(page, messages):
        send_safely(page, change(messages))

    return wrong


def one_more_after_the_close(page, messages):
    def go(event=None):
        if event is None or event.type == "open":
            page.close(4000)
            send_all(page, messages)

    go() if page.ready_state == "OPEN" else page.on_event(go)


def twice(page, messages):
    """Sends for the open event, and again when it hears of the state."""

    @page.on_event
    def go(event):
        if page.ready_state == "OPEN" and event.type in ("open", "call"):
            send_all(page, messages)
            if event.type == "call":
                page.close(4000)

    if page.ready_state == "OPEN":
        send_all(page, messages)


def waits_in_the_cell(page, messages):
    while page.ready_state != "OPEN":
        time.sleep(0.01)
    send_all(page, messages)
    page.close(4000)


async def awaits_in_the_cell(page, messages):
    while page.ready_state != "OPEN":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    send_all(page, messages)
    page.close(4000)


async def gives_up_by_itself(page, messages):
    async with asyncio.timeout(0.05):
        await awaits_in_the_cell(page, messages)


def stays_attached(page, messages):
    """The hint's own way, and nobody takes it out: the next open event finds it again."""

    def go(event):
        if event.type == "open":
            send_all(page, messages)
            page.close(4000)

    if page.ready_state == "OPEN":
        send_all(page, messages)
        page.close(4000)
    else:
        page.on_event(go)


def stays_to_close(page, messages):
    """What stays sends nothing, and still closes the next connection."""
    left = list(messages)

    @page.on_event
    def go(event=None):
        if event is None or event.type == "open":
            while left:
                page.send(left.pop(0))
            page.close(4000)

    if page.ready_state == "OPEN":
        go()


def returns_after_the_first(page, messages):
    def go(event=None):
        if event is None or event.type == "open":
            for message in messages:
                page.send(message)
                return

    go() if page.ready_state == "OPEN" else page.on_event(go)


def comes_back_for_each(page, messages):
    """A connection for each message."""
    left = list(messages)

    def go(event):
        if event.type == "open" and left:
            page.send(left.pop(0))
            page.close(4000)
        elif event.type == "close" and left:
            page.connect()

    page.on_event(go)


def as_in_javascript(page, messages):
    page.onopen = lambda _event: send_all(page, messages)


def compares_the_event(page, messages):
    def go(event):
        if event == "open":
            send_all(page, messages)

    page.on_event(go)


def breaks(page, messages):
    @page.on_event
    def go(event):
        if event.type == "open":
            page.send(messages)


def without_messages(page):
    pass


THREW = "exceptions: InvalidStateError"
LAST = "behind the last send"
WRONG = [
    (at_once, THREW, "while CONNECTING throws"),
    (sends_and_never_closes, "In the end the socket was OPEN", "page.close(4000)"),
    (closes_too_early, "no frame at all", "gives the whole connection up"),
    (only_when_it_opens, "no frame at all", "no open event comes any more"),
    (when_something_happens, THREW, "while CONNECTING throws"),
    (believes_none_is_open, THREW, "while CONNECTING throws"),
    (with_the_wrong_end(lambda page: page.close(1000)), "close 1000", "page.close(4000)"),
    (with_the_wrong_end(lambda page: page.close()), "close 1000", "page.close(4000)"),
    (with_the_wrong_end(lambda page: page.close(1001)), "InvalidAccessError", "page.close(4000)"),
    (with_the_wrong_end(lambda page: page.stop()), "close 1000", LAST),
    (with_other_messages(lambda all: all[::-1]), "then", "in the order of the list"),
    (with_other_messages(sorted), "then", "in the order of the list"),
    (with_other_messages(lambda all: all[:-1]), "close 4000", LAST),
    (with_other_messages(lambda all: [*all, "bye"]), "'bye'", "go out once"),
    (with_other_messages(lambda all: [",".join(all)]), "close 4000", "one frame for each message"),
    (with_other_messages(lambda all: [str(all)]), "close 4000", "one frame for each message"),
    (with_other_messages(lambda all: [all[0] + all[1], *all[2:]]), "close 4000", "one frame for"),
    (with_other_messages(lambda all: [one.encode() for one in all]), "binary", "a text frame"),
    (with_other_messages(lambda all: [one.upper() + "!" for one in all]), "!", "just as it is"),
    (one_more_after_the_close, "close 4000", LAST),
    (twice, "text", "go out once"),
    (waits_in_the_cell, "still running: waits_in_the_cell()", "return at once"),
    (awaits_in_the_cell, "an `async def` that still waits after 2 s", "return at once, and let"),
    (gives_up_by_itself, "TimeoutError", ""),
    (comes_back_for_each, "close 4000", LAST),
    (stays_attached, "on the second connection: text", "page.off(function)"),
    (stays_to_close, "on the second connection: close 4000", "page.off(function)"),
    (returns_after_the_first, "In the end the socket was OPEN", "each message once"),
    (as_in_javascript, "no frame at all", "page.on_event(function)"),
    (compares_the_event, "no frame at all", 'type is "open"'),
    (breaks, "Your callback raised", "fix what your callback raised"),
    (without_messages, "TypeError", ""),
]
CALLED = {at_once: "there is no socket yet", only_when_it_opens: "the socket is OPEN"}


@pytest.mark.parametrize(
    ("wrong", "seen", "hint"),
    WRONG,
    ids=[f"{number}-{one[0].__name__}" for number, one in enumerate(WRONG)],
)
def test_plausible_wrong_ones_are_refused(wrong, seen, hint):
    verdict = check(EXERCISE, wrong)
    assert verdict.passed is False, verdict
    assert seen in verdict.seen or seen == "then", verdict
    assert hint in verdict.hint, verdict
    assert verdict.took_s < 32
    if when := CALLED.get(wrong):
        assert verdict.expected.startswith(f"called while {when}: ")


def test_an_async_def_that_waits_is_told_what_a_blocking_one_is():
    verdict = check(EXERCISE, awaits_in_the_cell)
    assert verdict.expected == "a plain `def` that returns at once"
    assert verdict.hint == check(EXERCISE, waits_in_the_cell).hint
    assert "still waits" not in check(EXERCISE, gives_up_by_itself).seen  # its own TimeoutError


def test_a_number_is_refused():
    verdict = check(EXERCISE, 42)
    assert verdict.passed is False
    assert verdict.expected == "`def send_safely(page, messages)`"


# The page's part, where no page looks.


def test_where_no_page_looks_it_says_so():
    trial = in_page(send_safely)
    verdict = check(EXERCISE, send_safely, trial)
    assert verdict
    assert "No page has looked yet" in verdict.seen
    assert "<Browser 'called before it is open'" in repr(trial)
    verdict = check(EXERCISE, Sender(), trial)
    assert "The page ran an older version" in verdict.seen


@pytest.mark.parametrize("wrong", [at_once, when_something_happens, 42])
def test_a_wrong_one_never_reaches_the_page(wrong):
    trial = in_page(wrong)
    assert repr(trial) == "not in your page yet: first fix what the next cell finds"
    assert check(EXERCISE, wrong, trial).passed is False
    assert "older version" in check(EXERCISE, send_safely, trial).seen


def played(trial, *whens):
    """Let stand-ins play the page for a trial."""
    pages = [PageStandIn(page) for _, page, _, _ in trial._rounds]
    try:
        for stand_in in pages:
            if stand_in.page.name in whens:
                stand_in.step_until(lambda one=stand_in: one.page.ready_state == "CLOSED")
    finally:
        for stand_in in pages:
            stand_in.close()


def test_the_pages_wires_are_judged_as_well():
    trial = in_page(send_safely)
    played(trial, "called before it is open")
    assert "No page has looked yet" in check(EXERCISE, send_safely, trial).seen
    played(trial, "called when it is open")
    verdict = check(EXERCISE, send_safely, trial)
    assert verdict
    assert "And so did your own page" in verdict.seen


def test_what_goes_wrong_in_the_page_only_is_seen_there():
    is_late = []

    def forgets_half_of_it_later(page, messages):
        send_safely(page, messages[:-1] if is_late else messages)

    check(EXERCISE, forgets_half_of_it_later)
    trial = in_page(forgets_half_of_it_later)
    is_late.append(True)  # the second socket's round is still to come
    played(trial, "called before it is open", "called when it is open")
    is_late.clear()
    verdict = check(EXERCISE, forgets_half_of_it_later, trial)
    assert verdict.passed is False
    assert verdict.expected.startswith("called while the socket is OPEN")
    assert "close 4000" in verdict.seen


# What became of each send().


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def test_ends_reads_page_and_wire():
    server = wslab.serve(echo)
    page = wslab.Browser(server, autoconnect=False)
    assert ends(page, server) == {}

    @page.on_event
    def next_try(event):
        if event.type == "open":
            page.send("while OPEN")
            page.close(4000)
            page.send("while CLOSING")
        elif event.type == "close":
            page.send("while CLOSED")

    page.connect()
    page.send("while CONNECTING")
    stand_in = PageStandIn(page)
    try:
        stand_in.step_until(lambda: len(ends(page, server)) == 4)
    finally:
        stand_in.close()
    assert ends(page, server) == {
        "CONNECTING": THROWS,
        "OPEN": ARRIVES,
        "CLOSING": LOST,
        "CLOSED": LOST,
    }
    assert set(ends(page, server).values()) < set(ENDS)


# The cells that compare say so while it is not over yet.


class Half:
    """A page that has come so far."""

    events = exceptions = ()
    buffered_amount = 0

    def __init__(self, ready_state):
        self.ready_state = ready_state

    def on_event(self, function):
        return function


@pytest.mark.parametrize("name", ["states-compare", "arrived-compare", "transfer-compare"])
@pytest.mark.parametrize("state", [None, "CONNECTING", "OPEN", "CLOSING", "CLOSED"])
def test_it_says_run_again_until_it_is_over(name, state, capsys):
    server = wslab.serve(echo)
    guess = wslab.learn.predict("Which?", ["a", "b", "c"])
    names = dict.fromkeys(("page", "killed", "leaving"), Half(state))
    names |= dict.fromkeys(("server", "listener"), server)
    names |= dict.fromkeys(("learns", "goodbye", "says"), guess)
    names |= {"taken": ["message 1"], "guesses": {}, "ends": lambda *_: {}, "display": print}
    exec(cells(LESSON)[name], names | {"so_far": so_far})
    (said,) = (one for one in capsys.readouterr().out.splitlines() if "readyState" in one)
    assert said.startswith(f"readyState: {state or 'none yet'}")
    assert ("Run this cell again" in said) == (state != "CLOSED")


# The lesson in one kernel, without a page, twice.


@pytest.mark.kernel
def test_it_runs_twice_without_a_page():
    sources = cells(LESSON)
    with Kernel(cwd=COURSE) as kernel:
        for _ in range(2):
            ran = kernel.run_all(list(sources.values()), cell_ids=list(sources), timeout=120)
            assert lost(ran) == []
            assert [cell.error for cell in ran if cell.error] == []
            by_id = dict(zip(sources, ran, strict=True))
            assert "not yet" in by_id["exercise-check"].text
            assert by_id["the-end"].text == "open connections: 0, servers: 0, tasks: 0"
        kernel.shutdown()


AGAIN = (
    *("recall-run", "recall-compare", "states-run", "states-compare", "broken", "arrived-run"),
    *("arrived-compare", "close-compare", "exercise-page", "exercise-check", "rules-look"),
    *("transfer-compare", "setup", "page", "states-compare", "close", "close-compare"),
)


@pytest.mark.kernel
def test_its_cells_run_again_in_another_order():
    """Slowly, too: a keepalive ping comes between any two."""
    sources = cells(LESSON)
    del sources["the-end"]
    with Kernel(cwd=COURSE) as kernel:
        kernel.check(rig.SHORT_KEEPALIVE)
        for id in (*sources, *AGAIN):
            ran = kernel.run(sources[id], cell_id=id)
            assert ran.error is None, (id, ran.error)
            kernel.check(rig.PAUSE)
