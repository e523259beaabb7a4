"""The routes from a notebook's page to a server of ours: URLs, and what each of them changes.

Its rule: what only the page knows it must tell (`page`), and until it does a URL is a path that the
page completes; a route that has not answered the page is left out. Nothing here connects to
anything.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from . import environment
from .allowed_origins import known_origins
from .environment import Environment, Kind
from .origins import is_loopback_origin
from .page import seen_by_page

__all__ = ["Route", "browser_url", "needs_login", "page_url", "routes_to"]

_TUNNEL_CHANGES = (
    "Cookies, Authorization and ?token= are Jupyter's and don't reach the server; one more header "
    "(Wslab-Tunnel-Secret) does"
)
_PROXY_CHANGES = (
    "The client is told the first subprotocol it offered, whichever was chosen; close codes and "
    "reasons are lost (always 1005), also after an abort; a refusal looks like an open connection "
    "that ends with 1006; no compression, messages of 10 MiB at most; pings of the server are "
    "answered by the proxy; Jupyter's cookies and tokens reach the server"
)
_COMM_CHANGES = (
    "The socket is opened by Python in the kernel and not by the browser: it sends no Origin and "
    "no cookies, and what happens shows up in the page only while the kernel is free to tell it"
)

# jupyter-server-proxy goes to "localhost", and to no other address unless it is told.
_PROXY_REACHES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Route:
    """One route from a page to a server of ours.

    Attributes:
        kind: `"direct"`, `"tunnel"` (wslab's own, in Jupyter's server), `"proxy"`
            (jupyter-server-proxy) or `"comm"` (a socket in the kernel, moved by hand).
        label: the same in words.
        url: the WebSocket URL; a path alone while the page's origin is not known, which the page
            completes. For `"comm"` it is the kernel's own URL: no page can use it.
        changes: what this route changes for whoever looks at the connection; "" for nothing.
        server: the server's name in the tunnel, for that route.
    """

    kind: Literal["direct", "tunnel", "proxy", "comm"]
    label: str
    url: str
    changes: str = ""
    server: str = ""


def routes_to(
    port: int,
    *,
    secure: bool = False,
    tunnel_id: str = "",
    path: str = "/",
    here: Environment | None = None,
    host: str = "127.0.0.1",
    is_to_try: bool = False,
    is_trusted: bool = True,
) -> tuple[Route, ...]:
    """Return the routes from a page here to a server, best first; the last is always the comm's.

    Which of them is open only the page can find out, by trying: the tunnel answers at
    `<base_url>wslab/`, jupyter-server-proxy at `<base_url>server-proxy/servers-info`. Those that
    have not answered it (`note_routes`) are left out.

    Args:
        port: the port that the server listens on.
        secure: whether the server itself speaks TLS.
        tunnel_id: the server's name in the tunnel; "" where it has none.
        path: path and query to ask for, starting with `/`.
        here: where this is; by default found out now.
        host: the address or name that it listens on; "" for a Unix socket, which no browser can
            open: then there is no direct route.
        is_to_try: for a page that tries them all: those too that did not answer before.
        is_trusted: whether a browser trusts the server's certificate; else the tunnel comes first.

    Raises:
        ValueError: the path does not start with a slash, or the port is out of range.
    """
    _check(port, path, host)
    here = environment.detect() if here is None else here
    url = _direct("ws", port, secure, path, host)
    direct = [Route("direct", "directly", url)] if url else []
    found: list[Route] = []
    can_reach = here.can_reach_kernel
    if not is_trusted and can_reach is True and tunnel_id:
        can_reach = None
    if can_reach is True:
        found += direct
    if tunnel_id and here.has_jupyter:
        through = _through_jupyter("ws", f"wslab/{tunnel_id}{path}", here)
        label = "through Jupyter, by wslab's tunnel"
        found.append(Route("tunnel", label, through, _TUNNEL_CHANGES, tunnel_id))
    if can_reach is None:
        found += direct
    has_proxy = here.has_jupyter and (here.is_proxied or here.has_server_proxy)
    if not secure and has_proxy and host in _PROXY_REACHES:
        through = _through_jupyter("ws", f"proxy/{port}{path}", here)
        label = "through Jupyter, by jupyter-server-proxy"
        found.append(Route("proxy", label, through, _PROXY_CHANGES))
    if not is_to_try:
        found = [route for route in found if not seen_by_page(route.kind)]
    return (*found, Route("comm", "by a socket in the kernel", url, _COMM_CHANGES))


def browser_url(
    port: int,
    *,
    secure: bool = False,
    path: str = "/",
    tunnel_id: str = "",
    here: Environment | None = None,
    host: str = "127.0.0.1",
    scheme: Literal["ws", "http"] = "ws",
    is_trusted: bool = True,
) -> str:
    """Return the WebSocket URL that a browser looking at this notebook should use.

    Direct where the browser reaches the kernel's machine. On a Hub or Binder, and wherever a page
    told that it is not on this machine, the route leads through Jupyter's server: the tunnel, at
    `<base_url>wslab/<tunnel_id>/`, or else jupyter-server-proxy, at `<base_url>proxy/<port>/`.
    Where it cannot be known whether the browser reaches this machine, the tunnel is sure to. While
    the page's origin is not known the result is that path alone: a page completes it with its own
    scheme and host. What Jupyter's server believes of itself does not count on loopback, which has
    several names. jupyter-server-proxy speaks ws to the server, so a server with TLS can't be
    reached there, and `secure` changes only direct URLs.

    Args:
        port: the port that the server listens on.
        secure: whether the server itself speaks TLS.
        path: path and query to ask for, starting with `/`.
        tunnel_id: the server's name in the tunnel; "" where it has none.
        here: where this is; by default found out now.
        host: the address or name that it listens on; "" for a Unix socket, which no browser can
            open: then the result is "" where no tunnel leads there.
        scheme: "http" for the server's page. Through a Jupyter on loopback that is a path, which
            links and frames of its pages complete.
        is_trusted: whether a browser trusts the server's certificate; else the tunnel is better.

    Raises:
        ValueError: the path does not start with a slash, or the port is out of range.
    """
    _check(port, path, host)
    here = environment.detect() if here is None else here
    tunnel_id = "" if seen_by_page("tunnel") else tunnel_id
    is_through_jupyter = _goes_through_jupyter(here, tunnel_id, is_trusted)
    if not is_through_jupyter or not (tunnel_id or host in _PROXY_REACHES):
        return _direct(scheme, port, secure, path, host)
    return _through_jupyter(
        scheme, f"wslab/{tunnel_id}{path}" if tunnel_id else f"proxy/{port}{path}", here
    )


page_url = functools.partial(browser_url, scheme="http")


def needs_login(
    *, tunnel_id: str = "", here: Environment | None = None, is_trusted: bool = True
) -> str:
    """Say what another browser needs to open a server's page; "" where it needs nothing.

    Args:
        tunnel_id: the server's name in the tunnel; "" where it has none.
        is_trusted: whether a browser trusts the server's certificate.
        here: where this is; by default found out now.
    """
    here = environment.detect() if here is None else here
    tunnel_id = "" if seen_by_page("tunnel") else tunnel_id
    if not _goes_through_jupyter(here, tunnel_id, is_trusted):
        return ""
    if here.kind is Kind.HUB:
        return "Another browser has to log in to the Hub first, as the same user"
    if here.kind is Kind.BINDER:
        return (
            "Another browser has to know this session's token: add ?token=... to the link. Whoever "
            "has it has the whole session"
        )
    return (
        "Another browser has to log in to Jupyter first, or know its token: add ?token=... to the "
        "link. Whoever has it has the whole of Jupyter"
    )


def _check(port: int, path: str, host: str) -> None:
    if host and not 0 < port < 65536:
        raise ValueError(f"expected a port from 1 to 65535, got {port}")
    if not path.startswith("/"):
        raise ValueError(f"expected a path that starts with '/', got {path!r}")


def _goes_through_jupyter(here: Environment, tunnel_id: str, is_trusted: bool = True) -> bool:
    if here.is_proxied:
        return True
    if not here.has_jupyter:
        return False
    if tunnel_id and not is_trusted:
        return True
    if seen_by_page("direct"):  # tried, and in vain
        return bool(tunnel_id) or here.has_server_proxy is True
    return bool(tunnel_id) and here.can_reach_kernel is None


def _direct(scheme: str, port: int, secure: bool, path: str, host: str) -> str:
    if not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}{'s' if secure else ''}://{host}:{port}{path}"


def _through_jupyter(scheme: str, rest: str, here: Environment) -> str:
    origin = here.jupyter_origin
    if origin is not None and is_loopback_origin(origin):
        # This machine has several names, and a page's cookie is for the one that it was opened by:
        # a link or a frame is completed by the page, and so is a URL before a page has told its.
        origin = origin if scheme == "ws" and origin in known_origins() else None
    if origin is None:
        return f"{here.jupyter_base_url}{rest}"
    page_scheme, _, host = origin.partition("://")
    return f"{scheme}{'s' if page_scheme == 'https' else ''}://{host}{here.jupyter_base_url}{rest}"
