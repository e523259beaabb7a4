"""The flusher: views that are looked at are refreshed on the lab's loop, others cost nothing."""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
import types

import pytest

import wslab
from wslab.loops import portals
from wslab.widgets import live
from wslab.widgets.live import BUDGET_BYTES_S, Flusher

pytestmark = pytest.mark.usefixtures("memory_network")

FAST_S = 0.001
SLOW_S = 60.0  # no second tick within a test


class Seen:
    """A view that counts."""

    def __init__(self, sent_bytes: int = 0) -> None:
        self.is_watched = True
        self.sent_bytes = sent_bytes
        self.times: list[float] = []
        self.threads: set[int] = set()
        self.failure: BaseException | None = None
        self.changed = threading.Condition()

    def refresh(self) -> int:
        with self.changed:
            self.times.append(time.monotonic())
            self.threads.add(threading.get_ident())
            self.changed.notify_all()
        return self.sent_bytes

    def show_failure(self, exc: BaseException) -> None:
        with self.changed:
            self.failure = exc
            self.changed.notify_all()

    def wait(self, condition, timeout: float = 5.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout)


@pytest.fixture
def fast():
    flusher = Flusher(FAST_S)
    yield flusher
    flusher.views.clear()


def ended(flusher: Flusher) -> bool:
    deadline = time.monotonic() + 5.0
    while flusher._running is not None and time.monotonic() < deadline:
        time.sleep(FAST_S)
    return flusher._running is None


def test_views_are_refreshed_together_on_the_labs_loop(fast):
    one, two = Seen(), Seen()
    fast.watch(one)
    fast.watch(two)
    running = fast._running
    fast.watch(one)  # again makes no second loop
    assert fast._running is running
    one.wait(lambda: len(one.times) > 5)
    two.wait(lambda: len(two.times) > 5)
    assert one.threads == two.threads == {portals.lab().thread_id}


def test_a_view_nobody_looks_at_is_let_go_and_the_ticking_ends(fast):
    one, two = Seen(), Seen()
    fast.watch(one)
    fast.watch(two)
    one.wait(lambda: one.times)
    one.is_watched = False
    fast.unwatch(two)
    assert ended(fast)
    assert fast.views == {}
    count = len(one.times)
    one.is_watched = True
    fast.watch(one)
    one.wait(lambda: len(one.times) > count)


def test_a_view_that_raises_is_switched_off_and_says_why(fast):
    class Broken(Seen):
        def refresh(self) -> int:
            super().refresh()
            raise ValueError("no such colour")

    broken, sound = Broken(), Seen()
    fast.watch(broken)
    fast.watch(sound)
    broken.wait(lambda: broken.failure is not None)
    assert repr(broken.failure) == "ValueError('no such colour')"
    count = len(sound.times)
    sound.wait(lambda: len(sound.times) > count + 3)
    assert len(broken.times) == 1


def test_a_view_that_cannot_even_say_why_stops_nobody(fast):
    class Hopeless(Seen):
        def refresh(self) -> int:
            raise ValueError("1")

        def show_failure(self, exc: BaseException) -> None:
            raise ValueError("2")

    sound = Seen()
    fast.watch(Hopeless())
    fast.watch(sound)
    sound.wait(lambda: len(sound.times) > 3)
    assert list(fast.views.values()) == [sound]


def test_who_sends_much_is_refreshed_less_often(fast):
    heavy = Seen(sent_bytes=BUDGET_BYTES_S // 5)
    fast.watch(heavy)
    heavy.wait(lambda: len(heavy.times) >= 3)
    pauses = [b - a for a, b in zip(heavy.times, heavy.times[1:], strict=False)]
    assert min(pauses) > 0.19


def test_one_dear_tick_does_not_put_the_next_off_for_long(fast, monkeypatch):
    hours = itertools.count(step=3600)
    monkeypatch.setattr(live, "time", types.SimpleNamespace(thread_time=lambda: next(hours)))
    monkeypatch.setattr(live, "MAX_PAUSE_S", FAST_S)
    view = Seen()
    fast.watch(view)
    view.wait(lambda: len(view.times) > 3)
    fast.unwatch(view)
    assert ended(fast)


def test_the_last_thing_shown_is_how_it_ended():
    class Watching(Seen):
        def refresh(self) -> int:
            states.append(server.is_serving)
            return super().refresh()

    async def handler(websocket):
        await websocket.wait_closed()

    states: list[bool] = []
    server = wslab.serve(handler)
    flusher, view = Flusher(SLOW_S), Watching()
    flusher.watch(view)
    view.wait(lambda: view.times)
    wslab.shutdown()
    assert states == [True, False]
    # On the lab's next loop it ticks again.
    flusher.watch(view)
    view.wait(lambda: len(view.times) == 3)
    flusher.unwatch(view)
    flusher._running.cancel()


def test_what_it_sends_belongs_to_no_cell_or_message(fast):
    variable = contextvars.ContextVar("parent", default="none")

    class Context(Seen):
        def refresh(self) -> int:
            found.append(variable.get())
            return super().refresh()

    found: list[str] = []
    variable.set("the cell that came first")
    view = Context()
    fast.watch(view)
    view.wait(lambda: view.times)
    assert found[0] == "none"


def test_a_forked_process_starts_afresh(fast):
    view = Seen()
    fast.watch(view)
    view.wait(lambda: view.times)
    running = fast._running
    fast.forget()
    assert fast.views == {}
    assert fast._running is None
    running.cancel()
