"""The other side of a hub: wherever the connection breaks, nothing is lost, nothing comes twice."""

from __future__ import annotations

import collections
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wslab.hub.protocol import packets
from wslab.hub.protocol.client_events import (
    Acknowledged,
    AnswerReceived,
    CallLost,
    ErrorReceived,
    EventReceived,
    EventsDropped,
    RawMessage,
    Welcomed,
)
from wslab.hub.protocol.client_session import ClientSession, events_of


def welcome(session="s", **more):
    data = {"id": "a1b2c3", "session": session, "offset": 0, "received": 0, "resumed": False}
    return json.dumps({"event": "welcome", "data": {**data, "gap": None, **more}})


def written(session):
    """Everything that the session has to write, as dicts (text) and bytes."""
    return [
        json.loads(frame) if isinstance(frame, str) else frame
        for frames in session.outgoing()
        for frame in frames
    ]


def data(value):
    return packets.dumps(value)


def joined(token="s", **more):
    session = ClientSession(token)
    session.opened()
    session.receive(welcome(token, **more))
    return session


# Without a session.


def test_an_event_is_one_text_frame():
    session = ClientSession()
    session.opened()
    session.emit("chat", data("hi"))
    session.emit("typing", None)
    assert list(session.outgoing()) == [
        ('{"event":"chat","data":"hi"}',),
        ('{"event":"typing"}',),
    ]
    assert written(session) == []
    assert session.kept == session.kept_bytes == 0


def test_bytes_follow_as_binary_frames():
    session = ClientSession()
    session.opened()
    session.emit("file", data({"name": "x", "parts": [b"ab", b"c"]}))
    assert list(session.outgoing()) == [
        (
            '{"event":"file","data":{"name":"x","parts":[{"$binary":0},{"$binary":1}]},"binary":2}',
            b"ab",
            b"c",
        )
    ]


def test_a_call_and_its_answer():
    session = ClientSession()
    session.opened()
    first, second = session.call("add", data([1, 2])), session.call("fail", None)
    assert written(session) == [
        {"event": "add", "data": [1, 2], "id": first},
        {"event": "fail", "id": second},
    ]
    error = {"code": "failed", "message": "no"}
    assert session.receive(json.dumps({"answer": second, "error": error})) == [
        AnswerReceived(second, None, error)
    ]
    assert session.receive(f'{{"answer":{first},"data":3}}') == [AnswerReceived(first, 3, None)]
    assert session.receive(f'{{"answer":{first},"data":3}}') == [
        Acknowledged()
    ]  # again: for nobody
    theirs = '{"answer":99,"data":3}'
    assert session.receive(theirs) == [RawMessage((theirs,))]


def test_an_answer_with_bytes():
    session = ClientSession()
    session.opened()
    number = session.call("file", None)
    assert session.receive(f'{{"answer":{number},"data":{{"$binary":0}},"binary":1}}') == []
    assert session.receive(b"abc") == [AnswerReceived(number, b"abc", None)]


@pytest.mark.parametrize(
    "message",
    ["hello", "{}", "[1]", '{"event":5}', '{"event":"x","binary":-1}', "{", b"", b"bytes", "",
     '{"received":3}', '{"answer":1}', '{"event":"x","binary":1000}'],
)  # fmt: skip
def test_what_is_no_packet_is_raw(message):
    assert ClientSession().receive(message) == [RawMessage((message,))]


def test_a_placeholder_that_names_no_frame_is_raw():
    session = ClientSession()
    text = '{"event":"x","data":{"$binary":7},"binary":1}'
    assert session.receive(text) == []
    assert session.receive(b"a") == [RawMessage((text, b"a"))]


def test_a_text_in_place_of_a_binary_frame():
    session = ClientSession()
    text = '{"event":"x","data":{"$binary":0},"binary":2}'
    assert session.receive(text) == []
    assert session.receive(b"a") == []
    other = '{"event":"y","data":1}'
    assert session.receive(other) == [
        RawMessage((text, b"a")),
        EventReceived("y", 1, None, (other,)),
    ]


def test_what_the_hub_says_of_itself():
    session = ClientSession()
    session.opened()
    first = welcome(None)
    [event] = session.receive(first)
    assert isinstance(event, Welcomed)
    assert (event.id, event.session, event.is_first, event.messages) == (
        *("a1b2c3", None, True),
        (first,),
    )
    assert session.hub_id == "a1b2c3"
    dropped = '{"event":"dropped","data":{"count":3}}'
    assert session.receive(dropped) == [EventsDropped(3, {"count": 3}, (dropped,))]
    about = {"code": "too-fast", "message": "slow down", "event": "chat"}
    error = json.dumps({"event": "error", "data": about})
    assert session.receive(error) == [
        ErrorReceived("too-fast", "slow down", "chat", about, (error,))
    ]
    # Only the first word is a greeting.
    [event] = session.receive(first)
    assert isinstance(event, EventReceived)


