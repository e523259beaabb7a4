"""The checks of lesson 01: Accept from a key, and a server that shakes hands by hand.

Its rule: only the wire counts. The learner's code gets a port of its own and is asked with random
keys: by hand-made requests, right and wrong, and by a real client that checks every rule itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import random
from collections.abc import Iterable
from typing import Any

from ...client.connect import connect
from ...errors import ConnectFailed
from ...failures import in_words
from ...network import exchange
from ...server.handler import handler_name
from ...wire.http.accept import GUID, accept_key
from ...wire.http.building import build_request, build_response
from ...wire.http.handshake import Handshake
from ...wire.http.head_reader import HeadReader
from ...wire.http.heads import Problem, Request, Response
from ..exercises import Miss, NotYet, exercise
from ..learner_loop import bounded
from ..testbench import nonce

KEYS = 3
ANSWER_S = 1.5  # for one answer
CHECK_S = 10.0  # for all of them
SOLUTION = "solutions/01_handshake.py"


def _new_key(size: int = 16) -> str:
    return base64.b64encode(os.urandom(size)).decode("ascii")


def _telling_key() -> str:
    # Four in ten have an Accept without + and /, which the base64 for URLs gets right.
    while not set("+/") & set(accept_key(key := _new_key())):
        pass
    return key


# ---------------------------------------------------------------------------------------------
# accept(key)


@exercise(
    "01 accept",
    hints=(
        "Three steps, as in the lesson: put the GUID behind the key, SHA-1 of that, base64 of the "
        "digest. The key is text all along; it is not decoded.",
        "hashlib.sha1(...) wants bytes: `(key + guid).encode()`. Its `.digest()` is 20 bytes; "
        "`base64.b64encode(...)` makes 28 bytes of them, and `.decode()` makes these a str.",
    ),
    solution=SOLUTION,
)
def accept_of_random_keys(accept: Any) -> str:
    """Call it with random keys; then a real client must open against what it says."""
    if not callable(accept):
        raise Miss("a function accept(key)", f"{type(accept).__name__} {accept!r:.60}")
    for key in [_telling_key(), *(_new_key() for _ in range(KEYS - 1))]:
        expected = f"{accept_key(key)!r} for the key {key!r}"
        got = bounded(accept, key, timeout_s=3.0, expected=expected)
        if got != accept_key(key):
            raise Miss(expected, f"{got!r:.80}", _why_not(got, key) or _why_no_slip(accept, got))

    async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = HeadReader("client").feed(await reader.readuntil(b"\r\n\r\n"))
        assert isinstance(head, Request)
        value = accept(head.get("Sec-WebSocket-Key"))
        if asyncio.iscoroutine(value):
            value = await value
        writer.write(build_response(headers={"Sec-WebSocket-Accept": value}))
        await writer.drain()
        writer.close()

    async def visit() -> None:
        async with exchange.listening(shake_hands) as listener:
            await _real_clients(listener)

    _in_time(visit, "accept")
    return f"{KEYS} random keys, and {KEYS} real clients opened with it"


def _why_not(got: Any, key: str) -> str:
    """Name the slip, where it is one of those that everybody makes."""
    if got is None:
        return "does the function return what it has computed?"
    if isinstance(got, bytes):
        return "that is bytes; a header is text: .decode() makes a str of them"
    if not isinstance(got, str):
        return "a header is text: return a str"
    digest = hashlib.sha1((key + GUID).encode(), usedforsecurity=False)
    bare = hashlib.sha1(key.encode(), usedforsecurity=False).digest()
    decoded = hashlib.sha1(base64.b64decode(key) + GUID.encode(), usedforsecurity=False).digest()
    before = hashlib.sha1((GUID + key).encode(), usedforsecurity=False).digest()
    small = hashlib.sha1((key + GUID.lower()).encode(), usedforsecurity=False).digest()
    slips = {
        digest.hexdigest(): "that is the digest in hex; it goes into base64: .digest()",
        _base64(digest.hexdigest().encode()): "that is base64 of the digest in hex; take "
        ".digest(), the 20 bytes themselves",
        _base64(bare): "the GUID is missing: it goes behind the key before SHA-1",
        _base64(decoded): "the key is not decoded: its text goes into SHA-1 as it stands there",
        _base64(before): "the key comes first, the GUID behind it",
        _base64(small): "the GUID's letters are capitals",
        accept_key(key).rstrip("="): "the = at the end belongs to it",
        str(accept_key(key).encode()): "str() of bytes writes a b and quotation marks around "
        "them: .decode() makes text of them",
        accept_key(key).translate(str.maketrans("+/", "-_")): "this is the base64 for URLs; the "
        "handshake wants the usual one, with + and /: b64encode()",
        _base64((key + GUID).encode()): "SHA-1 is missing: base64 is made of its digest",
    }
    if got.strip() == accept_key(key):
        return "there is white space around it: b64encode() makes none, encodebytes() does"
    return slips.get(got, "")


def _why_no_slip(accept: Any, got: Any) -> str:
    """Ask once more with another key: is the answer one of that key at all?"""
    again = bounded(accept, _new_key(), timeout_s=3.0, expected="an answer for another key")
    if again == got:
        return "it says the same for each key: compute it from the key that the function is given"
    return "compare with the steps in the lesson, one by one"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# ---------------------------------------------------------------------------------------------
# The server by hand


@exercise(
    "01 server",
    hints=(
        "Three cases, and each writes one answer: the version is not 13; the key is not base64 of "
        "16 bytes (or there is none); all is well. An answer is a status line, headers and a blank "
        r"line, each ended by \r\n. A refusal says Content-Length: 0.",
        "A header that is missing is None, and None is no base64 either. "
        "base64.b64decode(key, validate=True) raises binascii.Error, which is a ValueError, for "
        "what is no base64; put it into a try, and look at the len() of what it returns.",
    ),
    solution=SOLUTION,
)
def server_by_hand(handler: Any) -> str:
    """Ask it rightly and wrongly, by hand and with a real client."""
    if not callable(handler):
        raise Miss(
            "a function of (reader, writer)",
            f"{type(handler).__name__} {handler!r:.60}",
            "pass the function itself: the check gives it a port of its own",
        )
    counts = {"opened": 0, "refused": 0}

    async def examine() -> None:
        async with exchange.listening(handler) as listener:
            bench = _Bench(listener)
            for what, headers in _good():
                await bench.opens(what, headers)
                counts["opened"] += 1
            await _real_clients(listener)
            counts["opened"] += KEYS
            for what, spoiled, statuses in _bad():
                await bench.refuses(what, spoiled, statuses)
                counts["refused"] += 1
            # Again, so that a refusal has broken nothing.
            await _real_clients(listener, 1)

    _in_time(examine, handler_name(handler))
    return (
        f"it opened for {counts['opened']} good handshakes with random keys and refused "
        f"{counts['refused']} bad ones properly"
    )


def _good() -> Iterable[tuple[str, dict[str, str]]]:
    """Good requests: as most clients write them, and as others do."""
    yield "a good request", {}
    yield (
        "a good request as Firefox sends it (Connection: keep-alive, Upgrade)",
        {"Connection": "keep-alive, Upgrade", "User-Agent": f"check/{nonce(2)}"},
    )
    yield (
        "a good request with its headers' names in small letters",
        {"sec-websocket-key": _new_key(), "upgrade": "WebSocket", "sec-websocket-version": "13"},
    )


_REFUSED = range(400, 500)


def _bad() -> Iterable[tuple[str, dict[str, str | None], Iterable[int]]]:
    """Bad requests: what is wrong, the header to change (None: left out), the right statuses."""
    version = str(random.choice([0, 7, 8, 12, 14, 99]))
    yield f"the version {version}", {"Sec-WebSocket-Version": version}, [426]
    yield "no version", {"Sec-WebSocket-Version": None}, [426, 400]
    yield "no key", {"Sec-WebSocket-Key": None}, [400]
    words = f"not base64 {nonce(3)}"
    yield f"the key {words!r}", {"Sec-WebSocket-Key": words}, [400]
    short = _new_key(8)
    yield f"the key {short!r}, base64 of 8 bytes", {"Sec-WebSocket-Key": short}, [400]
    long = _new_key(17)
    yield f"the key {long!r}, base64 of 17 bytes", {"Sec-WebSocket-Key": long}, [400]
    plain = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
    yield "plain HTTP, which asks for no WebSocket", dict.fromkeys(plain), _REFUSED


class _Bench:
    """Hand-made requests to the learner's server, and what they should bring."""

    def __init__(self, listener: exchange.Listener) -> None:
        self.listener = listener

    async def opens(self, what: str, headers: dict[str, str]) -> None:
        request, response, said = await self._ask(f"101 for {what}", headers)
        wrong = [check for check in Handshake(request, response).broken if check.side == "response"]
        if not wrong:
            return
        first = wrong[0]
        if first.header is None:
            raise Miss(f"101 for {what}", said, "is the rule that refuses it too strict?")
        raise Miss(
            f"in the 101 for {what} the header {first.header} with {first.expected}",
            f"{said}, with {first.got} there",
            "the client compares this header with what it has computed itself"
            if first.name == "Accept"
            else "a 101 says in these headers what it switches to",
        )

    async def refuses(
        self, what: str, spoiled: dict[str, str | None], statuses: Iterable[int]
    ) -> None:
        expected = (
            "a refusal (400 to 499)"
            if statuses is _REFUSED
            else " or ".join(str(status) for status in statuses)
        )
        expected += f" for a request with {what}" if statuses is not _REFUSED else f" for {what}"
        headers = {name: value for name, value in spoiled.items() if value is not None}
        omit = [name for name, value in spoiled.items() if value is None]
        _, response, said = await self._ask(expected, headers, omit)
        if response.status not in statuses:
            hint = "this is not looked at yet"
            if response.status != 101:
                hint = "426 is for a wrong version, and 400 for a key that is wrong or missing"
            raise Miss(expected, said, hint)
        if response.status == 426 and statuses is not _REFUSED:
            spoken = response.get("Sec-WebSocket-Version")
            if "13" not in [each.strip() for each in (spoken or "").split(",")]:
                raise Miss(
                    f"{expected}, with the header Sec-WebSocket-Version: 13",
                    f"{said}, with {'no such header' if spoken is None else repr(spoken)}",
                    "the refusal names the version that you do speak (RFC 6455 §4.4)",
                )

    async def _ask(
        self, expected: str, headers: dict[str, str], omit: Iterable[str] = ()
    ) -> tuple[Request, Response, str]:
        """Return request, answer, and the answer in words; a Miss where none is complete."""
        sent = build_request(
            f"/{nonce(2)}",
            f"127.0.0.1:{self.listener.port}",
            _new_key(),
            headers=headers,
            omit=omit,
        )
        request, _ = HeadReader("client").feed(sent)
        assert isinstance(request, Request)
        came = await exchange.exchange(
            "127.0.0.1", self.listener.port, sent, timeout_s=ANSWER_S, enough=_is_whole
        )
        when = f"after {came.took_s * 1000:.1f} ms"
        if self.listener.errors:
            exc = self.listener.errors[0]
            if isinstance(exc, NotImplementedError):
                raise NotYet
            raise Miss(
                expected, f"your code raised {in_words(exc)} {when}", _why_raised(exc)
            ) from exc
        response, _ = HeadReader("server").feed(came.data)
        if isinstance(response, Problem):
            raise Miss(
                expected,
                f"{came.data[:60]!r} {when}, which is no HTTP answer. {response.message}",
                r"a status line, headers, a blank line; each ends with \r\n",
            )
        if not isinstance(response, Response):
            raise _no_head(expected, came, when)
        if came.ended == "timeout":
            raise Miss(
                f"{expected}, and then the answer's end",
                f"{response.start_line!r} without Content-Length, and no end within {ANSWER_S:g} s",
                "a refusal has to end: Content-Length: 0, or writer.close(), or both",
            )
        return request, response, f"{response.start_line!r} {when}"


