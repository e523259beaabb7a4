"""Checks that hang are given up within their bound, and what comes late is undone."""

from __future__ import annotations

import threading
import time

import pytest

from wslab.checkup.budget import Budget, NoAnswer, short


def test_what_a_check_gives_and_raises_comes_through() -> None:
    budget = Budget(5.0)
    assert budget.ask(lambda: 42, 1.0) == 42

    async def check() -> str:
        return "from a loop"

    assert budget.ask(check, 1.0) == "from a loop"

    def fails() -> None:
        raise TimeoutError("the check's own")

    with pytest.raises(TimeoutError, match="the check's own") as own:
        budget.ask(fails, 1.0)
    assert short(own.value) == "TimeoutError: the check's own"


def test_what_hangs_is_given_up_and_undone_when_it_comes_after_all() -> None:
    let_go, undone = threading.Event(), threading.Event()
    late: list[object] = []

    def undo(value: object) -> None:
        late.append(value)
        undone.set()

    began_s = time.monotonic()
    try:
        with pytest.raises(NoAnswer) as hung:
            Budget(5.0).ask(lambda: let_go.wait(30), 0.05, undo)
        assert time.monotonic() - began_s < 4
        assert short(hung.value) == "no answer within 0.1 s"
        assert not late
    finally:
        let_go.set()
    assert undone.wait(5)
    assert late == [True]


def test_no_check_takes_more_than_what_is_left_of_all() -> None:
    let_go = threading.Event()
    budget = Budget(0.0)
    try:
        with pytest.raises(NoAnswer, match=r"within 0\.0 s"):
            budget.ask(lambda: let_go.wait(30), 10.0)
    finally:
        let_go.set()
    assert budget.left_s <= 0