def test_a_call_that_waits_when_the_connection_ends():
    session = ClientSession()
    session.opened()
    number = session.call("add", None)
    assert written(session)
    text = '{"event":"x","binary":1}'
    assert session.receive(text) == []
    assert session.lost() == [RawMessage((text,)), CallLost(number)]
    assert session.lost() == []


def test_a_call_that_is_given_up():
    session = ClientSession()
    session.opened()
    number = session.call("add", None)
    assert written(session)
    assert not session.withdraw(number)  # too late: it may run
    assert session.receive(f'{{"answer":{number}}}') == [Acknowledged()]
    session.lost()
    number = session.call("add", None)
    assert session.withdraw(number)
    session.opened()
    assert written(session) == []
    assert session.kept_bytes == 0


def test_events_of_messages_that_waited():
    event = '{"event":"file","data":{"$binary":0},"binary":1}'
    half = '{"event":"x","binary":2}'
    first = welcome()
    assert [type(one) for one in events_of([first, "raw", event, b"a", b"b", half])] == [
        *(Welcomed, RawMessage, EventReceived, RawMessage, RawMessage),
    ]


# With a session.


def test_packets_are_numbered_and_kept_until_they_are_confirmed():
    session = joined()
    assert session.query() == [("session", "s"), ("offset", "0")]
    for nth in range(3):
        session.emit("chat", data(nth))
    assert [packet["n"] for packet in written(session)] == [1, 2, 3]
    assert session.kept == 3
    assert session.receive('{"received":2}') == [Acknowledged()]
    assert session.kept == 1
    session.lost()
    session.emit("chat", data(3))
    session.opened()
    assert written(session) == []  # first the hub says what came
    session.receive(welcome(received=2, resumed=True))
    assert [(packet["n"], packet["data"]) for packet in written(session)] == [(3, 2), (4, 3)]


@pytest.mark.parametrize("how", ["receipt", "answer"])
def test_who_was_told_that_more_came_than_the_hub_knows_of_hears_of_a_gap(how):
    session = joined()
    session.emit("chat", data(1))
    session.call("join", data("red"))
    written(session)
    session.receive('{"received":2}' if how == "receipt" else '{"answer":1,"data":null}')
    session.lost()
    session.opened()
    [told, *_] = session.receive(welcome(received=1, resumed=True))
    assert (told.gap, told.data["gap"]) == ("packets lost", "packets lost")
    session.lost()
    session.opened()
    [told, *_] = session.receive(welcome(received=1, resumed=True))
    assert told.gap is None  # it is told once


def test_behind_a_gap_it_comes_back_with_where_the_gap_ended():
    session = joined(offset=5)
    session.lost()
    session.opened()
    session.receive(welcome(offset=9, resumed=True, gap="too old"))
    assert session.query() == [("session", "s"), ("offset", "9")]


def test_an_error_in_place_of_an_answer_does_not_say_that_a_packet_came():
    session = joined()
    session.call("join", data("red"))
    written(session)
    session.receive('{"answer":1,"error":{"code":"bad-packet","message":"out of order"}}')
    session.lost()
    session.opened()
    [told, *_] = session.receive(welcome(received=0, resumed=True))
    assert told.gap is None


def test_before_the_first_welcome():
    session = ClientSession("s")
    assert session.query() == [("session", "s")]
    session.emit("chat", data(0))
    session.opened()
    session.emit("chat", data(1))
    assert [packet["n"] for packet in written(session)] == [1, 2]  # a hub does not mind
    session.lost()
    session.opened()
    assert [packet["n"] for packet in written(session)] == [1, 2]
    session.receive(welcome(received=1, resumed=True))
    assert written(session) == []
    assert session.kept == 1
    assert session.mode == "session"


def test_who_has_not_read_its_first_welcome_counts_from_the_second():
    session = ClientSession("s")
    session.opened()
    session.lost()
    session.opened()
    session.receive(welcome(resumed=True, offset=4))
    assert session.query() == [("session", "s"), ("offset", "4")]


def test_a_welcome_that_is_faster_than_the_news_of_the_connection():
    for is_known in (False, True):
        session = joined() if is_known else ClientSession("s")
        session.lost()
        session.emit("chat", None)
        session.receive(welcome(resumed=is_known))
        assert written(session) == []
        session.opened()
        assert [packet["n"] for packet in written(session)] == [1]


