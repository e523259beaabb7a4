"""What there is to see of a Server and a Client, and the panels: clicks, threads, lifetimes."""

from __future__ import annotations

import functools
import gc
import html
import threading
import time
import types

import pytest

import wslab
from tests import peers
from tests.hub.backplane.redis.rig import fresh_name, redis_of_its_own
from wslab.hub import Hub
from wslab.loops.watchdog import Blockage
from wslab.notebook import page as noted
from wslab.notebook.allowed_origins import known_origins
from wslab.notebook.environment import Environment, Kind
from wslab.widgets import live
from wslab.widgets.panels import model, panel
from wslab.widgets.panels.panel import ClientPanel, ServerPanel, panel_of

HERE = Environment(Kind.SCRIPT, "a test", "/", None, True, "same machine", None)
HUB = Environment(Kind.HUB, "JupyterHub", "/user/ann/", "https://hub.example", False, "far", True)
DOCKER = Environment(Kind.JUPYTER, "Jupyter", "/", None, None, "in a container", None)


async def echo(websocket):
    async for message in websocket:
        if message == "boom":
            raise ValueError("not this one")
        await websocket.send(message)


@pytest.fixture
def server():
    with wslab.serve(echo) as running:
        yield running


@pytest.fixture
def alice(server):
    with wslab.connect(server, name="alice") as client:
        yield client


@pytest.fixture(autouse=True)
def no_panel_left():
    yield
    for each in tuple(panel._all):
        each.close()
    assert live._flusher.views == {}


# For what happens on the lab's loop, beside other tests.
until = functools.partial(peers.until, within_s=20.0)


# What there is to see of a server.


def test_a_server_that_nobody_knows_yet(server):
    assert model.server_view(server, here=HERE, now_s=int(server.began_s) + 75.5) == {
        "kind": "server",
        "name": "echo",
        "state": "listening",
        "since": "for 1 min",
        "url": server.url,
        "browser_url": "",
        "page_url": f"http://127.0.0.1:{server.port}/",
        "reach": "",
        "doubt": "",
        "note": "",
        "rows": [],
        "more": "",
        "now": "0",
        "seen": "0",
        "received": {"messages": "0", "size": "0 B"},
        "sent": {"messages": "0", "size": "0 B"},
    }
    assert model.server_trouble(server) == []


def test_a_connection_and_its_traffic(server, alice):
    alice.send("hello")
    assert alice.recv(5) == "hello"
    [connection] = server.connections
    view = model.server_view(server, here=HERE, now_s=int(connection.began_s) + 5.9)
    [row] = view["rows"]
    # Frames: 2 bytes of header, 4 of masking key from the client, 5 of payload.
    came, went = connection.received_bytes, connection.sent_bytes
    assert row == {
        "id": connection.id,
        "label": "alice",
        "path": "/",
        "open": "5 s",
        "received": "1",
        "received_size": f"{came} B",
        "sent": "1",
        "sent_size": f"{went} B",
    }
    assert (view["now"], view["seen"]) == ("1", "1")
    assert view["received"] == {"messages": "1", "size": f"{came} B"}
    assert view["sent"] == {"messages": "1", "size": f"{went} B"}


def test_rows_are_bounded_and_the_rest_is_counted(server):
    clients = [wslab.connect(server, name=f"number {n}") for n in range(15)]
    view = model.server_view(server, here=HERE)
    assert [row["label"] for row in view["rows"]] == [f"number {n}" for n in range(12)]
    assert view["more"] == "and 3 more"
    assert view["now"] == "15"
    for client in clients:
        client.close()


def test_on_a_hub_the_way_leads_through_the_proxy(server):
    view = model.server_view(server, here=HUB)
    assert view["browser_url"] == f"wss://hub.example/user/ann/proxy/{server.port}/"
    assert view["page_url"] == f"/user/ann/proxy/{server.port}/"  # the page completes it
    assert view["reach"].startswith("through Jupyter, by jupyter-server-proxy. ")
    view = model.server_view(server, here=DOCKER)
    assert (view["browser_url"], view["reach"]) == ("", "")
    assert view["doubt"] == "It may fail: in a container"


