"""wslab.Browser without a page: what it puts in line, what it believes, who has the sockets."""

from __future__ import annotations

import functools
import json
import threading
import time

import pytest

import wslab
from tests import jupyters, peers
from wslab.errors import BadURL
from wslab.notebook import cells, environment
from wslab.widgets import Browser, live
from wslab.widgets.browser import browser as browser_module
from wslab.widgets.browser import kernel_socket, widget
from wslab.widgets.browser.kernel_socket import KernelSockets
from wslab.widgets.browser.record import (
    BrowserEvent,
    PageClock,
    Record,
    from_page,
    shown_data,
    to_page,
)
from wslab.widgets.browser.routes import WAYS, Ways

URL = "ws://127.0.0.1:9/"


# For what happens on the lab's loop, beside other tests.
until = functools.partial(peers.until, within_s=20.0)


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    monkeypatch.setattr(environment, "_noted", {})
    monkeypatch.setattr(environment, "_tried", {})
    yield
    for thing in cells.things():
        if isinstance(thing, Browser):
            if thing._view is not None:
                thing._view.close()
            thing.stop()
    assert live._flusher.views == {}


class Page:
    """Plays a page: says what a page would say, and keeps what it is told."""

    def __init__(self, browser: Browser, name: str = "page1", *, own: bool = True) -> None:
        self.view, self.name, self.number = browser.view, name, 0
        if not hasattr(self.view, "told"):
            self.view.told = []
            self.view.send = lambda said, buffers=(): self.view.told.append((said, list(buffers)))
        if own:
            self.say("ready", origin="http://localhost:8888", base="/", holds=False)

    def say(self, type: str, /, *buffers, **said) -> None:
        said = json.loads(json.dumps({"type": type, "page": self.name, **said}))
        self.view._on_msg(self.view, said, [memoryview(one) for one in buffers])

    def batch(self, *events, buffers=(), number=None, says=(), **more) -> None:
        self.number = number or self.number + 1
        now_ms = time.time() * 1000
        events = [{"at": now_ms, **event} for event in events]
        said = {"number": self.number, "at": now_ms, "events": events, "says": list(says)}
        self.say("batch", *buffers, **said, **more)
        assert self.view.failure == ""

    def told(self, kind: str) -> list[dict]:
        return [
            said
            for said, _ in self.view.told
            if said["type"] == kind and said.get("to", self.name) == self.name
        ]

    @property
    def commands(self) -> list[dict]:
        return [command for said in self.told("do") for command in said["commands"]]


OPENED = {"type": "open", "ready_state": 1, "connection": 1, "protocol": "chat"}


def message(data: str, socket: int = 0) -> dict:
    return {"type": "message", "socket": socket, "ready_state": 1, "connection": 1, "data": data}


# What it is made of.


def test_arguments_are_checked():
    with pytest.raises(BadURL, match=r"expected a Server or a ws:// URL, got int 5"):
        Browser(5)
    for count in (0, 33, "2"):
        with pytest.raises(ValueError, match="expected a count from 1 to 32"):
            Browser(URL, count=count)
    with pytest.raises(ValueError, match="expected a way of 'direct', 'tunnel', 'proxy', 'comm'"):
        Browser(URL, way="bus")
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
    assert (browser.buffered_amount, browser.binary_type, browser.way) == (0, "blob", None)
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


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(browser_module, "MAX_WAITING", 3)
    browser = Browser(URL, autoconnect=False)
    for _ in range(3):
        browser.send("x")
    with pytest.raises(BufferError, match="3 commands wait for a page already; show 'browser"):
        browser.send("one too many")
    monkeypatch.setattr(browser_module, "MAX_WAITING", 100)
    monkeypatch.setattr(browser_module, "MAX_WAITING_BYTES", 1_000)
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


# What the page says.


def test_events_arrive_frozen_in_order_with_their_fields():
    browser = Browser(URL, protocols=["chat"])
    page = Page(browser)
    page.say("way", kind="direct", label="directly", changes="", tried="")
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
    assert (browser.ready_state, browser.url, browser.way) == ("CLOSED", URL, "direct")
    assert abs(closed.at - time.time()) < 5


