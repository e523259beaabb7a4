"""Sent: the messages that one side has sent, as a list that remembers the conversation.

Its rule: it is a list, equal to any list of the same texts and bytes; the frames around them are
for whoever has to say why it is not equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..events import Event, MessageEvent
from ..sender import SENDERS, Sender
from .conversation import conversation
from .recorder import Recorder

__all__ = ["Sent", "check_sender", "ids_of", "labels_of"]


class Sent(list[str | bytes]):
    """The messages that one side sent, in order: str for text, bytes for binary.

    Args:
        events: all that was on the tape.
        sender: whose messages.
        labels: what views call the clients, by the connection's id.
    """

    def __init__(
        self, events: list[Event], sender: Sender, labels: Mapping[str, str | None]
    ) -> None:
        super().__init__(
            event.data
            for event in events
            if isinstance(event, MessageEvent) and event.sender == sender
        )
        self.sender = sender
        self._events = events
        self._labels = labels

    @property
    def conversation(self) -> str:
        """What both sides said, a line a frame: the last 40."""
        return conversation(self._events, self._labels)


def check_sender(sender: str) -> None:
    """Refuse what is neither side.

    Raises:
        ValueError: it is not "client" or "server".
    """
    if sender not in SENDERS:
        raise ValueError(f'expected "client" or "server", got {sender!r}')


def labels_of(recorder: Recorder) -> dict[str, str | None]:
    """Return what views call the clients of a tape, by the connection's id."""
    return {track.connection_id: track.label for track in recorder.tracks}


def ids_of(recorder: Recorder, connection: str | None) -> set[str]:
    """Return the ids of the connections that go by an id or a label; of all for None."""

    def found() -> Iterator[str]:
        for track in recorder.tracks:
            if connection is None or connection in (track.connection_id, track.label):
                yield track.connection_id

    return set(found())
