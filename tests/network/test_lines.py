"""The lines under the connections of one handle."""

from __future__ import annotations

import threading

import pytest

from wslab.network import lines
from wslab.network.conditions import Conditions
from wslab.network.line import Line
from wslab.network.lines import Lines


def test_a_seed_goes_to_each_connection(monkeypatch):
    seeds = []

    class Noted(Line):
        def __init__(self, *_args, seed, **_kwargs):
            seeds.append(seed)

    monkeypatch.setattr(lines, "Line", Noted)

    class Joint:
        loop = None  # as on this thread

        def put_line(self, make):
            make(None, None, is_new=True, is_full=False)

    def joined(seed: int | None) -> list[str]:
        seeds.clear()
        both = Lines(Conditions(), Conditions(), lambda: True)
        both.seed = seed
        for _ in range(2):
            both.join(Joint())
        return [*seeds]

    assert joined(7) == joined(7) != joined(8)
    assert len(set(joined(7))) == 2
    assert joined(None) != joined(None)


def test_a_loop_that_something_holds_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(lines, "PUT_S", 0.05)
    asked = []

    class Held:
        """A loop that calls nothing now."""

        call_soon_threadsafe = staticmethod(asked.append)

    class Joint:
        loop = Held()

    caller = threading.Thread(
        target=Lines(Conditions(), Conditions(), lambda: True).join, args=(Joint(),)
    )
    caller.start()
    caller.join(5)
    assert not caller.is_alive()
    assert len(asked) == 1


def test_a_loop_that_has_ended_is_no_error():
    class Ended:
        def call_soon_threadsafe(self, *_args):
            raise RuntimeError("Event loop is closed")

    class Joint:
        loop = Ended()

    both = Lines(Conditions(), Conditions(), lambda: True)
    both.join(Joint())
    both.changed()
    both.void()
    assert both.held_bytes == 0


def test_without_a_connection_nothing_happens():
    both = Lines(Conditions(), Conditions(), lambda: True)
    both.changed()
    both.void()
    both.end()
    assert both.held_bytes == 0


@pytest.mark.parametrize("is_needed", [True, False])
def test_a_line_is_put_in_where_one_is_needed(is_needed):
    puts = []

    class Joint:
        loop = None  # as on this thread
        put_line = staticmethod(puts.append)

    both = Lines(Conditions(), Conditions(), lambda: is_needed)
    joint = Joint()
    both.join(joint)
    both.changed()
    assert len(puts) == 2 * is_needed  # asked again, since nothing came of the first
    both.leave(joint)
    both.changed()
    assert len(puts) == 2 * is_needed
