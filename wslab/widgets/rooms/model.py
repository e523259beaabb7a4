"""What there is to see of a Hub, as plain JSON: who is here, and what became of each message.

Pure reading, from any thread, as in `panels.model`: every list is bounded and says what it
leaves out. Columns are clients, in the order in which they came; where there are more than can be
drawn, those that lost or wait for something come first, and the others are summed up in one. Only
who left, and why, has to be written down as it happens (`Departures`), since a hub
forgets whoever is gone.
"""

from __future__ import annotations

import collections
import re
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Any

from ...hub import Delivery, Hub, HubClient, Trace
from ...hub.protocol.life import MEANINGS, TRANSITIONS, LifeEvent, LifeState
from ...hub.protocol.server_session import ServerSession
from ...hub.server.delivery import CLOSING, DROPPED, QUEUED, SENT, SKIPPED
from ...hub.server.hub_client import connection_of
from ..panels import model

__all__ = [
    "KEPT_MESSAGES",
    "OUTCOMES",
    "Departures",
    "MatrixReader",
    "departures_of",
    "hub_look",
    "hub_trouble",
    "label_of",
    "life",
    "trace",
    "who_view",
]

MAX_ROWS = 12
MAX_LEFT = 5
MAX_COLUMNS = 8
MAX_ROOMS = 8
MAX_MESSAGES = 20
MAX_NAMES = 8
MAX_NAME = 40  # characters
KEPT_MESSAGES = 60  # of a trace that a map turns on: with 5,000 clients each is 0.3 MB

OUTCOMES = (SENT, QUEUED, DROPPED, SKIPPED, CLOSING)

Json = dict[str, Any]

_EPOCH_S = time.time() - time.monotonic()
_REPEATED = re.compile(r"""b?["']?(.)\1{15,}["']?""")  # one character, as far as is known
_TEXT = re.compile(r'"text": ?("(?:[^"\\]|\\.)*"?)')


# Who left.


@dataclass(slots=True)
class Departure:
    """A client that is gone; ``at`` is in seconds since the epoch."""

    at: float
    id: str
    name: str
    rooms: tuple[str, ...]
    reason: str
    session: weakref.ref[ServerSession[Any]] | None
    has_returned: bool = False  # and has left again since, which is another departure

    @property
    def state(self) -> LifeState:
        """Where its life has led since: it is away, over, or goes on in another connection."""
        if self.has_returned:
            return LifeState.ADMITTED
        session = self.session() if self.session is not None else None
        return session.state if session is not None else LifeState.GONE


class Departures:
    """Who left a hub, and why, from the moment on that somebody wanted to see it."""

    def __init__(self) -> None:
        self.left: collections.deque[Departure] = collections.deque(maxlen=50)
        self.left_seen = 0
        self.names: dict[str, str] = {}  # of clients that are gone, for the messages that stay

    def note(self, client: HubClient, reason: str) -> None:
        """Write a departure down; on the hub's loop."""
        name = label_of(client)
        self.names[client.id] = name
        while len(self.names) > 500:
            del self.names[next(iter(self.names))]
        session = connection_of(client).session
        kept = weakref.ref(session) if session is not None else None
        for earlier in self.left:
            earlier.has_returned |= kept is not None and earlier.session == kept
        rooms = tuple(sorted(client.rooms))
        self.left.append(Departure(time.time(), client.id, name, rooms, reason, kept))
        self.left_seen += 1


_departures: weakref.WeakKeyDictionary[Hub, Departures] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def departures_of(hub: Hub) -> Departures:
    """Return the one record of a hub, begun when it is asked for first."""
    with _guard:
        record = _departures.get(hub)
        if record is None:
            record = _departures[hub] = Departures()
            hub.leave_listeners.append(record.note)
        return record


def label_of(client: HubClient) -> str:
    """Return what handlers call a client, or else its name in this process, or ""."""
    name = client.name
    if name is None:
        name = getattr(getattr(client.websocket, "traffic", None), "label", None)
    return model.one_line(str(name), MAX_NAME) if name is not None else ""


def trace(hub: Hub) -> Departures:
    """Let a hub note what becomes of each message from now on, unless it does; return its record.

    It costs the hub a line a client and message.
    """
    if hub.trace is None:
        hub.trace = Trace(KEPT_MESSAGES)
    return departures_of(hub)


