"""ConnectionReader: one connection's bytes, both directions, read as events.

Heads first, then frames or an HTTP body: whatever the handshake made of the connection. Its rule:
it goes on from any point: bytes that nobody will look at are skipped, and what comes after them
reads as if they had been read. Where the bytes are kept is for `tape` to know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..events import (
    BodyEvent,
    CloseEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    PongEvent,
    RequestEvent,
    ResponseEvent,
)
from ..frames.decoder import FrameDecoder
from ..frames.deflate import Deflate
from ..frames.frame import Frame
from ..frames.opcodes import CLOSE, TEXT, Opcode
from ..frames.violations import MAX_CONTROL_PAYLOAD_BYTES, Fault
from ..http.bodies import body_length, is_chunked
from ..http.head_reader import HeadReader
from ..http.heads import HeadOf, Problem, Request, Response
from ..http.redaction import find_secrets, redact, redact_bytes, redact_partial_head
from ..http.secret_values import MARKER
from ..sender import SENDERS, Sender
from .half import Half
from .messages import TOO_LONG
from .redacted_copy import RedactedCopy

__all__ = ["ConnectionReader", "Handover"]

_MAX_EARLY_BYTES = 2**20
_DEFLATED_BYTES = 4 * 2**10  # that are read at once
_NO_SECRETS: frozenset[str] = frozenset()

_TOO_EARLY = Problem(
    "a request is answered before more follows",
    "RFC 6455 §4.1",
    f"Expected at most {_MAX_EARLY_BYTES} bytes from the client before its request is answered; "
    "more came. A client waits for the 101 before it sends frames. Look why nobody answers.",
    _MAX_EARLY_BYTES,
)


@dataclass(frozen=True, slots=True)
class Handover:
    """The two heads that made a WebSocket of a connection, unredacted, and when they came."""

    request_s: float
    request: bytes
    response_s: float
    response: bytes


class ConnectionReader:
    """Read a connection's bytes, in the order in which they were recorded, as events.

    It has more than fifteen public names since reading can be stopped, copied, saved and taken up
    again at any byte, and all of that is the state of one connection.

    Args:
        connection_id: what the events shall say.
        reveal: leave cookies, credentials and tokens in the heads; else they are redacted.

    Attributes:
        handover: the heads of the handshake, once it is over.
        redacted_copy: where what may be saved is put while bytes are read; None for nowhere.
    """

    __slots__ = (
        "_early", "_halves", "_number", "_request", "_request_s", "_untold", "connection_id",
        "handover", "redacted_copy", "reveal",
    )  # fmt: skip

    def __init__(self, connection_id: str, *, reveal: bool = False) -> None:
        self.connection_id = connection_id
        self.reveal = reveal
        self.redacted_copy: RedactedCopy | None = None
        self._halves: dict[Sender, Half] = {each: Half(connection_id, each) for each in SENDERS}
        self.handover: Handover | None = None
        self._request: Request | None = None
        self._request_s = 0.0
        self._early = b""  # sent by the client before its request was answered
        self._number = 0
        self._untold: Problem | None = None  # why nothing more of it is read

    def copy(self, *, reveal: bool | None = None) -> ConnectionReader:
        """Return an independent reader at the same point."""
        twin = object.__new__(ConnectionReader)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._halves = {sender: half.copy() for sender, half in self._halves.items()}
        twin.redacted_copy = None
        if reveal is not None:
            twin.reveal = reveal
        return twin

    def seen(self, sender: Sender) -> tuple[int, int]:
        """Return how many bytes and frames of ``sender`` have been read or skipped."""
        half = self._halves[sender]
        return half.bytes, half.frames

    def decoder(self, sender: Sender) -> FrameDecoder | None:
        """Return what reads the frames of ``sender``; None before the handshake is over."""
        return self._halves[sender].decoder

    def handover_events(self, told: ConnectionReader | None) -> list[Event]:
        """Return the events of the handover that ``told``, which is behind, has not come to."""
        events: list[Event] = []
        if self.handover is not None and (told is None or told.handover is None):
            twin = ConnectionReader(self.connection_id, reveal=self.reveal)
            events += twin.feed(self.handover.request_s, "client", self.handover.request)
            if told is not None and told._request is not None:
                events.clear()
            events += twin.feed(self.handover.response_s, "server", self.handover.response)
        return events

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
                self._heads(events, at_s, half, data)
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

    def end(self, at_s: float, sender: Sender) -> list[Event]:
        """Take the end of TCP, as ``sender``'s transport reported it."""
        events: list[Event] = []
        for who, half in self._halves.items():
            if half.decoder is not None and not half.close_seen:
                for fault in half.decoder.eof():
                    self._add(events, FaultEvent, at_s, who, fault=fault)
        self._tell(events, at_s, sender)
        halves = self._halves.values()
        if self.is_upgraded:
            is_clean = all(half.close_seen for half in halves)
        else:
            is_clean = self._request is None and all(half.is_between for half in halves)
        self._add(events, EndedEvent, at_s, sender, is_clean=is_clean)
        return events

    # What is held, and its state.

    @property
    def held(self) -> int:
        """How many bytes are held of what is not complete."""
        client, server = self._halves.values()
        return client.held + server.held + len(self._early)

    def let_go(self) -> None:
        """Hold less of what is not complete: of a frame its beginning, of a message nothing.

        For whoever reads very many connections, and must bound what they hold together.
        """
        if self._early:
            self._halves["client"].heads, self._early = None, b""
            self._untold = _TOO_EARLY
        for half in self._halves.values():
            if half.messages.held:
                half.messages.forget()
                self._untold = TOO_LONG
            if half.decoder is not None:
                half.decoder.let_go()

    @property
    def is_settled(self) -> bool:
        """Whether all that matters can be saved: no compressed message is open."""
        decoders = [half.decoder for half in self._halves.values()]
        return all(decoder is None or decoder.is_settled for decoder in decoders)

    def unfinished_frames(self) -> dict[Sender, bytes]:
        """Return the bytes of each side's frame that is not complete: they belong to what follows.

        What has been let go of is in the state; see :meth:`snapshot`.
        """
        return {
            sender: half.decoder.unfinished
            for sender, half in self._halves.items()
            if half.decoder is not None and half.decoder.unfinished and not half.decoder.is_cut
        }

    def unfinished_heads(self) -> dict[Sender, bytes]:
        """Return what may be shown of heads that are not complete, and of what came too early."""
        halves = self._halves.items()
        heads = {s: h.head if self.reveal else redact_partial_head(h.head) for s, h in halves}
        heads["client"] += self._early if self.reveal else redact_bytes(self._early)
        return heads

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values, without the bytes of what is not complete.

        Whoever goes on from it reads the same frames. Not in it: a compressed message under way
        (see ``is_settled``), and pings, which are forgotten with the bytes that are skipped.
        """
        state: dict[str, Any] = {"number": self._number}
        if self.handover is not None:
            state["handover"] = dataclasses.asdict(self.handover)
            if not self.reveal:
                request, response = self.handover_events(None)
                assert isinstance(request, RequestEvent)
                assert isinstance(response, ResponseEvent)
                state["handover"]["request"] = request.request.raw
                state["handover"]["response"] = response.response.raw
        if self._request is not None:
            state["request"] = redact(self._request, self.reveal).raw
            state["request_s"] = self._request_s
        return state | {sender: half.snapshot() for sender, half in self._halves.items()}

    @classmethod
    def restore(
        cls, state: dict[str, Any], connection_id: str, *, reveal: bool = False
    ) -> ConnectionReader:
        """Return a reader that goes on from what :meth:`snapshot` has returned."""
        reader = cls(connection_id, reveal=reveal)
        reader._number = state["number"]
        if "handover" in state:
            reader.handover = Handover(**state["handover"])
        if "request" in state:
            request, _ = HeadReader("client").feed(state["request"])
            reader._request = request if isinstance(request, Request) else None
            reader._request_s = state["request_s"]
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
        self._early = b""
        for half in self._halves.values():
            half.give_up()

    def _save(self, sender: Sender, data: bytes) -> None:
        if self.redacted_copy is not None:
            self.redacted_copy.add(sender, data)

    def _redact(self, head: HeadOf, secrets: frozenset[str]) -> HeadOf:
        if self.reveal:
            return head
        head = redact(head, also=secrets)
        # In a head that was loaded, the secrets are gone already.
        headers = tuple(
            replace(header, redacted=True) if MARKER in header.value else header
            for header in head.headers
        )
        return replace(head, headers=headers)

    # Heads and bodies.

    def _heads(self, events: list[Event], at_s: float, half: Half, data: bytes) -> None:
        sender = half.sender
        while data:
            if half.heads is None:  # broken: nobody can tell where the next head would begin
                self._save(sender, data if self.reveal else redact_bytes(data))
                return
            if half.body.left != 0:
                body, data = self._body(half, data)
                self._add(events, BodyEvent, at_s, sender, data=body)
                continue
            if sender == "client" and self._request is not None:
                # Before the answer nobody knows what these are.
                self._early += data
                if len(self._early) > _MAX_EARLY_BYTES:
                    half.heads, data, self._early = None, self._early, b""
                    self._add(events, FaultEvent, at_s, sender, fault=_TOO_EARLY)
                    continue
                return
            read = half.head + data
            head, data = half.heads.feed(data)
            read = read[: len(read) - len(data)]
            half.head = b"" if head is not None else read
            if isinstance(head, Request):
                self._ask(events, at_s, half, head)
            elif isinstance(head, Response):
                data = self._answer(events, at_s, half, head, data)
            elif isinstance(head, Problem):
                half.heads = None
                self._save(sender, read if self.reveal else redact_partial_head(read))
                self._add(events, FaultEvent, at_s, sender, fault=head)

    def _body(self, half: Half, data: bytes) -> tuple[bytes, bytes]:
        """Return what of the bytes belongs to the body, without secrets, and what follows it."""
        body, data = half.body.split(data)
        if not self.reveal:
            body = half.redact_body(body)
        self._save(half.sender, body)
        return body, data

    def _ask(self, events: list[Event], at_s: float, half: Half, head: Request) -> None:
        """Take a request's head."""
        self._request, self._request_s = head, at_s
        secrets = find_secrets(head) if not self.reveal else _NO_SECRETS
        half.begin_body(body_length(head), is_chunked(head), secrets)
        shown = self._redact(head, _NO_SECRETS)
        self._save("client", shown.raw)
        self._add(events, RequestEvent, at_s, "client", request=shown)

    def _answer(
        self, events: list[Event], at_s: float, half: Half, head: Response, data: bytes
    ) -> bytes:
        """Take a response's head; return the bytes after what belongs to it."""
        request, upgraded = self._request, head.status == 101
        secrets = _NO_SECRETS
        if not self.reveal:
            secrets = find_secrets(head)
            if request is not None:
                secrets |= find_secrets(request)
        shown = self._redact(head, secrets)
        self._save("server", shown.raw)
        if not upgraded:
            half.begin_body(body_length(head, request), is_chunked(head), secrets)
            body, data = self._body(half, data)
            shown = replace(shown, body=body)
        asked = self._redact(request, _NO_SECRETS) if request is not None else None
        self._add(events, ResponseEvent, at_s, "server", response=shown, request=asked)
        if 100 <= head.status < 200 and not upgraded:
            return data  # the answer itself is still to come
        self._request, early = None, self._early
        self._early = b""
        if not upgraded:
            if early:
                self._heads(events, at_s, self._halves["client"], early)
            return data
        deflate = Deflate.parse(", ".join(head.get_all("Sec-WebSocket-Extensions")))
        for each in self._halves.values():
            each.begin_frames(deflate)
        if request is not None:
            self.handover = Handover(self._request_s, request.raw, at_s, head.raw)
        for each, came in ((half, data), (self._halves["client"], early)):
            if came:
                self._frames(events, at_s, each, came)
        return b""

    # Frames.

    def _frames(self, events: list[Event], at_s: float, half: Half, data: bytes) -> None:
        assert half.decoder is not None
        sender, connection_id = half.sender, self.connection_id
        items = half.decoder.feed(data)
        redacts = not self.reveal
        if self.redacted_copy is not None:
            if self.reveal:
                self.redacted_copy.add(sender, data)
            else:
                found = items
                items = [half.tokens.redact(i) if isinstance(i, Frame) else i for i in found]
                redacts = False
                self.redacted_copy.add_frames(sender, half.decoder, data, found, items)
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
