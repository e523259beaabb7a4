"""FrameAttempt: one frame sent as it was written, right or wrong, and what a real server answered.

What the frame editor keeps and draws, without the widget: bytes laid out as RFC 6455 §5.2 says, or
as it forbids, one connection for each, and the answer read. Its rule: nothing of the frame is put
right on the way, and what is said of the answer was read from the bytes that came.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import ConnectFailed, LoopBlocked, NobodyListening
from ...failures import in_words
from ...loops import portals
from ...network import exchange
from ...server.server import Server
from ...wire.frames.close_codes import close_code_meaning
from ...wire.frames.decoder import FrameDecoder
from ...wire.frames.frame import Frame
from ...wire.frames.layout import apply_mask
from ...wire.frames.opcodes import Opcode
from ...wire.frames.violations import Fault
from ...wire.http.building import build_request
from ...wire.http.head_reader import HeadReader
from ...wire.http.heads import Request, Response
from ..panels import model

__all__ = ["MAX_PAYLOAD_BYTES", "FrameAttempt", "FramePlan", "attempt", "build", "to_json"]

MAX_PAYLOAD_BYTES = 1_000
TIMEOUT_S = 3.0
_HEX_SHOWN = 48
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_NAMES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
_BITS = {7: 0, 16: 2, 64: 8}  # form of the length: bytes that it takes after the first two

Form = Literal[7, 16, 64]


@dataclass(frozen=True)
class FramePlan:
    """What to send: each field as the learner set it; None is what fits the payload."""

    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False
    opcode: int = 1
    masked: bool = True
    length: int | None = None
    form: Form | None = None
    payload: bytes = b"Hello"
    key: bytes = b""

    @property
    def length_said(self) -> int:
        """What the frame says of its length, true or not."""
        return len(self.payload) if self.length is None else self.length

    @property
    def form_said(self) -> Form:
        """In how many bits it says so; the shortest unless told otherwise."""
        if self.form is not None:
            return self.form
        return 7 if self.length_said < 126 else 16 if self.length_said < 65_536 else 64


def build(plan: FramePlan) -> bytes:
    """Return a plan's bytes.

    Raises:
        ValueError: a field does not fit into its bits.
    """
    if not 0 <= plan.opcode <= 15:
        raise ValueError(f"expected an opcode from 0 to 15, got {plan.opcode}")
    if plan.masked and len(plan.key) != 4:
        raise ValueError(f"expected a key of 4 bytes, got {len(plan.key)}")
    if len(plan.payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"expected a payload of up to {MAX_PAYLOAD_BYTES:,} bytes, got {len(plan.payload):,}"
        )
    form, length = plan.form_said, plan.length_said
    limit = {7: 126, 16: 2**16, 64: 2**64}[form]
    if not 0 <= length < limit:
        raise ValueError(f"expected a length below {limit:,} for {form} bits, got {length:,}")
    bits = (plan.fin, plan.rsv1, plan.rsv2, plan.rsv3)
    first = sum(bit << 7 - nth for nth, bit in enumerate(bits)) | plan.opcode
    short = {7: length, 16: 126, 64: 127}[form]
    head = (
        bytes((first, plan.masked << 7 | short))
        + length.to_bytes(_BITS[form] or 8, "big")[: _BITS[form]]
    )
    if not plan.masked:
        return head + plan.payload
    return head + plan.key + apply_mask(plan.payload, plan.key)


@dataclass(frozen=True)
class FrameAttempt:
    """A frame as it was sent, and what came back.

    Attributes:
        label: how it differs from a good text frame, such as "FIN 0, opcode 9".
        sent: the frame's bytes.
        received: what came after the 101.
        frames: the same as frames.
        ended: how reading ended: the server "closed", "enough" came, or nothing did ("timeout").
        fault: the first rule that the frame breaks, as wslab's own decoder sees it.
        waits_bytes: how many more bytes the frame promises than it has.
        took_s: seconds until the answer was there.
    """

    label: str
    sent: bytes
    received: bytes
    frames: tuple[Frame, ...]
    ended: str
    fault: Fault | None
    waits_bytes: int
    took_s: float

    @property
    def close_code(self) -> int | None:
        """The code of the server's close frame; None where it sent none."""
        for frame in self.frames:
            if frame.opcode == Opcode.CLOSE and len(frame.payload) >= 2:
                return int.from_bytes(frame.payload[:2], "big")
        return None

    @property
    def outcome(self) -> str:
        """The answer in a few words: "text frame, 7 B", "close 1002", "nothing"."""
        said = []
        for frame in self.frames:
            name = _NAMES.get(frame.opcode, f"opcode {frame.opcode}")
            if frame.opcode == Opcode.CLOSE:
                said.append(f"close {self.close_code}" if frame.payload else "close without a code")
            else:
                said.append(f"{name} {_shown(frame)}".strip())
        if not said:
            said = ["TCP ended, no frame" if self.ended == "closed" else "nothing"]
        return ", ".join(said)

    @property
    def state(self) -> str:
        """Whether an answer came ("opened"), or the end ("refused"), or neither ("doubtful")."""
        if self.close_code in (None, 1000) and self.frames:
            return "opened"
        return "refused" if self.frames or self.ended == "closed" else "doubtful"

    @property
    def why(self) -> tuple[str, ...]:
        """Why: what the server says itself, what it waits for, and the rule."""
        said = []
        for frame in self.frames:
            if frame.opcode == Opcode.CLOSE and frame.payload:
                code = self.close_code or 0
                reason = frame.payload[2:].decode("utf-8", "replace")
                own = f' The server says: "{model.one_line(reason)}".' if reason else ""
                said.append(f"{code} is {close_code_meaning(code)}.{own}")
        if self.waits_bytes < 0:
            said.append(
                f"The header promises {-self.waits_bytes:,} bytes fewer than came: the server took "
                "what was left for the beginning of the next frame."
            )
        elif self.waits_bytes > 0 and self.state == "doubtful":
            said.append(
                f"The header promises {self.waits_bytes:,} bytes more than came, so the server "
                "waits for them. A length is all that tells it where a frame ends."
            )
        elif not self.frames and self.ended != "closed":
            said.append(
                "The server has read the frame, and it is nothing to answer: a part of a message "
                "whose end has not come, or a pong."
            )
        if self.fault is not None:
            more = "" if self.state == "refused" else " This server let it pass."
            said.append(f"{self.fault.message} ({self.fault.reference}){more}")
        return tuple(said)

    @property
    def reasons(self) -> str:
        """Why, in one paragraph."""
        return " ".join(self.why)

    def __str__(self) -> str:
        return f"{self.label}: {self.outcome}"

    def __repr__(self) -> str:
        return f"<FrameAttempt {self}>"


