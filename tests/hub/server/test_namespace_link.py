"""One namespace of a session as a link: what waits, what is written, how it ends."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.hub.rig import aio
from tests.hub.server.socket_io_rig import FakeSession
from wslab.hub.dialects.dialect import Said
from wslab.hub.dialects.socket_io import SocketIo
from wslab.hub.server.link import Closed, Link
from wslab.hub.server.namespace_link import NamespaceClosed, NamespaceLink
from wslab.hub.server.prepared_message import PreparedMessage

WORD = PreparedMessage("41")
EVENT = PreparedMessage.of_event(Said("e", b"1"))


def linked(dialect=None, auth=None):
    session, taken = FakeSession(), []
    return session, NamespaceLink(session, dialect or SocketIo(), auth, taken.append), taken


@aio
async def test_it_is_a_link():
    session, namespace_link, _ = linked(SocketIo("/a", "m"), {"pid": "p" * 16, "a": 1})
    link: Link = namespace_link
    assert isinstance(link.id, uuid.UUID)
    assert (link.path, link.address, link.connection) == (session.path, ("127.0.0.1", 1), None)
    assert link.dialect.greeting(link.path, link.auth) == ("p" * 16, None, True)
    assert link.is_open
    assert link.is_writable
    assert link.is_served
    assert not link.is_closing
    assert link.write(EVENT)
    assert session.written == ['2/a,["e",1]']
    session.is_paused = True
    assert not link.write(EVENT)


@aio
async def test_what_was_given_is_received_and_counted():
    _, link, taken = linked()
    receiving = asyncio.ensure_future(link.receive())
    await asyncio.sleep(0)
    assert link.give("abc") == 67
    link.give(b"x")
    assert await receiving == "abc"
    link.leave()
    assert await link.receive() == b"x"
    assert taken == [67, 65]
    with pytest.raises(NamespaceClosed):
        await link.receive()


@aio
async def test_it_ends_by_itself():
    session, link, _ = linked(SocketIo("/", "m"))
    told = asyncio.Event()
    link.when_lost(told.set)
    assert not link.said_goodbye
    await link.close(1000, "bye", WORD)
    assert session.written == ["1"]
    assert link.closed == Closed(1000, "bye", False)
    assert not link.said_goodbye
    assert not link.write(EVENT)
    await told.wait()
    link.abort()
    assert session.is_open
    assert not session.was_aborted


@aio
async def test_who_left_or_cannot_come_back_has_said_goodbye():
    _, link, _ = linked(SocketIo("/", "m"))
    link.leave()
    assert link.said_goodbye
    assert link.closed == Closed(1000, "left the namespace", True)
    _, link, _ = linked()
    link.end(None)
    assert link.said_goodbye
    assert link.closed is None


@aio
async def test_one_that_has_ended_before_tells_so():
    _, link, _ = linked()
    link.end(None)
    told = asyncio.Event()
    link.when_lost(told.set)
    await told.wait()


@aio
async def test_a_violation_ends_the_session():
    session, link, _ = linked()
    await link.close(1002, "bad-json: ...", PreparedMessage(None))
    assert (session.reason, session.written) == ("bad-json: ...", [])
    assert not link.is_open
