"""Try: one opening handshake sent as it was written, and what came back.

What the handshake editor keeps and draws, without the widget: a request built from lines, one
exchange of bytes on the lab's loop, both heads read and judged. Its rule: the bytes are real, and
nothing of the request is put right on the way. What is shown of it is redacted.
"""

from __future__ import annotations

import dataclasses
import os
import re
import ssl as tls
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from ...errors import ConnectFailed, HandshakeTimeout, LoopBlocked, NobodyListening, in_words
from ...loops import portals
from ...network import exchange
from ...server.server import Server
from ...wire.frames.layout import encode_frame
from ...wire.http.accept import derive_accept
from ...wire.http.building import build_request
from ...wire.http.handshake import Handshake
from ...wire.http.head_reader import HeadReader
from ...wire.http.heads import Problem, Request, Response
from ...wire.http.redaction import find_secrets, redact
from ...wire.http.secret_values import hide_secrets
from ..panels import model

__all__ = ["DEFAULTS", "Plan", "Target", "Try", "attempt", "plan_of", "to_json"]

TIMEOUT_S = 3.0
MAX_BODY_BYTES = 600
_MAX_LABEL = 90
_PARAGRAPH = re.compile(
    r" (?=The request breaks a rule:|Its own words:|Very likely |Probably |What is known:)"
)
_NORMAL = (1000).to_bytes(2, "big")

Plan = dict[str, Any]
"""What to send: ``method``, ``target``, ``version``, and ``lines``: [[name, value], ...]."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: an address, or a callback that is listened for while it answers."""

    host: str
    port: int
    name: str
    path: str = "/"
    ssl: tls.SSLContext | None = None
    callback: exchange.Callback | None = None

    @classmethod
    def of(cls, what: Any, *, ssl: tls.SSLContext | None = None) -> Target:
        """Read a Server, a ws:// or wss:// URL, or a callback of ``asyncio.start_server``.

        Raises:
            TypeError: it is none of these.
            ValueError: a URL of another scheme, or without a host.
        """
        if isinstance(what, Server):
            what, name = what.url, f"server {what.name!r}"
        elif isinstance(what, str):
            name = what
        elif callable(what):
            name = f"{getattr(what, '__name__', type(what).__name__)}()"
            return cls("127.0.0.1", 0, name, callback=what)
        else:
            raise TypeError(
                "expected a Server, a ws:// URL or a callback (reader, writer), got "
                f"{type(what).__name__}"
            )
        url = urlsplit(what)
        if url.scheme not in ("ws", "wss") or not url.hostname:
            raise ValueError(f"expected a URL such as ws://127.0.0.1:8765/, got {what!r}")
        if url.scheme == "wss":
            ssl = ssl or tls.create_default_context()
        port = url.port or (443 if url.scheme == "wss" else 80)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return cls(url.hostname, port, name, path, ssl if url.scheme == "wss" else None)

    @property
    def host_header(self) -> str:
        """What belongs into the Host header (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.callback is not None:
            return host  # its port is another one each time
        return f"{host}:{self.port}"

    async def ask(
        self, data: bytes, timeout_s: float
    ) -> tuple[exchange.Exchange, list[BaseException]]:
        """Send bytes there and return what came, and what a callback raised."""
        how: dict[str, Any] = {
            "timeout_s": timeout_s,
            "enough": _is_whole,
            "farewell": _say_goodbye,
        }
        if self.callback is None:
            if self.ssl is not None:
                how |= {"ssl": self.ssl, "server_hostname": self.host}
            return await exchange.exchange(self.host, self.port, data, **how), []
        async with exchange.listening(self.callback) as listener:
            answer = await exchange.exchange(self.host, listener.port, data, **how)
        return answer, listener.errors


def _read_answer(data: bytes) -> tuple[Response | Problem | None, bytes]:
    head, rest = HeadReader("server").feed(data)
    assert not isinstance(head, Request)
    return head, rest


def _is_whole(data: bytes) -> bool:
    """Tell whether the answer is complete, so that there is nothing to wait for."""
    head, rest = _read_answer(data)
    if head is None:
        return False
    if isinstance(head, Problem) or head.status == 101:
        return True
    length = head.get("Content-Length") or ""
    return length.isdecimal() and len(rest) >= int(length)


def _say_goodbye(data: bytes) -> bytes:
    """Close a WebSocket that was opened as RFC 6455 §7.1.2 wants; else there is nothing to say."""
    head, _ = _read_answer(data)
    if not isinstance(head, Response) or head.status != 101:
        return b""
    return encode_frame(8, _NORMAL, mask_key=os.urandom(4))


@dataclass(frozen=True)
class Try:
    """A request as it was sent, and what came back.

    Attributes:
        label: how it differs from a good one, such as "without Host".
        sent: the bytes that went out.
        received: the bytes that came, up to what was read; with 101, frames may follow the head.
        handshake: both heads without secrets, judged by RFC 6455.
        took_s: seconds until the answer was read.
        failure: why the answer is no HTTP, or what the callback raised; else "".
    """

    label: str
    sent: bytes
    received: bytes
    handshake: Handshake
    took_s: float
    failure: str = ""

    @property
    def status(self) -> int | None:
        """The answer's status, or None where there is no answer."""
        response = self.handshake.response
        return None if response is None else response.status

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers, without secrets; of two of the same name the first."""
        response = self.handshake.response
        pairs = reversed(response.headers) if response else ()
        return {header.name: header.value for header in pairs}

    @property
    def outcome(self) -> str:
        """The status in words: "101 Switching Protocols", "no answer"."""
        if self.status is None:
            return "no answer"
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def why(self) -> str:
        """Why there is no WebSocket, or what a good answer means."""
        if self.handshake.accepted:
            return (
                "101: the server switched, and its Accept fits the key. HTTP has ended on this "
                "connection; from here on both sides send frames."
            )
        return " ".join(filter(None, [self.failure, self.handshake.why_refused]))

    def __str__(self) -> str:
        return f"{self.label}: {self.outcome}"

    def __repr__(self) -> str:
        return f"<Try {self}>"


def plan_of(
    target: Target,
    key: str,
    *,
    omit: Iterable[str] = (),
    headers: Iterable[tuple[str, str]] = (),
    method: str = "GET",
    path: str | None = None,
    version: str = "HTTP/1.1",
) -> Plan:
    """Return a good request's lines, changed as told; a header of the same name is replaced."""
    lines = [[name, key if name == "Sec-WebSocket-Key" else value] for name, value in DEFAULTS]
    lines[0][1] = target.host_header
    for name, value in headers:
        same = [line for line in lines if line[0].lower() == name.lower()]
        if same:
            same[0][:] = [name, value]
        else:
            lines.append([name, value])
    left_out = {name.lower() for name in ([omit] if isinstance(omit, str) else omit)}
    lines = [line for line in lines if line[0].lower() not in left_out]
    target_path = target.path if path is None else path
    return {"method": method, "target": target_path, "version": version, "lines": lines}


