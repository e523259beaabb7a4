"""A connection's part in a session: which one it continues or opens, and who has it now.

Its rule: a session outlives its connections, and one of them has it at a time. What it remembers is
the affair of `hub/protocol/server_session`. Where the hub keeps none, there is no session, and this
holds what the connection alone has: a name and data.
"""

from __future__ import annotations

import secrets
from typing import Any

from ...identity.identity import Identity
from ...identity.verdict import Denial
from ..backplane.backplane import Session
from ..dialects.dialect import Greeting
from ..protocol.server_session import Resumption
from .holder import Holder
from .hub_context import HubContext

__all__ = ["ConnectionSession"]


class ConnectionSession:
    """One connection's; on the hub's loop only.

    Args:
        context: the hub's, whose backplane keeps sessions, or none.
        greeting: what its client came with.
        address: from where, for what is kept of it.
        digits: who it is, at random.

    Attributes:
        session: once it has one.
        holder: which connection has that.
        identity: who its client is, where that is asked for.
        data: the client's; it outlives the connection where there is a session.
        is_resumed: whether it continues an earlier connection's session.
        rooms_before: the rooms of the session that it is about to continue.
    """

    __slots__ = (
        "_address", "_context", "_digits", "_name", "_user_before", "data",
        "greeting", "holder", "identity", "is_resumed", "rooms_before", "session",
    )  # fmt: skip

    def __init__(
        self,
        context: HubContext,
        greeting: Greeting,
        address: str,
        digits: str,
    ) -> None:
        self._context = context
        self._address = address
        self._digits = digits
        self._name: str | None = None
        self._user_before = ""
        self.greeting = greeting
        self.data: dict[Any, Any] = {}
        self.is_resumed = False
        self.rooms_before: frozenset[str] = frozenset()
        self.session: Session | None = None
        self.holder: Holder[Any] | None = None
        self.identity: Identity | None = None

    @property
    def token(self) -> str:
        """By which its client can come back, or ""."""
        return self.session.token if self.session is not None else ""

    @property
    def is_token_news(self) -> bool:
        """Whether its client is to be told the token, since it has not chosen it."""
        return self.greeting.is_whole_or_new or not self.greeting.token

    @property
    def user_id(self) -> str:
        """Who it is for everybody, over all its connections; "" where nobody can tell."""
        if self.identity is not None:
            return self.identity.user_id
        if self.session is not None:
            return self.session.user_id
        if not self._context.backplane.keeps_sessions:
            return ""
        return self._user_before or self._digits[-12:]

    @property
    def is_kept(self) -> bool:
        """Whether its session is remembered, so that it may come back, or has done so."""
        return self.session is not None and not self.session.is_gone

    @property
    def name(self) -> str | None:
        """What handlers call its client."""
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name
        if self.session is not None and self.session.name != name:
            self.session.name = name
            self._context.backplane.record(self.session)

    def denial(self, session: Session) -> Denial | None:
        """Return why its client may not go on with a session; None where it is its own.

        Who cannot be refused it, since their dialect asks for a session by itself, gets a new one.
        """
        return None if self._is_owner(session) else self.deny()

    def deny(self) -> Denial | None:
        """Return why its client may not go on with what is somebody else's; see `denial`."""
        if self.greeting.is_whole_or_new:
            self.begin_anew()
            return None
        return Denial(403, "this session is somebody else's: come without it for one of your own")

    def begin_anew(self) -> None:
        """Ask for a new session, by a token of its own: the one that its client names stays."""
        self.greeting = self.greeting._replace(token="")

    def _is_owner(self, session: Session) -> bool:
        return self.identity is None or session.user_id == self.identity.user_id

    def expect(self, session: Session) -> None:
        """Let the connect handler see whom it has before it, if that is who continues it."""
        if self.greeting.is_whole_or_new and not self._is_whole(session):
            self._context.backplane.end_session(session)
            return
        self._name, self.data, self.is_resumed = session.name, session.data, True
        self.rooms_before = frozenset(session.rooms)
        self._user_before = session.user_id

    def begin(self, connection: Any) -> Resumption[Any] | None:
        """Continue the session that was asked for, or open one; its connection has it from now.

        Returns:
            What its client is told and sent; None where the hub keeps no sessions.
        """
        backplane, (token, offset, is_whole_or_new) = self._context.backplane, self.greeting
        if not backplane.keeps_sessions:
            return None
        known = backplane.session(token) if token else None
        if known is not None and not self._is_owner(known):  # it was begun while this one came
            token = ""
            self.greeting = self.greeting._replace(token="", offset=None)
        session = backplane.continue_session(token, self._address) if token else None
        if is_whole_or_new:
            session, token = self._whole(session), ""
            offset = offset if session is not None else None
        self.is_resumed = session is not None
        if session is None:
            session = backplane.open_session(token or secrets.token_urlsafe(24), self._address)
            session.data, session.name = self.data, self._name
            session.user_id = self.user_id
        else:
            self._take_over(session)
        self.session, self.holder = session, self._context.holder(session)
        self.holder.client = connection
        return session.resume(offset)

    def _whole(self, session: Session | None) -> Session | None:
        """Return a session that nothing is missing of; others are forgotten."""
        if session is None or self._is_whole(session):
            return session
        old = self._context.holder(session).client
        self._context.backplane.end_session(session)
        if old is not None:
            old.retire()
        return None

    def _is_whole(self, session: Session) -> bool:
        return session.is_whole_since(self.greeting.offset)

    def _take_over(self, session: Session) -> None:
        holder = self._context.holder(session)
        old = holder.client
        if self._name is None:
            self._name = session.name
        session.name = self._name
        if self.data is not session.data:  # the connect handler may have filled it already
            session.data.update(self.data)
            self.data = session.data
        holder.client = None  # so that the old one's end does not send the session away
        if old is not None:
            old.retire()

    def end(self) -> None:
        """Forget the session: its client was sent away."""
        if self.session is not None:
            self._context.backplane.end_session(self.session)

    def leave(self, connection: Any, *, said_goodbye: bool) -> None:
        """Leave the session to whoever has it, or let it wait for its client."""
        if self.session is None or self.holder is None or self.holder.client is not connection:
            return
        if said_goodbye:
            self._context.backplane.end_session(self.session)
        else:
            self._context.backplane.leave_session(self.session)

    def may_come_back(self) -> bool:
        """Whether its client may still come back, now that it has gone."""
        session = self.session
        return session is not None and self._context.backplane.session(session.token) is session
