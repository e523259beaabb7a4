"""The short ways of a client's connection: what may go past websockets, and what may not."""

from __future__ import annotations

import asyncio
import threading

import pytest
import websockets

import wslab
from tests.peers import until
from wslab.loops import portals


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.fixture
def server():
    with wslab.serve(echo) as server:
        yield server
        assert not server.errors


def on_loop(func, *args):
    return portals.lab().call(func, *args)


def test_a_message_of_one_frame_goes_past_the_loop(server):
    with wslab.connect(server) as client:
        assert client.websocket.send_now(b"text", is_text=True)
        assert client.websocket.send_now(b"bytes", is_text=False)
        assert [client.recv(5), client.recv(5)] == ["text", b"bytes"]
        assert client.counts[:2] == (2, 2)
        sent = [event.frame.opcode for event in client.tape.frames if event.sender == "client"]
        assert sent == [1, 2]


def test_not_between_the_fragments_of_another_message(server):
    with wslab.connect(server) as client:
        go_on = asyncio.Event()

        async def fragments():
            yield "one "
            await go_on.wait()
            yield "message"

        sending = portals.lab().submit(client.websocket.send, fragments())
        until(lambda: client.websocket.protocol.expect_continuation_frame)
        assert not client.websocket.send_now(b"between", is_text=True)
        client.send("after")
        on_loop(go_on.set)
        sending.result(5)
        assert [client.recv(5), client.recv(5)] == ["one message", "after"]


def test_nothing_follows_a_close_frame(server):
    with wslab.connect(server) as client:
        websocket = client.websocket

        async def close():
            closing = asyncio.ensure_future(websocket.close())
            await asyncio.sleep(0)
            assert websocket.protocol.close_sent is not None
            assert not await asyncio.to_thread(websocket.send_now, b"late", is_text=True)
            await closing

        on_loop(close)
        assert not websocket.send_now(b"later", is_text=True)


def test_what_was_sent_comes_before_the_close_frame(server):
    for _ in range(20):
        came = []

        async def keep(websocket, came=came):
            came.extend([message async for message in websocket])

        with wslab.serve(keep) as keeper:
            with wslab.connect(keeper) as client:
                for number in range(50):
                    client.send(str(number))
            assert came == [str(number) for number in range(50)]


def test_an_extension_has_its_say():
    with wslab.serve(echo, compression="deflate") as server:
        with wslab.connect(server, compression="deflate") as client:
            assert client.websocket.protocol.extensions
            assert not client.websocket.send_now(b"x", is_text=True)
            client.send("x")
            assert client.recv(5) == "x"


def test_a_connection_that_sends_in_its_own_way_is_asked():
    class Shouting(websockets.ClientConnection):
        async def send(self, message, text=None):
            await super().send(message.upper(), text=text)

    with wslab.serve(echo) as server:
        with wslab.connect(server, create_connection=Shouting) as client:
            client.send("quiet")
            assert client.recv(5) == "QUIET"


def test_many_threads_and_the_loop_send_whole_messages_in_order(server):
    rounds = 200
    with wslab.connect(server, max_waiting=10_000) as client:

        def send(name):
            for number in range(rounds):
                client.send(f"{name} {number} " + "x" * (number * 37 % 3000))

        async def send_on_loop():
            for number in range(rounds):
                await client.websocket.send(f"loop {number} ")
                await asyncio.sleep(0)

        threads = [threading.Thread(target=send, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        on_loop(send_on_loop)
        for thread in threads:
            thread.join(10)
        came = [client.recv(5).split(" ")[:2] for _ in range(4 * rounds)]
        for name in ("a", "b", "c", "loop"):
            assert [n for who, n in came if who == name] == [str(n) for n in range(rounds)]
        sent = [m.data.split(" ")[:2] for m in client.tape.messages if m.sender == "client"]
        assert sent == came


def test_nothing_is_written_where_the_loop_ends_without_a_word(server):
    # Its sockets are closed then, and their numbers may be given to others.
    with wslab.connect(server) as client:
        on_loop(client._life._task.cancel)
        until(client._life.gone.is_set)
        assert not client.websocket.send_now(b"x", is_text=True)
        on_loop(client.websocket.transport.abort)
