"""The other side of a hub: wherever the connection breaks, nothing is lost, nothing comes twice."""

from __future__ import annotations

import collections
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wslab.hub.protocol import packets
from wslab.hub.protocol.client_session import (
    Answered,
    Came,
    Dropped,
    Failed,
    Lost,
    Peer,
    Raw,
    Received,
    Welcomed,
    events_of,
)


def welcome(session="s", **more):
    data = {"id": "a1b2c3", "session": session, "offset": 0, "received": 0, "resumed": False}
    return json.dumps({"event": "welcome", "data": {**data, "gap": None, **more}})


def written(peer):
    """Everything that the peer has to write, as dicts (text) and bytes."""
    return [
        json.loads(frame) if isinstance(frame, str) else frame
        for frames in peer.outgoing()
        for frame in frames
    ]


def data(value):
    return packets.dumps(value)


def joined(session="s", **more):
    peer = Peer(session)
    peer.opened()
    peer.receive(welcome(session, **more))
    return peer


# Without a session.


def test_an_event_is_one_text_frame():
    peer = Peer()
    peer.opened()
    peer.emit("chat", data("hi"))
    peer.emit("typing", None)
    assert list(peer.outgoing()) == [
        ('{"event":"chat","data":"hi"}',),
        ('{"event":"typing"}',),
    ]
    assert written(peer) == []
    assert peer.kept == peer.kept_bytes == 0


def test_bytes_follow_as_binary_frames():
    peer = Peer()
    peer.opened()
    peer.emit("file", data({"name": "x", "parts": [b"ab", b"c"]}))
    assert list(peer.outgoing()) == [
        (
            '{"event":"file","data":{"name":"x","parts":[{"$binary":0},{"$binary":1}]},"binary":2}',
            b"ab",
            b"c",
        )
    ]


def test_a_call_and_its_answer():
    peer = Peer()
    peer.opened()
    first, second = peer.call("add", data([1, 2])), peer.call("fail", None)
    assert written(peer) == [
        {"event": "add", "data": [1, 2], "id": first},
        {"event": "fail", "id": second},
    ]
    error = {"code": "failed", "message": "no"}
    assert peer.receive(json.dumps({"answer": second, "error": error})) == [
        Answered(second, None, error)
    ]
    assert peer.receive(f'{{"answer":{first},"data":3}}') == [Answered(first, 3, None)]
    assert peer.receive(f'{{"answer":{first},"data":3}}') == [Received()]  # again: for nobody
    theirs = '{"answer":99,"data":3}'
    assert peer.receive(theirs) == [Raw((theirs,))]


def test_an_answer_with_bytes():
    peer = Peer()
    peer.opened()
    number = peer.call("file", None)
    assert peer.receive(f'{{"answer":{number},"data":{{"$binary":0}},"binary":1}}') == []
    assert peer.receive(b"abc") == [Answered(number, b"abc", None)]


@pytest.mark.parametrize(
    "message",
    ["hello", "{}", "[1]", '{"event":5}', '{"event":"x","binary":-1}', "{", b"", b"bytes", "",
     '{"received":3}', '{"answer":1}', '{"event":"x","binary":1000}'],
)  # fmt: skip
def test_what_is_no_packet_is_raw(message):
    assert Peer().receive(message) == [Raw((message,))]


def test_a_placeholder_that_names_no_frame_is_raw():
    peer = Peer()
    text = '{"event":"x","data":{"$binary":7},"binary":1}'
    assert peer.receive(text) == []
    assert peer.receive(b"a") == [Raw((text, b"a"))]


def test_a_text_in_place_of_a_binary_frame():
    peer = Peer()
    text = '{"event":"x","data":{"$binary":0},"binary":2}'
    assert peer.receive(text) == []
    assert peer.receive(b"a") == []
    other = '{"event":"y","data":1}'
    assert peer.receive(other) == [Raw((text, b"a")), Came("y", 1, None, (other,))]


