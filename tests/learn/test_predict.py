"""predict(): what the widget sends and takes, and its forms without a front end.

tests/lab has JupyterLab; here the messages of the browser are made by hand.
"""

from __future__ import annotations

import importlib
import threading

import anywidget
import pytest

from wslab.learn import Prediction, predict
from wslab.notebook import owners

pytestmark = pytest.mark.usefixtures("memory_network")

module = importlib.import_module("wslab.learn.predict")


@pytest.fixture
def ask(monkeypatch):
    monkeypatch.setattr(module, "_asked", {})  # what other tests have answered
    asked = []

    def make(*args):
        asked.append(predict(*args))
        return asked[-1]

    yield make
    for one in asked:
        one.close()


def say(prediction: Prediction, content) -> None:
    """Do as the browser does: a custom message."""
    prediction._handle_custom_msg(content, [])


def test_the_options_are_text(ask):
    assert ask("How many?", [101, "none"]).options == ["101", "none"]
    assert ask("How many?").options == []


def test_unanswered_says_so_and_what_the_wire_says(ask):
    guess = ask("Which status?", [101, 200])
    assert str(guess).splitlines() == [
        "Which status?",
        "  ( ) 101",
        "  ( ) 200",
        "  you said       not answered",
    ]
    assert guess.compare(101, because="it switches protocols") is guess
    assert str(guess).splitlines() == [
        "Which status?",
        "  you said       not answered",
        "  the wire says  101",
        "  because        it switches protocols",
    ]
    assert guess.was_right is None


@pytest.mark.parametrize(
    ("said", "actual", "right"),
    [("101", 101, True), (" Yes  please", "yes please", True), ("200", 101, False)],
)
def test_an_answer_is_kept_and_compared(ask, said, actual, right):
    guess = ask("Which?")
    say(guess, {"answer": said})
    assert guess.answer == said.strip()
    assert guess.was_right is None
    guess.compare(actual)
    assert guess.was_right is right
    assert str(guess).splitlines()[-1].strip() == ("\u2713 right" if right else "\u2717 wrong")
    assert f"you said       {said.strip()}" in str(guess)


def test_an_answer_that_comes_while_its_question_is_asked_again_is_kept(ask, monkeypatch):
    # On the thread of a subshell, while the cell that asks runs on the main one.
    first = ask("Which?", ["a", "b"])
    make = anywidget.AnyWidget.__init__

    def make_and_hear(widget, **state):
        make(widget, **state)
        thread = threading.Thread(target=say, args=(first, {"chosen": "b", "answer": "b"}))
        thread.start()
        thread.join()

    monkeypatch.setattr(anywidget.AnyWidget, "__init__", make_and_hear)
    second = ask("Which?", ["a", "b"])
    assert (second.chosen, second.answer) == ("b", "b")


def test_a_mind_that_changed_stands(ask):
    guess = ask("Which?", ["a", "b"])
    say(guess, {"chosen": "a", "answer": "a"})
    say(guess, {"chosen": "b"})  # not committed to: the answer from before stands
    assert (guess.chosen, guess.answer) == ("b", "a")
    assert "you said       a" in str(guess)
    say(guess, {"chosen": "b", "answer": "b"})
    assert (guess.chosen, guess.answer) == ("b", "b")


def test_chosen_and_not_committed_is_told_as_such(ask):
    guess = ask("Which?", ["a", "<b>"])
    say(guess, {"chosen": "<b>"})
    guess.compare("<b>")
    assert str(guess).splitlines() == [
        "Which?",
        '  you chose      <b>, but did not press "That is my prediction"',
        "  the wire says  <b>",
    ]
    assert guess.answer is None
    assert guess.was_right is None
    data, _ = guess._repr_mimebundle_()
    assert "you chose: &lt;b&gt;, but did not press" in data["text/html"]


def run_in(monkeypatch, cell: str, request: str) -> None:
    """Do as a kernel does while a cell runs: the request's message id is new each time."""
    owner = owners.Owner(("cell", cell), request)
    monkeypatch.setattr(owners, "current_owner", lambda: owner)