def test_a_call_is_asked_again_until_it_is_answered():
    session = joined()
    number = session.call("add", data(1))
    session.emit("chat", None)
    sent = written(session)
    session.receive('{"received":2}')
    assert session.kept == 1
    session.lost()
    session.opened()
    session.receive(welcome(received=2, resumed=True))
    assert written(session) == sent[:1]  # the same n, the same id
    assert session.receive(f'{{"answer":{number},"data":2}}') == [AnswerReceived(number, 2, None)]
    assert session.kept == 0
    session.lost()
    session.opened()
    session.receive(welcome(received=2, resumed=True))
    assert written(session) == []


def test_what_comes_again_is_not_told_again():
    session = joined(offset=5)
    session.receive('{"event":"x","data":1,"offset":6}')
    assert session.receive('{"event":"x","data":2,"offset":9,"binary":1}') == []
    session.lost()  # in the middle of it
    assert session.query() == [("session", "s"), ("offset", "6")]
    session.opened()
    session.receive(welcome(resumed=True, offset=6))
    assert session.receive('{"event":"x","data":1,"offset":6}') == []
    assert session.receive('{"event":"x","data":2,"offset":9,"binary":1}') == []
    [event] = session.receive(b"")
    assert isinstance(event, EventReceived)
    assert session.offset == 9


def test_a_hub_that_has_forgotten():
    session = joined(offset=40)
    session.emit("a", None)
    session.emit("b", None)
    list(session.outgoing())
    session.receive('{"received":1}')
    session.lost()
    session.answer(packets.encode_answer(3))  # to a call of the hub that is gone
    session.opened()
    [told, _] = session.receive(welcome(gap="session unknown", offset=2))
    assert told.gap == "session unknown"
    assert not told.is_first
    assert [(packet["event"], packet["n"]) for packet in written(session)] == [("b", 1)]
    [event] = session.receive('{"event":"x","offset":3}')  # its offsets begin afresh
    assert isinstance(event, EventReceived)
    assert session.query()[1] == ("offset", "3")
    session.emit("c", None)
    assert written(session) == [{"event": "c", "n": 2}]


def test_the_first_welcome_tells_of_no_gap():
    session = ClientSession("s")
    session.opened()
    [told, _] = session.receive(welcome(gap="session unknown"))
    assert told.gap is None


def test_a_hub_without_history():
    session = ClientSession("s")
    session.opened()
    session.emit("a", None)
    [told] = session.receive(welcome(None, offset=None, received=None))
    assert told.session is None
    assert [packet["event"] for packet in written(session)] == ["a"]
    assert (session.mode, session.kept) == ("plain", 0)
    number = session.call("b", None)
    assert written(session) == [{"event": "b", "id": number}]
    assert session.lost() == [CallLost(number)]
    session.emit("c", None)
    later = session.call("d", None)
    session.opened()
    assert written(session) == [{"event": "c"}, {"event": "d", "id": later}]
    assert session.kept_bytes == 0


def test_a_hub_that_keeps_no_sessions_any_more():
    session = joined()
    session.emit("a", None)
    list(session.outgoing())
    session.lost()
    session.opened()
    [told] = session.receive(welcome(None))
    assert told.gap == "session unknown"
    assert written(session) == [{"event": "a"}]


@pytest.mark.parametrize("first", ["hello", b"hello", '{"event":"tick","data":1}'])
def test_a_server_that_is_no_hub(first):
    session = ClientSession("s")
    session.opened()
    session.emit("a", None)
    assert [packet["event"] for packet in written(session)] == ["a"]
    [event] = session.receive(first)
    assert event.messages == (first,)
    assert (session.mode, session.kept) == ("plain", 0)
    session.emit("b", None)
    assert written(session) == [{"event": "b"}]


def test_a_server_that_is_no_hub_any_more():
    session = joined()
    session.lost()
    session.emit("a", None)
    session.opened()
    assert [type(event) for event in session.receive("hello")] == [Acknowledged, RawMessage]
    assert [packet["event"] for packet in written(session)] == ["a"]


def test_a_server_that_never_says_a_word_is_taken_for_none():
    session = ClientSession("s", max_kept=3)
    session.opened()
    for nth in range(5):
        assert session.make_room(None)
        session.emit("x", data(nth))
        assert [packet["data"] for packet in written(session)] == [nth]
    assert (session.mode, session.kept_bytes) == ("plain", 0)


