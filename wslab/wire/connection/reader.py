"""ConnectionReader: one connection's bytes, both directions, read as events.

Heads first, then frames or an HTTP body: whatever the handshake made of the connection. Its rule:
it goes on from any point: bytes that nobody will look at are skipped, and what comes after them
reads as if they had been read. Where the bytes are kept is for `tape` to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..events import (
    CloseEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    OverEvent,
    PongEvent,
)
from ..frames.decoder import FrameDecoder
from ..frames.frame import Frame
from ..frames.opcodes import CLOSE, TEXT, Opcode
from ..frames.violations import MAX_CONTROL_PAYLOAD_BYTES, Fault
from ..http.heads import Problem
from ..sender import SENDERS, Sender
from .half import Half
from .http_reader import TOO_EARLY, HttpReader
from .messages import TOO_LONG
from .redacted_copy import RedactedCopy

__all__ = ["ConnectionReader"]

_DEFLATED_BYTES = 4 * 2**10  # that are read at once


class ConnectionReader:
    """Read a connection's bytes, in the order in which they were recorded, as events.

    It has more than fifteen public names since reading can be stopped, copied, saved and taken up
    again at any byte, and all of that is the state of one connection.

    Args:
        connection_id: what the events shall say.
        reveal: leave cookies, credentials and tokens in the heads; else they are redacted.
    """

    __slots__ = (
        "_halves", "_http", "_number", "_redacted_copy", "_untold", "connection_id", "reveal",
    )  # fmt: skip

    def __init__(self, connection_id: str, *, reveal: bool = False) -> None:
        self.connection_id = connection_id
        self.reveal = reveal
        self._halves: dict[Sender, Half] = {each: Half(connection_id, each) for each in SENDERS}
        self._http = HttpReader(connection_id, self._halves, reveal)
        self._redacted_copy: RedactedCopy | None = None
        self._number = 0  # of the last frame
        self._untold: Problem | None = None  # why nothing more of it is read

    def copy(self, *, reveal: bool | None = None) -> ConnectionReader:
        """Return an independent reader at the same point."""
        twin = object.__new__(ConnectionReader)
        twin.connection_id = self.connection_id
        twin.reveal = self.reveal if reveal is None else reveal
        twin._halves = {sender: half.copy() for sender, half in self._halves.items()}
        twin._http = self._http.copy(twin._halves, twin.reveal)
        twin._redacted_copy = None
        twin._number, twin._untold = self._number, self._untold
        return twin

    def save_to(self, copy: RedactedCopy) -> None:
        """Put what may be saved there from here on, while bytes are read."""
        self._redacted_copy = self._http.redacted_copy = copy

    def seen(self, sender: Sender) -> tuple[int, int]:
        """Return how many bytes and frames of ``sender`` have been read or skipped."""
        half = self._halves[sender]
        return half.bytes, half.frames

    def decoder(self, sender: Sender) -> FrameDecoder | None:
        """Return what reads the frames of ``sender``; None before the handshake is over."""
        return self._halves[sender].decoder

    def handover_events(self, told: ConnectionReader | None) -> list[Event]:
        """Return the events of the handover that ``told``, which is behind, has not come to."""
        return self._http.handover_events(None if told is None else told._http)

    @property
    def is_upgraded(self) -> bool:
        """Whether the handshake is over, so that frames follow on both sides."""
        return self._halves["server"].decoder is not None

    def feed(self, at_s: float, sender: Sender, data: bytes) -> list[Event]:
        """Take what ``sender`` sent at ``at_s`` and return what it completes."""
        half = self._halves[sender]
        half.bytes += len(data)
        events: list[Event] = []
        try:
            if half.decoder is not None:
                self._frames(events, at_s, half, data)
            else:
                for each, frames in self._http.feed(events, at_s, half, data):
                    if frames:
                        self._frames(events, at_s, each, frames)
        except Exception as exc:
            self._give_up(exc)
        self._tell(events, at_s, sender)
        return events

    def each(self, at_s: float, sender: Sender, data: bytes) -> Iterator[Event]:
        """Give what :meth:`feed` would return, one by one.

        Compressed bytes are taken a few at a time: they may inflate to a thousand times as many.
        """
        decoder = self._halves[sender].decoder
        if decoder is None or decoder.deflate is None:
            yield from self.feed(at_s, sender, data)
            return
        for start in range(0, len(data), _DEFLATED_BYTES):
            yield from self.feed(at_s, sender, data[start : start + _DEFLATED_BYTES])

    def skip(
        self,
        at_s: float,
        sender: Sender,
        data: bytes,
        *,
        patience: int | None = None,
        keeps_pings: bool = False,
    ) -> None:
        """Take what ``sender`` sent at ``at_s`` without making events of it.

        Args:
            patience: how many frames may be looked into; see `FrameDecoder.skip`.
            keeps_pings: no ping and no pong is among the frames.
        """
        half = self._halves[sender]
        if half.decoder is None:
            self.feed(at_s, sender, data)  # heads are few, and everything depends on them
            for each in self._halves.values():
                each.forget()
            return
        pings = half.pings.copy() if keeps_pings else []
        self._number += half.skip_frames(data, patience)
        half.pings = pings

    def end(self, at_s: float, sender: Sender, *, tells_end: bool = True) -> list[Event]:
        """Take the end of TCP, as ``sender``'s transport reported it.

        Args:
            tells_end: whether the bytes say how it ended; False where they are made up.
        """
        events: list[Event] = []
        if not tells_end:
            self._add(events, OverEvent, at_s, sender)
            return events
        for who, half in self._halves.items():
            if half.decoder is not None and not half.close_seen:
                for fault in half.decoder.eof():
                    self._add(events, FaultEvent, at_s, who, fault=fault)
        self._tell(events, at_s, sender)
        halves = self._halves.values()
        if self.is_upgraded:
            is_clean = all(half.close_seen for half in halves)
        else:
            is_clean = self._http.request is None and all(half.is_between for half in halves)
        self._add(events, EndedEvent, at_s, sender, is_clean=is_clean)
        return events

    # What is held, and its state.

    @property
    def held(self) -> int:
        """How many bytes are held of what is not complete."""
        client, server = self._halves.values()
        return client.held + server.held + len(self._http.early)

    def let_go(self) -> None:
        """Hold less of what is not complete: of a frame its beginning, of a message nothing.

        For whoever reads very many connections, and must bound what they hold together.
        """
        if self._http.early:
            self._halves["client"].heads, self._http.early = None, b""
            self._untold = TOO_EARLY
        for half in self._halves.values():
            if half.messages.held:
                half.messages.forget()
                self._untold = TOO_LONG
            if half.decoder is not None:
                half.decoder.pending.let_go()

    @property
    def is_settled(self) -> bool:
        """Whether all that matters can be saved: no compressed message is open."""
        decoders = [half.decoder for half in self._halves.values()]
        return all(decoder is None or decoder.messages.is_settled for decoder in decoders)

    def unfinished_frames(self) -> dict[Sender, bytes]:
        """Return the bytes of each side's frame that is not complete: they belong to what follows.

        What has been let go of is in the state; see :meth:`snapshot`.
        """
        pending = {s: h.decoder.pending for s, h in self._halves.items() if h.decoder is not None}
        return {sender: bytes(each.buffer) for sender, each in pending.items() if not each.cut}

    def unfinished_heads(self) -> dict[Sender, bytes]:
        """Return what may be shown of heads that are not complete, and of what came too early."""
        return self._http.unfinished()

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values, without the bytes of what is not complete.

        Whoever goes on from it reads the same frames. Not in it: a compressed message under way
        (see ``is_settled``), and pings, which are forgotten with the bytes that are skipped.
        """
        state = {"number": self._number, **self._http.snapshot()}
        for sender, half in self._halves.items():
            state[sender] = half.snapshot()
        return state

    @classmethod
    def restore(
        cls, state: dict[str, Any], connection_id: str, *, reveal: bool = False
    ) -> ConnectionReader:
        """Return a reader that goes on from what :meth:`snapshot` has returned."""
        reader = cls(connection_id, reveal=reveal)
        reader._number = state["number"]
        reader._http.restore(state)
        for sender, half in reader._halves.items():
            half.restore(state[sender])
        return reader

    # Events.

    def _add(
        self, events: list[Event], kind: Any, at_s: float, sender: Sender, **values: Any
    ) -> None:
        events.append(kind(at_s=at_s, connection_id=self.connection_id, sender=sender, **values))

    def _tell(self, events: list[Event], at_s: float, sender: Sender) -> None:
        if self._untold is not None:
            self._add(events, FaultEvent, at_s, sender, fault=self._untold)
            self._untold = None

    def _give_up(self, exc: Exception) -> None:
        """Read no more of this connection: a fault of ours, which no other connection may feel."""
        self._untold = Problem(
            "a record that can be read",
            "wslab",
            "Expected to be able to read whatever bytes come; reading these raised "
            f"{type(exc).__name__}. That is a fault in wslab: please report it. What follows on "
            "this connection is counted and not read.",
            0,
        )
        self._http.early = b""
        for half in self._halves.values():
            half.give_up()

    def _frames(self, events: list[Event], at_s: float, half: Half, data: bytes) -> None:
        assert half.decoder is not None
        sender, connection_id = half.sender, self.connection_id
        items = half.decoder.feed(data)
        redacts = not self.reveal
        saved = self._redacted_copy
        if saved is not None:
            if self.reveal:
                saved.add(sender, data)
            else:
                found = items
                items = [half.tokens.redact(i) if isinstance(i, Frame) else i for i in found]
                redacts = False
                saved.add_frames(sender, half.decoder, data, found, items)
        for item in items:
            if isinstance(item, Fault):
                self._add(events, FaultEvent, at_s, sender, fault=item)
                continue
            if redacts and item.message_opcode == TEXT:
                item = half.tokens.redact(item)
            self._number += 1
            half.frames += 1
            # Called by its name, unlike others: there is one for each frame.
            events.append(
                FrameEvent(
                    at_s=at_s, connection_id=connection_id, sender=sender,
                    number=self._number, frame=item,
                )
            )  # fmt: skip
            for fault in item.faults:
                self._add(events, FaultEvent, at_s, sender, fault=fault)
            if item.is_control:
                self._control(events, at_s, half, item)
            else:
                self._data(events, at_s, half, item)

    def _data(self, events: list[Event], at_s: float, half: Half, frame: Frame) -> None:
        event = half.messages.add(at_s, frame)
        if event is not None:
            events.append(event)

    def _control(self, events: list[Event], at_s: float, half: Half, frame: Frame) -> None:
        sender = half.sender
        other = self._halves["server" if sender == "client" else "client"]
        if frame.opcode == Opcode.PING:
            # A longer one nobody answers, and it may be as long as the peer likes.
            if frame.payload_size_bytes <= MAX_CONTROL_PAYLOAD_BYTES:
                half.add_ping(frame.payload, at_s)
        elif frame.opcode == Opcode.PONG:
            payload = frame.payload
            sent_s = other.answer_ping(payload)
            if sent_s is not None:
                round_trip_s = at_s - sent_s
                self._add(
                    events, PongEvent, at_s, sender, payload=payload, round_trip_s=round_trip_s
                )
        elif frame.opcode == CLOSE and not half.close_seen:
            half.close_seen = True
            code, reason = frame.close_code, frame.close_reason or ""
            is_answer = other.close_seen
            self._add(
                events, CloseEvent, at_s, sender, code=code, reason=reason, is_answer=is_answer
            )
