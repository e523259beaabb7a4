"""What there is to see of two nodes, their clients and a Redis: lanes, and who said what to whom.

Pure reading, from any thread: a reader for each tape goes on where it stopped. Its rule: one order,
by the time at which this process saw each thing, and bounded: older rows are counted and let go.
Keepalive, handshakes and what brought nothing are counted, not drawn.
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...client.client import Client
from ...machines import Node, RedisServer
from ...machines.line import Front
from ...notebook import cells
from ...wire.events import EndedEvent, Event, FrameEvent
from ...wire.tape.reader import TapeReader
from .redis_talk import Exchange, RedisTalk

__all__ = ["REDIS", "Look", "Row"]

MAX_ROWS = 200  # that are kept
MAX_LABEL = 160  # characters

# The lanes, from left to right.
CLIENTS = (0, 4)
NODES = (1, 3)
REDIS = 2

Json = dict[str, Any]


@dataclass(slots=True)
class Row:
    """One thing that happened; ``start`` and ``end`` are lanes, and one where it is a state."""

    key: str
    at_s: float
    start: int
    end: int
    kind: str  # "ws", "redis", "push", "line", "state"
    label: str
    exchange: Exchange | None = None


@dataclass(slots=True)
class _Known:
    """How far a client's tape was read."""

    client: weakref.ref[Client]
    reader: TapeReader


class Look:
    """Looks again and again at the same nodes and Redis.

    Args:
        nodes: one or two.
        redis: between them; None where they share nothing.
        front: the one address of them; None where each has its own.
    """

    def __init__(
        self, nodes: Sequence[Node], redis: RedisServer | None, front: Front | None = None
    ) -> None:
        self.nodes, self.redis, self.front = tuple(nodes), redis, front
        self._talk = RedisTalk(redis.tape) if redis is not None else None
        self._rows: list[Row] = []
        self._count = 0
        self._seen = 0
        self._quiet = 0
        self._known: dict[int, _Known] = {}
        self._ended: set[tuple[str, float]] = set()
        self._notes_s = dict.fromkeys((node.name for node in nodes), 0.0)
        self._is_over = False
        self._redis_pid = redis.pid if redis is not None else None

    # What has happened.

    def rows(self) -> list[Row]:
        """Return what is kept, oldest first, with what has happened since the last look."""
        new = [*self._of_redis(), *self._of_clients(), *self._of_lines(), *self._of_processes()]
        # A node that was told to end says goodbye to everybody: that is not what is looked at, and
        # would push all that is out of the picture.
        end_s = min((node.ending_at for node in self.nodes if node.ending_at), default=math.inf)
        new = [row for row in new if row.at_s < end_s]
        self._is_over = end_s < math.inf
        self._seen += len(new)
        self._rows = sorted([*self._rows, *new], key=lambda row: row.at_s)[-MAX_ROWS:]
        return self._rows

    def _row(
        self, at_s: float, start: int, end: int, kind: str, label: str, of: Exchange | None = None
    ) -> Row:
        self._count += 1
        return Row(str(self._count), at_s, start, end, kind, _cut(label), of)

    def _lane(self, name: str) -> int:
        return next((NODES[n] for n, node in enumerate(self.nodes[:2]) if node.name == name), 1)

    def _lane_of_line(self, label: str) -> int | None:
        for nth, node in enumerate(self.nodes[:2]):
            if node.redis_line is not None and node.redis_line.label == label:
                return NODES[nth]
        return None  # of other nodes, at the same Redis

    def _of_redis(self) -> Iterator[Row]:
        for one in self._talk.look() if self._talk is not None else ():
            node = self._lane_of_line(one.node)
            if one.is_quiet or node is None:
                self._quiet += node is not None
                continue
            comes = one.is_push or one.waits
            ends = (REDIS, node) if comes else (node, REDIS)
            yield self._row(one.at_s, *ends, "push" if comes else "redis", " ".join(one.words), one)

    def _of_clients(self) -> Iterator[Row]:
        for thing in cells.things():
            if isinstance(thing, Client) and thing.tape is not None and self._is_ours(thing):
                known = self._known.get(id(thing))
                if known is None or known.client() is not thing:
                    self._known[id(thing)] = _Known(weakref.ref(thing), thing.tape.reader())
        for key, known in list(self._known.items()):
            client = known.client()
            if client is None:
                del self._known[key]
            elif client.tape is not None:
                for event in known.reader.poll():
                    yield from self._of_client(client, event, client.tape.began_at)

    def _is_ours(self, client: Client) -> bool:
        urls = [node.url for node in self.nodes] + ([self.front.url] if self.front else [])
        return any(url and client.url.startswith(url) for url in urls)

    def _of_client(self, client: Client, event: Event, began_s: float) -> Iterator[Row]:
        said = _said(event)
        if said is None:
            self._quiet += isinstance(event, FrameEvent)
            return
        nth = self._node_of(client, event.connection_id)
        ends = (CLIENTS[nth], NODES[nth])
        start, end = ends if event.sender == "client" else ends[::-1]
        if isinstance(event, EndedEvent):
            start = end = CLIENTS[nth]
        kind = "state" if start == end else "ws"
        yield self._row(began_s + event.at_s, start, end, kind, f"{client.name}: {said}")

    def _node_of(self, client: Client, connection_id: str) -> int:
        """Return which node carries a connection: by its URL, or by what the front did with it."""
        for nth, node in enumerate(self.nodes):
            if node.url and client.url.startswith(node.url):
                return nth
        tracks = client.tape.connections if client.tape is not None else ()
        for track in tracks:
            if track.connection_id == connection_id and self.front is not None:
                port = int(track.client_address.rpartition(":")[2] or 0)
                target = self.front.relay.ports.get(port, ("", 0))
                for nth, node in enumerate(self.nodes):
                    if node.url.endswith(f":{target[1]}/"):
                        return nth
        return 0

    def _of_lines(self) -> Iterator[Row]:
        for node in self.nodes:
            if node.redis_line is None:
                continue
            for note in tuple(node.redis_line.relay.notes):
                if note.at_s > self._notes_s[node.name]:
                    self._notes_s[node.name] = note.at_s
                    lost = f", {note.lost_bytes:,} bytes lost" if note.lost_bytes else ""
                    words = f"the line of {node.name} is {note.what}{lost}"
                    yield self._row(note.at_s, self._lane(node.name), REDIS, "line", words)

    def _of_processes(self) -> Iterator[Row]:
        for one in (*self.nodes, *([self.redis] if self.redis else [])):
            is_alive, ended_at = one.is_alive, one.ended_at
            lane = REDIS if one is self.redis else self._lane(one.name)
            if not is_alive and ended_at and (one.name, ended_at) not in self._ended:
                self._ended.add((one.name, ended_at))
                yield self._row(ended_at, lane, lane, "state", f"{one.name}: {one.status}")
            if one is self.redis and is_alive and one.pid != self._redis_pid:
                if self._redis_pid is not None:
                    words = f"{one.name}: started again"
                    yield self._row(time.time(), lane, lane, "state", words)
                self._redis_pid = one.pid

    # What is drawn.

    def view(self, most: int) -> Json:
        """Return what there is to see now.

        Args:
            most: rows that are drawn, the latest; the others are counted.
        """
        rows = self.rows()
        drawn = rows[-most:]
        began_s = rows[0].at_s if rows else 0.0
        earlier = self._seen - len(drawn)
        notes = []
        if earlier > 0:
            notes.append(f"{earlier:,} earlier {'row' if earlier == 1 else 'rows'} not drawn")
        if self._quiet:
            notes.append(f"{self._quiet:,} that only keep a connection folded away")
        if self._is_over:
            notes.append("its nodes were told to end: what came after that is not drawn")
        if self._talk is not None and self._talk.unread:
            notes.append(f"{self._talk.unread:,} connections to Redis not understood any more")
        return {
            "lanes": self._lanes(),
            "rows": [_drawn(row, began_s) for row in drawn],
            "notes": notes,
        }

    def _lanes(self) -> list[Json]:
        lanes: list[Json] = [{"name": "", "state": "", "note": "", "act": ""} for _ in range(5)]
        for nth, node in enumerate(self.nodes[:2]):
            lanes[CLIENTS[nth]] = _lane("clients", "", ", ".join(self._names(nth)) or "nobody")
            is_cut = node.redis_line is not None and node.redis_line.is_cut
            note = "its line is cut" if is_cut else ""
            lanes[NODES[nth]] = _process(node, note, "kill" if node.is_alive else "")
        if self.redis is None:
            lanes[REDIS] = _lane("(nothing)", "", "between them")
        else:
            act = "kill" if self.redis.is_alive else "start"
            lanes[REDIS] = _process(self.redis, "", act)
        return lanes

    def _names(self, nth: int) -> list[str]:
        names = []
        for known in self._known.values():
            client = known.client()
            if client is None or client.state.name != "OPEN":
                continue
            tracks = client.tape.connections if client.tape is not None else ()
            if tracks and self._node_of(client, tracks[-1].connection_id) == nth:
                names.append(client.name)
        return names


