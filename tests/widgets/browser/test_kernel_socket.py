"""Sockets in the kernel, for a page: they say what a page needs, and are bounded."""

from __future__ import annotations

import wslab
from tests import jupyters
from tests.widgets.browser.page import MIB, Page, message, until
from wslab.widgets import Browser
from wslab.widgets.browser import kernel_socket


def through_kernel(page: Page) -> list[dict]:
    page.view.refresh()
    return [one for said in page.told("do") for one in said["comm"]]


def test_a_socket_in_the_kernel_says_what_a_page_needs(server):
    browser = Browser(server, route="comm")
    page = Page(browser)
    page.batch(orders=[{"id": "a", "what": "open", "protocols": ["chat"]}])
    until(lambda: through_kernel(page))
    page.batch(orders=[{"id": "a", "what": "send", "data": "hä"}])
    page.batch(orders=[{"id": "a", "what": "send", "buffer": 0}], buffers=[b"\x01"])
    until(lambda: [one["what"] for one in through_kernel(page)].count("message") == 2)
    page.batch(orders=[{"id": "a", "what": "send", "data": "bye"}])
    until(lambda: through_kernel(page)[-1]["what"] == "close")
    said = through_kernel(page)
    assert said[0] == {"id": "a", "what": "open", "protocol": "chat", "extensions": ""}
    messages = [one for one in said if one["what"] == "message"]
    assert messages[0]["data"] == "hä"
    assert "buffer" in messages[1]
    # One receipt may stand for several messages.
    assert sum(one["size"] for one in said if one["what"] == "sent") == 7
    assert sum(one["count"] for one in said if one["what"] == "sent") == 3
    assert said[-1] == {
        "id": "a", "what": "close", "code": 4001, "reason": "you said bye", "was_clean": True,
    }  # fmt: skip
    assert browser.view.kernel_sockets._sockets == {}


def test_a_socket_in_the_kernel_is_closed_by_the_page_and_with_it(server):
    browser = Browser(server, route="comm")
    page = Page(browser)
    page.batch(orders=[{"id": name, "what": "open", "protocols": ["chat"]} for name in "ab"])
    until(lambda: len(through_kernel(page)) == 2)
    page.batch(orders=[{"id": "a", "what": "close", "code": 4002, "reason": "mine"}])
    until(lambda: len(through_kernel(page)) == 3)
    assert through_kernel(page)[-1]["code"] == 4002
    assert len(server.connections) == 1
    browser.stop()
    until(lambda: len(server.connections) == 0)


def test_a_refused_socket_in_the_kernel(server):
    server.stop()
    browser = Browser(server.url, route="comm")
    page = Page(browser)
    page.batch(orders=[{"id": "a", "what": "open", "protocols": []}])
    until(lambda: len(through_kernel(page)) == 2)
    error, close = through_kernel(page)
    assert error["what"] == "error"
    assert "nothing listens" in error["text"].lower()
    assert close == {"id": "a", "what": "close", "code": 1006, "reason": "", "was_clean": False}


def test_a_flood_of_text_makes_the_kernel_stop_reading():
    """From kernel to page: what waits for a page that takes nothing is bounded in bytes."""
    sent = 0

    async def flood(websocket):
        nonlocal sent
        while True:
            await websocket.send("ä" * 100_000)
            sent += 1

    with wslab.serve(flood) as server:
        browser = Browser(server, route="comm")
        page = Page(browser)
        page.batch(orders=[{"id": "a", "what": "open", "protocols": []}])
        sockets = browser.view.kernel_sockets
        until(lambda: sockets.is_full, within_s=20)
        settled = jupyters.settled(lambda: sent)
        assert sockets._out_bytes <= kernel_socket.MAX_OUT_BYTES + 300_000
        taken, size = sockets.take(256 * 1024, [])
        texts = [one["data"] for one in taken if one["what"] == "message"]
        assert 256 * 1024 <= size < 256 * 1024 + 300_000  # a batch is bounded, too
        assert size >= sum(len(text.encode()) for text in texts)
        until(lambda: sent > settled)  # it reads on
        browser.stop()


def test_a_page_that_sends_to_a_server_that_does_not_read_is_told_that_it_is_full():
    async def deaf(websocket):
        websocket.transport.pause_reading()
        await websocket.wait_closed()

    with wslab.serve(deaf) as server:
        browser = Browser(server, route="comm")
        page = Page(browser)
        page.batch(orders=[{"id": "a", "what": "open", "protocols": []}])
        until(lambda: through_kernel(page))
        (one,) = browser.view.kernel_sockets._sockets.values()
        piece = b"x" * MIB
        for _ in range(40):
            page.batch(orders=[{"id": "a", "what": "send", "buffer": 0}], buffers=[piece])
            assert one._waiting_bytes <= kernel_socket.MAX_IN_BYTES
        until(lambda: through_kernel(page)[-1]["what"] == "close")
        said = through_kernel(page)
        (error,) = (one for one in said if one["what"] == "error")
        assert "the socket is full, so it is closed" in error["text"]
        assert (said[-1]["code"], said[-1]["was_clean"]) == (1006, False)


def test_half_a_surrogate_pair_is_sent_as_a_browser_does(server):
    """JavaScript's strings may hold one; UTF-8 can't (WebIDL, USVString)."""
    browser = Browser(server, route="comm")
    page = Page(browser)
    page.batch(message("\ud800"), orders=[{"id": "a", "what": "open", "protocols": ["chat"]}])
    assert browser.received == ("\ufffd",)
    until(lambda: through_kernel(page))
    page.batch(orders=[{"id": "a", "what": "send", "data": "a\ud800b"}])
    page.batch(orders=[{"id": "a", "what": "send", "data": "after it"}])
    said = lambda: [one.get("data") for one in through_kernel(page)]  # noqa: E731
    until(lambda: "after it" in said())
    assert "a\ufffdb" in said()
