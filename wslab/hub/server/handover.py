"""A session that goes on at another process of the hub: its connection here makes way.

Its rule: what is at work for it may come to an end, within the grace that any client who has left
has; what takes longer is cut off, since the other process waits. So nothing of it is handled at two
places at a time.
"""

from __future__ import annotations

import asyncio
import contextlib

from ...calls.waiting import finite
from ..backplane.backplane import Session, SessionHooks
from .hub_context import HubContext

__all__ = ["hooks_of"]

CUT_OFF_S = 1.0  # for a handler that was cancelled to end


def hooks_of(context: HubContext) -> SessionHooks:
    """Return what a backplane may ask of a hub."""

    async def make_way(session: Session) -> None:
        holder = context.holder(session)
        connection = holder.client
        if connection is not None:
            connection.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(finite(context.settings.limits.grace_s)):
                if connection is not None:
                    await connection.say_goodbye()
                async with holder.turn:
                    return
        for leaver in [each for each in context.admission.leavers if each.session is session]:
            leaver.cut_off(None)
        with contextlib.suppress(TimeoutError):  # a thread cannot be cut off
            async with asyncio.timeout(CUT_OFF_S), holder.turn:
                pass

    def fence(session: Session) -> None:
        connection = context.holder(session).client
        if connection is not None and not connection.is_gone:
            context.backplane.status.fenced += 1
            connection.retire()

    def dropped(session: Session) -> tuple[int, ...]:
        connection = context.holder(session).client
        if connection is None or connection.is_gone:  # its session has been told
            return ()
        offsets: tuple[int, ...] = connection.send_queue.untold_offsets
        return offsets

    return SessionHooks(make_way, fence, dropped)
