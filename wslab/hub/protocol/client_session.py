"""The client's half of a conversation with a hub: messages in, events out, nothing done.

Pure: no socket, no loop, no clock, no lock. `ClientSession.receive` takes what comes and returns
events; `emit`, `call` and `answer` take what shall be sent, and `outgoing` says what to write on
the connection that is open. Its rule: with a session nothing is lost, nothing handled twice, and
the order held, wherever a connection breaks off; without one, what was written is forgotten.

A session with a token starts out *asking*: it numbers its packets and keeps them until it knows
whom it talks to. A ``welcome`` with a session makes it keep them until the hub has said that they
came; anything else as the first message (no hub, or one without a history) makes it *plain*.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...errors import BadPacket
from .packets import NOTHING, Packet, decode, encode_event, take_binary

__all__ = [
    "Acknowledged",
    "AnswerReceived",
    "CallLost",
    "ClientSession",
    "ErrorReceived",
    "Event",
    "EventReceived",
    "EventsDropped",
    "RawMessage",
    "Welcomed",
    "events_of",
]

Message: TypeAlias = str | bytes
Encoded: TypeAlias = tuple[str, list[bytes]]  # data as codec.dumps() returns it

MAX_KEPT = 1_000  # packets that wait for the connection, or for the hub to say that they came
MAX_KEPT_BYTES = 4 * 2**20
PACKET_OVERHEAD_BYTES = 64  # what each counts beside its data: an empty one is not free


@dataclass(frozen=True, slots=True)
class RawMessage:
    """Messages that are no packet of a hub, as they came."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class EventReceived:
    """An event of the application. ``messages``: its frames as they came."""

    event: str
    data: Any
    id: int | None  # the hub waits for the answer to this number
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class AnswerReceived:
    """The answer to a call of ours, or the error that came in its place."""

    id: int
    data: Any
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The hub's greeting. ``gap``: why something is missing, or None."""

    id: str
    session: str | None
    is_resumed: bool
    is_first: bool  # of this session: not one that came back
    gap: str | None
    data: Any
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The hub has said what came: there may be room for more now."""


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """The hub did not send ``count`` events, since this client took them too slowly."""

    count: int
    data: Any
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The hub reports an error; ``event``: of ours, that it is about."""

    code: str
    message: str
    event: str | None
    data: Any
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class CallLost:
    """A call had been sent when the connection ended, and nobody will ever answer it."""

    id: int


Event: TypeAlias = (
    RawMessage
    | EventReceived
    | AnswerReceived
    | Welcomed
    | Acknowledged
    | EventsDropped
    | ErrorReceived
    | CallLost
)


@dataclass(slots=True)
class _Out:
    """A packet of ours. ``event`` is None for an answer, whose text is whole already."""

    event: str | None
    encoded: Encoded | None
    id: int | None = None
    n: int | None = None
    size_bytes: int = 0

    def frames(self) -> tuple[Message, ...]:
        if self.event is None:
            assert self.encoded is not None
            text, attachments = self.encoded
        else:
            text, attachments = encode_event(
                self.event, NOTHING, id=self.id, n=self.n, encoded=self.encoded
            )
        return (text, *attachments)


@dataclass(slots=True)
class _Partial:
    """A packet whose binary frames are still to come."""

    packet: Packet
    messages: list[Message] = field(default_factory=list)


