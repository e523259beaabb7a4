"""LayerReader: which Engine.IO session an event belongs to, and the packets in it.

A session is one conversation over several connections: polls, upgrade and WebSocket. A request
with ``EIO=4`` begins or continues one; its id, or the mark that stands for it where it is hidden,
says which. Its rule: pure, bounded, and cheap for every other connection. Left out: how any of it
looks.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qs

from ..engineio import SEPARATOR
from ..engineio import PacketType as Engine
from ..events import (
    BodyEvent,
    DroppedEvent,
    EndedEvent,
    Event,
    FrameEvent,
    MessageEvent,
    RequestEvent,
    ResponseEvent,
)
from ..frames.opcodes import Opcode
from ..http.heads import Request
from ..http.secret_values import MARKER
from ..sender import SENDERS, Sender
from ..violation import ProtocolViolation
from .body import Body
from .peeler import Peeled, Peeler

__all__ = ["LayerReader", "Layers", "Session"]

_MAX_SESSIONS: Final = 2_000
_MAX_HELD: Final = 8 * 2**20  # bytes of all bodies under way
_MAX_ID: Final = 200  # characters
_MAX_PACKETS: Final = 1_000  # of one body that are read
Purpose: TypeAlias = Literal["handshake", "poll", "post", "websocket", "upgrade", "other"]


@dataclass(slots=True, eq=False)
class Session:
    """One conversation.

    Attributes:
        number: its own, from 1 on.
        peelers: what reads each side.
        transport: what it goes over by now: polling, websocket, or closed.
        open: requests that wait for their answers.
    """

    number: int
    peelers: dict[Sender, Peeler]
    transport: str = "polling"
    open: dict[str, int] = field(default_factory=lambda: {"poll": 0, "post": 0})

    def lose(self) -> None:
        """Take note that messages of both sides were passed over."""
        for peeler in self.peelers.values():
            peeler.lose()


class Layers(NamedTuple):
    """What is known of one event.

    Args:
        session: the conversation that it belongs to.
        purpose: what the request is for; of frames, ``websocket``.
        packets: that it completes.
        unread: packets beyond those, or a body that is too large: 1.
        violation: of the request itself.
        goes_on: of a connection's end: the session is still there.
    """

    session: Session
    purpose: Purpose
    packets: tuple[Peeled, ...] = ()
    unread: int = 0
    violation: ProtocolViolation | None = None
    goes_on: bool = False


@dataclass(slots=True, eq=False)
class _Connection:
    """A TCP connection of a session: one exchange, or frames."""

    session: Session
    purpose: Purpose
    is_waiting: bool = True  # for its answer
    is_good: bool = False  # the answer's status
    bodies: dict[Sender, Body] = field(default_factory=dict)
    is_switched: bool = False  # the session goes over its frames
    frame: int = 0
    unread: Sender | None = None  # whose message's last frame came, and no message


class LayerReader:
    """Reads one tape's events, in their order."""

    def __init__(self) -> None:
        self._connections: dict[str, _Connection] = {}
        self._sessions: dict[str, Session] = {}  # by id, the oldest first
        self._numbered = 0
        self._held = 0  # bytes of bodies under way

    def forget(self, known: Collection[str]) -> None:
        """Let go of connections that the tape does not know any more."""
        for connection_id in [each for each in self._connections if each not in known]:
            self._leave(connection_id)

    def feed(self, event: Event) -> Layers | None:
        """Return what is known of an event; None where it belongs to no session."""
        if isinstance(event, RequestEvent):
            return self._request(event)
        connection = self._connections.get(event.connection_id)
        if connection is None:
            return None
        session = connection.session
        if isinstance(event, FrameEvent):
            _follow(connection, event)
        elif isinstance(event, MessageEvent):
            connection.unread = None
            return self._message(connection, event)
        elif isinstance(event, ResponseEvent):
            return self._response(connection, event)
        elif isinstance(event, BodyEvent):
            return self._body(connection, event.sender, event.data)
        elif isinstance(event, DroppedEvent):
            session.lose()
        elif isinstance(event, EndedEvent):
            self._leave(event.connection_id)
            goes_on = not connection.is_switched and session.transport != "closed"
            return Layers(session, connection.purpose, goes_on=goes_on)
        return Layers(session, connection.purpose)

    def _begin(self, is_socketio: bool) -> Session:
        self._numbered += 1
        return Session(self._numbered, {sender: Peeler(sender, is_socketio) for sender in SENDERS})

    def _bind(self, sid: str, session: Session) -> None:
        self._sessions[sid] = session
        if len(self._sessions) > _MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def _leave(self, connection_id: str) -> None:
        """Take note that a connection, or one exchange on it, is over."""
        connection = self._connections.pop(connection_id, None)
        if connection is not None:
            _answered(connection)
            self._held -= sum(body.held for body in connection.bodies.values())

    # HTTP

    def _request(self, event: RequestEvent) -> Layers | None:
        self._leave(event.connection_id)
        asked = _asked(event.request)
        if asked is None:
            return None
        session = self._sessions.get(asked.sid)
        if session is None:
            session = self._begin(asked.is_socketio)
            if asked.sid:  # its beginning was not seen
                session.lose()
                self._bind(asked.sid, session)
        connection = _Connection(session, asked.purpose)
        self._connections[event.connection_id] = connection
        violation = None
        if asked.purpose in ("poll", "post"):
            session.open[asked.purpose] += 1
            if session.open[asked.purpose] > 1:
                violation = ProtocolViolation(
                    f"{asked.purpose}-overlap",
                    f"one {event.request.method} of a session at a time",
                    "one more before the answer",
                )
        if asked.purpose == "post":
            connection.bodies["client"] = Body(event.request)
        return Layers(session, asked.purpose, violation=violation)

    def _response(self, connection: _Connection, event: ResponseEvent) -> Layers:
        session, status = connection.session, event.response.status
        if status == 101:
            connection.is_switched = connection.purpose == "websocket"
            if connection.is_switched:
                session.transport = "websocket"
        elif status >= 200:
            connection.is_good = status == 200
            connection.bodies["server"] = Body(event.response, event.request)
            return self._body(connection, "server", event.response.body)
        return Layers(session, connection.purpose)

    def _body(self, connection: _Connection, sender: Sender, data: bytes) -> Layers:
        session, purpose = connection.session, connection.purpose
        nothing = Layers(session, purpose)
        body = connection.bodies.get(sender)
        if body is None or body.is_whole:
            return nothing
        held = body.held
        is_whole = body.add(data)
        self._held += body.held - held
        if self._held > _MAX_HELD:
            self._held -= body.held
            body.let_go()
        if not is_whole:
            return nothing
        if sender == "server":
            _answered(connection)
        has_packets = connection.is_good and purpose in ("poll", "handshake")
        if not (purpose == "post" if sender == "client" else has_packets):
            return nothing  # an error, or "ok"
        peeler = session.peelers[sender]
        if body.content is None:
            peeler.lose()
            return Layers(session, purpose, unread=1)
        packets, unread = _peeled(body.content, peeler)
        for packet in packets:
            self._note(connection, sender, packet)
        return Layers(session, purpose, packets, unread)

    # Messages

    def _message(self, connection: _Connection, event: MessageEvent) -> Layers:
        peeler = connection.session.peelers[event.sender]
        data = event.data
        packet = peeler.text(data) if isinstance(data, str) else peeler.binary(len(data))
        self._note(connection, event.sender, packet)
        return Layers(connection.session, connection.purpose, (packet,))

    def _note(self, connection: _Connection, sender: Sender, packet: Peeled) -> None:
        """Take note of what changes the session."""
        session = connection.session
        if packet.violation is not None:
            return
        if packet.engine is Engine.OPEN and sender == "server":
            sid = _sid_of(packet.data)
            if sid and sid not in self._sessions:
                self._bind(sid, session)
        elif packet.engine is Engine.UPGRADE:
            session.transport, connection.is_switched = "websocket", True
        elif packet.engine is Engine.CLOSE:
            session.transport = "closed"


