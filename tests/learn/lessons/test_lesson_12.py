"""Lesson 12's check: its solution, other right applications, the stub, and plausible wrong ones."""

from __future__ import annotations

import functools
import json
import time

import fastapi
import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, Router, WebSocketRoute

import wslab
from tests.learn.rig import cells, solution
from wslab.learn import NotYet, check, hint
from wslab.learn.lessons import lesson_12
from wslab.learn.lessons.lesson_12 import PAGE_WITH_A_SOCKET

LESSON = "12_one_port"
HTML = "<!doctype html><h1>One port</h1>"


@pytest.fixture
def impatient(monkeypatch):
    """Wait less long for what a wrong application never says."""
    monkeypatch.setattr(lesson_12, "WAIT_S", 0.8)


def app_of(page=None, api=None, socket=None, **more):
    """Return an application that is right but for what is given."""
    heard = {"last": None}

    async def a_page(request):
        return HTMLResponse(HTML)

    async def an_api(request):
        return JSONResponse(heard)

    async def a_socket(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            heard["last"] = text
            await websocket.send_text(text)

    routes = [Route("/", page or a_page), Route("/api", api or an_api)]
    return Starlette(routes=[*routes, WebSocketRoute("/ws", socket or a_socket)], **more)


# Right ones.


def with_fastapi():
    app = fastapi.FastAPI()
    said = []

    @app.get("/", response_class=HTMLResponse)
    def page():
        return HTML

    @app.get("/api")
    async def api():
        return {"last": said[-1] if said else None, "count": len(said)}

    @app.websocket("/ws")
    async def socket(websocket: fastapi.WebSocket):
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                said.append(text)
                await websocket.send_text(text)
        except fastapi.WebSocketDisconnect:
            pass

    return app


def with_endpoints():
    class Page(HTTPEndpoint):
        async def get(self, request):
            return HTMLResponse(HTML)

    class Api(HTTPEndpoint):
        async def get(self, request):
            return JSONResponse({"last": request.app.state.last})

    class Socket(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket, data):
            await websocket.send_text(data)
            websocket.app.state.last = data  # after it was sent, which is in time

    routes = [Route("/", Page), Route("/api", Api), WebSocketRoute("/ws", Socket)]
    return Starlette(routes=routes)


def without_a_library():
    last = None

    async def app(scope, receive, send):
        nonlocal last
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket" and scope["path"] == "/ws":
            await receive()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                last = event["text"]
                await send({"type": "websocket.send", "text": last})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            kind, body = b"text/html; charset=utf-8", HTML
            if scope["path"] == "/api":
                kind, body = b"application/json", json.dumps({"last": last})
            headers = [(b"content-type", kind)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body.encode()})

    return app


def mounted():
    inner = app_of()
    return Starlette(routes=[Mount("/", app=inner)])


def with_a_hub_around_it():
    return wslab.Hub().asgi(app_of(), path="/chat")


def compressed_and_streamed():
    async def page(request):
        return StreamingResponse(iter([HTML, "<p>" * 2_000]), media_type="text/html")

    return app_of(page=page, middleware=[Middleware(GZipMiddleware)])


def a_bare_router():
    return Router(routes=app_of().routes)


