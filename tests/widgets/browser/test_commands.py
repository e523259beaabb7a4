"""Commands: what waits for a page, and what it has not run yet, is bounded."""

from __future__ import annotations

import pytest

from tests.widgets.browser.page import MIB, URL, Page
from wslab.widgets import Browser
from wslab.widgets.browser import commands


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(commands, "MAX_WAITING", 3)
    browser = Browser(URL, autoconnect=False)
    for _ in range(3):
        browser.send("x")
    with pytest.raises(BufferError, match="3 commands wait for a page already; show 'browser"):
        browser.send("one too many")
    monkeypatch.setattr(commands, "MAX_WAITING", 100)
    monkeypatch.setattr(commands, "MAX_WAITING_BYTES", 1_000)
    with pytest.raises(BufferError):
        browser.send("x" * 700)
    assert browser.waiting == 3


def test_commands_go_in_bounded_batches_and_the_page_sets_the_pace():
    browser = Browser(URL, autoconnect=False)
    page = Page(browser)
    for number in range(1_500):
        browser.send(str(number))
    for _ in range(20):
        browser.view.refresh()
    batches = [len(said["commands"]) for said in page.told("do")]
    assert sum(batches) == 1_000  # the flusher may have begun while the last were still to come
    assert max(batches) == 200
    page.batch(done=list(range(1, 501)))
    for _ in range(3):
        browser.view.refresh()
    assert [command["data"] for command in page.commands] == [str(n) for n in range(1_500)]
    big = Browser(URL, autoconnect=False)
    page = Page(big)
    for _ in range(5):
        big.send(bytes(200_000))
    sizes = [big.view.refresh() for _ in range(5)]
    assert all(size > 200_000 for size in sizes if size)  # the flusher may have sent one of them
    assert [len(said["commands"]) for said in page.told("do")] == [1] * 5


def test_commands_on_the_way_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(commands, "MAX_UNDER_WAY_BYTES", 3 * MIB)
    browser = Browser(URL)
    page = Page(browser)
    for _ in range(10):
        browser.send(b"x" * (MIB - 200))
    for _ in range(20):
        page.view.refresh()
    sent = page.told("do")[-1]["commands"] and [
        one for said in page.told("do") for one in said["commands"]
    ]
    assert len([one for one in sent if one["what"] == "send"]) <= 4
    assert browser.waiting >= 6
    done = [one["number"] for one in sent]
    page.batch(done=done)
    assert page.view.pages.under_way.size_bytes == 0
    page.view.refresh()
    assert browser.waiting < 6 or page.view.pages.under_way.size_bytes > 0