def test_what_is_kept_is_bounded():
    session = ClientSession("s", max_kept=3, max_kept_bytes=1000)
    assert session.make_room(data("x" * 5000))  # alone: it could never go otherwise
    session.emit("x", data("x" * 500))
    assert not session.make_room(data("x" * 500))
    assert session.make_room(data("x"))
    session.emit("x", data("x"))
    session.emit("x", None)
    assert not session.make_room(None)
    session = joined()
    session.emit("x", data("x" * 100))
    assert session.kept_bytes > 100
    list(session.outgoing())
    session.receive('{"received":1}')
    assert session.kept_bytes == 0


def test_an_interrupt_between_writing_and_counting_writes_again():
    session = joined()
    session.emit("a", None)
    session.emit("b", None)
    for frames in session.outgoing():
        assert frames == ('{"event":"a","n":1}',)
        break
    assert [packet["n"] for packet in written(session)] == [1, 2]  # the hub takes each once


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
    """A session and the model's hub, and what each must have got."""

    @initialize()
    def begin(self):
        self.hub, self.session = ModelHub(), ClientSession("s", max_kept=10_000)
        self.is_up = False
        self.to_hub, self.to_session = collections.deque(), collections.deque()
        self.partial = None
        self.emitted, self.ticks, self.came = [], [], []
        self.asked, self.answers, self.known = {}, collections.Counter(), False

    @precondition(lambda self: not self.is_up)
    @rule(is_late=st.booleans())
    def connect(self, is_late):
        self.partial, self.is_up = None, True
        self.known = True
        self.to_hub.clear()
        self.to_session = collections.deque(self.hub.connect(self.session.query()))
        if is_late:  # the welcome comes in one piece with the handshake's answer
            self.hear(1)
        self.session.opened()
        self.write()

    def write(self):
        for frames in self.session.outgoing():
            assert self.is_up
            self.to_hub.extend(frames)

    @rule(value=values)
    def emit(self, value):
        self.session.emit("chat", packets.dumps(value))
        self.emitted.append(value)
        self.write()

    @rule(value=values)
    def call(self, value):
        number = self.session.call("chat", packets.dumps(value))
        self.emitted.append(value)
        self.asked[number] = value
        self.write()

    @precondition(lambda self: self.known)
    @rule(value=values)
    def tick(self, value):
        frames = self.hub.emit(value)
        self.ticks.append(value)
        if self.is_up:
            self.to_session.extend(frames)

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
                self.to_session.extend(self.hub.take(self.partial))

    @precondition(lambda self: self.is_up)
    @rule()
    def confirm(self):
        self.to_session.append(packets.encode_received(self.hub.state["n"]))

    @precondition(lambda self: self.is_up)
    @rule(count=st.integers(1, 20))
    def hear(self, count):
        while self.to_session and count:
            count -= 1
            for event in self.session.receive(self.to_session.popleft()):
                match event:
                    case EventReceived(data=value):
                        self.came.append(value)
                    case AnswerReceived(number, value):
                        assert value == self.asked[number]
                        self.answers[number] += 1
                    case _:
                        assert isinstance(event, Welcomed | Acknowledged), event
            self.write()

    @precondition(lambda self: self.is_up)
    @rule()
    def cut(self):
        self.session.mute()
        self.lose()

    def lose(self):
        self.is_up = False
        assert self.session.lost() == []

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
        while self.to_hub or self.to_session:
            self.take(10**6)
            self.hear(10**6)
        self.confirm()
        self.hear(1)
        assert self.came == self.ticks
        assert self.hub.state["got"] == self.emitted
        assert set(self.answers) == set(self.asked)
        assert (self.session.kept, self.session.kept_bytes) == (0, 0)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=40)


@given(st.lists(st.text(max_size=8) | st.binary(max_size=3) | st.sampled_from([
    '{"event":"x","binary":1}', '{"event":"x","data":{"$binary":0},"binary":1}',
    '{"answer":1}', '{"received":1}', '{"event":"x"}', '{"event":"welcome","data":{"id":"a"}}',
    '{"event":"welcome","data":{"id":"a","session":"s","received":1,"resumed":true}}',
    '{"event":"error","data":{}}', '{"event":"dropped","data":{}}', '{"event":"error"}',
])), st.booleans())  # fmt: skip
def test_whatever_comes_is_an_event_or_a_message(messages, has_session):
    session = ClientSession("s" if has_session else None)
    session.opened()
    number = session.call("x", None)
    list(session.outgoing())
    told = [event for message in messages for event in session.receive(message)] + session.lost()
    if not has_session:  # then nothing is swallowed but what was for us
        raw = [m for event in told if hasattr(event, "messages") for m in event.messages]
        assert raw == [m for m in messages if m != f'{{"answer":{number}}}']
