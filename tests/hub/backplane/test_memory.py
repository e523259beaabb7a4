"""The backplane of one process: what is published, and what strangers make it keep."""

from __future__ import annotations

import collections
import contextlib
import random
import weakref

import pytest
from websockets.asyncio.client import connect

from tests.hub.rig import (
    TOKEN,
    aio,
    listening,
    sessions_of,
    speaking,
    until,
)
from wslab.errors import ClientGone
from wslab.hub import Hub, Limits
from wslab.hub.backplane.backplane import Backplane, Fetched, Publication, SessionHooks
from wslab.hub.backplane.member import Member
from wslab.hub.backplane.memory import MemoryBackplane
from wslab.hub.dialects.dialect import Said
from wslab.hub.protocol.packets import Packet
from wslab.hub.protocol.room_log import PROGRAM
from wslab.hub.server.hub_client import connection_of


def _published(backplane, event, data, rooms=(None,), sessions=(), skip=()):
    said = Said(event, data, [b"x"])
    publication = Publication(said, list(rooms), list(sessions), frozenset(skip), PROGRAM)
    return backplane.publish(publication, "what this process knows of it")


def _backplane(history):
    return MemoryBackplane(history, 60.0, Limits(), collections.Counter(), lambda said: said.data)


@pytest.mark.parametrize("history", [0, 3])
def test_what_is_published_is_numbered_kept_and_delivered_here(history):
    backplane: Backplane = _backplane(history)
    delivered = []
    _published(backplane, "e", b"0")  # nobody is attached
    backplane.attach(lambda *what: delivered.append(what) or len(delivered))
    assert _published(backplane, "e", b"1") == 1
    assert _published(backplane, "f", b"2", ["red"]) == 2
    saids, publications, local = zip(*delivered, strict=True)
    assert local == ("what this process knows of it",) * 2
    assert [each.rooms for each in publications] == [[None], ["red"]]
    assert saids == (
        Said("e", b"1", [b"x"], 2 if history else None),
        Said("f", b"2", [b"x"], 3 if history else None),
    )
    assert backplane.keeps_sessions == bool(history)
    if history:
        assert [(past.offset, past.data) for past in backplane.history(None)] == [
            (1, b"0"), (2, b"1"),
        ]  # fmt: skip
        assert [past.message for past in backplane.history("red")] == [saids[1]]
    else:
        assert backplane.history(None) is None


def test_a_session_gets_what_it_missed_until_it_ends():
    backplane = _backplane(3)
    session = backplane.open_session("a" * 16, "1.2.3.4")
    session.resume(None)
    session.join("red")
    assert backplane.session("a" * 16) is session
    backplane.leave_session(session)
    for n, (rooms, skip) in enumerate([(["red"], ()), (["blue"], ()), (["red"], ["a" * 16])]):
        _published(backplane, "e", b"%d" % n, rooms, skip=skip)
    _published(backplane, "e", b"mine", (), [session])
    assert backplane.continue_session("a" * 16, "1.2.3.4") is session
    assert [past.data for past in session.resume(0).missed] == [b"0", b"mine"]
    backplane.close_room("red")
    assert not session.rooms
    session.receive(Packet("e", id=1, n=1))
    told = []
    backplane.keep_answer(session, "the answer", 10, lambda: told.append("kept"))
    assert told == ["kept"]
    assert session.receive(Packet("e", id=1, n=1)).answer == "the answer"
    backplane.end_session(session)
    assert backplane.session("a" * 16) is None
    _published(backplane, "e", b"too late", (), [session])
    assert session.is_gone


def chatty_hub(**limits):
    hub = Hub(history=100, limits=Limits(**limits))

    @hub.on("say")
    async def say(client, data):
        await hub.emit("said", data["text"], to=data["room"])

    hub.on("join", lambda client, room: client.join(room))
    hub.on("echo", lambda client, data: data)
    return hub


@aio
async def test_strangers_that_name_rooms_do_not_push_out_the_lobby():
    hub = chatty_hub(history_bytes=2_000_000, history_bytes_per_room=300_000, history_rooms=100)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as ana:
            await ana.call("join", "lobby")
            for nth in range(20):
                await ana.emit("say", {"room": "lobby", "text": f"hello {nth}"})
            await ana.all()
            await ana.abort()
        async with speaking(url) as junk:
            for nth in range(300):
                await junk.emit("say", {"room": f"room {nth}", "text": "x"})
            for nth in range(100):
                await junk.emit("say", {"room": f"big {nth}", "text": "x" * 100_000})
            await junk.all()
        history = sessions_of(hub).history
        assert history.size_bytes <= 2_000_000
        assert len(hub.history("lobby")) == 20
        async with speaking(f"{url}?session={TOKEN}&offset=5") as ana:
            assert ana.welcome["gap"] is None
            assert [packet["data"] for packet in await ana.all()] == [
                f"hello {nth}" for nth in range(5, 20)
            ]
    assert hub.limited["history_rooms"] > 0
    assert hub.limited["history_bytes"] > 0


