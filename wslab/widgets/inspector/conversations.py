"""Conversations: Engine.IO sessions in the timeline: one lane each, and packets in their rows.

Its rule: one session is one lane, that of the connection on which it began, over however many
connections it goes. Left out: which events are a session's, for `wire/layers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...wire.events import Event, RequestEvent
from ...wire.layers.reader import LayerReader, Layers
from ...wire.sender import Sender
from .lanes import FORGET_AT, Key, Lanes
from .layers import faults_of, layers_of

__all__ = ["Conversations", "Part"]

# What Engine.IO itself says, to hear whether anybody is there; a probe has more to it.
_HEARTBEATS = {"ping": "ping", "pong": "pong"}

Json = dict[str, Any]


@dataclass(slots=True)
class _Conversation:
    lane: int
    events: dict[Sender, int] = field(default_factory=dict)  # rows that wait for attachments


class Part(NamedTuple):
    """An event's part in a conversation."""

    conversation: _Conversation
    layers: Layers

    @property
    def lane(self) -> int:
        """The conversation's lane."""
        return self.conversation.lane

    @property
    def has_connection(self) -> bool:
        """Whether all that the connection carries is the conversation's: it is a WebSocket."""
        return self.layers.purpose in ("websocket", "upgrade")

    def put_into(self, row: Json, event: Event) -> None:
        """Put what is known of the event's packets into its row."""
        layers, waiting = self.layers, self.conversation.events
        if layers.goes_on and row["what"] == "ended":
            row["goes_on"] = True
        is_request = isinstance(event, RequestEvent)
        if not (layers.packets or layers.unread or is_request):
            return
        row["layers"] = layers_of(layers, is_request, waiting.get(event.sender))
        if row["what"] == "frame" and not row.get("part"):
            beat = _HEARTBEATS.get(layers.packets[0].says)
            if beat is not None:
                row["keepalive"], row["beat"] = True, beat
        if any(packet.missing for packet in layers.packets):
            waiting[event.sender] = row["id"]
        faults = faults_of(layers)
        if faults:
            row["faults"] = [*row.get("faults", ()), *faults]


class Conversations:
    """Finds the conversations of several tapes.

    Args:
        lanes: of the timeline.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._readers: dict[int, LayerReader] = {}  # by source
        self._known: dict[tuple[int, int], _Conversation] = {}  # by source and session

    def part(self, key: Key, event: Event, lane: int) -> Part | None:
        """Return an event's part in a conversation; None where it has none.

        Args:
            key: its connection.
            event: the next one.
            lane: the connection's.
        """
        source = key[0]
        reader = self._readers.get(source)
        if reader is None:
            reader = self._readers[source] = LayerReader()
        layers = reader.feed(event)
        if layers is None:
            return None
        number = source, layers.session.number
        conversation = self._known.get(number)
        if conversation is None:
            if len(self._known) >= FORGET_AT:
                del self._known[next(iter(self._known))]
            if any(other.lane == lane for other in self._known.values()):  # as behind a proxy
                lane = self._lanes.add_like(lane)
            conversation = self._known[number] = _Conversation(lane)
        return Part(conversation, layers)

    def forget(self) -> None:
        """Let go of what no lane is kept for."""
        known, lanes = self._lanes.connections, self._lanes.by_number
        for source, reader in self._readers.items():
            reader.forget({each for tape, each in known if tape == source})
        self._known = {key: one for key, one in self._known.items() if one.lane in lanes}
