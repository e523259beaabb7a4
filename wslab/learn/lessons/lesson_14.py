"""The check of lesson 14, and what its cells show: two pages, requests, what a router overhears.

Its rule: the wire decides. The learner's server is attacked as it stands: foreign Origins, tokens
that are missing, made up or expired, a flood; and those who may come are served meanwhile. By which
keyword, hook or library it tells them apart is the learner's affair.
"""

from __future__ import annotations

import base64
import html
import inspect
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed

from ...client.client import Client
from ...client.connect import connect
from ...errors import ConnectFailed
from ...loops.portals import lab
from ...server.server import Server
from ...wire.events import FrameEvent
from ...wire.frames.layout import encode_frame
from ...wire.tape.tape import Tape
from ..answers import Answer, ask
from ..exercises import Miss, exercise
from ..forgotten_await import ForgottenAwait
from ..page_look import PAGE_LOOK
from ..testbench import nonce

__all__ = ["DIARY_PAGE", "foreign_page", "get", "overheard"]

WAIT_S = 2.0  # for one answer, and for a flood to be ended
A_SECOND = 1.0
FAIR = 25  # messages at once, which are no flood
FLOOD = 300
MOST_BACK = 120  # of a flood, before it is ended
ENDED = (1008, 1013)  # and 4000 to 4999, which are an application's own (RFC 6455 §7.4.2)

_HEAD = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A page</title>
{PAGE_LOOK}
<style> p {{ margin: 4px 0; }} code {{ overflow-wrap: anywhere; }} </style>
"""
DIARY_PAGE = f"""{_HEAD}<p>Ada's own page. <span role="status" id="said">Its socket is not open
yet.</span></p>
<script>
const say = text => {{ document.getElementById("said").textContent = text; }};
const socket = new WebSocket(location.href.replace(/^http/, "ws"));
socket.onmessage = event => say("Its socket got: " + event.data);
</script>
"""
"""The diary's own page: it opens a socket where it came from."""

_FOREIGN = f"""{_HEAD}<p>A page of somebody else. Its origin is <code id="origin"></code>.</p>
<p><button id="ask">Ask Ada's server</button></p>
<p role="status">fetch: <span id="fetch">...</span></p>
<p role="status">new WebSocket: <span id="socket">...</span></p>
<script>
const say = (id, text) => {{ document.getElementById(id).textContent = text; }};
const url = "{{URL}}";
say("origin", self.origin);
document.getElementById("ask").onclick = () => {{
  fetch(url.replace(/^ws/, "http") + "diary").then(answer => answer.text())
    .then(text => say("fetch", "got: " + text), error => say("fetch", "no text. " + error));
  const socket = new WebSocket(url);
  let got = false;
  socket.onmessage = event => {{ got = true; say("socket", "got: " + event.data); }};
  socket.onclose = event => got || say("socket", "closed, code " + event.code);
}};
</script>
"""


def foreign_page(url: str) -> str:
    """Return the address of a page whose script fetches from a server and opens a socket to it.

    Args:
        url: the server's; the page itself is in its own address, and so of no server's origin.
    """
    return "data:text/html;charset=utf-8," + quote(_FOREIGN.replace("{URL}", url))