DEFAULTS = (
    ("Host", ""),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", ""),
    ("Sec-WebSocket-Version", "13"),
)
"""The five headers that a handshake must have (RFC 6455 §4.1)."""


def attempt(target: Target, plan: Plan, good: Plan, *, timeout_s: float = TIMEOUT_S) -> Try:
    """Send a planned request over TCP, on the lab's loop, and return what came of it.

    Args:
        target: whom to ask.
        plan: what to send.
        good: the same without the learner's changes, to name them.
        timeout_s: seconds for connecting, and again for the answer.

    Raises:
        NobodyListening: nothing listens there.
        HandshakeTimeout: no connection could be made in time.
        ConnectFailed: it failed otherwise; the message says how.
        ValueError: the lines would not be one HTTP head.
        LoopBlocked, WrongThread: see ``wslab.run``.
    """
    lines = [(str(name), str(value)) for name, value in plan["lines"]]
    names = {name.lower() for name, _ in lines}
    sent = build_request(
        plan["target"],
        target.host_header,
        "",
        headers=lines,
        omit=[name for name, _ in DEFAULTS if name.lower() not in names],
        method=plan["method"],
        version=plan["version"],
    )
    request, _ = HeadReader("client").feed(sent)
    if not isinstance(request, Request):
        words = request.message if isinstance(request, Problem) else "it has no end"
        raise ValueError(f"expected the lines to make one HTTP request; {words}")
    try:
        answer, errors = portals.lab().call(target.ask, sent, timeout_s, timeout=4 * timeout_s)
    except ConnectionRefusedError as exc:
        raise NobodyListening(
            f"expected something to listen at {target.host_header}, but nothing does: is the "
            "server stopped? Run its cell again"
        ) from exc
    except LoopBlocked:
        raise
    except TimeoutError as exc:
        raise HandshakeTimeout(
            f"expected a TCP connection to {target.host_header} within {timeout_s:g} s; none came: "
            "is the address right, and does a firewall let you through?"
        ) from exc
    except OSError as exc:  # no such host, TLS that does not fit
        raise ConnectFailed(
            f"expected a connection to {target.host_header}, got {in_words(exc)}"
        ) from exc
    response, _ = _read_answer(answer.data)
    failure = _failure(target, answer, response, errors)
    if isinstance(response, Response) and response.status != 101:
        body = answer.data.partition(b"\r\n\r\n")[2]
        response = dataclasses.replace(response, body=body)
    shown = None
    if isinstance(response, Response):
        shown = redact(response, also=find_secrets(request))
    return Try(
        label=_label(plan, good),
        sent=sent,
        received=answer.data,
        handshake=Handshake(redact(request), shown),
        took_s=answer.took_s,
        failure=failure,
    )