def _clients(hub: Hub) -> list[HubClient]:
    found = [hub.clients.get(client_id) for client_id in hub.clients]
    return [client for client in found if client is not None]  # one may have left meanwhile


# All of it.


def hub_look(hub: Hub) -> Json:
    """Return what there is to see now: ``view``, ``trouble`` and ``matrix``."""
    record = departures_of(hub)
    return {
        "view": who_view(hub, record),
        "trouble": hub_trouble(hub),
        "matrix": MatrixReader().look(hub, record),
    }


# Who is here.


def who_view(hub: Hub, record: Departures) -> Json:
    """Say who is connected, in which rooms, and who left last.

    Args:
        hub: to look at.
        record: its own, from `departures_of`.
    """
    clients = _clients(hub)
    here = _chosen(clients, MAX_ROWS)
    left = tuple(record.left)[-MAX_LEFT:][::-1]
    earlier = record.left_seen - len(left)
    return {
        "name": model.one_line(hub.name),
        "rows": [_row(client) for client in here],
        "more": _more(clients, here),
        "now": f"{len(clients):,}",
        "rooms": f"{len(hub.rooms):,}",
        "queued": _sum(client.queued for client in clients),
        "dropped": _sum(client.dropped for client in clients),
        "left": [
            {
                "key": f"{one.id}.{one.at}",
                "at": one.at,
                "name": one.name,
                "id": one.id,
                "rooms": _listed(one.rooms),
                "reason": model.one_line(one.reason),
                **_led_to(one.state),
            }
            for one in left
        ],
        "left_more": f"{earlier:,} left before" if earlier > 0 else "",
        "left_seen": f"{record.left_seen:,}",
        "complaints": [f"{code} {count:,}" for code, count in sorted(hub.complaints.items())],
        "limited": [f"{name} {count:,}" for name, count in sorted(hub.limited.items())],
        "handles": ", ".join(sorted(hub.events)) or "nothing yet",
    }


# What has happened, by the state that it led to, of a client that was here before.
_LED: dict[LifeState, LifeEvent] = {
    after: event
    for before in (LifeState.ADMITTED, LifeState.CLOSING, LifeState.AWAY)
    for event, after in TRANSITIONS[before].items()
}


def _led_to(state: LifeState) -> Json:
    event = _LED[state]
    means = f"{MEANINGS[event]}. {state.value}: {MEANINGS[state]}"
    return {"state": f"{event.value} → {state.value}", "means": means}


def life() -> list[Json]:
    """Return what a client's life consists of: each state, what it means, what leads out of it."""
    return [
        {
            "state": state.value,
            "means": MEANINGS[state],
            "next": [
                {"event": event.value, "state": after.value, "means": MEANINGS[event]}
                for event, after in TRANSITIONS[state].items()
            ],
        }
        for state in LifeState
    ]


def _row(client: HubClient) -> Json:
    return {
        "key": client.id,
        "id": client.id,
        "name": label_of(client),
        "state": connection_of(client).state.value,
        "rooms": _listed(sorted(client.rooms)),
        "open": model.duration(client.open_s),
        "received": f"{client.received:,}",
        "sent": f"{client.sent:,}",
        "queued": f"{client.queued:,}",
        "dropped": f"{client.dropped:,}",
    }


def _chosen(clients: list[HubClient], limit: int) -> list[HubClient]:
    if len(clients) <= limit:
        return clients
    slow = [client for client in clients if client.queued or client.dropped][:limit]
    others = [client for client in clients if not client.queued and not client.dropped]
    chosen = {client.id for client in slow + others[: limit - len(slow)]}
    return [client for client in clients if client.id in chosen]


def _more(clients: list[HubClient], here: list[HubClient]) -> str:
    hidden = len(clients) - len(here)
    if hidden <= 0:
        return ""
    drawn = {client.id for client in here}
    slow = sum(bool(c.queued or c.dropped) for c in clients if c.id not in drawn)
    return f"and {hidden:,} more" + (f", {slow:,} of them slow" if slow else "")


def _sum(numbers: Any) -> str:
    total = sum(numbers)
    return f"{total:,}" if total else ""


