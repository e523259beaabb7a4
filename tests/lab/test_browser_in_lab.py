"""wslab.Browser in a real JupyterLab: a real WebSocket, counted by a server of this process.

The server lives here, outside the kernel, so that it sees what a reload, a closed tab or a restart
leaves behind. WSLAB_SCREENSHOTS=folder keeps pictures of the states, in both themes and narrow.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator

import pytest

import wslab
from tests.browser import Sync
from tests.lab.harness import DARK, LIGHT, Lab, Notebook, keep_screenshots
from tests.lab.test_panels_in_lab import CONTRASTS, complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

IMPORT = "import json, wslab"
LONG = "x" * 124
STATE = "Failed to execute 'send' on 'WebSocket': Still in CONNECTING state."
CODE = (
    "Failed to execute 'close' on 'WebSocket': The close code must be either 1000, or between 3000 "
    "and 4999. 1001 is neither."
)
REASON = (
    "Failed to execute 'close' on 'WebSocket': The close reason must not be greater than 123 UTF-8 "
    "bytes."
)


class House:
    """A server, and what became of its connections."""

    def __init__(self) -> None:
        self.closed: list[tuple[int | None, str | None]] = []
        self.received: list[str | bytes] = []
        self.answers_open = asyncio.Event()
        self.answers_close: list[Callable[[], None]] = []
        self.server = wslab.serve(
            self.handle,
            name="house",
            select_subprotocol=self.choose,
            process_request=self.slowly,
            max_size=None,
        )
        self.url = self.server.url

    def choose(self, _connection, offered):
        return next((one for one in offered if one in ("chat", "other")), None)

    async def slowly(self, connection, request):
        if request.path.startswith("/slow"):
            await self.answers_open.wait()
        if request.path.startswith("/no"):
            return connection.respond(403, "not you\n")
        return None

    async def handle(self, websocket):
        try:
            async for message in websocket:
                self.received.append(message)
                if message == "bye":
                    await websocket.close(4001, "you said bye")
                elif message == "abort":
                    websocket.transport.abort()
                elif message == "hold":  # reads no more: a close frame is not answered
                    websocket.transport.pause_reading()
                    self.answers_close.append(websocket.transport.resume_reading)
                elif message == "flood":
                    for number in range(900):
                        await websocket.send(f"number {number}")
                        await asyncio.sleep(1 / 320)
                else:
                    await websocket.send(message)
        finally:
            self.closed.append((websocket.close_code, websocket.close_reason))

    def answer_open(self) -> None:
        async def answer() -> None:
            self.answers_open.set()

        wslab.run(answer)

    def answer_close(self) -> None:
        async def answer() -> None:
            for one in self.answers_close:
                one()

        wslab.run(answer)

    @property
    def now(self) -> int:
        return len(self.server.connections)

    @property
    def seen(self) -> int:
        return self.server.connections_seen


@pytest.fixture
def house() -> Iterator[House]:
    one = House()
    yield one
    one.answer_open()
    one.server.stop()


class Shown:
    """One view of a Browser in the page."""

    def __init__(self, notebook: Notebook, index: int, nth: int = 0) -> None:
        self.root = notebook.cell(index).locator(".ws-browser").nth(nth)
        self.now = self.root.locator(".ws-machine [aria-current=step] b")
        self.said = self.root.locator(".ws-said")
        self.log = self.root.locator(".ws-log li")
        self.message = self.root.get_by_role("textbox", name="Message to send")
        self.code = self.root.get_by_role("textbox", name="Close code")
        self.reason = self.root.get_by_role("textbox", name="Close reason")
        self.kind = self.root.get_by_role("combobox", name="Kind of message")
        self.js = self.root.locator(".ws-js")

    def button(self, name: str) -> Sync:
        return self.root.get_by_role("button", name=name, exact=True)

    def close(self, code: str, reason: str = "") -> None:
        self.code.fill(code)
        self.reason.fill(reason)
        self.button("Close").click()


def until(condition: Callable[[], object], what: str = "", timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what or "it did not happen"
        time.sleep(0.02)


def ask(notebook: Notebook, index: int, is_enough: Callable[[object], bool]) -> object:
    """Run a cell that prints JSON until it prints what is wanted; return that."""
    deadline = time.monotonic() + 15
    while True:
        notebook.run_cell(index)
        assert notebook.errors() == []
        said = json.loads(notebook.text(index))
        if is_enough(said):
            return said
        assert time.monotonic() < deadline, said


def test_every_state_by_hand_with_its_exceptions(lab: Lab, house: House, expect):
    cells = [
        IMPORT,
        f"browser = wslab.Browser({house.url + 'slow'!r}, protocols=['nobody', 'other'])\nbrowser",
        "print(json.dumps([[e.type, e.ready_state, e.by, e.name, e.text, e.js, e.code, e.reason,"
        " e.was_clean] for e in browser.events]))",
        "print(json.dumps([browser.ready_state, browser.url, browser.protocol, browser.extensions,"
        " browser.buffered_amount, browser.binary_type, list(map(repr, browser.received))]))",
    ]
    with lab.open(lab.write("states.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        browser = Shown(notebook, 1)
        expect(browser.now).to_have_text("CONNECTING")
        expect(browser.root).to_contain_text("send() throws InvalidStateError here")
        browser.message.fill("too early")
        expect(browser.js.nth(1)).to_have_text('socket.send("too early");')
        browser.message.press("Enter")
        expect(browser.log.last).to_contain_text(f"InvalidStateError {STATE}")

        house.answer_open()
        expect(browser.now).to_have_text("OPEN")
        browser.message.fill("hello")
        browser.button("Send").click()
        expect(browser.log.last).to_contain_text('message data "hello"')
        browser.kind.select_option("binary")
        browser.message.fill("89 50 4e 4")
        expect(browser.js.nth(1)).to_contain_text("two hexadecimal digits a byte")
        browser.message.fill("89 50 4e 47")
        browser.button("Send").click()
        expect(browser.log.last).to_contain_text("Blob of 4 bytes: 89 50 4e 47")
        browser.close("1001")
        expect(browser.log.last).to_contain_text(f"InvalidAccessError {CODE}")
        browser.close("1000", LONG)
        expect(browser.log.last).to_contain_text(f"SyntaxError {REASON}")
        expect(browser.now).to_have_text("OPEN")

        browser.kind.select_option("text")
        browser.message.fill("hold")
        browser.button("Send").click()
        until(lambda: house.received[-1:] == ["hold"])
        browser.close("4000", "bye")
        expect(browser.now).to_have_text("CLOSING")
        expect(browser.root).to_contain_text("send() throws nothing and sends nothing")
        browser.message.fill("too late")
        browser.button("Send").click()
        house.answer_close()
        expect(browser.now).to_have_text("CLOSED")
        expect(browser.log.last).to_contain_text('close code 4000, reason "bye", wasClean true')
        browser.message.fill("far too late")
        browser.button("Send").click()
        expect(browser.log.last).to_contain_text('socket.send("far too late"); by hand')

        said = ask(notebook, 2, lambda said: len(said) == 17)
        assert [row[0] for row in said] == [
            *("call", "call", "exception", "open"),
            *("call", "message", "call", "message"),
            *("call", "exception", "call", "exception"),
            *("call", "call", "call", "close", "call"),
        ]
        assert [row[1] for row in said][:5] == ["CONNECTING"] * 3 + ["OPEN"] * 2
        assert [row[1] for row in said][-5:] == ["OPEN", "CLOSING", "CLOSING", "CLOSED", "CLOSED"]
        assert [row[3:5] for row in said if row[0] == "exception"] == [
            ["InvalidStateError", STATE],
            ["InvalidAccessError", CODE],
            ["SyntaxError", REASON],
        ]
        _state, url, protocol, extensions, buffered, binary_type, received = ask(
            notebook, 3, lambda said: said[0] == "CLOSED"
        )
        assert (url, protocol, extensions) == (house.url + "slow", "other", "")
        assert binary_type == "blob"
        assert buffered > 0  # what was given to a socket that closes counts for ever
        assert received == ["'hello'", "b'\\x89PNG'"]
        assert house.received == ["hello", b"\x89PNG", "hold"]
        until(lambda: house.closed == [(4000, "bye")])
        late = [line.split(" [")[0] for line in complaints(notebook)]
        assert late == ["error: WebSocket is already in CLOSING or CLOSED state."] * 2


def test_what_the_browser_refuses_arrives_as_it_throws_it(lab: Lab, house: House, expect):
    cells = [
        IMPORT,
        f"""