class ClientSession:
    """What one client knows of its conversation with a hub, over all its connections.

    Args:
        token: by which the hub shall know it again; None: one connection is all there
            is, and nothing is numbered or kept.
        max_kept: packets that may be kept.
        max_kept_bytes: of their data.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        max_kept: int = MAX_KEPT,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        self.token = token
        self.hub_id: str | None = None  # by which the hub knows this client
        self.user_id: str | None = None  # and others do, over all its connections
        self.offset: int | None = None  # of the last event that came whole
        self.mode: Literal["plain", "asking", "session"] = "plain" if token is None else "asking"
        self.kept_bytes = 0
        self._seen = -1  # the offset up to which all came over earlier connections
        self._max_kept = max_kept
        self._max_kept_bytes = max_kept_bytes
        self._is_up = False  # there is a connection to write to
        self._is_joined = False  # and the hub has said where we stand
        self._has_begun = False  # a message has come on this connection
        self._ids = itertools.count(1)
        self._last_id = 0
        self._open_calls: set[int] = set()
        self._n = 0
        self._unsent: collections.deque[_Out] = collections.deque()
        self._sent: collections.deque[_Out] = collections.deque()  # numbered, in order, and kept
        self._ready: collections.deque[_Out] = collections.deque()  # to be written now
        self._partial: _Partial | None = None

    # What leaves.

    @property
    def kept(self) -> int:
        """Packets that wait for a connection, or for the hub to say that they came."""
        return len(self._unsent) + len(self._sent)

    def make_room(self, encoded: Encoded | None) -> bool:
        """Whether another packet with that data may be handed over."""
        fits = not self.kept or (  # alone, however large: it could never go otherwise
            self.kept < self._max_kept
            and self.kept_bytes + _size_bytes(encoded) <= self._max_kept_bytes
        )
        if not fits and self.mode == "asking" and self._is_up:
            self._be_plain()  # it has not said a word to all that: no hub, as far as one can see
        return fits or (self.mode == "plain" and self._is_up)

    def emit(self, event: str, encoded: Encoded | None) -> None:
        """Hand over an event; ``encoded`` is its data, None where it has none."""
        self._hand_over(_Out(event, encoded, size_bytes=_size_bytes(encoded)))

    def call(self, event: str, encoded: Encoded | None) -> int:
        """Hand over an event that wants an answer; return the number of the call."""
        self._last_id = number = next(self._ids)
        self._open_calls.add(number)
        self._hand_over(_Out(event, encoded, id=number, size_bytes=_size_bytes(encoded)))
        return number

    def answer(self, encoded: Encoded) -> None:
        """Hand over the answer to a call of the hub's, as codec.encode_answer() made it."""
        self._hand_over(_Out(None, encoded, size_bytes=_size_bytes(encoded)))

    def withdraw(self, number: int) -> bool:
        """Give up a call: its answer means nothing any more; whether it had not been sent yet."""
        self._open_calls.discard(number)
        for out in self._unsent:
            if out.id == number and out.event is not None:
                self._unsent.remove(out)
                self.kept_bytes -= out.size_bytes
                return True
        return False

    def outgoing(self) -> Iterator[tuple[Message, ...]]:
        """Yield what has to be written now: the frames of each packet, in order.

        One counts as written when the next is asked for: where an interrupt comes in between, it is
        yielded again.
        """
        self._flush()
        while self._ready:
            yield self._ready[0].frames()
            self._ready.popleft()

    def _hand_over(self, out: _Out) -> None:
        self.kept_bytes += out.size_bytes
        self._unsent.append(out)

    def _flush(self) -> None:
        # An interrupt may end this between any two lines; called again, it goes on from there.
        if not self._is_up or (self.mode == "session" and not self._is_joined):
            return
        while self._unsent:
            out = self._unsent[0]
            if self.mode == "plain" or out.event is None:
                out.n = None
            else:
                if not self._sent or self._sent[-1] is not out:
                    out.n = self._n + 1
                    self._sent.append(out)
                self._n = out.n or 0
            if not self._ready or self._ready[-1] is not out:
                self._ready.append(out)
            self._unsent.popleft()
            if out.n is None:
                self.kept_bytes -= out.size_bytes

    def _be_plain(self) -> None:
        """Keep no longer what has been written: nobody will ever say that it came."""
        was_written = self._is_up and self.mode == "asking"  # on this connection
        self.mode = "plain"
        if not was_written:
            self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._count()

    def _count(self) -> None:
        self.kept_bytes = sum(out.size_bytes for out in itertools.chain(self._sent, self._unsent))

    # Connections.

    def query(self) -> list[tuple[str, str]]:
        """Return the parameters that the next connection's URL has to carry."""
        if self.token is None:
            return []
        offset = [] if self.offset is None else [("offset", str(self.offset))]
        return [("session", self.token), *offset]

    def opened(self) -> None:
        """Note that a connection is open, and that ``outgoing`` goes there from now on."""
        self._is_up = True
        if self.mode == "asking" or self._is_joined:  # where the welcome was faster
            self._ready.extend(self._sent)

    def mute(self) -> None:
        """Note that nothing can be written any more; what was written before may still be read."""
        self._is_up = False

    def lost(self) -> list[Event]:
        """Note that a connection has ended and that all of it has been read."""
        self._is_up = self._is_joined = self._has_begun = False
        self._seen = -1 if self.offset is None or self.token is None else self.offset
        self._ready.clear()
        partial, self._partial = self._partial, None
        events: list[Event] = []
        if self.mode == "plain":
            if partial is not None:
                events.append(RawMessage(tuple(partial.messages)))  # else it comes again, whole
            self._n = 0
            waiting = {out.id for out in self._unsent if out.event is not None}
            events += [
                CallLost(number) for number in sorted(self._open_calls) if number not in waiting
            ]
            self._open_calls &= waiting
        return events

    # What comes.

    def receive(self, message: Message) -> list[Event]:
        """Take in one message; return what it means."""
        if isinstance(message, bytes):
            return self._receive_binary(message)
        events = self._flushed_partial()  # a text in place of a binary frame: it was no packet
        try:
            packet = decode(message)
        except BadPacket:
            return [*events, *self._not_a_hub(), RawMessage((message,))]
        partial = _Partial(packet, [message])
        if packet.is_whole:
            return [*events, *self._complete(partial)]
        self._partial = partial
        return events

    def begun(self) -> tuple[Message, ...]:
        """Return the frames of a packet of which some are still to come, and forget it."""
        partial, self._partial = self._partial, None
        return () if partial is None else tuple(partial.messages)

    def go_on_from(self, begun: Iterable[Message]) -> bool:
        """Take up a packet that another session has begun; whether there was room for it."""
        if self._partial is not None:
            return False
        for message in begun:
            self.receive(message)
        return True

    def _receive_binary(self, message: bytes) -> list[Event]:
        partial = self._partial
        if partial is None:
            return [*self._not_a_hub(), RawMessage((message,))]
        partial.messages.append(message)
        partial.packet.attachments.append(message)
        if not partial.packet.is_whole:
            return []
        self._partial = None
        return self._complete(partial)

    def _flushed_partial(self) -> list[Event]:
        partial, self._partial = self._partial, None
        return [] if partial is None else [RawMessage(tuple(partial.messages))]

    def _not_a_hub(self) -> list[Event]:
        """A hub's first word is its welcome; whoever begins otherwise keeps no session."""
        if not self._has_begun:
            self._has_begun = True
            if self.mode == "asking":
                self._be_plain()
            elif self.mode == "session":
                # A hub was here before; what is here now is none. What has been kept goes out.
                return self._joined(0)
        return []

    def _complete(self, partial: _Partial) -> list[Event]:
        packet, messages = partial.packet, tuple(partial.messages)
        try:
            data = take_binary(packet)
        except BadPacket:
            return [RawMessage(messages)]
        if packet.event == "welcome" and not self._has_begun and _is_welcome(data):
            return self._welcomed(data, messages)
        if packet.event == "error" and not self._has_begun:
            pass  # a hub that refuses says why, and ends
        else:
            events = self._not_a_hub()
            if events:
                return [*events, *self._meant(packet, data, messages)]
        return self._meant(packet, data, messages)

    def _meant(self, packet: Packet, data: Any, messages: tuple[Message, ...]) -> list[Event]:
        if packet.received is not None and packet.event is None and packet.answer is None:
            return self._acknowledged(packet.received, messages)
        if packet.answer is not None:
            return self._answered(packet, data, messages)
        assert packet.event is not None
        if packet.offset is not None:
            if packet.offset <= self._seen:
                return []  # it came before the connection broke off
            self.offset = max(packet.offset, self.offset or 0)
        if packet.event == "error" and isinstance(data, dict):
            code, text, event = (data.get(name) for name in ("code", "message", "event"))
            told = event if isinstance(event, str) else None
            code = str(code or "failed")
            return [ErrorReceived(code, str(text or code), told, data, messages)]
        if packet.event == "dropped" and isinstance(data, dict):
            count = data.get("count")
            return [EventsDropped(count if type(count) is int else 0, data, messages)]
        return [EventReceived(packet.event, data, packet.id, messages)]

    def _answered(self, packet: Packet, data: Any, messages: tuple[Message, ...]) -> list[Event]:
        number = packet.answer
        assert number is not None
        if not 0 < number <= self._last_id:
            return [RawMessage(messages)]  # none of ours
        for out in self._sent:
            if out.id == number:
                self._sent.remove(out)  # it has come, since it was answered
                self.kept_bytes -= out.size_bytes
                break
        if number not in self._open_calls:
            return [Acknowledged()]  # nobody waits for it any more
        self._open_calls.discard(number)
        return [AnswerReceived(number, data, packet.error)]

    def _acknowledged(self, n: int, messages: tuple[Message, ...]) -> list[Event]:
        if self.mode != "session":
            return [RawMessage(messages)]
        self._trim(n)
        return [Acknowledged()]

    def _trim(self, n: int) -> None:
        # A call is kept until it is answered: coming back, it asks for its answer again.
        kept = [out for out in self._sent if (out.n or 0) > n or out.id in self._open_calls]
        self._sent = collections.deque(kept)
        self._count()

    def _welcomed(self, data: dict[str, Any], messages: tuple[Message, ...]) -> list[Event]:
        self._has_begun = True
        is_first = self.hub_id is None
        self.hub_id = data["id"]
        user_id = data.get("user")
        self.user_id = user_id if isinstance(user_id, str) else self.hub_id
        session, offset, received = (data.get(name) for name in ("session", "offset", "received"))
        if session is True:  # the one that we chose
            session = self.token
        is_resumed = data.get("resumed") is True
        gap = data.get("gap")
        if is_first and not is_resumed:
            gap = None  # there is nothing before the beginning
        elif self.mode == "session" and session is None:
            gap = "session unknown"  # it keeps none at all, any more
        told = Welcomed(
            self.hub_id or "",
            session if isinstance(session, str) else None,
            is_resumed,
            is_first,
            gap if isinstance(gap, str) else None,
            data,
            messages,
        )
        if type(offset) is not int:
            offset = None
        if self.token is None:
            self.offset = offset
            return [told]
        if told.session is None:
            self.offset, self._seen = None, -1
            self._be_plain()
            return [told]
        before, self.mode, self.token = self.mode, "session", told.session
        if not is_resumed:
            self.offset, self._seen = offset, -1
        # Resumed without an offset: what it missed follows, counted from the session's beginning.
        if not is_resumed and before == "session":
            self._start_again()
        is_written = self._is_up and before != "session"
        received = received if type(received) is int else 0
        if not self._sent and not is_written:
            self._n = received
        return [told, *self._joined(received, is_written=is_written)]

    def _start_again(self) -> None:
        # This hub has never heard of us: what it is sent now are packets 1, 2, 3, ...
        self._n = len(self._sent)
        for n, out in enumerate(self._sent, 1):
            out.n = n
        answers = [out for out in self._unsent if out.event is None]
        for out in answers:
            self._unsent.remove(out)  # to calls of a hub that is gone

    def _joined(self, received: int, *, is_written: bool = False) -> list[Event]:
        """Send again what did not come, then what has waited."""
        self._is_joined = True
        self._trim(received)
        if self._is_up and not is_written:
            self._ready.extend(self._sent)
        return [Acknowledged()]


def _size_bytes(encoded: Encoded | None) -> int:
    text, attachments = encoded or ("", ())
    return len(text) + sum(map(len, attachments)) + PACKET_OVERHEAD_BYTES


def _is_welcome(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("id"), str)


def events_of(messages: Iterable[Message]) -> list[Event]:
    """Return what these messages mean to a client that has just connected."""
    fresh = ClientSession()
    events = [event for message in messages for event in fresh.receive(message)]
    return events + fresh.lost()