def test_a_call_from_python_keeps_what_was_sent():
    browser = Browser(URL, autoconnect=False)
    page = Page(browser)
    browser.send(b"\x01\x02")
    browser.view.refresh()
    page.batch({"type": "call", "js": "socket.send(...)", "command": 1, "ready_state": 1})
    assert browser.events[0].data == b"\x01\x02"
    assert browser.view._under_way == {}


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


def test_the_record_is_bounded_and_counts():
    record = Record(max_events=3, max_bytes=100)
    for number in range(5):
        record.add(float(number), {"type": "message", "data": "x", "size_bytes": 1})
    assert [event.number for event in record.events] == [3, 4, 5]
    assert (record.dropped, record.seen) == (2, 5)
    record.add(6.0, {"type": "message", "data": b"y" * 99})
    assert [event.number for event in record.events] == [5, 6]
    record.add(7.0, {"type": "message", "data": b"z" * 500})  # the last one always stays
    assert [event.number for event in record.events] == [7]
    browser = Browser(URL)
    page = Page(browser)
    page.batch(dropped=12)
    assert browser.dropped == 12
    for number in range(1_002):
        page.batch(message(str(number)))
    assert (len(browser.received), browser.received_dropped) == (1_000, 2)


# Callbacks.


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
        owner = cells.Owner(("cell", "one"), run)
        monkeypatch.setattr(cells, "current_owner", lambda: owner)
        for name in names:
            browser.on_message(lambda text, name=name: heard.append((name, text)))

    run("first", "a", "b")
    run("second", "c")  # the same cell ran again
    monkeypatch.setattr(cells, "current_owner", lambda: None)
    for _ in range(3):
        browser.on_message(heard.append)  # the very same one
    page.batch(message("x"))
    assert heard == [("c", "x"), "x"]


# Which page has the sockets.


def test_the_first_page_has_the_sockets_and_the_next_looks_on():
    browser = Browser(URL)
    page = Page(browser)
    [own] = page.told("own")
    assert [way["kind"] for way in own["ways"]] == ["direct", "comm"]
    assert (own["reopen"], own["made"], own["history"]) == ([], [0], [])
    page.batch(OPENED, says=[{"socket": 0, "ready_state": 1}])
    other = Page(browser, "page2")
    assert [said["to"] for said, _ in browser.view.told if said["type"] == "roll"] == ["page1"]
    page.say("here")
    browser.view._roll_s -= 10
    browser.view.refresh()
    assert browser.view.owner == "page1"
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
    browser.view._roll_s -= 10
    browser.view.refresh()
    assert browser.view.owner == "page2"
    [own] = other.told("own")
    assert own["reopen"] == [0]
    assert own["made"] == [1]
    assert browser.events[-1].type == "note"
    assert "was left or loaded again" in browser.events[-1].text


def test_a_page_takes_over_and_the_other_lets_go():
    browser = Browser(URL)
    page, other = Page(browser), Page(browser, "page2")
    other.say("take")
    assert len(page.told("let go")) == 1
    assert browser.view.owner == "page2"
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
    monkeypatch.setattr(widget, "RETURN_S", 0.0)
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
        one = cells.Owner(("cell", "browser"), run)
        monkeypatch.setattr(cells, "current_owner", lambda: one)

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


# The way there.


