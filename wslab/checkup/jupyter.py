"""Whether an echo comes back through Jupyter's server, by the tunnel and by its proxy,
and which URL a page in the user's browser has to use, as far as that is known.

It asks the server that started this kernel, as that writes itself down, with the tokens that lie
there; the report hides them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..client.connect import connect
from ..client.urls import is_loopback
from ..errors import HandshakeRefused
from ..notebook import environment, routes
from ..notebook.environment import Environment
from ..notebook.jupyter_server import server_files
from ..notebook.page import seen_by_page
from ..server.server import Server
from .budget import Budget, short
from .report import NOT_TRIED, Finding
from .server import expect_echo

__all__ = ["JupyterServer", "browser", "find_jupyter", "reachable", "through_jupyter"]

PROXY_S = 3.0
_TUNNEL, _PROXY = "through the tunnel", "through Jupyter"


class JupyterServer:
    """Where the Jupyter server that started this kernel listens; its repr shows no token."""

    def __init__(self, url: str, tokens: tuple[str, ...]) -> None:
        self.url = url  # ws://host:port/base/
        self.tokens = tokens


def find_jupyter(environ: Mapping[str, str]) -> JupyterServer | None:
    """Find the running Jupyter server in Jupyter's own files, or by the Hub's environment."""
    hub_token = environ.get("JUPYTERHUB_API_TOKEN", "")
    for info in server_files(environ):
        try:
            url = reachable(str(info["url"]), str(info.get("hostname", "")))
        except (ValueError, KeyError):
            continue
        token = str(info.get("token") or "")
        if url is not None:
            return JupyterServer(url, tuple(dict.fromkeys(filter(None, (token, hub_token)))))
    url = reachable(environ.get("JUPYTERHUB_SERVICE_URL", ""), "")
    return JupyterServer(url, (hub_token,) if hub_token else ()) if url is not None else None


def reachable(url: str, hostname: str) -> str | None:
    """Make the ws URL under which this process can reach a Jupyter server, or None."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None  # such as one that listens on a Unix socket
    everywhere = ("", "0.0.0.0", "::", "*")
    # One that listens on every address writes its machine's name into the URL.
    is_open = parts.hostname in everywhere or hostname in ("0.0.0.0", "::", "*")
    host = "127.0.0.1" if is_open else parts.hostname
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    base_url = f"/{parts.path.strip('/')}/" if parts.path.strip("/") else "/"
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{host}{port}{base_url}"


def through_jupyter(
    budget: Budget,
    here: Environment,
    server: Server | None,
    jupyter: JupyterServer | None,
) -> list[Finding]:
    """Echo through Jupyter's server as a browser on a Hub would; none where there is none."""
    if jupyter is None:
        return _without_jupyter(here)
    if server is None:
        return [Finding(name, None, NOT_TRIED) for name in (_TUNNEL, _PROXY)]
    tried: dict[str, tuple[bool | None, str]] = {}
    try:
        tried[_TUNNEL] = budget.ask(lambda: _by_tunnel(server, jupyter), PROXY_S)
        path = f"proxy/{server.port}/"
        tried[_PROXY] = budget.ask(lambda: _echo_through(jupyter, path, "proxy/"), PROXY_S)
    except Exception as exc:  # whoever does not answer the one does not answer the other
        tried = {name: tried.get(name, (False, short(exc))) for name in (_TUNNEL, _PROXY)}
    tried[_TUNNEL] = _as_the_page_says("tunnel", *tried[_TUNNEL])
    tried[_PROXY] = _as_the_page_says("proxy", *tried[_PROXY])
    return [
        _judged(here, name, *tried[name], stands_in=tried[other][0] is True)
        for name, other in ((_TUNNEL, _PROXY), (_PROXY, _TUNNEL))
    ]


def _without_jupyter(here: Environment) -> list[Finding]:
    kinds = environment.Kind
    if here.kind not in (kinds.HUB, kinds.BINDER, kinds.JUPYTER):
        return []
    ok, seen = None, "no Jupyter server was found that could be asked"
    if here.can_reach_kernel:
        ok, seen = True, f"{seen}; not needed here"
    return [Finding(name, ok, seen) for name in (_TUNNEL, _PROXY)]