def test_a_unix_socket_has_no_url_for_a_browser(tmp_path):
    with wslab.serve(echo, unix=True, path=str(tmp_path / "s")) as server:
        view = model.server_view(server, here=HUB)
        assert view["url"].startswith("ws+unix://")
        assert (view["browser_url"], view["page_url"]) == ("", "")
        assert view["reach"] == "no browser can open a Unix socket, so it has no URL there"


def test_states_of_a_server():
    let_go = threading.Event()

    async def lingers(websocket):
        try:
            await websocket.wait_closed()
        finally:
            let_go.wait(5)

    with wslab.serve(lingers) as server:
        client = wslab.connect(server)
        stopping = server.begin_close()
        assert model.server_view(server, here=HERE)["state"] == "stopping"
        let_go.set()
        stopping.result(5)
        view = model.server_view(server, here=HERE)
        assert (view["state"], view["since"]) == ("stopped", "")
        client.close()

        server.restart()
        view = model.server_view(server, here=HERE)
        assert view["state"] == "listening"
        assert view["note"].startswith("restarted on the same port")
        server.begin_close(replaced=True).result(5)
        view = model.server_view(server, here=HERE)
        assert (view["state"], view["note"]) == ("replaced", "")


def test_a_hub_of_several_processes_says_how_its_redis_is(tmp_path):
    with redis_of_its_own(tmp_path) as redis:
        hub = Hub(fresh_name(), backplane=redis.url)
        with wslab.serve(hub, page=False) as server:
            view = model.server_view(server, here=HERE)
            assert f"node {hub.node_id}, Redis up: 0 published, 0 received" in view["note"]
            assert model.server_trouble(server) == []
            redis.kill()
            until(lambda: hub.backplane.status == "down")
            _ = hub.emit("tick")
            assert "Redis down" in model.server_view(server, here=HERE)["note"]
            [trouble] = model.server_trouble(server)
            assert trouble["title"] == "Redis is away"
            assert "1 events wait" in trouble["text"]
        application = hub.asgi()
        with wslab.serve(application) as server:
            assert "Redis" in model.server_view(server, here=HERE)["note"]
    with wslab.serve(Hub(), page=False) as server:
        assert "node" not in model.server_view(server, here=HERE)["note"]


def test_errors_refusals_and_blockages(server, alice):
    alice.send("boom")
    with pytest.raises(Exception, match="1011"):
        alice.recv(5)
    with pytest.raises(wslab.errors.HandshakeRefused):
        wslab.connect(server, origin="https://evil.example")
    server.runner.watchdog.blockages.clear()
    server.runner.watchdog.report(server.began_s - 10, 5.0, "what was before")
    server.runner.watchdog.report(time.monotonic() - 3, 3.0, "the handler slow()")
    held, error, refused, blockage = model.server_trouble(server, held="held by slow()")
    server.runner.watchdog.blockages.clear()
    assert (held["kind"], held["text"], held["at"]) == ("held", "held by slow()", None)
    assert error["title"] == "Last error"
    [raised] = server.errors
    assert error["text"] == (f"ValueError: not this one (in echo(), connection {raised.who})")
    assert error["at"] == int(raised.at)
    assert error["details"].startswith("Traceback (most recent call last):\n")
    assert error["details"].endswith("ValueError: not this one\n")
    assert refused["title"] == "Refused a request"
    assert refused["text"].startswith("403, This server does not let pages from 'https://evil.ex")
    assert blockage["title"] == "Was held"
    assert blockage["text"] == "for 3.0 s by the handler slow(); nobody got an answer then"
    assert abs(blockage["at"] - (time.time() - 3)) < 2


def test_a_long_traceback_is_cut_at_the_front(server):
    async def deep(websocket):
        raise ValueError("x" * 10_000)

    with wslab.serve(deep) as failing:
        client = wslab.connect(failing)
        with pytest.raises(Exception, match="1011"):
            client.recv(5)
        [error] = model.server_trouble(failing)
    assert len(error["details"]) == model.MAX_TRACEBACK + len("...\n")
    assert error["details"].endswith("x\n")
    assert len(error["text"]) < 600


# What there is to see of a client.


