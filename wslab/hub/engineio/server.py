"""EngineServer: who comes with Engine.IO, by HTTP and by WebSocket, and which session is theirs.

Its rule: ids can't be guessed, whoever may not come is told so as by the reference server, and what
strangers can make it hold has a bound. It knows no hub and no Socket.IO: what a session is for is
told by ``serve``, and how HTTP is read from a socket is for whoever asks.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from ...wire.http.message import HttpRequest, HttpResponse
from ..protocol.closed import Closed
from ..protocol.limits import Limits
from . import answers
from .life import EngineState
from .link import Link, Message
from .places import Address, Places, by_address
from .polling import Polling
from .requests import asked, is_own_page, judge
from .session import Controls, EngineSession
from .settings import SocketIO
from .upgrade import carried, upgraded

__all__ = ["EngineServer"]

ID_BYTES = 15  # 20 characters, as the reference server's
UNPOLLED_S = 5.0  # a client that polls comes again sooner
END_GRACE_S = 0.5  # for what serves the sessions, when the server ends them all
TURN_AWAY_S = 1.0  # for whom there is no place to answer the close frame


class EngineServer:
    """The sessions of one hub; on its loop only.

    Args:
        serve: run for each session, until it returns; then that is closed. It sees the end of one
            by what it receives, or is told.
        settings: what the sessions are told.
        prepare: makes a message of a text.
        limits: what clients may make it hold.
        limited: counts, by the name of a limit, how often that has held.
        counted_as: returns who counts as one, by address and headers.
        failed: told what ``serve`` lets through, and for which session.

    Attributes:
        sessions: those that are not over, by id; the ids are secrets.
    """

    def __init__(
        self,
        serve: Callable[[EngineSession], Awaitable[None]],
        settings: SocketIO,
        *,
        prepare: Callable[[str], Message],
        limits: Callable[[], Limits] = Limits,
        limited: collections.Counter[str] | None = None,
        counted_as: Callable[[Address, Mapping[str, str]], str] = by_address,
        failed: Callable[[BaseException, EngineSession], object] | None = None,
    ) -> None:
        self._serve = serve
        self.settings = settings
        self._prepare = prepare
        self._limits = limits
        self._limited = collections.Counter() if limited is None else limited
        self._places = Places(limits, self._limited, counted_as)
        self._failed = failed
        self.controls = Controls(*[prepare(text) for text in ("1", "2", "6", "3probe")])
        self.sessions: dict[str, EngineSession] = {}
        self._polling: dict[str, Polling] = {}  # those that began so
        self._unpolled: dict[str, float] = {}  # since when nobody polls, the longest first
        self._serving: dict[asyncio.Task[None], EngineSession] = {}  # what serves those
        self._tasks: set[asyncio.Task[None]] = set()

    # Who comes.

    def is_asked_for(self, path: str) -> bool:
        """Whether a request's path is for Engine.IO."""
        path = path.partition("?")[0]
        return path.startswith(self.settings.path) or path == self.settings.path[:-1]

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return what a handshake for a WebSocket gets in place of a 101; None where it may come.

        For whoever can ask before the handshake is answered; `websocket` looks once more.
        """
        if not self._may_come(request.header("origin"), request.header("host"), request.is_let_in):
            return answers.refusal(answers.FORBIDDEN)
        code = judge(asked(request.target), request.method, self._transport_of, is_socket=True)
        return None if code is None else answers.refusal(code)

    def _may_come(self, origin: str | None, host: str | None, is_let_in: bool | None) -> bool:
        if origin is None:
            return True
        if self.settings.origins is None and is_let_in is not None:
            return is_let_in
        return is_own_page(origin, host, self.settings.origins)

    def _transport_of(self, sid: str) -> str | None:
        session = self.sessions.get(sid)
        return None if session is None else session.transport

    async def websocket(self, link: Link) -> None:
        """Serve a WebSocket until it ends: a session of its own, or the upgrade of one."""
        question = asked(link.path)
        code = judge(question, "GET", self._transport_of, is_socket=True)
        if self.settings.origins is not None and not self._may_come(
            link.headers.get("origin"), link.headers.get("host"), None
        ):
            code = answers.FORBIDDEN
        if code is not None:
            await self._turn_away(link, 1008, answers.MESSAGES[code])
        elif question.sid:
            await self._upgrade(question.sid, link)
        elif (full := self._full(link.address, link.headers)) is not None:
            await self._turn_away(link, 1013, full)
        else:
            session = self._new(link.path, link.headers, link.address, link=link)
            session.put(self._prepare(self._open_packet(session)))
            await self._run(session)
            await session.link_closed()

    async def http(self, request: HttpRequest) -> HttpResponse:
        """Answer a request of polling; a GET is held until there is something to say.

        That the client has gone is told by cancelling it, and ends the session.
        """
        origin = request.header("origin")
        if not self._may_come(origin, request.header("host"), request.is_let_in):
            return answers.error(answers.FORBIDDEN)
        if request.method == "OPTIONS":
            response = answers.preflight(request)
        else:
            response = await self._answer(request)
        return response._replace(headers=(*response.headers, *answers.allowing(origin)))

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        question = asked(request.target)
        code = judge(question, request.method, self._transport_of, is_socket=False)
        if code is None and not self.settings.polling:
            code = answers.UNKNOWN_TRANSPORT
        if code is not None:
            return answers.error(code)
        if not question.sid:
            return await self._begin(request)
        polling = self._polling[question.sid]
        if request.method == "GET":
            return await polling.poll()
        if request.method == "POST":
            return await polling.post(request)
        return answers.error(answers.BAD_REQUEST)

    async def _begin(self, request: HttpRequest) -> HttpResponse:
        headers = _Headers(request.headers)
        full = self._full(request.address, headers)
        if full is not None:
            return answers.error(answers.FORBIDDEN, full, 503)
        session = self._new(request.target, headers, request.address)
        self._polling[session.id] = polling = Polling(
            session, lambda is_held: self._polled(session, is_held), self.settings.max_payload
        )
        self._polled(session, False)
        self._make_room()
        session.put(self._prepare(self._open_packet(session)))
        response = await polling.poll()
        polling.task = self.start(self._run(session))
        self._serving[polling.task] = session
        polling.task.add_done_callback(self._serving.pop)
        return response

    def _open_packet(self, session: EngineSession) -> str:
        settings = self.settings
        upgrades = ["websocket"] if session.transport == "polling" else []
        fields = {
            "sid": session.id,
            "upgrades": upgrades,
            "pingInterval": round(settings.ping_interval_s * 1000),
            "pingTimeout": round(settings.ping_timeout_s * 1000),
            "maxPayload": settings.max_payload,
        }
        return "0" + json.dumps(fields, separators=(",", ":"))

    # Sessions.

    def _new(
        self,
        path: str,
        headers: Mapping[str, str],
        address: tuple[str, int] | None,
        link: Link | None = None,
    ) -> EngineSession:
        session = EngineSession(
            self,
            secrets.token_urlsafe(ID_BYTES),
            self._limits().poll_bytes,
            path=path,
            headers=headers,
            address=address,
            link=link,
            connection=None if link is None else link.connection,
        )
        self.sessions[session.id] = session
        self._places.take(session.id, address, headers)
        return session

    async def _run(self, session: EngineSession) -> None:
        try:
            await self._serve(session)
        except session.closed_error:
            pass
        except asyncio.CancelledError:
            session.abort()
            raise
        except Exception as exc:
            if self._failed is None:
                raise
            self._failed(exc, session)
        finally:
            if session.state is not EngineState.CLOSED:
                closing = self.start(self._close(session))
                if session.link is not None:  # whoever carries it would end it at once
                    await asyncio.wait([closing])

    async def _close(self, session: EngineSession) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.ping_timeout_s):
                await session.close()
                return
        session.abort()

    def ended(self, session: EngineSession) -> None:
        """Forget a session; it tells when it is over."""
        if self.sessions.pop(session.id, None) is None:
            return
        if self._polling.pop(session.id, None) is not None:
            session.when_filled(None)  # who holds a poll has been told; a cycle for the collector
        self._unpolled.pop(session.id, None)
        self._places.leave(session.id)

    async def _upgrade(self, sid: str, link: Link) -> None:
        session, polling = self.sessions[sid], self._polling.get(sid)
        if polling is None or session.state is not EngineState.POLLING:
            await self._turn_away(link, 1008, "expected one WebSocket for a session, got another")
            return
        probed, timeout_s = self.controls.probed, self.settings.upgrade_timeout_s
        if not await upgraded(polling, link, probed, timeout_s):
            await self._turn_away(link, 1002, "expected 2probe, and 5 in time")
            return
        session.connection = link.connection
        self._polled(session, True)
        # Whoever waits for this connection's end, such as a server that stops, waits for all of it.
        try:
            await carried(polling, link)
            await session.link_closed()
            if polling.task is not None:
                await asyncio.wait([polling.task])
        except asyncio.CancelledError:
            if polling.task is not None:
                polling.task.cancel()
            raise

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside whatever runs, and see to its end."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End all sessions that poll: those are answered, and what serves them has a moment to end.

        A WebSocket ends with its server, which says why.
        """
        for polling in tuple(self._polling.values()):
            if polling.session.link is None:
                polling.session.end(None)
        # Also where the session has ended before, by a ping that nobody answered, say.
        tasks = [task for task, session in self._serving.items() if session.link is None]
        if tasks:
            await asyncio.wait(tasks, timeout=END_GRACE_S)
        for task in tasks:
            task.cancel()

    # Bounds.

    def _full(self, address: Address, headers: Mapping[str, str]) -> str | None:
        return self._places.full(address, headers, self._gave_way)

    def _gave_way(self, sid: str, told: str) -> None:
        self.sessions[sid].end(Closed(1013, told, False))

    async def _turn_away(self, link: Link, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, link.closed_error):
            async with asyncio.timeout(TURN_AWAY_S):
                await link.close(code, reason)
                return
        link.abort()

    def _polled(self, session: EngineSession, is_held: bool) -> None:
        self._unpolled.pop(session.id, None)
        if not is_held and session.id in self.sessions and session.link is None:
            self._unpolled[session.id] = time.monotonic()

    def _make_room(self) -> None:
        """End a session that nobody polls where those are too many, of the address with most."""
        if len(self._unpolled) <= self._limits().unpolled:
            return
        before_s = time.monotonic() - UNPOLLED_S
        stale = [sid for sid, since_s in self._unpolled.items() if since_s <= before_s]
        if len(stale) < self._limits().unpolled:
            return
        addresses = {sid: self._places.address_of(sid) for sid in stale}
        [(most, _)] = collections.Counter(addresses.values()).most_common(1)
        self._limited["unpolled"] += 1
        self.sessions[next(sid for sid in stale if addresses[sid] == most)].end(None)


class _Headers(dict[str, str]):
    """The headers of a request; names in any case."""

    def __init__(self, headers: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self._pairs = headers
        for name, value in headers:
            self.setdefault(name.lower(), value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def get_all(self, name: str) -> list[str]:
        """Return all values of a header, in order: who can add one must not hide another's."""
        return [value for key, value in self._pairs if key.lower() == name.lower()]