bad = wslab.Browser("gopher://127.0.0.1/")
twice = wslab.Browser({house.url!r}, protocols=["chat", "chat"])
none = wslab.Browser({house.url!r}, autoconnect=False)
none.send("to nothing")
refused = wslab.Browser({house.url + "no"!r})
nobody = wslab.Browser("ws://127.0.0.1:9/")
early = wslab.Browser({house.url!r})
early.send("early")
early.send("in time", when_open=True)
early.connect()
all = [bad, twice, none, refused, nobody, early]
from IPython.display import display
display(*all)""",
        "print(json.dumps([[[e.type, e.name, e.text, e.js, e.code, e.was_clean]"
        " for e in one.events] for one in all]))",
    ]
    with lab.open(lab.write("refused.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        until(lambda: "in time" in house.received)
        bad, twice, none, refused, nobody, early = ask(
            notebook, 2, lambda said: [len(one) for one in said] == [2, 2, 2, 3, 3, 8]
        )
        assert bad[1][:3] == [
            "exception",
            "SyntaxError",
            "Failed to construct 'WebSocket': The URL's scheme must be either 'http', 'https', "
            "'ws', or 'wss'. 'gopher' is not allowed.",
        ]
        assert twice[1][:3] == [
            "exception",
            "SyntaxError",
            "Failed to construct 'WebSocket': The subprotocol 'chat' is duplicated.",
        ]
        assert none[1][:4] == [
            "exception",
            "TypeError",
            "Cannot read properties of undefined (reading 'send')",
            'socket.send("to nothing");',
        ]
        for one in (refused, nobody):
            assert [event[0] for event in one] == ["call", "error", "close"]
            assert one[2][4:] == [1006, False]
        assert [event[0] for event in early] == [
            *("call", "call", "exception", "call", "note", "open", "call", "message"),
        ]
        assert early[2][1:3] == ["InvalidStateError", STATE]
        assert early[3][3] == (
            'socket.addEventListener("open", () => socket.send("in time"), { once: true });'
        )
        assert early[4][2].startswith("Nothing was done: it is still CONNECTING.")
        assert house.seen == 1  # "no" was refused, and early has one connection, not two
        expect(Shown(notebook, 1, 3).root.locator("[data-state=broken]")).to_have_count(1)
        # The browser itself says in the console that a socket was refused.
        lines = [line for line in complaints(notebook) if "WebSocket connection to" not in line]
        assert lines == []


def test_three_sockets(lab: Lab, house: House, expect):
    cells = [
        IMPORT,
        f"browser = wslab.Browser({house.url!r}, protocols='chat', count=3)\nbrowser",
        "for n, socket in enumerate(browser):\n    socket.send(f'to {n}')\n"
        "browser[2].close(4002, 'third')",
        "print(json.dumps([[s.ready_state, s.received, s.protocol, [e.type for e in s.events]]"
        " for s in browser]))",
        "print(json.dumps([len(browser), browser.ready_state, browser.received]))",
    ]
    with lab.open(lab.write("three.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        until(lambda: house.now == 3)
        notebook.run_cell(2)
        until(lambda: house.closed == [(4002, "third")])
        assert sorted(map(str, house.received)) == ["to 0", "to 1", "to 2"]
        said = ask(notebook, 3, lambda said: said[2][0] == "CLOSED" and said[1][1])
        assert said[:2] == [
            ["OPEN", [f"to {n}"], "chat", ["call", "open", "call", "message"]] for n in (0, 1)
        ]
        assert said[2][3][:4] == ["call", "open", "call", "call"]
        notebook.run_cell(4)
        assert json.loads(notebook.text(4)) == [3, "OPEN", ["to 0"]]

        browser = Shown(notebook, 1)
        rows = browser.root.locator("tbody tr")
        expect(rows).to_have_count(3)
        expect(rows.nth(2)).to_contain_text("CLOSED")
        expect(browser.now).to_have_text("OPEN")
        browser.root.get_by_role("radio").nth(2).check()
        expect(browser.now).to_have_text("CLOSED")
        browser.button("Connect").click()
        expect(browser.now).to_have_text("OPEN")
        assert (house.now, house.seen) == (3, 4)
        expect(browser.log.last).to_contain_text("[2]")
        browser.root.get_by_role("radio").nth(1).check()
        expect(browser.js.nth(1)).to_have_text('sockets[1].send("");')
        assert complaints(notebook) == []


LIVES = [
    IMPORT,
    "browser = wslab.Browser({url!r}, name='it')\nbrowser.on_message(heard.append)\nbrowser",
    "browser",
    "heard = []",
    "print(json.dumps([browser.ready_state, [[e.type, e.text] for e in browser.events], heard]))",
]


def test_two_views_share_a_socket(lab: Lab, house: House, expect):
    cells = [cell.replace("{url!r}", repr(house.url)) for cell in LIVES]
    with lab.open(lab.write("views.ipynb", cells)) as notebook:
        for index in (0, 3, 1, 2):
            notebook.run_cell(index)
        first, second = Shown(notebook, 1), Shown(notebook, 2)
        for view in (first, second):
            expect(view.now).to_have_text("OPEN")
        second.message.fill("hello")
        second.button("Send").click()
        for view in (first, second):
            expect(view.log.last).to_contain_text('message data "hello"')
            expect(view.log).to_have_count(4)
        # The first view goes, the socket stays.
        notebook.select(1)
        notebook.command("notebook:clear-cell-output")
        expect(first.root).to_have_count(0)
        second.message.fill("again")
        second.button("Send").click()
        expect(second.log.last).to_contain_text('message data "again"')
        _, _, heard = ask(notebook, 4, lambda said: len(said[2]) == 2)
        assert heard == ["hello", "again"]
        assert (house.now, house.seen, house.closed) == (1, 1, [])
        # The cell moves: its view is made anew, and nothing else.
        notebook.select(2)
        notebook.command("notebook:move-cell-down")
        expect(Shown(notebook, 3).now).to_have_text("OPEN")
        assert house.seen == 1
        # The last view goes.
        notebook.select(3)
        notebook.command("notebook:clear-cell-output")
        until(lambda: house.closed == [(1000, "its last view was closed")])
        _state, events, _ = ask(notebook, 4, lambda said: said[0] == "CLOSED")
        assert events[-1][0] in ("note", "close")
        assert complaints(notebook) == []


def test_run_again_reload_tab_and_restart_leave_one_socket_or_none(
    any_lab: Lab, house: House, expect
):
    cells = [cell.replace("{url!r}", repr(house.url)) for cell in LIVES]
    path = any_lab.write("lives.ipynb", cells)
    with any_lab.open(path) as notebook:
        for index in (0, 3, 1):
            notebook.run_cell(index)
        browser = Shown(notebook, 1)
        expect(browser.now).to_have_text("OPEN")
        assert (house.now, house.seen) == (1, 1)

        # The cell runs again, and again: a new Browser each time, one socket.
        for times in (2, 3):
            notebook.run_cell(1)
            expect(browser.now).to_have_text("OPEN")
            until(lambda times=times: (house.now, house.seen) == (1, times))
        until(lambda: [code for code, _ in house.closed] == [1000, 1000])
        browser.message.fill("once")
        browser.button("Send").click()
        _, _, heard = ask(notebook, 4, lambda said: said[2])
        assert heard == ["once"]

        # The page is loaded again: its socket goes with it, and one comes back.
        notebook.command("docmanager:save")
        notebook.reload()
        notebook.wait_ready()
        expect(browser.now).to_have_text("OPEN")
        until(lambda: (house.now, house.seen) == (1, 4))
        until(lambda: [code for code, _ in house.closed[2:]] == [1001])  # by the browser itself
        browser.message.fill("twice")
        browser.button("Send").click()
        expect(browser.log.last).to_contain_text('message data "twice"')
        expect(browser.log.first).to_contain_text("new WebSocket")  # what was before is still there
        _, events, heard = ask(notebook, 4, lambda said: len(said[2]) > 1)
        assert heard == ["once", "twice"]
        assert ["note", "its page was left or loaded again, and the sockets with it"] in events or [
            "note",
            "its last view was closed, or its page left, and the sockets with it",
        ] in events

        # The notebook's tab is closed: no socket. It is opened again: one.
        notebook.command("docmanager:save")
        notebook.command("application:close")
        until(lambda: [code for code, _ in house.closed[3:]] == [1000])
        assert house.now == 0
        notebook.command("docmanager:open", {"path": path, "factory": "Notebook"})
        notebook.wait_ready()
        expect(browser.now).to_have_text("OPEN")
        until(lambda: (house.now, house.seen) == (1, 5))
        browser.message.fill("thrice")
        browser.button("Send").click()
        _, _, heard = ask(notebook, 4, lambda said: len(said[2]) > 2)
        assert heard == ["once", "twice", "thrice"]

        # The kernel restarts: nobody is left to drive it.
        notebook.restart_kernel()
        until(lambda: house.closed[4:] == [(1000, "the kernel is gone")])
        assert house.now == 0
        expect(browser.said).to_have_text("The kernel is gone, and the socket was closed with it.")
        expect(browser.button("Send")).to_have_attribute("aria-disabled", "true")
        assert house.seen == 5
        assert complaints(notebook) == []


@pytest.mark.parametrize("route", ["direct", "comm"])
def test_hundreds_of_messages_a_second_both_ways(lab: Lab, house: House, expect, route):
    cells = [
        "import json, time, wslab\nheard = []",
        f"browser = wslab.Browser({house.url!r}, route={route!r})\n"
        "browser.on_message(heard.append)\nbrowser",
        # While this cell runs the page's events may wait; the page must not.
        "for n in range(900):\n    browser.send(f'from Python {n}')\n    time.sleep(1 / 320)",
        "print(json.dumps([len(heard), browser.dropped, browser.waiting, len(browser.received),"
        " browser.errors_seen, browser.view.failure]))",
        "browser.send('flood')",
        "print(json.dumps([heard[:900] == [f'from Python {n}' for n in range(900)],"
        " heard[900:] == [f'number {n}' for n in range(900)],"
        " [e.number for e in browser.events] == list(range(browser.page_sockets.record.seen - 1999,"
        " browser.page_sockets.record.seen + 1)),"
        " all(a.at <= b.at for a, b in zip(browser.events, browser.events[1:]))]))",
    ]
    with lab.open(lab.write(f"rate-{route}.ipynb", cells), alone=True) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        browser = Shown(notebook, 1)
        expect(browser.now).to_have_text("OPEN")
        # How long the page's own thread is held at most, while all of this happens.
        notebook.page.evaluate(
            """() => {
              window.longest = 0;
              new PerformanceObserver(list => {
                for (const one of list.getEntries()) {
                  window.longest = Math.max(window.longest, one.duration);
                }
              }).observe({ type: "longtask" });
            }"""
        )
        notebook.run_cell(2)
        until(lambda: len(house.received) == 900, timeout=15)
        assert house.received == [f"from Python {n}" for n in range(900)]
        ask(notebook, 3, lambda said: said[0] == 900)
        notebook.run_cell(4)
        said = ask(notebook, 3, lambda said: said[0] == 1800)
        # Calls, messages and one open: what is older than 2,000 events was let go and counted.
        assert said[2:] == [0, 1000, 0, ""]
        notebook.run_cell(5)
        assert json.loads(notebook.text(5)) == [True, True, True, True]
        expect(browser.root).to_contain_text("nothing dropped")
        expect(browser.log).to_have_count(200)
        expect(browser.root.locator(".ws-empty")).to_contain_text("earlier, no longer shown here")
        print(f"{route}: longest task {notebook.page.evaluate('window.longest'):.0f} ms")
        assert complaints(notebook) == []


@pytest.mark.parametrize("route", ["direct", "comm"])
@pytest.mark.parametrize("kind", ["blob", "arraybuffer"])
def test_binary_is_binary_in_both_directions(lab: Lab, house: House, expect, route, kind):
    cells = [
        "import hashlib, json, random, wslab\nsent = [bytes(range(256)), b'',"
        " random.Random(1).randbytes(300_000), 'text between', b'\\x00\\xff']",
        f"browser = wslab.Browser({house.url!r}, route={route!r})\nbrowser",
        f"browser.binary_type = {kind!r}\nfor one in sent:\n    browser.send(one)",
        "print(json.dumps([len(browser.received), list(browser.received) == sent,"
        " [hashlib.sha256(one.encode() if isinstance(one, str) else one).hexdigest()"
        " for one in browser.received], browser.binary_type,"
        " [e.binary_type for e in browser.events if e.type == 'message']]))",
    ]
    with lab.open(lab.write(f"binary-{route}-{kind}.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        expect(Shown(notebook, 1).now).to_have_text("OPEN")
        notebook.run_cell(2)
        _count, is_equal, digests, binary_type, kinds = ask(notebook, 3, lambda said: said[0] == 5)
        assert is_equal
        assert digests == [
            hashlib.sha256(one.encode() if isinstance(one, str) else one).hexdigest()
            for one in house.received
        ]
        assert (binary_type, kinds) == (kind, [kind, kind, kind, "", kind])
        assert complaints(notebook) == []


def test_through_the_kernel_it_looks_the_same(lab: Lab, house: House, expect):
    cells = [
        IMPORT,
        f"""