def _judged(
    here: Environment, name: str, ok: bool | None, seen: str, *, stands_in: bool
) -> Finding:
    """Say what a way through Jupyter that was tried means here; ``stands_in``: for it."""
    if ok:
        return Finding(name, True, seen)
    if here.can_reach_kernel is True and not seen_by_page("direct"):
        seen = f"{seen}; not needed while the browser is on this machine"
        return Finding(name, True, seen)
    if name == _PROXY:
        if stands_in:
            return Finding(name, True, f"{seen}; not needed, since the tunnel carries")
        advice = (
            "Install it where the Jupyter server runs (`pip install jupyter-server-proxy`) and "
            "start that server again; without it or the tunnel a browser elsewhere can't reach "
            "a server here"
        )
        # It is surely needed on a Hub; over SSH or in a container, perhaps.
        return Finding(name, ok if here.is_proxied else None, seen, advice)
    advice = (
        "Install wslab where the Jupyter server runs (`pip install wslab`) and start that "
        "server again. If it is installed there: `jupyter server extension enable "
        "wslab.tunnel --sys-prefix`"
    )
    if seen_by_page("tunnel"):  # it is there
        advice = "Load the page again, and log in again if it asks for that"
    if stands_in:
        seen = f"{seen}; jupyter-server-proxy stands in, which changes close codes and more"
    return Finding(name, None, seen, advice)


def _as_the_page_says(kind: str, ok: bool | None, seen: str) -> tuple[bool | None, str]:
    """Let what the notebook's page found weigh more than what was found from here, with a token."""
    found = seen_by_page(kind)
    if not ok or found is None:
        return ok, seen
    if not found:
        return ok, f"{seen}, and one to the notebook's page"
    return False, f"{seen}, but the notebook's page got none: {found}"


def _by_tunnel(server: Server, jupyter: JupyterServer) -> tuple[bool | None, str]:
    """Echo through ``<base_url>wslab/<id>/``; whether that worked, and what came."""
    entry_id = server.tunnel_id or "0" * 32  # not registered: the answer tells more than we know
    ok, seen = _echo_through(jupyter, f"wslab/{entry_id}/", "wslab/")
    if ok is False and not server.tunnel_id:
        note = f" ({server.note})" if server.note else ""
        return False, f"not there: Jupyter's server does not have it{note}"
    return ok, seen


def _echo_through(jupyter: JupyterServer, path: str, where: str) -> tuple[bool | None, str]:
    """Echo through ``<base_url><path>``; whether that worked, and what came."""
    kwargs: dict[str, Any] = {"open_timeout": PROXY_S - 0.5, "keep": True, "name": "doctor"}
    if jupyter.url.startswith("wss:"):
        import ssl
        from urllib.parse import urlsplit

        kwargs["ssl"] = ssl.create_default_context()
        if is_loopback(urlsplit(jupyter.url).hostname or ""):
            # Certificates for one's own machine are mostly self-signed, and it is this machine.
            kwargs["ssl"].check_hostname = False
            kwargs["ssl"].verify_mode = ssl.CERT_NONE
    url = f"{jupyter.url}{path}"
    refused: HandshakeRefused | None = None
    for token in jupyter.tokens or ("",):
        headers = {"Authorization": f"token {token}"} if token else {}
        try:
            began_s = time.monotonic()
            with connect(url, additional_headers=headers, **kwargs) as client:
                try:
                    expect_echo(client)
                except Exception:
                    return False, (
                        "installed, but Jupyter's server can't reach a port of this kernel; "
                        "it may run on another machine"
                    )
                took_ms = (time.monotonic() - began_s) * 1e3
                client.close(timeout=0.3)
            return True, f"an echo came through Jupyter's server after {took_ms:.0f} ms"
        except HandshakeRefused as exc:
            refused = exc
    assert refused is not None
    if refused.status in (401, 403):
        return None, f"Jupyter's server let nobody in ({refused.status}): its token is not known"
    if refused.status == 404:
        return False, f"not there: Jupyter's server has nothing at {where} (404)"
    return False, f"Jupyter's server answered {refused.status} instead of 101"


def browser(here: Environment, carried: Iterable[Finding], tunnel_id: str) -> Finding:
    """Say which URL that is.

    Args:
        here: where this runs.
        carried: what was found on the ways through Jupyter's server.
        tunnel_id: of a server here, or "".
    """
    through = {finding.name: finding.ok for finding in carried}
    tunnels = through.get("through the tunnel") is True and tunnel_id != ""
    port = 8765  # stands for any
    url = routes.browser_url(port, here=here, tunnel_id="ID" if tunnels else "")
    url = url.replace(str(port), "PORT")
    if url.startswith("/"):
        url += " on the notebook's own host"
    ok, advice = here.can_reach_kernel, ""
    if here.is_proxied or seen_by_page("direct"):
        ok = True if tunnels else through.get("through Jupyter")
        if not ok:
            advice = "A page in your browser may not reach a server here; Python does"
    elif tunnels:
        ok = True
    elif ok is None:
        other = "or go through jupyter-server-proxy"
        if through.get("through Jupyter"):
            other = f"or go through Jupyter, at {here.jupyter_base_url}proxy/PORT/"
        advice = (
            "If your browser runs on another machine, it can't reach this address: forward the "
            f"port too, {other}"
        )
    elif not ok:
        advice = "A page in your browser can't connect here; wslab.connect() in Python can"
    return Finding("URL for a browser", ok, url, advice)