def test_the_same_cell_asks_again_and_has_the_answer(ask, monkeypatch):
    run_in(monkeypatch, "recall", "1")
    first = ask("Which status?", [101, 200])
    say(first, {"chosen": "200", "answer": "200"})
    run_in(monkeypatch, "recall", "2")
    again = ask("Which status?", ["101", "200"])
    assert again is not first
    assert (again.answer, again.chosen, again.actual, again.is_final) == ("200", "200", None, False)
    assert "you said       200" in str(again)
    again.compare(101)
    assert again.was_right is False
    assert first.actual is None  # what an output further up shows stays as it was


def test_what_was_only_chosen_is_there_again_too(ask, monkeypatch):
    run_in(monkeypatch, "recall", "1")
    say(ask("Which?", ["a", "b"]), {"chosen": "b"})
    run_in(monkeypatch, "recall", "2")
    again = ask("Which?", ["a", "b"])
    assert (again.answer, again.chosen) == (None, "b")


@pytest.mark.parametrize(
    ("cell", "question", "options"),
    [
        ("other", "Which?", ["a", "b"]),
        ("recall", "Which one?", ["a", "b"]),
        ("recall", "Which?", ["a", "b", "c"]),
        ("recall", "Which?", ["b", "a"]),
        ("recall", "Which?", []),
    ],
)
def test_another_cell_text_or_options_is_another_question(
    ask, monkeypatch, cell, question, options
):
    run_in(monkeypatch, "recall", "1")
    say(ask("Which?", ["a", "b"]), {"answer": "a"})
    run_in(monkeypatch, cell, "2")
    assert ask(question, options).answer is None


def test_without_a_cell_the_text_tells_what_is_the_same(ask):
    assert owners.current_owner() is None
    say(ask("Which?", ["a", "b"]), {"answer": "a"})
    assert ask("Which?", ["a", "b"]).answer == "a"
    assert ask("And which?", ["a", "b"]).answer is None


def test_an_answer_that_waited_while_its_cell_asked_again_counts_in_both(ask, monkeypatch):
    run_in(monkeypatch, "recall", "1")
    first = ask("Which?", ["a", "b"])
    run_in(monkeypatch, "recall", "2")
    second = ask("Which?", ["a", "b"])
    say(first, {"chosen": "b", "answer": "b"})
    assert (first.answer, second.answer) == ("b", "b")
    assert ask("Which?", ["a", "b"]).answer == "b"


def test_an_answer_is_final_once_its_outcome_was_shown(ask):
    first = ask("Which?", ["a", "b"])
    first.compare("a")
    second = ask("Which?", ["a", "b"])
    assert not second.is_final  # nobody has answered: the question is open
    say(second, {"answer": "b"})
    assert ask("Which?", ["a", "b"]).is_final


def test_a_prediction_made_by_hand_remembers_nothing(ask):
    one = Prediction("Which?", ["a"])
    say(one, {"answer": "a"})
    other = Prediction("Which?", ["a"])
    assert other.answer is None
    for each in (one, other):
        each.close()


def test_an_answer_that_waited_behind_the_comparing_cell_counts(ask):
    guess = ask("Which?", ["a", "b"])
    guess.compare("b")
    say(guess, {"answer": "a"})
    assert guess.answer == "a"
    assert guess.was_right is False


@pytest.mark.parametrize(
    "content", [None, "a", [], {}, {"answer": 3}, {"answer": " "}, {"chosen": None}]
)
def test_other_messages_are_no_answer(ask, content):
    guess = ask("Which?", ["a"])
    say(guess, content)
    assert guess.answer is None
    assert guess.chosen is None


def test_a_long_answer_is_cut(ask):
    guess = ask("Which?")
    say(guess, {"answer": "x" * 10_000})
    assert len(guess.answer) == 200


def test_comparing_again_shows_the_latest(ask):
    guess = ask("Which?", ["a"])
    guess.compare("a", "first")
    guess.compare("b", "second")
    assert (guess.actual, guess.because) == ("b", "second")


def test_the_static_form_is_escaped_text(ask):
    guess = ask("1 < 2?", ["<b>yes</b>", "no"])
    guess.compare("<b>yes</b>", because="1 & 2")
    data, _ = guess._repr_mimebundle_()
    assert data["text/html"] == (
        "<p><b>1 &lt; 2?</b><br>you said: not answered<br>"
        "the wire says: &lt;b&gt;yes&lt;/b&gt;<br>because: 1 &amp; 2</p>"
    )
    assert data["text/plain"] == str(guess)
    assert "application/vnd.jupyter.widget-view+json" in data
