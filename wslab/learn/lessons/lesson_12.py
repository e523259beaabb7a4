"""The check of lesson 12: a page, an API and a socket on one port, in one application.

Its rule: the wire decides. The application gets a port of its own, and is asked over plain HTTP
and over sockets while these are open, with random texts. Whether it is Starlette, FastAPI or
neither, and how it keeps what it heard, is the learner's affair.
"""

from __future__ import annotations

import inspect
import json
import random
import re
import time
from typing import Any

from ...loops.portals import lab
from ..answers import Answer, ask
from ..exercises import Miss, exercise
from ..page_look import PAGE_LOOK
from ..testbench import BenchClient, TestBench, nonce

WAIT_S = 2.0  # for one answer
LATE_S = 0.3  # for a handler that answers first, and then writes down what it heard
TEXTS = 4  # that each of the two sockets sends

_APP = (
    "give the application itself, `Starlette(routes=[...])`, and not a function that handles one "
    "socket"
)
_ROUTE = (
    '`WebSocketRoute("/ws", socket)` leads to a function that calls `await websocket.accept()` '
    "first. And is it this application that runs, or one inside of it?"
)
_PAGE = '`Route("/", page)`, where page(request) returns an HTMLResponse'
_API = '`Route("/api", api)`, where api(request) returns a JSONResponse of a dict'
_RESPONSE = (
    "a function behind a Route returns a Response: HTMLResponse(text) makes one of a str, and "
    "JSONResponse(...) one of a dict"
)
_ECHO = (
    "`async for text in websocket.iter_text()` gives each text until the client leaves; `await "
    "websocket.send_text(text)` sends it back"
)
_LAST = (
    "the socket's function and the API's are called by one application, in one process: what one "
    "writes into a dict that stands outside of both, the other can read"
)

PAGE_WITH_A_SOCKET = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>One port</title>
%LOOK%
<p>This page came with a GET. <span role="status" id="said">Its socket is not open yet.</span></p>
<script>
const url = new URL("echo", location.href.replace(/^http/, "ws"));  // the page's own address
const socket = new WebSocket(url);
const say = text => { document.getElementById("said").textContent = text; };
socket.onopen = () => socket.send("hello");
socket.onmessage = event => say("Its socket says: " + event.data);
socket.onclose = event => say("Its socket has closed, with code " + event.code + ".");
</script>
</html>
""".replace("%LOOK%", PAGE_LOOK)
"""The page of the lesson's first application: it opens a socket where it came from."""


@exercise(
    "12 one port",
    hints=(
        "Three routes in one list: two of them are a `Route`, one is a `WebSocketRoute`. The "
        "socket's function accepts, then loops. What must the API know of what came there?",
        '`heard = {"last": None}` stands outside of the functions. The socket\'s loop writes '
        '`heard["last"] = text` before it sends the text back, and the API returns '
        "`JSONResponse(heard)`.",
    ),
    solution="solutions/12_one_port.py",
)
def one_port(app: Any) -> str:
    """Ask it for its page and its API while sockets are open; look at each answer."""
    _refuse_no_application(app)
    try:
        return _asked(app)
    except Miss as miss:
        if "object is not callable" in miss.seen:
            miss.hint = _RESPONSE
        raise


def _asked(app: Any) -> str:
    with TestBench(app, wait_s=WAIT_S) as bench:
        _expect_page(bench)
        sockets = [_open(bench), _open(bench)]
        last = ""
        for _ in range(TEXTS):
            for socket in sockets:
                last = _echo(socket)
            _expect_page(bench)
            _expect_last(bench, last)
        _expect_refused(bench)
    return (
        f"on one port {2 * TEXTS} random texts came back over 2 sockets (101), and {TEXTS + 1} "
        f"times the page (200) and {TEXTS} times the API beside them, which knew the last text"
    )


def _refuse_no_application(app: Any) -> None:
    expected = "an application, such as `Starlette(routes=[...])`"
    if inspect.isclass(app):
        raise Miss(expected, f"the class {app.__name__} itself", "make one: put () behind it")
    if not callable(app):
        raise Miss(expected, f"{type(app).__name__} {app!r:.60}", _APP)
    try:
        inspect.signature(app).bind({}, None, None)
    except ValueError:
        pass  # without a signature
    except TypeError:
        name = getattr(app, "__name__", type(app).__name__)
        raise Miss(expected, f"{name}{inspect.signature(app)}", _APP) from None


def _get(bench: TestBench, path: str) -> Answer:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    wait_s = bench.left_s()
    try:
        answer: Answer = lab().call(
            lambda: ask(bench.server.port, request, wait_s=wait_s), timeout=3 * wait_s
        )
    except OSError as exc:
        raise Miss(f"200 for GET {path}", f"{type(exc).__name__}: {exc}{bench.held()}") from None
    return answer


def _seen(bench: TestBench, answer: Answer) -> str:
    head = answer.response
    if head is None:
        return f"no answer within {bench.wait_s:g} s{bench.held()}"
    kind = head.get("Content-Type") or "no Content-Type"
    body = answer.body.decode("utf-8", "replace")
    return f"{answer.outcome}, {kind}, {body[:60]!r}"


def _expect_page(bench: TestBench) -> None:
    answer = _get(bench, "/")
    head = answer.response
    kind = "" if head is None else (head.get("Content-Type") or "").lower()
    if answer.status == 200 and kind.startswith("text/html") and answer.body.strip():
        return
    hint = _PAGE
    if answer.status == 200:
        hint = "an empty page is no page" if kind.startswith("text/html") else _PAGE
    raise Miss("200 and an HTML page (text/html) for GET /", _seen(bench, answer), hint)


def _open(bench: TestBench) -> BenchClient:
    try:
        return bench.connect("/ws", ping_interval=None)
    except Miss as miss:
        status = re.search(r"got (\d{3} [\w ]+?):", miss.seen)
        seen = status[1] if status else miss.seen
        raise Miss("101 for a WebSocket at /ws", seen, _ROUTE) from None


def _echo(socket: BenchClient) -> str:
    text = f"{nonce()} {random.choice('äßé→☂')}"
    expected = f"the text {text!r} back, on the socket that sent it"
    socket.send(text, expected, _ECHO)
    got = socket.recv(expected, _ECHO)
    if got != text:
        hint = "send a str with send_text(): bytes go out as a binary frame"
        raise socket.miss(expected, f"{got!r:.60}", hint if isinstance(got, bytes) else _ECHO)
    return text


def _expect_last(bench: TestBench, last: str) -> None:
    expected = f"200 and the JSON {json.dumps({'last': last}, ensure_ascii=False)} for GET /api"
    deadline_s = time.monotonic() + LATE_S
    while True:
        answer = _get(bench, "/api")
        if answer.status != 200:
            raise Miss(expected, _seen(bench, answer), _API)
        try:
            value = json.loads(answer.body)
        except ValueError:
            raise Miss(expected, f"no JSON: {_seen(bench, answer)}", _API) from None
        if not isinstance(value, dict):
            raise Miss(expected, _seen(bench, answer), _API)
        if value.get("last") == last:
            return
        if time.monotonic() > deadline_s:
            raise Miss(expected, _seen(bench, answer), _LAST)


def _expect_refused(bench: TestBench) -> None:
    path = f"/{nonce()}"
    try:
        bench.connect(path, ping_interval=None)
    except Miss:
        return
    raise Miss(
        "a socket at /ws and nowhere else",
        f"101 for a WebSocket at {path}",
        "a WebSocketRoute says at which path it is; does yours take every path?",
    )
