"""Beside the reference server: the same requests get the same answers; and its client with us.

Where we are stricter stands in `STRICTER`.
"""

from __future__ import annotations

import json
import threading

import pytest

import wslab
from tests import peers
from tests.hub.engineio.reference import EngineEcho, ask, reference_client, reference_server
from tests.node import need

POLL = "/socket.io/?EIO=4&transport=polling"
COMPARED = ("content-type", "access-control-allow-origin", "access-control-allow-credentials")
GOOD = {"Origin": "https://good.example"}

# What is asked, of a session of its own: method, query, body, headers.
ASKED = {
    "a handshake": ("GET", "EIO=4&transport=polling", None, {}),
    "with a trailing parameter": ("GET", "EIO=4&transport=polling&t=abc&b64=1", None, {}),
    "no transport": ("GET", "EIO=4", None, {}),
    "an unknown transport": ("GET", "EIO=4&transport=pigeon", None, {}),
    "webtransport": ("GET", "EIO=4&transport=webtransport", None, {}),
    "a websocket by GET": ("GET", "EIO=4&transport=websocket", None, {}),
    "an unknown id": ("GET", "EIO=4&transport=polling&sid=x", None, {}),
    "an unknown id by POST": ("POST", "EIO=4&transport=polling&sid=x", "4a", {}),
    "a handshake by POST": ("POST", "EIO=4&transport=polling", "4a", {}),
    "a handshake by PUT": ("PUT", "EIO=4&transport=polling", "4a", {}),
    "version 3": ("GET", "EIO=3&transport=polling", None, {}),
    "no version": ("GET", "transport=polling", None, {}),
    "version 3 with an id": ("GET", "EIO=3&transport=polling&sid=SID", None, {}),
    "another transport with an id": ("GET", "EIO=4&transport=websocket&sid=SID", None, {}),
    "a post": ("POST", "EIO=4&transport=polling&sid=SID", "4hello", {}),
    "a post of bytes": ("POST", "EIO=4&transport=polling&sid=SID", "bAAE=", {}),
    "several packets": ("POST", "EIO=4&transport=polling&sid=SID", "4a\x1e4b\x1e3", {}),
    "a close": ("POST", "EIO=4&transport=polling&sid=SID", "1", {}),
    "octets": (
        "POST", "EIO=4&transport=polling&sid=SID", "4a",
        {"Content_Type": "application/octet-stream"},
    ),
    "too much": ("POST", "EIO=4&transport=polling&sid=SID", "4" + "x" * 2000, {}),
    "an allowed origin": ("GET", "EIO=4&transport=polling", None, GOOD),
}  # fmt: skip
# Ours ends such a session and says so; the reference server ends it, and says ok.
STRICTER = {
    "no packet": ("POST", "EIO=4&transport=polling&sid=SID", "9", {}),
    "a ping": ("POST", "EIO=4&transport=polling&sid=SID", "2", {}),
}
# The body that is no JSON differs: ours has one where the reference server sends none.
BARE = {"octets"}


@pytest.fixture(scope="module")
def reference():
    need("engine.io", "engine.io-client")
    with reference_server(maxHttpBufferSize=1000) as port:
        yield port


@pytest.fixture
def ours():
    handler = EngineEcho(max_payload=1000, origins=["https://good.example"])
    with wslab.serve(handler) as server:
        yield server.port
        assert not server.errors
        assert not handler.failed


def answer(port, method, query, body, headers):
    if "SID" in query:
        _, _, opened = ask(port, "GET", POLL)
        query = query.replace("SID", json.loads(opened[1:])["sid"])
    status, fields, content = ask(port, method, f"/socket.io/?{query}", body, **headers)
    if content.startswith(b"0{"):
        content = json.dumps(json.loads(content[1:]) | {"sid": ""}).encode()
    return status, {name: fields[name] for name in COMPARED if name in fields}, content


@pytest.mark.parametrize("name", ASKED)
def test_the_same_answer(name, reference, ours):
    expected, got = answer(reference, *ASKED[name]), answer(ours, *ASKED[name])
    if name in BARE:
        assert got[0] == expected[0]
    elif expected[0] == 200 or expected[2]:
        expected[1].setdefault("content-type", "")
        if not ASKED[name][3]:  # its middleware allows credentials to whoever asks
            for fields in (expected[1], got[1]):
                fields.pop("access-control-allow-credentials", None)
        assert got == expected
    else:
        assert got[0] == expected[0]


