"""The room map, who is here and the chat panel: what they say of a hub, and what they do to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import re
import socket
import subprocess
import sys
import time
import weakref
from urllib.parse import parse_qs, urlsplit

import pytest

import wslab
from tests import peers
from tests.hub.rig import inside
from tests.kernels import Kernel
from tests.outline import Outline
from wslab.errors import BadURL, CallFailed
from wslab.hub import Delivery, Hub
from wslab.hub.protocol.life import TRANSITIONS, LifeState
from wslab.notebook import cells
from wslab.widgets import ChatPanel, RoomMap, WhoIsHere, live
from wslab.widgets.rooms import model, static_html
from wslab.widgets.rooms.rooms import map_of

WIDGET = "application/vnd.jupyter.widget-view+json"


# For what happens on the lab's loop, beside other tests.
until = functools.partial(peers.until, within_s=20.0)


@pytest.fixture
def hub():
    """A hub that understands the chat panel."""
    hub = wslab.Hub("house")

    @hub.on("connect")
    async def connect(client):
        client.name = parse_qs(urlsplit(client.path).query).get("name", [None])[0]

    @hub.on("join")
    async def join(client, data):
        client.join(data["room"])

    @hub.on("leave")
    async def leave(client, data):
        client.leave(data["room"])

    @hub.on("say")
    async def say(client, data):
        if data["text"] == "boom":
            raise ValueError("<b>no</b>")
        await hub.emit("say", {"from": client.name, **data}, to=data["room"], skip=client)

    return hub


@pytest.fixture
def server(hub):
    with wslab.serve(hub) as running:
        yield running


@pytest.fixture
def panel(hub, server):
    panel = ChatPanel(hub)
    yield panel
    panel.close()


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    wslab.shutdown()
    live._flusher.views.clear()


def rows_of(hub: Hub) -> dict[str, dict]:
    return {row["name"]: row for row in model.hub_look(hub)["view"]["rows"]}


def matrix_of(hub: Hub) -> dict:
    return model.hub_look(hub)["matrix"]


def cells_of(hub: Hub, nth: int = -1) -> dict[str, str]:
    """Return the outcome of one message by client's name."""
    matrix = matrix_of(hub)
    names = [column["name"] for column in matrix["columns"]]
    return dict(zip(names, matrix["messages"][nth]["cells"], strict=True))


# Who is here.


def test_nobody():
    hub = wslab.Hub("empty")
    view = model.who_view(hub, model.departures_of(hub))
    assert view["rows"] == []
    assert (view["now"], view["rooms"], view["left_seen"]) == ("0", "0", "0")
    assert str(WhoIsHere(hub)) == (
        "hub 'empty', 0 clients in 0 rooms\n  nobody is connected; it handles nothing yet"
    )


def test_who_is_here_and_where(hub, panel):
    panel["ana"].join("lobby")
    panel["ana"].join("garden")
    panel["ben"].join("lobby")
    rows = rows_of(hub)
    assert list(rows) == ["ana", "ben", "cleo"]
    assert [row["rooms"] for row in rows.values()] == ["garden, lobby", "lobby", ""]
    ids = [panel[name].client.hub_id for name in rows]
    assert [row["id"] for row in rows.values()] == ids
    # In: a join each; out: the welcome and an answer each.
    assert [(row["received"], row["sent"]) for row in rows.values()] == [
        ("2", "3"),
        ("1", "2"),
        ("0", "1"),
    ]
    look = matrix_of(hub)
    assert [column["name"] for column in look["columns"]] == ["ana", "ben", "cleo"]
    assert [(room["room"], room["cells"]) for room in look["rooms"]] == [
        ("lobby", [True, True, False]),
        ("garden", [True, False, False]),
    ]


def test_a_client_without_a_name_goes_by_its_name_in_this_process(hub, server):
    with wslab.connect(server, name="dora"):
        until(lambda: hub.clients)
        assert list(rows_of(hub)) == ["dora"]


