"""A hub's sessions and a model of the stock client's recovery, over a line that cuts.

No socket, no loop, no clock: a `StockConversation` takes all its decisions from a seed. The client
is modelled by the rules of socket.io-client 4 (`socket.js`): it keeps the pid of each CONNECT, and
as its place the last argument of an event where that is a text and it has a pid; where the hub
waits for an answer, the last argument is a function. Its rule: who is said to have recovered has
missed nothing that it was not told of, and has got nothing twice; and who can recover, does.
"""

from __future__ import annotations

import collections
import contextlib
import random
from types import SimpleNamespace

from wslab.hub import Args, Limits
from wslab.hub.backplane import memory
from wslab.hub.backplane.backplane import Publication
from wslab.hub.dialects.dialect import Raw
from wslab.hub.dialects.socket_io import SocketIo
from wslab.hub.protocol.room_log import PROGRAM
from wslab.hub.server.connection_session import ConnectionSession
from wslab.hub.server.emitter import said_of
from wslab.hub.server.hub_context import HubContext
from wslab.hub.server.settings import HubSettings
from wslab.wire.socketio import Decoder, PacketType

ROOMS = ("red", "blue")
SESSION_S = 10.0
MANY = 1000  # events: more than one conversation has
PATH = "/socket.io/?EIO=4&transport=websocket"


class StockClient:
    """What socket.io-client does with what comes; ``heard`` are the events of the application."""

    def __init__(self):
        self.pid = self.last_offset = None
        self.recovered = False
        self.is_connected = False
        self.heard = []

    def connect(self):
        """Return what its CONNECT says."""
        self.decoder = Decoder()
        if not self.pid:
            return None
        offset = {} if self.last_offset is None else {"offset": self.last_offset}
        return {"pid": self.pid, **offset}

    def receive(self, message):
        text = isinstance(message, str)
        assert not text or message[0] == "4"
        packet = self.decoder.add(message[1:] if text else message)
        if packet is None:
            return
        if packet.type is PacketType.CONNECT:
            pid = packet.data.get("pid")
            self.recovered = bool(pid) and self.pid == pid
            self.pid, self.is_connected = pid, True
            return
        assert packet.type is PacketType.EVENT
        assert self.is_connected
        arguments = packet.data if packet.id is None else [*packet.data, len]
        self.heard.append(arguments)
        if self.pid and arguments and isinstance(arguments[-1], str):
            self.last_offset = arguments[-1]

    def lost(self):
        self.is_connected = False


class Connection:
    """One connection, seen from the hub."""

    def __init__(self, conversation, auth):
        context, dialect = conversation.context, conversation.dialect
        self.conversation = conversation
        self.part = ConnectionSession(context, dialect.greeting(PATH, auth), "", "f" * 32)
        self.to_client = collections.deque()
        self.dropped = []  # offsets that the full backlog has lost, and the client was not told of
        self.is_here = True

    def retire(self):
        self.conversation.part_with(self)