def _said(event: Event) -> str | None:
    """Return what an event of a WebSocket says, or None where it is not for the picture."""
    if isinstance(event, EndedEvent):
        return "TCP has ended"
    if not isinstance(event, FrameEvent) or event.opcode in (9, 10):
        return None
    if event.opcode == 8:
        payload = event.payload or b""
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else ""
        return f"close {code} {bytes(payload[2:]).decode('utf-8', 'replace')}".strip()
    return event.text if event.text is not None else f"{len(event.payload or b''):,} bytes"


def _drawn(row: Row, began_s: float) -> Json:
    one = row.exchange
    answer = one.answer if one is not None else None
    if one is not None and one.waits:
        label = f"{one.verb} brings {answer}"
    else:
        label = row.label + (f"  = {answer}" if answer is not None else "")
    return {
        "key": row.key,
        "at": f"{row.at_s - began_s:.3f} s",
        "from": row.start,
        "to": row.end,
        "kind": row.kind,
        "label": _cut(label),
    }


def _process(one: Node | RedisServer, note: str, act: str) -> Json:
    state = "open" if one.is_alive else "broken"
    return {**_lane(one.name, state, note or one.status), "act": act}


def _lane(name: str, state: str, note: str) -> Json:
    return {"name": name, "state": state, "note": note, "act": ""}


def _cut(text: str) -> str:
    text = " ".join(text.split("\n"))
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"
