"""What stands in Jupyter's server: who may come through, and to which server.

Its rule: Jupyter decides who is let in, by its own login, its own check of the Origin and its own
authorizer; this only asks it, and refuses what Jupyter would have no opinion on. A page's requests
are refused as API requests are; a person who opens a link is sent to the login.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from ..wire.http.field_values import asks_for_websocket
from .registry.files import ID, NoEntry
from .registry.jupyter import find
from .relay import connect_upstream, relay
from .request_head import BadHead, rewrite, without_tokens
from .response_head import ResponseHead

__all__ = ["ProbeHandler", "TunnelHandler", "routes"]

_Method = TypeVar("_Method", bound=Callable[..., Any])
# Who may not run code may not talk to code that runs either.
_AUTHORIZED: Callable[[_Method], _Method] = authorized("execute", "wslab")
_GONE = (
    "There is no such server: it was stopped, or the kernel that ran it. Run its cell again; its "
    "URL is server.browser_url.\n"
)


def routes(base_url: str) -> list[tuple[str, type[web.RequestHandler]]]:
    """Return the handlers for `<base_url>wslab/...`, as tornado takes them."""
    base = url_path_join(re.escape(base_url), "wslab")
    return [
        (rf"{base}/?", ProbeHandler),
        (rf"{base}/({ID})/.*", TunnelHandler),
        (rf"{base}/.*", NowhereHandler),
    ]


class _Handler(JupyterHandler):
    auth_resource = "wslab"

    def get_login_url(self) -> str:
        """Give a person who opens a link the login page; everybody else is refused."""
        if not self._is_navigation():
            raise web.HTTPError(403)
        return super().get_login_url()

    def _is_navigation(self) -> bool:
        """Tell whether a person opens this in a window, as opposed to a script or a client."""
        headers = self.request.headers
        if self.request.method not in ("GET", "HEAD") or asks_for_websocket(headers.get_all()):
            return False
        mode = headers.get("Sec-Fetch-Mode")
        if mode is not None:
            return mode == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        return "text/html" in headers.get("Accept", "")

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what is our own mistake, and nothing of the request: a token may be in its URL."""
        if typ is not None and not isinstance(value, web.HTTPError):
            self.log.error("wslab.tunnel: uncaught exception", exc_info=(typ, value, tb))  # type: ignore[arg-type]

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in one line: whoever asks here is mostly no person."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        text = f"{status_code} {self._reason}\n"
        if isinstance(error, web.HTTPError) and error.log_message and not error.args:
            text = error.log_message
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        _ = self.finish(text)


class ProbeHandler(_Handler):
    """Says that the tunnel is here and sees a server, to a page that looks for a way."""

    @web.authenticated
    async def get(self) -> None:
        """Answer with the version, as JSON; 404 where it can't see the server that is asked for."""
        if not self.check_origin():
            raise web.HTTPError(403)
        if entry_id := self.get_query_argument("server", ""):
            try:
                find(entry_id)
            except NoEntry as exc:
                self.log.debug("wslab.tunnel: %s: %s", entry_id, exc)
                raise web.HTTPError(404, _GONE) from None
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        await self.finish(json.dumps({"wslab": _version()}))


class NowhereHandler(_Handler):
    """Answers for every other address below ours, so that nothing else guesses at them."""

    @web.authenticated
    def get(self) -> None:
        """Say that nothing is here."""
        raise web.HTTPError(404, _GONE)


@web.stream_request_body
class TunnelHandler(_Handler):
    """Relays one connection to one server of ours."""

    def set_default_headers(self) -> None:
        """Say of each answer of our own what tornado does where a body has not been read: it ends.

        A proxy that takes such a connection for one that stays would send it the next request.
        """
        super().set_default_headers()
        self.set_header("Connection", "close")

    async def prepare(self) -> None:  # type: ignore[override]
        """Let Jupyter say who asks, and become a pipe before anybody reads the body.

        Jupyter has checked its cross-site token by then, of whatever is no GET.
        """
        headers = self.request.headers
        is_module = self._is_module()
        if is_module:
            # JupyterHub asks for no token where a page includes a script, since it can only run it;
            # of modules, which can't carry one and tell a page less, it has not thought.
            headers["Sec-Fetch-Mode"] = "no-cors"
        try:
            await super().prepare()
        finally:
            if is_module:
                headers["Sec-Fetch-Mode"] = "cors"
        if not self._finished:  # sent to the login
            carrying = self._carry(*self.path_args)
            if carrying is not None:  # the same, by a Jupyter that leaves it to us
                await carrying

    def data_received(self, chunk: bytes) -> None:
        """Drop the body of what has been refused."""

    @web.authenticated
    @_AUTHORIZED
    async def _carry(self, entry_id: str) -> None:
        """Find the server, connect to it, and move bytes until both sides have ended."""
        request = self.request
        headers = list(request.headers.get_all())
        self._check_site()
        assert request.uri is not None
        prefix = request.uri.partition("?")[0].partition(f"/wslab/{entry_id}")
        if "?" in "".join(prefix[:2]) or prefix[1] == "":
            raise web.HTTPError(404, _GONE)
        if self._is_navigation() and self.token_authenticated:
            clean = without_tokens(request.uri)
            if clean != request.uri:
                # With the login's cookie and that of the cross-site token: the page's own requests
                # know no token, and what they POST needs the other.
                _ = self.xsrf_token
                self.redirect(clean)
                return
        try:
            entry = find(entry_id)
            head = rewrite(
                request.method or "",
                request.uri,
                headers,
                prefix="".join(prefix[:2]),
                secret=entry.secret,
            )
            upstream = await connect_upstream(entry)
        except NoEntry as exc:
            self.log.debug("wslab.tunnel: %s: %s", entry_id, exc)
            raise web.HTTPError(404, _GONE) from None
        except BadHead as exc:
            raise web.HTTPError(exc.status, f"{exc.reason}\n") from None
        except OSError as exc:
            self.log.debug("wslab.tunnel: %s: %s", entry_id, exc)
            raise web.HTTPError(502, "The server does not accept connections.\n") from None
        try:
            stream = self.detach()
        except BaseException:
            upstream.transport.abort()
            raise
        answer = ResponseHead("".join(prefix[:2]), request.host)
        await relay(stream, upstream, head, answer)

    def _is_module(self) -> bool:
        """Tell whether a page of this origin imports a module: no script can set these headers."""
        names = ("Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site")
        told = [self.request.headers.get(name) for name in names]
        return self.request.method == "GET" and told == ["cors", "script", "same-origin"]

    def _check_site(self) -> None:
        """Refuse other sites' pages, which come with the user's cookie.

        A handshake and every request with an Origin by Jupyter's own rule. A browser sends a plain
        GET without one, and then tells where it comes from (Fetch Metadata) or names the page. What
        is no GET has shown Jupyter's cross-site token besides.
        """
        headers = self.request.headers
        allowed = self.check_origin()
        is_plain = not asks_for_websocket(headers.get_all()) and "Origin" not in headers
        if allowed and is_plain and not self.token_authenticated and not self._is_navigation():
            site = headers.get("Sec-Fetch-Site")
            allowed = site in ("same-origin", "none") if site else self.check_referer()
        if not allowed:
            raise web.HTTPError(403, "Jupyter does not let pages of that origin in.\n")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("wslab")
    except PackageNotFoundError:  # a checkout on the path
        return "0"