def test_what_the_hub_says_of_itself():
    peer = Peer()
    peer.opened()
    first = welcome(None)
    [event] = peer.receive(first)
    assert isinstance(event, Welcomed)
    assert (event.id, event.session, event.is_first, event.messages) == (
        *("a1b2c3", None, True),
        (first,),
    )
    assert peer.hub_id == "a1b2c3"
    dropped = '{"event":"dropped","data":{"count":3}}'
    assert peer.receive(dropped) == [Dropped(3, {"count": 3}, (dropped,))]
    about = {"code": "too-fast", "message": "slow down", "event": "chat"}
    error = json.dumps({"event": "error", "data": about})
    assert peer.receive(error) == [Failed("too-fast", "slow down", "chat", about, (error,))]
    # Only the first word is a greeting.
    [event] = peer.receive(first)
    assert isinstance(event, Came)


def test_a_call_that_waits_when_the_connection_ends():
    peer = Peer()
    peer.opened()
    number = peer.call("add", None)
    assert written(peer)
    text = '{"event":"x","binary":1}'
    assert peer.receive(text) == []
    assert peer.lost() == [Raw((text,)), Lost(number)]
    assert peer.lost() == []


def test_a_call_that_is_given_up():
    peer = Peer()
    peer.opened()
    number = peer.call("add", None)
    assert written(peer)
    assert not peer.withdraw(number)  # too late: it may run
    assert peer.receive(f'{{"answer":{number}}}') == [Received()]
    peer.lost()
    number = peer.call("add", None)
    assert peer.withdraw(number)
    peer.opened()
    assert written(peer) == []
    assert peer.kept_bytes == 0


def test_events_of_messages_that_waited():
    event = '{"event":"file","data":{"$binary":0},"binary":1}'
    half = '{"event":"x","binary":2}'
    first = welcome()
    assert [type(one) for one in events_of([first, "raw", event, b"a", b"b", half])] == [
        *(Welcomed, Raw, Came, Raw, Raw),
    ]


# With a session.


def test_packets_are_numbered_and_kept_until_they_are_confirmed():
    peer = joined()
    assert peer.query() == [("session", "s"), ("offset", "0")]
    for nth in range(3):
        peer.emit("chat", data(nth))
    assert [packet["n"] for packet in written(peer)] == [1, 2, 3]
    assert peer.kept == 3
    assert peer.receive('{"received":2}') == [Received()]
    assert peer.kept == 1
    peer.lost()
    peer.emit("chat", data(3))
    peer.opened()
    assert written(peer) == []  # first the hub says what came
    peer.receive(welcome(received=2, resumed=True))
    assert [(packet["n"], packet["data"]) for packet in written(peer)] == [(3, 2), (4, 3)]


def test_before_the_first_welcome():
    peer = Peer("s")
    assert peer.query() == [("session", "s")]
    peer.emit("chat", data(0))
    peer.opened()
    peer.emit("chat", data(1))
    assert [packet["n"] for packet in written(peer)] == [1, 2]  # a hub does not mind
    peer.lost()
    peer.opened()
    assert [packet["n"] for packet in written(peer)] == [1, 2]
    peer.receive(welcome(received=1, resumed=True))
    assert written(peer) == []
    assert peer.kept == 1
    assert peer.mode == "session"


def test_a_welcome_that_is_faster_than_the_news_of_the_connection():
    for is_known in (False, True):
        peer = joined() if is_known else Peer("s")
        peer.lost()
        peer.emit("chat", None)
        peer.receive(welcome(resumed=is_known))
        assert written(peer) == []
        peer.opened()
        assert [packet["n"] for packet in written(peer)] == [1]