def _shown(frame: Frame) -> str:
    if frame.opcode == Opcode.TEXT:
        return repr(model.one_line(frame.payload.decode("utf-8", "replace"), 24))
    return model.size(len(frame.payload))


def attempt(server: Server, plan: FramePlan) -> FrameAttempt:
    """Open a connection, send one frame as planned, and return what came of it.

    Args:
        server: whom to send it to.
        plan: the frame.

    Raises:
        ValueError: a field does not fit into its bits.
        NobodyListening: the server has been stopped.
        ConnectFailed: no WebSocket could be opened.
        LoopBlocked, WrongThread: see ``wslab.run``.
    """
    sent = build(plan)
    request = build_request("/", f"{server.host}:{server.port}", _KEY)

    async def ask() -> exchange.Exchange:
        return await exchange.exchange(
            server.host,
            server.port,
            request,
            timeout_s=TIMEOUT_S,
            enough=_is_open,
            farewell=lambda came: sent if _is_open(came) else b"",
            answered=lambda came: bool(_frames(came)),
        )

    try:
        answer = portals.lab().call(ask, timeout=4 * TIMEOUT_S)
    except LoopBlocked:
        raise
    except ConnectionRefusedError as exc:
        raise NobodyListening(
            f"expected the server {server.name!r} to listen at {server.url}, but nothing does: is "
            "it stopped? Run its cell again"
        ) from exc
    except OSError as exc:
        raise ConnectFailed(f"expected a connection to {server.url}, got {in_words(exc)}") from exc
    if not _is_open(answer.data):
        raise ConnectFailed(f"expected {server.url} to open a WebSocket, got {answer.data[:80]!r}")
    decoder = FrameDecoder("client")
    read = decoder.feed(sent)
    faults = [fault for one in read for fault in (one.faults if isinstance(one, Frame) else [one])]
    return FrameAttempt(
        label=label_of(plan),
        sent=sent,
        received=_rest(answer.data),
        frames=_frames(answer.data),
        ended=answer.ended,
        fault=faults[0] if faults else None,
        waits_bytes=plan.length_said - len(plan.payload),
        took_s=answer.took_s,
    )


def _is_open(came: bytes) -> bool:
    head, _ = HeadReader("server").feed(came)
    assert not isinstance(head, Request)
    return isinstance(head, Response) and head.status == 101


def _rest(came: bytes) -> bytes:
    return came.partition(b"\r\n\r\n")[2]


def _frames(came: bytes) -> tuple[Frame, ...]:
    read = FrameDecoder("server").feed(_rest(came))
    return tuple(one for one in read if isinstance(one, Frame))


def label_of(plan: FramePlan) -> str:
    """Name how a frame differs from the good one."""
    good = FramePlan()
    said = [
        f"{name} {int(getattr(plan, name.lower()))}"
        for name in ("FIN", "RSV1", "RSV2", "RSV3")
        if getattr(plan, name.lower()) != getattr(good, name.lower())
    ]
    if plan.opcode != good.opcode:
        said.append(f"opcode {plan.opcode} ({_NAMES.get(plan.opcode, 'reserved')})")
    if plan.masked != good.masked:
        said.append("MASK 0")
    if plan.length_said != len(plan.payload):
        said.append(f"length {plan.length_said:,}")
    if plan.form is not None and plan.form != FramePlan(length=plan.length_said).form_said:
        said.append(f"length in {plan.form} bits")
    if plan.payload != good.payload:
        shown = plan.payload[:8].hex(" ") + (" …" if len(plan.payload) > 8 else "")
        said.append(f"payload {shown}" if plan.payload else "no payload")
    return ", ".join(said) or "as it should be"


def to_json(one: FrameAttempt, number: int) -> dict[str, Any]:
    """Return all that a page draws of an attempt."""
    return {
        "number": number,
        "label": one.label,
        "outcome": one.outcome,
        "state": one.state,
        "why": list(one.why),
        "took": model.round_trip(one.took_s),
        "sent": _hex(one.sent),
        "received": _hex(one.received),
    }


def _hex(data: bytes) -> str:
    more = len(data) - _HEX_SHOWN
    return data[:_HEX_SHOWN].hex(" ") + (f" … and {model.size(more)} more" if more > 0 else "")


def new_key() -> bytes:
    """Return a masking key: four random bytes, new for each frame (RFC 6455 §5.3)."""
    return os.urandom(4)
