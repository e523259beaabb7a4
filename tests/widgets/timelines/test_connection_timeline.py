"""ConnectionTimeline: a line from the 101 to the end of TCP, all of it from the tape."""

from __future__ import annotations

import re
import time
from itertools import count

import pytest

import wslab
from wslab.widgets.timelines import connection_timeline as module
from wslab.widgets.timelines.connection_timeline import ConnectionLife, ConnectionTimeline

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()


async def echo(websocket):
    async for message in websocket:
        if message == "abort":
            websocket.transport.abort()
        elif message == "leave":
            await websocket.close(4001, "go")
        else:
            await websocket.send(message)


def ended(server, number: int) -> ConnectionLife:
    """Wait until TCP of this connection has ended on the tape; return its life."""
    deadline = time.monotonic() + 5
    while True:
        life = ConnectionTimeline(server).lives[number - 1]
        if not life.is_open:
            return life
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_connection_and_how_it_ended():
    server = wslab.serve(echo)
    alice, bob, carol, dan = (wslab.connect(server, name=n) for n in ("alice", "bob", "c", "d"))
    alice.send("one")
    assert alice.recv(timeout=5) == "one"
    alice.close(1000)
    bob.send("leave")
    carol.send("abort")
    first, second, third = (ended(server, number) for number in (1, 2, 3))
    fourth = ConnectionTimeline(server).lives[3]
    assert [life.fate for life in (first, second, third, fourth)] == [
        "closed by the client, 1000",
        "closed by the server, 4001",
        "broke off without a close frame",
        "open",
    ]
    assert [life.name for life in (first, second, third, fourth)] == [
        "1 alice",
        "2 bob",
        "3 c",
        "4 d",
    ]
    opened = [life.opened_s for life in (first, second, third, fourth)]
    assert opened == sorted(opened)
    # Of alice's message and its echo the tape knows the moments.
    messages = [m.at_s for m in server.tape.messages if m.connection_id == first.connection_id]
    assert (*first.received_s, *first.sent_s) == tuple(messages)
    assert first.opened_s < first.received_s[0] <= first.sent_s[0] < first.ended_s
    assert fourth.ended_s is None
    assert fourth.sent_s == fourth.received_s == ()
    dan.close()


def test_what_never_became_a_websocket_has_no_life():
    server = wslab.serve(echo, process_request=lambda c, r: c.respond(403, "no\n"))
    with pytest.raises(wslab.errors.HandshakeRefused):
        wslab.connect(server)
    assert ConnectionTimeline(server).lives == ()
    assert str(ConnectionTimeline(server)) == "No connection has become a WebSocket yet."
    assert "No connection has become a WebSocket yet." in ConnectionTimeline(server)._repr_html_()


def test_it_shows_what_is_so_when_it_is_shown():
    server = wslab.serve(echo)
    shown = ConnectionTimeline(server)
    client = wslab.connect(server)
    assert str(shown).startswith("1 connection in ")
    assert str(shown).splitlines()[0].endswith(", 1 open now")
    client.close()
    ended(server, 1)
    assert str(shown).splitlines()[0].endswith(", 0 open now")


def test_a_tape_alone_ends_with_its_last_event():
    server = wslab.serve(echo)
    client = wslab.connect(server)
    client.send("one")
    client.recv(timeout=5)
    last = server.tape.messages[-1].at_s
    _, now_s = ConnectionTimeline(server.tape)._look()
    assert now_s == last
    _, now_s = ConnectionTimeline(server)._look()
    assert now_s > last


def test_targets_are_checked():
    with pytest.raises(TypeError, match=r"expected a Server or a Tape, got int"):
        ConnectionTimeline(42)
    with pytest.raises(ValueError, match="expected a server that records"):
        ConnectionTimeline(wslab.serve(echo, record=False))


# How it looks; from made-up times.


def life(opened_s, ended_s=None, closed_by=None, code=None, sent=(), received=(), label=None):
    return ConnectionLife(
        next(numbers), "id", label, opened_s, ended_s, closed_by, code, sent, received
    )


numbers = count(1)


@pytest.fixture
def drawn(monkeypatch):
    def draw(*lives: ConnectionLife, now_s: float = 12.0) -> ConnectionTimeline:
        monkeypatch.setattr(ConnectionTimeline, "_look", lambda _: (lives, now_s))
        return ConnectionTimeline(wslab.Tape())

    global numbers
    numbers = count(1)
    return draw


