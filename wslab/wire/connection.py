"""One connection's bytes, both directions, read as events.

Heads first, then frames or an HTTP body: whatever the handshake made of the connection. Its rule:
it goes on from any point: bytes that nobody will look at are skipped, and what comes after them
reads as if they had been read. Where the bytes are kept is for `tape` to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .events import (
    BodyEvent,
    CloseEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    PongEvent,
    RequestEvent,
    ResponseEvent,
)
from .frames.decoder import FrameDecoder
from .frames.deflate import Deflate
from .frames.frame import Frame
from .frames.layout import header_size
from .frames.opcodes import Opcode
from .frames.violations import MAX_CONTROL_PAYLOAD_BYTES, UNREADABLE, Fault
from .http.bodies import ChunkedReader, body_length, is_chunked
from .http.head_reader import HeadReader
from .http.heads import HeadOf, Problem, Request, Response
from .http.redaction import find_secrets, redact, redact_body, redact_bytes, redact_partial_head
from .http.secret_values import MARKER
from .http.tokens import TokenScan
from .sender import Sender

__all__ = ["Handover", "Story"]

_MAX_PINGS = 64  # unanswered ones that are remembered, for each side
_MAX_EARLY_BYTES = 2**20
_TAIL_BYTES = 2**10
_MAX_MESSAGE_BYTES = 16 * 2**20  # its fragments' bytes, as they came and inflated
_MAX_HIDING_BYTES = 64 * 2**10  # of a frame; the packets that hand tokens over are far shorter
_DEFLATED_BYTES = 4 * 2**10  # that are read at once
_FRAGMENT_BYTES = 512  # what a fragment costs beyond them
_NO_SECRETS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Handover:
    """The two heads that made a WebSocket of a connection, unredacted, and when they came."""

    request_s: float
    request: bytes
    response_s: float
    response: bytes


class _Half:
    """What one side has sent: how far it has been read."""

    __slots__ = (
        "body_left",
        "bytes",
        "chunked",
        "close_seen",
        "decoder",
        "frames",
        "head",
        "heads",
        "message",
        "message_bytes",
        "pings",
        "saved_ahead",
        "scan",
        "secrets",
        "tail",
        "unsaved",
    )

    def __init__(self, sender: Sender) -> None:
        self.heads: HeadReader | None = HeadReader(sender)
        self.decoder: FrameDecoder | None = None
        self.head = b""  # as much as has come of the head that is not complete
        self.body_left: int | None = 0  # of an HTTP body; None: until TCP ends, or its chunks do
        self.chunked: ChunkedReader | None = None
        self.secrets = _NO_SECRETS  # that a body may repeat
        self.tail = b""  # of the body so far, where a secret may begin
        self.message: list[tuple[float, Frame]] | None = None  # the open one's frames so far
        self.message_bytes = 0  # what these take
        self.pings: list[tuple[bytes, float]] = []  # the unanswered ones, oldest first
        self.scan = TokenScan()
        # Where frames are saved: what came of the one that is not complete, and how much of it has
        # been saved already, since it is too long to have anything to hide.
        self.unsaved = b""
        self.saved_ahead = 0
        self.bytes = 0
        self.frames = 0
        self.close_seen = False

    def copy(self) -> _Half:
        twin = object.__new__(_Half)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.heads = self.heads.copy() if self.heads is not None else None
        twin.decoder = self.decoder.copy() if self.decoder is not None else None
        twin.chunked = self.chunked.copy() if self.chunked is not None else None
        twin.scan = self.scan.copy()
        twin.message = list(self.message) if self.message is not None else None
        twin.pings = list(self.pings)
        return twin

    def body(self, length: int | None, chunked: bool) -> None:
        """Expect a body of so many bytes; None for one whose end must be looked for."""
        self.body_left, self.tail = length, b""
        self.chunked = ChunkedReader() if chunked and length is None else None

    def take_body(self, data: bytes) -> tuple[bytes, bytes]:
        """Split bytes into what belongs to the body and what comes after it."""
        if self.chunked is not None:
            # One read of a socket; in chunks so tiny a body serves only to cost time.
            size = self.chunked.split(data, 2_000 + len(data) // 64)[1]
            if self.chunked.ended:
                self.chunked, self.body_left = None, 0
        elif self.body_left is None:
            size = len(data)
        else:
            size = min(self.body_left, len(data))
            self.body_left -= size
        return data[:size], data[size:]

    @property
    def held(self) -> int:
        """How many bytes are held of what is not complete."""
        held = 2 * len(self.head) + self.message_bytes  # its reader has it, too
        return held if self.decoder is None else held + self.decoder.held

    @property
    def is_between(self) -> bool:
        """Whether no head and no body is under way; one until TCP ends may be."""
        return self.heads is not None and not (self.head or self.body_left or self.chunked)


class Story:
    """Read a connection's bytes, in the order in which they were recorded, as events.

    Args:
        connection_id: what the events shall say.
        reveal: leave cookies, credentials and tokens in the heads; else they are redacted.
    """

    __slots__ = (
        "_early",
        "_halves",
        "_kept",
        "_number",
        "_request",
        "_request_s",
        "_untold",
        "connection_id",
        "handover",
        "reveal",
    )

    def __init__(self, connection_id: str, *, reveal: bool = False) -> None:
        self.connection_id = connection_id
        self.reveal = reveal
        self._halves: dict[Sender, _Half] = {"client": _Half("client"), "server": _Half("server")}
        self.handover: Handover | None = None
        self._request: Request | None = None
        self._request_s = 0.0
        self._early = b""  # sent by the client before its request was answered
        self._number = 0
        self._kept: dict[Sender, bytes] | None = None  # see scrub
        self._untold: Problem | None = None  # why nothing more of it is read

    def copy(self, *, reveal: bool | None = None) -> Story:
        """Return an independent story at the same point."""
        twin = object.__new__(Story)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._halves = {sender: half.copy() for sender, half in self._halves.items()}
        if reveal is not None:
            twin.reveal = reveal
        return twin

    def seen(self, sender: Sender) -> tuple[int, int]:
        """Return how many bytes and frames of ``sender`` have been read or skipped."""
        half = self._halves[sender]
        return half.bytes, half.frames

    def retell(self, told: Story | None) -> list[Event]:
        """Return the events of the handover that ``told``, which is behind, has not come to."""
        events: list[Event] = []
        if self.handover is not None and (told is None or told.handover is None):
            twin = Story(self.connection_id, reveal=self.reveal)
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
                self._frames(events, at_s, sender, half, data)
            else:
                self._heads(events, at_s, sender, half, data)
        except Exception as exc:
            self._pass_over(exc)
        if self._untold is not None:
            self._add(events, FaultEvent, at_s, sender, fault=self._untold)
            self._untold = None
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

    def _pass_over(self, exc: Exception) -> None:
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
            half.heads, half.head, half.chunked, half.body_left = None, b"", None, 0
            half.message, half.message_bytes = None, 0
            half.pings.clear()
            if half.decoder is not None:
                half.decoder.stop(UNREADABLE)
                half.decoder._stop_is_told = True  # as what is told below

    def skip(self, at_s: float, sender: Sender, data: bytes, patience: int | None = None) -> None:
        """Take what ``sender`` sent at ``at_s`` without making events of it.

        ``patience``: how many frames may be looked into; see `FrameDecoder.skip`.
        """
        half = self._halves[sender]
        if half.decoder is None:
            self.feed(at_s, sender, data)  # heads are few, and everything depends on them
            for each in self._halves.values():
                each.message, each.message_bytes = None, 0
                each.pings.clear()
            return
        half.bytes += len(data)
        crossed = half.decoder.skip(data, patience)
        half.frames += crossed
        self._number += crossed
        half.close_seen = Opcode.CLOSE in half.decoder.counts
        half.message, half.message_bytes = None, 0
        half.pings.clear()
        half.scan.reset()

    def scrub(self, at_s: float, sender: Sender, data: bytes) -> dict[Sender, bytes]:
        """Take what ``sender`` sent and return what of it may be saved, by who sent it.

        Heads come whole and redacted, with the bytes that complete them. What can be neither read
        nor redacted is concealed. All that is saved reads as the same events again.
        """
        if self.is_upgraded and self.reveal:
            return {sender: data}
        kept: dict[Sender, bytes] = {"client": b"", "server": b""}
        self._kept = kept
        self.feed(at_s, sender, data)
        self._kept = None
        return kept

    def begin_saving(self) -> None:
        """Save frames from here on: what has come of one that is not complete counts in."""
        for half in self._halves.values():
            if half.decoder is not None:
                is_cut = half.decoder.is_cut  # then what has come of it is gone, and not saved
                half.unsaved = b"" if is_cut else half.decoder.unfinished
                half.saved_ahead = half.decoder.pending if is_cut else 0

    def scrub_rest(self) -> dict[Sender, bytes]:
        """Return what may be saved of bytes that still wait for more."""
        kept: dict[Sender, bytes] = {}
        for sender, half in self._halves.items():
            kept[sender] = half.head if self.reveal else redact_partial_head(half.head)
            kept[sender] += _half_frame(half)
        kept["client"] += self._early if self.reveal else redact_bytes(self._early)
        return kept

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
            if half.message_bytes:
                half.message, half.message_bytes = None, 0
                self._untold = _TOO_LONG
            if half.decoder is not None:
                half.decoder.let_go()

    def end(self, at_s: float, sender: Sender) -> list[Event]:
        """Take the end of TCP, as ``sender``'s transport reported it."""
        events: list[Event] = []
        for who, half in self._halves.items():
            if half.decoder is not None and not half.close_seen:
                for fault in half.decoder.eof():
                    self._add(events, FaultEvent, at_s, who, fault=fault)
        if self._untold is not None:
            self._add(events, FaultEvent, at_s, sender, fault=self._untold)
            self._untold = None
        halves = self._halves.values()
        if self.is_upgraded:
            is_clean = all(half.close_seen for half in halves)
        else:
            is_clean = self._request is None and all(half.is_between for half in halves)
        self._add(events, EndedEvent, at_s, sender, is_clean=is_clean)
        return events

    def _keep(self, sender: Sender, data: bytes) -> None:
        if self._kept is not None:
            self._kept[sender] += data

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

    def _add(
        self, events: list[Event], kind: Any, at_s: float, sender: Sender, **values: Any
    ) -> None:
        events.append(kind(at_s=at_s, connection_id=self.connection_id, sender=sender, **values))

    def _hide(self, half: _Half, body: bytes) -> bytes:
        if self.reveal:
            return body
        before, half.tail = half.tail, (half.tail + body)[-_TAIL_BYTES:]
        return redact_body(body, half.secrets, before)

    # Heads and bodies.

    def _heads(
        self, events: list[Event], at_s: float, sender: Sender, half: _Half, data: bytes
    ) -> None:
        while data:
            if half.heads is None:  # broken: nobody can tell where the next head would begin
                self._keep(sender, data if self.reveal else redact_bytes(data))
                return
            if half.body_left != 0:
                body, data = half.take_body(data)
                body = self._hide(half, body)
                self._keep(sender, body)
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
                self._keep(sender, read if self.reveal else redact_partial_head(read))
                self._add(events, FaultEvent, at_s, sender, fault=head)

    def _ask(self, events: list[Event], at_s: float, half: _Half, head: Request) -> None:
        """Take a request's head."""
        self._request, self._request_s = head, at_s
        half.body(body_length(head), is_chunked(head))
        half.secrets = find_secrets(head) if not self.reveal else _NO_SECRETS
        shown = self._redact(head, _NO_SECRETS)
        self._keep("client", shown.raw)
        self._add(events, RequestEvent, at_s, "client", request=shown)

    def _answer(
        self, events: list[Event], at_s: float, half: _Half, head: Response, data: bytes
    ) -> bytes:
        """Take a response's head; return the bytes after what belongs to it."""
        request, upgraded = self._request, head.status == 101
        if not self.reveal:
            half.secrets = find_secrets(head)
            if request is not None:
                half.secrets |= find_secrets(request)
        shown = self._redact(head, half.secrets)
        self._keep("server", shown.raw)
        if not upgraded:
            half.body(body_length(head, request), is_chunked(head))
            body, data = half.take_body(data)
            body = self._hide(half, body)
            self._keep("server", body)
            shown = replace(shown, body=body)
        asked = self._redact(request, _NO_SECRETS) if request is not None else None
        self._add(events, ResponseEvent, at_s, "server", response=shown, request=asked)
        if 100 <= head.status < 200 and not upgraded:
            return data  # the answer itself is still to come
        self._request, early = None, self._early
        self._early = b""
        if upgraded:
            self._upgrade(request, at_s, head)
            if data:
                self._frames(events, at_s, "server", half, data)
            data, client = b"", self._halves["client"]
            if early:
                self._frames(events, at_s, "client", client, early)
        elif early:
            self._heads(events, at_s, "client", self._halves["client"], early)
        return data

    def _upgrade(self, request: Request | None, at_s: float, response: Response) -> None:
        """Read frames from here on."""
        extensions = ", ".join(response.get_all("Sec-WebSocket-Extensions"))
        deflate = Deflate.parse(extensions)
        for sender, each in self._halves.items():
            each.heads, each.decoder = None, FrameDecoder(sender, deflate)
            each.secrets = _NO_SECRETS
            if deflate is not None:
                each.scan.wbits = (
                    deflate.client_max_window_bits
                    if sender == "client"
                    else deflate.server_max_window_bits
                )
        if request is not None:
            self.handover = Handover(self._request_s, request.raw, at_s, response.raw)

    # Frames.

    def _frames(
        self, events: list[Event], at_s: float, sender: Sender, half: _Half, data: bytes
    ) -> None:
        assert half.decoder is not None
        items = half.decoder.feed(data)
        hides = not self.reveal
        if self._kept is not None:
            if hides:
                items = [half.scan.hide(i) if isinstance(i, Frame) else i for i in items]
                hides = False
            self._kept[sender] += data if self.reveal else self._saved(half, items, data)
        for item in items:
            if isinstance(item, Fault):
                self._add(events, FaultEvent, at_s, sender, fault=item)
                continue
            if hides and item.message_opcode == Opcode.TEXT:
                item = half.scan.hide(item)
            self._number += 1
            half.frames += 1
            self._add(events, FrameEvent, at_s, sender, number=self._number, frame=item)
            for fault in item.faults:
                self._add(events, FaultEvent, at_s, sender, fault=fault)
            if item.is_control:
                self._control(events, at_s, sender, half, item)
            else:
                self._data(events, at_s, sender, half, item)

    def _saved(self, half: _Half, items: list[Frame | Fault], data: bytes) -> bytes:
        """Return what may be saved by now: whole frames, and of a long one what has come."""
        decoder = half.decoder
        assert decoder is not None
        raw = half.unsaved + data
        parts: list[bytes] = []
        pos = 0
        for item in items:
            if isinstance(item, Fault):
                continue
            is_whole = not half.saved_ahead and not item.cut_bytes
            end = pos + item.size_bytes - half.saved_ahead
            parts.append(item.raw if is_whole else raw[pos:end])
            pos, half.saved_ahead = end, 0
        half.unsaved = raw[pos:]
        if decoder.stopped is not None or decoder.pending_size > _MAX_HIDING_BYTES:
            parts.append(half.unsaved)
            half.saved_ahead += len(half.unsaved)
            half.unsaved = b""
        return b"".join(parts)

    def _control(
        self, events: list[Event], at_s: float, sender: Sender, half: _Half, frame: Frame
    ) -> None:
        other = self._halves["server" if sender == "client" else "client"]
        if frame.opcode == Opcode.PING:
            if frame.payload_size_bytes > MAX_CONTROL_PAYLOAD_BYTES:
                return  # nobody answers it, and it may be as long as the peer likes
            half.pings.append((frame.payload, at_s))
            del half.pings[:-_MAX_PINGS]
        elif frame.opcode == Opcode.PONG:
            payload = frame.payload
            nth = next((n for n, ping in enumerate(other.pings) if ping[0] == payload), None)
            if nth is not None:
                round_trip_s = at_s - other.pings[nth][1]
                # A pong answers its ping and all that were sent before it.
                del other.pings[: nth + 1]
                self._add(
                    events, PongEvent, at_s, sender, payload=payload, round_trip_s=round_trip_s
                )
        elif frame.opcode == Opcode.CLOSE and not half.close_seen:
            half.close_seen = True
            self._add(
                events,
                CloseEvent,
                at_s,
                sender,
                code=frame.close_code,
                reason=frame.close_reason or "",
                is_answer=other.close_seen,
            )

    def _data(
        self, events: list[Event], at_s: float, sender: Sender, half: _Half, frame: Frame
    ) -> None:
        if frame.opcode != Opcode.CONT:
            half.message, half.message_bytes = [], 0
        if half.message is not None:
            half.message.append((at_s, frame))
            if not frame.fin:
                half.message_bytes += (
                    _FRAGMENT_BYTES + frame.size_bytes + len(frame.inflated or b"")
                )
                if half.message_bytes > _MAX_MESSAGE_BYTES:
                    half.message, half.message_bytes = None, 0
                    self._add(events, FaultEvent, at_s, sender, fault=_TOO_LONG)
        if not frame.fin:
            return
        parts, half.message, half.message_bytes = half.message, None, 0
        if parts is None:
            return  # its beginning was dropped
        frames = [part for _, part in parts]
        if any(part.cut_bytes for part in frames):
            self._add(events, FaultEvent, at_s, sender, fault=_TOO_LONG)
            return
        if any(part.compressed and part.inflated is None for part in frames):
            return  # it could not be inflated; a fault has said so
        data: str | bytes = b"".join(part.content for part in frames)
        if frames[0].opcode == Opcode.TEXT:
            try:
                data = data.decode()  # type: ignore[union-attr]
            except UnicodeDecodeError:
                return  # a fault has said so
        elif frames[0].opcode != Opcode.BINARY:
            return
        self._add(
            events,
            MessageEvent,
            at_s,
            sender,
            data=data,
            began_s=parts[0][0],
            fragments=len(frames),
            wire_bytes=sum(part.size_bytes for part in frames),
            compressed=frames[0].compressed,
        )


def _half_frame(half: _Half) -> bytes:
    """Return what may be saved of a frame that is not complete."""
    raw, decoder = half.unsaved, half.decoder
    if decoder is None or len(raw) < (size := header_size(raw)):
        return raw
    # A token in it is cut, too, and if it is compressed nobody can tell.
    return raw[:size] + bytes(len(raw) - size) if raw[0] & 0x0F < Opcode.CLOSE else raw


_TOO_LONG = Problem(
    "a message is read up to a bound",
    "wslab",
    f"Expected a message that takes at most {_MAX_MESSAGE_BYTES:,} bytes to be put together; more "
    "came, or part of it was let go while it was incomplete. Its frames are there one by one, but "
    "no message. A peer that never ends its message would else fill the memory of who watches.",
    _MAX_MESSAGE_BYTES,
)
_TOO_EARLY = Problem(
    "a request is answered before more follows",
    "RFC 6455 §4.1",
    f"Expected at most {_MAX_EARLY_BYTES} bytes from the client before its request is answered; "
    "more came. A client waits for the 101 before it sends frames. Look why nobody answers.",
    _MAX_EARLY_BYTES,
)
