"""What a plain HTTP GET to a WebSocket server gets.

A WebSocket server answers two kinds of request on one port: the opening handshake, which
is a GET that asks to be upgraded (RFC 6455 section 4.1), and every other request, which is
plain HTTP. The one rule: a handshake, even a broken one, is never answered here, so that the
refusal comes from the code that checks it. This is no web server: one answer for each
connection, GET and HEAD only.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..wire.http.field_values import asks_for_websocket
from .static_files import content_type, find_file

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

__all__ = ["Answer", "Page", "check_page", "respond"]

Answer: TypeAlias = "str | bytes | Response | None"
"""What a callable page returns for one request; None means: not mine (404)."""

Page: TypeAlias = (
    "bool | str | os.PathLike[str] | Callable[[Request], Answer | Awaitable[Answer]] | None"
)
"""Who answers plain HTTP. True: the tester page. False or None: 426 and one sentence.
A str: this HTML at `/`. A path of a file: that file at `/`. A path of a folder: its files,
with `index.html` for a folder. A callable, plain or async: whatever it makes of the request."""

# Who may show a page of ours in a frame: itself (through a proxy it shares the notebook's
# origin), notebooks on this machine, VS Code. Others could trick a visitor into clicking.
_ANCESTORS = (
    "'self' http://localhost:* https://localhost:* http://127.0.0.1:* https://127.0.0.1:* "
    "vscode-webview: vscode-file:"
)
_PLAIN = "text/plain; charset=utf-8"
# A browser shows plain text in a <pre> that it styles inline, and asks for a favicon.
_PLAIN_CSP = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; "
_HTML = "text/html; charset=utf-8"


def check_page(page: Page) -> None:
    """Raise at once for a `page` that could never be served.

    Args:
        page: the value that a user gave.

    Raises:
        TypeError: it is none of the kinds that `Page` lists.
        FileNotFoundError: it is a path where nothing is.
        ValueError: it is a str that names a file instead of being HTML.
    """
    if isinstance(page, str):
        if "<" not in page and re.fullmatch(r"\S+\.html?", page.strip()):
            raise ValueError(
                f"page: expected HTML, got {page!r}, which looks like a file's name; "
                f"to serve a file, pass pathlib.Path({page!r})"
            )
    elif isinstance(page, os.PathLike):
        if not Path(page).exists():
            raise FileNotFoundError(
                f"page: expected a file or a folder, got {os.fspath(page)!r}, where nothing is; "
                f"relative paths start at {os.getcwd()!r}"
            )
    elif page is not None and not isinstance(page, bool) and not callable(page):
        raise TypeError(
            "page: expected True, False, None, a str of HTML, a pathlib.Path or a callable "
            f"that takes the request; got {type(page).__name__}"
        )


def respond(
    request: Request,
    *,
    page: Page,
    name: str,
    on_error: Callable[[Exception], object] | None = None,
    ancestors: Iterable[str] = (),
) -> Response | Awaitable[Response | None] | None:
    """Answer a plain HTTP request, or return None to let the WebSocket handshake go on.

    Made for the `process_request` argument of `websockets.serve`, which takes a response,
    None, or an awaitable of either. Only an async callable page gives an awaitable.

    Args:
        request: the request's head.
        page: who answers; see `Page`.
        name: the server's name, shown on the tester page.
        on_error: called with what a callable page raised; the client then gets a 500 that
            tells nothing of it. Without it the exception is raised.
        ancestors: further origins that may show the page in a frame, such as
            `https://hub.example.org`; `*` for all.

    Raises:
        Exception: what a callable page raised, when there is no `on_error`.

    See RFC 9110 sections 9.3 (methods) and 15.5.22 (426 Upgrade Required).
    """
    if asks_for_websocket(request.headers.raw_items()):
        return None
    answer = functools.partial(_answer, request, ancestors=" ".join([_ANCESTORS, *ancestors]))
    if request.method not in ("GET", "HEAD"):
        text = f"Expected GET or HEAD, got {_shown(request.method)}: this is a WebSocket server.\n"
        return answer(405, text, fields={"Allow": "GET, HEAD"})
    if page is None or page is False:
        text = (
            "This is a WebSocket endpoint and it has no page. Connect with a WebSocket client, "
            "such as new WebSocket(url) in a browser or wslab.connect(url) in Python.\n"
        )
        fields = {"Upgrade": "websocket", "Connection": "Upgrade, close"}
        return answer(426, text, fields=fields)

    path = _path_of(request)
    if page is True:
        if path == "/":
            html, csp = _tester(name)
            return answer(200, html, _HTML, csp=csp)
    elif isinstance(page, str):
        if path == "/":
            return answer(200, page, _HTML, csp="")
    elif isinstance(page, os.PathLike):
        found = find_file(Path(page), path, answer)
        if found is not None:
            return found
    else:
        return _call(page, request, path, answer, on_error)
    return _not_found(path, answer)


def _call(
    page: Callable[[Request], Answer | Awaitable[Answer]],
    request: Request,
    path: str,
    answer: Callable[..., Response],
    on_error: Callable[[Exception], object] | None,
) -> Response | Awaitable[Response | None]:
    """Ask a callable page, now or, when it is async, in the awaitable that is returned."""

    def failed(error: Exception) -> Response:
        if on_error is None:
            raise error
        on_error(error)
        return answer(500, "The page failed. Its author can see why on the server.\n")

    async def later(result: Awaitable[Answer]) -> Response | None:
        try:
            return _made(await result, request, path, answer)
        except Exception as error:
            return failed(error)

    try:
        result = page(request)
        if isinstance(result, Awaitable):
            return later(result)
        return _made(result, request, path, answer)
    except Exception as error:
        return failed(error)


def _made(result: Answer, request: Request, path: str, answer: Callable[..., Response]) -> Response:
    """Turn what a callable page returned into a response."""
    from websockets.http11 import Response

    if result is None:
        return _not_found(path, answer)
    if isinstance(result, str | bytes):
        return answer(
            200, result, content_type(path, _HTML if isinstance(result, str) else ""), csp=""
        )
    if not isinstance(result, Response):
        raise TypeError(
            "page: expected the callable to return str, bytes, websockets' Response or None; "
            f"got {type(result).__name__}"
        )
    if not 200 <= result.status_code < 600:
        raise ValueError(
            f"page: expected a final status, 200 to 599, got {result.status_code}; "
            "a request for a WebSocket never reaches a page"
        )
    headers = result.headers.copy()
    if "Content-Length" not in headers and result.status_code not in (204, 304):
        headers["Content-Length"] = str(len(result.body))
    if "Connection" not in headers:
        headers["Connection"] = "close"
    body = b"" if request.method == "HEAD" else result.body
    return Response(result.status_code, result.reason_phrase, headers, body)


def _answer(
    request: Request,
    status: int,
    body: str | bytes,
    content_type: str = _PLAIN,
    *,
    csp: str = _PLAIN_CSP,
    fields: dict[str, str] | None = None,
    ancestors: str,
) -> Response:
    """Build a response with the headers that all of ours carry; no body for HEAD."""
    from email.utils import formatdate
    from http import HTTPStatus

    from websockets.datastructures import Headers
    from websockets.http11 import Response

    raw = body.encode() if isinstance(body, str) else body
    headers = {"Date": formatdate(usegmt=True), "Connection": "close"}
    if status != 204:  # RFC 9110 section 8.6: a 204 carries no Content-Length
        headers |= {"Content-Type": content_type, "Content-Length": str(len(raw))}
    headers |= {
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"{csp}frame-ancestors {ancestors}",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    headers |= fields or {}
    return Response(
        status,
        HTTPStatus(status).phrase,
        Headers(headers),
        b"" if request.method == "HEAD" else raw,
    )


def _not_found(path: str, answer: Callable[..., Response]) -> Response:
    if path == "/favicon.ico":  # every browser asks for it; a 404 would soil its console
        return answer(204, b"")
    return answer(
        404,
        "No page here. This is a WebSocket server: its page, if it has one, is at /, and a "
        "WebSocket client connects with a URL that starts with ws:// or wss://.\n",
    )


@functools.lru_cache(maxsize=32)
def _tester(name: str) -> tuple[str, str]:
    """Return the tester page and its policy: its own style and script, and nothing else.

    `connect-src 'self'` covers ws: and wss: of the page's own host and port (Content Security
    Policy Level 3, section 6.7.2.8), so no Host header need be copied into the policy.
    """
    import base64
    import hashlib
    import html
    from importlib.resources import files

    text = (files("wslab.server") / "tester.html").read_text("utf-8")

    def hashed(tag: str) -> str:
        found = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert found is not None, f"tester.html has no <{tag}>"
        return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()

    csp = (
        f"default-src 'none'; script-src 'sha256-{hashed('script')}'; "
        f"style-src 'sha256-{hashed('style')}'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; "
    )
    return text.replace("{{name}}", html.escape(name)), csp


def _path_of(request: Request) -> str:
    """Return the request's path, still percent-encoded, without query or fragment."""
    target = re.split(r"[?#]", request.path, maxsplit=1)[0]
    absolute = re.match(r"(?i)https?://[^/]*(.*)", target)  # what a forward proxy is sent
    return (absolute[1] or "/") if absolute else target


def _shown(method: str) -> str:
    return method if re.fullmatch(r"[A-Za-z-]{1,20}", method) else "another method"
