"""A keyword that nobody knows is named with the nearest that somebody does."""

from __future__ import annotations

import inspect

import pytest
from websockets.asyncio import client, server

import wslab
from wslab.websockets_compat.keywords import check_keywords


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("compresion", "compression"),
        ("subprotocol", "subprotocols"),
        ("ping_intervall", "ping_interval"),
        ("reuse_prot", "reuse_port"),
        ("klass", "create_connection"),
        ("timeout", "open_timeout"),
        ("nmae", "name"),
        ("orgins", "origins"),
    ],
)
def test_serve_names_the_nearest(given, nearest):
    with pytest.raises(TypeError) as refused:
        wslab.serve(echo, **{given: None})
    assert str(refused.value) == (
        f"expected a keyword that serve() or websockets knows, got {given}=...: "
        f"did you mean {nearest}=...?"
    )
    assert list(wslab.running()) == []


def test_what_is_near_to_nothing():
    with pytest.raises(TypeError, match=r"got zzzz=\.\.\.: help\(wslab.serve\) lists them"):
        wslab.serve(echo, zzzz=1)


@pytest.mark.parametrize("function", [server.serve, client.connect])
def test_what_websockets_takes_passes(function):
    names = [
        name
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is one.KEYWORD_ONLY
    ]
    assert len(names) > 10
    check_keywords(dict.fromkeys(names), "serve()", function)


def test_the_loops_keywords_reach_it():
    with wslab.serve(echo, backlog=5, reuse_address=True, start_serving=True) as one:
        with wslab.connect(one) as alice:
            assert alice.ping() > 0


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("reconect", "reconnect"), ("extra_headers", "additional_headers"), ("orgin", "origin")],
)
def test_connect_names_the_nearest(given, nearest):
    with wslab.serve(echo) as server:
        with pytest.raises(TypeError, match=f"connect.*got {given}=.*did you mean {nearest}="):
            wslab.connect(server, **{given: None})
        assert server.connections_seen == 0


def test_what_connect_hands_on_passes():
    with wslab.serve(echo) as one:
        local = ("127.0.0.1", 0)
        with wslab.connect(one, local_addr=local, family=2, max_queue=4) as alice:
            assert alice.ping() > 0
