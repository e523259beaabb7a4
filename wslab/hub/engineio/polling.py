"""Polling: a session's messages in the bodies of HTTP requests.

A GET is held until something waits, and answered with all that does; a POST brings what the client
says. Its rule: one of each at a time, as the protocol has it; a second one ends the session, as
does a GET whose client has gone: nobody knows what of an answer has arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...wire import engineio
from ...wire.http.message import HttpRequest, HttpResponse
from ...wire.violation import ProtocolViolation
from .answers import BAD_REQUEST, error, payload
from .life import EngineState
from .session import EngineSession

__all__ = ["Polling"]

IN_A_TURN = 500  # packets of a body that are read before others on the loop have their turn


class Polling:
    """The requests of one session.

    Args:
        session: whose they are.
        tell: called when a poll is held, with True, and when it is not any more, with False.
        max_payload: bytes of a POST.

    Attributes:
        is_probed: whether a WebSocket of the session was answered: then no poll is held.
        task: what serves the session, once that has begun.
    """

    __slots__ = ("_held", "_is_posting", "_max_payload", "_tell", "is_probed", "session", "task")

    def __init__(
        self, session: EngineSession, tell: Callable[[bool], object], max_payload: int
    ) -> None:
        self.session = session
        self.is_probed = False
        self.task: asyncio.Task[None] | None = None
        self._tell = tell
        self._max_payload = max_payload
        self._held: asyncio.Future[None] | None = None
        self._is_posting = False
        session.when_filled(self.wake)

    def wake(self) -> None:
        """Answer the poll that is held, if one is."""
        if self._held is not None and not self._held.done():
            self._held.set_result(None)

    async def poll(self) -> HttpResponse:
        """Answer a GET, when something waits."""
        session = self.session
        if self._held is not None:
            session.break_off(
                ProtocolViolation("poll-overlap", "one GET at a time", "a second while one is held")
            )
            return HttpResponse(400)
        self._held = asyncio.get_running_loop().create_future()
        self._tell(True)
        try:
            if not session.outbox and not self.is_probed and session.link is None:
                await self._held
        except asyncio.CancelledError:
            session.end(None)
            raise
        finally:
            self._held = None
            self._tell(False)
        if session.link is not None or not session.outbox:
            return payload(b"6")
        try:
            return payload(session.taken())
        except ProtocolViolation as violation:
            session.break_off(violation)
            return error(BAD_REQUEST)

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Take what a POST brings; it is answered when there is room for more."""
        session = self.session
        if self._is_posting:
            session.break_off(
                ProtocolViolation("post-overlap", "one POST at a time", "a second at once")
            )
            return HttpResponse(400)
        self._is_posting = True
        try:
            if len(request.body) > self._max_payload:
                raise ProtocolViolation(
                    "too-large", f"at most {self._max_payload:,} bytes", f"{len(request.body):,}"
                )
            if (request.header("content-type") or "").startswith("application/octet-stream"):
                raise ProtocolViolation("bad-body", "text", "application/octet-stream")
            await self._take(request.body)
            assert session.inbox is not None
            await session.inbox.room()
        except ProtocolViolation as violation:
            session.break_off(violation)
            return HttpResponse(413) if violation.rule == "too-large" else error(BAD_REQUEST)
        finally:
            self._is_posting = False
        # Not text/plain, which some browsers offer for download.
        return HttpResponse(200, (("Content-Type", "text/html"),), b"ok")

    async def _take(self, body: bytes) -> None:
        session = self.session
        assert session.inbox is not None
        try:
            text = body.decode()
        except UnicodeDecodeError as exc:
            raise ProtocolViolation("bad-body", "UTF-8", str(exc)) from None
        count = text.count(engineio.SEPARATOR) + 1
        if count > engineio.MAX_PACKETS:
            raise ProtocolViolation(
                "too-many-packets", f"at most {engineio.MAX_PACKETS:,} in a body", f"{count:,}"
            )
        for nth, part in enumerate(text.split(engineio.SEPARATOR)):
            if nth % IN_A_TURN == IN_A_TURN - 1:
                await asyncio.sleep(0)
            packet = engineio.decode_text(part)
            if session.state in (EngineState.CLOSING, EngineState.CLOSED):
                break
            data = session.take(packet)
            if data is not None:
                session.inbox.put(data)