def test_a_call_is_asked_again_until_it_is_answered():
    peer = joined()
    number = peer.call("add", data(1))
    peer.emit("chat", None)
    sent = written(peer)
    peer.receive('{"received":2}')
    assert peer.kept == 1
    peer.lost()
    peer.opened()
    peer.receive(welcome(received=2, resumed=True))
    assert written(peer) == sent[:1]  # the same n, the same id
    assert peer.receive(f'{{"answer":{number},"data":2}}') == [Answered(number, 2, None)]
    assert peer.kept == 0
    peer.lost()
    peer.opened()
    peer.receive(welcome(received=2, resumed=True))
    assert written(peer) == []


def test_what_comes_again_is_not_told_again():
    peer = joined(offset=5)
    peer.receive('{"event":"x","data":1,"offset":6}')
    assert peer.receive('{"event":"x","data":2,"offset":9,"binary":1}') == []
    peer.lost()  # in the middle of it
    assert peer.query() == [("session", "s"), ("offset", "6")]
    peer.opened()
    peer.receive(welcome(resumed=True, offset=6))
    assert peer.receive('{"event":"x","data":1,"offset":6}') == []
    assert peer.receive('{"event":"x","data":2,"offset":9,"binary":1}') == []
    [event] = peer.receive(b"")
    assert isinstance(event, Came)
    assert peer.offset == 9


def test_a_hub_that_has_forgotten():
    peer = joined(offset=40)
    peer.emit("a", None)
    peer.emit("b", None)
    list(peer.outgoing())
    peer.receive('{"received":1}')
    peer.lost()
    peer.answer(packets.encode_answer(3))  # to a call of the hub that is gone
    peer.opened()
    [told, _] = peer.receive(welcome(gap="session unknown", offset=2))
    assert told.gap == "session unknown"
    assert not told.is_first
    assert [(packet["event"], packet["n"]) for packet in written(peer)] == [("b", 1)]
    [event] = peer.receive('{"event":"x","offset":3}')  # its offsets begin afresh
    assert isinstance(event, Came)
    assert peer.query()[1] == ("offset", "3")
    peer.emit("c", None)
    assert written(peer) == [{"event": "c", "n": 2}]


def test_the_first_welcome_tells_of_no_gap():
    peer = Peer("s")
    peer.opened()
    [told, _] = peer.receive(welcome(gap="session unknown"))
    assert told.gap is None


def test_a_hub_without_history():
    peer = Peer("s")
    peer.opened()
    peer.emit("a", None)
    [told] = peer.receive(welcome(None, offset=None, received=None))
    assert told.session is None
    assert [packet["event"] for packet in written(peer)] == ["a"]
    assert (peer.mode, peer.kept) == ("plain", 0)
    number = peer.call("b", None)
    assert written(peer) == [{"event": "b", "id": number}]
    assert peer.lost() == [Lost(number)]
    peer.emit("c", None)
    later = peer.call("d", None)
    peer.opened()
    assert written(peer) == [{"event": "c"}, {"event": "d", "id": later}]
    assert peer.kept_bytes == 0


def test_a_hub_that_keeps_no_sessions_any_more():
    peer = joined()
    peer.emit("a", None)
    list(peer.outgoing())
    peer.lost()
    peer.opened()
    [told] = peer.receive(welcome(None))
    assert told.gap == "session unknown"
    assert written(peer) == [{"event": "a"}]


@pytest.mark.parametrize("first", ["hello", b"hello", '{"event":"tick","data":1}'])
def test_a_server_that_is_no_hub(first):
    peer = Peer("s")
    peer.opened()
    peer.emit("a", None)
    assert [packet["event"] for packet in written(peer)] == ["a"]
    [event] = peer.receive(first)
    assert event.messages == (first,)
    assert (peer.mode, peer.kept) == ("plain", 0)
    peer.emit("b", None)
    assert written(peer) == [{"event": "b"}]


def test_a_server_that_is_no_hub_any_more():
    peer = joined()
    peer.lost()
    peer.emit("a", None)
    peer.opened()
    assert [type(event) for event in peer.receive("hello")] == [Received, Raw]
    assert [packet["event"] for packet in written(peer)] == ["a"]