def test_ways_to_a_server_and_to_a_url(monkeypatch):
    here = environment.Place(
        environment.Kind.JUPYTER, "Jupyter", "/", "http://localhost:8888", True, "", True
    )
    monkeypatch.setattr(environment, "detect", lambda *_: here)

    async def handler(websocket):
        pass

    with wslab.serve(handler) as server:
        ways = Ways(server).to_page()
        assert [way["kind"] for way in ways] == ["direct", "proxy", "comm"]
        assert [way["probe"] for way in ways] == [False, True, True]
        assert ways[0]["url"] == server.url
        with_path = Ways(f"{server.url}room?token=secret").to_page()
        assert with_path[0]["url"] == f"{server.url}room?token=secret"
        assert with_path[1]["url"].endswith(f"/proxy/{server.port}/room?token=secret")
        assert "secret" not in with_path[1]["shown"]
        for kind in WAYS:
            expected = [] if kind == "tunnel" else [kind]
            assert [way["kind"] for way in Ways(server, forced=kind).to_page()] == expected
    assert [way["kind"] for way in Ways("wss://echo.example/").to_page()] == ["direct", "comm"]
    hub = environment.Place(environment.Kind.HUB, "Hub", "/user/a/", None, False, "", False)
    monkeypatch.setattr(environment, "detect", lambda *_: hub)
    assert Ways("foo", forced="direct").to_page()[0]["url"] == "foo"


def test_no_way_is_said():
    browser = Browser(URL, way="tunnel")
    page = Page(browser)
    assert page.told("own")[0]["ways"] == []
    page.say("way", kind="none", label="no way there", changes="", tried=[])
    assert browser.way is None
    expected = f"No way leads to {URL}: the way that was asked for is not there"
    assert browser.events[-1].text == expected
    tried = [{"kind": "direct", "label": "directly", "seen": "no connection"}]
    page.say("way", kind="none", label="no way there", changes="", tried=tried)
    assert browser.events[-1].text == f"No way leads to {URL}: no answer directly: no connection"


def test_a_way_that_gives_cookies_away_is_asked_about(server, monkeypatch):
    hub = environment.Place(environment.Kind.HUB, "Hub", "/user/a/", None, False, "", True)
    monkeypatch.setattr(environment, "detect", lambda *_: hub)
    browser = Browser(server)
    page = Page(browser)
    asks = {way["kind"]: way["asks"] for way in page.told("own")[0]["ways"]}
    assert "cookies" in asks["proxy"]
    assert asks["comm"] == ""
    assert Ways(server, forced="proxy").to_page()[0]["asks"] == ""  # was asked for by name
    tried = [{"kind": "tunnel", "label": "by the tunnel", "seen": "403"}]
    page.say("asks", asks=asks["proxy"], tried=tried)
    assert browser.way is None
    assert "no answer by the tunnel: 403. jupyter-server-proxy would" in browser.events[-1].text
    for form in (str(browser), browser._repr_mimebundle_()[0]["text/html"]):
        assert "it waits for an answer: jupyter-server-proxy would carry it" in form.replace(
            "It", "it"
        ).replace("&#x27;", "'")
        assert "way=" in form
    assert environment.seen_by_page("tunnel") == "403"
    page.say("way", kind="proxy", label="by the proxy", changes="", tried=[])
    assert (browser.way, browser.ways.asks) == ("proxy", "")
    assert "waits" not in str(browser)
    # Allowed once, and not asked again in each page that is loaded anew.
    again = Page(browser, "page2", own=False)
    page.say("gone")
    again.say("ready", origin="http://localhost:8888", base="/", holds=False)
    assert {way["asks"] for way in again.told("own")[0]["ways"]} == {""}


def test_what_a_page_tried_of_a_server_elsewhere_says_nothing_of_those_here():
    browser = Browser(URL)
    page = Page(browser)
    tried = [{"kind": "direct", "label": "directly", "seen": "no connection"}]
    page.say("way", kind="comm", label="", changes="", tried=tried)
    assert environment.seen_by_page("direct") is None
    page.say("way", kind="comm", label="", changes="", tried=[{"kind": "direct"}])
    assert "KeyError" in browser.view.failure  # no page of ours says that


# The way through the kernel.


@pytest.fixture
def server():
    async def handler(websocket):
        async for text in websocket:
            if text == "bye":
                await websocket.close(4001, "you said bye")
            else:
                await websocket.send(text)

    with wslab.serve(handler, subprotocols=["chat"]) as running:
        yield running


def through_kernel(page: Page) -> list[dict]:
    page.view.refresh()
    return [one for said in page.told("do") for one in said["comm"]]


