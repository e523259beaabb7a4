"""How a client leaves: ``disconnect`` runs once, and what is at work of it is let go of in time.

Its rule: whoever has left holds nothing for long. A handler at work may go on for the grace; longer
only where its client may come back for the answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from ...calls.waiting import finite
from .admission import Leaver
from .connection_session import ConnectionSession
from .hub_context import HubContext
from .link import Link
from .packet_handler import PacketHandler

__all__ = ["Departing", "Departure"]


class Departing(Leaver, Protocol):
    """Who leaves: a connection."""

    client: Any
    context: HubContext
    link: Link
    session_part: ConnectionSession
    packet_handler: PacketHandler

    @property
    def was_here(self) -> bool:
        """Whether ``connect`` has let it in, or it was admitted before that."""

    @property
    def is_continued(self) -> bool:
        """Whether another connection that is open has its session now."""


class Departure:
    """One connection's; on the hub's loop only.

    Args:
        departing: the connection.

    Attributes:
        task: the one that runs the client's handlers, while it does.
        words: why it was sent away, in words; None where it left by itself.
        is_cut: whether the task was cancelled because of this.
    """

    __slots__ = ("_departing", "_goodbye", "_grace", "_left_s", "is_cut", "task", "words")

    def __init__(self, departing: Departing) -> None:
        self._departing = departing
        self._goodbye: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._left_s = 0.0
        self.task: asyncio.Task[Any] | None = None
        self.words: str | None = None
        self.is_cut = False

    @property
    def has_said_goodbye(self) -> bool:
        """Whether ``disconnect`` has begun."""
        return self._goodbye is not None

    @property
    def reason(self) -> str:
        """Why it has left, in words."""
        if self.words is not None:
            return self.words
        close = self._departing.link.closed
        if close is None:
            return "the connection broke off (1006)"
        who = "the client" if close.is_by_client else "this side"
        return f"closed by {who} with {close.code}" + (f" ({close.reason})" if close.reason else "")

    def begin(self, *, is_closing: bool, is_taking: bool, is_welcome: bool) -> None:
        """Give a handler at work its grace; where none is, say goodbye.

        Args:
            is_closing: nothing more is taken of it.
            is_taking: a handler is at work for one of its messages.
            is_welcome: ``connect`` has returned.
        """
        self._left_s = time.monotonic()
        if self.task is None or self.task.get_loop() is not asyncio.get_running_loop():
            return
        self._allow_grace()
        context = self._departing.context
        if is_closing and not is_taking:
            _ = context.loop.start(self.say_goodbye())
        if is_taking or not is_welcome:
            context.admission.left_at_work(self._departing)

    async def say_goodbye(self) -> None:
        """Let ``disconnect`` run, once; its task outlives whoever waits for it here."""
        if self._goodbye is None and self._departing.was_here:
            self._goodbye = self._departing.context.loop.start(self._disconnected(self.reason))
        if self._goodbye is not None:
            await asyncio.shield(self._goodbye)

    async def _disconnected(self, reason: str) -> None:
        departing = self._departing
        for tell in tuple(departing.context.leave_listeners):
            tell(departing.client, reason)
        handler = departing.context.handlers.by_event.get("disconnect")
        if handler is not None:
            await departing.packet_handler.run(handler, reason)

    def _allow_grace(self, least_s: float = 0.0) -> None:
        grace_s = finite(max(self._departing.context.settings.limits.grace_s, least_s))
        if grace_s is not None:
            self._grace = asyncio.get_running_loop().call_later(grace_s, self._end_grace)

    def _end_grace(self) -> None:
        # What is still at work of it works for nobody, unless it may come back for the answer.
        self._grace = None
        if self.task is None:
            return
        departing = self._departing
        _ = departing.context.loop.start(self.say_goodbye())
        most_s = departing.context.settings.limits.gone_handler_s
        if not (departing.session_part.may_come_back() and departing.link.is_served):
            self.cut_off(None)
        elif not departing.is_continued and time.monotonic() - self._left_s > most_s:
            self.cut_off("gone_handler_s")
        else:
            self._allow_grace(0.1)

    def cut_off(self, limit: str | None) -> None:
        """Cancel what is at work of it; say which limit it was, if one."""
        context = self._departing.context
        context.admission.leavers.pop(self._departing, None)
        if self.task is None or self.is_cut:
            return
        if limit is not None:
            context.limited[limit] += 1
        _ = context.loop.start(self.say_goodbye())
        self.is_cut = True
        self.task.cancel()

    def end(self) -> None:
        """Stop waiting: its task has ended."""
        self.task = None
        if self._grace is not None:
            self._grace.cancel()