def test_who_left_and_why(hub, server):
    who = WhoIsHere(hub)
    ana = wslab.connect(server, name="ana")
    ben = wslab.connect(server, name="ben")
    cleo = wslab.connect(server, name="cleo")
    until(lambda: len(hub.clients) == 3)
    ids = {row["name"]: row["id"] for row in rows_of(hub).values()}
    ana.close(4000, "had enough")
    until(lambda: len(hub.clients) == 2)
    wslab.run(ben.websocket.transport.abort)
    until(lambda: len(hub.clients) == 1)
    hub.clients[ids["cleo"]].disconnect(4001, "go away")
    view = until(lambda: (v := who._look(hub)["view"])["left_seen"] == "3" and v)
    assert [(one["name"], one["id"], one["reason"]) for one in view["left"]] == [
        ("cleo", ids["cleo"], "sent away with 4001 (go away)"),
        ("ben", ids["ben"], "the connection broke off (1006)"),
        ("ana", ids["ana"], "closed by the client with 4000 (had enough)"),
    ]
    assert f"cleo ({ids['cleo']}), sent away with 4001 (go away)" in str(who)
    cleo.close()


def test_the_states_and_what_led_to_them_are_those_of_the_hubs_table():
    hub = wslab.Hub(history=5, session_s=60)
    record = model.departures_of(hub)

    def left() -> list[str]:
        return [one["state"] for one in model.who_view(hub, record)["left"]]

    with wslab.serve(hub) as server:
        url = f"{server.url}?session={'s' * 32}&offset=0"
        ana = wslab.connect(url, name="ana")
        until(lambda: hub.clients)
        [row] = model.who_view(hub, record)["rows"]
        assert row["state"] == LifeState.ADMITTED.value
        wslab.run(ana.websocket.transport.abort)
        until(lambda: record.left_seen == 1)
        assert left() == ["lose → away"]
        ana = wslab.connect(url, name="ana")
        until(lambda: hub.clients)
        assert left() == ["return → admitted"]
        ana.close()
        until(lambda: record.left_seen == 2)
        assert left() == ["end → gone", "return → admitted"]
    shown = model.life()
    assert [row["state"] for row in shown] == [state.value for state in LifeState]
    assert {(row["state"], one["event"], one["state"]) for row in shown for one in row["next"]} == {
        (state.value, event.value, after.value)
        for state, row in TRANSITIONS.items()
        for event, after in row.items()
    }


def test_the_hubs_own_disconnect_handler_still_runs(hub, server):
    heard = []
    WhoIsHere(hub)
    WhoIsHere(hub)  # a second one does not write down twice

    @hub.on("disconnect")
    async def disconnect(client, reason):
        heard.append(reason)

    for _ in range(8):
        wslab.connect(server).close()
    record = model.departures_of(hub)
    until(lambda: record.left_seen == 8)
    until(lambda: len(heard) == 8)
    view = model.who_view(hub, record)
    assert len(view["left"]) == 5
    assert view["left_more"] == "3 left before"


def test_a_record_keeps_no_hub_alive():
    hub = wslab.Hub()
    shown = RoomMap(hub)
    ref = weakref.ref(hub)
    del hub
    gc.collect()
    assert ref() is None
    assert str(shown).startswith("hub, 0 clients")  # what it was like, at the last look
    assert shown.refresh() == 0
    shown.close()


# What became of each message.


def test_sent_skipped_and_not_meant(hub, panel):
    RoomMap(hub)
    for player in panel:
        player.join("lobby")
    panel["cleo"].leave("lobby")
    panel["ana"].say("hello", "lobby")
    until(lambda: matrix_of(hub)["messages"])
    assert cells_of(hub) == {"ana": "skipped", "ben": "sent", "cleo": ""}
    [message] = matrix_of(hub)["messages"]
    assert (message["event"], message["preview"]) == ("say", '"hello"')
    assert (message["sender"], message["to"]) == ("ana", "lobby")
    assert message["sender_id"] == panel["ana"].client.hub_id
    assert message["words"] == "sent to ben; left out by skip=: ana"
    assert abs(message["at"] - time.time()) < 5


