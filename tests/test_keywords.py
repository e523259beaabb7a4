"""A keyword that nobody knows is named with the nearest that somebody does."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from websockets.asyncio import client, server

import wslab
from wslab.keywords import check_keywords


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


def test_for_connect():
    def connect(uri, *, reconnect=False, **kwargs): ...

    takers = (connect, client.connect, asyncio.BaseEventLoop.create_connection)
    check_keywords({"local_addr": None, "proxy": None, "family": 2}, "connect()", *takers)
    for given, nearest in (("reconect", "reconnect"), ("extra_headers", "additional_headers")):
        with pytest.raises(TypeError, match=f"did you mean {nearest}="):
            check_keywords({given: 1}, "connect()", *takers)