def _follow(connection: _Connection, event: FrameEvent) -> None:
    """Take note of frames that were passed over, and of messages that nobody could read."""
    if event.number != connection.frame + 1:
        connection.session.lose()
    elif connection.unread is not None:
        connection.session.peelers[connection.unread].lose()
    connection.frame = event.number
    is_last = event.fin and event.opcode < Opcode.CLOSE
    connection.unread = event.sender if is_last else None


def _answered(connection: _Connection) -> None:
    session, purpose = connection.session, connection.purpose
    if connection.is_waiting and purpose in session.open:
        session.open[purpose] -= 1
    connection.is_waiting = False


def _peeled(content: bytes, peeler: Peeler) -> tuple[tuple[Peeled, ...], int]:
    """Return a body's packets, and how many more it has."""
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        peeler.lose()
        violation = ProtocolViolation("bad-utf8", "a body of UTF-8", f"{exc.reason}")
        return (Peeled(f"breaks {violation.rule}", len(content), violation=violation),), 0
    parts = text.split(SEPARATOR, _MAX_PACKETS)
    unread = 0
    if len(parts) > _MAX_PACKETS:
        unread = parts.pop().count(SEPARATOR) + 1
    packets = tuple([peeler.text(part) for part in parts])
    if unread:
        peeler.lose()
    return packets, unread


class _Asked(NamedTuple):
    sid: str
    purpose: Purpose
    is_socketio: bool


def _asked(request: Request) -> _Asked | None:
    """Return what a request asks of an Engine.IO server; None where it is not meant for one."""
    path, _, query = request.target.partition("?")
    if "EIO=4" not in query:
        return None
    try:
        fields = parse_qs(query, max_num_fields=50)
    except ValueError:
        return None
    if fields.get("EIO") != ["4"]:
        return None
    sid = fields.get("sid", [""])[0][:_MAX_ID]
    transport = fields.get("transport", [""])[0]
    purpose: Purpose = "other"
    if transport == "websocket" and request.asks_for_websocket:
        purpose = "upgrade" if sid else "websocket"
    elif transport == "polling" and request.method == "GET":
        purpose = "poll" if sid else "handshake"
    elif transport == "polling" and request.method == "POST":
        purpose = "post"
    # What listens elsewhere is Socket.IO, whatever its path; of Engine.IO alone few make use.
    return _Asked(sid, purpose, not path.rstrip("/").endswith("/engine.io"))


def _sid_of(data: str) -> str:
    """Return the id that an open packet gives, or the mark that stands for it; "" without one."""
    try:
        sid = json.loads(data)["sid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    if not isinstance(sid, str):
        return ""
    if sid.startswith(MARKER):  # of the same length in a body, and without stars in a URL
        sid = sid.rstrip("*")
    return "" if sid == MARKER else sid[:_MAX_ID]
