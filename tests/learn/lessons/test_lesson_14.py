"""Lesson 14's check: its solution, other right servers, the stub, and plausible wrong ones."""

from __future__ import annotations

import asyncio
import collections
import functools
import http
import re
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute

import wslab
from tests.learn.rig import cells, solution
from wslab.learn import NotYet, check, hint
from wslab.learn.lessons import lesson_14
from wslab.learn.lessons.lesson_14 import foreign_page, get, overheard

LESSON = "14_safety"
CHECK = "14 guard"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Wait less long for what a wrong server never does."""
    monkeypatch.setattr(lesson_14, "WAIT_S", 1.0)


def user_of(token, tokens):
    user, until = tokens.get(token, (None, 0))
    return user if time.time() < until else None


def who_of(tokens):
    return lambda credentials: user_of(credentials.token, tokens)


def ends_floods_with(code):
    """Return an echo that ends a flood; a window that begins anew each second."""

    async def handler(websocket):
        began, count = time.monotonic(), 0
        async for message in websocket:
            if time.monotonic() - began > 1:
                began, count = time.monotonic(), 0
            count += 1
            if count > 50:
                await websocket.close(code)
                return
            await websocket.send(message)

    return handler


echo = ends_floods_with(1008)


# Right ones.


def by_the_documentations_hook(tokens):
    def process_request(websocket, request):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if user_of(token, tokens) is None:
            return websocket.respond(http.HTTPStatus.UNAUTHORIZED, "Missing or bad token\n")
        return None

    return wslab.serve(echo, process_request=process_request)


def async_and_refused(tokens):
    async def who(credentials):
        if credentials.token not in tokens:
            raise wslab.Refused("no such token", status=401)
        user, until = tokens[credentials.token]
        return wslab.Identity(user, expires_at=until)

    return wslab.serve(echo, auth=who)


def named_origins(tokens):
    mine = re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?")
    return wslab.serve(echo, auth=who_of(tokens), origins=[mine, None])


def a_sliding_window(tokens):
    async def handler(websocket):
        came = collections.deque()
        async for message in websocket:
            now = time.monotonic()
            while came and now - came[0] > 1:
                came.popleft()
            came.append(now)
            if len(came) > 50:
                await websocket.close(1008, "slow down")
                break
            await websocket.send(message)

    return wslab.serve(handler, auth=who_of(tokens))


def a_bucket_and_a_code_of_its_own(tokens):
    class Handler:
        async def __call__(self, websocket):
            left, at = 50.0, time.monotonic()
            while True:
                message = await websocket.recv()
                now = time.monotonic()
                left, at = min(50.0, left + 50 * (now - at)) - 1, now
                if left < 0:
                    return await websocket.close(4008, "too many")
                await websocket.send(message)

    return wslab.serve(Handler(), auth=who_of(tokens))


def in_starlette(tokens):
    async def socket(websocket):
        token = websocket.headers.get("authorization", "").partition(" ")[2]
        if user_of(token, tokens) is None:
            await websocket.send_denial_response(PlainTextResponse("who?", status_code=401))
            return
        await websocket.accept()
        began, count = time.monotonic(), 0
        async for text in websocket.iter_text():
            if time.monotonic() - began > 1:
                began, count = time.monotonic(), 0
            count += 1
            if count > 50:
                await websocket.close(1008)
                return
            await websocket.send_text(text)

    return wslab.serve(Starlette(routes=[WebSocketRoute("/", socket)]))


def partly(tokens):
    return functools.partial(lambda tokens, auth: wslab.serve(echo, auth=auth), tokens)(
        who_of(tokens)
    )


RIGHT = [
    by_the_documentations_hook,
    async_and_refused,
    named_origins,
    a_sliding_window,
    a_bucket_and_a_code_of_its_own,
    in_starlette,
    partly,
]


def test_the_solution_passes_every_time():
    guarded = solution(LESSON).guarded
    for _ in range(2):
        verdict = check(CHECK, guarded)
        assert verdict.passed is True, str(verdict)
    assert "a flood of 300 was ended" in verdict.seen
    left = wslab.learn.left_open()
    assert (left.tasks, left.servers) == (0, 0)


@pytest.mark.parametrize("guarded", RIGHT, ids=[make.__name__ for make in RIGHT])
def test_other_right_servers_pass(guarded):
    verdict = check(CHECK, guarded)
    assert verdict.passed is True, str(verdict)


# Stubs.


def test_the_stub_in_the_notebook_is_not_yet():
    namespace = {"NotYet": NotYet, "wslab": wslab}
    exec(cells(LESSON)["exercise-guarded"], namespace)
    assert check(CHECK, namespace["guarded"]).passed is None
    assert check(CHECK, ...).passed is None


@pytest.mark.parametrize("part", ["who", "handler"])
def test_a_not_yet_that_is_left_over_is_not_yet(part):
    def guarded(tokens):
        def who(credentials):
            raise NotYet

        async def handler(websocket):
            raise NotYet

        if part == "who":
            return wslab.serve(echo, auth=who)
        return wslab.serve(handler, auth=who_of(tokens))

    assert check(CHECK, guarded).passed is None


# Wrong ones.


def with_handler(handler):
    return lambda tokens: wslab.serve(handler, auth=who_of(tokens))


def with_who(make):
    return lambda tokens: wslab.serve(echo, auth=make(tokens))


def the_stubs_own_bug(tokens):
    return wslab.serve(echo, auth=who_of(tokens), origins=None)


def nobody_asks(tokens):
    return wslab.serve(echo)


def after_the_101(tokens):
    async def handler(websocket):
        token = websocket.request.headers.get("Authorization", "")[7:]
        if user_of(token, tokens) is None:
            await websocket.close(4401)
            return
        await echo(websocket)

    return wslab.serve(handler)


def an_origin_by_its_beginning(tokens):
    def hook(websocket, request):
        origin = request.headers.get("Origin")
        if origin and not origin.startswith("http://127.0.0.1"):
            return websocket.respond(403, "no\n")
        return None

    return wslab.serve(echo, auth=who_of(tokens), process_request=hook, origins=None)


def pages_only(tokens):
    mine = re.compile(r"http://127\.0\.0\.1:\d+")
    return wslab.serve(echo, auth=who_of(tokens), origins=[mine])


def programs_only(tokens):
    return wslab.serve(echo, auth=who_of(tokens), origins=[None])


def an_origin_is_no_credential(tokens):
    def who(credentials):
        if credentials.headers.get("Origin", "").endswith((".example", "null")):
            return None
        return user_of(credentials.token, tokens)

    return wslab.serve(echo, auth=who, origins=None)


def never_from_zero():
    async def handler(websocket):
        count = 0
        async for message in websocket:
            count += 1
            if count > 50:
                await websocket.close(1008)
                return
            await websocket.send(message)

    return with_handler(handler)


def one_count_for_all(tokens):
    window = [time.monotonic(), 0]

    async def handler(websocket):
        async for message in websocket:
            if time.monotonic() - window[0] > 1:
                window[:] = [time.monotonic(), 0]
            window[1] += 1
            if window[1] > 50:
                await websocket.close(1008)
                return
            await websocket.send(message)

    return wslab.serve(handler, auth=who_of(tokens))


def no_bound():
    async def handler(websocket):
        async for message in websocket:
            await websocket.send(message)

    return with_handler(handler)


def it_only_waits():
    async def handler(websocket):
        async for message in websocket:
            await websocket.send(message)
            await asyncio.sleep(0.01)

    return with_handler(handler)


def it_only_forgets():
    async def handler(websocket):
        began, count = time.monotonic(), 0
        async for message in websocket:
            if time.monotonic() - began > 1:
                began, count = time.monotonic(), 0
            count += 1
            if count <= 50:
                await websocket.send(message)

    return with_handler(handler)


def a_normal_close():
    async def handler(websocket):
        for _ in range(50):
            await websocket.send(await websocket.recv())
        await websocket.close()

    return with_handler(handler)


def flood_with(code):
    return with_handler(ends_floods_with(code))


def answers(make):
    async def handler(websocket):
        async for message in websocket:
            await websocket.send(make(message))

    return with_handler(handler)


def silent():
    async def handler(websocket):
        await websocket.wait_closed()

    return with_handler(handler)


def a_forgotten_await():
    async def handler(websocket):
        async for message in websocket:
            websocket.send(message)

    return with_handler(handler)


def stopped(tokens):
    server = wslab.serve(echo, auth=who_of(tokens))
    server.stop()
    return server


async def an_async_def(tokens):
    return wslab.serve(echo)


def nothing_returned(tokens):
    server = wslab.serve(echo, auth=who_of(tokens))
    server.stop()


BEARERS = "before any 101"
FAIR = "each message comes back"
FLOOD = "is closed with 1008"
WRONG = [
    ("origins=None", the_stubs_own_bug, "403 for a page of https", "`origins=None` lets everybody"),
    ("nobody asks", nobody_asks, BEARERS, "handed to `serve(..., auth=...)`"),
    ("after the 101", after_the_101, BEARERS, "must not get a 101"),
    ("expired", with_who(lambda t: lambda c: t.get(c.token, (None, 0))[0]), BEARERS, "time.time()"),
    ("the wrong way", with_who(lambda t: lambda c: (
        t.get(c.token, (None, 1e12))[0] if t.get(c.token, (None, 1e12))[1] < time.time() else None
    )), "expired", "time.time()"),
    ("403 for 401", with_who(lambda t: lambda c: who_of(t)(c) or _refuse()), "401 for no token",
     "401 says"),
    ("nobody", with_who(lambda t: lambda c: None), "101 for a program", "look up"),
    ("KeyError", with_who(lambda t: lambda c: t[c.token][0]), "401 for", "raised first"),
    ("by its beginning", an_origin_by_its_beginning, "http://127.0.0.1.", "lets in pages of this"),
    ("pages only", pages_only, "101 for a program", "from a program (no Origin)"),
    ("programs only", programs_only, "101 for the server's own page", "own page"),
    ("401 for an Origin", an_origin_is_no_credential, "403 for a page", "true"),
    ("never from zero", never_from_zero(), FAIR, "count from 0"),
    ("one count for all", one_count_for_all, "beside a flood", "for each connection"),
    ("no bound", no_bound(), FLOOD, "Beyond 50"),
    ("it waits", it_only_waits(), FLOOD, "Beyond 50"),
    ("it forgets", it_only_forgets(), FLOOD, "Beyond 50"),
    ("1000", flood_with(1000), FLOOD, "policy violation"),
    ("after 50 for ever", a_normal_close(), FAIR, "count from 0"),
    ("capitals", answers(lambda text: text.upper() + "!"), FAIR, "for each message"),
    ("bytes", answers(str.encode), FAIR, "for each message"),
    ("silent", silent(), FAIR, "for each message"),
    ("a forgotten await", a_forgotten_await(), FAIR, "without `await`"),
    ("stopped", stopped, "a running server", "while it serves"),
    ("async def", an_async_def, "a running server", "a plain def"),
    ("no return", nothing_returned, "a running server", "return wslab.serve"),
    ("TLS", lambda tokens: wslab.serve(echo, auth=who_of(tokens), tls=True), "without TLS",
     "leave out tls="),
    ("a handler", lambda tokens: echo, "a running server", ""),
    ("no argument", lambda: wslab.serve(echo), "a running server", "with the tokens"),
    ("a server", 5, "a running server", "the function itself"),
]  # fmt: skip


def _refuse():
    raise wslab.Refused("you may not")


@pytest.mark.parametrize(
    ("guarded", "expected", "tip"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_wrong_servers_are_told_apart(guarded, expected, tip):
    verdict = check(CHECK, guarded)
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected, str(verdict)
    assert tip in verdict.hint, str(verdict)
    assert wslab.learn.left_open().servers == 0


def test_a_server_that_blocks_is_told_apart():
    async def handler(websocket):
        async for message in websocket:
            time.sleep(0.05)  # noqa: ASYNC251 - on purpose
            await websocket.send(message)

    verdict = check(CHECK, with_handler(handler))
    assert verdict.passed is False, str(verdict)


def test_hints_end_with_the_solution():
    assert "solutions/14_safety.py" in repr(hint(CHECK, 3))


# What its cells show.


def test_requests_as_a_browser_sends_them():
    page = get("/diary", "Origin: https://evil.example", host="evil.example:1")
    assert page == (
        b"GET /diary HTTP/1.1\r\nHost: evil.example:1\r\nOrigin: https://evil.example\r\n\r\n"
    )
    assert b"Upgrade: websocket\r\n" in get("/", socket=True)
    assert get("/", socket=True) != get("/", socket=True)  # a key for each (RFC 6455 section 4.1)


def test_a_page_that_is_in_its_own_address():
    assert foreign_page("ws://127.0.0.1:1/").startswith("data:text/html")
    assert "ws%3A//127.0.0.1%3A1/" in foreign_page("ws://127.0.0.1:1/")


def test_what_a_router_overhears():
    masked = b"\x81\x85\x01\x02\x03\x04" + bytes(
        b ^ k for b, k in zip(b"hello", b"\x01\x02\x03\x04\x01", strict=True)
    )
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    request = get("/", "Authorization: Bearer 5EC<RET", socket=True)
    heard = overheard(
        [("client", request), ("server", switched + b"\x81\x02hi"), ("client", masked)]
    )
    assert heard.lines == [
        "GET / HTTP/1.1", "Authorization: Bearer 5EC<RET", "server: hi", "client: hello",
    ]  # fmt: skip
    assert heard.size_bytes == len(request + switched + masked) + 4
    assert "5EC&lt;RET" in heard._repr_html_()
    hidden = overheard([("client", b"\x16\x03\x01" + bytes(50)), ("server", b"\x16\x03\x03")])
    assert hidden.lines == []
    assert "nothing that the router can read" in repr(hidden)
    assert "beginning with 16 03 01" in repr(hidden)
    assert "0 bytes passed" in repr(overheard([]))
