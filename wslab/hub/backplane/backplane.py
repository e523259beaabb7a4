"""A backplane: what one hub's processes share, whatever carries it between them.

Its rule: a hub hands over what is to be said, not to whom: each process says it to its own clients,
this one too, through the function that it has attached. Everything is called on the hub's loop, and
only what is an ``async def`` waits: for what other processes know. Who is connected here, and in
which room, is the hub's own registry; a backplane is told of it.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Container, Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias

from ..dialects.dialect import Said
from ..protocol.room_log import Owner, Past
from ..protocol.server_session import ServerSession
from .member import Member
from .status import BackplaneStatus

__all__ = [
    "AnswerHere",
    "Backplane",
    "Deliver",
    "EmptyRoom",
    "Fetched",
    "Local",
    "Publication",
    "Session",
    "SessionHooks",
    "TellGap",
]


Session: TypeAlias = ServerSession[Any]


class Fetched(enum.Enum):
    """What became of a session that another process may have had."""

    KNOWN = "what this process knows of it is right"
    MOVED_ON = "its client is at yet another process meanwhile"
    ANOTHERS = "it is somebody else's, and stays where it is"
    UNSURE = "it may be at another process, or have been there: nobody can tell"


class SessionHooks(NamedTuple):
    """What a backplane asks of its hub where a session goes from one process to another.

    Args:
        make_way: has a session's connection here end, and its handler, within a bound.
        fence: has its connection here end: another process has it already.
        dropped: returns the offsets that its connection has dropped, and not told of yet.
    """

    make_way: Callable[[Session], Awaitable[None]]
    fence: Callable[[Session], object]
    dropped: Callable[[Session], Iterable[int]]


class Publication(NamedTuple):
    """One event on its way to all whom it is for.

    Args:
        said: the event, without a place in the history.
        rooms: whom it is for: rooms, and None for everybody.
        sessions: and clients that have one of these.
        skip: tokens of the sessions that are left out.
        owner: who said it, for what is kept of it.
        key: what it replaces where only the latest is kept; None: what has the event's name.
        raw: where it is no event: whether the data is text. It has no place in the history.
        id: by which what is said twice is known; None: it is said once.
    """

    said: Said
    rooms: list[str | None]
    sessions: list[Session]
    skip: frozenset[str]
    owner: Owner
    key: str | None = None
    raw: bool | None = None
    id: str | None = None


class Local(Protocol):
    """What this process knows of an event that it has said itself."""

    def told_tokens(self) -> Iterable[str]:
        """Return the sessions that got it already, without a place in the history."""

    def settle(self, *, is_queued: bool = False) -> None:
        """Note that it was delivered here, or is known to wait for the other processes."""


# Called with the event, what was published, and what this process knows of it, if it said it.
Deliver: TypeAlias = Callable[[Said, Publication, Any], Any]
# Called with a room that is closed, the sessions whose clients leave it (None: all do), and what
# this process knows of the closing, if it was said here.
EmptyRoom: TypeAlias = Callable[[str, Container[Session] | None, Any], object]
AnswerHere: TypeAlias = Callable[[str, Said, float | None], Awaitable[Said]]


class TellGap(Protocol):
    """Tells members that something of what others have said is lost."""

    def __call__(
        self, rooms: Iterable[str | None] | None, sessions: Iterable[Session] = ()
    ) -> None:
        """Tell those of rooms (None: everybody's; no list: all), and those of sessions."""


class Backplane(Protocol):
    """What a hub asks of its engine.

    It has more members than a class of ours should: they are all that a process of a hub has to
    tell the others, and to ask of them.

    Attributes:
        keeps_sessions: whether clients may come back; without it there is no history either, and
            nothing that takes a session is called.
        is_shared: whether other processes may serve the hub, too; where not, nothing is asked that
            waits for what they know, and it is told of nobody who is here.
    """

    keeps_sessions: bool
    is_shared: bool

    @property
    def status(self) -> BackplaneStatus:
        """How it is."""

    @property
    def mark(self) -> str:
        """The name of the history that offsets are places of; "" where none is kept, or known."""

    # Its life.

    async def start(self) -> None:
        """Be there for this process's hub, on the running loop; idempotent.

        Raises:
            BackplaneDown: what it needs is not there, and the hub is to refuse then.
        """

    async def close(self) -> None:
        """End it; it may be started again."""

    # Who is here.

    def room_filled(self, room: str) -> None:
        """Note that somebody is in a room here now, where nobody was."""

    def room_emptied(self, room: str) -> None:
        """Note that nobody is in a room here any more."""

    def attach_members(self, answer: AnswerHere, lost: Callable[[Member], None]) -> None:
        """Have others' questions answered, and this process told of clients that are lost.

        Args:
            answer: asks a client of this process by its id, within so many seconds, and returns
                what it answers; it raises CallFailed, ClientGone or TimeoutError.
            lost: called with each client of a process that has died, at one process alone.
        """

    def changed(self, member: Member) -> None:
        """Note that a client is here now, or has another name, or is in other rooms."""

    def went(self, client_id: str) -> None:
        """Note that a client is here no more."""

    async def everybody(self, room: str | None) -> list[Member]:
        """Return who is at all processes, or in a room, in the order of coming.

        Raises:
            BackplaneDown: it is not known now.
        """

    async def ask(self, to: str, said: Said, timeout_s: float | None) -> Said:
        """Ask a client of whichever process, by its id or its user's, and return its answer.

        Raises:
            BackplaneDown, CallFailed, ClientGone, TimeoutError: see `Hub.call`.
        """

    # What is said.

    def attach(
        self,
        deliver: Deliver,
        tell_gap: TellGap | None = None,
        empty_room: EmptyRoom | None = None,
    ) -> None:
        """Have what is published said to this process's clients.

        Args:
            deliver: called with the event, which has its place in the history now, with what was
                published, and with whatever came with it from this process (from another one:
                None); what it returns, `publish` returns, if it is called at once. The event has no
                place where the other processes cannot be told now.
            tell_gap: called where something that others have said is lost.
            empty_room: called where a room is closed.
        """

    def publish(self, publication: Publication, local: Any) -> Any:
        """Keep an event, number it, and have it delivered; what this process knows of it, too.

        Where there are other processes, it is delivered when it has come back from what they
        share, so that all of them see one order.

        Raises:
            ValueError: it is too large for that.
            BackplaneDown: that is not there, and the hub is to refuse then, or too much waits.
        """

    def close_room(self, room: str, local: Any = None, id: str | None = None) -> None:
        """Have everybody leave a room, at all processes.

        It has its place among what is said in the room: who has joined before that leaves, as far
        as its process has heard; who joins later is in.

        Args:
            room: the room.
            local: what this process knows of it.
            id: by which a closing that is said twice is known; None: it is said once.

        Raises:
            BackplaneDown: what they share is not there, and the hub is to refuse then, or too much
                waits.
        """

    def latest_offset(self) -> int | None:
        """Return the place of the latest event; None where no history is kept."""

    def history(self, room: str | None) -> list[Past[Any]] | None:
        """Return the events that are kept of a room; of everybody's for None."""

    # Who may come back.

    def attach_sessions(self, hooks: SessionHooks) -> None:
        """Have a session's connection here make way where another process continues it."""

    async def fetch_session(
        self,
        token: str,
        offset: int | None,
        address: str,
        user_id: str | None = None,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Fetched:
        """Have `session` find the session of that token, if another process of the hub had it.

        Args:
            token: the session's.
            offset: of the last event that its client has seen; None where it has seen none.
            address: from where it comes.
            user_id: whose it has to be; None where nobody has said who that is.
            is_wanted: whether its client still waits for it; None: it does.
        """

    def record(self, session: Session, then: Callable[[], object] | None = None) -> None:
        """Keep what a session is by now beyond this process; call a function once that is done."""

    def session(self, token: str) -> Session | None:
        """Return the session of a token, as long as its client may come back."""

    def open_session(self, token: str, address: str) -> Session:
        """Return a new session of that token, for a client that came from there."""

    def continue_session(self, token: str, address: str) -> Session | None:
        """Return the session of that token, whose client is here again, or None."""

    def leave_session(self, session: Session) -> None:
        """Keep a session for a while: its client has gone, and may come back."""

    def end_session(self, session: Session) -> None:
        """Forget a session: its client will not come back."""

    def keep_answer(
        self, session: Session, answer: Any, size_bytes: int, then: Callable[[], object]
    ) -> None:
        """Keep the answer to a session's latest packet, should its client ask again; `record`."""
