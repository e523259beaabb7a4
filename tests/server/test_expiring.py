"""A connection whose client's identity ends: 4401, unless the handler has renewed it."""

from __future__ import annotations

import time

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests.peers import until
from wslab.identity.identity import Identity


def test_it_is_closed_when_the_token_has_expired():
    ended = []

    async def handler(websocket):
        try:
            async for _ in websocket:
                pass
        finally:
            ended.append(websocket.close_code)

    def auth(credentials):
        return Identity("alice", time.time() + 0.3)

    with wslab.serve(handler, auth=auth) as server:
        client = wslab.connect(server, token="x")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 4401
        assert client.close_reason == "expired: come again with new credentials"
        until(lambda: ended == [4401])
        assert not server.errors


def test_a_handler_may_renew_it():
    ends_at = []

    async def handler(websocket):
        ends_at.append(time.time() + 0.6)
        websocket.identity = Identity("alice", ends_at[0])
        await websocket.wait_closed()

    def auth(credentials):
        return Identity("alice", time.time() + 0.1)

    with wslab.serve(handler, auth=auth) as server:
        client = wslab.connect(server, token="x")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 4401
        assert time.time() >= ends_at[0]


def test_a_handler_that_ends_first_leaves_no_timer():
    async def handler(websocket):
        await websocket.recv()

    def auth(credentials):
        return Identity("alice", time.time() + 3600)

    with wslab.serve(handler, auth=auth) as server:
        client = wslab.connect(server, token="x")
        client.send("done")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1000
        assert not server.errors
