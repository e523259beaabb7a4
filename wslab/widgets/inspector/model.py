"""Timeline: a tape's events as rows that a page can draw without asking anybody again.

Its rule: a row is plain JSON beside a bounded prefix of its bytes, so that bits, masks and text can
be laid out where it is shown, also while the kernel is busy. Of two records of one connection the
server's is drawn, under the client's name. Left out: reading tapes, counting, and all drawing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ...wire.events import (
    BodyEvent,
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    PongEvent,
    RequestEvent,
    ResponseEvent,
)
from ...wire.frames.close_codes import close_code_meaning
from ...wire.frames.frame import Frame
from ...wire.frames.opcodes import Opcode
from ...wire.frames.violations import Fault
from ...wire.http.accept import derive_accept
from ...wire.http.handshake import Handshake
from ...wire.http.heads import Head, Problem
from ...wire.sender import Sender
from ...wire.tape.tape import Tape, Track
from ..panels import model

__all__ = ["KEEPALIVE_S", "Row", "Timeline", "folded", "moment", "words"]

KEEPALIVE_S = 20.0  # how often websockets asks unless told otherwise
_MIN_LEARNT_S = 5.0  # pings of an unknown rhythm: at least so far apart
_KEYS = 4  # bytes in a keepalive ping of websockets
_MAX_UNANSWERED = 8
MAX_BYTES = 256  # of a payload, and of what it inflates to, that a row carries
MAX_LABEL = 80  # characters
MAX_BODY = 2_000  # characters of an HTTP body
FORGET_AT = 4_000  # connections, lanes and names that are kept without asking who needs them

Json = dict[str, Any]


@dataclass(slots=True)
class Row:
    """One line of the timeline: what JSON can say, and the bytes behind it."""

    json: Json
    data: bytes = b""


@dataclass(slots=True)
class _Connection:
    """What is known of one connection while its events come in."""

    track: Track
    lane: int
    is_drawn: bool
    request: Row | None = None
    frame: Row | None = None
    faults: tuple[Fault, ...] = ()  # of that frame
    parts: dict[Sender, int] = field(default_factory=dict)
    closes: list[tuple[Sender, int | None, str]] = field(default_factory=list)
    is_upgraded: bool = False
    upgraded_s: float = 0.0
    kept_s: dict[Sender, float] = field(default_factory=dict)  # the last ping by a library
    pinged_s: dict[Sender, float] = field(default_factory=dict)  # the last ping
    gaps_s: dict[Sender, float] = field(default_factory=dict)
    unanswered: deque[bytes] = field(default_factory=lambda: deque(maxlen=_MAX_UNANSWERED))


class Timeline:
    """Turns events into rows, one call after the other.

    Args:
        servers: addresses ("host:port") of servers that are inspected themselves: a client's own
            record of a connection to one of them is not drawn, but lends it the client's name.
        intervals_s: how often libraries of ours ping by themselves; such a ping, and its pong, is
            marked ``keepalive``. Another sender's rhythm is learnt from its third ping on.
        is_chosen: asked about each event that is drawn until it is true of one, whose row is
            marked ``chosen``.

    Attributes:
        lanes: by number, one for each client connection and each server that is there or has rows
            (`forget`), as plain JSON.
        texts: what headers are for; rows refer to them by number.
    """

    def __init__(
        self,
        servers: Iterable[str] = (),
        *,
        intervals_s: Iterable[float] = (KEEPALIVE_S,),
        is_chosen: Callable[[int, Event], bool] | None = None,
    ) -> None:
        self._intervals_s = tuple(intervals_s)
        self._is_chosen = is_chosen
        self.lanes: dict[int, Json] = {}
        self._lanes_seen = 0
        self.texts: list[tuple[str, str, str]] = []
        self.ping_s: float | None = None
        self.servers = set(servers)
        self._texts: dict[tuple[str, str, str], int] = {}
        self._connections: dict[tuple[int, str], _Connection] = {}
        self._server_lanes: dict[str, int] = {}
        self._names: dict[tuple[str, str], str] = {}  # addresses of both ends -> client's name
        self._taken: set[str] = set()
        self._new_lanes: set[int] = set()
        self._forget_at = FORGET_AT
        self._rows = 0

    # Who is there.

    def meet(self, source: int, tape: Tape) -> None:
        """Take note of a tape's connections; call it before :meth:`rows`."""
        tracks = tape.connections
        for track in tracks:
            if track.side == "client" and track.label:
                self._names[track.client_address, track.server_address] = track.label
            elif track.side == "server":
                self.servers.add(track.server_address)
        for track in tracks:
            connection = self._connections.get((source, track.connection_id))
            if connection is None:
                self._open(source, track, tape.name)
            elif connection.is_drawn:
                lane = self.lanes[connection.lane]
                name = self._name(track)
                if name and lane["base"] != name:  # it became known only now
                    self._taken.discard(lane["name"])
                    lane |= {"base": name, "name": self._take_name(name)}
                    self._new_lanes.add(connection.lane)

    def forget(self, tapes: Sequence[Tape], rows: Iterable[Row]) -> None:
        """Let go of connections that no tape knows any more, and of lanes without rows.

        Most calls do nothing: it waits until half of what is kept is of no more use.

        Args:
            tapes: in the order of their numbers.
            rows: those that may still be shown.
        """
        if len(self._connections) + len(self.lanes) + len(self._names) < self._forget_at:
            return
        tracks = [(nth, track) for nth, tape in enumerate(tapes) for track in tape.connections]
        known = {(nth, track.connection_id) for nth, track in tracks}
        ends = {(track.client_address, track.server_address) for _, track in tracks}
        self._connections = {key: one for key, one in self._connections.items() if key in known}
        self._names = {key: name for key, name in self._names.items() if key in ends}
        used = {one.lane for one in self._connections.values() if one.is_drawn}
        used |= {row.json["lane"] for row in rows if "lane" in row.json}
        used |= {self.lanes[lane]["server"] for lane in used if "server" in self.lanes[lane]}
        self.lanes = {lane: about for lane, about in self.lanes.items() if lane in used}
        self._new_lanes &= used
        self._server_lanes = {
            address: lane for address, lane in self._server_lanes.items() if lane in used
        }
        open_lanes = {one.lane for one in self._connections.values() if one.is_drawn}
        self._taken &= {self.lanes[lane]["name"] for lane in open_lanes}
        kept = len(self._connections) + len(self.lanes) + len(self._names)
        self._forget_at = max(FORGET_AT, 2 * kept)

    def _name(self, track: Track) -> str:
        ends = (track.client_address, track.server_address)
        return model.one_line(track.label or (self._names.get(ends, "") if all(ends) else ""))

    def _open(self, source: int, track: Track, tape_name: str | None) -> None:
        key = source, track.connection_id
        if track.side == "client" and track.server_address in self.servers:
            self._connections[key] = _Connection(track, -1, is_drawn=False)
            return
        address = track.server_address or f"tape {source}"
        server = self._server_lanes.get(address)
        if server is None:
            is_ours = track.side == "server"
            server = self._server_lanes[address] = self._add_lane(
                side="server",
                name=model.one_line((tape_name if is_ours else "") or "server"),
                sub=f":{address.rpartition(':')[2]}" if is_ours and ":" in address else address,
            )
        name = self._name(track)
        lane = self._add_lane(
            side="client",
            server=server,
            base=name or f"id {track.connection_id}",
            name=self._take_name(name or f"id {track.connection_id}"),
            sub=f"id {track.connection_id}" if name else track.client_address,
        )
        self._connections[key] = _Connection(track, lane, is_drawn=True)

    def _add_lane(self, **lane: Any) -> int:
        number, self._lanes_seen = self._lanes_seen, self._lanes_seen + 1
        self._new_lanes.add(number)
        self.lanes[number] = lane
        return number

    def _take_name(self, name: str) -> str:
        """Return a name that no other open connection has."""
        number, free = 1, name
        while free in self._taken:
            number += 1
            free = f"{name} ({number})"
        self._taken.add(free)
        return free

    def lanes_of(self, rows: Iterable[Row]) -> dict[int, Json]:
        """Return the lanes that some rows are on."""
        self._new_lanes.clear()
        used = {row.json["lane"] for row in rows if "lane" in row.json}
        used |= {self.lanes[lane]["server"] for lane in used}
        return {lane: self.lanes[lane] for lane in sorted(used)}

    def take_new_lanes(self) -> dict[int, Json]:
        """Return the lanes that are new, or named anew, since the last call."""
        new, self._new_lanes = self._new_lanes, set()
        return {lane: self.lanes[lane] for lane in sorted(new)}

    # Events to rows.

    def rows(self, source: int, events: Iterable[Event], offset_s: float = 0.0) -> list[Row]:
        """Return the rows of one tape's events; some events only complete a row that is there.

        Args:
            source: the tape's number, as given to :meth:`meet`.
            events: in the order in which they happened.
            offset_s: to add to their times, where several tapes are shown together.
        """
        rows: list[Row] = []
        for event in events:
            connection = self._connections.get((source, event.connection_id))
            make = _MAKERS.get(type(event))
            if connection is None or not connection.is_drawn or make is None:
                continue
            row = make(self, connection, event)
            if row is not None:
                self._number(row, event, connection, offset_s)
                rows.append(row)
            drawn = row or connection.frame
            if drawn and self._is_chosen is not None and self._is_chosen(source, event):
                drawn.json["chosen"] = True
                self._is_chosen = None
        return rows

    def _number(self, row: Row, event: Event, connection: _Connection, offset_s: float) -> None:
        self._rows += 1
        row.json |= {
            "id": self._rows,
            "at": round(event.at_s + offset_s, 6),
            "lane": connection.lane,
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
                json["handshake"] = _handshake(handshake)
        if response.body:
            json["body"] = _shown_body(response.body)
            json["size"] = len(response.body)
        connection.is_upgraded = response.status == 101
        connection.upgraded_s = event.at_s
        connection.request = None
        return Row(json)

    def _head(self, head: Head) -> Json:
        return {
            "start": model.one_line(head.start_line),
            "size": len(head.raw),
            "headers": [
                [
                    header.name,
                    _clip(header.value, 400),
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
                "label": _clip(model.one_line(text), MAX_LABEL),
                "size": len(event.data),
                "body": _shown_body(event.data),
            }
        )

    def _frame(self, connection: _Connection, event: FrameEvent) -> Row:
        frame = event.frame
        payload, content = frame.payload_raw[:MAX_BYTES], b""
        json: Json = {
            "what": "frame",
            "kind": frame.kind,
            "n": event.number,
            "label": _label(frame),
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
        if frame.opcode in (Opcode.PING, Opcode.PONG) and self._keeps_alive(connection, event):
            json["keepalive"] = True
        if frame.faults:
            json["faults"] = [_fault(fault) for fault in frame.faults]
        json["bytes"] = [len(frame.header), len(payload), len(content)]
        row = Row(json, frame.header + payload + content)
        connection.frame, connection.faults = row, frame.faults
        return row

    def _keeps_alive(self, connection: _Connection, event: FrameEvent) -> bool:
        """Tell whether a library sent this ping by itself, or whether this pong answers such a one.

        Nothing in a ping says so, but its moment does: so long after the opening, or after the last
        one, as its sender is known to wait.
        """
        payload, sender = event.frame.payload, event.sender
        if event.opcode == Opcode.PONG:
            if payload not in connection.unanswered:
                return False
            connection.unanswered.remove(payload)
            return True
        since_s = event.at_s - connection.kept_s.get(sender, connection.upgraded_s)
        is_known = len(payload) == _KEYS and any(
            since_s > 0.5 * each and _is_about(since_s, each * round(since_s / each), each)
            for each in self._intervals_s
        )
        gap_s = event.at_s - connection.pinged_s.get(sender, connection.upgraded_s)
        before_s = connection.gaps_s.get(sender, 0.0)
        is_learnt = before_s >= _MIN_LEARNT_S and _is_about(gap_s, before_s, before_s)
        connection.pinged_s[sender], connection.gaps_s[sender] = event.at_s, gap_s
        if is_known:
            connection.kept_s[sender] = event.at_s
        if is_known or is_learnt:
            connection.unanswered.append(payload)
        return is_known or is_learnt

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
        fault = _fault(event.fault)
        return Row({"what": "fault", "label": fault[0], "faults": [fault]})

    def _ended(self, connection: _Connection, event: EndedEvent) -> Row | None:
        self._taken.discard(self.lanes[connection.lane]["name"])
        if not connection.is_upgraded:
            if event.is_clean or connection.request is None:
                return None  # the end of an HTTP exchange: no news
            return Row({"what": "ended", "clean": False, "label": "closed without an answer"})
        client = self.lanes[connection.lane]["name"]
        label = _ending(connection.closes, event.is_clean, client)
        code = connection.closes[0][1] if connection.closes and event.is_clean else 1006
        return Row({"what": "ended", "clean": event.is_clean, "code": code, "label": label})

    def _dropped(self, connection: _Connection, event: DroppedEvent) -> Row:
        frames = f"{event.frames:,} frames, " if event.frames else ""
        who = self.lanes[connection.lane]["name"] if event.sender == "client" else "the server"
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
    DroppedEvent: Timeline._dropped,
}


def _label(frame: Frame) -> str:
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
        return _clip(model.one_line(text), MAX_LABEL)
    if opcode in (Opcode.PING, Opcode.PONG) and data and data.isascii():
        text = data.decode("ascii")
        if text.isprintable():
            return _clip(text, MAX_LABEL)
    return data[:12].hex(" ") + (" …" if len(frame.payload_raw) > 12 else "")


def _beginning(frame: Frame) -> bytes:
    key = frame.mask_key
    data = frame.payload_raw[:MAX_BYTES]
    if key is None:
        return data
    return bytes(byte ^ key[i & 3] for i, byte in enumerate(data[: MAX_LABEL * 2]))


def _clip(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def _shown_body(body: bytes) -> str:
    return _clip(body[: MAX_BODY * 2].decode("utf-8", "replace"), MAX_BODY)


def _fault(fault: Fault | Problem) -> list[str]:
    if isinstance(fault, Fault):
        return [fault.rule, fault.reference, fault.message]
    return [fault.rule, fault.section, fault.message]


def _handshake(handshake: Handshake) -> Json:
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


def _ending(closes: list[tuple[Sender, int | None, str]], is_clean: bool, client: str) -> str:
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


def _is_about(seconds: float, wanted_s: float, interval_s: float) -> bool:
    return abs(seconds - wanted_s) <= 0.05 * interval_s + 0.02


# Words that the static forms share.


def folded(rows: Iterable[Json]) -> list[Json]:
    """Return rows with each run of keepalive pings and pongs as one row, which says how many."""
    lines: list[Json] = []
    run: list[Json] = []
    for row in rows:
        if row.get("keepalive"):
            run.append(row)
            continue
        if run:
            lines.append(_fold(run))
            run = []
        lines.append(row)
    return [*lines, _fold(run)] if run else lines


def _fold(run: list[Json]) -> Json:
    before: dict[Any, float] = {}
    gaps_s = []
    for row in run:
        if row["kind"] == "ping":
            who = row["lane"], row["by"]
            if who in before:
                gaps_s.append(row["at"] - before[who])
            before[who] = row["at"]
    line: Json = {"what": "keepalive", "id": run[0]["id"], "at": run[-1]["at"], "frames": len(run)}
    line |= {"from": run[0]["at"], "pings": sum(row["kind"] == "ping" for row in run)}
    return line | {"every": median(gaps_s) if gaps_s else 0.0}


def moment(at_s: float) -> str:
    """Return a time on the tape: "304 ms", "1.204 s", "2:05.310"."""
    if at_s < 0.9995:
        return f"{at_s * 1e3:.0f} ms"
    if at_s < 59.9995:
        return f"{at_s:.3f} s"
    minutes, seconds = divmod(round(at_s * 1000), 60_000)
    if minutes < 60:
        return f"{minutes}:{seconds / 1000:06.3f}"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds // 1000:02}"


def words(row: Json) -> str:
    """Return what a row says, in one line."""
    what, label = row["what"], str(row.get("label", ""))
    if what == "frame":
        return _frame_words(row)
    if what == "request":
        return label + (" Upgrade: websocket" if row["upgrade"] else "")
    if what == "passed":
        return f"{row['frames']:,} frames not drawn; all are counted"
    if what == "keepalive":
        return _keepalive_words(row)
    if what == "body":
        return f"{model.size(row['size'])} of body {label}"
    if what == "fault":
        return f"fault: {label} ({row['faults'][0][1]})"
    return label


def _keepalive_words(row: Json) -> str:
    pings, pongs = row["pings"], row["frames"] - row["pings"]
    said = " and ".join(
        f"{count:,} {word}{'' if count == 1 else 's'}"
        for count, word in ((pings, "ping"), (pongs, "pong"))
        if count
    )
    return f"{said}, {row['every']:.3g} s apart" if row["every"] else f"keepalive: {said}"


def _frame_words(row: Json) -> str:
    kind, parts = row["kind"], [model.size(row["wire"])]
    if "part" in row:
        whole = row.get("whole")
        of = f" of {whole['parts']}" if whole else ""
        more = "" if whole else ", more follows"
        kind = f"{row.get('message', kind)}, part {row['part']}{of}{more}"
    label = f'"{row["label"]}"' if row.get("message") == "text" else row["label"]
    if row["kind"] == "close":
        label = str(row.get("code") or "without a code")
        label += f' "{row["reason"]}"' if row.get("reason") else ""
    if row.get("cut"):
        parts.append(f"{model.size(row['cut'])} of it not kept")
    if row.get("compressed"):
        parts.append("compressed")
    if "rtt" in row:
        parts.append(f"answered in {model.round_trip(row['rtt'])}")
    parts += [f"breaks {fault[0]}" for fault in row.get("faults", ())]
    return ", ".join([f"{kind} {label}".strip(), *parts])
