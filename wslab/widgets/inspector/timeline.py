"""Timeline: a tape's events as rows that a page can draw without asking anybody again.

Its rule: a row is plain JSON beside a bounded prefix of its bytes, so that bits, masks and text can
be laid out where it is shown, also while the kernel is busy. Left out: reading tapes, counting, and
all drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...wire.close_evidence import CloseEvidence
from ...wire.events import (
    BodyEvent,
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    OverEvent,
    PongEvent,
    RequestEvent,
    ResponseEvent,
)
from ...wire.frames.close_codes import close_code_meaning
from ...wire.frames.opcodes import Opcode
from ...wire.frames.violations import Fault
from ...wire.http.heads import Head
from ...wire.sender import Sender
from ...wire.tape.tape import Tape
from ..panels import model
from .conversations import Conversations
from .keepalive import KEEPALIVE_S, Keepalive
from .lanes import Key, Lanes
from .remarks import Remark, Remarks
from .row_parts import (
    MAX_BYTES,
    MAX_LABEL,
    clip,
    ending_of,
    fault_of,
    handshake_of,
    label_of,
    shown_body,
)

__all__ = ["Row", "Timeline"]

MAX_WHY = 2_000  # characters of what is said about an end

Json = dict[str, Any]


@dataclass(slots=True)
class Row:
    """One line of the timeline: what JSON can say, and the bytes behind it."""

    json: Json
    data: bytes = b""


@dataclass(slots=True)
class _Connection:
    """What is known of one connection while its events come in."""

    lane: int
    keepalive: Keepalive
    evidence: CloseEvidence = field(default_factory=CloseEvidence)
    request: Row | None = None
    frame: Row | None = None
    faults: tuple[Fault, ...] = ()  # of that frame
    parts: dict[Sender, int] = field(default_factory=dict)
    closes: list[tuple[Sender, int | None, str]] = field(default_factory=list)
    is_upgraded: bool = False


class Timeline:
    """Turns events into rows, one call after the other.

    Args:
        servers: see :class:`Lanes`.
        intervals_s: how often libraries of ours ping by themselves; such a ping, and its pong, is
            marked ``keepalive``.
        is_chosen: asked about each event that is drawn until it is true of one, whose row is
            marked ``chosen``.
        remarks: where a replay differs from its record; each has a row of its own.

    Attributes:
        lanes: who is there; see :meth:`Lanes.meet`.
        texts: what headers are for; rows refer to them by number.
        ping_s: the last round trip of a ping, in seconds.
    """

    def __init__(
        self,
        servers: Iterable[str] = (),
        *,
        intervals_s: Iterable[float] = (KEEPALIVE_S,),
        is_chosen: Callable[[int, Event], bool] | None = None,
        remarks: Remarks | None = None,
    ) -> None:
        self.lanes = Lanes(servers)
        self.texts: list[tuple[str, str, str]] = []
        self.ping_s: float | None = None
        self._intervals_s = tuple(intervals_s)
        self._is_chosen = is_chosen
        self._remarks = remarks if remarks is not None else Remarks({})
        self._texts: dict[tuple[str, str, str], int] = {}
        self._connections: dict[Key, _Connection] = {}
        self._conversations = Conversations(self.lanes)
        self._rows = 0

    def forget(self, tapes: Sequence[Tape], rows: Iterable[Row]) -> None:
        """Let go of what no tape knows any more and no row needs; see :meth:`Lanes.forget`."""
        if self.lanes.forget(tapes, (row.json["lane"] for row in rows if "lane" in row.json)):
            known = self.lanes.connections
            self._connections = {key: one for key, one in self._connections.items() if key in known}
            self._conversations.forget()

    def _meet(self, key: Key) -> _Connection | None:
        lane = self.lanes.connections.get(key)
        if lane is None:
            return None
        connection = self._connections[key] = _Connection(lane, Keepalive(self._intervals_s))
        return connection

    def rows(self, source: int, events: Iterable[Event], offset_s: float = 0.0) -> list[Row]:
        """Return the rows of one tape's events; some events only complete a row that is there.

        Args:
            source: the tape's number, as given to :meth:`Lanes.meet`.
            events: in the order in which they happened.
            offset_s: to add to their times, where several tapes are shown together.
        """
        rows: list[Row] = []
        for event in events:
            key = source, event.connection_id
            connection = self._connections.get(key) or self._meet(key)
            if connection is None:
                continue
            connection.evidence.see(event)
            make = _MAKERS.get(type(event))
            if make is None:
                continue
            lane = connection.lane
            part = self._conversations.part(key, event, lane)
            if part is not None and part.lane != lane:
                lane = part.lane
                if part.has_connection:
                    self.lanes.connections[key] = connection.lane = lane
            row = make(self, connection, event)
            if row is not None:
                self._number(row, event, lane, offset_s)
                rows.append(row)
            drawn = row or connection.frame
            if drawn is not None and part is not None:
                part.put_into(drawn.json, event)
            if drawn and self._is_chosen is not None and self._is_chosen(source, event):
                drawn.json["chosen"] = True
                self._is_chosen = None
            rows += [
                self._remark(each, lane, event.at_s + offset_s)
                for each in self._remarks.about(source, event)
            ]
        return rows

    def late_remarks(self, source: int, at_s: float) -> list[Row]:
        """Return rows for what a replay has found out about events that are drawn already."""
        lanes = self.lanes.connections
        return [
            self._remark(each, lane, at_s)
            for each in self._remarks.late(source)
            if (lane := lanes.get((source, each.connection_id))) is not None
        ]

    def _remark(self, remark: Remark, lane: int, at_s: float) -> Row:
        self._rows += 1
        return Row(
            {
                "what": "differs",
                "id": self._rows,
                "at": round(at_s, 6),
                "lane": lane,
                "by": remark.difference.sender,
                "label": clip(model.one_line(remark.label), 2 * MAX_LABEL),
                "why": clip(model.one_line(str(remark.difference), 1_000), 1_000),
            }
        )

    def _number(self, row: Row, event: Event, lane: int, offset_s: float) -> None:
        self._rows += 1
        row.json |= {
            "id": self._rows,
            "at": round(event.at_s + offset_s, 6),
            "lane": lane,
            "by": event.sender,
        }

    def passed_over(self, frames: int, at_s: float) -> Row:
        """Return the row that stands for frames which were counted and not decoded."""
        self._rows += 1
        return Row({"what": "passed", "id": self._rows, "at": round(at_s, 6), "frames": frames})

    def _request(self, connection: _Connection, event: RequestEvent) -> Row:
        request = event.request
        row = Row(
            {
                "what": "request",
                "label": model.one_line(f"{request.method} {request.target}"),
                "upgrade": request.asks_for_websocket,
                "head": self._head(request),
            }
        )
        connection.request = row
        return row

    def _response(self, connection: _Connection, event: ResponseEvent) -> Row:
        response, asked = event.response, connection.request
        json: Json = {
            "what": "response",
            "label": model.one_line(f"{response.status} {response.reason}"),
            "status": response.status,
            "head": self._head(response),
        }
        handshake = event.handshake
        if asked is not None:
            json["request"] = asked.json["id"]
            json["upgrade"] = asked.json["upgrade"]
        if handshake is not None:
            json["upgrade"] = handshake.request.asks_for_websocket
            json["head"] = self._head(handshake.response or response)
            json["asked"] = self._head(handshake.request)
            if json["upgrade"]:
                json["handshake"] = handshake_of(handshake)
        if response.body:
            json["body"] = shown_body(response.body)
            json["size"] = len(response.body)
        connection.is_upgraded = response.status == 101
        connection.keepalive.upgraded_s = event.at_s
        connection.request = None
        return Row(json)

    def _head(self, head: Head) -> Json:
        return {
            "start": model.one_line(head.start_line),
            "size": len(head.raw),
            "headers": [
                [
                    header.name,
                    clip(header.value, 400),
                    self._text((header.purpose, header.set_by, header.section)),
                    header.fault or "",
                ]
                for header in head.headers
            ],
        }

    def _text(self, text: tuple[str, str, str]) -> int:
        number = self._texts.get(text)
        if number is None:
            number = self._texts[text] = len(self.texts)
            self.texts.append(text)
        return number

    def _body(self, connection: _Connection, event: BodyEvent) -> Row:
        text = event.data[:MAX_BYTES].decode("utf-8", "replace")
        return Row(
            {
                "what": "body",
                "label": clip(model.one_line(text), MAX_LABEL),
                "size": len(event.data),
                "body": shown_body(event.data),
            }
        )

    def _frame(self, connection: _Connection, event: FrameEvent) -> Row:
        frame = event.frame
        payload, content = frame.payload_raw[:MAX_BYTES], b""
        json: Json = {
            "what": "frame",
            "kind": frame.kind,
            "n": event.number,
            "label": label_of(frame),
            "size": frame.payload_size_bytes,
            "wire": frame.size_bytes,
        }
        if frame.cut_bytes:
            json["cut"] = frame.cut_bytes
        if frame.inflated is not None:
            content = frame.inflated[:MAX_BYTES]
            json["content"] = len(frame.inflated)
        if frame.compressed:
            json["compressed"] = True
        if frame.message_opcode is not None:
            json["message"] = Opcode(frame.message_opcode).label
            began = connection.parts.pop(event.sender, 0) if frame.opcode == Opcode.CONT else 0
            if began or not frame.fin:
                json["part"] = began + 1
            if not frame.fin:
                connection.parts[event.sender] = began + 1
        if frame.carry:
            json["carry"] = frame.carry.hex()
        if frame.opcode in (Opcode.PING, Opcode.PONG) and connection.keepalive.is_one(event):
            json["keepalive"] = True
        if frame.faults:
            json["faults"] = [fault_of(fault) for fault in frame.faults]
        json["bytes"] = [len(frame.header), len(payload), len(content)]
        row = Row(json, frame.header + payload + content)
        connection.frame, connection.faults = row, frame.faults
        return row

    # Events that complete the row of their frame.

    def _message(self, connection: _Connection, event: MessageEvent) -> None:
        row = connection.frame
        if row is not None and event.fragments > 1:
            size_bytes = len(event.data.encode() if isinstance(event.data, str) else event.data)
            row.json["whole"] = {
                "parts": event.fragments,
                "size": size_bytes,
                "wire": event.wire_bytes,
                "took": round(event.at_s - event.began_s, 6),
            }

    def _pong(self, connection: _Connection, event: PongEvent) -> None:
        self.ping_s = event.round_trip_s
        if connection.frame is not None:
            connection.frame.json["rtt"] = event.round_trip_s

    def _close(self, connection: _Connection, event: CloseEvent) -> None:
        connection.closes.append((event.sender, event.code, event.reason))
        if connection.frame is not None:
            connection.frame.json |= {
                "code": event.code,
                "reason": model.one_line(event.reason),
                "meaning": close_code_meaning(1005 if event.code is None else event.code),
                "answer": event.is_answer,
            }

    def _fault(self, connection: _Connection, event: FaultEvent) -> Row | None:
        if any(event.fault is fault for fault in connection.faults):
            return None  # its frame says so
        fault = fault_of(event.fault)
        return Row({"what": "fault", "label": fault[0], "faults": [fault]})

    def _ended(self, connection: _Connection, event: EndedEvent) -> Row | None:
        self.lanes.free_name(connection.lane)
        if not connection.is_upgraded:
            if event.is_clean or connection.request is None:
                return None  # the end of an HTTP exchange: no news
            return Row({"what": "ended", "clean": False, "label": "closed without an answer"})
        client = self.lanes.name(connection.lane)
        label = ending_of(connection.closes, event.is_clean, client)
        code = connection.closes[0][1] if connection.closes and event.is_clean else 1006
        why = model.one_line(connection.evidence.told(client), MAX_WHY)
        return Row(
            {"what": "ended", "clean": event.is_clean, "code": code, "label": label, "why": why}
        )

    def _over(self, connection: _Connection, event: OverEvent) -> Row:
        self.lanes.free_name(connection.lane)
        why = connection.evidence.told(self.lanes.name(connection.lane))
        label = "ended: the record does not say how"
        return Row({"what": "ended", "clean": True, "untold": True, "label": label, "why": why})

    def _dropped(self, connection: _Connection, event: DroppedEvent) -> Row:
        frames = f"{event.frames:,} frames, " if event.frames else ""
        who = self.lanes.name(connection.lane) if event.sender == "client" else "the server"
        why = "nobody read any more" if event.is_unread else "the tape was full"
        label = f"dropped: {frames}{model.size(event.size_bytes)} from {who}; {why}"
        return Row({"what": "dropped", "label": label})


_MAKERS: dict[type[Event], Callable[[Timeline, _Connection, Any], Row | None]] = {
    RequestEvent: Timeline._request,
    ResponseEvent: Timeline._response,
    BodyEvent: Timeline._body,
    FrameEvent: Timeline._frame,
    MessageEvent: Timeline._message,
    PongEvent: Timeline._pong,
    CloseEvent: Timeline._close,
    FaultEvent: Timeline._fault,
    EndedEvent: Timeline._ended,
    OverEvent: Timeline._over,
    DroppedEvent: Timeline._dropped,
}
