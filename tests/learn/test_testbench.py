"""The bench: what crosses the wire, and what a Miss says of it; it always ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

import wslab
from wslab.learn import NotYet, check, left_open
from wslab.learn.exercises import Miss
from wslab.learn.testbench import TestBench, describe, nonce


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def test_a_bench_sees_the_wire_of_each_client():
    with TestBench(echo) as bench:
        ada, ben = bench.connect("/ada"), bench.connect("/ben?x=1")
        ada.send("one")
        ben.send(b"\x00\xff")
        assert ada.recv("an echo") == "one"
        assert ben.recv("an echo") == b"\x00\xff"
        assert [(f.sender, f.opcode, f.payload) for f in ada.frames] == [
            ("client", 1, b"one"),
            ("server", 1, b"one"),
        ]
        assert [f.payload for f in ben.frames] == [b"\x00\xff"] * 2
        assert describe(ada.frames[0], ada.frames[0].at_s) == "text 'one' from the client at 0.0 ms"
        assert describe(ben.frames[1]).startswith("binary 00 ff from the server at ")
        assert ada.seen().startswith("text 'one' from the client at ")
    assert ada.handle.close_code is not None
    assert not bench.server.is_serving
    assert not left_open().connections


def test_raw_bytes_reach_the_server_as_they_are():
    with TestBench(echo) as bench:
        client = bench.connect()
        client.send_raw(bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58"))
        assert client.recv("an echo") == "Hello"  # RFC 6455 §5.7's example
        assert client.frames[0].raw == bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")


def test_silence_is_a_miss_that_says_what_was_on_the_wire():
    async def silent(websocket):
        await websocket.wait_closed()

    with pytest.raises(Miss) as caught, TestBench(silent, wait_s=0.1) as bench:
        client = bench.connect()
        client.send("anybody?")
        client.recv("an answer", "say something")
    assert caught.value.expected == "an answer"
    assert "no message within 0.1 s" in caught.value.seen
    assert "text 'anybody?' from the client at " in caught.value.seen
    assert caught.value.hint == "say something"


def test_a_close_instead_of_a_message_is_said_with_its_code():
    async def leaves(websocket):
        await websocket.close(4321, "no")

    with pytest.raises(Miss, match=r"on the wire: close 4321 .* from the server at "):
        with TestBench(leaves) as bench:
            bench.connect().recv("an answer")


def test_what_the_handler_raised_goes_with_the_miss():
    async def fails(websocket):
        raise ValueError("oh no")

    with pytest.raises(Miss, match="Your handler raised ValueError: oh no") as caught:
        with TestBench(fails) as bench:
            bench.connect().recv("an answer")
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_stub_of_a_handler_is_not_yet(make):
    def run(handler):
        with TestBench(handler) as bench:
            bench.connect().recv("an answer")

    async def stub(websocket):
        raise NotYet

    async def fine(websocket):
        await websocket.send("x")

    make(run)
    assert check("zz test", stub).passed is None
    assert check("zz test", fine).passed is True


@pytest.mark.parametrize("wrong", [42, "echo", lambda: None, echo])
def test_what_is_no_handler_is_a_miss(wrong):
    if wrong is echo:

        def wrong(websocket):
            pass

    with pytest.raises(Miss) as caught:
        TestBench(wrong)
    assert caught.value.expected == "`async def handler(websocket)`"


def test_a_handler_that_blocks_holds_neither_the_check_nor_the_lab():
    let_go = threading.Event()

    async def blocks(websocket):
        let_go.wait(60)

    other = wslab.serve(echo)
    began_s = time.monotonic()
    with pytest.raises(Miss) as caught:
        with TestBench(blocks, wait_s=0.2) as bench:
            client = bench.connect()
            with wslab.connect(other) as alice:  # the lab goes on meanwhile
                alice.send("still here")
                assert alice.recv(timeout=5) == "still here"
            client.recv("an answer")
    assert "the handler holds its event loop: blocks() at test_testbench.py:" in caught.value.seen
    assert time.monotonic() - began_s < 8
    let_go.set()


def test_a_handler_that_spins_is_stopped():
    ended = threading.Event()

    async def spins(websocket):
        try:
            while True:
                pass
        finally:
            ended.set()

    with pytest.raises(Miss, match="holds its event loop: spins"):
        with TestBench(spins, wait_s=0.2) as bench:
            bench.connect().recv("an answer")
    assert ended.wait(5)


def test_a_handler_that_swallows_cancellations_is_cut_off():
    async def stubborn(websocket):
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    began_s = time.monotonic()
    with TestBench(stubborn) as bench:
        bench.connect()
    assert time.monotonic() - began_s < 15


def test_until_waits_and_then_says_what_is():
    with TestBench(echo, wait_s=0.1) as bench:
        bench.until(lambda: True, "it", lambda: "")
        with pytest.raises(Miss, match=r"expected two clients; seen: 1") as caught:
            bench.connect()
            bench.until(
                lambda: len(bench.clients) > 1, "two clients", lambda: str(len(bench.clients))
            )
        assert caught.value.hint == ""


def test_nonces_differ():
    assert len({nonce() for _ in range(50)}) == 50
    assert len(nonce()) == 8
