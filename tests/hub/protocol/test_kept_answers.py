"""Answers that may be asked for again."""

from __future__ import annotations

from wslab.hub.protocol.kept_answers import ANSWER_BYTES, KeptAnswers


def test_the_oldest_goes_first():
    answers = KeptAnswers()
    answers.add(3, "three", 5)
    answers.add(5, "five", 4)
    assert (answers.get(3), answers.get(4)) == ("three", None)
    assert 3 in answers
    assert 4 not in answers
    assert (len(answers), answers.size_bytes) == (2, 2 * ANSWER_BYTES + 9)
    assert list(answers.items()) == [(3, "three", 5), (5, "five", 4)]
    assert (answers.first, answers.after(0)) == (3, [(3, "three"), (5, "five")])
    assert (answers.after(3), answers.after(5)) == ([(5, "five")], [])
    answers.drop_oldest()
    assert (answers.get(3), answers.get(5)) == (None, "five")
    answers.drop_oldest()
    assert (len(answers), answers.size_bytes) == (0, 0)
    assert answers.first is None