browser = wslab.Browser({house.url!r}, protocols=["nobody", "other"], route="comm")
browser.send("early")
browser.send("hello", when_open=True)
browser""",
        "browser.close(1001)\nbrowser.close(1000, 'x' * 124)\nbrowser.send('bye')",
        "print(json.dumps([browser.ready_state, browser.route, browser.protocol, browser.url,"
        " [[e.type, e.ready_state, e.name, e.text, e.code, e.reason, e.was_clean]"
        " for e in browser.events]]))",
        f"refused = wslab.Browser({house.url + 'no'!r}, route='comm')\nrefused",
        "print(json.dumps([[e.type, e.code, e.was_clean, e.text] for e in refused.events]))",
        "browser.connect()",
        "browser.close(4003, 'mine')",
    ]
    with lab.open(lab.write("comm.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        browser = Shown(notebook, 1)
        expect(browser.log.last).to_contain_text('message data "hello"')
        expect(browser.root).to_contain_text("by a socket in the kernel")
        notebook.run_cell(2)
        expect(browser.now).to_have_text("CLOSED")
        state, route, protocol, url, events = ask(
            notebook, 3, lambda said: said[4][-1][0] == "close"
        )
        assert (state, route, protocol, url) == ("CLOSED", "comm", "other", house.url)
        assert [event[:2] for event in events] == [
            ["call", "CONNECTING"],
            ["call", "CONNECTING"],
            ["exception", "CONNECTING"],
            ["call", "CONNECTING"],
            ["open", "OPEN"],
            ["call", "OPEN"],
            ["message", "OPEN"],
            ["call", "OPEN"],
            ["exception", "OPEN"],
            ["call", "OPEN"],
            ["exception", "OPEN"],
            ["call", "OPEN"],
            ["close", "CLOSED"],
        ]
        # Word for word what the browser itself says (see the tests above).
        assert [event[2:4] for event in events if event[0] == "exception"] == [
            ["InvalidStateError", STATE],
            ["InvalidAccessError", CODE],
            ["SyntaxError", REASON],
        ]
        assert events[-1][4:] == [4001, "you said bye", True]
        notebook.run_cell(4)
        said = ask(notebook, 5, lambda said: said and said[-1][0] == "close")
        assert [row[:3] for row in said] == [
            ["call", None, None],
            ["note", None, None],
            ["error", None, None],
            ["close", 1006, False],
        ]
        assert "403" in said[1][3]
        notebook.run_cell(6)
        expect(browser.now).to_have_text("OPEN")
        notebook.run_cell(7)
        until(lambda: (4003, "mine") in house.closed)
        notebook.run_cell(6)
        expect(browser.now).to_have_text("OPEN")
        notebook.select(1)
        notebook.command("notebook:clear-cell-output")
        until(lambda: house.now == 0)
        assert complaints(notebook) == []


def test_it_finds_its_way(any_lab: Lab, expect):
    cells = [
        """
