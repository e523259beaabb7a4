"""Which network each connection has under it."""

from __future__ import annotations

import contextlib
import http.client
import time

import pytest

import wslab
from tests.peers import dial, request, until
from tests.server.asgi_rig import application
from tests.server.http_rig import Answering
from tests.server.rig import echo


def test_a_servers_network_is_that_of_connections_to_come():
    with wslab.serve(echo) as server, wslab.connect(server) as before:
        server.network.delay_s = (0.01, 0.0)
        with wslab.connect(server) as after:
            one, two = server.connections
            assert (one.network.delay_s, two.network.delay_s) == (0.0, (0.01, 0.0))
            assert one.network is server.connections[0].network
            server.network.clear()
            assert two.network.delay_s == (0.01, 0.0)
            for client in (before, after):
                client.send("hello")
                assert client.recv(timeout=5) == "hello"


def test_one_that_comes_cut_hears_nothing_before_it_is_restored():
    with wslab.serve(echo) as server:
        server.network.cut()
        with dial(server.port, request(server.port)) as sock:
            [line] = until(lambda: server.network.lines)
            until(lambda: line.held_bytes)
            assert not server.connections
            line.restore()
            assert sock.recv(12) == b"HTTP/1.1 101"


def test_a_servers_network_resets_nothing_by_itself():
    with wslab.serve(echo) as server, wslab.connect(server) as client:
        server.network.reset()
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


def test_an_application_and_its_plain_http_have_it_too():
    with wslab.serve(application) as server:
        with http_client(server) as events:
            events.request("GET", "/events")
            answer = events.getresponse()
            assert answer.read(9) == b"data: 1\n\n"
            [line] = server.network.lines
            line.cut()
            until(lambda: line.held_bytes > 100)
            line.restore()
            until(lambda: not line.held_bytes)
            line.reset()
            with pytest.raises(ConnectionResetError):
                while answer.read(9):
                    pass
        until(lambda: not server.network.lines)
        server.network.delay_s = (0.02, 0.03)
        began_s = time.monotonic()
        with wslab.connect(server) as client:
            assert time.monotonic() - began_s >= 0.049
            network = server.connections[0].network
            assert network.delay_s == (0.02, 0.03)
            network.cut()
            client.send("hello")
            until(lambda: network.held_bytes)
            network.restore()
            assert client.recv(timeout=5) == "hello"
            network.reset()
            until(lambda: client.close_code == 1006)


def test_a_handler_that_answers_plain_http_has_it_too():
    with wslab.serve(Answering()) as server:
        with http_client(server) as http:
            http.request("POST", "/", body=b"abc")
            assert http.getresponse().read() == b"cba"
            [line] = server.network.lines
            line.cut()
            http.request("POST", "/", body=b"def")
            until(lambda: line.held_bytes)
            line.restore()
            assert http.getresponse().read() == b"fed"


def http_client(server):
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=5))


def test_an_application_that_stops_gives_up_what_is_held():
    with wslab.serve(application) as server, wslab.connect(server, ping_interval=None) as client:
        network = server.connections[0].network
        network.cut()
        client.send("never answered")
        until(lambda: network.held_bytes)
        server.stop()
        until(lambda: client.close_code == 1006 and not network.held_bytes)
