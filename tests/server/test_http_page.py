"""What a plain HTTP GET to a WebSocket server gets: by value, over a socket and in Chromium."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.server.rig import get, request
from wslab.server import http_page, static_files
from wslab.server.http_page import Page, check_page, respond


@pytest.fixture(autouse=True)
def nothing_printed() -> None:
    """The servers here are websockets' own, which log what fails."""


HANDSHAKE = {
    "Host": "localhost:8765",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


# Handshakes pass through


def test_a_handshake_is_left_to_websockets() -> None:
    for page in (True, False, None, "<p>", Path(), lambda _: "mine"):
        assert respond(Request("/", Headers(HANDSHAKE)), page=page, name="echo") is None


@pytest.mark.parametrize(
    ("spoiled", "status"),
    [
        ({"Upgrade": None}, 426),
        ({"Upgrade": "websockett"}, 426),
        ({"Connection": None}, 426),
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Version": "12"}, 400),
        ({"Sec-WebSocket-Version": None}, 400),
    ],
)
def test_a_broken_handshake_gets_the_refusal_of_websockets(
    spoiled: dict[str, str | None], status: int
) -> None:
    headers = {name: value for name, value in (HANDSHAKE | spoiled).items() if value is not None}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with serving(True) as port:
        answer = exchange(port, f"GET / HTTP/1.1\r\n{head}\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_post_that_asks_for_a_websocket_is_refused_by_websockets() -> None:
    assert respond(Request("/", Headers(HANDSHAKE), "POST"), page=True, name="echo") is None


# What all answers carry


@pytest.mark.parametrize("page", [True, False, "<p>hi</p>"])
@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_every_answer_carries_the_safe_headers(page: Page, path: str) -> None:
    headers = get(page, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Connection"].endswith("close")
    assert headers["Content-Type"].endswith("; charset=utf-8")
    assert headers["Content-Length"] == str(len(get(page, path).body))
    assert "X-Frame-Options" not in headers
    assert "frame-ancestors 'self' http://localhost:* " in headers["Content-Security-Policy"]


@pytest.mark.parametrize("page", [True, False, "<p>hi</p>", lambda _: b"raw"])
@pytest.mark.parametrize("path", ["/", "/nothing", "/favicon.ico"])
def test_head_has_the_headers_of_get_and_no_body(page: Page, path: str) -> None:
    by_get, by_head = get(page, path), get(page, path, "HEAD")
    assert by_head.status_code == by_get.status_code
    without_date = [
        [field for field in response.headers.raw_items() if field[0] != "Date"]
        for response in (by_get, by_head)
    ]
    assert without_date[0] == without_date[1]
    assert by_head.body == b""


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "get"])
@pytest.mark.parametrize("page", [True, False, lambda _: "mine"])
def test_other_methods_get_405(method: str, page: Page) -> None:
    response = get(page, "/", method)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert method.encode() in response.body


def test_a_strange_method_is_not_echoed() -> None:
    assert b"<script>" not in get(True, "/", "<script>").body


def test_more_ancestors_may_frame_the_page() -> None:
    policy = get(True, ancestors=["https://hub.example.org"]).headers["Content-Security-Policy"]
    assert policy.endswith("vscode-webview: vscode-file: https://hub.example.org")


# True, False and str


def test_the_tester_page() -> None:
    response = get(True)
    assert response.status_code == 200
    assert b"This is a WebSocket endpoint." in response.body
    policy = response.headers["Content-Security-Policy"]
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy


def test_the_tester_page_shows_the_name_as_text() -> None:
    response = respond(request(), page=True, name='<script>alert("1")</script>&')
    assert isinstance(response, Response)
    body = response.body.decode()
    assert body.count("<script>") == 1
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;" in body
    assert "{{" not in body


def test_the_tester_page_needs_nothing_from_elsewhere() -> None:
    body = get(True).body.decode()
    assert not re.search(r"(?:src|href)=|@import|url\(|https?://", body)


def test_the_host_header_is_not_reflected() -> None:
    evil = request("/", Host="<script>evil</script>")
    for page in (True, False, "<p>"):
        response = respond(evil, page=page, name="echo")
        assert isinstance(response, Response)
        assert b"evil" not in response.serialize()


def test_the_query_is_no_part_of_the_path() -> None:
    assert get(True, "/?token=secret").status_code == 200
    assert get(True, "http://localhost:8765/?x").status_code == 200
    assert get(True, "http://localhost:8765").status_code == 200
    assert b"secret" not in get(True, "/?token=secret").serialize()


def test_an_unknown_path_is_explained_in_text() -> None:
    response = get(True, "/<b>")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"WebSocket server" in response.body
    assert b"<b>" not in response.body


@pytest.mark.parametrize("page", [True, "<p>", lambda _: None])
def test_a_favicon_is_no_error(page: Page) -> None:
    response = get(page, "/favicon.ico")
    assert (response.status_code, response.body) == (204, b"")
    assert "Content-Length" not in response.headers


@pytest.mark.parametrize("page", [False, None])
def test_without_a_page_the_answer_is_upgrade_required(page: Page) -> None:
    response = get(page)
    assert response.status_code == 426
    assert response.headers["Upgrade"] == "websocket"
    assert response.headers["Connection"] == "Upgrade, close"  # RFC 9110 section 7.8
    assert get(page, "/favicon.ico").status_code == 426


def test_html_is_served_at_the_root_and_may_run_its_own_scripts() -> None:
    response = get("<h1>Grüße</h1>")
    assert response.body == "<h1>Grüße</h1>".encode()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src" not in response.headers["Content-Security-Policy"]
    assert get("<p>", "/other").status_code == 404


# Files


# Callables


def test_a_callable_answers_any_path() -> None:
    def page(request: Request) -> str | bytes | Response | None:
        return {
            "/": "<p>hi</p>",
            "/a.css": "p {}",
            "/a.png": b"\x89PNG",
            "/raw": b"\x00",
            "/teapot": Response(418, "I'm a teapot", Headers(X="1"), b"short and stout"),
        }.get(request.path)

    def kind(path: str) -> tuple[int, str]:
        response = get(page, path)
        return response.status_code, response.headers["Content-Type"]

    assert kind("/") == (200, "text/html; charset=utf-8")
    assert kind("/a.css") == (200, "text/css; charset=utf-8")
    assert kind("/a.png") == (200, "image/png")
    assert kind("/raw") == (200, "application/octet-stream")
    assert kind("/else") == (404, "text/plain; charset=utf-8")
    for method, body in (("GET", b"short and stout"), ("HEAD", b"")):
        teapot = get(page, "/teapot", method)
        assert (teapot.status_code, teapot.body) == (418, body)
        assert dict(teapot.headers) == {"x": "1", "content-length": "15", "connection": "close"}


def test_an_async_callable_is_awaited() -> None:
    async def page(request: Request) -> str:
        await asyncio.sleep(0)
        return f"<p>{request.path}</p>"

    async def main() -> Response | None:
        answer = respond(request("/x"), page=page, name="echo")
        assert not isinstance(answer, Response)
        assert answer is not None
        return await answer

    response = asyncio.run(main())
    assert response is not None
    assert response.body == b"<p>/x</p>"


def failing(request: Request) -> str:
    raise RuntimeError("the password is swordfish")


async def failing_later(request: Request) -> str:
    raise RuntimeError("the password is swordfish")


def answering_wrongly(request: Request) -> Any:
    return 42


def switching(request: Request) -> Response:
    return Response(101, "Switching Protocols", Headers())


async def answer_of(page: Any, **options: Any) -> Response | None:
    answer = respond(request(), page=page, name="echo", **options)
    return answer if answer is None or isinstance(answer, Response) else await answer


@pytest.mark.parametrize(
    ("page", "error", "match"),
    [
        (failing, RuntimeError, "swordfish"),
        (failing_later, RuntimeError, "swordfish"),
        (answering_wrongly, TypeError, "got int"),
        (switching, ValueError, "got 101"),
    ],
)
def test_a_callable_that_fails_is_told_to_the_server_alone(
    page: Any, error: type[Exception], match: str
) -> None:
    errors: list[Exception] = []
    response = asyncio.run(answer_of(page, on_error=errors.append))
    assert response is not None
    assert response.status_code == 500
    assert b"swordfish" not in response.serialize()
    assert b"Traceback" not in response.body
    [seen] = errors
    assert isinstance(seen, error)
    assert match in str(seen)
    assert seen.__traceback__ is not None

    with pytest.raises(error, match=match):
        asyncio.run(answer_of(page))


# Mistakes are told early


def test_check_page_takes_every_kind(tmp_path: Path) -> None:
    for page in (True, False, None, "<p>", "just words", tmp_path, lambda _: None):
        check_page(page)


@pytest.mark.parametrize(
    ("page", "error", "match"),
    [
        (42, TypeError, "got int"),
        (b"<p>", TypeError, "got bytes"),
        ("chat.html", ValueError, r"pathlib\.Path\('chat\.html'\)"),
        (Path("no/such/folder"), FileNotFoundError, "where nothing is"),
    ],
)
def test_check_page_refuses(page: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        check_page(page)


def test_the_module_alone_imports_nothing_heavy() -> None:
    for module in (http_page, static_files):
        body = ast.parse(Path(module.__file__).read_text("utf-8")).body
        imported = {
            name.partition(".")[0]
            for node in body
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
        }
        assert "re" in imported
        assert not {"websockets", "asyncio", "IPython", "html", "email"} & imported


# Over a socket


@contextlib.contextmanager
def serving(page: Page, **options: Any) -> Iterator[int]:
    """Run an echo server with a page on a thread of its own; give its port."""
    started = threading.Event()
    box: dict[str, Any] = {}

    async def echo(websocket: ServerConnection) -> None:
        box["path"] = websocket.request.path if websocket.request else None
        async for message in websocket:
            if message == "bye":
                await websocket.close(4001, "as you wish")
            elif message == "flood":
                for number in range(1500):
                    await websocket.send(f"number {number}")
            else:
                await websocket.send(message)

    async def main() -> None:
        box["loop"], box["stop"] = asyncio.get_running_loop(), asyncio.Event()
        answer: Callable[..., Any] = lambda _, request: respond(  # noqa: E731
            request, page=page, name="echo", **options
        )
        async with serve(echo, "127.0.0.1", 0, process_request=answer) as server:
            box["port"] = next(iter(server.sockets)).getsockname()[1]
            started.set()
            await box["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=[main()])
    thread.start()
    assert started.wait(10)
    try:
        yield box["port"]
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(10)


def exchange(port: int, text: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_http_over_a_socket() -> None:
    async def page(request: Request) -> str | None:
        return "<p>hi</p>" if request.path == "/" else None

    with serving(page) as port:
        full = exchange(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        bare = exchange(port, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        none = exchange(port, "GET /none HTTP/1.0\r\n\r\n")
        other = exchange(port, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert full.startswith(b"HTTP/1.1 200 OK\r\n")
    assert full.endswith(b"\r\n\r\n<p>hi</p>")
    assert bare.endswith(b"\r\n\r\n")
    assert b"Content-Length: 9\r\n" in bare
    assert none.startswith(b"HTTP/1.1 404 ")
    assert other.startswith(b"HTTP/1.1 405 ")


# In a browser

OPEN = "li[aria-current]:has-text('OPEN')"
CLOSED = "li[aria-current]:has-text('CLOSED')"


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_the_tester_page_talks_to_its_server(chromium: Any, scheme: str, width: int) -> None:
    complaints: list[str] = []
    with serving(True) as port:
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/?token=secret#x")
        assert page.inner_text("#url") == f"ws://127.0.0.1:{port}/"
        page.wait_for_selector(CLOSED)

        # By keyboard alone: Tab to Connect, Space, and on to the message.
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.wait_for_selector(OPEN)
        message = page.get_by_label("Message")
        message.focus()
        page.keyboard.type("<b>Grüße</b>")
        page.keyboard.press("Enter")
        page.wait_for_selector(".received:has-text('text 14 B'):has-text('<b>Grüße</b>')")
        assert page.locator("#log b").count() == 0

        page.select_option("#kind", "binary")
        for typed in ("89 50 4", "89504e47"):
            message.fill(typed)
            message.press("Enter")
        page.wait_for_selector(".note.bad:has-text('pairs of hex digits')")
        page.wait_for_selector(".received:has-text('binary 4 B'):has-text('89 50 4e 47')")

        page.select_option("#kind", "text")
        for text in ("flood", "bye"):
            message.fill(text)
            message.press("Enter")
        page.wait_for_selector(".note:has-text('close 4001'):has-text('\"as you wish\"')")
        page.wait_for_selector(CLOSED)
        assert page.locator("#log > div").count() == 500
        # connecting, open, 4 sent, 1 refused to send, 1502 received, closed: 1510 lines, 10 over
        assert page.inner_text("#dropped") == "older lines dropped: 1,010"
        assert page.inner_text("#received") == "1,502 messages, 15.4 kB"  # 15,408 B
        message.fill("late")
        message.press("Enter")
        page.wait_for_selector(".note.bad:has-text('The state is CLOSED')")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        context.close()
    assert complaints == []


@pytest.mark.browser
def test_the_page_says_that_it_came_through_a_proxy_and_that_nobody_answers(chromium: Any) -> None:
    html = get(True).body.decode()
    csp = get(True).headers["Content-Security-Policy"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    context = chromium.new_context()
    page = context.new_page()
    page.route(
        "**/*",
        lambda route: route.fulfill(
            body=html, content_type="text/html", headers={"Content-Security-Policy": csp}
        ),
    )
    page.goto(f"http://127.0.0.1:{port}/user/demo/proxy/8765/?token=secret")
    assert page.inner_text("#url") == f"ws://127.0.0.1:{port}/user/demo/proxy/8765/"
    assert page.locator("#proxy").is_visible()
    page.get_by_role("button", name="Connect", exact=True).click()
    page.wait_for_selector(".note.bad:has-text('It never opened')")
    page.wait_for_selector(CLOSED)
    context.close()


@pytest.mark.browser
def test_a_notebook_may_show_the_page_in_a_frame_and_a_foreign_site_may_not(chromium: Any) -> None:
    with serving(True) as port:
        frame = f'<iframe src="http://127.0.0.1:{port}/"></iframe>'
        with serving(frame) as notebook_port:
            page = chromium.new_page()
            page.goto(f"http://localhost:{notebook_port}/")
            page.frame_locator("iframe").get_by_role("button", name="Connect", exact=True).click()
            page.frame_locator("iframe").locator(OPEN).wait_for()
            page.close()

            # Chromium keeps sites of the internet from this machine by itself, so the foreign
            # site is one that it takes for local and that the page's policy does not name.
            page = chromium.new_page()
            with page.expect_event("console") as complaint:
                page.goto(f"http://evil.localhost:{notebook_port}/")
            assert "frame-ancestors" in complaint.value.text
            page.close()