import json, wslab
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
server = wslab.serve(echo)
browser = wslab.Browser(server)
browser.send("hello", when_open=True)
browser""",
        "print(json.dumps([browser.route, [one.kind for one in server.routes], browser.received]))",
    ]
    with any_lab.open(any_lab.write("route.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        browser = Shown(notebook, 0)
        expect(browser.log.last).to_contain_text('message data "hello"')
        route, kinds, received = ask(notebook, 1, lambda said: said[2])
        assert received == ["hello"]
        assert route in kinds
        assert route != "comm"
        if any_lab.base_url != "/":
            assert route in ("tunnel", "proxy")  # the kernel's ports are taken to be out of reach
            expect(browser.root.locator(".ws-url")).to_contain_text(any_lab.base_url)
            expect(browser.root.locator(".ws-changes")).not_to_be_empty()
        assert complaints(notebook) == []


@pytest.mark.parametrize("end", ["closed", "crashed"])
def test_another_page_looks_on_and_may_take_over(lab: Lab, house: House, expect, end):
    cells = [cell.replace("{url!r}", repr(house.url)) for cell in LIVES]
    path = lab.write("pages.ipynb", cells)
    with lab.open(path) as notebook:
        for index in (0, 3, 1):
            notebook.run_cell(index)
        first = Shown(notebook, 1)
        expect(first.now).to_have_text("OPEN")
        notebook.command("docmanager:save")
        with lab.open(path) as other:
            second = Shown(other, 1)
            expect(second.said).to_have_text(
                "Another page of this notebook has the socket; this one looks on."
            )
            expect(second.log.first).to_contain_text("new WebSocket")
            assert (house.now, house.seen) == (1, 1)
            second.button("Take it over").click()
            expect(second.now).to_have_text("OPEN")
            until(lambda: (house.now, house.seen) == (1, 2))
            until(lambda: house.closed == [(1000, "another page took over")])
            expect(first.said).to_contain_text("Another page of this notebook has the socket")
            second.message.fill("hello")
            second.button("Send").click()
            expect(second.log.last).to_contain_text('message data "hello"')
            _, _, heard = ask(notebook, 4, lambda said: said[2])
            assert heard == ["hello"]
            # The page that has it goes: the one that looks on gets it, also where it said no last
            # word, as when it crashes, or is closed and too busy to speak in the half second that
            # Chromium gives it.
            if end == "crashed":
                other.crash()
            lab.forget(other._context)
        until(lambda: (house.now, house.seen) == (1, 3), timeout=30.0)
        expect(first.now).to_have_text("OPEN")
        assert complaints(notebook) == []


LOOKS = {
    "none": "none = wslab.Browser(URL, autoconnect=False, name='none yet')\nnone",
    "open": """
