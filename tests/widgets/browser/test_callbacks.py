"""Callbacks: called in order, one at a time; what they raise and what they miss is seen."""

from __future__ import annotations

import threading

import pytest

from tests.widgets.browser.page import MIB, OPENED, URL, Page, message, until
from wslab.notebook import owners
from wslab.widgets import Browser
from wslab.widgets.browser import callbacks


def test_callbacks_are_called_in_order_and_what_they_raise_is_seen():
    browser = Browser(URL, count=2)
    page = Page(browser)
    heard, seen = [], []

    @browser.on_message
    def hear(text):
        heard.append(text)
        if text == "bad":
            raise ValueError("not this one")

    browser[1].on_message(heard.append)
    browser.on_event(lambda event: seen.append((event.type, event.socket, browser.ready_state)))
    page.batch(OPENED, says=[{"socket": 0, "ready_state": 1}])
    page.batch(message("good"), message("bad"), message("other", 1), message("last"))
    assert heard == ["good", "bad", "other", "last"]
    assert seen == [
        ("open", 0, "OPEN"),  # what it asks is true already
        *[("message", 0, "OPEN")] * 2,
        ("message", 1, "OPEN"),
        ("message", 0, "OPEN"),
    ]
    [error] = browser.errors
    assert str(error).startswith("ValueError: not this one (in ")
    assert error.where.endswith("hear")
    assert "in hear" in error.traceback
    browser.view.refresh()
    assert browser.view.troubles == 1
    assert browser.view.trouble[0]["text"] == str(error)
    browser.off(hear)
    page.batch(message("unheard"))
    assert heard[-1] == "last"


def test_a_callback_may_use_the_browser_and_is_never_called_twice_at_once():
    browser = Browser(URL, autoconnect=False)
    page = Page(browser)
    order, busy = [], threading.Event()
    go_on = threading.Event()

    @browser.on_message
    def hear(text):
        assert not busy.is_set()
        busy.set()
        if text == "1":
            go_on.wait(5)
        order.append(text)
        browser.send(f"answer to {text}")
        busy.clear()

    thread = threading.Thread(target=page.batch, args=(message("1"),))
    thread.start()
    until(busy.is_set)
    page.batch(message("2"), number=2)  # on another thread: taken in, and not waited for
    assert browser.received == ("1", "2")
    assert order == []
    go_on.set()
    thread.join()
    assert order == ["1", "2"]
    until(lambda: [one.get("data") for one in page.commands] == ["answer to 1", "answer to 2"])


def test_what_cannot_be_a_callback():
    browser = Browser(URL)

    async def hear(text):
        pass

    with pytest.raises(TypeError, match="got the async def .*hear: callbacks are called, and"):
        browser.on_message(hear)
    with pytest.raises(TypeError, match="expected a function, got 5"):
        browser.on_event(5)


def test_registering_again_replaces(monkeypatch):
    browser = Browser(URL)
    page = Page(browser)
    heard = []

    def run(run, *names):
        owner = owners.Owner(("cell", "one"), run)
        monkeypatch.setattr(owners, "current_owner", lambda: owner)
        for name in names:
            browser.on_message(lambda text, name=name: heard.append((name, text)))

    run("first", "a", "b")
    run("second", "c")  # the same cell ran again
    monkeypatch.setattr(owners, "current_owner", lambda: None)
    for _ in range(3):
        browser.on_message(heard.append)  # the very same one
    page.batch(message("x"))
    assert heard == [("c", "x"), "x"]


def test_events_do_not_wait_for_a_callback_without_end(monkeypatch):
    """A page floods while a callback hangs: what waits is bounded, and the loss is said."""
    monkeypatch.setattr(callbacks, "MAX_WAITING_BYTES", MIB)
    browser = Browser(URL)
    page = Page(browser)
    goes_on, hangs = threading.Event(), threading.Event()
    heard: list[object] = []

    @browser.on_event
    def slow(event):
        heard.append(event.data or event.text)
        hangs.set()
        assert goes_on.wait(20)

    teller = threading.Thread(target=lambda: page.batch(message("first")))
    teller.start()
    assert hangs.wait(20)
    for number in range(100):  # 10 MiB; nobody waits for the callback here
        page.batch(message(f"{number:03d}" + "x" * 102_400))
    assert browser.page_sockets.callbacks.waiting_bytes <= MIB
    assert browser.passed_over == 90
    goes_on.set()
    teller.join(20)
    assert heard[0] == "first"
    assert heard[1] == "90 events were passed over: the callbacks are too slow"
    assert [str(one)[:3] for one in heard[2:]] == [f"{number:03d}" for number in range(90, 100)]
    assert any("passed over" in event.text for event in browser.events)
    assert browser.page_sockets.callbacks.waiting_bytes == 0