def test_from_the_program_to_everybody_to_one_and_to_nobody(hub, panel):
    RoomMap(hub)
    hub.emit("news", [1, 2])
    ben = hub.clients[panel["ben"].client.hub_id]
    hub.emit("only", to=ben)
    hub.broadcast(b"\x01\x02", to="empty")
    news, only, raw = matrix_of(hub)["messages"]
    assert (news["sender"], news["to"], news["preview"]) == ("the program", "everybody", "[1,2]")
    assert news["cells"] == ["sent"] * 3
    assert (only["to"], only["preview"]) == ("ben", "")
    assert only["cells"] == ["", "sent", ""]
    assert (raw["event"], raw["to"], raw["words"]) == ("raw", "empty", "nobody was there to get it")


class Stalled:
    """A client that opens a connection by hand and then reads nothing."""

    def __init__(self, server, hub) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect(("127.0.0.1", server.port))
        mine = self.sock.getsockname()
        self.sock.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        # By its address: others that connected before may be admitted only now.
        [self.id] = until(lambda: [c.id for c in hub.clients.values() if c.address == mine])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def read_on(self, size: int) -> None:
        while size > 0:
            size -= len(self.sock.recv(1 << 20))


def test_queued_dropped_and_sent_late():
    hub = wslab.Hub(backlog=2)
    shown = RoomMap(hub)
    with wslab.serve(hub) as server, Stalled(server, hub) as stalled:
        hub.clients[stalled.id].name = "slow"
        big = "x" * 12_000_000
        hub.broadcast(big)  # as much as TCP takes, and more
        for number in range(4):
            hub.emit("tick", number)
        messages = shown._look(hub)["matrix"]["messages"]
        outcomes = [message["cells"][0] for message in messages]
        assert outcomes == ["sent", "dropped", "dropped", "queued", "queued"]
        assert messages[1]["words"] == "dropped for slow"
        assert messages[3]["words"] == "queued for slow"
        assert "more than 2 messages waited" in shown._look(hub)["matrix"]["why"]["dropped"]
        [row] = model.hub_look(hub)["view"]["rows"]
        assert (row["queued"], row["dropped"]) == ("2", "2")
        text = str(shown)
        assert re.search(r"  2 +\S+ +tick +0 +the program +everybody +x", text)
        assert re.search(r"  5 +\S+ +tick +3 +the program +everybody +~", text)
        assert "x dropped" in text
        stalled.read_on(len(big))
        until(lambda: not hub.clients[stalled.id].queued)
        messages = shown._look(hub)["matrix"]["messages"]  # the same reader, brought up to date
        assert [m["cells"][0] for m in messages][3:] == ["sent", "sent"]
        stalled.sock.close()
        until(lambda: not hub.clients)
    shown.close()


def test_closing():
    hub = wslab.Hub()
    RoomMap(hub)

    @hub.on("go")
    async def go(client, _):
        client.websocket.transport.abort()
        hub.emit("late", to=client)

    with wslab.serve(hub) as server:
        ana = wslab.connect(server, name="ana")
        ana.emit("go")
        until(lambda: matrix_of(hub)["messages"])
        [message] = matrix_of(hub)["messages"]
        assert message["words"].startswith("not sent, since the connection was closing, to ana")
        until(lambda: not hub.clients)
        # Who is gone keeps a column as long as a message is about it.
        until(lambda: matrix_of(hub)["columns"][0]["name"] == "ana")
        [column] = matrix_of(hub)["columns"]
        assert column["gone"] is True
        assert matrix_of(hub)["messages"][0]["cells"] == ["closing"]