def the_lessons_own_page(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(PAGE_WITH_A_SOCKET)
    return app_of(page=lambda request: FileResponse(file))


class Deriving(Starlette):
    def __init__(self):
        super().__init__(routes=app_of().routes)


def partly():
    async def run(app, scope, receive, send):
        await app(scope, receive, send)

    return functools.partial(run, app_of())


RIGHT = [
    with_fastapi,
    with_endpoints,
    without_a_library,
    mounted,
    compressed_and_streamed,
    a_bare_router,
    Deriving,
    partly,
    with_a_hub_around_it,
]


def test_the_solution_passes_every_time():
    app = solution(LESSON).app
    for _ in range(3):
        verdict = check("12 one port", app)
        assert verdict.passed is True, str(verdict)
    assert "8 random texts came back over 2 sockets" in verdict.seen
    assert wslab.learn.left_open().tasks == 0


@pytest.mark.parametrize("make", RIGHT, ids=[make.__name__ for make in RIGHT])
def test_other_right_applications_pass(make):
    verdict = check("12 one port", make())
    assert verdict.passed is True, str(verdict)


def test_a_page_from_a_file_passes(tmp_path):
    verdict = check("12 one port", the_lessons_own_page(tmp_path))
    assert verdict.passed is True, str(verdict)


# Stubs.


def test_the_stub_in_the_notebook_is_not_yet():
    namespace = {}
    exec(cells(LESSON)["exercise-app"], namespace)
    assert check("12 one port", namespace["mine"]).passed is None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("part", ["page", "api", "socket"])
def test_a_not_yet_that_is_left_over_is_not_yet(part):
    async def left_over(_request):
        raise NotYet

    assert check("12 one port", app_of(**{part: left_over})).passed is None


# Wrong ones.


def page_of(make):
    async def page(request):
        return make()

    return lambda: app_of(page=page)


def api_of(make):
    async def api(request):
        return make()

    return lambda: app_of(api=api)


def socket_of(answer, *, accepts=True, loops=True):
    """Make an application whose socket answers so, and whose API knows all that it should."""

    def make():
        heard = {"last": None}

        async def socket(websocket):
            if accepts:
                await websocket.accept()
            while True:
                message = await websocket.receive()
                if message["type"] != "websocket.receive":
                    return
                heard["last"] = message.get("text")
                result = answer(websocket, message.get("text"))
                if result is not None:
                    await result
                if not loops:
                    return

        return app_of(api=lambda request: JSONResponse(heard), socket=socket)

    return make


def the_inner_one():
    """Run what stands inside: the lesson's own bug."""
    inner = Starlette(routes=app_of().routes[:2])
    Starlette(routes=[WebSocketRoute("/ws", app_of().routes[2].endpoint), Mount("/", inner)])
    return inner


def a_route_for_the_socket():
    routes = app_of().routes
    return Starlette(routes=[*routes[:2], Route("/ws", routes[2].endpoint)])


def on_every_path():
    routes = app_of().routes
    return Starlette(routes=[*routes[:2], WebSocketRoute("/{path:path}", routes[2].endpoint)])


def a_copy_for_each_socket():
    """Write down what was heard where nobody else can read it."""
    heard = {"last": None}

    async def socket(websocket):
        heard = {}
        await websocket.accept()
        async for text in websocket.iter_text():
            heard["last"] = text
            await websocket.send_text(text)

    return app_of(api=lambda request: JSONResponse(heard), socket=socket)


def the_first_and_not_the_last():
    said = []

    async def socket(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            said.append(text)
            await websocket.send_text(text)

    return app_of(api=lambda request: JSONResponse({"last": said[0]}), socket=socket)


def of_websockets():
    async def handler(websocket):
        async for message in websocket:
            await websocket.send(message)

    return handler


def no_page():
    return Starlette(routes=app_of().routes[1:])


def a_str_for_the_api():
    routes = app_of().routes
    return Starlette(routes=[routes[0], routes[2]])


def blocking():
    async def page(request):
        time.sleep(2.2)  # noqa: ASYNC251 - on purpose
        return HTMLResponse(HTML)

    return app_of(page=page)


SOCKET = "101 for a WebSocket at /ws"
WRONG = [
    ("the inner one", the_inner_one, SOCKET, "one inside of it?"),
    ("a Route for the socket", a_route_for_the_socket, SOCKET, "WebSocketRoute"),
    ("no accept", socket_of(lambda ws, text: ws.send_text(text), accepts=False), SOCKET, ""),
    ("one message", socket_of(lambda ws, text: ws.send_text(text), loops=False), "back", "async f"),
    ("no answer", socket_of(lambda ws, text: None), "the text", "send_text(text)"),
    ("bytes", socket_of(lambda ws, text: ws.send_bytes(text.encode())), "the text", "send a str"),
    ("capitals", socket_of(lambda ws, text: ws.send_text(text.upper() + "!")), "the text", "sends"),
    ("JSON", socket_of(lambda ws, text: ws.send_json(text)), "the text", "sends it back"),
    ("every path", on_every_path, "nowhere else", "take every path"),
    ("its own dict", a_copy_for_each_socket, "for GET /api", "outside of both"),
    ("the first", the_first_and_not_the_last, "for GET /api", "the other can read"),
    ("a handler", of_websockets, "an application", "one socket"),
    ("the class", lambda: Starlette, "an application", "put () behind it"),
    ("routes", lambda: app_of().routes, "an application", "Starlette(routes="),
    ("no page", no_page, "for GET /", "HTMLResponse"),
    ("no API", a_str_for_the_api, "for GET /api", "JSONResponse"),
    ("a str", page_of(lambda: HTML), "for GET /", "HTMLResponse(text) makes one"),
    ("plain text", page_of(lambda: PlainTextResponse(HTML)), "for GET /", "HTMLResponse"),
    ("an empty page", page_of(lambda: HTMLResponse("")), "for GET /", "empty"),
    ("201", page_of(lambda: HTMLResponse(HTML, status_code=201)), "for GET /", "HTMLResponse"),
    ("a returned dict", api_of(lambda: {"last": None}), "for GET /api", "one of a dict"),
    ("a list", api_of(lambda: JSONResponse(["last"])), "for GET /api", "JSONResponse of"),
    ("no JSON", api_of(lambda: Response("last", media_type="text/plain")), "/api", "JSONResponse"),
    ("HTML for JSON", api_of(lambda: HTMLResponse(HTML)), "for GET /api", "JSONResponse"),
    ("it blocks", blocking, "for GET /", ""),
]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("make", "expected", "tip"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_wrong_applications_are_told_apart(make, expected, tip):
    verdict = check("12 one port", make())
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected, str(verdict)
    assert tip in verdict.hint, str(verdict)


@pytest.mark.usefixtures("impatient")
def test_a_forgotten_await():
    async def socket(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            websocket.send_text(text)

    verdict = check("12 one port", app_of(socket=socket))
    assert verdict.passed is False
    assert "the text" in verdict.expected
    assert "await" in verdict.hint, str(verdict)


@pytest.mark.usefixtures("impatient")
def test_what_the_application_raises_is_said():
    async def api(request):
        raise KeyError("last")

    verdict = check("12 one port", app_of(api=api))
    assert verdict.passed is False
    assert "KeyError" in verdict.seen, str(verdict)
    assert "500 Internal Server Error" in verdict.seen


def test_hints_end_with_the_solution():
    assert "solutions/12_one_port.py" in repr(hint("12 one port", 3))
