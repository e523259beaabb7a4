"""One connection that speaks HTTP/1.1: request after request, with bodies, in turn (RFC 9112).

h11 says what the bytes mean. Its rule: everything that a client can stretch has a bound: heads,
bodies, the time that they take, requests sent ahead, and an answer that nobody reads. What is
answered is not its business; it runs as one task, which is cancelled when the client has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import http
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import h11

__all__ = ["HttpConnection", "reason_of"]

MAX_HEAD_BYTES = 2**14  # as Node has it; a session may keep it
MAX_AHEAD_BYTES = 2**16  # that may come while a request is being answered
MAX_PIECES = 10_000  # of a body
IN_A_TURN = 100  # of these
HEAD_S = 30.0  # from one answer to the end of the next head; more than a stock client's heartbeat
BODY_S = 30.0
LINGER_S = 1.0  # to read on where a body is not wanted: else TCP takes the answer back
KEEP_ALIVE: Final = ("Keep-Alive", f"timeout={HEAD_S:g}")

Answer = tuple[int, Iterable[tuple[str, str]], bytes]


class HttpConnection:
    """The server's side of one connection; on its loop only.

    Args:
        transport: what is written to.
        drain: waits while the transport takes nothing more.
        answer: returns status, headers and body for a request and its body.
        max_body: returns the most bytes that a body may have.
        failed: told of an answer that can't be written, such as a header with a line break.
        leave: given a request's head, with what has come after it; returns whether it is for
            another protocol, which speaks from then on.
    """

    def __init__(
        self,
        transport: Any,
        drain: Callable[[], Awaitable[None]],
        answer: Callable[[h11.Request, bytes], Awaitable[Answer]],
        max_body: Callable[[], int],
        failed: Callable[[BaseException], object],
        leave: Callable[[h11.Request, bytes], bool],
    ) -> None:
        self._transport = transport
        self._drain = drain
        self._answer = answer
        self._max_body = max_body
        self._failed = failed
        self._leave = leave
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._came = bytearray()
        self._arrival: asyncio.Future[None] | None = None
        self._is_paused = self._is_stopping = self._is_at_work = self._has_left = False
        self.task: asyncio.Task[None] | None = None  # that runs it

    # What comes.

    def data_received(self, data: bytes) -> None:
        """Take bytes that came."""
        self._came.extend(data)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        if len(self._came) > MAX_AHEAD_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def finish(self) -> None:
        """Take note that the client has gone: nobody waits for what is being answered."""
        self.end()

    def end(self) -> None:
        """End what is being answered; idempotent."""
        if self.task is not None:
            self.task.cancel()

    def stop(self) -> None:
        """Take no further request: the server closes."""
        self._is_stopping = True
        if not self._is_at_work:
            self._transport.close()

    async def _more(self) -> None:
        """Let h11 have what has come, or else what comes next."""
        while not self._came:
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        data = bytes(self._came)
        self._came.clear()
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        self._http.receive_data(data)

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                self._write(self._http.send(go_on))
            await self._more()
        return event

    # Requests in turn.

    async def run(self) -> None:
        """Answer one request after the other, until one side wants no more."""
        try:
            while await self._serve_one() and not self._is_stopping:
                self._http.start_next_cycle()
            await self._linger()
        finally:
            self.task = None
            if not self._has_left:
                self._transport.close()

    async def _serve_one(self) -> bool:
        """Answer one request; return whether another may follow."""
        self._is_at_work = False
        try:
            async with asyncio.timeout(HEAD_S):
                request = await self._event()
        except TimeoutError:
            if self._http.trailing_data[0]:
                await self._refuse(408, f"the head of a request within {HEAD_S:g} s")
            return False
        except h11.RemoteProtocolError as exc:
            await self._refuse(exc.error_status_hint, f"an HTTP/1.1 request: {exc}")
            return False
        if not isinstance(request, h11.Request):
            return False  # the client wants no more
        if _size_of(request) > MAX_HEAD_BYTES:  # h11 bounds only those that come in parts
            await self._refuse(431, f"the head of a request of at most {MAX_HEAD_BYTES:,} bytes")
            return False
        if request.http_version not in (b"1.0", b"1.1"):
            await self._refuse(505, "HTTP/1.1")
            return False
        if request.method == b"CONNECT":  # a 2xx to it would make a tunnel (RFC 9110 §9.3.6)
            await self._refuse(405, "a method of a server: CONNECT is a proxy's")
            return False
        self._is_at_work = True
        if self._leave(request, self._http.trailing_data[0] + bytes(self._came)):
            self._has_left = True
            return False
        try:
            async with asyncio.timeout(BODY_S):
                body = await self._body(request)
        except TimeoutError:
            await self._refuse(408, f"the body of a request within {BODY_S:g} s")
            return False
        except h11.RemoteProtocolError as exc:
            await self._refuse(exc.error_status_hint, f"the body that its head announces: {exc}")
            return False
        if body is None:
            most = f"a body of at most {self._max_body():,} bytes, in at most {MAX_PIECES:,} chunks"
            await self._refuse(413, most)
            return False
        status, headers, content = await self._answer(request, body)
        await self._respond(status, headers, content, is_head=request.method == b"HEAD")
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _body(self, request: h11.Request) -> bytes | None:
        most = self._max_body()
        announced = next((v for name, v in request.headers if name == b"content-length"), b"0")
        if int(announced) > most:
            return None
        body, pieces = bytearray(), 0
        while isinstance(event := await self._event(), h11.Data):
            body.extend(event.data)
            pieces += 1
            if len(body) > most or pieces > MAX_PIECES:
                return None
            if pieces % IN_A_TURN == 0:
                await asyncio.sleep(0)
        return bytes(body)

    # What goes.

    async def _refuse(self, status: int, expected: str) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = f"Expected {expected}.\n".encode(errors="replace")
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
        await self._respond(status, headers, text, is_head=False)

    async def _respond(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes, *, is_head: bool
    ) -> None:
        fields = list(headers)
        names = {name.lower() for name, _ in fields}
        if "date" not in names:
            fields.append(("Date", email.utils.formatdate(usegmt=True)))
        if "content-length" not in names and status not in (204, 304):
            fields.append(("Content-Length", str(len(body))))
        if "connection" not in names:
            fields.append(("Connection", "close") if self._is_stopping else KEEP_ALIVE)
        try:
            head = h11.Response(
                status_code=status, headers=fields, reason=reason_of(status).encode()
            )
        except (h11.LocalProtocolError, UnicodeEncodeError) as exc:
            self._failed(exc)
            body = b"The answer failed. Its author can see why on the server.\n"
            fields = [("Content-Length", str(len(body))), ("Connection", "close")]
            head = h11.Response(status_code=500, headers=fields, reason=reason_of(500).encode())
        # At once, so that the first byte of a write is never a body's.
        parts = [self._http.send(head)]
        if body and not is_head and status not in (204, 304):
            parts.append(self._http.send(h11.Data(data=body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        self._write(b"".join(part for part in parts if part))
        with contextlib.suppress(OSError):
            await self._drain()
        await asyncio.sleep(0)  # others have their turn before what was sent ahead

    def _write(self, data: bytes | None) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)

    async def _linger(self) -> None:
        if self._has_left or self._http.their_state is h11.DONE or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._transport.is_closing():
                    self._came.clear()
                    await self._more_to_forget()

    async def _more_to_forget(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        self._arrival = asyncio.get_running_loop().create_future()
        await self._arrival


def _size_of(request: h11.Request) -> int:
    headers = request.headers.raw_items()
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in headers)


def reason_of(status: int) -> str:
    """Return the phrase of a status; "" for one that nobody knows."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