def _listed(names: Any, limit: int = 4) -> str:
    shown = ", ".join(model.one_line(str(name), MAX_NAME) for name in tuple(names)[:limit])
    return shown + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def hub_trouble(hub: Hub) -> list[Json]:
    """Say what a hub's handlers raised last; empty where all is well."""
    errors = tuple(hub.errors)
    if not errors:
        return []
    last, count = errors[-1], hub.errors_seen
    return [
        {
            "kind": "error",
            "title": "Last error" if count == 1 else f"Last of {count:,} errors",
            "text": model.one_line(str(last), model.MAX_REASON),
            "at": int(last.at),
            "details": last.end_of_traceback(model.MAX_TRACEBACK),
        }
    ]


# What became of each message.


class MatrixReader:
    """Reads a hub's rooms and traced messages as a matrix: a row each, and a column a client.

    What has not changed since the last look is not made anew.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[tuple[Any, ...], Json]] = {}  # by a message's number

    def look(self, hub: Hub, record: Departures) -> Json:
        """Return columns, rooms and messages.

        Args:
            hub: to look at.
            record: its own, from `departures_of`.
        """
        trace = hub.trace
        clients = _clients(hub)
        deliveries: tuple[Delivery, ...] = tuple(trace.deliveries) if trace is not None else ()
        seen = trace.seen if trace is not None else 0
        drawn = deliveries[-MAX_MESSAGES:]
        columns = self._columns(clients, drawn, record)
        ids = tuple(column["id"] for column in columns)
        here = {client.id: client for client in clients}
        rooms = [(room, hub.rooms.get(room, ())) for room in tuple(hub.rooms)[:MAX_ROOMS]]
        first = seen - len(drawn) + 1
        messages = [
            self._message(number, delivery, hub, columns, ids, here, record)
            for number, delivery in enumerate(drawn, first)
        ]
        self._made = {number: self._made[number] for number in range(first, seen + 1)}
        is_here = sum(not column["gone"] for column in columns)
        return {
            "columns": columns,
            "others": len(clients) - is_here,
            "rooms": [_room(room, members, ids) for room, members in rooms],
            "rooms_more": (
                f"and {len(hub.rooms) - MAX_ROOMS:,} more rooms"
                if len(hub.rooms) > MAX_ROOMS
                else ""
            ),
            "messages": messages,
            "before": _before(hub, seen, len(drawn), is_traced=trace is not None),
            "why": _why(hub),
        }

    def _columns(
        self, clients: list[HubClient], drawn: tuple[Delivery, ...], record: Departures
    ) -> list[Json]:
        columns = [
            {"id": client.id, "name": label_of(client), "gone": False}
            for client in _chosen(clients, MAX_COLUMNS)
        ]
        here = {client.id for client in clients}
        gone: dict[str, None] = {}
        for delivery in reversed(drawn):
            if delivery.sender and delivery.sender not in here:
                gone[delivery.sender] = None
            outcomes = delivery.outcomes or {}
            if len(outcomes) <= 4 * MAX_COLUMNS:  # of a crowd nobody gets a column of the gone
                gone.update((id_, None) for id_ in tuple(outcomes) if id_ not in here)
        for client_id in list(gone)[: MAX_COLUMNS - len(columns)]:
            name = record.names.get(client_id, "")
            columns.append({"id": client_id, "name": name, "gone": True})
        return columns

    def _message(
        self,
        number: int,
        delivery: Delivery,
        hub: Hub,
        columns: list[Json],
        ids: tuple[str, ...],
        here: dict[str, HubClient],
        record: Departures,
    ) -> Json:
        shown = tuple((column["name"], column["gone"]) for column in columns)
        version = (delivery.sent, delivery.queued, delivery.dropped, ids, shown)
        old = self._made.get(number)
        if old is not None and old[0] == version:
            return old[1]

        def named(client_id: str) -> str:
            client = here.get(client_id)
            return (label_of(client) if client else record.names.get(client_id)) or client_id

        outcomes = dict(delivery.outcomes or {})
        cells = [outcomes.get(client_id, "") for client_id in ids]
        in_columns = collections.Counter(cells)
        counts = collections.Counter(
            {
                SENT: delivery.sent,
                QUEUED: delivery.queued,
                DROPPED: delivery.dropped,
                SKIPPED: delivery.skipped,
                CLOSING: sum(outcome == CLOSING for outcome in outcomes.values()),
            }
        )
        others = {word: counts[word] - in_columns[word] for word in OUTCOMES}
        to = [
            named(name) if name in here or name in record.names or name in outcomes else name
            for name in delivery.to[:MAX_NAMES]
        ] + list(delivery.to[MAX_NAMES:])
        message = {
            "key": str(number),
            "at": _EPOCH_S + delivery.at_s,
            "event": delivery.event if delivery.event is not None else "raw",
            "preview": _preview(delivery.preview),
            "sender": named(delivery.sender) if delivery.sender else "the program",
            "sender_id": delivery.sender or "",
            "to": _listed(to) if to else "everybody",
            "cells": cells,
            "others": "".join(
                f"{', ' * bool(nth)}{count:,} {word}"
                for nth, (word, count) in enumerate(
                    (word, count) for word, count in others.items() if count > 0
                )
            ),
            "words": _words(outcomes, counts, named, hub),
        }
        self._made[number] = version, message
        return message


def _preview(beginning: str) -> str:
    """Return what there is to read of an event's data: the text in it, if it has one."""
    if beginning == "null":
        return ""
    text = _TEXT.search(beginning) if beginning.startswith("{") else None
    shown = text[1] if text else beginning
    repeated = _REPEATED.fullmatch(shown)
    return model.one_line(f'"{repeated[1]}" over and over' if repeated else shown, 60)