def test_a_client_open_and_closed(server):
    alice = wslab.connect(server, name="alice", subprotocols=None)
    alice.send(b"\x00\xff")
    assert alice.recv(5) == b"\x00\xff"
    alice.send("kept")
    until(lambda: alice.waiting == 1)
    view = model.client_view(alice, now_s=int(alice.began_s) + 3)
    received, sent, received_bytes, sent_bytes = alice.counts
    assert view == {
        "kind": "client",
        "name": "alice",
        "id": alice.id,
        "state": "open",
        "since": "for 3 s",
        "url": server.url,
        "subprotocol": "",
        "received": {"messages": "2", "size": f"{received_bytes} B"},
        "sent": {"messages": "2", "size": f"{sent_bytes} B"},
        "waiting": "1",
    }
    assert (received, sent) == (2, 2)
    assert model.client_trouble(alice) == []
    alice.close(1000, "done")
    view = model.client_view(alice)
    assert (view["state"], view["since"]) == ("closed", "with 1000")
    [why] = model.client_trouble(alice)
    assert (why["kind"], why["title"]) == ("closed", "Why it closed")
    assert why["text"] == alice.why_closed


def test_a_client_that_was_failed(server, alice):
    alice.send("boom")
    with pytest.raises(Exception, match="1011"):
        alice.recv(5)
    view = model.client_view(alice)
    assert (view["state"], view["since"]) == ("broken", "with 1011")
    [why] = model.client_trouble(alice)
    assert why["kind"] == "error"
    assert "ValueError: not this one" in why["text"]


def test_the_log_in_order_with_what_the_panel_sent(server, alice):
    for message in ("one\n\x1b[2J", bytes(range(20)), "Grüße"):
        alice.send(message)
        alice.recv(5)
    log = model.client_log(alice, [(0, 1, "before"), (2, 2, "between"), (2, 3, "again")])
    assert log["dropped"] == ""
    rows = [
        (row["key"], row["direction"], row["type"], row["size"], row["text"]) for row in log["rows"]
    ]
    assert rows == [
        ("0.1", "sent", "text", "6 B", "before"),
        ("1.0", "received", "text", "8 B", "one↵\\x1b[2J"),
        (
            "2.0",
            "received",
            "binary",
            "20 B",
            "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f ...",
        ),
        ("2.2", "sent", "text", "7 B", "between"),
        ("2.3", "sent", "text", "5 B", "again"),
        ("3.0", "received", "text", "7 B", "Grüße"),
    ]


class Told:
    """As much of a client as its log reads."""

    def __init__(self, received, dropped=0):
        self.received, self.received_dropped = received, dropped


def test_the_log_is_bounded_and_says_so():
    log = model.client_log(Told(tuple(str(n) for n in range(1000)), dropped=234))
    assert [row["text"] for row in log["rows"]] == [str(n) for n in range(950, 1000)]
    assert log["rows"][-1]["key"] == "1234.0"
    assert log["dropped"] == "1,184 older not shown, 234 of them no longer kept"
    log = model.client_log(Told(tuple(str(n) for n in range(60))), [(60, 1, "sent")])
    assert len(log["rows"]) == 50
    assert log["dropped"] == "11 older not shown"


