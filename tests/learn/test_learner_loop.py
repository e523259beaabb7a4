"""The learner's code on a loop of its own: it ends in time, and is named where it does not."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from wslab.learn.exercises import Miss
from wslab.learn.learner_loop import bounded


def test_bounded_returns_what_a_function_or_a_coroutine_function_returns():
    async def later(number):
        await asyncio.sleep(0)
        return number + 1

    assert bounded(divmod, 7, 2) == (3, 1)
    assert bounded(later, 1) == 2


def test_an_endless_loop_is_stopped_and_named():
    ended = threading.Event()

    def spins():
        try:
            while True:
                pass
        finally:
            ended.set()

    with pytest.raises(Miss) as caught:
        bounded(spins, timeout_s=0.2, expected="a list")
    assert caught.value.expected == "a list within 0.2 s"
    assert "still running: spins() at test_learner_loop.py:" in caught.value.seen
    assert ended.wait(5)  # it burns no core any more


def test_a_call_that_blocks_holds_nobody():
    let_go = threading.Event()
    began_s = time.monotonic()
    with pytest.raises(Miss, match="still running"):
        bounded(let_go.wait, timeout_s=0.2)
    assert time.monotonic() - began_s < 4
    let_go.set()


def test_the_end_of_the_program_is_a_miss():
    with pytest.raises(Miss, match="SystemExit"):
        bounded(exit)