def test_a_crowd_is_folded_and_counted():
    hub = wslab.Hub("crowd", backlog=1)
    shown = RoomMap(hub)

    @hub.on("connect")
    def connect(client):
        client.join("everyone")

    with wslab.serve(hub) as server, contextlib.ExitStack() as on_exit:

        async def come():
            from websockets.asyncio.client import connect

            return [await connect(server.url, compression=None) for _ in range(40)]

        people = wslab.run(come)
        stalled = on_exit.enter_context(Stalled(server, hub))  # the last, and the only slow one
        until(lambda: len(hub.rooms["everyone"]) == 41)
        first = next(iter(hub.clients.values()))
        hub.broadcast("x" * 12_000_000, to=stalled_of(hub, stalled))
        hub.emit("a", to="everyone", skip=first)
        hub.emit("b", to="everyone", skip=first)
        look = shown._look(hub)
        rows, matrix = look["view"]["rows"], look["matrix"]
        assert len(rows) == 12
        assert look["view"]["more"] == "and 29 more"
        assert rows[-1]["id"] == stalled.id  # who is slow is drawn, whenever it came
        assert len(matrix["columns"]) == 8
        assert matrix["others"] == 33
        assert matrix["columns"][-1]["id"] == stalled.id
        [room] = matrix["rooms"]
        assert (room["count"], room["others"]) == ("41", "33")
        a, b = matrix["messages"][1:]
        assert a["cells"] == ["skipped", *["sent"] * 6, "dropped"]
        assert b["cells"] == ["skipped", *["sent"] * 6, "queued"]
        assert a["others"] == b["others"] == "33 sent"
        assert a["words"].endswith(
            "and 31 more; dropped for " + f"{stalled.id}; left out by skip=: {first.id}"
        )
        stalled.sock.close()

        async def go():
            for one in people:
                one.transport.abort()

        wslab.run(go)
        until(lambda: not hub.clients)
    shown.close()


def stalled_of(hub: Hub, stalled: Stalled):
    return hub.clients[stalled.id]


def test_what_is_left_out_is_said():
    hub = wslab.Hub()
    hub.emit("before")
    shown = RoomMap(hub)
    for number in range(70):
        hub.emit("tick", number)
    matrix = shown._look(hub)["matrix"]
    assert [message["preview"] for message in matrix["messages"]] == [str(n) for n in range(50, 70)]
    assert [message["key"] for message in matrix["messages"]] == [str(n) for n in range(51, 71)]
    assert matrix["before"] == (
        "50 older not shown; 1 from before tracing began, of which nothing is known"
    )
    hub.trace = None
    assert shown._look(hub)["matrix"]["messages"] == []
    assert "hub.trace is None" in str(shown)
    shown.close()


def test_a_trace_that_is_on_stays_as_it_is():
    hub = wslab.Hub()
    hub.trace = mine = wslab.hub.Trace(3)
    RoomMap(hub).close()
    WhoIsHere(hub).close()
    assert hub.trace is mine
    other = wslab.Hub()
    WhoIsHere(other).close()
    assert other.trace is None  # nobody asked for messages


def test_what_did_not_change_is_not_made_anew():
    hub = wslab.Hub()
    record = model.trace(hub)
    reader = model.MatrixReader()
    hub.emit("one")
    [first] = reader.look(hub, record)["messages"]
    hub.emit("two")
    again, _ = reader.look(hub, record)["messages"]
    assert again is first
    for number in range(200):
        hub.emit("tick", number)
    reader.look(hub, record)
    assert len(reader._made) == 20


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("null", ""),
        ('{"from":"ana","text":"a \\"word\\""}', '"a \\"word\\""'),
        ('{"text":"cut in the midd', '"cut in the midd'),
        ('{"n":1}', '{"n":1}'),
        ('"text"', '"text"'),
        ("two\nlines", "two↵lines"),
        ('"' + 79 * ".", '"." over and over'),  # the beginning of a long one
        ('"' + 20 * "." + '"', '"." over and over'),
        (repr(80 * b"x"), '"x" over and over'),
        ('{"text":"' + 71 * "-", '"-" over and over'),
        ('"........"', '"........"'),
        ('"0001' + 30 * ".", '"0001' + 30 * "."),
    ],
)
def test_preview(sent, shown):
    assert model._preview(sent) == shown


def test_errors_and_complaints(hub, panel):
    shown = WhoIsHere(hub)
    panel["ana"].say("boom", "lobby")
    panel["ana"].client.emit("nope")
    until(lambda: hub.complaints["unknown-event"])
    look = shown._look(hub)
    [trouble] = look["trouble"]
    assert trouble["text"] == (
        f"ValueError: <b>no</b> (in hub.<locals>.say, for {panel['ana'].client.hub_id})"
    )
    assert trouble["details"].endswith("ValueError: <b>no</b>\n")
    assert look["view"]["complaints"] == ["failed 1", "unknown-event 1"]
    assert look["view"]["limited"] == []
    shown.close()