def _room(room: str, members: tuple[HubClient, ...], ids: tuple[str, ...]) -> Json:
    inside = {client.id for client in members}
    cells = [client_id in inside for client_id in ids]
    others = len(inside) - sum(cells)
    return {
        "key": room,
        "room": model.one_line(room, MAX_NAME),
        "count": f"{len(members):,}",
        "cells": cells,
        "others": f"{others:,}" if others else "",
        "words": _named(members),
    }


def _named(clients: tuple[HubClient, ...]) -> str:
    shown = ", ".join(label_of(client) or client.id for client in clients[:MAX_NAMES])
    hidden = len(clients) - MAX_NAMES
    return shown + (f" and {hidden:,} more" if hidden > 0 else "")


def _why(hub: Hub) -> Json:
    backlog = hub.limits.backlog
    dropped = {
        "drop-oldest": f"more than {backlog:,} messages waited, and the oldest had to go",
        "keep-latest": "a later message of the same key took its place",
        "disconnect": "too much waited, and the client was sent away with 1013",
    }
    return {
        SENT: "handed to TCP; that it was read, only an answer tells",
        QUEUED: "waits in the hub, since this client reads too slowly",
        DROPPED: dropped[hub.slow],
        SKIPPED: "left out by skip=",
        CLOSING: "its connection was on its way out",
        "": "not meant for this client: not in the room, or not here then",
    }


def _words(outcomes: dict[str, str], counts: Any, named: Any, hub: Hub) -> str:
    if not outcomes and not any(counts.values()):
        return "nobody was there to get it"
    beginnings = {
        SENT: "sent to",
        QUEUED: "queued for",
        DROPPED: "dropped for",
        SKIPPED: "left out by skip=:",
        CLOSING: "not sent, since the connection was closing, to",
    }
    parts = []
    for word in OUTCOMES:
        if not counts[word]:
            continue
        some = []
        for client_id, outcome in outcomes.items():
            if outcome == word:
                some.append(named(client_id))
                if len(some) == MAX_NAMES:
                    break
        more = counts[word] - len(some)
        if not some:
            parts.append(f"{beginnings[word]} {more:,}")
        else:
            tail = f" and {more:,} more" if more > 0 else ""
            parts.append(f"{beginnings[word]} {', '.join(some)}{tail}")
    return "; ".join(parts)


def _before(hub: Hub, seen: int, drawn: int, *, is_traced: bool) -> str:
    if not is_traced:
        return "Messages are not traced: hub.trace is None."
    parts = []
    if seen > drawn:
        parts.append(f"{seen - drawn:,} older not shown")
    if hub.emitted > seen:
        parts.append(f"{hub.emitted - seen:,} from before tracing began, of which nothing is known")
    return "; ".join(parts)