def _no_head(expected: str, came: exchange.Exchange, when: str) -> Miss:
    if came.data:
        return Miss(
            expected,
            f"{came.data[-60:]!r} {when}, and no blank line after it",
            r"a head ends with a blank line: \r\n\r\n",
        )
    if came.ended == "timeout":
        return Miss(
            expected,
            f"no byte within {ANSWER_S:g} s",
            "does it wait for more than the head? writer.write() sends, and `await "
            "writer.drain()` waits until it is out",
        )
    return Miss(expected, f"the connection closed {when} without a byte", "write before you close")


def _is_whole(data: bytes) -> bool:
    head, rest = HeadReader("server").feed(data)
    if not isinstance(head, Response):
        return isinstance(head, Problem)
    if head.status == 101:
        return True
    length = head.get("Content-Length") or ""
    return length.isdecimal() and len(rest) >= int(length)


def _why_raised(exc: BaseException) -> str:
    if isinstance(exc, TypeError) and "bytes-like" in str(exc):
        if "coroutine" in str(exc):
            return "an `await` is missing where a coroutine function is called"
        return "writer.write() takes bytes: .encode() makes them of a str"
    if isinstance(exc, KeyError):
        return "a header may be missing: headers.get(name) gives None then"
    if isinstance(exc, ValueError | TypeError | AttributeError):
        return "what a client sends may be missing or nonsense: refuse it, don't fall over it"
    return ""


# ---------------------------------------------------------------------------------------------
# What both use


async def _real_clients(listener: exchange.Listener, count: int = KEYS) -> None:
    """Open real clients, each with a random key of its own, one after the other.

    Raises:
        Miss: one of them did not open.
    """
    for _ in range(count):
        await asyncio.to_thread(_visit, listener.port)
        if listener.errors:
            exc = listener.errors[0]
            raise Miss("a real client to open", f"your code raised {in_words(exc)}") from exc


def _visit(port: int) -> None:
    try:
        opened = connect(
            f"ws://127.0.0.1:{port}/{nonce(2)}", name="a real client", keep=True, open_timeout=3.0
        )
    except ConnectFailed as exc:
        raise Miss("a real client to open", f"it refused: {exc}") from None
    with contextlib.suppress(Exception):  # the server may be gone by now, which is all right
        opened.close(timeout=0.2)


def _in_time(examine: Any, name: str) -> None:
    examine.__name__ = name  # whose code holds the loop, if something does
    bounded(examine, timeout_s=CHECK_S, expected="an end of the check")
