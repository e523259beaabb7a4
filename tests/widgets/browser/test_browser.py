"""wslab.Browser without a page: its arguments, what it keeps, what it believes of a page."""

from __future__ import annotations

import time

import pytest

import wslab
from tests.widgets.browser.page import MIB, OPENED, URL, Page, message
from wslab.errors import BadURL
from wslab.notebook import cells, owners
from wslab.widgets import Browser
from wslab.widgets.browser import callbacks, kernel_socket, pages
from wslab.widgets.browser.kernel_socket import KernelSockets
from wslab.widgets.browser.record import (
    EventLog,
)


def test_arguments_are_checked():
    with pytest.raises(BadURL, match=r"expected a Server or a ws:// URL, got int 5"):
        Browser(5)
    for count in (0, 33, "2"):
        with pytest.raises(ValueError, match="expected a count from 1 to 32"):
            Browser(URL, count=count)
    with pytest.raises(ValueError, match="expected a route of 'direct', 'tunnel', 'proxy', 'comm'"):
        Browser(URL, route="bus")
    browser = Browser(URL, autoconnect=False)
    with pytest.raises(TypeError, match=r"got dict; a WebSocket carries no objects: json\.dumps"):
        browser.send({"a": 1})
    with pytest.raises(ValueError, match="expected at most 1,048,576 bytes, got 1,048,577"):
        browser.send(bytes(2**20 + 1))
    with pytest.raises(TypeError, match="expected a close code"):
        browser.close("1000")
    with pytest.raises(TypeError, match="expected a reason"):
        browser.close(1000, b"bye")
    with pytest.raises(ValueError, match="expected 'blob' or 'arraybuffer'"):
        browser.binary_type = "nodebuffer"
    assert browser.waiting == 0


def test_the_public_name_is_the_class():
    assert wslab.Browser is Browser
    assert "Browser" in wslab.__all__


def test_before_any_page_everything_waits():
    browser = Browser(URL, protocols="chat", name="it")
    browser.send("hello")
    browser.send(bytearray(b"\x01"), when_open=True)
    browser.close(4000, "bye")
    assert browser.waiting == 4
    assert browser.ready_state is None
    assert not browser.is_shown
    assert (browser.url, browser.protocol, browser.extensions) == ("", "", "")
    assert (browser.buffered_amount, browser.binary_type, browser.route) == (0, "blob", None)
    assert repr(browser) == (
        "<Browser 'it' to ws://127.0.0.1:9/, no socket yet, 4 commands waiting for a page to show"
        " it>"
    )
    page = Page(browser)
    browser.view.refresh()
    assert page.commands == [
        {"number": 1, "socket": 0, "what": "connect"},
        {"number": 2, "socket": 0, "what": "send", "data": "hello"},
        {"number": 3, "socket": 0, "what": "send", "buffer": 0, "when_open": True},
        {"number": 4, "socket": 0, "what": "close", "code": 4000, "reason": "bye"},
    ]
    assert page.view.told[-1][1] == [b"\x01"]
    assert (browser.waiting, browser.is_shown) == (0, True)
    assert browser.view.protocols == ["chat"]


def test_events_arrive_frozen_in_order_with_their_fields():
    browser = Browser(URL, protocols=["chat"])
    page = Page(browser)
    page.say("route", kind="direct", label="directly", changes="", tried="")
    browser.view.refresh()
    page.batch(
        {"type": "call", "by": "python", "js": "const socket = ...", "connection": 1,
         "ready_state": 0, "command": 1},
        OPENED,
        says=[{"socket": 0, "ready_state": 1, "url": URL, "protocol": "chat", "extensions": "",
               "buffered_amount": 7, "binary_type": "arraybuffer"}],
    )  # fmt: skip
    page.batch(
        message("hello"),
        {"type": "message", "buffer": 0, "size_bytes": 3, "binary_type": "blob",
         "ready_state": 1, "connection": 1},
        {"type": "exception", "name": "InvalidAccessError", "text": "no", "js": "socket.close(1)",
         "ready_state": 1, "connection": 1},
        {"type": "close", "code": 4001, "reason": "bye", "was_clean": True, "ready_state": 3,
         "connection": 1},
        buffers=[b"\x00\x01\xff"],
        says=[{"socket": 0, "ready_state": 3, "url": URL}],
    )  # fmt: skip
    call, opened, text, binary, thrown, closed = browser.events
    assert [event.number for event in browser.events] == [1, 2, 3, 4, 5, 6]
    assert (call.type, call.by, call.ready_state, call.connection) == (
        "call", "python", "CONNECTING", 1,
    )  # fmt: skip
    assert (opened.protocol, opened.ready_state) == ("chat", "OPEN")
    assert text.data == "hello"
    assert (binary.data, binary.size_bytes, binary.binary_type) == (b"\x00\x01\xff", 3, "blob")
    assert (thrown.name, thrown.text) == ("InvalidAccessError", "no")
    assert (closed.code, closed.reason, closed.was_clean) == (4001, "bye", True)
    assert str(closed) == 'close: code 4001, reason "bye", wasClean true'
    with pytest.raises(AttributeError):
        closed.code = 1000
    assert browser.received == ("hello", b"\x00\x01\xff")
    assert browser.exceptions == (thrown,)
    assert (browser.ready_state, browser.url, browser.route) == ("CLOSED", URL, "direct")
    assert abs(closed.at - time.time()) < 5


