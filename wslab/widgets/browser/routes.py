"""Routes: how a page gets to the target; those that there may be, and which one it took.

Its rule: the kernel names the routes, best first, and the page tries them, for only the page can
know. The last one is always there: a socket in the kernel, whose events come over the notebook's
own connection. Nothing is connected here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ...client.urls import is_loopback, shown
from ...notebook import cells, environment
from ...notebook.page import note_routes
from ...notebook.routes import Route, routes_to

__all__ = ["ROUTES", "Routes"]

ROUTES = ("direct", "tunnel", "proxy", "comm")
_COMM_TOO = "close() without a code sends 1000"
_ASKS = (
    "jupyter-server-proxy would carry it, but hands Jupyter's cookies and tokens to that server: "
    "who reads what the server records could use your Jupyter"
)
_MAX_SEEN = 100  # characters of what a page says came in place of an answer

Json = dict[str, Any]


class Routes:
    """The routes to one target.

    Args:
        target: a Server or a URL.
        forced: the only one that may be taken.
    """

    def __init__(self, target: Any, *, forced: str | None = None) -> None:
        self.target = target
        self.forced = forced
        self.taken: str | None = None
        self.label = ""
        self.changes = ""
        self.asks = ""  # what the page asks before it takes a route, while it does
        self._is_proxy_allowed = False

    @property
    def url(self) -> str:
        """Where the kernel itself would connect to."""
        return self.target if isinstance(self.target, str) else str(self.target.url)

    @property
    def shown(self) -> str:
        """The URL for people, without the secrets that may stand in it."""
        return _shown(self.url)

    def to_page(self) -> list[Json]:
        """Return the routes for the page to try, best first, as JSON."""
        # A webview may be kept from it, and a certificate made on the spot is not trusted.
        is_certain = (
            environment.detect().kind is not environment.Kind.VSCODE
            and getattr(_server_of(self.target), "client_tls", None) is None
        )
        return [
            {
                "kind": route.kind,
                "label": route.label,
                "url": route.url,
                "shown": _shown(route.url),
                "changes": f"{route.changes}; {_COMM_TOO}"
                if route.kind == "comm"
                else route.changes,
                "asks": _ASKS if self._must_ask(route) else "",
                "server": route.server,
                "to_try": not (route.kind == "direct" and nth == 0 and is_certain),
            }
            for nth, route in enumerate(self._found())
        ]

    def take(self, said: Json) -> str:
        """Note which route the page takes; return what there is to say of it, or ""."""
        kind = str(said["kind"])
        tried = self._note(said.get("tried") or ())
        self.asks = ""
        self.label, self.changes = str(said["label"]), str(said["changes"])
        self.taken = kind if kind in ROUTES else None
        # Once for this Browser, and not again in each page that is loaded anew.
        self._is_proxy_allowed = self._is_proxy_allowed or kind == "proxy"
        if self.taken is not None:
            return ""
        tried = tried or "the route that was asked for is not there"
        return f"No route leads to {self.shown}: {tried}"[:500]

    def ask(self, said: Json) -> str:
        """Note that the page waits for an answer before it takes a route; return what to say."""
        tried = self._note(said.get("tried") or ())
        self.taken = None
        self.asks = (
            f"{said['asks']}. Answer in the page, or show wslab.Browser(..., route='proxy') or "
            "route='comm'"
        )
        return ". ".join(filter(None, (tried, self.asks)))[:800]

    def _note(self, tried: Iterable[Json]) -> str:
        """Let the whole process know which routes answer the page; return what came, in words.

        Args:
            tried: ``kind`` and ``label`` of each that was tried, in order, and in ``seen`` what
                came in place of an answer, or "".
        """
        tried = [
            {name: str(one[name])[:_MAX_SEEN] for name in ("kind", "label", "seen")}
            for one in itertools.islice(tried, len(ROUTES))
        ]
        seen = {one["kind"]: one["seen"] for one in tried}
        server = _server_of(self.target)
        if server is not None and server.is_serving:
            # That its certificate is not trusted, or its own address not reached, says nothing of
            # other servers here.
            if server.is_secure or server.tcp_host != "127.0.0.1":
                seen.pop("direct", None)
            note_routes(seen)
        return ". ".join(f"no answer {one['label']}: {one['seen']}" for one in tried if one["seen"])

    def _must_ask(self, route: Route) -> bool:
        return route.kind == "proxy" and self.forced is None and not self._is_proxy_allowed

    def _found(self) -> list[Route]:
        direct = Route("direct", "directly", self.url)
        comm = routes_to(1)[-1]  # the words; the URL is the target's
        comm = Route("comm", comm.label, self.url, comm.changes)
        server = _server_of(self.target)
        found = [direct, comm]
        if server is not None:
            found = [
                comm if route.kind == "comm" else route
                for route in routes_to(
                    server.port,
                    # Paths, which each page completes: two may be open at two names of Jupyter's.
                    here=replace(environment.detect(), jupyter_origin=None),
                    secure=server.is_secure,
                    is_trusted=server.client_tls is None,
                    tunnel_id=server.tunnel_id,
                    path=_path_of(self.target),
                    host=server.tcp_host,
                    is_to_try=True,
                )
            ]
        if self.forced is None:
            return found
        return [route for route in found if route.kind == self.forced] or (
            [direct] if self.forced == "direct" else []
        )


def _path_of(target: Any) -> str:
    if not isinstance(target, str):
        return "/"
    parts = urlsplit(target)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _shown(url: str) -> str:
    try:
        return shown(url)
    except Exception:  # a learner's own, which the browser shall judge
        return url


def _server_of(target: Any) -> Any:
    """Return the Server that a target is or names, where it is one of this process."""
    if not isinstance(target, str):
        return target if hasattr(target, "tunnel_id") else None
    try:
        parts = urlsplit(target)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in ("ws", "wss") or port is None or not is_loopback(host):
        return None
    return next((one for one in cells.things() if getattr(one, "port", None) == port), None)
