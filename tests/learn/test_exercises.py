"""check() and hint(): whatever the learner's code does becomes a verdict."""

from __future__ import annotations

import pytest

from wslab.learn import NotYet, check, hint
from wslab.learn.exercises import Miss
from wslab.learn.learner_loop import bounded

pytestmark = pytest.mark.usefixtures("memory_network")


def test_a_pass_is_true_and_says_what_was_seen(make):
    make(lambda thing: f"saw {thing}")
    verdict = check("zz test", 42)
    assert verdict
    assert verdict.passed is True
    assert str(verdict).splitlines()[0].startswith("zz test: passed in 0.")
    assert "saw 42" in str(verdict)
    assert "<b>passed</b>" in verdict._repr_html_()


@pytest.mark.parametrize("things", [(), (None,), (...,), (len, None)])
def test_nothing_to_check_is_not_yet(make, things):
    def run(*_things):
        raise AssertionError("a check ran without anything to check")

    make(run)
    verdict = check("zz test", *things)
    assert verdict.passed is None
    assert not verdict
    assert "not yet" in str(verdict)
    assert "not yet" in verdict._repr_html_()
    assert "<code>raise NotYet</code>" in verdict._repr_html_()


def test_a_stub_is_not_yet_wherever_it_raises(make):
    def stub():
        raise NotYet

    def through_a_miss(thing):
        try:
            thing()
        except NotYet as exc:
            raise Miss("an answer", "none") from exc

    for run in (lambda thing: thing(), through_a_miss):
        make(run)
        assert check("zz test", stub).passed is None


def test_a_miss_says_expected_seen_and_hint(make):
    def run(_thing):
        raise Miss("<b> first", "nothing & more", "look at the loop")

    make(run)
    verdict = check("zz test", 1)
    assert verdict.passed is False
    assert str(verdict).splitlines() == [
        "zz test: not right yet",
        "  expected  <b> first",
        "  seen      nothing & more",
        "  hint      look at the loop",
    ]
    assert "&lt;b&gt; first" in verdict._repr_html_()
    assert "nothing &amp; more" in verdict._repr_html_()


def test_an_exception_of_the_learner_is_a_verdict_with_their_lines_only(make):
    def learners():
        return {}["nowhere"]

    make(bounded)
    verdict = check("zz test", learners)
    assert verdict.passed is False
    assert verdict.seen == "KeyError: 'nowhere'"
    assert "in learners" in verdict.details
    assert "portal.py" not in verdict.details
    assert "crossing.py" not in verdict.details
    assert "call.py" not in verdict.details


def test_an_interrupt_gets_through(make):
    def run(_thing):
        raise KeyboardInterrupt

    make(run)
    with pytest.raises(KeyboardInterrupt):
        check("zz test", 1)


def test_an_unknown_name_says_which_are_known():
    with pytest.raises(KeyError, match="expected the name of an exercise, got '77 nothing'"):
        check("77 nothing", 1)
    with pytest.raises(KeyError, match="expected the name"):
        hint("no such")


def test_hints_are_folded_and_asking_again_gives_the_same(make):
    make(lambda: None)
    for _ in range(3):
        html = hint("zz test")._repr_html_()
        assert html.count("<details>") == 3
        assert "<details open>" not in html
        assert "it is &lt;this&gt;" in html
        assert "look here" not in repr(hint("zz test"))


def test_hints_open_one_by_one_as_text(make):
    make(lambda: None)
    assert repr(hint("zz test", 1)).splitlines() == [
        "hint 1 of 2: look here",
        "hint 2 of 2 is folded: hint('zz test', 2) opens it",
    ]
    assert (
        repr(hint("zz test", 3))
        .splitlines()[-1]
        .startswith("the solution: It is in solutions/zz.py.")
    )
    assert hint("zz test", 2)._repr_html_().count("<details open>") == 2
    assert repr(hint("zz test", 99)) == repr(hint("zz test", 3))