def test_limits_that_held_are_shown(hub, panel):
    shown = WhoIsHere(hub)
    with pytest.raises(wslab.Refused):
        for nth in range(1_000):
            next(iter(hub.clients.values())).join(f"room {nth}")
    look = shown._look(hub)
    assert look["view"]["limited"] == ["rooms_per_client 1"]
    assert "held by limits: rooms_per_client 1" in static_html.to_html(look["view"])
    shown.close()


@pytest.mark.parametrize("wrong", [None, 3, "ws://127.0.0.1:1/"])
def test_only_a_hub_has_a_map(wrong):
    with pytest.raises(TypeError, match="expected a Hub, got"):
        RoomMap(wrong)


def test_a_server_is_told_to_pass_its_hub(server):
    with pytest.raises(TypeError, match="pass the Hub that it serves"):
        WhoIsHere(server)


# How it shows itself.


def test_the_html_is_plain_markup_and_escapes_what_came(hub, panel):
    shown = RoomMap(hub)
    panel["ana"].join("<i>lobby</i>")
    panel["ben"].join("<i>lobby</i>")
    panel["ana"].say("<script>alert(1)</script>", "<i>lobby</i>")
    panel["ana"].say("boom", "<i>lobby</i>")
    panel["cleo"].disconnect()
    until(lambda: hub.errors and model.departures_of(hub).left_seen)
    until(lambda: any(line.event == "say" for line in read(panel["ben"])))
    for form in (shown.forms(), panel.forms()):
        outline = Outline(form["text/html"])
        assert outline.open == []
        table = {"table", "thead", "tbody", "tr", "th", "td"}
        assert outline.tags <= table | {"div", "p", "b", "span", "br", "pre", "details", "summary"}
        assert outline.attributes == {"style"}
        assert "<script>alert(1)</script>" in outline.text
        assert "<i>lobby</i>" in outline.text
        assert "as of " in outline.text
    outline = Outline(shown.forms()["text/html"])
    assert "|ana|" in outline.text
    assert "|skipped|" in outline.text
    assert "closed by the client with 1000" in outline.text
    shown.close()


def test_text_and_html_say_the_same(hub, panel):
    shown = RoomMap(hub)
    for player in panel:
        player.join("lobby")
    hub.emit("news", "x", to="lobby")
    forms = shown.forms()
    for word in ("house", "ana", "ben", "cleo", "lobby", "news", "the program"):
        assert word in forms["text/plain"]
        assert word in forms["text/html"]
    lines = forms["text/plain"].splitlines()
    assert lines[0] == "hub 'house', 3 clients in 1 room"
    assert "  room lobby (3): ana, ben, cleo" in lines
    assert lines[-1] == "  + sent"
    shown.close()


def test_one_map_a_hub_however_often_it_is_shown():
    hub = wslab.Hub()
    shown = map_of(hub)
    assert map_of(hub) is shown
    shown.close()
    assert map_of(hub) is not shown
    map_of(hub).close()


@pytest.mark.parametrize(
    ("name", "text", "page"),
    [
        ("hub", "hub, 0 clients in 0 rooms", "<b>hub</b>, 0 clients"),
        ("chat", "hub 'chat', 0 clients", "<b>chat</b>, a hub, 0 clients"),
    ],
)
def test_a_hub_without_a_name_is_called_a_hub_once(name, text, page):
    shown = WhoIsHere(wslab.Hub(name))
    try:
        assert str(shown).startswith(text)
        assert page in shown.forms()["text/html"]
    finally:
        shown.close()