def test_a_server_that_never_says_a_word_is_taken_for_none():
    peer = Peer("s", max_kept=3)
    peer.opened()
    for nth in range(5):
        assert peer.make_room(None)
        peer.emit("x", data(nth))
        assert [packet["data"] for packet in written(peer)] == [nth]
    assert (peer.mode, peer.kept_bytes) == ("plain", 0)


def test_what_is_kept_is_bounded():
    peer = Peer("s", max_kept=3, max_kept_bytes=1000)
    assert peer.make_room(data("x" * 5000))  # alone: it could never go otherwise
    peer.emit("x", data("x" * 500))
    assert not peer.make_room(data("x" * 500))
    assert peer.make_room(data("x"))
    peer.emit("x", data("x"))
    peer.emit("x", None)
    assert not peer.make_room(None)
    peer = joined()
    peer.emit("x", data("x" * 100))
    assert peer.kept_bytes > 100
    list(peer.outgoing())
    peer.receive('{"received":1}')
    assert peer.kept_bytes == 0


def test_an_interrupt_between_writing_and_counting_writes_again():
    peer = joined()
    peer.emit("a", None)
    peer.emit("b", None)
    for frames in peer.outgoing():
        assert frames == ('{"event":"a","n":1}',)
        break
    assert [packet["n"] for packet in written(peer)] == [1, 2]  # the hub takes each once


# Any order of things: a hub in a few lines, and two wires that can be cut anywhere.


class ModelHub:
    """What the contract says of a hub with a history, and nothing more."""

    def __init__(self):
        self.sessions = {}
        self.offset = 0

    def connect(self, query):
        query = dict(query)
        token = query["session"]
        state = self.sessions.get(token)
        told = {"id": "a1b2c3", "session": True, "gap": None, "resumed": state is not None}
        if state is None:
            state = self.sessions[token] = {"n": 0, "answers": {}, "past": [], "got": []}
            state["began"] = self.offset
            told["gap"] = "session unknown" if "offset" in query else None
            told["offset"] = self.offset
        else:
            told["offset"] = int(query.get("offset", state["began"]))
        self.state = state
        missed = [
            frames
            for offset, frames in state["past"]
            if offset > told["offset"] and told["resumed"]
        ]
        head = json.dumps({"event": "welcome", "data": {**told, "received": state["n"]}})
        return [head, *(frame for frames in missed for frame in frames)]

    def emit(self, value):
        self.offset += 1
        text, binary = packets.encode_event("tick", value, offset=self.offset)
        frames = [text, *binary]
        for state in self.sessions.values():
            state["past"].append((self.offset, frames))
        return frames

    def take(self, packet):
        state = self.state
        assert packet.n <= state["n"] + 1, "a gap in the numbers"
        if packet.n > state["n"]:
            state["n"] = packet.n
            value = packets.take_binary(packet)
            state["got"].append(value)
            if packet.id is not None:
                text, binary = packets.encode_answer(packet.id, value)
                state["answers"][packet.n] = [text, *binary]
        return state["answers"].get(packet.n, []) if packet.id is not None else []


values = st.integers(0, 99) | st.binary(max_size=2) | st.lists(st.binary(max_size=2), max_size=2)