opened = wslab.Browser(URL, protocols=["chat"], name="a browser with a rather long name indeed")
opened.send("early")
for one in ("hello", "two\\nlines", bytes(range(40)), "long " * 100, "<b>x</b>"):
    opened.send(one, when_open=True)
opened.close(1001)
opened""",
    "closing": """
closing = wslab.Browser(URL, name="closing")
closing.send("hold", when_open=True)
@closing.on_event
def then(event):
    if event.type == "call" and event.data == "hold":
        closing.close(4000, "bye")
closing""",
    "closed": """
closed = wslab.Browser(URL, name="closed")
closed.send("bye", when_open=True)
closed""",
    "broken": """
broken = wslab.Browser(URL, name="broken")
broken.send("abort", when_open=True)
@broken.on_event
def fail(event):
    if event.type == "close":
        raise KeyError("nobody catches this")
broken""",
    "refused": "wslab.Browser(URL + 'no', name='refused')",
    "many": "many = wslab.Browser(URL, ['chat'], count=3, name='three')\nmany[1].close(4001)\nmany",
    "comm": "wslab.Browser(URL, route='comm', name='comm')",
    "proxy": """
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
server = wslab.serve(echo)
wslab.Browser(server, route="proxy", name="proxied")""",
    "over": "over = wslab.Browser(URL, name='over')\nover.stop()\nover",
    # Last: a browser opens one connection after the other to the same host (RFC 6455 §4.1).
    "connecting": "wslab.Browser(URL + 'slow', protocols=['chat'], name='slow')",
    "plain": """
