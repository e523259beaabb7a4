"""What a handshake is sent to, and its lines: HandshakeTarget (an address, or a callback that is
listened for while it answers), and a Plan, with how it differs from a good one.

Its rule: what somebody wrote is kept as it is, right or wrong, and its bytes go out as they are;
secrets are hidden in a plan's name only. What opens is closed as RFC 6455 §7.1.2 wants.
"""

from __future__ import annotations

import os
import ssl as tls
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...network import exchange
from ...server.server import Server
from ...wire.frames.layout import encode_frame
from ...wire.http.head_reader import HeadReader
from ...wire.http.heads import Problem, Request, Response
from ...wire.http.secret_values import hide_secrets
from ..panels import model

__all__ = ["DEFAULTS", "HandshakeTarget", "Plan", "label_of", "plan_of", "read_answer"]

_NORMAL = (1000).to_bytes(2, "big")
_MAX_LABEL = 90

Plan = dict[str, Any]
"""What to send: ``method``, ``target``, ``version``, and ``lines``: [[name, value], ...]."""

DEFAULTS = (
    ("Host", ""),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", ""),
    ("Sec-WebSocket-Version", "13"),
)
"""The five headers that a handshake must have (RFC 6455 §4.1)."""


@dataclass(frozen=True, slots=True)
class HandshakeTarget:
    """Where a request goes: an address, or a callback that is listened for while it answers."""

    host: str
    port: int
    name: str
    path: str = "/"
    ssl: tls.SSLContext | None = None
    callback: exchange.Callback | None = None

    @classmethod
    def of(cls, what: Any, *, ssl: tls.SSLContext | None = None) -> HandshakeTarget:
        """Read a Server, a ws:// or wss:// URL, or a callback of ``asyncio.start_server``.

        Raises:
            TypeError: it is none of these.
            ValueError: a URL of another scheme, or without a host.
        """
        if isinstance(what, Server):
            ssl = ssl or what.client_tls
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


def read_answer(data: bytes) -> tuple[Response | Problem | None, bytes]:
    head, rest = HeadReader("server").feed(data)
    assert not isinstance(head, Request)
    return head, rest


def _is_whole(data: bytes) -> bool:
    """Tell whether the answer is complete, so that there is nothing to wait for."""
    head, rest = read_answer(data)
    if head is None:
        return False
    if isinstance(head, Problem) or head.status == 101:
        return True
    length = head.get("Content-Length") or ""
    return length.isdecimal() and len(rest) >= int(length)


def _say_goodbye(data: bytes) -> bytes:
    """Close a WebSocket that was opened as RFC 6455 §7.1.2 wants; else there is nothing to say."""
    head, _ = read_answer(data)
    if not isinstance(head, Response) or head.status != 101:
        return b""
    return encode_frame(8, _NORMAL, mask_key=os.urandom(4))


def plan_of(
    target: HandshakeTarget,
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


def label_of(plan: Plan, good: Plan) -> str:
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
