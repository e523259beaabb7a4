"""What has come and nobody has taken: order, its bound, its end."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.engineio.rig import soon
from wslab.hub.engineio.inbox import Inbox

pytestmark = pytest.mark.asyncio


async def test_messages_keep_their_order_and_the_end_comes_last():
    inbox = Inbox(1000)
    waiting = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    inbox.put("one")
    inbox.put(b"two")
    inbox.close()
    inbox.put("too late")
    assert [await soon(waiting), await inbox.get(), await inbox.get()] == ["one", b"two", None]


async def test_whoever_puts_waits_while_it_is_full():
    inbox = Inbox(100)
    inbox.put("x" * 200)
    assert inbox.is_full
    waiting = asyncio.ensure_future(inbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await inbox.get()
    await soon(waiting)
    assert inbox.size_bytes == 0


async def test_the_end_lets_everybody_go():
    inbox = Inbox(100)
    inbox.put("x" * 200)
    waiting = asyncio.ensure_future(inbox.room())
    await asyncio.sleep(0)
    inbox.close()
    await soon(waiting)
    inbox.clear()
    assert await inbox.get() is None


async def test_a_reader_that_was_cancelled_loses_nothing():
    inbox = Inbox(100)
    waiting = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    waiting.cancel()
    inbox.put("kept")
    assert await soon(inbox.get()) == "kept"