from IPython.display import HTML
HTML(opened._repr_mimebundle_()[0]["text/html"])""",
}


def test_looks(lab: Lab, house: House, expect):
    cells = [IMPORT + f"\nURL = {house.url!r}", *LOOKS.values()]
    folder = keep_screenshots()
    viewport = {"width": 1280, "height": 900}
    with lab.open(lab.write("looks-browser.ipynb", cells), viewport=viewport) as notebook:
        notebook.command("application:toggle-left-area")
        notebook.run_all()
        assert notebook.errors() == []
        index = {name: number for number, name in enumerate(LOOKS, 1)}
        expect(Shown(notebook, index["open"]).log.filter(has_text="<b>x</b>")).to_have_count(3)
        expect(Shown(notebook, index["closing"]).now).to_have_text("CLOSING")
        for name in ("closed", "broken", "refused"):
            expect(Shown(notebook, index[name]).now).to_have_text("CLOSED")
        expect(Shown(notebook, index["comm"]).now).to_have_text("OPEN")
        expect(Shown(notebook, index["broken"]).root).to_contain_text("KeyError")
        notebook.run_cell(index["plain"])
        for theme, width in ((LIGHT, 1280), (DARK, 1280), (LIGHT, 640), (DARK, 640)):
            notebook.set_theme(theme)
            notebook.resize(width)
            contrasts = notebook.page.evaluate(CONTRASTS.replace(".ws-panel", ".ws-browser"))
            assert len(contrasts) > 100
            assert [pair for pair in contrasts if pair[0] < 4.5] == []
            # Nothing sticks out of its widget.
            assert (
                notebook.page.evaluate(
                    """() => [...document.querySelectorAll(".ws-browser")]
                     .filter(one => one.scrollWidth > one.clientWidth + 1).length"""
                )
                == 0
            )
            if folder:
                for name, number in index.items():
                    notebook.select(number)
                    notebook.screenshot(
                        folder / f"browser-{name}-{theme[11:].lower()}-{width}.png", index=number
                    )
        lines = [line for line in complaints(notebook) if "WebSocket connection to" not in line]
        assert lines == []
        house.answer_close()


# Where each dot, time and arrow is, and the texts that take more than one line or touch another.
MACHINE = """() => {
  const machine = document.querySelector(".ws-machine");
  const origin = machine.getBoundingClientRect();
  const place = one => {
    const box = one.getBoundingClientRect();
    return [box.left - origin.left, box.top - origin.top, box.height].map(Math.round);
  };
  const lines = one => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return [...range.getClientRects()].filter(({ width }) => width);
  };
  const texts = [...machine.querySelectorAll("b, .ws-when, .ws-arrow")];
  const boxes = texts.flatMap(lines);
  const touch = (a, b) => a.left < b.right && b.left < a.right && a.top + 3 < b.bottom - 3
    && b.top + 3 < a.bottom - 3;
  return {
    places: [...machine.querySelectorAll(".ws-dot, .ws-arrow")].map(place),
    times: [...machine.querySelectorAll(".ws-when")].map(one => place(one).slice(0, 2)),
    height: Math.round(origin.height),
    wrapped: texts.filter(one => lines(one).length > 1).map(one => one.textContent),
    touching: boxes.filter((a, i) => boxes.some((b, j) => j > i && touch(a, b))).length,
    outside: boxes.filter(({ right }) => right > origin.right).length,
    rows: new Set([...machine.querySelectorAll(".ws-dot")].map(one => place(one)[1])).size,
  };
}"""


def test_the_state_machine_keeps_its_places(lab: Lab, house: House, expect):
    """What is there before Connect stays where it is when the times come, at any width."""
    widths = ((1280, False, 1), (1280, True, 4), (900, True, 4), (640, True, 4), (640, False, 4))
    cells = [IMPORT, f"wslab.Browser({house.url!r}, autoconnect=False, name='page')"]
    with lab.open(lab.write("machine.ipynb", cells)) as notebook:
        notebook.run_all()
        browser = Shown(notebook, 1)
        expect(browser.root).to_contain_text("No socket yet")

        def look() -> list[dict[str, object]]:
            found = []
            for width, is_left_open, rows in widths:
                collapsed = "() => window.jupyterapp.shell.leftCollapsed"
                if notebook.page.evaluate(collapsed) == is_left_open:
                    notebook.command("application:toggle-left-area")
                notebook.resize(width)
                seen = notebook.page.evaluate(MACHINE)
                assert seen["wrapped"] == [], (width, seen)
                assert (seen["touching"], seen["outside"], seen["rows"]) == (0, 0, rows), seen
                found.append(seen)
            return found

        before = look()
        browser.button("Connect").click()
        expect(browser.now).to_have_text("OPEN")
        assert look() == before
        browser.message.fill("bye")
        browser.button("Send").click()
        expect(browser.now).to_have_text("CLOSED")
        expect(browser.root.locator(".ws-when")).to_have_text(
            ["0 ms", re.compile("after"), "passed unseen", re.compile("after")]
        )
        assert look() == before


def test_json_reads_in_the_log_as_it_was_sent(lab: Lab, house: House, expect):
    texts = [
        '{"event":"say","data":{"text":"hello"}}',
        """{"text":"it's \\"here\\""}""",
        "it's",
        "a\nb",
    ]
    cells = [
        f"{IMPORT}\nbrowser = wslab.Browser({house.url!r}, name='json')\n"
        f"for text in {texts!r}:\n    browser.send(text, when_open=True)\nbrowser",
    ]
    with lab.open(lab.write("json.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        shown = Shown(notebook, 0)
        messages = shown.root.locator(".ws-log li[data-type=message] .ws-mono")
        expect(messages).to_have_count(len(texts))
        heard = [row.inner_text().removeprefix("data ") for row in messages.all()]
        assert heard[0] == """'{"event":"say","data":{"text":"hello"}}'"""
        # Each is a literal of JavaScript, whichever quotes it stands in.
        assert notebook.page.evaluate("all => all.map((one) => (0, eval)(one))", heard) == texts
        assert heard[2:] == ['"it\'s"', '"a\\nb"']
        assert complaints(notebook) == []


def test_through_the_tunnel_nothing_is_lost(hub_lab: Lab, expect):
    cells = [
        """