@pytest.mark.websockets_only
@aio
async def test_who_comes_back_and_does_not_read_holds_nothing_of_the_history():
    # It held all that it had missed, 40 MiB of it, however much the history let go of.
    hub = chatty_hub(history_bytes=4_000_000, history_bytes_per_room=750_000)
    tokens = [TOKEN + f"{nth}" for nth in range(5)]
    rooms = [f"room {nth}" for nth in range(4)]
    big = random.Random(4).randbytes(18_000).hex()  # which no compression makes much smaller

    async def talk(speaker, text):
        for nth in range(20):
            for room in rooms:
                await speaker.emit("say", {"room": room, "text": f"{text} {nth} {big}"})
        await speaker.all()

    async with listening(hub, small_buffers=True) as url, speaking(url) as speaker:
        for token in tokens:
            async with speaking(f"{url}?session={token}") as wire:
                for room in rooms:
                    await wire.emit("join", room)
                await wire.all()
                await wire.abort()
        await until(lambda: len(hub.clients) == 1)
        await talk(speaker, "before")
        kept = [weakref.ref(past) for room in rooms for past in hub.history(room)]
        assert len(kept) > 60
        async with contextlib.AsyncExitStack() as stack:
            stalled = [
                await stack.enter_async_context(
                    speaking(f"{url}?session={token}&offset=0", stalls=True)
                )
                for token in tokens
            ]
            here = [client for client in hub.clients.values() if client.is_resumed]
            assert [wire.welcome["gap"] for wire in stalled] == [None] * len(tokens)
            assert all(client.queued > 30 for client in here)
            await talk(speaker, "after")
            assert sum(ref() is not None for ref in kept) == 0  # the history has let them go
            for client in here:
                waits = connection_of(client).send_queue.size_bytes
                assert waits <= hub.limits.backlog_bytes
                assert client.websocket.transport.get_write_buffer_size() < 200_000
            # One of them reads, after all: in order, nothing twice, and all else is told of.
            packets = await stalled[0].all() + await stalled[0].all()
    offsets = [each["offset"] for each in packets if each["event"] not in ("dropped", "welcome")]
    told = sum(each["data"]["count"] for each in packets if each["event"] == "dropped")
    assert offsets == sorted(set(offsets))
    assert told > 0
    assert len(offsets) + told == 160
    assert offsets[-1] == 160


@aio
async def test_a_room_whose_events_had_to_go_is_told_as_a_gap():
    hub = chatty_hub(history_bytes_per_room=100_000)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as ana:
            await ana.call("join", "lobby")
            await ana.abort()
        async with speaking(url) as loud:
            for _ in range(5):
                await loud.emit("say", {"room": "lobby", "text": "x" * 50_000})
            await loud.all()
        assert len(hub.history("lobby")) == 1
        assert hub.limited["history_bytes_per_room"] == 4
        async with speaking(f"{url}?session={TOKEN}&offset=0") as ana:
            assert ana.welcome["gap"] == "too old"


@aio
async def test_answers_of_those_that_left_are_bounded_in_all():
    hub = chatty_hub(answers_bytes=1_000_000, answers_bytes_per_session=500_000)
    async with listening(hub) as url:
        async with speaking(f"{url}?session={TOKEN}") as ana:
            await ana.call("echo", "mine", id=1, n=1)
            await ana.abort()
        for nth in range(10):
            async with connect(f"{url}?session={nth:016}", compression=None) as websocket:
                for n in range(1, 5):
                    await websocket.send(
                        f'{{"event":"echo","data":"{"x" * 100_000}","id":{n},"n":{n}}}'
                    )
                await until(lambda nth=nth: sessions_of(hub).get(f"{nth:016}").received == 4)
                websocket.transport.abort()
        await until(lambda: not hub.clients)
        assert sessions_of(hub).answers_bytes <= 1_000_000
        async with speaking(f"{url}?session={TOKEN}&offset=0") as ana:
            assert await ana.call("echo", "mine", id=1, n=1) == "mine"
        async with speaking(f"{url}?session={0:016}&offset=0") as junk:
            told = await junk.call("echo", "", id=1, n=1)
            assert told["message"].endswith("the answer is no longer kept")
    assert hub.limited["answers_bytes"] > 0


@aio
async def test_one_process_shares_nothing_and_waits_for_nobody():
    backplane = _backplane(3)
    await backplane.start()
    status = backplane.status
    assert (status.status, status.url, status.published) == ("memory", None, 0)
    assert status.node_id in repr(status)
    member = Member("a", "alice", "u", status.node_id, ("lobby",))
    backplane.room_filled("lobby")
    backplane.changed(member)
    backplane.went("a")
    backplane.room_emptied("lobby")
    assert await backplane.fetch_session(TOKEN, None, "") is Fetched.KNOWN
    backplane.attach_sessions(SessionHooks(None, None, None))
    assert backplane.session(TOKEN) is None
    recorded = []
    backplane.record(backplane.open_session(TOKEN, ""), lambda: recorded.append("at once"))
    assert recorded == ["at once"]
    assert await backplane.everybody(None) == []
    with pytest.raises(ClientGone, match="at another process: there is none"):
        await backplane.ask("a", Said("pick", b"1"), 1.0)
    await backplane.close()
