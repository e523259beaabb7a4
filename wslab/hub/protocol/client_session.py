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

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from ...errors import BadPacket
from .assembler import Assembler, Frames
from .client_events import (
    Acknowledged,
    AnswerReceived,
    CallLost,
    ErrorReceived,
    Event,
    EventReceived,
    EventsDropped,
    Message,
    RawMessage,
    Welcomed,
)
from .kept_packets import Encoded, KeptPackets, size_of
from .packets import Packet, take_binary

__all__ = ["ClientSession", "events_of"]

MAX_KEPT = 1_000  # packets that wait for the connection, or for the hub to say that they came
MAX_KEPT_BYTES = 4 * 2**20
LOST = "packets lost"  # a gap that the hub itself cannot know of


class ClientSession:
    """What one client knows of its conversation with a hub, over all its connections.

    It has more public members than most classes here, since it is the whole of a protocol: six
    methods for what leaves, five for connections, three for what comes.

    Args:
        token: by which the hub shall know it again; None: one connection is all there is, and
            nothing is numbered or kept.
        max_kept: packets that may be kept.
        max_kept_bytes: of their data.

    Attributes:
        hub_id: by which the hub knows this client.
        user_id: by which others do, over all its connections.
        offset: of the last event that came whole.
        mode: what it takes the other side for: "plain", "asking" or "session".
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        max_kept: int = MAX_KEPT,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        self.token = token
        self.hub_id: str | None = None
        self.user_id: str | None = None
        self.offset: int | None = None
        self.mode: Literal["plain", "asking", "session"] = "plain" if token is None else "asking"
        self._seen = -1  # the offset up to which all came over earlier connections
        self._max_kept = max_kept
        self._max_kept_bytes = max_kept_bytes
        self._is_up = False  # there is a connection to write to
        self._is_joined = False  # and the hub has said where we stand
        self._has_begun = False  # a message has come on this connection
        self._ids = itertools.count(1)
        self._last_id = 0
        self._open_calls: set[int] = set()
        self._packets = KeptPackets()
        self._received = 0  # the number up to which the hub has said that they came
        self._assembler = Assembler()

    # What leaves.

    @property
    def kept(self) -> int:
        """Packets that wait for a connection, or for the hub to say that they came."""
        return len(self._packets)

    @property
    def kept_bytes(self) -> int:
        """Bytes of them."""
        return self._packets.size_bytes

    def make_room(self, encoded: Encoded | None) -> bool:
        """Whether another packet with that data may be handed over."""
        fits = not self.kept or (  # alone, however large: it could never go otherwise
            self.kept < self._max_kept
            and self.kept_bytes + size_of(encoded) <= self._max_kept_bytes
        )
        if not fits and self.mode == "asking" and self._is_up:
            self.be_plain()  # it has not said a word to all that: no hub, as far as one can see
        return fits or (self.mode == "plain" and self._is_up)

    def emit(self, event: str, encoded: Encoded | None) -> None:
        """Hand over an event; ``encoded`` is its data, None where it has none."""
        self._packets.add(event, encoded)

    def call(self, event: str, encoded: Encoded | None) -> int:
        """Hand over an event that wants an answer; return the number of the call."""
        self._last_id = number = next(self._ids)
        self._open_calls.add(number)
        self._packets.add(event, encoded, number)
        return number

    def answer(self, encoded: Encoded) -> None:
        """Hand over the answer to a call of the hub's, as packets.encode_answer() made it."""
        self._packets.add(None, encoded)

    def withdraw(self, number: int) -> bool:
        """Give up a call: its answer means nothing any more; whether it had not been sent yet."""
        self._open_calls.discard(number)
        return self._packets.withdraw(number)

    def outgoing(self) -> Iterator[tuple[Message, ...]]:
        """Yield what has to be written now: the frames of each packet, in order.

        One counts as written when the next is asked for: where an interrupt comes in between, it is
        yielded again.
        """
        if self._is_up and (self.mode != "session" or self._is_joined):
            self._packets.send(is_numbered=self.mode != "plain")
        yield from self._packets.ready()

    def be_plain(self) -> None:
        """Keep no longer what has been written: nobody will ever say that it came."""
        was_written = self._is_up and self.mode == "asking"  # on this connection
        self.mode = "plain"
        self._packets.forget_sent(was_written=was_written)

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
            self._packets.send_again()

    def mute(self) -> None:
        """Note that nothing can be written any more; what was written before may still be read."""
        self._is_up = False

    def lost(self) -> list[Event]:
        """Note that a connection has ended and that all of it has been read."""
        self._is_up = self._is_joined = self._has_begun = False
        self._seen = -1 if self.offset is None or self.token is None else self.offset
        self._packets.stop()
        begun = self._assembler.take()
        events: list[Event] = []
        if self.mode == "plain":
            if begun:
                events.append(RawMessage(tuple(begun)))  # else it comes again, whole
            self._packets.last_n = 0
            waiting = self._packets.unsent_calls
            lost = sorted(number for number in self._open_calls if number not in waiting)
            events += map(CallLost, lost)
            self._open_calls.difference_update(lost)
        return events

    # What comes.

    def receive(self, message: Message) -> list[Event]:
        """Take in one message; return what it means."""
        events: list[Event] = []
        for frames in self._assembler.receive(message):
            events += self._read(frames)
        return events

    def begun(self) -> tuple[Message, ...]:
        """Return the frames of a packet of which some are still to come, and forget it."""
        return tuple(self._assembler.take())

    def go_on_from(self, begun: Iterable[Message]) -> bool:
        """Take up a packet that another session has begun; whether there was room for it."""
        if self._assembler.has_begun:
            return False
        for message in begun:
            self._assembler.receive(message)
        return True

    def _read(self, frames: Frames) -> list[Event]:
        packet, messages = frames.packet, tuple(frames.messages)
        if packet is not None:
            try:
                data = take_binary(packet)
            except BadPacket:
                packet = None
        if packet is None:
            return [*self._not_a_hub(), RawMessage(messages)]
        if self._has_begun:
            return self._meant(packet, data, messages)
        if packet.event == "welcome" and _is_welcome(data):
            return self._welcomed(data, messages)
        if packet.event == "error":  # a hub that refuses says why, and ends
            return self._meant(packet, data, messages)
        return [*self._not_a_hub(), *self._meant(packet, data, messages)]

    def _not_a_hub(self) -> list[Event]:
        """A hub's first word is its welcome; whoever begins otherwise keeps no session."""
        if self._has_begun:
            return []
        self._has_begun = True
        if self.mode == "asking":
            self.be_plain()
        elif self.mode == "session":
            # A hub was here before; what is here now is none. What has been kept goes out.
            return self._joined(0)
        return []

    def _meant(self, packet: Packet, data: Any, messages: tuple[Message, ...]) -> list[Event]:
        if packet.received is not None and packet.event is None and packet.answer is None:
            return self._acknowledged(packet.received, messages)
        if packet.answer is not None:
            return self._answered(packet.answer, packet, data, messages)
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

    def _answered(
        self, number: int, packet: Packet, data: Any, messages: tuple[Message, ...]
    ) -> list[Event]:
        if not 0 < number <= self._last_id:
            return [RawMessage(messages)]  # none of ours
        n = self._packets.answered(number)
        if packet.error is None:  # else it may not have been taken up
            self._received = max(self._received, n)
        if number not in self._open_calls:
            return [Acknowledged()]  # nobody waits for it any more
        self._open_calls.discard(number)
        return [AnswerReceived(number, data, packet.error)]

    def _acknowledged(self, n: int, messages: tuple[Message, ...]) -> list[Event]:
        if self.mode != "session":
            return [RawMessage(messages)]
        self._received = max(self._received, n)
        self._packets.acknowledge(n, self._open_calls)
        return [Acknowledged()]

    def _welcomed(self, data: dict[str, Any], messages: tuple[Message, ...]) -> list[Event]:
        self._has_begun = True
        is_first = self.hub_id is None
        self.hub_id = data["id"]
        user_id = data.get("user")
        self.user_id = user_id if isinstance(user_id, str) else self.hub_id
        session, offset, received = (data.get(name) for name in ("session", "offset", "received"))
        received = received if type(received) is int else 0
        if session is True:  # the one that we chose
            session = self.token
        is_resumed = data.get("resumed") is True
        gap = data.get("gap")
        if is_first and not is_resumed:
            gap = None  # there is nothing before the beginning
        elif self.mode == "session" and session is None:
            gap = "session unknown"  # it keeps none at all, any more
        elif is_resumed and received < self._received and not gap:
            gap = data["gap"] = LOST
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
            self.be_plain()
            return [told]
        before, self.mode, self.token = self.mode, "session", told.session
        if not is_resumed:
            self.offset, self._seen = offset, -1
        elif self.offset is None or told.gap:  # it had not read its first welcome; or a gap ends
            self.offset = offset
        # Resumed without an offset: what it missed follows, counted from the session's beginning.
        if not is_resumed and before == "session":
            self._packets.begin_anew()
        is_written = self._is_up and before != "session"
        self._received = received
        if not self._packets.has_sent and not is_written:
            self._packets.last_n = received
        return [told, *self._joined(received, is_written=is_written)]

    def _joined(self, received: int, *, is_written: bool = False) -> list[Event]:
        """Send again what did not come, then what has waited."""
        self._is_joined = True
        self._packets.acknowledge(received, self._open_calls)
        if self._is_up and not is_written:
            self._packets.send_again()
        return [Acknowledged()]


def _is_welcome(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("id"), str)


def events_of(messages: Iterable[Message]) -> list[Event]:
    """Return what these messages mean to a client that has just connected."""
    fresh = ClientSession()
    events = [event for message in messages for event in fresh.receive(message)]
    return events + fresh.lost()
