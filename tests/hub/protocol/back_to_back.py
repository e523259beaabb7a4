"""A hub's half and a client's half back to back, over a line that nobody should rely on.

No socket, no loop, no clock: a `Conversation` takes all its decisions from a seed. Its line delays
frames, loses what is under way when it is cut, in the middle of a packet too, and brings some of it
late, repeated and out of order, after the client has come back. The hub sends slow clients less,
forgets sessions, and is started anew. Its rule: nothing lost, nothing twice, in order; or told so.
"""

from __future__ import annotations

import collections
import random

from wslab.hub import Limits
from wslab.hub.protocol import packets
from wslab.hub.protocol.client_events import (
    Acknowledged,
    AnswerReceived,
    ErrorReceived,
    EventReceived,
    EventsDropped,
    Welcomed,
)
from wslab.hub.protocol.client_session import ClientSession
from wslab.hub.protocol.history import History
from wslab.hub.protocol.room_log import Past
from wslab.hub.protocol.server_session import Deliver, OutOfOrder, RepeatAnswer
from wslab.hub.protocol.sessions import Sessions

TOKEN, OTHER = "a", "b"
ROOMS = ("red", "blue")
SESSION_S = 10.0
MANY = 1000  # events: more than one conversation has
LIMITS = Limits(answers_bytes_per_session=2_000)


class Connection:
    """One connection, seen from the hub: what is under way each way."""

    def __init__(self, session):
        self.session = session
        self.to_hub, self.to_client = collections.deque(), collections.deque()
        self.partial = None  # a packet whose binary frames are still to come
        self.dropped = []  # offsets that the full backlog has lost, and the client was not told of
        self.is_here = True  # as far as the hub knows