def test_a_terminal_gets_text_and_no_widget_is_loaded():
    code = (
        "import IPython, sys, types, wslab\n"
        "from IPython.core.formatters import DisplayFormatter\n"
        "shell = types.SimpleNamespace(display_formatter=DisplayFormatter())\n"
        "wslab.load_ipython_extension(shell)\n"
        "assert 'wslab.hub' not in sys.modules and 'wslab.widgets.rooms' not in sys.modules\n"
        "hub = wslab.Hub('house')\n"
        "print(shell.display_formatter.format(hub)[0])\n"
        "print('anywidget' in sys.modules, hub.trace)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shown, loaded = done.stdout.splitlines()
    assert shown.startswith("{'text/plain': \"hub 'house', 0 clients in 0 rooms")
    assert loaded == "False None"


HUB = """
import wslab
hub = wslab.Hub("house")
@hub.on("say")
async def say(client, data):
    await hub.emit("say", data, skip=client)
server = wslab.serve(hub)
hub"""


@pytest.mark.kernel
def test_a_kernel_gets_map_html_and_text():
    chat = "from wslab.widgets import ChatPanel\npanel = ChatPanel(hub)\n"
    cells = [
        HUB,
        chat + "panel",
        "panel['ana'].say('hello', 'x')\nimport time; time.sleep(0.5)\nhub",
        "panel",
    ]
    with Kernel() as kernel:
        shown = kernel.run_all(cells)
    first, panel, hub, again = [cell.outputs[0]["data"] for cell in shown]
    for bundle in (first, panel, hub, again):
        assert set(bundle) == {"text/plain", "text/html", WIDGET}
    assert first[WIDGET]["model_id"] == hub[WIDGET]["model_id"]
    assert panel[WIDGET]["model_id"] == again[WIDGET]["model_id"]
    assert re.search(r"say +\"hello\" +ana +everybody +- +\+ +\+", hub["text/plain"])
    assert "|hello|" not in Outline(panel["text/html"]).text
    assert "came say in x hello" in again["text/plain"]
    assert [o["output_type"] for cell in shown for o in cell.outputs] == ["execute_result"] * 4


@pytest.mark.kernel
def test_running_the_panels_cell_again_replaces_its_clients():
    chat = "from wslab.widgets import ChatPanel\npanel = ChatPanel(hub)\n"
    look = "import time; time.sleep(0.3); sorted(c.path for c in hub.clients.values())"
    last = "first.view['ended'], any(p.is_open for p in first)"
    sources = [HUB, chat + "first = panel", look, chat, look, last]
    with Kernel() as kernel:
        shown = kernel.run_all(sources, cell_ids=["hub", "chat", "look", "chat", "look", "last"])
    texts = [cell.outputs[0]["data"]["text/plain"] for cell in shown if cell.outputs]
    three = "['/?name=ana', '/?name=ben', '/?name=cleo']"
    ended = "('its cell ran again, and a new one took its place', False)"
    assert texts[1:] == [three, three, ended]


# The players.


def read(player) -> list:
    player.drain()
    return list(player.lines)


def test_a_player_sends_what_a_program_would(hub, server, panel):
    ana = panel["ana"]
    ana.join("lobby")
    ana.say("hello", "lobby")
    ana.leave("lobby")
    tape = ana.client.tape
    sent = [json.loads(m.data) for m in tape.messages if m.sender == "client"]
    assert sent == [
        {"event": "join", "data": {"room": "lobby"}, "id": 1},
        {"event": "say", "data": {"room": "lobby", "text": "hello"}},
        {"event": "leave", "data": {"room": "lobby"}, "id": 2},
    ]
    assert len(server.connections) == 3
    assert [(line.direction, line.event, line.room, line.text) for line in read(ana)] == [
        ("received", "welcome", "", f"your id here is {ana.client.hub_id}"),
        ("sent", "join", "lobby", ""),
        ("received", "answer", "", "to 1"),
        ("sent", "say", "lobby", "hello"),
        ("sent", "leave", "lobby", ""),
        ("received", "answer", "", "to 2"),
    ]
    times = [line.at for line in ana.lines]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 5


def test_what_came_says_from_whom_and_where(hub, panel):
    for player in panel:
        player.join("lobby")
    panel["ana"].say("hello <b>", "lobby")
    line = until(lambda: next((one for one in read(panel["ben"]) if one.event == "say"), None))
    assert (line.direction, line.sender, line.room, line.text) == (
        "received",
        "ana",
        "lobby",
        "hello <b>",
    )
    assert line.raw == '{"event":"say","data":{"from":"ana","room":"lobby","text":"hello <b>"}}'
    hub.emit("any", [1, "ü"])
    hub.emit("word", "plain")
    hub.emit("bare")
    hub.broadcast("no packet")
    hub.broadcast(b"\x01\x02")
    last = until(lambda: (lines := read(panel["cleo"]))[-1].text == "2 B of binary" and lines[-5:])
    assert [(one.event, one.text) for one in last] == [
        ("any", '[1, "ü"]'),
        ("word", "plain"),
        ("bare", ""),
        ("", "no packet"),
        ("", "2 B of binary"),
    ]


def test_errors_of_the_hub_are_shown(hub, panel):
    hub.off("join")
    with pytest.raises(CallFailed, match="nobody handles 'join' here"):
        panel["ana"].join("lobby")
    panel["ana"].say("boom", "lobby")

    def errors() -> list[str]:
        return [line.text for line in read(panel["ana"]) if line.event == "error"]

    first, second = until(lambda: len(errors()) == 2 and errors())
    assert first.startswith("to 1, unknown-event: nobody handles 'join' here")
    assert second == "failed: ValueError: <b>no</b>"


def test_rooms_are_those_that_the_hub_knows(hub, panel):
    ana = panel["ana"]
    ana.join("lobby")
    ana.join("garden")
    assert ana.rooms == ("lobby", "garden")
    hub.clients[ana.client.hub_id].leave("lobby")
    hub.clients[ana.client.hub_id].join("attic")
    assert ana.rooms == ("garden", "attic")
    ana.disconnect()
    assert ana.rooms == ()
    ana.connect()
    until(lambda: len(hub.clients) == 3)
    assert ana.rooms == ()  # a new connection is nobody's member


def test_disconnected_and_connected_again(hub, panel):
    ana = panel["ana"]
    first = ana.client
    ana.disconnect()
    until(lambda: len(hub.clients) == 2)
    view = panel._look(panel.chat)["view"]["players"][0]
    assert view["state"] == "closed"
    assert view["why"].startswith("This client closed it with 1000")
    ana.connect()
    ana.connect()  # it is: nothing happens
    assert ana.client is not first
    until(lambda: len(hub.clients) == 3)
    assert panel._look(panel.chat)["view"]["players"][0]["state"] == "open"


def test_it_serves_a_hub_that_nobody_serves(hub):
    panel = ChatPanel(hub, ("one",))
    [server] = [thing for thing in cells.things() if isinstance(thing, wslab.Server)]
    assert server.handler is hub
    assert panel["one"].client.url.startswith(server.url)
    panel.close()
    until(lambda: not cells.things())


def test_other_words_and_another_way_to_the_hub(server):
    hub = server.handler
    hub.on("enter", inside(hub).handlers.by_event["join"].function)
    hub.off("join")
    panel = ChatPanel(server.url, ("ana",), join="enter", say="shout", rooms=("hall",))
    assert panel.chat.hub is hub
    panel["ana"].join("hall")
    assert panel["ana"].rooms == ("hall",)
    assert panel._look(panel.chat)["view"]["offered"][0] == "hall"
    panel.close()


def test_nobody_has_to_take_what_comes(hub, panel):
    live.unwatch(panel)
    for number in range(300):
        hub.emit("tick", number)
    until(lambda: panel["ana"].client.counts[0] == 301)
    assert panel["ana"].client.waiting > 0
    live.watch(panel)
    until(lambda: panel["ana"].lines_seen == 301)
    assert panel["ana"].client.waiting == 0
    log = panel._look(panel.chat)["lines"]["ana"]
    assert len(panel["ana"].lines) == 200
    assert len(log["rows"]) == 40
    assert log["rows"][-1]["text"] == "299"
    assert log["dropped"] == "261 older not shown"


def test_a_flood_is_passed_over_and_said(hub, panel):
    live.unwatch(panel)
    for _ in range(10):
        hub.emit("big", "x" * 100_000)
    until(lambda: panel["ana"].client.counts[0] == 11)
    lines = read(panel["ana"])
    assert lines[0].event == "welcome" or lines[0].way == "note"
    assert any(line.direction == "note" for line in lines)
    assert lines[-1].event == "big"


def test_closing_ends_all(hub, server):
    panel = ChatPanel(hub, ("ana", "ben"))
    players = list(panel)
    panel.chat.begin_close(replaced=True).result(5)
    until(lambda: not hub.clients)
    assert cells.things() == (server,)
    assert not panel.chat.is_open
    view = panel._look(panel.chat)["view"]
    assert view["ended"] == "its cell ran again, and a new one took its place"
    with pytest.raises(RuntimeError, match="this panel has ended"):
        players[0].connect()
    panel.close()


def test_what_fails_leaves_no_client(hub, server, monkeypatch):
    from wslab.widgets.chat import players

    connect = players.connect

    def second_fails(url, **kwargs):
        if kwargs["name"] == "ben":
            raise OSError("no more")
        return connect(url, **kwargs)

    monkeypatch.setattr(players, "connect", second_fails)
    with pytest.raises(OSError, match="no more"):
        ChatPanel(hub)
    until(lambda: cells.things() == (server,))


@pytest.mark.parametrize("names", [(), ("a", "a"), ("",), tuple("abcdefg"), (1,)])
def test_names_are_checked(hub, names):
    with pytest.raises(ValueError, match="names"):
        ChatPanel(hub, names)


def test_a_target_is_checked():
    with pytest.raises(BadURL, match="expected a Hub, a Server or a ws:// URL"):
        ChatPanel(asyncio.Event())
    assert cells.things() == ()


# Its buttons.


def click(panel, what, **data):
    before = len(panel.done)
    panel._on_msg(panel, {"type": "act", "what": what, "data": data, "id": f"c{before}"}, [])
    assert panel.done[-1] == f"c{before}"
    return panel.said["text"], panel.said["good"]


def test_every_button(hub, panel):
    assert click(panel, "join", player="ana", room="lobby") == ("ana joined lobby", True)
    assert click(panel, "join", player="ben", room="lobby") == ("ben joined lobby", True)
    said = click(panel, "say", player="ana", room="lobby", text="hi")
    assert said == ("ana said it to lobby", True)
    until(lambda: any(line.text == "hi" for line in read(panel["ben"])))
    assert click(panel, "leave", player="ana", room="lobby") == ("ana left lobby", True)
    assert panel.view["players"][0]["rooms"] == []
    text, good = click(panel, "disconnect", player="ana")
    assert (text, good) == ("ana closed its connection with 1000", True)
    text, good = click(panel, "say", player="ana", room="lobby", text="hi")
    assert not good
    assert text.startswith("ConnectionClosed")
    assert click(panel, "connect", player="ana") == ("ana is connected", True)
    text, good = click(panel, "join", player="nobody", room="lobby")
    assert not good


def test_a_page_that_comes_gets_a_panel_that_is_up_to_date(hub, panel):
    shown = RoomMap(hub)
    hub.emit("news")
    shown._on_msg(shown, {"type": "ready", "view": "v", "origin": "null", "base": "/"}, [])
    assert [message["event"] for message in shown.matrix["messages"]] == ["news"]
    assert shown.is_watched
    shown._on_msg(shown, {"type": "gone", "view": "v", "for_good": True}, [])
    assert not shown.is_watched
    shown.close()


def test_the_flusher_keeps_it_up_to_date(hub, server):
    shown = RoomMap(hub)
    shown.show()
    with wslab.connect(server, name="ana"):
        until(lambda: [row["name"] for row in shown.view["rows"]] == ["ana"])
        hub.emit("news")
        until(lambda: shown.matrix["messages"])
        hub.emit("more")
        until(lambda: len(shown.matrix["messages"]) == 2)
    until(lambda: shown.view["left_seen"] == "1")
    shown.close()


def test_words_for_an_empty_delivery():
    delivery = Delivery("x", (), None)
    assert delivery.reached == 0
    assert static_html.SIGNS.keys() == {*model.OUTCOMES, ""}
