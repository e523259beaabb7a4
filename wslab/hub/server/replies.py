"""What a hub says to one client by itself: welcome, answers, complaints, what has come.

Its rule: answers and what tells of a loss are never dropped; a complaint may be. An answer to a
numbered packet is kept in the session, and goes to whichever connection has that now. What other
processes of the hub must know before the client does is recorded first.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..dialects.dialect import Payloads
from ..protocol.packets import Packet
from ..protocol.server_session import ACKNOWLEDGE_S
from .connection_session import ConnectionSession
from .hub_context import HubContext
from .link import Link
from .prepared_message import PreparedMessage
from .send_queue import SendQueue

__all__ = ["Replies", "Speaker", "cut"]


class Speaker(Protocol):
    """Whose replies they are: a connection."""

    id: str
    context: HubContext
    link: Link
    send_queue: SendQueue
    session_part: ConnectionSession
    replies: Replies

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said."""

    def send_away(
        self, code: int, reason: str, *, ends_session: bool, word: PreparedMessage | None = None
    ) -> None:
        """Part with the client."""


class Replies:
    """One connection's; on the hub's loop only.

    Args:
        speaker: the connection.
    """

    __slots__ = ("_acknowledging", "_dialect", "_speaker")

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._dialect = speaker.link.dialect
        self._acknowledging: asyncio.TimerHandle | None = None

    def send(self, payloads: Payloads) -> None:
        """Say what must not be dropped."""
        self._speaker.send_queue.put(PreparedMessage(*payloads), is_essential=True)

    def welcome(self, fields: Mapping[str, Any]) -> None:
        """Say the first that is said to a client."""
        self.send(self._dialect.welcome(fields))

    def dropped(self, count: int, offset: int | None) -> None:
        """Say how many events it will never get: what tells of a loss must not be lost itself."""
        self.send(self._dialect.dropped(count, offset))

    def lost(self, count: int) -> PreparedMessage:
        """Return the message that says so, for whoever sends it in its place."""
        return PreparedMessage(*self._dialect.dropped(count))

    def answer(self, packet: Packet, data: Any) -> None:
        """Answer a packet.

        Raises:
            TypeError, ValueError: JSON cannot hold the data.
        """
        assert packet.id is not None
        dumps = self._speaker.context.settings.dumps
        self._answer(packet, self._dialect.answer(packet.id, data, dumps))

    def _answer(self, packet: Packet, payloads: Payloads) -> None:
        backplane, part = self._speaker.context.backplane, self._speaker.session_part
        session, holder = part.session, part.holder
        if session is not None and holder is not None and session.awaits_answer(packet):
            text, binary = payloads
            assert isinstance(text, str)  # of a dialect whose packets have numbers
            kept = text.encode(), binary
            size_bytes = len(kept[0]) + sum(map(len, binary))
            then = functools.partial(holder.send, kept)
            backplane.keep_answer(session, kept, size_bytes, then)
        elif session is not None and session.recorded is not None and not session.is_gone:
            backplane.record(session, functools.partial(self._send_if_open, payloads))
        else:
            self._send_if_open(payloads)

    def _send_if_open(self, payloads: Payloads) -> None:
        if self._speaker.is_open:
            self.send(payloads)

    def answer_again(self, packet: Packet, kept: tuple[bytes, Sequence[bytes]] | None) -> None:
        """Answer a packet that came before, as it was answered then."""
        part = self._speaker.session_part
        if kept is not None and part.session is not None and part.holder is not None:
            record = self._speaker.context.backplane.record
            record(part.session, functools.partial(part.holder.send, kept))
        else:
            self.complain(
                "failed", "it was answered before, and the answer is no longer kept", packet
            )

    def complain(self, code: str, message: str, packet: Packet | None = None) -> None:
        """Say what was wrong: as the answer where its client waits for one, else as an event."""
        self._speaker.context.complaints[code] += 1
        if packet is not None and packet.id is not None:
            self._answer(packet, self._dialect.error(code, message, answer=packet.id))
        elif self._speaker.is_open:
            event = packet.event if packet is not None else None
            error = self._dialect.error(code, message, event=event)
            self._speaker.send_queue.put(PreparedMessage(*error))
        if code in self._dialect.ends_with:
            self._speaker.send_away(self._dialect.ends_with[code], cut(message), ends_session=True)

    def failed(self, exc: BaseException, where: str, packet: Packet | None) -> None:
        """Say that a handler has failed, and have it recorded."""
        speaker = self._speaker
        failure = speaker.context.failures.record(exc, where, speaker.id, speaker.link.address)
        shown = speaker.context.settings.show_errors
        self.complain("failed", failure.summary if shown else "the handler failed", packet)

    def acknowledge_soon(self, is_due: bool) -> None:
        """Say which numbered packets have come: now, or within ACKNOWLEDGE_S."""
        if is_due:
            self._acknowledge()
        elif self._acknowledging is None:
            loop = asyncio.get_running_loop()
            self._acknowledging = loop.call_later(ACKNOWLEDGE_S, self._acknowledge)

    def _acknowledge(self) -> None:
        self.close()
        session = self._speaker.session_part.session
        if session is not None and self._speaker.is_open:
            self._speaker.context.backplane.record(session, self._say_received)

    def _say_received(self) -> None:
        session = self._speaker.session_part.session
        if session is not None and self._speaker.is_open:
            self.send(self._dialect.received(session.receipt))

    def close(self) -> None:
        """Say of no further packet that it has come."""
        if self._acknowledging is not None:
            self._acknowledging.cancel()
            self._acknowledging = None


def cut(reason: str) -> str:
    """Return as much of a reason as a close frame holds (RFC 6455 §5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
