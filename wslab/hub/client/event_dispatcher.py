"""A client's conversation with a hub: what comes goes to handlers, waiting calls, or recv().

The shell around `client_session`, for a plain program on threads whose connection lives on a loop.
Its rule: a message is for one of them, and its order is kept. What is said is in `packet_sender`,
who handles what in `handlers`, and the events that wait for it in `handler_queue`. It knows neither
connections nor notebooks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ...failures import FailureLog
from ..protocol.client_events import (
    Acknowledged,
    AnswerReceived,
    CallLost,
    ErrorReceived,
    Event,
    EventReceived,
    EventsDropped,
    Message,
    RawMessage,
    Welcomed,
)
from ..protocol.client_session import ClientSession
from . import event_failure
from .handler_queue import HandlerQueue
from .handlers import Handlers
from .packet_sender import PacketSender

__all__ = ["EventDispatcher"]

MAX_ERRORS = 100
# The hub's own events, by the names that their handlers have.
_OWN = {Welcomed: "welcome", EventsDropped: "dropped", ErrorReceived: "error"}


class EventDispatcher:
    """One client's events, over all its connections.

    Args:
        loop: on which the connection lives.
        token: of the session of a client that comes back; None for one that does not.

    Attributes:
        session, sender, handlers, queue: what it is made of.
        is_claiming: whether events are for handlers, and not for recv().
        gap: why something is missing since the connection before, or None.
        dropped: events that the hub did not send, since this client took them too slowly.
        errors: what handlers let through, and what the hub has reported.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, token: str | None = None) -> None:
        self.session = ClientSession(token)
        self.errors = FailureLog(MAX_ERRORS)
        self.sender = PacketSender(loop, self.session)
        self.handlers = Handlers()
        self.queue = HandlerQueue(loop, self.handlers, self.sender, self.errors)
        self.is_claiming = False
        self.gap: str | None = None
        self.dropped = 0

    def note(self, exc: BaseException, where: str) -> None:
        """Record what a function let through."""
        self.errors.append(event_failure.raised(exc, where))

    # What comes; on the loop.

    def take(self, message: Message) -> list[Message]:
        """Take in a message; return those that are for recv()."""
        return self._take_in(self.sender.receive(message))

    def lost(self) -> list[Message]:
        """Note that a connection has ended and all of it has been read; return as `take`."""
        return self._take_in(self.sender.lost())

    def end(self) -> None:
        """Note that no connection will follow: nobody shall wait any more."""
        self.sender.end()
        self.queue.end()

    def claim(self, event: str, waiting: Iterable[Message]) -> list[Message]:
        """Take in the events of that name that wait for recv().

        Returns:
            The messages that go on waiting.
        """
        remaining: list[Message] = []
        past = ClientSession()
        for each in [each for message in waiting for each in past.receive(message)]:
            if isinstance(each, EventReceived) and self._is_for(event, each):
                self.queue.put(each)
            elif isinstance(each, Welcomed | EventsDropped | ErrorReceived) and (
                not self.is_claiming or _OWN[type(each)] == event
            ):
                self._put_own(each)
            elif not isinstance(each, AnswerReceived | CallLost | Acknowledged):
                remaining += each.messages
        begun = past.begun()  # its binary frames are on their way
        if not self.sender.go_on_from(begun):
            remaining += begun
        self.is_claiming = True
        return remaining

    def _is_for(self, event: str, came: EventReceived) -> bool:
        return came.event == event != "*" or (event == "*" and came.event not in self.handlers)

    def _take_in(self, events: list[Event]) -> list[Message]:
        remaining: list[Message] = []
        for event in events:
            match event:
                case RawMessage(messages):
                    remaining += messages
                case EventReceived():
                    if self.is_claiming:
                        self.queue.put(event)
                    else:
                        remaining += event.messages
                case AnswerReceived() | CallLost():
                    self.sender.settle(event)
                case Welcomed() | EventsDropped() | ErrorReceived():
                    self._note_own(event)
                    if self.is_claiming:
                        self._put_own(event)
                    elif not isinstance(event, Welcomed) or event.is_first:
                        remaining += event.messages
        if events:
            self.sender.make_way()
        return remaining

    def _note_own(self, event: Welcomed | EventsDropped | ErrorReceived) -> None:
        if isinstance(event, EventsDropped):
            self.dropped += event.count
        elif isinstance(event, ErrorReceived):
            self.errors.append(event_failure.told(event))
        elif event.gap is not None:
            self.gap = event.gap

    def _put_own(self, event: Welcomed | EventsDropped | ErrorReceived) -> None:
        """Hand one of the hub's own events to its handler, if there is one."""
        name = _OWN[type(event)]
        if name in self.handlers:
            self.queue.put(EventReceived(name, event.data, None, event.messages))
