"""predict(): what the widget sends and takes, and its forms without a front end.

tests/lab has JupyterLab; here the messages of the browser are made by hand.
"""

from __future__ import annotations

import pytest

from wslab.learn import Prediction, predict


@pytest.fixture
def ask():
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
    assert f"you said       {said.strip()}" in str(guess)


def test_the_first_answer_stands(ask):
    guess = ask("Which?", ["a", "b"])
    say(guess, {"answer": "a"})
    say(guess, {"answer": "b"})
    assert guess.answer == "a"


def test_an_answer_that_waited_behind_the_comparing_cell_counts(ask):
    guess = ask("Which?", ["a", "b"])
    guess.compare("b")
    say(guess, {"answer": "a"})
    assert guess.answer == "a"
    assert guess.was_right is False


@pytest.mark.parametrize("content", [None, "a", [], {}, {"answer": 3}, {"answer": " "}])
def test_other_messages_are_no_answer(ask, content):
    guess = ask("Which?", ["a"])
    say(guess, content)
    assert guess.answer is None


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
