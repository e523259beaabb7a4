"""What the rows of the timeline carry of heads, handshakes, faults and payloads, as plain JSON.

Its rule: bounded prefixes, and no secret: heads come redacted from the tape.
"""

from __future__ import annotations

from typing import Any

from ...wire.frames.close_codes import close_code_meaning
from ...wire.frames.frame import Frame
from ...wire.frames.opcodes import Opcode
from ...wire.frames.violations import Fault
from ...wire.http.accept import derive_accept
from ...wire.http.handshake import Handshake
from ...wire.http.heads import Problem
from ...wire.sender import Sender
from ..panels import model

__all__ = ["clip", "ending_of", "fault_of", "handshake_of", "label_of", "shown_body"]

MAX_BYTES = 256  # of a payload, and of what it inflates to, that a row carries
MAX_LABEL = 80  # characters
MAX_BODY = 2_000  # characters of an HTTP body

Json = dict[str, Any]


def label_of(frame: Frame) -> str:
    """Return what an arrow says: the beginning of a text, some bytes, a code."""
    opcode = frame.opcode
    if opcode == Opcode.CLOSE:
        return ""  # the code and the reason have fields of their own
    if frame.compressed and frame.inflated is None:
        return ""
    # Unmask the beginning only: a payload may be large.
    data = _beginning(frame) if frame.inflated is None else frame.inflated[:MAX_BYTES]
    if frame.message_opcode == Opcode.TEXT:
        text = (frame.carry + data).decode("utf-8", "ignore")
        return clip(model.one_line(text), MAX_LABEL)
    if opcode in (Opcode.PING, Opcode.PONG) and data and data.isascii():
        text = data.decode("ascii")
        if text.isprintable():
            return clip(text, MAX_LABEL)
    return data[:12].hex(" ") + (" …" if len(frame.payload_raw) > 12 else "")


def _beginning(frame: Frame) -> bytes:
    key = frame.mask_key
    data = frame.payload_raw[:MAX_BYTES]
    if key is None:
        return data
    return bytes(byte ^ key[i & 3] for i, byte in enumerate(data[: MAX_LABEL * 2]))


def clip(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def shown_body(body: bytes) -> str:
    return clip(body[: MAX_BODY * 2].decode("utf-8", "replace"), MAX_BODY)


def fault_of(fault: Fault | Problem) -> list[str]:
    if isinstance(fault, Fault):
        return [fault.rule, fault.reference, fault.message]
    return [fault.rule, fault.section, fault.message]


def handshake_of(handshake: Handshake) -> Json:
    json: Json = {
        "accepted": handshake.accepted,
        "why": handshake.why_refused,
        "suspect": handshake.suspect or "",
        "subprotocol": handshake.subprotocol or "",
        "extensions": "; ".join(
            ", ".join([name, *(f"{key}={value}" if value else key for key, value in parameters)])
            for name, parameters in handshake.extensions
        ),
        "checks": [
            [check.name, check.ok, check.expected, check.got, check.section, check.side]
            for check in handshake.checks
        ],
    }
    key = handshake.request.get("Sec-WebSocket-Key")
    if key:
        steps = derive_accept(key)
        json["accept"] = {
            "key": steps.key,
            "guid": steps.guid,
            "sha1": steps.sha1.hex(),
            "accept": steps.accept,
            "fault": steps.key_fault or "",
            "sent": (handshake.response and handshake.response.get("Sec-WebSocket-Accept")) or "",
        }
    return json


def ending_of(closes: list[tuple[Sender, int | None, str]], is_clean: bool, client: str) -> str:
    who = {"client": client, "server": "the server"}
    if not closes:
        return "broke off: TCP ended without a close frame (reported as 1006)"
    sender, code, reason = closes[0]
    if not is_clean:
        other = who["server" if sender == "client" else "client"]
        return f"broke off: {who[sender]} sent a close frame, {other} never answered it (1006)"
    name = close_code_meaning(1005 if code is None else code).partition(":")[0]
    said = f' "{model.one_line(reason)}"' if reason else ""
    return f"closed by {who[sender]}: {code if code is not None else 'no code'} {name}{said}"