def test_as_text(drawn):
    shown = drawn(
        life(2.0, 7.0, "client", 1000, sent=(4.5,), label="<ann>"),
        life(7.0, received=(12.0, 9.5), sent=(9.5,)),
    )
    lines = str(shown).splitlines()
    assert lines[0] == "2 connections in 10.0 s, 1 open now"
    assert lines[1] == (
        "  1 <ann>  "
        + "-" * 15
        + "*"
        + "-" * 14
        + "|"
        + " " * 29
        + "  0 ms to 5.0 s: closed by the "
        "client, 1000; messages to it: 1, from it: 0"
    )
    assert lines[2] == (
        "        2  " + " " * 30 + "-" * 14 + "*" + "-" * 14 + ">  open since 5.0 s; "
        "messages to it: 1, from it: 2"
    )


def test_since_a_moment(drawn):
    shown = drawn(
        life(2.0, 7.0, "server", 1012, sent=(4.5, 6.5), label="<ann>"),
        life(3.0, sent=(4.0,)),
        life(7.0, 8.0, "client", 1000, sent=(7.5,)),
        now_s=11.0,
    )
    shown.since = shown.tape.began_at + 6.0
    head, first, second, third = str(shown).splitlines()
    assert head == "3 connections in 5.0 s, 1 open now"
    assert "  until 1.0 s: closed by the server, 1012; messages to it: 1, from it: 0" in first
    assert first.startswith("  1 <ann>  ------*-----|   ")
    assert "open since before; messages to it: 0, from it: 0" in second
    assert "*" not in second
    assert "  1.0 s to 2.0 s: closed by the client, 1000; messages to it: 1" in third
    _, first, second, third = shown._repr_html_().split('role="img"')
    assert [one.count("<circle") for one in (first, second, third)] == [1, 0, 1]
    assert '<line x1="0.00%" x2="19.60%"' in first
    assert '<line x1="19.60%" x2="39.20%"' in third


def test_what_ended_before_the_moment_is_left_out():
    server = wslab.serve(echo)
    alice, bob = (wslab.connect(server, name=name) for name in ("alice", "bob"))
    alice.close()
    ended(server, 1)
    since = ConnectionTimeline(server, since=time.time() + 0.001)
    assert [life.name for life in since.lives] == ["2 bob"]
    assert [life.name for life in ConnectionTimeline(server).lives] == ["1 alice", "2 bob"]
    bob.close()


def test_as_html(drawn):
    page = drawn(
        life(2.0, 7.0, "client", 1000, sent=(4.5,), label="<ann>"),
        life(7.0, received=(12.0,), sent=(9.5,)),
    )._repr_html_()
    assert "<ann>" not in page
    assert "&lt;ann&gt;" in page
    assert "<script" not in page
    assert "the same as text" in page
    _, first, second = page.split('role="img"')
    assert 'aria-label="connection 1 &lt;ann&gt;: 0 ms to 5.0 s: closed by the client' in first
    assert 'aria-label="connection 2: open since 5.0 s' in second
    assert '<line x1="0.00%" x2="49.00%"' in first  # from its beginning to its end
    assert '<line x1="49.00%" x2="49.00%"' in first  # a bar: it has ended
    assert "<path" not in first
    assert '<line x1="49.00%" x2="98%"' in second
    assert "<path" in second  # an arrow: it is open
    assert [first.count("<circle"), second.count("<circle")] == [1, 2]
    # Which way a message went is told by form: a full dot, a ring.
    fills = re.findall(r'fill="(var\(--jp-[a-z]+)', "".join(re.findall("<circle.*?>", second)))
    assert fills == ["var(--jp-brand", "var(--jp-layout"]


def test_only_the_latest_are_drawn_and_it_says_so(drawn):
    many = [life(float(n)) for n in range(module.MAX_ROWS + 3)]
    shown = drawn(*many, now_s=100.0)
    assert "43 connections in 1.7 min, 43 open now" in str(shown)
    assert "the 3 oldest are not drawn" in str(shown)
    assert "the 3 oldest are not drawn" in shown._repr_html_()
    assert shown._repr_html_().count('role="img"') == module.MAX_ROWS


def test_one_that_closes_and_one_without_a_code(drawn):
    shown = str(drawn(life(0.0, closed_by="server", code=1001), life(0.0, 1.0, "client")))
    assert "closing, from 0 ms" in shown
    assert "closed by the client, no code" in shown


def test_a_life_of_no_length_can_be_drawn(drawn):
    assert "1 connection in 1 ms" in str(drawn(life(5.0), now_s=5.0))