def test_a_huge_message_is_shown_in_part():
    [row] = model.client_log(Told(("ß" * 1_000_000,)))["rows"]
    assert row["text"] == "ß" * 200 + " ..."
    assert row["size"] == "1,000,000 characters"
    [row] = model.client_log(Told(("s" * 1_000_000,)))["rows"]
    assert row["size"] == "1.0 MB"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-0.1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86399, "23 h 59 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds, words):
    assert model.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.000314, "0.31 ms"), (0.0123, "12 ms"), (0.9994, "999 ms"), (1.5, "1.50 s")],
)
def test_round_trips(seconds, words):
    assert model.round_trip(seconds) == words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (3_400_000_000, "3.4 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes(size_bytes, words):
    assert model.size(size_bytes) == words


def test_control_characters_are_shown_and_emoji_are_not_broken():
    assert model.one_line("a\r\n\t\u202eb\u2028") == "a\\r↵⇥\\u202eb\\u2028"
    assert model.one_line("\U0001f469\u200d\U0001f4bb") == "\U0001f469\u200d\U0001f4bb"


# The panels.


class Page:
    """A page that shows a panel: what it was sent, and clicks."""

    def __init__(self, panel) -> None:
        self.panel = panel
        self.messages: list[dict] = []
        panel._send = lambda message, buffers=None: self.messages.append(message)

    def say(self, **content) -> None:
        self.panel._handle_custom_msg({"view": "v", **content}, [])

    def click(self, what, data=None) -> dict:
        click = f"v.{len(self.panel.done) + 1}"
        self.say(type="act", id=click, what=what, data=data)
        assert self.panel.done[-1] == click
        return self.panel.said


def test_only_what_changed_is_sent_and_in_one_message(server, monkeypatch):
    still = types.SimpleNamespace(monotonic=lambda: server.began_s + 5)
    monkeypatch.setattr(model, "time", still)
    panel = panel_of(server)
    page = Page(panel)
    panel.refresh()
    page.messages.clear()
    assert panel.refresh() == 0
    assert page.messages == []
    with wslab.connect(server, name="alice"):
        assert panel.refresh() > 100
        [message] = page.messages
        assert message["method"] == "update"
        assert set(message["state"]) == {"view", "network"}
        assert message["state"]["view"]["rows"][0]["label"] == "alice"
        assert message["state"]["network"]["rows"][0]["client"] == "alice"


def test_a_click_is_answered_with_its_id_and_the_state_after_it(server):
    panel = panel_of(server)
    page = Page(panel)
    said = page.click("stop")
    assert said["good"]
    assert said["text"] == "stopped; its clients were told 1001"
    assert not server.is_serving
    [message] = page.messages  # all at once
    assert message["state"]["done"] == ["v.1"]
    assert message["state"]["view"]["state"] == "stopped"
    assert page.click("restart")["text"] == "started on the same port"
    assert server.is_serving
    assert panel.view["note"] == "started again on the same port"
    assert page.click("restart")["text"] == "restarted; its clients were told 1012"


def test_a_clients_buttons(server, alice):
    panel = panel_of(alice)
    page = Page(panel)
    assert page.click("send", "hello")["text"] == "sent"
    until(lambda: len(alice.received) == 1)
    panel.refresh()
    assert [(row["direction"], row["text"]) for row in panel.messages["rows"]] == [
        ("sent", "hello"),
        ("received", "hello"),
    ]
    assert page.click("ping")["text"].startswith("pong after ")
    assert page.click("close")["text"] == "closed with 1000"
    assert (panel.view["state"], panel.view["since"]) == ("closed", "with 1000")
    said = page.click("send", "too late")
    assert not said["good"]
    assert said["text"].startswith("ConnectionClosedOK: ")
    assert "This client closed it with 1000" in said["text"]


def test_clicks_work_on_any_thread(server):
    page = Page(panel_of(server))
    thread = threading.Thread(target=page.click, args=("stop",))
    thread.start()
    thread.join(5)
    assert page.panel.said["good"]
    assert not server.is_serving


def test_what_fails_is_said(server):
    page = Page(panel_of(server))
    assert page.click("explode") == {
        "click": "v.1",
        "text": "KeyError: 'explode'",
        "good": False,
        "at": page.panel.said["at"],
    }
    page.say(type="act")  # without an id
    assert page.panel.said["text"] == "KeyError: 'id'"
    assert page.panel.done == ["v.1"]


def test_an_interrupt_ends_what_was_pending(server, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "stop", interrupted)
    page = Page(panel_of(server))
    with pytest.raises(KeyboardInterrupt):
        page.say(type="act", id="v.1", what="stop")
    assert page.panel.done == ["v.1"]
    assert page.panel.said["text"] == "interrupted"
    monkeypatch.undo()


def test_while_the_loop_is_held_a_click_says_by_whom():
    let_go = threading.Event()
    began = threading.Event()

    async def holds(websocket):
        await websocket.recv()
        began.set()
        let_go.wait(20)

    with wslab.serve(holds, name="holder") as server:
        page = Page(panel_of(server))
        client = wslab.connect(server)
        client.send("go")
        try:
            assert began.wait(5)
            page.say(type="ready", origin="null")  # answered although the loop is held
            held = page.panel.trouble[0]
            assert held["title"] == "Does not answer"
            assert "holds() at test_panel.py" in held["text"]
        finally:
            let_go.set()
        until(lambda: not page.panel.trouble or page.panel.trouble[0]["kind"] != "held")
        page.say(type="gone", for_good=True)
        client.close()
        server.runner.watchdog.blockages.clear()


def test_a_page_that_looks_gets_news_and_tells_its_address(server, monkeypatch):
    monkeypatch.setattr(noted, "_noted", {})
    panel = panel_of(server)
    page = Page(panel)
    assert panel.is_watched  # a page may be about to show it
    page.say(type="ready", origin="http://localhost:8888", base="/user/ann/")
    assert "http://localhost:8888" in known_origins()
    with wslab.connect(server, name="alice"):
        until(lambda: panel.view["now"] == "1")  # without anybody asking
    until(lambda: panel.view["now"] == "0")
    page.say(type="gone", for_good=True)
    assert not panel.is_watched
    until(lambda: live._flusher.views == {})
    assert panel.comm is not None  # the server may be shown again


def test_two_views_of_one_panel(server):
    panel = panel_of(server)
    page = Page(panel)
    page.say(type="ready", view="one", origin="null")
    page.say(type="ready", view="two", origin="null")
    page.say(type="gone", view="one", for_good=True)
    assert panel.is_watched
    page.say(type="gone", view="two", for_good=True)
    assert not panel.is_watched


def test_one_panel_for_one_thing(server, alice):
    panel = panel_of(server)
    assert isinstance(panel, ServerPanel)
    assert panel_of(server) is panel
    assert isinstance(panel_of(alice), ClientPanel)
    panel.close()
    assert panel_of(server) is not panel


def test_a_panel_goes_when_its_server_was_replaced_and_nobody_looks(server):
    panel = panel_of(server)
    page = Page(panel)
    page.say(type="ready", origin="null")
    server.begin_close(replaced=True).result(5)
    with wslab.serve(echo) as other:
        panel_of(other)
        assert panel.comm is not None  # somebody still looks
        page.say(type="gone", for_good=False)  # a page that is loaded again may come back
        assert panel.comm is not None
        page.say(type="ready", origin="null")
        page.say(type="gone", for_good=True)
        assert panel.comm is None

        stopped = panel_of(server)
        Page(stopped).say(type="ready", origin="null")
        Page(stopped).say(type="gone", for_good=False)
        panel_of(other)  # what is over goes when something else is shown
        assert stopped.comm is None


def test_a_panel_shows_itself_as_text_too(server, alice):
    alice.send("<hello>")
    alice.recv(5)
    for thing, said in ((server, "1 connected now"), (alice, "<hello>")):
        shown = panel_of(thing)
        data, _ = shown._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert said in str(shown)
        assert data["text/plain"] == str(shown)
        assert html.escape(said) in data["text/html"]


def test_a_panel_whose_server_is_gone_shows_how_it_was():
    server = wslab.serve(echo, name="gone")
    shown = panel_of(server)
    server.stop()
    shown.refresh()
    del server
    gc.collect()
    assert str(shown).startswith("server 'gone', stopped")
    shown.close()


def test_a_panel_does_not_keep_its_server_alive():
    server = wslab.serve(echo)
    panel = panel_of(server)
    page = Page(panel)
    page.say(type="ready", origin="null")
    server.stop()
    until(lambda: panel.view["state"] == "stopped")
    del server
    until(lambda: gc.collect() is not None and panel._thing() is None)
    assert not panel.is_watched
    assert page.click("restart")["text"] == "it is no longer in the kernel's memory"
    assert panel.view["state"] == "stopped"
    page.say(type="gone", for_good=True)
    assert panel.comm is None


def test_a_view_that_cannot_be_drawn_is_switched_off_and_says_why(server, monkeypatch):
    panel = panel_of(server)
    page = Page(panel)
    broken = threading.Event()

    def breaks(*_args, **_kwargs):
        if broken.is_set():
            raise ZeroDivisionError("division by zero")
        return []

    monkeypatch.setattr(model, "server_trouble", breaks)
    page.say(type="ready", origin="null")
    broken.set()
    until(lambda: panel.failure)
    assert panel.failure == "This panel stopped: ZeroDivisionError: division by zero"
    broken.clear()
    page.say(type="ready", origin="null")  # loading the page again tries again
    assert panel.failure == ""


def test_a_blockage_is_shown_on_the_panel(server, alice):
    panel = panel_of(server)
    Page(panel)
    server.runner.watchdog.blockages.append(Blockage(time.monotonic() - 1.5, 1.5, "something"))
    panel.refresh()
    server.runner.watchdog.blockages.clear()
    assert panel.trouble[0]["text"].startswith("for 1.5 s by something")