def test_a_call_from_python_keeps_what_was_sent():
    browser = Browser(URL, autoconnect=False)
    page = Page(browser)
    browser.send(b"\x01\x02")
    browser.view.refresh()
    page.batch({"type": "call", "js": "socket.send(...)", "command": 1, "ready_state": 1})
    assert browser.events[0].data == b"\x01\x02"
    assert len(browser.view.pages.under_way) == 0


def test_nonsense_is_shown_and_not_believed():
    browser = Browser(URL)
    page = Page(browser)
    page.say("batch", number=1, at=0, events=[{"type": "message", "socket": 5, "at": 0}], says=[])
    assert "expected an event of socket 0 to 0, got 'message' of 5" in browser.view.failure
    assert browser.events == ()
    page.say("nothing of the kind")
    browser.view._on_msg(browser.view, "no dict", [])
    assert browser.events == ()


def test_several_sockets():
    browser = Browser(URL, count=3)
    page = Page(browser)
    browser[1].send("to the second")
    browser.view.refresh()
    assert [command["socket"] for command in page.commands] == [0, 1, 2, 1]
    page.batch(message("a", 0), message("b", 2), says=[{"socket": 2, "ready_state": 2}])
    assert len(browser) == 3
    assert [socket.received for socket in browser] == [("a",), (), ("b",)]
    assert [socket.ready_state for socket in browser] == [None, None, "CLOSING"]
    assert browser.received == ("a",)
    assert [event.data for event in browser[2].events] == ["b"]
    assert repr(browser[2]) == f"<Socket 2 of {browser.name!r}, CLOSING, 1 received>"
    with pytest.raises(IndexError):
        browser[3]
    assert browser


def test_stop_ends_it_for_good():
    browser = Browser(URL)
    page = Page(browser)
    page.batch(OPENED, says=[{"socket": 0, "ready_state": 1}])
    with browser:
        pass
    browser.stop()
    assert browser.view.ended == "stopped"
    assert browser.ready_state == "CLOSED"
    assert repr(browser).endswith(", stopped>")
    assert browser not in cells.things()
    with pytest.raises(RuntimeError, match=r"has ended \(stopped\); make a new wslab.Browser"):
        browser.send("x")
    page.say("gone", for_good=True)
    assert browser.view.comm is None  # nobody looks: nothing of it is left


def test_running_the_cell_again_replaces_it(monkeypatch):
    def owner(run):
        one = owners.Owner(("cell", "browser"), run)
        monkeypatch.setattr(owners, "current_owner", lambda: one)

    owner("first")
    old, same = Browser(URL), Browser(URL)
    Page(old)
    assert (old.ended, same.ended) == ("", "")
    owner("second")
    new = Browser(URL)
    assert old.replaced
    assert same.replaced
    assert old.view.ended == "its cell ran again, and a new one took its place"
    assert new.ended == ""


def test_shutdown_ends_it():
    browser = Browser(URL)
    wslab.shutdown()
    assert browser.ended == "stopped"


@pytest.mark.parametrize(("text", "size_bytes"), [("x", 1), ("ä", 2), ("😀", 4)])
def test_text_counts_as_bytes_everywhere(text, size_bytes, monkeypatch):
    record = EventLog(max_bytes=10 * size_bytes)
    browser = Browser(URL, autoconnect=False)
    browser.on_message(lambda _: None)
    monkeypatch.setattr(callbacks, "MAX_WAITING_BYTES", 10 * size_bytes)
    sockets = KernelSockets(browser.page_sockets.routes, lambda: None)
    for _ in range(100):
        record.add(0.0, {"type": "message", "data": text})
        browser.page_sockets.happened(0.0, {"type": "message", "data": text})
        sockets.tell("a", {"what": "message", "data": text})
    assert (len(record.events), record.dropped) == (10, 90)
    assert (browser.page_sockets.callbacks.waiting, browser.passed_over) == (10, 90)
    assert sockets._out_bytes == 100 * (kernel_socket.MESSAGE_BYTES + size_bytes)
    browser.send(text * 100)
    assert browser.page_sockets.commands.size_bytes == 100 + 100 * size_bytes
    with pytest.raises(ValueError, match="at most"):
        browser.send(text * (MIB // size_bytes + 1))


def test_a_page_that_tells_of_too_much_is_cut_short():
    browser = Browser(URL)
    page = Page(browser)
    long = "x" * (3 * MIB)
    page.batch(
        {**message(long), "protocol": long, "reason": long},
        message(None) | {"buffer": 0},
        buffers=[long.encode()],
        says=[{"socket": 0, "ready_state": 1, "url": long, "protocol": long, "more": long}],
    )
    for event in browser.events:
        assert event.is_cut
        assert len(event.data) == 65_536
    assert len(browser.url) == len(browser.protocol) == 2_000
    assert "more" not in browser.page_sockets.states[0].words
    for number in range(1_000):  # their last words never came
        page.say("ready", page=f"page {number}", origin="http://localhost:8888", base="/")
    assert len(page.view.pages.shown) <= pages.MAX_PAGES
    assert page.view.pages.owner in page.view.pages.shown
