"""Sessions that come and go in a hub, in any story: what each connection is sent, packet by packet.

The model keeps, for each session, everything that it should have heard, connected or away.
"""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.hub.rig import FakeSocket, aio, inside, sessions_of, story_settings, until
from wslab.hub import Hub

pytestmark = pytest.mark.usefixtures("memory_network")

LIMIT = 3
NAMES = ("alice", "bob", "carol")
WHO = st.sampled_from(NAMES)
ROOM = st.sampled_from(["red", "blue"])


class Member:
    """What the model knows of a session, and of the latest connection that had it."""

    def __init__(self, name):
        self.token = name.ljust(16, "-")
        self.client = self.socket = self.task = None
        self.is_known = self.is_here = False
        self.began = 0
        self.asked_first = None  # the offset that it came with when the hub did not know it
        self.heard = []  # (offset, payload)
        self.rooms = set()
        self.expected = []  # packets of the connection, after the welcome


class Sessions(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.hub = Hub(history=LIMIT)
        self.hub.on("disconnect", self.left)
        self.left_with = []
        self.members = {name: Member(name) for name in NAMES}
        self.numbers = itertools.count()
        self.offset = 0
        self.said = {}  # by room: offsets

    async def left(self, client, reason):
        self.left_with.append((client, reason))

    def in_loop(self, function, *args, **kwargs):
        async def call():
            return function(*args, **kwargs)

        return self.runner.run(call())

    @initialize()
    def all_come(self):
        for name, room in zip(NAMES, ("red", "red", "blue"), strict=True):
            self.come(name, None)
            self.join(name, room)

    @rule(name=WHO, back=st.none() | st.integers(-1, 6))
    def come(self, name, back):
        member = self.members[name]
        asked = None if back is None else max(0, self.offset - back)
        path = f"/?session={member.token}" + ("" if asked is None else f"&offset={asked}")
        old = member.client, member.socket, member.task, member.is_here

        async def connect():
            member.socket = FakeSocket(path)
            member.task = asyncio.create_task(self.hub(member.socket))
            await until(lambda: member.socket.texts)
            if old[3]:
                await asyncio.wait([old[2]])

        self.runner.run(connect())
        member.client = next(
            client for client in self.hub.clients.values() if client.websocket is member.socket
        )
        if old[3]:
            assert old[1].protocol.close_sent.code == 4409
            assert self.left_with[-1] == (
                old[0], "sent away with 4409 (session continued elsewhere)",
            )  # fmt: skip
        welcome, *packets = map(json.loads, member.socket.texts)
        welcome = welcome["data"]
        assert (welcome["id"], welcome["session"]) == (member.client.id, True)
        assert member.client.is_resumed is member.is_known
        member.expected = packets
        since = member.began if asked is None else asked
        # It may not have read that its session is a new one: it is told again.
        is_told_again = member.is_known and since == member.asked_first
        assert welcome["resumed"] is (member.is_known and not is_told_again)
        if not member.is_known:
            assert (welcome["offset"], packets) == (self.offset, [])
            assert welcome["gap"] == (None if asked is None else "session unknown")
            member.heard, member.rooms, member.began = [], set(), self.offset
            member.asked_first = asked
        elif is_told_again:
            assert welcome["gap"] == "session unknown"
            missed = [_packet(offset, what) for offset, what in member.heard if offset > since]
            assert (welcome["offset"], packets) in ((since, missed), (self.offset, []))
        elif welcome["gap"] is None:
            member.asked_first = None
            assert welcome["offset"] == since
            assert packets == [
                _packet(offset, payload) for offset, payload in member.heard if offset > since
            ]
        else:
            member.asked_first = None
            assert (welcome["gap"], welcome["offset"], packets) == ("too old", self.offset, [])
            assert back == -1 or self.offset - (member.began if asked is None else asked) > LIMIT
        member.is_known = member.is_here = True

    @rule(name=WHO, how=st.sampled_from(["lost", "lost", "1001", "goodbye", "sent away"]))
    def go(self, name, how):
        member = self.members[name]
        if not member.is_here:
            return

        async def end():
            if how == "lost":
                member.socket.lose()
            elif how == "sent away":
                member.client.disconnect()
            else:
                member.socket.say_goodbye(1001 if how == "1001" else 1000)
            await asyncio.wait([member.task])

        self.runner.run(end())
        member.is_here = False
        member.is_known = how in ("lost", "1001")
        assert member.client.rooms == member.rooms  # those at the end

    @rule(name=WHO, room=ROOM)
    def join(self, name, room):
        member = self.members[name]
        if member.is_known:  # it may be away: a handler may still hold the client
            assert self.in_loop(member.client.join, room) is (room not in member.rooms)
            member.rooms.add(room)

    @rule(name=WHO, room=ROOM)
    def leave(self, name, room):
        member = self.members[name]
        if member.is_known:
            assert self.in_loop(member.client.leave, room) is (room in member.rooms)
            member.rooms.discard(room)

    @rule(room=ROOM)
    def close_room(self, room):
        here = [it for it in self.members.values() if it.is_here and room in it.rooms]
        assert self.in_loop(self.hub.close_room, room) == len(here)
        for member in self.members.values():
            member.rooms.discard(room)

    @rule(
        to=st.one_of(st.none(), ROOM, WHO, st.lists(ROOM | WHO, max_size=3)),
        skip=st.lists(WHO, max_size=2),
    )
    def emit(self, to, skip):
        names = [to] if isinstance(to, str) else to or []
        payload = f"say {next(self.numbers)}"
        real = [self.members[it].client if it in NAMES else it for it in names]
        delivery = self.in_loop(
            self.hub.emit, "e", payload,
            to=None if to is None else real[0] if isinstance(to, str) else real,
            skip=[self.members[name].client for name in skip],
        )  # fmt: skip
        self.offset += 1
        assert delivery.offset == self.offset
        reached = 0
        for name, member in self.members.items():
            is_meant = to is None or name in names or member.rooms & set(names)
            if member.is_known and is_meant and name not in skip:
                member.heard.append((self.offset, payload))
                if member.is_here:
                    member.expected.append(_packet(self.offset, payload))
                    reached += 1
        assert delivery.reached == reached
        for room in [None] if to is None else dict.fromkeys(names):
            if room not in NAMES:
                self.said.setdefault(room, []).append((self.offset, payload))

    @rule(room=st.none() | ROOM, limit=st.none() | st.integers(0, 4))
    def look_back(self, room, limit):
        kept = self.said.get(room, [])[-LIMIT:]
        found = self.in_loop(self.hub.history, room, limit)
        assert [(past.offset, past.data) for past in found] == (
            kept if limit is None else kept[max(0, len(kept) - limit) :]
        )

    @invariant()
    def everybody_has_what_it_should(self):
        members = self.members.values()
        for member in members:
            if member.is_here:
                assert [json.loads(text) for text in member.socket.texts[1:]] == member.expected
                assert member.client.rooms == member.rooms
        assert {client.session for client in self.hub.clients.values()} == {
            member.token for member in members if member.is_here
        }
        assert {
            room: {client.session for client in them} for room, them in self.hub.rooms.items()
        } == {
            room: them
            for room in ("red", "blue")
            if (them := {it.token for it in members if it.is_here and room in it.rooms})
        }
        known = {member.token for member in members if member.is_known}
        assert {each.token for each in sessions_of(self.hub)} == known

    def teardown(self):
        try:
            self.end()
        finally:
            self.runner.close()

    def end(self):
        for name in NAMES:
            if self.members[name].task is not None:
                self.go(name, "lost")
        assert not self.hub.errors
        assert not inside(self.hub).loop.tasks


def _packet(offset, payload):
    return {"event": "e", "data": payload, "offset": offset}


@pytest.mark.timeout(500)  # hypothesis may take its time to find the shortest one
def test_any_story_of_sessions():
    run_state_machine_as_test(Sessions, settings=story_settings(60, 40))


@aio
async def test_a_hubs_history():
    hub = Hub(history=3)
    for nth in range(5):
        hub.emit("e", nth, to="red" if nth else None)
    hub.emit("f", b"x", to=["red", "blue"])
    assert [(past.offset, past.event, past.data) for past in hub.history("red")] == [
        (4, "e", 3), (5, "e", 4), (6, "f", b"x"),
    ]  # fmt: skip
    assert [past.offset for past in hub.history("red", 2)] == [5, 6]
    assert hub.history("red", 99) == hub.history("red") == hub.history("red", limit=3)
    assert hub.history("red", 0) == hub.history("red", -1) == hub.history("nobody") == ()
    assert [past.data for past in hub.history()] == [0]
    assert hub.history("blue") == hub.history("red", 1)
    with pytest.raises(RuntimeError, match=r"keeps no history: make it with Hub\(history=100\)"):
        Hub().history()