class StockConversation:
    """One stock client and its hub, the line between them, and what the client must have got.

    Args:
        seed: of all that happens.
    """

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.client = StockClient()
        self.line = None  # the connection, as far as the client knows
        self.said = 0
        self.now_s = 0.0
        self.connections = []
        self.hub_starts()
        self.acts = [act for count, act in self.WEIGHTS for _ in range(count)]

    def run(self, steps):
        """Let so many things happen, then everything arrive; raises AssertionError."""
        clock = SimpleNamespace(monotonic=lambda: self.now_s, time=lambda: 0.0)
        with _clock(clock):
            for _ in range(steps):
                self.random.choice(self.acts)(self)
            self.settle()

    # The hub.

    def hub_starts(self):
        self.limit = self.random.choice((2, 5, MANY))
        settings = HubSettings(
            "hub", self.limit, SESSION_S, "drop-oldest", Limits(), True, None, None
        )
        self.context = HubContext(settings, None)
        self.backplane = self.context.backplane
        self.backplane.attach(lambda said, publication, local: said)
        self.dialect = SocketIo("/", f"m{self.random.randrange(10**6)}")
        # Of other hubs, whose places are others: a client's may look as far along as ours.
        for _ in range(self.random.randrange(4)):
            self.publish(said_of("before", None, None), [None])
        self.current = None  # the connection, as far as the hub knows
        self.left_s = None
        self.begins_anew()

    def begins_anew(self):
        """A new session: what the client is to hear begins here."""
        self.due = []  # what was said to it, by offset
        self.first = len(self.client.heard)
        self.dropped = set()

    @property
    def session(self):
        session = self.current.part.session if self.current is not None else None
        return session if session is not None and not session.is_gone else None

    def restart(self):
        if self.random.random() < 0.1:
            self.cut()
            self.hub_starts()

    def part_with(self, connection):
        if connection.is_here:
            connection.is_here = False
            if connection.part.session is not None:
                connection.part.session.lose(connection.dropped)
            connection.part.leave(connection, said_goodbye=False)
            self.left_s = self.now_s

    def notice(self):
        """The hub notices that its client is away."""
        if self.current is not None and self.current is not self.line:
            self.part_with(self.current)

    def wait(self):
        self.now_s += self.random.choice((0.0, 4.0, 4.0, 11.0))

    def publish(self, said, rooms, sessions=(), skip=frozenset()):
        return self.backplane.publish(Publication(said, rooms, list(sessions), skip, PROGRAM), None)

    def send(self, payloads):
        if self.current is not None and self.current.is_here:
            text, binary = payloads
            self.current.to_client += (text, *binary)

    def next(self):
        self.said += 1
        shape = self.random.randrange(6)
        if shape == 5:
            return Args()
        text = self.dialect.mark + ".7" if self.random.random() < 0.2 else "text"
        return [self.said, text, Args(self.said, text), [b"x", self.said], {"text": text}][shape]

    def emit(self):
        """Say something to everybody, to rooms, or to the client; sometimes without the client."""
        source, session = self.random, self.session
        rooms = source.choice(([None], ["red"], ["blue"], ["red", "blue"], []))
        to = [session] if session is not None and (not rooms or source.random() < 0.2) else []
        is_left_out = session is not None and source.random() < 0.1
        skip = frozenset([session.token] if is_left_out else ())
        said = self.publish(said_of("tick", self.next(), None), rooms, to, skip)
        is_for = to or None in rooms or (session and not session.rooms.isdisjoint(rooms))
        if session is None or not is_for or is_left_out:
            return
        self.due.append(said.offset)
        if self.current.is_here:
            if source.random() < 0.1:  # its backlog is full
                self.current.dropped.append(said.offset)
                self.dropped.add(said.offset)
            else:
                self.send(self.dialect.event(said))

    def broadcast(self):
        text = self.random.choice((b"raw", f"{self.dialect.mark}.3".encode(), b"m1.3"))
        raw = Raw(text, self.random.random() < 0.8, self.backplane.latest_offset())
        self.send(self.dialect.raw(raw))

    def ask(self):
        self.send(self.dialect.event(said_of("ask", self.next(), None), 7))

    def complain(self):
        self.send(self.dialect.error("failed", f"{self.dialect.mark}.2"))

    def tell_dropped(self):
        current = self.current
        if current is not None and current.is_here and current.dropped:
            lost, current.dropped = current.dropped, []
            self.session.lose(lost)
            self.send(self.dialect.dropped(len(lost), self.session.tell_dropped()))

    def move(self):
        if self.session is not None:
            room = self.random.choice(ROOMS)
            self.session.join(room) if self.random.random() < 0.6 else self.session.leave(room)

    # The line.

    def connect(self):
        if self.line is not None:
            return
        client, auth = self.client, self.client.connect()
        before, known = self.session, False
        if before is not None and auth is not None and auth["pid"] == before.token:
            is_away = not self.current.is_here
            known = not (is_away and self.now_s - self.left_s >= SESSION_S)
        connection = Connection(self, auth)
        self.connections.append(connection)
        part = connection.part
        token = part.greeting.token
        session = self.backplane.session(token) if token else None
        if session is not None:  # as `arrival` does
            old = self.context.holder(session).client
            if old is not None:
                old.retire()
            part.expect(session)
        if self.random.random() < 0.1:  # said while the connect handler is at work
            self.emit()
        told = part.begin(connection)
        if not part.is_resumed:
            assert not known or self.limit < MANY, "all was kept, and it did not recover"
            self.begins_anew()
        else:
            assert known
        assert told.gap is None
        self.current = self.line = connection
        pid = {"id": "a1b2c3", "session": part.token}
        self.send(self.dialect.welcome(pid))
        for past in told.missed:
            self.send(self.dialect.event(past.message))
        if told.dropped:
            self.send(self.dialect.dropped(told.dropped, told.dropped_offset))
        assert client.pid is None or part.is_resumed is (client.pid == part.token)

    def hear(self, most=20):
        """Let the client read some of what is under way."""
        if self.line is None:
            return
        waiting = self.line.to_client
        for _ in range(self.random.randint(1, most)):
            if waiting:
                self.client.receive(waiting.popleft())
        self.check()

    def cut(self):
        if self.line is not None:
            self.hear()
            self.line.to_client.clear()
            self.line = None
            self.client.lost()

    WEIGHTS = (
        (5, connect), (4, cut), (3, notice), (1, wait), (1, restart), (8, emit), (2, broadcast),
        (2, ask), (1, complain), (2, tell_dropped), (3, move), (8, hear),
    )  # fmt: skip

    # What it has heard.

    def heard(self):
        """Return the places of the events that came since the session began."""
        ticks = [each for each in self.client.heard[self.first :] if each[0] == "tick"]
        assert all(each[-1].startswith(f"{self.dialect.mark}.") for each in ticks)
        return [int(each[-1].rpartition(".")[2]) for each in ticks]

    def check(self):
        heard = self.heard()
        assert heard == sorted(set(heard)), "twice, or out of order"
        assert set(heard) <= set(self.due), "not for this client"

    def settle(self):
        """Let all arrive, and hold it against what was said."""
        self.connect()
        self.tell_dropped()
        while self.line.to_client:
            self.hear()
        lost = set(self.due) - set(self.heard())
        assert lost <= self.dropped, "lost"
        came = self.client.heard[self.first :]
        told = sum(each[1]["count"] for each in came if each[0] == "dropped")
        assert len(lost) <= told, "not told"
        assert self.client.pid == self.session.token


@contextlib.contextmanager
def _clock(clock):
    before, memory.time = memory.time, clock
    try:
        yield
    finally:
        memory.time = before
