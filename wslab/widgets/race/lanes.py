"""The five ways from Python, for where no page is there to run them (nbconvert, a check).

Its rule: they ask for what a page would ask for, with the few headers that HTTP needs and no more,
so a page's own requests are longer. Each ends when it is cancelled, or has what it came for; none
raises for what a server answers.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import b64encode

from ...network.exchange import exchange
from ...wire.frames.layout import encode_frame
from .tally import WAYS

__all__ = ["AT_MOST_S", "request_of", "run_lane"]

AT_MOST_S = 60.0  # that one request may take
MAX_BYTES = 8 * 2**20
MISSED_S = 0.05  # before a lane asks again that got nothing
_UPDATE = re.compile(rb"u(\d{1,9}):")
_NORMAL = (1000).to_bytes(2, "big")


def request_of(path: str, *, after: int, upgrade: bool = False) -> bytes:
    """Return a request's bytes.

    Args:
        path: such as "/poll".
        after: the number of the last update that the client has.
        upgrade: whether it asks for a WebSocket (RFC 6455 section 4.1).
    """
    lines = [f"GET {path}?after={after} HTTP/1.1", "Host: 127.0.0.1"]
    if upgrade:
        key = b64encode(secrets.token_bytes(16)).decode()
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Key: {key}"]
    else:
        lines += ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()


async def run_lane(
    way: str,
    port: int,
    *,
    after: int,
    until: int,
    poll_s: float,
    path: str = "",
    upgrade: bool = True,
) -> None:
    """Get updates in one way; the two that ask go on asking until they are cancelled.

    Args:
        way: one of ``WAYS``.
        port: of this machine.
        after: the number of the last update that it has.
        until: the number of the last update that will come.
        poll_s: seconds from an answer to the next request, for polling.
        path: where it asks; by default as ``WAYS`` has it.
        upgrade: False for a WebSocket behind a proxy that takes the Upgrade out.
    """
    path = path or f"/{WAYS[way]}"
    if way == "WebSocket":
        await _ask(port, request_of(path, after=after, upgrade=upgrade), until)
    elif way in ("SSE", "fetch stream"):
        await _ask(port, request_of(path, after=after), until)
    else:
        while True:
            seen = await _ask(port, request_of(path, after=after), None)
            pause_s = poll_s if way == "polling" else 0.0 if seen > after else MISSED_S
            after = max(after, seen)
            await asyncio.sleep(pause_s)


async def _ask(port: int, request: bytes, until: int | None) -> int:
    """Return the number of the last update that came; 0 where none did."""

    def enough(data: bytes) -> bool:
        return until is not None and _last(data) >= until

    def farewell(data: bytes) -> bytes:
        if not data.startswith(b"HTTP/1.1 101"):
            return b""
        return encode_frame(8, _NORMAL, mask_key=secrets.token_bytes(4))

    try:
        answer = await exchange(
            "127.0.0.1", port, request, timeout_s=AT_MOST_S, max_bytes=MAX_BYTES,
            enough=enough, farewell=farewell,
        )  # fmt: skip
    except OSError:
        await asyncio.sleep(MISSED_S)  # nobody listens any more
        return 0
    return _last(answer.data)


def _last(data: bytes) -> int:
    return max((int(found) for found in _UPDATE.findall(data[-4_096:])), default=0)
