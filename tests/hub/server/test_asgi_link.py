"""A WebSocket that an ASGI server carries: order, bounds, how it ends, and that it is noticed."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.hub.rig import aio, until
from tests.hub.server.asgi_rig import Server
from wslab.hub.dialects.dialect import Said
from wslab.hub.dialects.socket_io import SocketIo
from wslab.hub.server import asgi_link
from wslab.hub.server.asgi_link import AsgiClosed, AsgiLink
from wslab.hub.server.link import Closed
from wslab.hub.server.prepared_message import PreparedMessage


@contextlib.asynccontextmanager
async def linked(server, limit_bytes=2**20):
    """Give a link that is served until the block ends."""
    link, done = AsgiLink(server.scope, server.receive, server.send, limit_bytes), asyncio.Event()
    running = asyncio.ensure_future(link.run(lambda _link: done.wait()))
    await asyncio.sleep(0)
    try:
        yield link
    finally:
        done.set()
        await running


@aio
async def test_who_it_is():
    server = Server(query_string=b"session=x", headers=[(b"cookie", b"a=1"), (b"X-Y", b"2")])
    async with linked(server) as link:
        assert link.path == "/ws?session=x"
        assert (link.headers["Cookie"], link.headers["x-y"]) == ("a=1", "2")
        assert link.address == ("10.0.0.1", 5)
        assert link.connection.request.path == link.path
        assert link.connection.request.headers["x-y"] == "2"
        assert link.connection.scope is server.scope
        assert link.connection.id is link.id
        assert link.is_served
    server = Server(path="/a b", client=None)
    del server.scope["raw_path"]
    async with linked(server) as link:
        assert (link.path, link.address) == ("/a%20b", None)


@aio
async def test_messages_both_ways_in_order():
    server = Server()
    async with linked(server) as link:
        server.feed("one", b"two", "three")
        assert [await link.receive() for _ in range(3)] == ["one", b"two", "three"]
        assert link.write(PreparedMessage("ä", [b"bin"]))
        assert link.write(PreparedMessage("b"))
        await until(lambda: server.texts == ["ä", b"bin", "b"])


@aio
async def test_no_more_is_read_than_a_bound():
    server = Server()
    async with linked(server, limit_bytes=100) as link:
        server.feed(*["x" * 60] * 10)
        await until(lambda: server.taken == 2)
        await asyncio.sleep(0)
        assert server.taken == 2  # 120 characters wait
        await link.receive()
        await until(lambda: server.taken == 3)
    server = Server()
    async with linked(server) as link:
        server.feed(*["x"] * 100)
        await until(lambda: server.taken == asgi_link.MAX_AHEAD)
        assert [await link.receive() for _ in range(100)] == ["x"] * 100


@aio
async def test_who_does_not_read_is_written_to_up_to_a_bound():
    server = Server()
    server.may_send.clear()
    message = PreparedMessage("x" * 1000)
    async with linked(server) as link:
        count = 0
        while link.write(message):
            count += 1
            await asyncio.sleep(0)
        assert count == -(-asgi_link.HIGH_BYTES // message.size_bytes)
        assert not link.is_writable
        waiting = asyncio.ensure_future(link.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        server.may_send.set()
        await waiting
        assert link.is_writable
        await until(lambda: len(server.texts) == count)
    small = PreparedMessage("")
    server.may_send.clear()
    async with linked(server) as link:
        for _ in range(asgi_link.MAX_WAITING):
            assert link.write(small)
        assert not link.write(small)


@pytest.mark.parametrize(
    ("code", "reason", "closed", "said_goodbye"),
    [
        (1000, "", Closed(1000, "", True), True),
        (1001, "", Closed(1001, "", True), False),
        (4000, "why", Closed(4000, "why", True), False),
        (1005, "", Closed(1005, "", True), False),  # a close frame without a code
        (1005, None, None, False),  # it broke off: uvicorn says it so
        (1006, "", None, False),
        (1012, None, Closed(1012, "", False), False),  # uvicorn ends
    ],
)
@aio
async def test_how_it_ended(code, reason, closed, said_goodbye):
    server, told = Server(), []
    async with linked(server) as link:
        link.when_lost(lambda: told.append(1))
        server.feed("last words")
        server.leave(code, reason)
        await until(lambda: told)
        assert (link.is_open, link.is_closing, link.is_writable) == (False, True, False)
        assert link.closed == closed
        assert link.said_goodbye is said_goodbye
        assert link.is_served is (code != 1012)
        assert await link.receive() == "last words"
        with pytest.raises(AsgiClosed):
            await link.receive()
        assert not link.write(PreparedMessage("late"))
        await link.drain()
        await link.close(1000, "")


@aio
async def test_it_is_closed_after_what_was_written_and_a_last_word():
    server = Server()
    async with linked(server) as link:
        server.may_send.clear()
        assert link.write(PreparedMessage("first"))
        closing = asyncio.ensure_future(link.close(4000, "out", PreparedMessage("last")))
        await asyncio.sleep(0)
        assert (link.is_open, link.write(PreparedMessage("late"))) == (False, False)
        server.may_send.set()
        await until(lambda: len(server.sent) == 3)
        assert server.texts == ["first", "last"]
        assert server.sent[2] == {"type": "websocket.close", "code": 4000, "reason": "out"}
        server.feed(*["unread"] * 100)  # behind these is the end
        server.leave(4000)
        await closing
        assert link.closed == Closed(4000, "out", False)
        assert not link.said_goodbye


@aio
async def test_it_is_closed_although_the_writer_has_just_ended():
    server = Server()
    async with linked(server) as link:
        link.write(PreparedMessage("x"))
        writer = link._writer
        await until(lambda: writer.done())
        closing = asyncio.ensure_future(link.close(1000, ""))
        await until(lambda: server.sent[-1]["type"] == "websocket.close")
        server.leave()
        await closing


@aio
async def test_it_is_cut_off():
    server, told = Server(), []
    server.may_send.clear()
    async with linked(server) as link:
        link.when_lost(lambda: told.append(1))
        link.write(PreparedMessage("never sent"))
        reading = asyncio.ensure_future(link.receive())
        await asyncio.sleep(0)
        link.abort()
        with pytest.raises(AsgiClosed):
            await reading
        await until(lambda: told)
        assert link.closed is None
    assert server.sent == []


@aio
async def test_writing_that_fails_waits_for_the_word_how_it_ended():
    server = Server()
    server.failure = ConnectionResetError()
    async with linked(server) as link:
        link.write(PreparedMessage("x"))
        await until(lambda: not link.is_open)
        server.leave(1000)
        with pytest.raises(AsgiClosed):
            await link.receive()
        assert link.said_goodbye
        assert link._last_word is not None
        assert link._last_word.cancelled()  # it would keep the client in memory until then


@aio
async def test_writing_that_fails_without_such_a_word_ends_it(monkeypatch):
    monkeypatch.setattr(asgi_link, "LAST_WORD_S", 0.01)
    server, told = Server(), []
    server.failure = ConnectionResetError()
    async with linked(server) as link:
        link.when_lost(lambda: told.append(1))
        link.write(PreparedMessage("x"))
        await until(lambda: told)
        assert link.closed is None


@aio
async def test_what_wslab_serve_lends():
    class Lent:
        traffic, is_served, aborted = "traffic", True, False

        def abort(self):
            self.aborted = True

    lent = Lent()
    server = Server(extensions={"wslab": {"socket": lent}})
    async with linked(server) as link:
        assert link.connection.traffic == "traffic"
        assert link.is_served
        lent.is_served = False
        server.leave(1001, None)
        await until(lambda: not link.is_open)
        assert link.closed == Closed(1001, "", False)
        link.abort()
        assert lent.aborted


@aio
async def test_nothing_runs_on_when_it_is_over():
    before = asyncio.all_tasks()
    server = Server()
    server.may_send.clear()
    async with linked(server) as link:
        link.write(PreparedMessage("x"))
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks() - before) == 3
    assert asyncio.all_tasks() == before


@aio
async def test_what_waits_keeps_the_dialect_in_which_it_was_said():
    server = Server()
    said = PreparedMessage.of_event(Said("tick", b"1"))
    async with linked(server) as link:
        assert link.write(said)
        link.speak(SocketIo("/admin"))  # before the first has gone out
        assert link.write(said)
        await until(lambda: len(server.texts) == 2)
        assert server.texts == ['{"event":"tick","data":1}', '42/admin,["tick",1]']


@aio
async def test_what_was_said_last_goes_out_though_its_server_is_cancelled():
    server = Server()
    link = AsgiLink(server.scope, server.receive, server.send, 100)

    async def serve(link):
        link.write(PreparedMessage("refused"))
        closing = asyncio.ensure_future(link.close(1008, "no"))
        try:
            await asyncio.Event().wait()
        finally:
            closing.cancel()

    running = asyncio.ensure_future(link.run(serve))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert [each["type"] for each in server.sent] == ["websocket.send", "websocket.close"]


@aio
async def test_who_does_not_take_the_last_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(asgi_link, "LAST_WORD_S", 0.01)
    server = Server()
    server.may_send.clear()
    async with linked(server) as link:
        link.write(PreparedMessage("x"))
    assert server.sent == []
