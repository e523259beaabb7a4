"""Ids of what a handler says: the same when it is handled again, and another for anything else."""

from __future__ import annotations

import asyncio

from tests.hub.rig import TOKEN, aio
from wslab.hub.dialects.dialect import Said
from wslab.hub.protocol.packets import Packet
from wslab.hub.server.message_ids import Sayings, saying_once, sayings

HELLO = Said("chat", b'"hello"', [b"x"])


def test_what_is_the_same_has_the_same_id_and_all_else_another():
    ids = [Sayings(TOKEN, 1).next_id(HELLO, ["red"]) for _ in range(2)]
    assert ids[0] == ids[1]
    assert TOKEN not in ids[0]
    others = [
        Sayings(TOKEN, 2).next_id(HELLO, ["red"]),
        Sayings("b" * 16, 1).next_id(HELLO, ["red"]),
        Sayings(TOKEN, 1).next_id(HELLO, [None]),
        Sayings(TOKEN, 1).next_id(HELLO, ["None"]),
        Sayings(TOKEN, 1).next_id(HELLO._replace(event="draw"), ["red"]),
        Sayings(TOKEN, 1).next_id(HELLO._replace(data=b'"hallo"'), ["red"]),
        Sayings(TOKEN, 1).next_id(HELLO._replace(attachments=[b"y"]), ["red"]),
    ]
    again = Sayings(TOKEN, 1)
    others += [again.next_id(HELLO, ["red"]), again.next_id(HELLO, ["red"])][1:]
    assert len({ids[0], *others}) == 1 + len(others)


@aio
async def test_it_holds_in_the_handler_and_in_what_it_starts_and_no_longer():
    assert sayings.get() is None
    with saying_once(TOKEN, Packet("e", n=3)):
        found = sayings.get()
        assert found is not None
        assert await asyncio.to_thread(sayings.get) is found
        assert await asyncio.create_task(_of_a_task()) is found
    assert sayings.get() is None


async def _of_a_task():
    return sayings.get()
