"""Rooms and membership against a model of plain dicts and lists, after every step of any story.

The connections do nothing by themselves; `test_members_live` has real ones, and threads.
"""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.hub.rig import FakeSocket, story_settings, until
from wslab.errors import Refused
from wslab.hub import Hub, Trace

COLLIDING = "abcdef"  # how ids begin; and a room may go by the same name
ROOMS = ("red", "blue", "green", COLLIDING)
WHO = st.integers(0, 11)
ROOM = st.sampled_from(ROOMS)
TARGET = st.one_of(st.none(), ROOM, WHO, st.lists(ROOM | WHO, max_size=5), st.just("values"))
SKIP = st.one_of(st.none(), WHO, st.lists(WHO, max_size=3))
MAX_PEERS = 12


class Peer:
    """What the model knows of one connection."""

    def __init__(self, digits):
        self.digits = digits
        self.id = self.name = self.client = self.task = self.gate = None
        self.state = "knocking"  # in its connect handler; then "in", "closing", "gone"
        self.rooms = set()
        self.got = []


class Membership(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.hub = Hub()
        self.hub.trace = Trace()
        self.hub.on("connect", self.at_the_door)
        self.hub.on("disconnect", self.left)
        self.told = []
        self.numbers = itertools.count()
        self.everybody = []  # also who is gone
        self.clients = []  # the model of hub.clients
        self.rooms = {}  # and of hub.rooms
        self.iterators = []
        self.views = self.hub.clients.values(), self.hub.rooms.items()  # live from the start

    # The hub's side.

    async def at_the_door(self, client):
        peer = next(each for each in self.everybody if each.socket is client.websocket)
        peer.client = client
        return await peer.gate

    async def left(self, client, reason):
        assert client.id not in self.hub.clients
        assert reason
        self.told.append(client)

    # The model.

    def shortest(self, digits):
        taken = {peer.id for peer in self.clients}
        return next(digits[:n] for n in range(6, 33) if digits[:n] not in taken)

    def admit(self, peer):
        if peer.state == "knocking":
            peer.state = "in"
            if peer.id in {each.id for each in self.clients}:
                peer.id = self.shortest(peer.digits)
            self.clients.append(peer)

    def remove(self, peer):
        peer.state = "gone"
        if peer in self.clients:
            self.clients.remove(peer)
        for room in peer.rooms:
            self.leave_room(peer, room)

    def leave_room(self, peer, room):
        self.rooms[room].remove(peer)
        if not self.rooms[room]:
            del self.rooms[room]

    def peer(self, who):
        return self.everybody[who % len(self.everybody)]

    def is_anybody(self):
        return bool(self.everybody)

    # Coming.

    @precondition(lambda self: len(self.everybody) < MAX_PEERS)
    @rule(beginning=st.sampled_from(["", "0", "1", "00", "0" * 20]), verdict=st.booleans())
    def connect(self, beginning, verdict):
        number = next(self.numbers)
        digits = f"{COLLIDING}{beginning}".ljust(30, "7") + f"{number:02x}"
        peer = Peer(digits)
        peer.id = self.shortest(digits)
        self.everybody.append(peer)

        async def knock():
            peer.socket = FakeSocket(hex=digits)
            peer.gate = asyncio.get_running_loop().create_future()
            if verdict:
                peer.gate.set_result(None)
            peer.task = asyncio.create_task(self.hub(peer.socket))
            await until(lambda: peer.socket.texts if verdict else peer.client)

        self.runner.run(knock())
        if verdict:
            self.admit(peer)

    @precondition(is_anybody)
    @rule(who=WHO, verdict=st.sampled_from([None, False, Refused("no"), KeyError("x")]))
    def answer_the_door(self, who, verdict):
        peer = self.peer(who)
        if peer.gate.done():
            return
        was_gone = peer.state == "gone"

        async def answer():
            if isinstance(verdict, Exception):
                peer.gate.set_exception(verdict)
            else:
                peer.gate.set_result(verdict)
            if verdict is not None or was_gone:
                await asyncio.wait([peer.task])
            else:
                await until(lambda: peer.socket.texts)

        self.runner.run(answer())
        if verdict is None:
            self.admit(peer)
        elif not was_gone:
            self.remove(peer)

    # Rooms.

    @precondition(is_anybody)
    @rule(who=WHO, room=ROOM, again=st.booleans())
    def join(self, who, room, again):
        peer = self.peer(who)
        self.admit(peer)
        is_new = peer.state == "in" and room not in peer.rooms
        assert self.in_loop(peer.client.join, room) is is_new
        if is_new:
            self.rooms.setdefault(room, []).append(peer)
            peer.rooms.add(room)
        if again:
            assert self.in_loop(peer.client.join, room) is False

    @precondition(is_anybody)
    @rule(who=WHO, room=ROOM)
    def leave(self, who, room):
        peer = self.peer(who)
        was_in = peer.state != "gone" and room in peer.rooms
        assert self.in_loop(peer.client.leave, room) is was_in
        if was_in:
            self.leave_room(peer, room)
            peer.rooms.remove(room)

    @rule(room=ROOM)
    def close_room(self, room):
        them = self.rooms.pop(room, [])
        assert self.in_loop(self.hub.close_room, room) == len(them)
        for peer in them:
            peer.rooms.remove(room)

    @precondition(is_anybody)
    @rule(who=WHO, name=st.sampled_from(["alice", "", None]))
    def give_a_name(self, who, name):
        peer = self.peer(who)
        peer.client.name = peer.name = name

    # Leaving.

    @precondition(is_anybody)
    @rule(who=WHO, how=st.sampled_from(["lost", "goodbye", "sent away", "cancelled", "closing"]))
    def disconnect(self, who, how):
        peer = self.peer(who)
        if peer.state == "gone" or (how == "closing" and peer.state != "in"):
            return

        async def end():
            if how == "closing":
                peer.socket.protocol.state = peer.socket.state.__class__.CLOSING
                return
            if how == "lost":
                peer.socket.lose()
            elif how == "goodbye":
                peer.socket.say_goodbye()
            elif how == "sent away":
                peer.client.disconnect(4000, "bye")
                assert peer.client not in self.hub.clients.values()  # at once
            else:
                peer.task.cancel()
            await asyncio.sleep(0)  # the loop's turn, in which the loss is told
            if peer.gate.done():
                await asyncio.wait([peer.task])

        self.runner.run(end())
        if how == "closing":
            peer.state = "closing"
        else:
            self.remove(peer)

    # Sending.

    @precondition(is_anybody)
    @rule(whom=TARGET, skip=SKIP, is_raw=st.booleans(), once=st.booleans())
    def emit(self, whom, skip, is_raw, once):
        to, peers, names = self.resolved(whom)
        several = [] if skip is None else [skip] if isinstance(skip, int) else skip
        left_out = {self.peer(who) for who in several}
        skipped = None if skip is None else {peer.client for peer in left_out}
        if isinstance(skip, int):
            (skipped,) = skipped
        if once and isinstance(to, list):
            to = (each for each in to)
        payload = f"say {next(self.numbers)}"
        send = self.hub.broadcast if is_raw else self.hub.emit
        args = (payload,) if is_raw else ("e", payload)
        if peers is None:
            with pytest.raises(ValueError, match="pass the client itself"):
                self.in_loop(send, *args, to=to, skip=skipped)
            return
        delivery = self.in_loop(send, *args, to=to, skip=skipped)
        expected = {
            peer.id: "skipped" if peer in left_out else _OUTCOME[peer.state] for peer in peers
        }
        assert list(delivery.outcomes.items()) == list(expected.items())
        counts = [list(expected.values()).count(word) for word in ("sent", "skipped")]
        assert [delivery.sent, delivery.skipped] == counts
        assert (delivery.queued, delivery.dropped, delivery.reached) == (0, 0, counts[0])
        assert delivery.to == names
        for peer in peers:
            if expected[peer.id] == "sent":
                peer.got.append(payload)

    def resolved(self, target):
        """Return what to pass as ``to``, and who gets it, once each; None: it is an error."""
        if target is None:
            return None, list(self.clients), ()
        if target == "values":
            to = self.hub.clients.values()
            target = [self.everybody.index(peer) for peer in self.clients]
        elif isinstance(target, list):
            to = [each if isinstance(each, str) else self.peer(each).client for each in target]
        else:
            to = target if isinstance(target, str) else self.peer(target).client
            target = [target]
        peers, names = {}, []
        for each in dict.fromkeys(it if isinstance(it, str) else self.peer(it) for it in target):
            if isinstance(each, Peer):
                self.admit(each)
                names.append(each.id)
                if each.state == "in":
                    peers[each] = None
            elif each not in self.rooms and each in {peer.id for peer in self.clients}:
                return to, None, None
            else:
                names.append(each)
                peers.update(dict.fromkeys(self.rooms.get(each, [])))
        return to, list(peers), tuple(names)

    def in_loop(self, function, *args, **kwargs):
        async def call():
            return function(*args, **kwargs)

        return self.runner.run(call())

    # Looking.

    @rule(kind=st.sampled_from(["iter", "keys", "values", "items"]), of_rooms=st.booleans())
    def begin_to_iterate(self, kind, of_rooms):
        view = self.hub.rooms if of_rooms else self.hub.clients
        things = view if kind == "iter" else getattr(view, kind)()
        iterator, now = iter(things), list(things)
        assert next(iterator, None) == (now[0] if now else None)
        self.iterators.append((iterator, now[1:]))

    @rule()
    def iterate_to_the_end(self):
        for iterator, rest in self.iterators:
            assert list(iterator) == rest  # those of the moment at which it began
        self.iterators.clear()

    @invariant()
    def views_agree_with_the_model(self):
        clients, rooms = self.hub.clients, self.hub.rooms
        ids = [peer.id for peer in self.clients]
        them = [peer.client for peer in self.clients]
        assert list(clients) == list(clients.keys()) == ids
        assert len(set(ids)) == len(ids) == len(clients) == len(clients.values())
        assert list(clients.values()) == list(self.views[0]) == them
        assert list(clients.items()) == list(zip(ids, them, strict=True))
        assert all(clients[id] is client for id, client in clients.items())
        assert all(client in clients.values() and client.id in clients for client in them)
        expected = [
            (room, tuple(peer.client for peer in peers)) for room, peers in self.rooms.items()
        ]
        assert list(rooms.items()) == list(self.views[1]) == expected
        assert list(rooms) == [room for room, _ in expected]
        assert list(rooms.values()) == [clients for _, clients in expected]
        assert len(rooms) == len(expected)
        assert all(rooms.values()), "an empty room"
        for room in ROOMS:
            assert (room in rooms) is (room in self.rooms)
            assert rooms.get(room, ()) == dict(expected).get(room, ())

    @invariant()
    def clients_agree_with_the_model(self):
        for peer in self.everybody:
            client = peer.client
            assert client.id == peer.id
            assert peer.digits.startswith(peer.id)
            assert client.name == peer.name
            assert client.rooms == peer.rooms  # of who is gone: at the end
            assert isinstance(client.rooms, frozenset)
            assert client.is_open is (peer.state in ("in", "knocking"))
            if peer.state != "gone":
                mirror = {room for room, them in self.hub.rooms.items() if client in them}
                assert client.rooms == mirror
            else:
                assert client not in self.hub.clients.values()
            assert _heard(peer.socket) == peer.got

    def teardown(self):
        try:
            self.end()
        finally:
            self.runner.close()

    def end(self):
        self.iterate_to_the_end()

        async def end():
            for peer in self.everybody:
                peer.socket.lose()
                if not peer.gate.done():
                    peer.gate.set_result(None)
            if self.everybody:
                await asyncio.wait([peer.task for peer in self.everybody])

        self.runner.run(end())
        assert not self.hub.clients
        assert not self.hub.rooms
        assert len(set(self.told)) == len(self.told), "told twice"


_OUTCOME = {"in": "sent", "closing": "closing"}


def _heard(socket):
    """What was said to it: raw text, and the data of events of the tests' own."""
    return [
        text if text.startswith("say") else json.loads(text)["data"]
        for text in socket.texts
        if text.startswith(("say", '{"event":"e"'))
    ]


@pytest.mark.timeout(500)  # hypothesis may take its time to find the shortest one
def test_any_story_of_members_and_rooms():
    run_state_machine_as_test(Membership, settings=story_settings(100, 40))
