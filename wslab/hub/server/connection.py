"""One connection to a hub, from its coming to its going.

Its rule: one task a client, the one that the server runs the handler in; it takes the client's
messages in order, one at a time. A second one exists only while somebody waits for the client's
answer and that first one is busy in a handler. A client is admitted (listed, told "welcome") when
its ``connect`` handler has returned, or at the first join, emit or call in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable, Iterable
from typing import Any

from ...errors import ClientGone
from ...identity.expiry import Expiry
from ...identity.verdict import EXPIRED, too_late
from ..backplane.backplane import Session
from ..backplane.member import Member
from ..dialects.dialect import Said
from ..protocol.life import LifeEvent, LifeState, next_state
from ..protocol.packets import Packet
from ..protocol.room_log import Owner
from .arrival import is_let_in
from .connection_session import ConnectionSession
from .departure import Departure
from .hub_context import HubContext
from .link import Link
from .packet_handler import PacketHandler
from .packet_reader import PacketReader
from .prepared_message import PreparedMessage
from .questions import Questions
from .replies import Replies
from .send_queue import SendQueue

__all__ = ["RESTART", "Connection", "current_connection"]

CLOSE_GRACE_S = 5.0  # for a client to answer the close frame before it is cut off
RESTART = 1012  # close code: service restart (RFC 6455 §7.4.1); its client comes back by itself
TAKEN_OVER = 4409  # close code: the session goes on in another connection

# Whose handler the code at hand was called from.
current_connection: contextvars.ContextVar[Connection | None] = contextvars.ContextVar(
    "connection", default=None
)


class Connection:
    """One connection; on the hub's loop only, but for what it is.

    Its public members are more than fifteen and its lines more than 300: a client's life is put
    together here, of parts that have a file each and know of it only what their Protocols say.

    Args:
        context: what it shares with the hub's others.
        link: what carries it.
        address: who counts as one.
        show: returns what handlers see of it.

    Attributes:
        id: its client's, while that is here.
        client: what handlers see of it.
        session_part: its part in a session.
        send_queue: its way out.
        reader: its way in.
        replies: what the hub itself says on it.
        since: when it came, in seconds since the epoch.
    """

    __slots__ = (
        "__weakref__",
        "_began_s",
        "_closing",
        "_departure",
        "_expiry",
        "_is_retired",
        "_is_taking",
        "_is_welcome",
        "_rooms_at_end",
        "_state",
        "_was_admitted",
        "address",
        "client",
        "context",
        "id",
        "link",
        "packet_handler",
        "reader",
        "replies",
        "send_queue",
        "session_part",
        "since",
    )  # fmt: skip

    def __init__(
        self, context: HubContext, link: Link, address: str, show: Callable[[Connection], Any]
    ) -> None:
        limits = context.settings.limits
        self.context = context
        self.link = link
        self.address = address
        self.id = context.registry.id_for(link.id.hex)
        self.since = time.time()
        self._began_s = time.monotonic()
        self._rooms_at_end: frozenset[str] | None = None
        self._state = LifeState.CONNECTING
        self._is_welcome = self._was_admitted = self._is_retired = self._is_taking = False
        self._closing: asyncio.Task[None] | None = None
        self._expiry: Expiry | None = None  # most have none
        self.client = show(self)
        dialect, digits = link.dialect, link.id.hex
        greeting = dialect.greeting(link.path, link.auth)
        self.session_part = ConnectionSession(context, greeting, address, digits)
        self.send_queue = SendQueue(
            link,
            self.id,
            policy=context.settings.slow,
            limit=limits.backlog,
            limit_bytes=limits.backlog_bytes,
            overflow=self._overflowed,
            tell_dropped=self._dropped,
        )
        self.replies = Replies(self)
        self.reader = PacketReader(
            link,
            dialect.assembler(context.max_size, context.takes_raw, self._broke_off),
            self.send_queue,
            context.settings,
            context.ahead,
            Questions(context.question_numbers, context.settings.loads),
        )
        self.packet_handler = PacketHandler(self)
        self._departure = Departure(self)

    # What it is.

    @property
    def state(self) -> LifeState:
        """Where its client is in its life; who was away may be back by now, in another one."""
        state, session = self._state, self.session
        if state is LifeState.AWAY and session is not None and session.state is not state:
            return LifeState.GONE
        return state

    @property
    def is_gone(self) -> bool:
        """Whether the hub has parted with it."""
        state = self._state
        return state is not LifeState.ADMITTED and state is not LifeState.CONNECTING

    @property
    def is_open(self) -> bool:
        """Whether its link is open and the hub has not parted with it."""
        return not self.is_gone and self.link.is_open

    @property
    def is_over(self) -> bool:
        """Whether nothing more of it is handled.

        After ``disconnect`` nothing is: whoever keeps a list of who is here would have it in there
        for ever. What a session sent and was not taken up, it sends again.
        """
        return self._is_retired or self._departure.has_said_goodbye

    @property
    def was_here(self) -> bool:
        """Whether ``connect`` has let it in, or it was admitted before that."""
        return self._is_welcome or self._was_admitted

    @property
    def is_continued(self) -> bool:
        """Whether another connection that is open has its session now."""
        return self.current().is_open

    @property
    def open_s(self) -> float:
        """How long it has been connected, in seconds."""
        return time.monotonic() - self._began_s

    @property
    def session(self) -> Session | None:
        """Its session, once it has one."""
        return self.session_part.session

    @property
    def owner(self) -> Owner:
        """Whose is what is kept of its words."""
        return self.address, self.session_part.token or self.id

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it is in; once it is gone, those that it was in at the end."""
        if not self._was_admitted:
            return self.session_part.rooms_before
        registry = self.context.registry
        with registry.lock:
            at_end = self._rooms_at_end
            return registry.rooms_of(self) if at_end is None else at_end

    def as_member(self) -> Member:
        """Return its client as all processes of the hub see it."""
        part, node_id = self.session_part, self.context.backplane.status.node_id
        rooms = tuple(sorted(self.rooms))
        return Member(self.id, part.name, part.user_id or self.id, node_id, rooms)

    def announce(self) -> None:
        """Tell the other processes of the hub, if there are any, who it is and where."""
        if self.context.backplane.is_shared and self._state is LifeState.ADMITTED:
            self.context.backplane.changed(self.as_member())

    @property
    def expires_at(self) -> float | None:
        """When who its client is holds no more, in seconds since the epoch; None for never."""
        return None if self._expiry is None else self._expiry.at

    @expires_at.setter
    def expires_at(self, at: float | None) -> None:
        if self.is_gone:
            return
        if self._expiry is None:
            if at is None:
                return
            self._expiry = Expiry(self._expired)
        self._expiry.at = at

    def current(self) -> Connection:
        """Return the connection that has the session now, or else this one."""
        holder = self.session_part.holder
        here: Connection | None = holder.client if holder is not None else None
        return here if here is not None else self

    # What handlers do with it.

    def join(self, room: str) -> bool:
        """Put it into a room, its session too; return whether that is new.

        Raises:
            Refused: that is more than the hub's `Limits` allow.
        """
        self.admit()
        here = self.current()
        registry, session = self.context.registry, here.session
        is_new = here.is_open and registry.join(here, room)
        if session is not None and room not in session.rooms:
            if not here.is_open:
                registry.check_join(self, room, len(session.rooms))
            session.join(room)
            self.context.backplane.record(session)
            is_new = True
        if is_new:
            here.announce()
        return is_new

    def leave(self, room: str) -> bool:
        """Take it out of a room; return whether it was there."""
        here = self.current()
        session, was_in = here.session, self.context.registry.leave(here, room)
        if session is not None and session.leave(room):
            self.context.backplane.record(session)
            was_in = True
        if was_in:
            here.announce()
        return was_in

    async def call(self, said: Said, timeout: float | None) -> Any:
        """Ask its client, and return the answer."""
        self.admit()
        if not self.is_open:
            raise ClientGone(
                f"{self.client} cannot be asked: it has left ({self._departure.reason})"
            )
        number, answer = self.reader.questions.ask()
        try:
            async with asyncio.timeout(timeout):
                await self.send_queue.room()
                self.replies.send(self.link.dialect.event(said, number))
                self.reader.read_ahead()
                return await answer
        except TimeoutError:
            ahead = self.reader.ahead
            why = f"; {ahead} other messages of it came before, and wait" if ahead else ""
            raise TimeoutError(
                f"{self.client} did not answer {said.event!r} within {timeout:g} s{why}. On the "
                "other side, a handler of that event returns the answer"
            ) from None
        finally:
            self.reader.forget(number)

    def send_away(
        self, code: int, reason: str, *, ends_session: bool, word: PreparedMessage | None = None
    ) -> None:
        """Part with it: it leaves everything now, and its link is closed.

        Args:
            code: why, as a close code.
            reason: the same in words.
            ends_session: its client may not come back with it.
            word: the last that is said to it, in place of what its dialect has for that.
        """
        if self.is_gone:
            return
        self._departure.words = f"sent away with {code}" + (f" ({reason})" if reason else "")
        if ends_session:
            self.session_part.end()
        if word is None:
            told = self.link.dialect.farewell(code, reason, was_let_in=self._was_admitted)
            word = PreparedMessage(*told)
        self._closing = self.context.loop.start(self._close(code, reason, word))
        self._state = next_state(self._state, LifeEvent.SEND_AWAY)
        self._leave_session()
        self._leave_hub()

    def _expired(self) -> None:
        denial = too_late()
        if self._was_admitted:
            self.replies.complain(denial.word, denial.reason)
        self.send_away(EXPIRED, denial.reason, ends_session=False)

    async def _close(self, code: int, reason: str, word: PreparedMessage) -> None:
        with contextlib.suppress(TimeoutError, self.link.closed_error):
            async with asyncio.timeout(CLOSE_GRACE_S):
                await self.link.close(code, reason, word)
                return
        self.link.abort()

    # Coming.

    async def serve(self) -> None:
        """Live until it ends; its own task runs this."""
        departure, admission = self._departure, self.context.admission
        departure.task = task = asyncio.current_task()
        current_connection.set(self)
        admission.came(self)
        self.link.when_lost(self._lost)
        try:
            try:
                if await is_let_in(self):
                    self._is_welcome = True
                    self.admit()
                    await self._take_packets()
            except self.link.closed_error:
                pass
            except asyncio.CancelledError:
                if not departure.is_cut or task is None or task.uncancel():
                    raise  # the server ends it
            finally:
                departure.task = None
                if self.is_open:
                    departure.words = departure.words or "its handler was ended"
                self.depart()
                departure.end()
                self.reader.close()
                admission.leavers.pop(self, None)
            await self.say_goodbye()
            if self._closing is not None:  # else websockets would close with 1000 before it
                await asyncio.wait([self._closing])
        finally:
            admission.went(self)
            admission.leavers.pop(self, None)

    def admit(self) -> None:
        """List it, and tell its client so and what it missed; idempotent."""
        if self._state is not LifeState.CONNECTING:
            return
        self._state = next_state(self._state, LifeEvent.ADMIT)
        self._was_admitted = True
        registry, part = self.context.registry, self.session_part
        told = part.begin(self)
        self.id = self.send_queue.client_id = registry.add(self, self.id, self.link.id.hex)
        welcome: dict[str, Any] = {
            "id": self.id,
            # Its own token the client knows: a secret need not stand on a record of the wire.
            "session": told and (part.token if part.is_token_news else True),
            "offset": told and told.offset,
            "received": told and told.received,
            "resumed": told is not None and told.is_resumed,
            "gap": told and told.gap,
        }
        if self.expires_at is not None:
            welcome["expires_at"] = self.expires_at
        if told is None or part.session is None or part.holder is None:
            if part.identity is not None:
                welcome["user"] = part.user_id
            self.replies.welcome(welcome)
            self.announce()
            return
        part.session.client_id = self.id
        self.replies.welcome(welcome | {"user": part.user_id})
        most = self.link.dialect.max_attachments
        missed = [past for past in told.missed if len(past.message.attachments) <= most]
        self.send_queue.replay(missed, PreparedMessage.of_event, self.replies.lost)
        lost = told.dropped + len(told.missed) - len(missed)
        if lost:
            self.replies.dropped(lost, told.dropped_offset)
        for room in part.session.rooms:
            registry.put_back(self, room)
        self.context.backplane.record(part.session)
        self.announce()

    async def _take_packets(self) -> None:
        while True:
            item = await self.reader.next()
            if self._closing is None and not self.is_over:
                self._is_taking = True
                try:
                    await self.packet_handler.take(item)
                finally:
                    self._is_taking = False
            # else it is read nevertheless: behind it is the answer to our close frame
            if self._closing is not None:
                await self.say_goodbye()

    def _overflowed(self, reason: str) -> None:
        self.send_away(1013, reason, ends_session=False)

    def _dropped(self, count: int, offsets: Iterable[int]) -> None:
        offset = None
        if self.session is not None:
            self.session.lose(offsets)
            offset = self.session.tell_dropped()
            self.context.backplane.record(self.session)
        self.replies.dropped(count, offset)

    def _broke_off(self, packet: Packet, why: str) -> None:
        self.replies.complain("bad-packet", why, packet)

    # Going.

    def retire(self) -> None:
        """Make way for the connection that continues the session."""
        self._is_retired = True  # what it has not taken up yet comes again
        self.send_away(TAKEN_OVER, "session continued elsewhere", ends_session=False)

    def depart(self) -> None:
        """Take it out of everything, since its connection is over; idempotent."""
        if not self.is_gone:
            self._leave_session()
            self._be_over()
            self._leave_hub()

    def _lost(self) -> None:
        self.depart()
        if self._state is LifeState.CLOSING:
            self._be_over()

    def _be_over(self) -> None:
        waits = self.session is not None and self.session.state is LifeState.AWAY
        self._state = next_state(self._state, LifeEvent.LOSE if waits else LifeEvent.END)

    def _leave_session(self) -> None:
        if self.session is not None:
            self.session.lose(self.send_queue.untold_offsets)
        self.session_part.leave(self, said_goodbye=self.link.said_goodbye)

    def _leave_hub(self) -> None:
        registry = self.context.registry
        with registry.lock:
            self._rooms_at_end = registry.remove(self, self.id)
        if self._was_admitted and self.context.backplane.is_shared:
            self.context.backplane.went(self.id)
        self._departure.begin(
            is_closing=self._closing is not None,
            is_taking=self._is_taking,
            is_welcome=self._is_welcome,
        )
        if self._expiry is not None:
            self._expiry.cancel()
        self.send_queue.clear()
        self.replies.close()
        self.reader.questions.fail(
            lambda: ClientGone(f"{self.client} left before it answered ({self._departure.reason})")
        )

    async def say_goodbye(self) -> None:
        """Let ``disconnect`` run, once."""
        await self._departure.say_goodbye()

    def cut_off(self, limit: str | None) -> None:
        """Cancel what is at work of it, now that it has left; say which limit it was, if one."""
        self._departure.cut_off(limit)
