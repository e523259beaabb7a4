"""What rows carry of packets of Engine.IO and Socket.IO, as plain JSON.

Its rule: bounded, as all that a row carries. What the packets are says `wire/layers`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ...wire.engineio import PacketType as Engine
from ...wire.layers.peeler import Peeled
from ...wire.layers.reader import Layers
from ...wire.violation import ProtocolViolation
from ..panels import model
from .row_parts import clip

__all__ = ["faults_of", "layers_of"]

MAX_PACKETS = 20  # of one body
MAX_ARGUMENTS = 12
MAX_ARGUMENT = 400  # characters
MAX_TEXT = 600  # characters of a packet's data
_PURPOSES = {
    "handshake": "asks for a session", "poll": "poll", "post": "post",
    "websocket": "asks for a session", "upgrade": "asks to take over the session", "other": "",
}  # fmt: skip
_PLACE = re.compile(r'\{"_placeholder":true,"num":(\d{1,9})\}')

Json = dict[str, Any]


def layers_of(layers: Layers, is_request: bool, event_row: int | None) -> Json:
    """Return what a row carries of one event.

    Args:
        layers: with packets, or of a request.
        is_request: whether it is a request's head.
        event_row: the row of the event that the first attachment belongs to.
    """
    found: Json = {"session": layers.session.number}
    packets = layers.packets
    says = [packet.says for packet in packets[:3]]
    if len(packets) > 1:
        more = ", …" if len(packets) > 3 else ""
        says = [f"{len(packets) + layers.unread:,} packets: {', '.join(says)}{more}"]
    elif layers.unread:
        says = ["packets too long to be read here"]
    elif is_request:
        says = [_PURPOSES[layers.purpose]]
    found["says"] = clip(model.one_line(says[0]) if says else "", 120)
    if packets:
        found["packets"] = [_packet(packet) for packet in packets[:MAX_PACKETS]]
        if packets[0].attachment is not None and event_row is not None:
            found["event"] = event_row
    unshown = len(packets[MAX_PACKETS:]) + layers.unread
    if unshown:
        found["more"] = unshown
    return found


def _packet(peeled: Peeled) -> Json:
    found: Json = {
        "says": clip(model.one_line(peeled.says), 120),
        "size": peeled.size,
        "parts": [[name, clip(model.one_line(text), MAX_TEXT)] for name, text in peeled.parts],
    }
    if peeled.engine is not None:
        found["engine"] = peeled.engine.name.lower()
    if peeled.attachment is not None:
        found["nth"], found["of"] = peeled.attachment
    packet = peeled.packet
    if packet is None:
        return found
    found["type"] = packet.type.name
    found["nsp"] = clip(model.one_line(packet.namespace), 80)
    if packet.id is not None:
        found["id"] = packet.id
    if peeled.missing:
        found["missing"] = peeled.missing
    data = packet.data
    if isinstance(data, list):
        values = data
        if packet.type.name == "EVENT":
            found["event"], values = clip(model.one_line(str(data[0])), 80), data[1:]
        found["args"] = [_argument(value) for value in values[:MAX_ARGUMENTS]]
        if len(values) > MAX_ARGUMENTS:
            found["unshown"] = len(values) - MAX_ARGUMENTS
    elif data is not None:
        found["args"] = [_argument(data)]
    return found


def _argument(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return "(nested too deep to be shown)"
    shown = _PLACE.sub(lambda match: f"<attachment {int(match[1]) + 1}>", text)
    return clip(model.one_line(shown, MAX_ARGUMENT), MAX_ARGUMENT)


def faults_of(layers: Layers) -> list[list[str]]:
    """Return the rules that an event breaks, as a row carries them."""
    found = [] if layers.violation is None else [_fault(layers.violation, "Engine.IO 4")]
    for packet in layers.packets[:MAX_PACKETS]:
        if packet.violation is not None:
            is_inner = packet.engine is Engine.MESSAGE and packet.violation.rule != "wrong-side"
            found.append(_fault(packet.violation, "Socket.IO 5" if is_inner else "Engine.IO 4"))
    return found


def _fault(violation: ProtocolViolation, protocol: str) -> list[str]:
    text = f"Expected {violation.expected}; came {violation.got}. The receiver ends the session."
    return [violation.rule, protocol, clip(model.one_line(text, 400), 400)]
