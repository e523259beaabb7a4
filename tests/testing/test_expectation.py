"""Which failures of handlers are expected, and whether all of them came."""

from __future__ import annotations

import pytest

from wslab.failures import Failure
from wslab.testing.expectation import Expectation


def failure(exc):
    return Failure.of(exc, where="handler")


@pytest.mark.parametrize(
    ("kinds", "match", "fits"),
    [
        ((ValueError,), None, True),
        ((UnicodeDecodeError,), None, False),
        ((KeyError, ValueError), None, True),
        ((Exception,), "sp.m", True),
        ((Exception,), "eggs", False),
    ],
)
def test_a_failure_fits_by_its_class_and_what_it_says(kinds, match, fits):
    expectation = Expectation(kinds, match, 1)
    assert expectation.take(failure(ValueError("spam"))) is fits
    assert len(expectation.failures) == fits


def test_subclasses_fit():
    expectation = Expectation((LookupError,), None, 1)
    assert expectation.take(failure(KeyError("x")))
    assert expectation.missing_after(0) == ""


def test_each_kind_has_to_come_as_often_as_was_said():
    expectation = Expectation((KeyError, ValueError), None, 2)
    for exc in (KeyError(), KeyError(), ValueError()):
        expectation.take(failure(exc))
    assert "to raise ValueError (1 of 2 came) within 0 s" in expectation.missing_after(0)
    expectation.take(failure(ValueError()))
    assert expectation.missing_after(0) == ""


def test_what_is_missing_is_named():
    text = Expectation((KeyError, ValueError), "spam", 1).missing_after(0)
    assert "expected a handler to raise KeyError and ValueError that says 'spam' within" in text
