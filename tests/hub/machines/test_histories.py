"""A short history of each kind; and the proof that one notices what it is there to notice."""

from __future__ import annotations

import pytest

from tests.hub.machines import histories
from tests.hub.machines.faults import FAULTS
from tests.hub.machines.histories import Histories
from tests.hub.machines.people import Person
from tests.hub.rig import aio
from tests.redis_server import need


@aio
async def test_one_node_loses_nothing_and_says_nothing_twice():
    run = Histories(seed=3, people=6, nodes=1, pace_s=0.05)
    await run.run(5.0)
    assert run.wrong == []
    assert run.books.pages["nothing"].due > 50, run.table()
    assert run.answers["right"], run.table()
    assert "nothing lost without a word" in run.table()


@pytest.mark.parametrize(("how", "word"), [("lost", "did not hear"), ("twice", "again")])
@aio
async def test_it_notices_one_event_that_is(how, word, monkeypatch):
    monkeypatch.setattr(histories, "RIGHT_S", 4.0)
    heard, ticks = Person.heard, iter(range(10**6))

    def hear(self, uid):
        is_tick = self.world.books.said[uid].sender is None  # which everybody in its room must hear
        times = {"lost": 0, "twice": 2}[how] if is_tick and next(ticks) == 5 else 1
        for _ in range(times):
            heard(self, uid)

    monkeypatch.setattr(Person, "heard", hear)
    run = Histories(seed=4, people=3, nodes=1, pace_s=0.02)
    await run.run(0.0)
    assert [text for text in run.wrong if word in text], run.table()


@pytest.mark.slow
@aio
async def test_three_nodes_and_a_redis_lose_nothing_without_a_word():
    need()
    run = Histories(seed=5, people=6, nodes=3, act_s=0.5)
    await run.run(0.0, tuple(fault for fault in FAULTS if fault.is_short))
    assert run.wrong == []
    assert run.answers["lost members told of"], run.table()