class Conversation:
    """One client and its hub, the line between them, and what each must have got.

    Args:
        seed: of all that happens.
    """

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.client = ClientSession(TOKEN)
        self.connection = None  # as far as the client knows
        self.said = []  # by the client, in order
        self.taken, self.taken_before = [], set()  # by the hub; by earlier sessions of it
        self.calls = {}  # by number: what it asked
        self.answers = collections.Counter()
        self.hub_starts()
        self.acts = [act for count, act in self.WEIGHTS for _ in range(count)]

    def run(self, steps):
        """Let so many things happen, then everything arrive; raises AssertionError."""
        for _ in range(steps):
            self.random.choice(self.acts)(self)
        self.settle()

    # The hub.

    def hub_starts(self):
        self.history = History(self.random.choice((2, 5, MANY)), LIMITS)
        self.sessions = Sessions(self.history, SESSION_S)
        self.now_s, self.away_since_s = 0.0, None
        self.session = None  # the client's
        self.current = None  # its connection, as far as the hub knows
        self.late = []  # packets of earlier connections
        self.at_work = None  # session and packet whose handler has not returned
        self.other = self.sessions.open(OTHER, 0.0)
        self.begins_anew()

    def begins_anew(self):
        """A new session: what the client is to hear, and the hub to take, begins here."""
        self.taken_before.update(self.taken)
        self.taken = []
        self.due, self.heard = [], []  # offsets
        self.told_dropped, self.is_exact = 0, True
        self.answers_gone = False

    def restart(self):
        if self.random.random() < 0.1:
            self.hub_starts()
            self.cut_off()

    def connect(self):
        if self.connection is not None:
            return
        query = dict(self.client.query())
        asked = int(query["offset"]) if "offset" in query else None
        session = self.sessions.continued(TOKEN, self.now_s)
        if (old := self.current) is not None:
            self.part(old)
        is_known = session is not None
        if session is None:
            self.begins_anew()
            session = self.sessions.open(TOKEN, self.now_s)
        told = session.resume(asked)
        self.session, self.current = session, Connection(session)
        self.away_since_s = None
        self.connection = self.current
        self.check_resumption(told, asked, is_known)
        welcome = {
            "id": "a1b2c3", "session": True, "offset": told.offset, "received": told.received,
            "resumed": told.is_resumed, "gap": told.gap,
        }  # fmt: skip
        self.send(packets.encode_event("welcome", welcome))
        for past in told.missed:
            self.send(past.message)
        if told.dropped:
            self.send((packets.encode_dropped(told.dropped, told.dropped_offset), ()))
        if self.random.random() < 0.1:  # the welcome comes in one piece with the handshake's answer
            self.hear(1)
        self.client.opened()
        self.write()

    def check_resumption(self, told, asked, is_known):
        assert told.received == len(self.taken)
        if not told.is_resumed and is_known:  # it has not read, maybe, that its session is new
            assert (told.gap, told.received) == ("session unknown", 0)
            self.is_exact, self.due = False, self.heard + [past.offset for past in told.missed]
            return
        assert told.is_resumed is is_known
        if told.gap is None:
            assert [past.offset for past in told.missed] == [
                offset for offset in self.due if offset > told.offset
            ]
        elif is_known:
            since = self.session.began_offset if asked is None else asked
            assert self.history.limit < MANY, "told of a gap, and all was kept"
            self.due = [offset for offset in self.due if offset <= since]

    def part(self, connection):
        """The hub learns that a connection is over."""
        connection.is_here = False
        connection.session.lose(connection.dropped)
        self.current = None

    def notice(self):
        """The hub notices that its client is away."""
        current = self.current
        if current is not None and current is not self.connection:
            self.part(current)
            self.sessions.leave(self.session, self.now_s)
            self.away_since_s = self.now_s

    def wait(self):
        self.now_s += self.random.choice((0.0, 4.0, 4.0, 11.0))
        self.sessions.prune(self.now_s)
        if self.session is not None:
            since_s = self.away_since_s
            assert self.session.is_gone is (
                since_s is not None and self.now_s - since_s >= SESSION_S
            )

    def send(self, message):
        text, binary = message
        if self.current is not None:
            self.current.to_client += (text, *binary)

    def emit(self):
        """Say something to everybody, to rooms, or to the client; sometimes without the client."""
        source, history = self.random, self.history
        offset = history.offset + 1
        rooms = source.choice(([None], ["red"], ["blue"], ["red", "blue"], []))
        session = self.session if self.session is not None and not self.session.is_gone else None
        own = [session.own] if session is not None and (not rooms or source.random() < 0.2) else []
        skip = frozenset([TOKEN] if source.random() < 0.1 else ())
        data = offset if source.random() < 0.8 else {"offset": offset, "bytes": b"x"}
        message = packets.encode_event("tick", data, offset=offset)
        history.keep(Past(offset, 0.0, "tick", message, 1, skip, str), rooms, own)
        is_for = own or None in rooms or (session and not session.rooms.isdisjoint(rooms))
        if session is None or not is_for or skip:
            return
        self.due.append(offset)
        if self.current is not None:
            if source.random() < 0.1:  # its backlog is full
                self.current.dropped.append(offset)
            else:
                self.send(message)

    def tell_dropped(self):
        if self.current is not None and self.current.dropped:
            dropped, self.current.dropped = self.current.dropped, []
            self.session.lose(dropped)
            self.send((packets.encode_dropped(len(dropped), self.session.tell_dropped()), ()))

    def move(self):
        """Put the client, or another one, into a room, or out of it."""
        session = self.other if self.random.random() < 0.3 else self.session
        if session is not None:
            room = self.random.choice(ROOMS)
            session.join(room) if self.random.random() < 0.6 else session.leave(room)

    def acknowledge(self):
        if self.current is not None:
            self.send((packets.encode_received(self.session.received), ()))

    def take(self, most=20):
        """Let the hub take in some of what is under way."""
        connection = self.current
        for _ in range(self.random.randint(1, most)):
            if connection is None or not connection.to_hub or self.at_work is not None:
                break
            packet = _assembled(connection, connection.to_hub.popleft())
            if packet is not None:
                self.take_packet(packet)

    def take_late(self):
        """Let something come that an earlier connection has brought, in any order."""
        if self.late and self.at_work is None and self.session is not None:
            session, packet = self.late.pop(self.random.randrange(len(self.late)))
            if session is self.session and not session.is_gone:
                self.take_packet(packet)

    def take_packet(self, packet):
        step = self.session.receive(packet)
        if isinstance(step, Deliver):
            if packet.n is not None:
                self.taken.append(_said(packet.data))
            if packet.id is not None:
                self.at_work = self.session, packet
                if self.random.random() < 0.8:
                    self.answer()
            if step.acknowledge_now:
                self.acknowledge()
        elif isinstance(step, RepeatAnswer):
            if step.answer is not None:
                self.send(step.answer)
            else:
                self.send((packets.encode_error("failed", "not kept", answer=packet.id), ()))
        elif isinstance(step, OutOfOrder):
            assert step.expected == len(self.taken) + 1

    def answer(self):
        """Let the handler that is at work return."""
        if self.at_work is None:
            return
        (session, packet), self.at_work = self.at_work, None
        if session is not self.session:
            return  # nobody can ask for it any more
        answer = packets.encode_answer(packet.id, 2 * _said(packet.data))
        if session.awaits_answer(packet):
            before = len(session.answers)
            self.sessions.keep_answer(session, answer, len(answer[0]))
            self.answers_gone = self.answers_gone or len(session.answers) == before
        self.send(answer)

    # The client.

    def say(self):
        what = len(self.said)
        self.said.append(what)
        data = what if self.random.random() < 0.8 else {"said": what, "bytes": [b"x", b"y"]}
        if self.random.random() < 0.3:
            self.calls[self.client.call("chat", packets.dumps(data))] = what
        else:
            self.client.emit("chat", packets.dumps(data))
        self.write()

    def write(self):
        for frames in self.client.outgoing():
            self.connection.to_hub += frames

    def hear(self, most=20):
        """Let the client read some of what is under way."""
        if self.connection is None:
            return
        frames = self.connection.to_client
        for _ in range(self.random.randint(1, most)):
            if not frames:
                break
            for event in self.client.receive(frames.popleft()):
                self.check_heard(event)
            self.write()

    def check_heard(self, event):
        if isinstance(event, EventReceived):
            offset = event.data if isinstance(event.data, int) else event.data["offset"]
            assert not self.heard or offset > self.heard[-1], "twice, or out of order"
            assert offset in self.due, "not for this client"
            self.heard.append(offset)
        elif isinstance(event, AnswerReceived):
            self.answers[event.id] += 1
            assert self.answers[event.id] == 1, "an answer came twice"
            if event.error is not None:
                assert self.answers_gone, "an answer was not kept"
            else:
                assert event.data == 2 * self.calls[event.id]
        elif isinstance(event, EventsDropped):
            self.told_dropped += event.count
        else:
            assert isinstance(event, Welcomed | Acknowledged | ErrorReceived), event

    def cut_off(self):
        """The client loses its connection; the hub may learn it much later, or never."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        for frame in connection.to_hub:  # the first frames that are lost may end a packet
            packet = _assembled(connection, frame)
            if packet is not None and self.random.random() < 0.5:
                self.late.append((connection.session, packet))
                if self.random.random() < 0.3:
                    self.late.append((connection.session, packet))
        connection.to_hub.clear()
        self.client.mute()
        assert self.client.lost() == []

    def cut(self):
        if self.random.random() < 0.5:
            self.hear()
        self.cut_off()

    WEIGHTS = (
        (5, connect), (4, cut), (3, notice), (1, wait), (1, restart), (8, emit), (2, tell_dropped),
        (4, move), (2, acknowledge), (8, take), (3, take_late), (2, answer), (8, say), (8, hear),
    )  # fmt: skip

    # In the end.

    def settle(self):
        """Let all arrive, and hold it against what was said."""
        while self.late:
            self.answer()
            self.take_late()
            if self.session is None:
                break
        self.connect()
        current = self.current
        assert current is self.connection
        while current.to_hub or current.to_client or self.at_work is not None:
            self.answer()
            self.take()
            self.hear()
        self.tell_dropped()
        self.acknowledge()
        while current.to_client:
            self.hear()
        assert self.taken == sorted(set(self.taken)), "twice, or out of order"
        assert self.taken_before.issuperset(set(self.said) - set(self.taken)), "lost"
        assert set(self.answers) == set(self.calls), "a call was not answered"
        assert (self.client.kept, self.client.kept_bytes) == (0, 0)
        lost = len(self.due) - len(self.heard)
        assert lost == self.told_dropped or (lost < self.told_dropped and not self.is_exact)


def _assembled(connection, frame):
    """Return the packet that a frame completes, or None."""
    if isinstance(frame, str):
        connection.partial = packets.decode(frame)
    else:
        connection.partial.attachments.append(frame)
    return connection.partial if connection.partial.is_whole else None


def _said(data):
    return data if isinstance(data, int) else data["said"]
