"""A tap as users hold it."""

from __future__ import annotations

import pytest

import wslab
from tests import peers
from tests.taps.rig import echo, tapped
from wslab.errors import PortInUse, WrongThread
from wslab.loops import portals
from wslab.widgets.display import mimebundle
from wslab.widgets.network_controls.verbs import act
from wslab.widgets.panels.panel import panel_of


def test_its_url_is_the_targets_at_the_tap():
    with wslab.tap("ws://feed.example/a/b?token=s3cret") as tap:
        assert tap.url == f"ws://127.0.0.1:{tap.port}/a/b?token=s3cret"
        assert "s3cret" not in repr(tap)
        assert "ws://feed.example/a/b" in tap.upstream_url
        assert "s3cret" not in tap.upstream_url
        assert (tap.name, tap.status, tap.is_serving) == ("feed.example", "0 connections", True)
        assert (tap.connections, tap.connections_seen, tap.held()) == ((), 0, None)


def test_it_is_among_what_runs_and_stops():
    with wslab.tap("ws://feed.example/", name="feed") as tap:
        [one] = [one for one in wslab.running() if one.thing is tap]
        assert (one.kind, one.name, one.state) == ("tap", "feed", "0 connections")
        one.stop()
        assert not tap.is_serving
        tap.stop()
        assert repr(tap).startswith("<Tap 'feed', stopped, was at ws://127.0.0.1:")
        assert tap not in [one.thing for one in wslab.running()]
    peers.assert_free(tap.port)


def test_shutdown_stops_it():
    tap = wslab.tap("ws://feed.example/")
    wslab.shutdown()
    assert not tap.is_serving
    peers.assert_free(tap.port)


def test_a_port_that_is_taken_is_said_by_whom():
    with wslab.serve(echo, name="echo") as server:
        with pytest.raises(PortInUse, match="own server 'echo'"):
            wslab.tap("ws://feed.example/", port=server.port)
    with wslab.tap("ws://feed.example/", name="feed") as tap:
        with pytest.raises(PortInUse, match="own tap 'feed'"):
            wslab.serve(echo, port=tap.port)


def test_on_the_labs_loop_it_says_what_to_do():
    with wslab.tap("ws://feed.example/") as tap:

        async def stop():
            tap.stop()

        with pytest.raises(WrongThread, match="to_thread"):
            portals.lab().call(stop)


def test_without_a_record_bytes_and_messages_are_still_counted():
    with wslab.serve(echo) as server, wslab.tap(server, record=False) as tap:
        assert tap.tape is None
        with wslab.connect(tap) as client:
            client.send("hello")
            client.recv(timeout=5)
            [one] = tap.connections
            assert (one.received, one.sent) == (1, 1)
            assert one.received_bytes > 100
            assert one.remote_address[0] == "127.0.0.1"
            assert not hasattr(one, "websocket")


def test_stopping_ends_both_sides_without_a_close_frame():
    seen = []

    def server(sock):
        peers.upgrade(sock)
        seen.append(sock.recv(1000))

    with tapped(server) as tap, wslab.connect(tap) as client:
        tap.stop()
        peers.until(lambda: client.close_code == 1006)
        peers.until(lambda: seen == [b""])


def test_the_network_under_a_client_can_be_cut():
    with wslab.serve(echo) as server, wslab.tap(server) as tap, wslab.connect(tap) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        [one] = tap.connections
        one.network.cut()
        assert one.network.is_cut
        client.send("again")
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)
        assert len(tap.tape.messages) == 2
        one.network.restore()
        assert client.recv(timeout=5) == "again"
        one.network.reset()
        peers.until(lambda: client.close_code == 1006)
        peers.until(lambda: not tap.connections)


def test_the_network_of_connections_to_come():
    with wslab.serve(echo) as server, wslab.tap(server) as tap:
        tap.network.cut()
        with peers.dial(tap.port, peers.request(tap.port)) as sock:
            [one] = peers.until(lambda: tap.connections)
            peers.until(lambda: one.network.held_bytes)
            assert not server.tape.connections
            one.network.restore()
            assert peers.read_head(sock).startswith(b"HTTP/1.1 101 ")


def test_it_starts_again_on_the_same_port():
    with wslab.serve(echo) as server, wslab.tap(server) as tap:
        port = tap.port
        with wslab.connect(tap) as client:
            tap.restart()
            peers.until(lambda: client.close_code == 1006)
        assert (tap.port, tap.is_serving) == (port, True)
        with wslab.connect(tap) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
        assert tap in [one.thing for one in wslab.running()]


def test_views_show_it_without_secrets():
    with wslab.serve(echo) as server, wslab.tap(f"{server.url}feed?token=s3cret") as tap:
        with wslab.connect(tap, name="ana") as client:
            client.send("hello")
            client.recv(timeout=5)
            text = mimebundle(tap)["text/plain"]
            assert text.startswith("tap '127.0.0.1', listening for ")
            assert f"leads to {server.url}feed?token=" in text
            assert "ana" in text
            panel = panel_of(tap)
            assert [row["client"] for row in panel.network["rows"]] == ["ana"]
            assert panel.view["rows"][0]["received"] == "1"
            assert "s3cret" not in text + str(panel.view) + str(wslab.Inspector(tap))
            controls = wslab.NetworkControls(tap)
            [row] = controls.view["rows"]
            act(controls._reader, tap, {"key": row["key"], "verb": "cut"})
            assert tap.connections[0].network.is_cut
            controls.close()
            panel.close()