class Conversation(RuleBasedStateMachine):
    """A peer and the model's hub, and what each must have got."""

    @initialize()
    def begin(self):
        self.hub, self.peer = ModelHub(), Peer("s", max_kept=10_000)
        self.is_up = False
        self.to_hub, self.to_peer = collections.deque(), collections.deque()
        self.partial = None
        self.emitted, self.ticks, self.came = [], [], []
        self.asked, self.answers, self.known = {}, collections.Counter(), False

    @precondition(lambda self: not self.is_up)
    @rule(is_late=st.booleans())
    def connect(self, is_late):
        self.partial, self.is_up = None, True
        self.known = True
        self.to_hub.clear()
        self.to_peer = collections.deque(self.hub.connect(self.peer.query()))
        if is_late:  # the welcome comes in one piece with the handshake's answer
            self.hear(1)
        self.peer.opened()
        self.write()

    def write(self):
        for frames in self.peer.outgoing():
            assert self.is_up
            self.to_hub.extend(frames)

    @rule(value=values)
    def emit(self, value):
        self.peer.emit("chat", packets.dumps(value))
        self.emitted.append(value)
        self.write()

    @rule(value=values)
    def call(self, value):
        number = self.peer.call("chat", packets.dumps(value))
        self.emitted.append(value)
        self.asked[number] = value
        self.write()

    @precondition(lambda self: self.known)
    @rule(value=values)
    def tick(self, value):
        frames = self.hub.emit(value)
        self.ticks.append(value)
        if self.is_up:
            self.to_peer.extend(frames)

    @precondition(lambda self: self.is_up)
    @rule(count=st.integers(1, 20))
    def take(self, count):
        while self.to_hub and count:
            count -= 1
            frame = self.to_hub.popleft()
            if isinstance(frame, str):
                self.partial = packets.decode(frame)
            else:
                self.partial.attachments.append(frame)
            if self.partial.is_whole:
                self.to_peer.extend(self.hub.take(self.partial))

    @precondition(lambda self: self.is_up)
    @rule()
    def confirm(self):
        self.to_peer.append(packets.encode_received(self.hub.state["n"]))

    @precondition(lambda self: self.is_up)
    @rule(count=st.integers(1, 20))
    def hear(self, count):
        while self.to_peer and count:
            count -= 1
            for event in self.peer.receive(self.to_peer.popleft()):
                match event:
                    case Came(data=value):
                        self.came.append(value)
                    case Answered(number, value):
                        assert value == self.asked[number]
                        self.answers[number] += 1
                    case _:
                        assert isinstance(event, Welcomed | Received), event
            self.write()

    @precondition(lambda self: self.is_up)
    @rule()
    def cut(self):
        self.peer.mute()
        self.lose()

    def lose(self):
        self.is_up = False
        assert self.peer.lost() == []

    @invariant()
    def nothing_twice_and_in_order(self):
        if not hasattr(self, "hub"):
            return
        assert self.came == self.ticks[: len(self.came)]
        got = self.hub.sessions.get("s", {"got": []})["got"]
        assert got == self.emitted[: len(got)]
        assert all(count == 1 for count in self.answers.values())

    def teardown(self):
        if not hasattr(self, "hub"):
            return
        if not self.is_up:
            self.connect(False)
        while self.to_hub or self.to_peer:
            self.take(10**6)
            self.hear(10**6)
        self.confirm()
        self.hear(1)
        assert self.came == self.ticks
        assert self.hub.state["got"] == self.emitted
        assert set(self.answers) == set(self.asked)
        assert (self.peer.kept, self.peer.kept_bytes) == (0, 0)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=40)


@given(st.lists(st.text(max_size=8) | st.binary(max_size=3) | st.sampled_from([
    '{"event":"x","binary":1}', '{"event":"x","data":{"$binary":0},"binary":1}',
    '{"answer":1}', '{"received":1}', '{"event":"x"}', '{"event":"welcome","data":{"id":"a"}}',
    '{"event":"welcome","data":{"id":"a","session":"s","received":1,"resumed":true}}',
    '{"event":"error","data":{}}', '{"event":"dropped","data":{}}', '{"event":"error"}',
])), st.booleans())  # fmt: skip
def test_whatever_comes_is_an_event_or_a_message(messages, has_session):
    peer = Peer("s" if has_session else None)
    peer.opened()
    number = peer.call("x", None)
    list(peer.outgoing())
    told = [event for message in messages for event in peer.receive(message)] + peer.lost()
    if not has_session:  # then nothing is swallowed but what was for us
        raw = [m for event in told if hasattr(event, "messages") for m in event.messages]
        assert raw == [m for m in messages if m != f'{{"answer":{number}}}']