import json, wslab
async def handler(websocket):
    async for message in websocket:
        await websocket.close(4001, "you said " + message)
server = wslab.serve(handler, subprotocols=["chat"])
browser = wslab.Browser(server, protocols=["nobody", "chat"])
browser.send("bye", when_open=True)
browser""",
        "print(json.dumps([browser.route, browser.protocol, [[e.code, e.reason, e.was_clean]"
        " for e in browser.events if e.type == 'close']]))",
    ]
    with hub_lab.open(hub_lab.write("tunnel.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        browser = Shown(notebook, 0)
        expect(browser.now).to_have_text("CLOSED")
        expect(browser.root.locator(".ws-url")).to_contain_text(
            f":{hub_lab.port}{hub_lab.base_url}wslab/"
        )
        expect(browser.root).to_contain_text("by wslab's tunnel")
        said = ask(notebook, 1, lambda said: said[2])
        assert said == ["tunnel", "chat", [[4001, "you said bye", True]]]
        assert complaints(notebook) == []


PAGE_SOCKETS = """name => [...globalThis[Symbol.for("wslab.browser.page_sockets")].values()]
  .find(pageSockets => [...pageSockets.views][0]?.model.get("name") === name)"""
# More than a busy kernel can take, of each kind of thing that waits for it.
FLOOD = f"""() => {{
  const pageSockets = ({PAGE_SOCKETS})("flooded");
  const [slot] = pageSockets.slots;
  const most = {{ bytes: 0, count: 0 }};
  const push = event => {{
    slot.push({{ at: 0, ...event }}, 1);
    most.bytes = Math.max(most.bytes, pageSockets.outbox.bytes);
    most.count = Math.max(most.count, pageSockets.outbox.events.length);
  }};
  for (let i = 0; i < 200; i += 1) {{
    const data = "ä".repeat(50000);
    push({{ type: "message", data, size_bytes: 100000 }});
    push({{ type: "message", bytes: new Uint8Array(100000), size_bytes: 100000 }});
  }}
  const dropped = pageSockets.outbox.droppedAll;
  for (let i = 0; i < 12000; i += 1) push({{ type: "note", text: "n" }});
  const real = pageSockets.outbox.events.reduce((sum, {{ data, bytes }}) =>
    sum + new TextEncoder().encode(data ?? "").length + (bytes?.length ?? 0), 0);
  const {{ droppedAll: all, bytes: counted }} = pageSockets.outbox;
  return {{ ...most, dropped, all, real, counted }};
}}"""
FULL = f"""() => {{
  const pageSockets = ({PAGE_SOCKETS})("full");
  const {{ socket }} = pageSockets.slots[0];
  let most = 0;
  for (let i = 0; i < 40; i += 1) {{
    if (socket.readyState === 1) socket.send("x".repeat(1000000));
    const {{ orders }} = pageSockets.outbox;
    const waits = orders.reduce((sum, {{ data }}) => sum + (data?.length ?? 0), 0);
    most = Math.max(most, waits);
  }}
  return [most, socket.readyState, pageSockets.outbox.orders.length];
}}"""


def test_what_waits_in_the_page_is_bounded_in_bytes(lab: Lab, house: House, expect):
    cells = [
        IMPORT + f"\nflooded = wslab.Browser({house.url!r}, name='flooded')\nflooded",
        f"full = wslab.Browser({house.url!r}, name='full', route='comm')\nfull",
        "print(json.dumps([flooded.dropped, full.ready_state, [e.text for e in full.events]]))",
    ]
    with lab.open(lab.write("bounds.ipynb", cells), alone=True) as notebook:
        for index in (0, 1):
            notebook.run_cell(index)
            expect(Shown(notebook, index).now).to_have_text("OPEN")
        said = notebook.page.evaluate(FLOOD)
        assert said["bytes"] <= 8 * 2**20 + 200_000  # one event is taken before one goes
        assert said["count"] <= 10_001
        assert said["dropped"] > 200
        assert said["all"] > said["dropped"] + 1_000  # also what is no message
        assert said["real"] <= said["counted"] <= 8 * 2**20
        most, state, left = notebook.page.evaluate(FULL)
        assert most <= 8 * 2**20
        assert (state, left <= 2) == (3, True)  # the order to close it, and none to send
        expect(Shown(notebook, 1).log.filter(has_text="The socket is full")).to_have_count(1)
        dropped, _, texts = ask(
            notebook, 2, lambda said: said[0] >= said[0] and said[1] == "CLOSED"
        )
        assert dropped > 200
        assert any("The socket is full" in text for text in texts)