def get(path: str, *headers: str, host: str = "127.0.0.1", socket: bool = False) -> bytes:
    """Return a request as a browser sends it, for a page or for a socket.

    Args:
        path: what is asked for.
        headers: further lines, such as ``"Origin: https://evil.example"``.
        host: the name in the page's address.
        socket: ask for a WebSocket (RFC 6455 §4.1).
    """
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers]
    if socket:
        key = base64.b64encode(nonce(8).encode()).decode()
        lines += [
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


class Overheard:
    """What somebody between client and server can read; as text and as HTML.

    Attributes:
        size_bytes: how many bytes passed.
        lines: of heads, and the frames' texts; nothing where it is no WebSocket that can be read.
        first: the first bytes.
    """

    def __init__(self, passed: Iterable[tuple[str, bytes]]) -> None:
        tape = Tape(name="router")
        track = tape.open("router", side="server", client_address="client", server_address="server")
        self.size_bytes, self.first, head = 0, b"", b""
        for sender, data in passed:
            (track.client if sender == "client" else track.server)(data)
            self.size_bytes += len(data)
            self.first = self.first or data[:24]
            head = head or data.partition(b"\r\n\r\n")[0]
        self.lines: list[str] = []
        if head.startswith(b"GET "):
            said = head.decode("latin-1").split("\r\n")
            self.lines = [line for line in said if line.startswith(("GET", "Authorization"))]
            self.lines += [
                f"{event.sender}: {event.text}"
                for event in tape.events
                if isinstance(event, FrameEvent) and event.text
            ]

    def __repr__(self) -> str:
        read = self.lines or ["nothing that the router can read"]
        rows = [f"{self.size_bytes} bytes passed, beginning with {self.first.hex(' ')}", *read]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        read, *lines = repr(self).split("\n")
        return (
            f'<div style="padding-left:8px">{html.escape(read)}<pre style="margin:4px 0;padding:0 '
            "0 0 10px;border-left:2px solid var(--jp-brand-color1,#1976d2);white-space:pre-wrap;"
            f'overflow-wrap:anywhere">{html.escape(chr(10).join(lines))}</pre></div>'
        )


def overheard(passed: Iterable[tuple[str, bytes]]) -> Overheard:
    """Read what passed a machine on the way, as whoever runs that machine can.

    Args:
        passed: ``("client" or "server", bytes)``, by who sent them, in order.
    """
    return Overheard(passed)


# The exercise.

_START = "`def guarded(tokens)` that returns a running server: what `wslab.serve(...)` returns"
_TOO_LATE = (
    "who is not let in must not get a 101: `auth=` of `serve()`, or `process_request=`, is asked "
    "before it; the handler runs after it"
)
_LOOKED_AT = (
    "look the token up in `tokens`: `user, until = tokens.get(credentials.token, (None, 0))`. Is "
    "the function handed to `serve(..., auth=...)`, and does it return None for nobody?"
)
_UNTIL = "a token is good until its second value: compare it with `time.time()`, at each request"
_STATUS = (
    "401 says: I do not know who you are, come with a good token. 403 says: I know, and you may "
    "not. None from the function that `auth=` names is answered 401"
)
_ORIGIN = (
    "the Origin comes from the browser, so it is true: without `origins=` serve() lets in pages of "
    "this machine only, and programs, which send none. `origins=None` lets everybody in"
)
_GOOD = (
    "a good token opens a socket, from a program (no Origin) and from the server's own page. "
    "Whose token is it that you look up, and until when is it good?"
)
_ECHO = "`await websocket.send(message)` for each message, as long as the client is no flood"
_RATE = (
    "count in the handler: how many messages have come since this second began? Beyond 50 `await "
    "websocket.close(1008)` and return. When a second is over, count from 0"
)
_EACH = (
    "one who floods must not cost others anything: count for each connection (in names inside of "
    "the handler), and never block"
)


@exercise(
    "14 guard",
    hints=(
        "Three lines of defence, in three places: the Origin is `serve()`'s affair, who somebody "
        "is the affair of the function that `auth=` names, and how much somebody sends that of the "
        "handler. Which of them does the stub switch off?",
        "`wslab.serve(handler, auth=who)`, where `who(credentials)` looks up `credentials.token` "
        "and returns `wslab.Identity(user, expires_at=until)`, or None. In the handler: `began = "
        "time.monotonic()`, and a number that begins anew when a second has passed.",
    ),
    solution="solutions/14_safety.py",
)
def guard(guarded: Any) -> str:
    """Attack the learner's server in every way that the exercise names, and serve the good."""
    tokens = {nonce(8): (f"user {nonce(2)}", time.time() + 600.0) for _ in range(2)}
    ada, bob = tokens
    old = {nonce(8): (f"user {nonce(2)}", time.time() - ago_s) for ago_s in (0.1, 86_400.0)}
    forgotten = ForgottenAwait()
    forgotten.listen()
    server: Server | None = None
    try:
        server = _started(guarded, tokens | old)
        if server.is_secure or not server.port:
            hint = "leave out tls=, ssl= and unix=: what is asked here is the same over TLS"
            raise Miss(f"{_START}, on a port, without TLS", f"one at {server.url}", hint)
        _refuses_strangers(server, ada, old)
        _lets_in(server, (ada, bob))
        served = _serves_the_fair(server, ada)
        came_back = _ends_a_flood(server, ada, bob)
    except Miss as miss:
        raise _worded(miss, server, forgotten) from miss.__cause__
    finally:
        forgotten.stop()
        if server is not None:
            server.stop()
    return (
        f"403 for 3 foreign Origins, 401 before the upgrade for {2 + len(old)} bad tokens; {served}"
        f" random messages came back; a flood of {FLOOD} was ended after {came_back} answers, and "
        "others were served meanwhile"
    )


def _worded(miss: Miss, server: Server | None, forgotten: ForgottenAwait) -> Miss:
    """Say what the learner's code raised, and which `await` is missing."""
    failures = [] if server is None else list(server.errors)
    if any("NotImplementedError" in failure.kinds for failure in failures):
        raise NotImplementedError from None
    if forgotten.name:
        miss.hint = (
            f"`{forgotten.name}(...)` was called without `await` in front of it, and so it never "
            "ran"
        )
    elif failures:
        first = failures[0]
        miss.seen += f". Your code raised {first.kind}: {first.message}"
        miss.hint, miss.details = "fix what your code raised first", first.traceback
    return miss


def _started(guarded: Any, tokens: dict[str, tuple[str, float]]) -> Server:
    if not callable(guarded):
        raise Miss(_START, f"{type(guarded).__name__} {guarded!r:.60}", "give the function itself")
    if inspect.iscoroutinefunction(guarded):
        raise Miss(_START, "an `async def`", "serve() is called without await: a plain def")
    try:
        inspect.signature(guarded).bind(tokens)
    except TypeError:
        seen = f"{getattr(guarded, '__name__', guarded)}{inspect.signature(guarded)}"
        raise Miss(_START, seen, "it is called with the tokens") from None
    server = guarded(tokens)
    if not isinstance(server, Server):
        hint = "`return wslab.serve(...)`" if server is None else ""
        raise Miss(_START, f"it returned {type(server).__name__} {server!r:.60}", hint)
    if not server.is_serving:
        raise Miss(_START, "the server that it returned has stopped", "return it while it serves")
    return server


def _answer(server: Server, *headers: str) -> Answer:
    request = get("/", *headers, host=f"127.0.0.1:{server.port}", socket=True)
    try:
        answer: Answer = lab().call(
            lambda: ask(server.port, request, wait_s=WAIT_S), timeout=3 * WAIT_S
        )
    except OSError as exc:
        raise Miss("an answer", f"{type(exc).__name__}: {exc}") from None
    return answer


def _refuses_strangers(server: Server, good: str, old: dict[str, tuple[str, float]]) -> None:
    _expect_401(server, "no token", (), _LOOKED_AT)
    _expect_401(server, "a token that nobody has", (_bearer(nonce(8)),), _LOOKED_AT)
    for token, (_, until) in old.items():
        what = f"a token that expired {time.time() - until:,.1f} s ago"
        _expect_401(server, what, (_bearer(token),), _UNTIL)
    site = f"https://{nonce(4)}.example"
    for origin in (site, f"http://127.0.0.1.{site[8:]}", "null"):
        answer = _answer(server, _bearer(good), f"Origin: {origin}")
        if answer.status != 403:
            expected = f"403 for a page of {origin}, though it has a good token"
            raise Miss(expected, answer.outcome, _ORIGIN)


def _expect_401(server: Server, what: str, headers: Iterable[str], hint: str) -> None:
    answer = _answer(server, *headers)
    if answer.status == 401:
        return
    if answer.status == 101:
        # By itself: 1000 would be its answer to the close frame of ask().
        is_closed = answer.after[:1] == b"\x88" and answer.after[2:4] != b"\x03\xe8"
        hint = _TOO_LATE if is_closed else hint
        seen = f"{answer.outcome}, then {'a close frame' if is_closed else 'an open socket'}"
        raise Miss(f"401 for {what}, before any 101", seen, hint)
    hint = _STATUS if answer.status in (400, 403, 404) else ""
    raise Miss(f"401 for {what}", answer.outcome, hint)


def _lets_in(server: Server, tokens: Iterable[str]) -> None:
    for token in tokens:
        for who, headers in (
            ("a program", ()),
            ("the server's own page", (f"Origin: http://127.0.0.1:{server.port}",)),
        ):
            answer = _answer(server, _bearer(token), *headers)
            if answer.status != 101:
                raise Miss(f"101 for {who} with a good token", answer.outcome, _GOOD)


def _bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def _open(server: Server, token: str, name: str) -> Client:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        return connect(
            server, name=name, keep=True, additional_headers=headers, open_timeout=WAIT_S
        )
    except ConnectFailed as exc:
        raise Miss("101 for a program with a good token", str(exc), _GOOD) from None


def _talk(client: Client, count: int, expected: str, hint: str) -> None:
    """Send so many texts at once, and expect each of them back, in order."""
    texts = [nonce() for _ in range(count)]
    number = 0
    try:
        for text in texts:
            client.send(text, timeout=WAIT_S)
        for text in texts:
            number += 1
            if (got := client.recv(timeout=WAIT_S)) != text:
                kind = " as bytes: send the str that came" if isinstance(got, bytes) else ""
                raise Miss(expected, f"{got!r:.40} in place of {text!r}{kind}", _ECHO)
    except (TimeoutError, ConnectionClosed):
        if (code := _goodbye(client)) is not None:
            raise Miss(expected, f"the connection was closed with {code}", hint) from None
        seen = f"no answer to message {number} within {WAIT_S:g} s"
        raise Miss(expected, seen, _ECHO if number == 1 else hint) from None


def _serves_the_fair(server: Server, token: str) -> int:
    expected = f"each message comes back: {FAIR} at once, and {FAIR} more in each further second"
    client = _open(server, token, "fair")
    try:
        for turn in range(3):
            if turn:
                time.sleep(1.05 * A_SECOND)  # the next second
            _talk(client, FAIR, expected, _RATE)
    finally:
        client.close(timeout=1.0)
    return 3 * FAIR


def _ends_a_flood(server: Server, token: str, other: str) -> int:
    flood, neighbour = _open(server, token, "flood"), _open(server, other, "neighbour")
    try:
        _pour(flood)
        meanwhile = "who sends 5 messages beside a flood gets all 5 back"
        _talk(neighbour, 5, meanwhile, _EACH)
        expected = f"a connection that sends {FLOOD} messages at once is closed with 1008"
        if not _until(lambda: _goodbye(flood) is not None):
            seen = f"it is open after {FLOOD} messages, and {len(flood.received)} came back"
            raise Miss(expected, seen, _RATE)
        code, came_back = _goodbye(flood), len(flood.received)
        if code not in ENDED and not 4000 <= (code or 0) < 5000:
            hint = "1008 is policy violation: `await websocket.close(1008)`"
            raise Miss(expected, f"it ended with {code}", hint)
        if came_back > MOST_BACK:
            seen = f"it was ended after {came_back} messages had come back"
            raise Miss(f"{expected}, with some 50 answers at the most", seen, _RATE)
        _talk(neighbour, 5, meanwhile, _EACH)
    finally:
        # A server of websockets that has stopped reading sees no answer to its goodbye, for 10 s.
        for connection in server.connections:
            connection.network.reset()
        flood.close(timeout=1.0)
        neighbour.close(timeout=1.0)
    return came_back


def _goodbye(client: Client) -> int | None:
    """Return the code of the server's close frame, or of an end without one; None before it."""
    assert client.tape is not None
    for event in client.tape.events:
        if isinstance(event, FrameEvent) and event.opcode == 8 and event.sender == "server":
            return int.from_bytes(event.payload[:2], "big") or 1005
    return client.close_code


def _pour(client: Client) -> None:
    """Send them below all framing, in one piece: send() would stop at the server's goodbye."""
    data = b"".join(
        encode_frame(1, f"{number} {nonce(8)}".encode(), mask_key=secrets.token_bytes(4))
        for number in range(FLOOD)
    )
    lab().loop.call_soon_threadsafe(client.websocket.transport.write, data)


def _until(is_true: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + WAIT_S
    while not is_true() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return is_true()