@pytest.mark.parametrize("name", STRICTER)
def test_where_ours_is_stricter(name, reference, ours):
    assert answer(reference, *STRICTER[name])[0] == 200
    assert answer(ours, *STRICTER[name])[0] == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("EIO=4&transport=websocket&sid=x", 400),
        ("EIO=4&transport=pigeon", 400),
        ("EIO=4&transport=websocket", 101),
    ],
)
def test_handshakes_for_a_websocket(query, status, reference, ours):
    for port in (reference, ours):
        request = peers.request(port, path=f"/socket.io/?{query}")
        with peers.dial(port, request) as sock:
            assert peers.read_head(sock).startswith(b"HTTP/1.1 %d " % status), port
            if status != 101:
                sock.settimeout(5)
                text = b""
                while more := sock.recv(1000):
                    text += more
                assert text in (b"Session ID unknown", b"Transport unknown")


def held(port, target, then):
    """Hold a GET, do something, and return what both got."""
    got = []
    waiting = threading.Thread(target=lambda: got.append(ask(port, "GET", target)))
    waiting.start()
    answer_of_then = then()
    waiting.join(10)
    return got[0][0], got[0][2], answer_of_then[0], answer_of_then[2]


@pytest.mark.parametrize("then", ["a second GET", "a close", "a message", "octets"])
def test_what_happens_to_a_held_get(then, reference, ours):
    acts = {
        "a second GET": ("GET", None, {}),
        "a close": ("POST", "1", {}),
        "a message": ("POST", "4x", {}),
        "octets": ("POST", "4x", {"Content_Type": "application/octet-stream"}),
    }
    method, body, headers = acts[then]
    results = []
    for port in (reference, ours):
        _, _, opened = ask(port, "GET", POLL)
        target = f"{POLL}&sid={json.loads(opened[1:])['sid']}"

        def act(port=port, target=target):
            # Until the first GET is there, a second would be the first.
            threading.Event().wait(0.1)
            return ask(port, method, target, body, **headers)

        first, text, status, _ = held(port, target, act)
        after = ask(port, "POST", target, "4y")[0]
        results.append((first, text, status, after))
    assert results[0] == results[1]


WAYS = {
    "stock": ({}, "polling"),
    "websocket": ({"transports": ["websocket"]}, "websocket"),
    "polling": ({"transports": ["polling"]}, "polling"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_reference_client(way):
    need("engine.io-client")
    options, first = WAYS[way]
    with wslab.serve(EngineEcho()) as server, reference_client(server.port, **options) as client:
        assert client.hear() == ["open", first]
        if way == "stock":
            assert client.hear() == ["upgrade", "websocket"]
        client.send("hello", b"\x00\xff", "é\u2028", "")
        assert client.messages(4) == ["hello", b"\x00\xff", "é\u2028", ""]
        client.send(*[f"{n}" for n in range(500)])
        assert client.messages(500) == [f"{n}" for n in range(500)]
        client.close()
        assert client.hear() == ["close", "forced close"]
        assert not server.errors


def test_the_reference_client_under_load_while_it_upgrades():
    need("engine.io-client")

    async def flood(session):
        count = 0
        while count < 20_000:
            while not session.write(prepared(f"{count}"), PLAIN_JSON):
                await session.drain()
            count += 1
            if count % 50 == 0:
                await asyncio.sleep(0)
        await session.receive()

    import asyncio

    from tests.hub.engineio.rig import prepared
    from wslab.hub.dialects.plain_json import PLAIN_JSON

    with wslab.serve(EngineEcho(flood)) as server, reference_client(server.port) as client:
        assert client.hear() == ["open", "polling"]
        assert client.messages(20_000) == [f"{n}" for n in range(20_000)]


def test_heartbeats_of_the_reference_client():
    need("engine.io-client")
    handler = EngineEcho(ping_interval_s=0.05, ping_timeout_s=5.0)
    for way in ("polling", "websocket"):
        with (
            wslab.serve(handler) as server,
            reference_client(server.port, transports=[way]) as client,
        ):
            assert client.hear() == ["open", way]
            for _ in range(3):
                assert client.hear() == ["ping"]


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_stops_is_told_to_its_clients_at_once(way):
    need("engine.io-client")
    options, first = WAYS[way]
    handler = EngineEcho()
    with wslab.serve(handler) as server:
        with reference_client(server.port, **options) as client:
            assert client.hear() == ["open", first]
            if way == "stock":
                assert client.hear() == ["upgrade", "websocket"]
            if way == "polling":  # between two polls nobody can be told anything
                peers.until(lambda: [p for p in handler.engine._polling.values() if p._held])
            server.stop()
            assert client.hear()[0] == "close"
