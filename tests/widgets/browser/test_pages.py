"""Pages: who has the sockets, and what becomes of them when a page goes."""

from __future__ import annotations

from tests.widgets.browser.page import MIB, OPENED, URL, Page, message
from wslab.widgets import Browser
from wslab.widgets.browser import pages


def later(browser: Browser, seconds: float) -> None:
    """Let time pass for its pages, then a tick."""
    of = browser.view.pages
    of._heard_s -= seconds
    of._asked_s -= seconds
    of._asked_all_s -= seconds
    of._candidate_s -= seconds
    browser.view.refresh()


def test_the_first_page_has_the_sockets_and_the_next_looks_on():
    browser = Browser(URL)
    page = Page(browser)
    [own] = page.told("own")
    assert [route["kind"] for route in own["routes"]] == ["direct", "comm"]
    assert (own["reopen"], own["made"], own["history"]) == ([], [0], [])
    page.batch(OPENED, says=[{"socket": 0, "ready_state": 1}])
    other = Page(browser, "page2")
    assert len(page.told("roll")) == len(other.told("roll")) == 1
    other.say("here")
    page.say("here")
    later(browser, pages.ROLL_CALL_S)
    assert browser.view.pages.owner == "page1"
    assert other.told("own") == []
    [look] = other.told("look on")
    assert [event["type"] for event in look["history"]] == ["open"]
    other.batch(message("not its business"))
    assert browser.received == ()


def test_a_page_that_does_not_answer_loses_them():
    browser = Browser(URL)
    page = Page(browser)
    browser.view.refresh()
    page.batch(OPENED, says=[{"socket": 0, "ready_state": 1}], done=[1])
    other = Page(browser, "page2")
    other.say("here")
    later(browser, pages.ROLL_CALL_S)
    assert browser.view.pages.owner == "page2"
    [own] = other.told("own")
    assert own["reopen"] == [0]
    assert own["made"] == [1]
    assert browser.events[-1].type == "note"
    assert "was left or loaded again" in browser.events[-1].text
    # Should it be there after all, it does not keep its sockets beside those.
    assert [said["type"] for said, _ in browser.view.told if said.get("to") == "page1"][-2:] == [
        "let go",
        "look on",
    ]


def test_a_page_that_goes_without_a_word_loses_them_to_one_that_looks_on():
    browser = Browser(URL)
    page, other = Page(browser), Page(browser, "page2")
    page.say("here")
    asked = len(page.told("roll"))
    later(browser, pages.SILENCE_S)
    assert (len(page.told("roll")), len(other.told("roll"))) == (asked + 1, 1)
    page.say("here")
    for _ in range(3):  # each time it answers in its turn
        later(browser, pages.SILENCE_S)
        page.say("here")
    assert len(other.told("roll")) == 1  # nobody else is troubled
    later(browser, pages.SILENCE_S)
    later(browser, pages.SILENCE_S)
    assert len(other.told("roll")) == 2
    other.say("here")
    assert browser.view.pages.owner == "page1"
    later(browser, pages.ROLL_CALL_S)
    assert browser.view.pages.owner == "page2"
    assert len(other.told("own")) == 1


def test_a_kernel_that_hears_nobody_takes_no_page_for_gone():
    browser = Browser(URL)
    page, other = Page(browser), Page(browser, "page2")
    for _ in range(20):  # a cell blocks the kernel, and its ticks go on
        later(browser, pages.SILENCE_S)
    assert browser.view.pages.owner == "page1"
    other.say("here")  # then what waited is heard, in whatever order
    page.say("here")
    later(browser, pages.ROLL_CALL_S)
    assert browser.view.pages.owner == "page1"


def test_a_page_that_looked_on_and_went_gets_nothing():
    browser = Browser(URL)
    page, other = Page(browser), Page(browser, "page2")
    other.say("here")
    other.say("gone", for_good=True)
    later(browser, pages.ROLL_CALL_S)
    other.say("here")  # overtaken by its own last word
    later(browser, pages.ROLL_CALL_S)
    assert browser.view.pages.owner == "page1"
    assert page.told("let go") == []


def test_a_page_takes_over_and_the_other_lets_go():
    browser = Browser(URL)
    page, other = Page(browser), Page(browser, "page2")
    other.say("take")
    assert len(page.told("let go")) == 1
    assert browser.view.pages.owner == "page2"
    assert len(other.told("own")) == 1
    page.batch(message("too late"))
    assert browser.received == ()


def test_a_page_that_comes_back_opens_again_what_was_open():
    browser = Browser(URL, count=3)
    page = Page(browser)
    browser.view.refresh()
    states = [{"socket": n, "ready_state": state} for n, state in enumerate((1, 3, 0))]
    page.batch(says=states, done=[1, 2, 3])
    browser[0].send("on its way")
    browser.view.refresh()
    page.say("gone", for_good=False)
    again = Page(browser, "page2")
    [own] = again.told("own")
    assert own["reopen"] == [0, 2]
    assert [socket.ready_state for socket in browser] == ["CLOSED"] * 3
    notes = [event.text for event in browser.events if event.type == "note"]
    assert len(notes) == 3
    assert notes[2] == ("1 command was on the way to that page: whether they ran is not known")
    # Nothing is sent twice.
    browser.view.refresh()
    assert again.commands == []


def test_a_view_that_is_drawn_elsewhere_changes_nothing():
    browser = Browser(URL)
    page = Page(browser)
    page.batch(OPENED, says=[{"socket": 0, "ready_state": 1}])
    page.say("gone", for_good=True)
    browser.send("meanwhile")
    assert browser.view.refresh() == 0
    page.say("ready", origin="http://localhost:8888", base="/", holds=True)
    assert page.told("own")[-1]["is_back"]
    browser.view.refresh()
    assert page.commands[-1]["data"] == "meanwhile"
    assert browser.ready_state == "OPEN"
    assert [event.type for event in browser.events] == ["open"]


def test_when_the_last_view_is_closed_the_socket_is_gone_and_commands_wait(monkeypatch):
    monkeypatch.setattr(pages, "RETURN_S", 0.0)
    browser = Browser(URL)
    page = Page(browser)
    browser.view.refresh()
    page.batch(OPENED, says=[{"socket": 0, "ready_state": 1}], done=[1])
    page.say("gone", for_good=True)
    browser.view.refresh()
    assert browser.ready_state == "CLOSED"
    assert "its last view was closed" in browser.events[-1].text
    assert not browser.is_shown
    browser.send("later")
    browser.view.refresh()
    assert browser.waiting == 1


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
    monkeypatch.setattr(pages, "MAX_EARLY_BYTES", 2 * MIB)
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
    assert len(page.view.batches.early) <= pages.MAX_EARLY
