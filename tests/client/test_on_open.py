"""on_open of a client: called once for each connection, whatever happens in it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests.peers import until
from tests.test_odd_exceptions import is_about, kinds, raising, ways
from wslab.client.backoff import Reconnect
from wslab.hub import Hub
from wslab.loops import portals

pytestmark = pytest.mark.usefixtures("memory_network")


class Feed:
    """A server that says who subscribed, in order; each connection ends where a test says."""

    def __init__(self):
        self.came = []
        self.websockets = []

    async def __call__(self, websocket):
        self.websockets.append(websocket)
        async for message in websocket:
            self.came.append(message)
            if message.startswith("subscribe"):
                await websocket.send(f"tick {len(self.websockets)}")

    def cut(self):
        """Break the latest connection off."""
        portals.lab().call(self.websockets[-1].transport.abort)


@pytest.fixture
def feed():
    return Feed()


@pytest.fixture
def server(feed):
    with wslab.serve(feed) as server:
        yield server


def opening(on_open, **options):
    return Reconnect(first_delay_s=0, on_open=on_open, **options)


@ways
def test_it_is_called_on_each_opening(server, feed, way):
    calls = []

    def plain(client):
        calls.append((client, threading.get_ident()))
        client.send("subscribe")

    async def asynchronous(client):
        calls.append((client, threading.get_ident()))
        await client.websocket.send("subscribe")

    functions = {
        "plain": plain,
        "async": asynchronous,
        "returns an awaitable": lambda client: asynchronous(client),
    }
    with wslab.connect(server, reconnect=opening(functions[way])) as alice:
        assert len(calls) == 1  # when connect() returns
        for nth in range(1, 4):
            assert alice.recv(timeout=10) == f"tick {nth}"
            assert len(feed.came) == nth
            feed.cut()
        assert alice.recv(timeout=10) == "tick 4"
        assert {client for client, _ in calls} == {alice}
        assert len(calls) == 4
        on_loop = [thread == portals.lab().thread_id for _, thread in calls]
        assert on_loop == [way != "plain"] * 4
        assert (calls[0][1] == threading.get_ident()) is (way == "plain")
        assert alice.errors == ()


def test_it_may_ask_and_wait(server, feed):
    answers = []

    def subscribe(client):
        client.send("subscribe")
        answers.append(client.recv(timeout=10))

    with wslab.connect(server, reconnect=opening(subscribe)) as alice:
        feed.cut()
        until(lambda: answers == ["tick 1", "tick 2"])
        assert alice.waiting == 0


@kinds
@ways
def test_what_it_raises_first_is_raised_by_connect(server, feed, kind, way):
    expected = kind
    with pytest.raises(BaseException) as raised:  # noqa: PT011
        wslab.connect(server, reconnect=opening(raising(way, expected)))
    assert is_about(kind, f"{type(raised.value).__name__}: {raised.value}")
    until(lambda: server.connections == ())
    assert len(feed.websockets) == 1


@kinds
@ways
def test_what_it_raises_later_is_recorded_and_shown(server, feed, kind, way):
    calls = []
    fails = raising(way, kind)

    def later(client):
        calls.append(client)
        return fails(client) if len(calls) == 2 else None

    async def later_async(client):
        result = later(client)
        if result is not None:
            await result

    with wslab.connect(
        server, reconnect=opening(later_async if way == "async" else later)
    ) as alice:
        feed.cut()
        until(lambda: alice.errors)
        [error] = alice.errors
        assert is_about(kind, str(error))
        assert str(error).startswith("on_open=")
        assert error.event is None
        assert "Traceback" in error.traceback
        assert "1 error" in repr(alice)
        # The connection is open, and the next one has a call of its own.
        alice.send("hello")
        until(lambda: feed.came == ["hello"])
        feed.cut()
        until(lambda: len(calls) == 3)
        assert alice.errors_seen == 1


@pytest.mark.parametrize("waits_in", ["send", "recv", "ping"])
@pytest.mark.parametrize("which", [1, 2])
def test_a_call_ends_with_its_connection(server, feed, waits_in, which):
    """A call that still runs would subscribe on the next connection as well."""
    calls, ended = [], []

    def subscribe(client):
        calls.append(client)
        nth = len(calls)
        if nth == which:
            if waits_in == "recv":
                threading.Timer(0.05, feed.cut).start()
            else:
                feed.cut()
                until(lambda: len(feed.websockets) == which + 1 and client.state.name == "OPEN")
            with pytest.raises(ConnectionClosed) as closed:
                getattr(client, waits_in)(*["subscribe late"] * (waits_in == "send"))
            ended.append((nth, bool(closed.value.__notes__)))
            raise closed.value
        client.send(f"subscribe {nth}")

    with wslab.connect(server, reconnect=opening(subscribe)) as alice:
        if which == 2:
            assert alice.recv(5) == "tick 1"
            feed.cut()
        until(lambda: f"subscribe {which + 1}" in feed.came)
        assert ended == [(which, True)]
        assert "subscribe late" not in feed.came
        assert alice.errors == ()
        assert len(calls) == which + 1


def test_a_handler_that_it_registers_outlives_the_call():
    hub = Hub()
    hub.on("add", lambda client, data: data + 1)
    told = []

    def register(client):
        client.on("heard", lambda data: told.append(client.call("add", data)))

    with wslab.serve(hub) as server:
        with wslab.connect(server, reconnect=opening(register)) as alice:
            for nth in range(3):
                hub.emit("heard", nth)
                until(lambda: told == list(range(1, nth + 2)))  # noqa: B023
                [client] = hub.clients.values()
                portals.lab().call(client.websocket.transport.abort)
                until(lambda: [c for c in hub.clients.values() if c is not client])  # noqa: B023
            assert alice.errors == ()


def test_closing_ends_it(server, feed):
    began, ended = threading.Event(), []

    async def for_ever(client):
        if not ended:
            ended.append("first")
            return
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with wslab.connect(server, reconnect=opening(for_ever)) as alice:
        feed.cut()
        assert began.wait(10)
        alice.close()
        until(lambda: ended == ["first", "cancelled"])
        assert alice.errors == ()


def test_a_server_that_ends_at_once_is_no_failure_of_it():
    async def bye(websocket):
        await websocket.close(4000, "no")

    def subscribe(client):
        until(lambda: client.state.name == "CLOSED")
        client.send("subscribe")

    with wslab.serve(bye) as server:
        alice = wslab.connect(server, reconnect=opening(subscribe))
        assert alice.close_code == 4000


@pytest.mark.parametrize("wrong", [5, "subscribe", lambda: None, lambda a, b: None])
def test_what_cannot_be_called_is_refused_before_connecting(server, feed, wrong):
    with pytest.raises(TypeError, match="expected on_open as a function of one argument"):
        wslab.connect(server, reconnect=opening(wrong))
    assert feed.websockets == []
