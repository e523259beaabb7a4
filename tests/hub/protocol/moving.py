"""A client and two processes of its hub: the conversations of `back_to_back`, and it goes across.

Each time that it comes back, it may find another process, which knows of it what was written down
and what is in the streams. The one before may have handed over, or ended without a word. Its rule
is the same: nothing lost, nothing twice, in order; or told so.
"""

from __future__ import annotations

import collections
import json
import operator

from tests.hub.protocol.back_to_back import LIMITS, OTHER, SESSION_S, TOKEN, Conversation
from wslab.hub.protocol import packets
from wslab.hub.protocol.history import History
from wslab.hub.protocol.server_session import ServerSession
from wslab.hub.protocol.session_state import SessionState
from wslab.hub.protocol.sessions import Sessions

STREAMS = (2, 30, 1000)  # events that a stream keeps


class Streams:
    """What was said in each room, as all processes can read it."""

    def __init__(self, most):
        self.most = most
        self.logs = collections.defaultdict(collections.deque)
        self.trimmed_to = collections.Counter()

    def add(self, name, past):
        log = self.logs[name]
        log.append(past)
        if len(log) > self.most:
            self.trimmed_to[name] = log.popleft().offset

    def read(self, name, after, to):
        """Return what was said in a room after one offset, up to another; whether that is all."""
        found = [past for past in self.logs[name] if after < past.offset <= to]
        return found, self.trimmed_to[name] <= after


class Followed(History):
    """The history of one process; what it keeps is in the streams, too."""

    def __init__(self, limit, streams):
        super().__init__(limit, LIMITS)
        self.streams = streams

    def keep(self, past, rooms, own=(), owner=("", "")):
        super().keep(past, rooms, own, owner)
        for room in rooms:
            self.streams.add(room, past)
        for log in own:
            self.streams.add(("own", log.owner[1]), past)


class Moving(Conversation):
    """One client, and the processes that it comes to."""

    moves = ended = 0  # of all conversations

    def hub_starts(self):
        super().hub_starts()
        self.streams = Streams(self.random.choice(STREAMS))
        self.begin_process(self.history.limit, self.history.offset)
        self.written = None

    def begin_process(self, limit, offset):
        self.history = Followed(limit, self.streams)
        self.history.offset = offset
        self.sessions = Sessions(self.history, SESSION_S)
        self.other = self.sessions.open(OTHER, self.now_s)

    # What is written down.

    def record(self):
        session = self.session
        if session is None or session.is_gone:
            self.written = None
            return
        lost = self.current.dropped if self.current is not None else ()
        state = session.snapshot('{"a":1}', lost=lost)
        answers = list(session.answers.items())
        self.written = state.to_json(), state.received, answers

    def acknowledge(self):
        if self.current is not None:
            self.record()
            self.send((packets.encode_received(self.session.handled), ()))

    def take_packet(self, packet):
        before = self.at_work
        super().take_packet(packet)
        if self.at_work is before and self.session.received == packet.n:
            self.session.has_handled(packet)

    def take_late(self):
        if self.session is not None and self.session.may_be_behind:
            self.late.clear()  # a hub reads each connection in order, and none that was continued
        super().take_late()

    def answer(self):
        super().answer()
        if self.session is not None:
            self.record()

    def begins_anew(self):
        super().begins_anew()
        self.ever_due = set()

    def emit(self):
        super().emit()
        self.ever_due.update(self.due[-1:])
        self.record_all_but_handled()

    def tell_dropped(self):
        super().tell_dropped()
        self.record_all_but_handled()

    def move(self):
        super().move()
        self.record_all_but_handled()

    def notice(self):
        super().notice()
        self.record_all_but_handled()

    def record_all_but_handled(self):
        """Write down what a process writes at once; a packet counts once it is handled."""
        if self.session is not None:
            self.record()

    # Going across.

    def connect(self):
        if self.connection is None and self.session is not None and self.random.random() < 0.5:
            self.cross()
        super().connect()
        if self.session is not None:
            self.record_all_but_handled()

    def cross(self):
        """Have another process continue the session, if it is kept."""
        self.sessions.prune(self.now_s)
        if self.session.is_gone:
            self.written = None
        query = dict(self.client.query())
        asked = int(query["offset"]) if "offset" in query else None
        hands_over = self.random.random() < 0.5
        if hands_over:
            self.answer()
            if self.current is not None:
                self.part(self.current)
            self.record()
        elif self.at_work is not None:  # it was cut off in its middle
            self.at_work = None
        self.late.clear()
        limit, offset = self.history.limit, self.history.offset
        self.begin_process(limit, offset)
        self.current, self.away_since_s = None, None
        if self.written is None:
            self.session = None
            return
        Moving.moves += 1
        Moving.ended += not hands_over
        text, received, answers = self.written
        state = SessionState.from_json(text, received)
        assert json.loads(text)["data"] == {"a": 1}
        session = ServerSession.restored(
            TOKEN, self.history, state, {"a": 1}, self.now_s, may_be_behind=not hands_over
        )
        since = state.began_offset if asked is None else asked
        spans = state.spans(since, offset)
        found, is_whole = {}, spans is not None
        for name, after, to in [(("own", TOKEN), since, offset), *(spans or ())]:
            pasts, has_all = self.streams.read(name, after, to)
            found.update((past.offset, past) for past in pasts if TOKEN not in past.skip)
            is_whole = is_whole and has_all
        session.fetch([found[at] for at in sorted(found)], since, offset, is_whole=is_whole)
        self.sessions.take_in(session, self.now_s, answers)
        assert session.data == {"a": 1}
        self.taken = self.taken[: session.received]  # what comes again is handled again
        self.session, self.away_since_s = session, self.now_s

    def check_resumption(self, told, asked, is_known):
        if told.gap is not None and told.is_resumed and self.streams.most < STREAMS[-1]:
            since = self.session.began_offset if asked is None else asked
            self.due = [offset for offset in self.due if offset <= since]
            return
        if told.is_resumed and told.gap is None:
            # Of a gap that it has not read: another process may have what was missing.
            more = {past.offset for past in told.missed} & self.ever_due
            self.due = sorted(more.union(self.due))
        super().check_resumption(told, asked, is_known)

    WEIGHTS = (
        *((count, operator.methodcaller(act.__name__)) for count, act in Conversation.WEIGHTS),
        (2, acknowledge),
        (4, operator.methodcaller("take")),
    )