def test_a_socket_in_the_kernel_says_what_a_page_needs(server):
    browser = Browser(server, way="comm")
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
    browser = Browser(server, way="comm")
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
    browser = Browser(server.url, way="comm")
    page = Page(browser)
    page.batch(orders=[{"id": "a", "what": "open", "protocols": []}])
    until(lambda: len(through_kernel(page)) == 2)
    error, close = through_kernel(page)
    assert error["what"] == "error"
    assert "nothing listens" in error["text"].lower()
    assert close == {"id": "a", "what": "close", "code": 1006, "reason": "", "was_clean": False}


# What a peer can make grow, in bytes.

MIB = 2**20


@pytest.mark.parametrize(("text", "size_bytes"), [("x", 1), ("ä", 2), ("😀", 4)])
def test_text_counts_as_bytes_everywhere(text, size_bytes, monkeypatch):
    record = Record(max_bytes=10 * size_bytes)
    browser = Browser(URL, autoconnect=False)
    browser.on_message(lambda _: None)
    monkeypatch.setattr(browser_module, "MAX_TO_CALL_BYTES", 10 * size_bytes)
    sockets = KernelSockets(browser.ways, lambda: None)
    for _ in range(100):
        record.add(0.0, {"type": "message", "data": text})
        browser.happened(0.0, {"type": "message", "data": text})
        sockets.tell("a", {"what": "message", "data": text})
    assert (len(record.events), record.dropped) == (10, 90)
    assert (len(browser._to_call), browser.passed_over) == (10, 90)
    assert sockets._out_bytes == 100 * (kernel_socket.MESSAGE_BYTES + size_bytes)
    browser.send(text * 100)
    assert browser._command_bytes == 100 + 100 * size_bytes
    with pytest.raises(ValueError, match="at most"):
        browser.send(text * (MIB // size_bytes + 1))


def test_events_do_not_wait_for_a_callback_without_end(monkeypatch):
    """A page floods while a callback hangs: what waits is bounded, and the loss is said."""
    monkeypatch.setattr(browser_module, "MAX_TO_CALL_BYTES", MIB)
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
    assert browser._to_call_bytes <= MIB
    assert browser.passed_over == 90
    goes_on.set()
    teller.join(20)
    assert heard[0] == "first"
    assert heard[1] == "90 events were passed over: the callbacks are too slow"
    assert [str(one)[:3] for one in heard[2:]] == [f"{number:03d}" for number in range(90, 100)]
    assert any("passed over" in event.text for event in browser.events)
    assert browser._to_call_bytes == 0


def test_a_flood_of_text_makes_the_kernel_stop_reading():
    """From kernel to page: what waits for a page that takes nothing is bounded in bytes."""
    sent = 0

    async def flood(websocket):
        nonlocal sent
        while True:
            await websocket.send("ä" * 100_000)
            sent += 1

    with wslab.serve(flood) as server:
        browser = Browser(server, way="comm")
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
        browser = Browser(server, way="comm")
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
    browser = Browser(server, way="comm")
    page = Page(browser)
    page.batch(message("\ud800"), orders=[{"id": "a", "what": "open", "protocols": ["chat"]}])
    assert browser.received == ("\ufffd",)
    until(lambda: through_kernel(page))
    page.batch(orders=[{"id": "a", "what": "send", "data": "a\ud800b"}])
    page.batch(orders=[{"id": "a", "what": "send", "data": "after it"}])
    said = lambda: [one.get("data") for one in through_kernel(page)]  # noqa: E731
    until(lambda: "after it" in said())
    assert "a\ufffdb" in said()


def test_commands_on_the_way_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(widget, "MAX_UNDER_WAY_BYTES", 3 * MIB)
    browser = Browser(URL)
    page = Page(browser)
    for _ in range(10):
        browser.send(b"x" * (MIB - 200))
    for _ in range(20):
        page.view.refresh()
    commands = page.told("do")[-1]["commands"] and [
        one for said in page.told("do") for one in said["commands"]
    ]
    assert len([one for one in commands if one["what"] == "send"]) <= 4
    assert browser.waiting >= 6
    done = [one["number"] for one in commands]
    page.batch(done=done)
    assert page.view._under_way_bytes == 0
    page.view.refresh()
    assert browser.waiting < 6 or page.view._under_way_bytes > 0


def test_batches_that_overtake_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(widget, "MAX_EARLY_BYTES", 2 * MIB)
    browser = Browser(URL)
    page = Page(browser)
    for number in range(3, 9):
        page.batch(message("x" * 900_000), number=number)
    assert len(page.view._early) == 2
    assert browser.dropped == 4
    page.batch(message("one"), number=1)
    page.batch(message("two"), number=2)
    assert [len(text) for text in browser.received] == [3, 3, 900_000, 900_000]
    assert page.view._early_bytes == 0
    for number in range(100, 200):
        page.batch(number=number)
    assert len(page.view._early) <= widget.MAX_EARLY


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
    assert "more" not in browser[0]._says
    for number in range(1_000):  # their last words never came
        page.say("ready", page=f"page {number}", origin="http://localhost:8888", base="/")
    assert len(page.view.pages) <= widget.MAX_PAGES
    assert page.view.owner in page.view.pages


# The clock, and words.


def test_the_pages_clock_is_mapped_onto_ours():
    clock = PageClock()
    assert clock.difference_s == 0.0
    clock.came(page_s=100.0, kernel_s=100.2)  # 0.2 s late, or its clock is behind
    assert clock.difference_s == 0.0
    clock.came(page_s=105.0, kernel_s=104.0)  # its clock is at least 1 s ahead
    assert clock.difference_s == -1.0
    clock.went(kernel_s=105.0, page_s=106.6)
    assert clock.difference_s == pytest.approx(-1.3)
    assert clock.kernel_s(110.0, now_s=200.0) == pytest.approx(108.7)
    assert clock.kernel_s(109.0, now_s=200.0) == pytest.approx(108.7)  # never backwards
    assert clock.kernel_s(300.0, now_s=200.0) == 200.0  # never after now
    clock.came(page_s=300.0, kernel_s=200.0)  # somebody set a clock
    assert clock.difference_s == -100.0


def test_an_event_goes_to_a_page_that_is_loaded_again_and_back():
    event = BrowserEvent(1, 5.0, "message", data="x" * 500, size_bytes=500, ready_state="OPEN")
    said = to_page(event)
    assert (said["at"], len(said["data"]), said["ready_state"]) == (5_000.0, 200, 1)
    binary = BrowserEvent(1, 5.0, "message", data=bytes(range(20)), size_bytes=20)
    assert to_page(binary)["hex"] == "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
    fields = from_page(json.loads(json.dumps(said)), [], 1)
    assert (fields["type"], fields["size_bytes"]) == ("message", 500)
    assert shown_data(bytes(20), 20) == f"20 bytes: {bytes(16).hex(' ')} ..."
    assert shown_data("a\nb", 3) == '"a\\nb"'


def test_as_text_and_html():
    browser = Browser(URL, name="<it>")
    assert "Nothing has happened yet" in str(browser)
    page = Page(browser)
    page.batch(OPENED, message("<b>hi</b>"), says=[{"socket": 0, "ready_state": 1}])
    text = str(browser).splitlines()
    assert text[1].split() == ["time", "state", "what", "detail"]
    assert text[3].endswith('OPEN   message  "<b>hi</b>"')
    data, _ = browser._repr_mimebundle_()
    assert "<b>hi</b>" not in data["text/html"]
    assert "&lt;b&gt;hi&lt;/b&gt;" in data["text/html"]
    assert "&lt;it&gt;" in data["text/html"]
    assert data["text/plain"] == str(browser)
    assert "application/vnd.jupyter.widget-view+json" in data
    for number in range(40):
        page.batch(message(str(number)))
    assert "the last 30 of 42 events" in str(browser)
    several = Browser(URL, count=2)
    Page(several).batch(message("x", 1))
    assert "socket" in str(several)
