"""Batches: taken once, in their turn; what runs too far ahead is not kept."""

from __future__ import annotations

from tests.widgets.browser.page import MIB, URL, Page, message
from wslab.widgets import Browser
from wslab.widgets.browser import batches


def test_batches_that_overtook_each_other_are_put_in_order():
    browser = Browser(URL)
    page = Page(browser)
    page.batch(message("2"), number=2)
    page.batch(message("3"), number=3)
    assert browser.received == ()
    page.batch(message("1"), number=1)
    page.batch(message("1 again"), number=1)
    assert browser.received == ("1", "2", "3")
    browser.view.refresh()
    assert page.told("do")[-1]["ack"] == 3


def test_batches_that_overtake_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(batches, "MAX_EARLY_BYTES", 2 * MIB)
    browser = Browser(URL)
    page = Page(browser)
    for number in range(3, 9):
        page.batch(message("x" * 900_000), number=number)
    assert len(page.view.batches.early) == 2
    assert browser.dropped == 4
    page.batch(message("one"), number=1)
    page.batch(message("two"), number=2)
    assert [len(text) for text in browser.received] == [3, 3, 900_000, 900_000]
    assert page.view.batches.early_bytes == 0
    for number in range(100, 200):
        page.batch(number=number)
    assert len(page.view.batches.early) <= batches.MAX_EARLY