def _failure(
    target: Target, answer: exchange.Exchange, response: Any, errors: Sequence[BaseException]
) -> str:
    if errors:
        exc = errors[0]
        text = str(exc) or "no message"
        if isinstance(exc, NotImplementedError):
            return f"{target.name} is not written yet."
        return f"{target.name} raised {type(exc).__name__}: {text}."
    if isinstance(response, Problem):
        return f"What came is no HTTP answer. {response.message}"
    if answer.ended == "timeout":
        if response is None:
            return "The server kept the connection open and did not complete an answer in time."
        return (
            "The answer's head came, but not its end: without Content-Length a client waits until "
            "the server closes, and it did not."
        )
    return ""


def _label(plan: Plan, good: Plan) -> str:
    """Name how a request differs from the good one."""
    said = []
    for part in ("method", "target", "version"):
        if plan[part] != good[part]:
            said.append(f"{part} {hide_secrets('', plan[part])}")
    ours = {name.lower(): (name, value) for name, value in plan["lines"]}
    theirs = {name.lower(): (name, value) for name, value in good["lines"]}
    if gone := [name for low, (name, _) in theirs.items() if low not in ours]:
        said.append(f"without {', '.join(gone)}")
    for low, (name, value) in ours.items():
        if low not in theirs:
            said.append(f"with {name}: {hide_secrets(name, value)}")
        elif value != theirs[low][1]:
            said.append(f"{name}: {hide_secrets(name, value)}" if value else f"{name} empty")
    text = model.one_line(", ".join(said)) or "as it should be"
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


def to_json(one: Try, number: int) -> dict[str, Any]:
    """Return all that a page draws of a try."""
    handshake = one.handshake
    response = handshake.response
    state = "opened" if handshake.accepted else "refused"
    if one.status == 101 and not handshake.accepted:
        state = "doubtful"
    return {
        "number": number,
        "label": one.label,
        "outcome": one.outcome,
        "state": state,
        "why": _paragraphs(one),
        "suspect": handshake.suspect or "",
        "took": model.round_trip(one.took_s),
        "request": _lines(handshake.request),
        "response": _lines(response) if response else [],
        "body": _body(response),
        "accept": _accept(handshake),
    }


def _paragraphs(one: Try) -> list[str]:
    """Return why, without what the page shows beside it: the status, the suspect, the body."""
    shown = {"", f"Very likely because of {one.handshake.suspect}."}
    texts = [text.removeprefix(f"{one.outcome}: ") for text in _PARAGRAPH.split(one.why)]
    return [text for text in texts if text not in shown and not text.startswith("Its own words:")]


def _lines(head: Request | Response) -> list[dict[str, str]]:
    rows = [{"name": "", "value": head.start_line, "purpose": "", "section": "", "fault": ""}]
    rows += [
        {
            "name": header.name,
            "value": header.value,
            "purpose": header.purpose,
            "section": header.section,
            "fault": header.fault or "",
        }
        for header in head.headers
    ]
    return rows


def _body(response: Response | None) -> str:
    if response is None or not response.body:
        return ""
    text = response.body[:MAX_BODY_BYTES].decode("utf-8", "replace")
    more = len(response.body) - MAX_BODY_BYTES
    return text + (f"\n… and {model.size(more)} more" if more > 0 else "")


def _accept(handshake: Handshake) -> dict[str, Any] | None:
    """Return the derivation of Accept, where there is a key and an answer that switches."""
    key = handshake.request.get("Sec-WebSocket-Key")
    response = handshake.response
    if key is None or response is None or response.status != 101:
        return None
    steps = derive_accept(key)
    sent = response.get("Sec-WebSocket-Accept")
    return {
        "key": steps.key,
        "guid": steps.guid,
        "sha1": steps.sha1.hex(),
        "accept": steps.accept,
        "sent": sent or "",
        "fits": sent == steps.accept,
    }
