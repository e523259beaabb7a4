"""Where this runs, and which URL a browser there can reach.

The one rule: a guess is called a guess. What a process can see of itself is read from its
environment and from Jupyter's own files; what only the page knows (under which address a
person looks at the notebook) the page must tell, with `note_page_origin`, and until it does
the answer is None, or a path that the page completes. Nothing here connects to anything:
`wslab.doctor` checks these answers by real handshakes.
"""

from __future__ import annotations

import enum
import os
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

__all__ = [
    "Kind",
    "Place",
    "Way",
    "browser_url",
    "detect",
    "is_allowed_origin",
    "known_origins",
    "needs_login",
    "note_page_origin",
    "note_ways",
    "page_url",
    "seen_by_page",
    "ways",
]

_MAX_NOTED = 32  # a person looks from a few addresses; a loop that notes more must not grow this
_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\]){_PORT}"
)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LOOPBACK = re.compile(rf"localhost|127(?:\.{_OCTET}){{3}}|\[::1\]")
_WEBVIEW = re.compile(r"vscode-webview://[a-z0-9]{1,64}")
_BASE_URL = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%-]+/)*")

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

_noted: dict[str, str] = {}  # origin -> base URL, the page seen last at the end
_tried: dict[str, str] = {}  # a way's kind -> what that page got in place of an answer, or ""
_noted_lock = threading.Lock()


class Kind(enum.Enum):
    """The kinds of place that differ in what a browser there can reach."""

    SCRIPT = "script"
    IPYTHON = "ipython"
    JUPYTER = "jupyter"
    HUB = "hub"
    BINDER = "binder"
    VSCODE = "vscode"
    COLAB = "colab"


# jupyter-server-proxy goes to "localhost", and to no other address unless it is told.
_PROXY_REACHES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Way:
    """One way from a page to a server of ours.

    Attributes:
        kind: `"direct"`, `"tunnel"` (wslab's own, in Jupyter's server), `"proxy"`
            (jupyter-server-proxy) or `"comm"` (a socket in the kernel, moved by hand).
        label: the same in words.
        url: the WebSocket URL; a path alone while the page's origin is not known, which the page
            completes. For `"comm"` it is the kernel's own URL: no page can use it.
        changes: what this way changes for whoever looks at the connection; "" for nothing.
        server: the server's name in the tunnel, for that way.
    """

    kind: Literal["direct", "tunnel", "proxy", "comm"]
    label: str
    url: str
    changes: str = ""
    server: str = ""


@dataclass(frozen=True)
class Place:
    """What could be found out about where this runs.

    Attributes:
        kind: which kind of place.
        label: the same in words, such as "JupyterLab or Jupyter Notebook".
        jupyter_base_url: where Jupyter's server is mounted, such as `/user/demo-abc/`.
        jupyter_origin: scheme, host and port of the page, or None while unknown. A page that
            told its own wins over what Jupyter's server believes of itself.
        can_reach_kernel: whether a browser that looks at this can connect to 127.0.0.1 of the
            kernel's machine; None when that cannot be known from here.
        why: the reason for `can_reach_kernel`, in words.
        has_server_proxy: whether jupyter-server-proxy is installed where the kernel runs. The
            server that would use it may run in another environment, so True and False are
            likely, not certain; None when the kernel sees no Jupyter server at all.
    """

    kind: Kind
    label: str
    jupyter_base_url: str
    jupyter_origin: str | None
    can_reach_kernel: bool | None
    why: str
    has_server_proxy: bool | None

    @property
    def is_proxied(self) -> bool:
        """Whether a browser must go through Jupyter's server to reach a port of the kernel."""
        if self.kind in (Kind.HUB, Kind.BINDER):
            return True
        return self.kind is Kind.JUPYTER and self.can_reach_kernel is False

    @property
    def _has_jupyter(self) -> bool:
        """Whether a page here may ask a Jupyter server that this process belongs to."""
        return self.kind in (Kind.HUB, Kind.BINDER, Kind.JUPYTER)


def detect(
    environ: Mapping[str, str] | None = None,
    shell: Any = None,
    modules: Mapping[str, Any] | None = None,
) -> Place:
    """Find out where this process runs.

    Cannot be known from here: whether a page at `localhost` is really on this machine (an SSH
    tunnel for Jupyter's port alone looks the same), whether VS Code drives a kernel that it
    started elsewhere, and the public address of a Binder or of a JupyterHub older than 5.

    Args:
        environ: environment variables; `os.environ` by default.
        shell: IPython's shell; by default the running one, if IPython is imported at all.
        modules: loaded modules; `sys.modules` by default.
    """
    environ = os.environ if environ is None else environ
    modules = sys.modules if modules is None else modules
    if shell is None and "IPython" in modules:
        # Never imported here: a script that does without IPython keeps doing without it.
        get_ipython = getattr(modules["IPython"], "get_ipython", None)
        shell = get_ipython() if get_ipython is not None else None
    is_kernel = any("ZMQInteractiveShell" in base.__name__ for base in type(shell).__mro__)
    namespace = getattr(shell, "user_ns", None) or {}

    if _is_colab(environ, modules):
        return Place(
            Kind.COLAB, "Google Colab", "/", None, False,
            "Colab's kernel is a machine of Google's; your browser reaches its ports only "
            "through google.colab's own proxy, which is not made for WebSockets",
            None,
        )  # fmt: skip
    if any(environ.get(f"BINDER_{name}") for name in ("LAUNCH_HOST", "REF_URL", "REPO_URL")):
        return _on_hub(Kind.BINDER, "Binder", environ)
    if "__vsc_ipynb_file__" in namespace:
        return _in_vscode(environ)
    if environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return _on_hub(Kind.HUB, "JupyterHub", environ)
    if is_kernel:
        server = _jupyter_server(environ)
        if server is None and any(environ.get(f"VSCODE_{name}") for name in ("PID", "CWD")):
            return _in_vscode(environ)
        return _in_jupyter(environ, server)
    if shell is not None:
        return _on_this_machine(Kind.IPYTHON, "IPython in a terminal", environ)
    return _on_this_machine(Kind.SCRIPT, "a Python script or plain interpreter", environ)


def note_page_origin(origin: str, base_url: str = "/") -> None:
    """Remember the address under which a notebook's page is being looked at.

    Called with what a widget read in the page: `location.origin` and Jupyter's base URL. The
    origin may connect to servers of ours from then on; a VS Code webview's may, too. The page
    noted last decides about URLs. Thread-safe; the oldest of more than 32 is forgotten.

    Args:
        origin: such as `https://hub.example.org` or `http://localhost:8888`.
        base_url: such as `/user/demo-abc/`.

    Raises:
        ValueError: one of the two is not what a page would send.
    """
    if not isinstance(origin, str) or not (_is_origin(origin) or _WEBVIEW.fullmatch(origin)):
        raise ValueError(
            f"expected a page's location.origin, such as 'http://localhost:8888', got {origin!r}"
        )
    base_url = _checked_base_url(base_url)
    with _noted_lock:
        if (origin, base_url) != next(reversed(_noted.items()), None):
            _tried.clear()  # another page may be somewhere else
        _noted.pop(origin, None)
        _noted[origin] = base_url
        while len(_noted) > _MAX_NOTED:
            del _noted[next(iter(_noted))]


def note_ways(seen: Mapping[str, str]) -> None:
    """Remember which ways to a server here the notebook's page has tried, and how that went.

    From then on `ways` and `browser_url` leave out what does not answer it. What is not named
    stays as it was; a page of another address begins anew. Thread-safe.

    Args:
        seen: by a way's kind, what came in place of an answer; "" where one came.
    """
    with _noted_lock:
        _tried.update({kind: seen[kind] for kind in ("direct", "tunnel", "proxy") if kind in seen})


def seen_by_page(kind: str) -> str | None:
    """Return what the notebook's page got by this way in place of an answer; "": one came.

    None where no page has tried it.
    """
    return _tried.get(kind)


def known_origins() -> frozenset[str]:
    """Return the origins of the notebook's own pages: those noted, and JupyterHub's public one."""
    with _noted_lock:
        origins = set(_noted)
    public = _public_origin(os.environ)
    return frozenset(origins | {public} if public else origins)


def ways(
    port: int,
    *,
    secure: bool = False,
    tunnel_id: str = "",
    path: str = "/",
    place: Place | None = None,
    host: str = "127.0.0.1",
    is_to_try: bool = False,
) -> tuple[Way, ...]:
    """Return the ways from a page here to a server, best first; the last is always the comm's.

    Which of them is open only the page can find out, by trying: the tunnel answers at
    `<base_url>wslab/`, jupyter-server-proxy at `<base_url>server-proxy/servers-info`. Those that
    have not answered it (`note_ways`) are left out.

    Args:
        port: the port that the server listens on.
        secure: whether the server itself speaks TLS.
        tunnel_id: the server's name in the tunnel; "" where it has none.
        path: path and query to ask for, starting with `/`.
        place: where this is; by default found out now.
        host: the address or name that it listens on; "" for a Unix socket, which no browser can
            open: then there is no direct way.
        is_to_try: for a page that tries them all: those too that did not answer before.

    Raises:
        ValueError: the path does not start with a slash, or the port is out of range.
    """
    _check(port, path, host)
    place = detect() if place is None else place
    url = _direct("ws", port, secure, path, host)
    direct = [Way("direct", "directly", url)] if url else []
    found: list[Way] = []
    if place.can_reach_kernel is True:
        found += direct
    if tunnel_id and place._has_jupyter:
        through = _through_jupyter("ws", f"wslab/{tunnel_id}{path}", place)
        label = "through Jupyter, by wslab's tunnel"
        found.append(Way("tunnel", label, through, _TUNNEL_CHANGES, tunnel_id))
    if place.can_reach_kernel is None:
        found += direct
    has_proxy = place._has_jupyter and (place.is_proxied or place.has_server_proxy)
    if not secure and has_proxy and host in _PROXY_REACHES:
        through = _through_jupyter("ws", f"proxy/{port}{path}", place)
        label = "through Jupyter, by jupyter-server-proxy"
        found.append(Way("proxy", label, through, _PROXY_CHANGES))
    if not is_to_try:
        found = [way for way in found if not seen_by_page(way.kind)]
    return (*found, Way("comm", "by a socket in the kernel", url, _COMM_CHANGES))


def browser_url(
    port: int,
    *,
    secure: bool = False,
    path: str = "/",
    tunnel_id: str = "",
    place: Place | None = None,
    host: str = "127.0.0.1",
) -> str:
    """Return the WebSocket URL that a browser looking at this place should use.

    Direct where the browser reaches the kernel's machine. On a Hub or Binder, and wherever a page
    told that it is not on this machine, the way leads through Jupyter's server: the tunnel, at
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
        place: where this is; by default found out now.
        host: the address or name that it listens on; "" for a Unix socket, which no browser can
            open: then the result is "" where no tunnel leads there.

    Raises:
        ValueError: the path does not start with a slash, or the port is out of range.
    """
    return _url("ws", port, secure, path, tunnel_id, place, host)


def page_url(
    port: int,
    *,
    secure: bool = False,
    path: str = "/",
    tunnel_id: str = "",
    place: Place | None = None,
    host: str = "127.0.0.1",
) -> str:
    """Return the http URL of a server's page; everything else is as in `browser_url`.

    Through a Jupyter on loopback it is a path, which links and frames of its pages complete.
    """
    return _url("http", port, secure, path, tunnel_id, place, host)


def needs_login(*, tunnel_id: str = "", place: Place | None = None) -> str:
    """Say what another browser needs to open a server's page; "" where it needs nothing.

    Args:
        tunnel_id: the server's name in the tunnel; "" where it has none.
        place: where this is; by default found out now.
    """
    place = detect() if place is None else place
    if not _goes_through_jupyter(place, "" if seen_by_page("tunnel") else tunnel_id):
        return ""
    if place.kind is Kind.HUB:
        return "Another browser has to log in to the Hub first, as the same user"
    if place.kind is Kind.BINDER:
        return (
            "Another browser has to know this session's token: add ?token=... to the link. Whoever "
            "has it has the whole session"
        )
    return (
        "Another browser has to log in to Jupyter first, or know its token: add ?token=... to the "
        "link. Whoever has it has the whole of Jupyter"
    )


def is_allowed_origin(origin: str | None, *, place: Place | None = None) -> bool:
    """Tell whether a page of this origin may open a WebSocket to a server on loopback.

    Any page in the world can try: the same-origin policy does not cover WebSockets. Allowed
    are clients that are no page (no Origin), pages of this machine, whatever their port, and
    the notebook's own pages. `null` (sandboxed frames, files) is anybody's, so it is refused.
    A VS Code webview is allowed only where VS Code shows the notebook.

    Args:
        origin: the Origin header as it came, or None when there was none.
        place: where this is; by default found out, and only when it matters.

    See RFC 6455 section 10.2 and RFC 6454 section 7.
    """
    if origin is None:
        return True
    if _is_loopback(origin) or origin in known_origins():
        return True
    if _WEBVIEW.fullmatch(origin):
        return (place or detect()).kind is Kind.VSCODE
    return False


def _is_colab(environ: Mapping[str, str], modules: Mapping[str, Any]) -> bool:
    names = ("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION", "COLAB_JUPYTER_IP", "COLAB_GPU")
    return "google.colab" in modules or any(name in environ for name in names)


def _on_hub(kind: Kind, label: str, environ: Mapping[str, str]) -> Place:
    noted = _noted_page()
    try:
        base_url = _checked_base_url(environ["JUPYTERHUB_SERVICE_PREFIX"])
    except (KeyError, ValueError):
        base_url = (_jupyter_server(environ) or {}).get("base_url", "/")
    return Place(
        kind=kind,
        label=label,
        jupyter_base_url=noted[1] if noted else base_url,
        jupyter_origin=noted[0] if noted else _public_origin(environ),
        can_reach_kernel=False,
        why=f"on {label} the kernel rarely runs on the machine of your browser, so the way to "
        "its ports leads through Jupyter's server (jupyter-server-proxy)",
        has_server_proxy=_has_server_proxy(),
    )


def _in_vscode(environ: Mapping[str, str]) -> Place:
    can_reach: bool | None
    if environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        can_reach = False
        why = "VS Code drives a kernel that runs on a JupyterHub, on another machine"
    elif reason := _remote_sign(environ):
        can_reach = None
        why = f"{reason}; VS Code may forward the port to your machine (see its Ports view)"
    else:
        can_reach = True
        why = "VS Code and the kernel run on this machine"
    return Place(Kind.VSCODE, "VS Code", "/", None, can_reach, why, None)


def _in_jupyter(environ: Mapping[str, str], server: dict[str, str] | None) -> Place:
    noted = _noted_page()
    origin, base_url = noted or (
        (server["origin"] or None, server["base_url"]) if server else (None, "/")
    )
    can_reach: bool | None
    if noted and not _is_loopback(noted[0]):
        can_reach = False
        why = f"the notebook is looked at from {noted[0]}, which is not this machine"
    elif reason := _remote_sign(environ):
        can_reach = None
        why = f"{reason}; a tunnel for Jupyter's port does not carry the other ports"
    elif server is None and noted is None:
        can_reach = None
        why = "no Jupyter server of this machine is known to have started this kernel"
    elif origin is None or not _is_loopback(origin):
        can_reach = None
        why = "Jupyter's server listens beyond this machine, so the browser may be on another one"
    else:
        can_reach = True
        why = f"Jupyter is on this machine, at {origin}"
    return Place(
        kind=Kind.JUPYTER,
        label="JupyterLab or Jupyter Notebook",
        jupyter_base_url=base_url,
        jupyter_origin=origin,
        can_reach_kernel=can_reach,
        why=why,
        has_server_proxy=_has_server_proxy(),
    )


def _on_this_machine(kind: Kind, label: str, environ: Mapping[str, str]) -> Place:
    reason = _remote_sign(environ)
    why = f"{reason}; only a browser there reaches its 127.0.0.1" if reason else "same machine"
    return Place(kind, label, "/", None, None if reason else True, why, None)


def _remote_sign(environ: Mapping[str, str]) -> str | None:
    """Say what speaks for a browser on another machine than this process, or None."""
    if environ.get("CODESPACES"):
        return "this runs in a GitHub Codespace"
    if environ.get("SSH_CONNECTION"):
        return "this was started over SSH"
    if environ.get("REMOTE_CONTAINERS") or _is_container():
        return "this runs in a container"
    return None


def _is_container() -> bool:
    return any(os.path.exists(sign) for sign in ("/.dockerenv", "/run/.containerenv"))


def _jupyter_server(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Read the address of the Jupyter server that started this kernel; None if unknown.

    This is the file that `jupyter_server.serverapp.list_running_servers` would find, read
    without importing the server (which takes a good part of a second). Its name carries the
    server's process id: JPY_PARENT_PID, or on Windows, where that is a handle, the parent's.
    The token in it is not kept.
    """
    import json

    for pid in (environ.get("JPY_PARENT_PID", ""), str(os.getppid())):
        if not re.fullmatch(r"[0-9]{1,10}", pid):
            continue
        try:
            with open(os.path.join(_runtime_dir(), f"jpserver-{pid}.json"), "rb") as file:
                info = json.load(file)
            url = urlsplit(str(info["url"]))
            base_url = _checked_base_url(info["base_url"])
        except (OSError, ImportError, ValueError, KeyError, TypeError):
            continue
        # A server that listens on every address writes its machine's name into the URL, which
        # need not be the name in the browser; then the two hosts in the file differ.
        origin = _origin_of(url.geturl()) if url.hostname == info.get("hostname") else None
        return {"base_url": base_url, "origin": origin or ""}
    return None


def _runtime_dir() -> str:
    from jupyter_core.paths import jupyter_runtime_dir  # there wherever a kernel runs

    return jupyter_runtime_dir()


def _has_server_proxy() -> bool | None:
    from importlib.util import find_spec

    if find_spec("jupyter_server_proxy") is not None:
        return True
    return False if find_spec("jupyter_server") is not None else None


def _noted_page() -> tuple[str, str] | None:
    """Return origin and base URL of the page noted last that is no VS Code webview."""
    with _noted_lock:
        pages = [page for page in _noted.items() if _is_origin(page[0])]
    return pages[-1] if pages else None


def _public_origin(environ: Mapping[str, str]) -> str | None:
    """Read where JupyterHub 5 and newer says that browsers find this user's server."""
    return _origin_of(environ.get("JUPYTERHUB_PUBLIC_URL", ""))


def _origin_of(url: str) -> str | None:
    """Return a URL's origin as a browser would write it in an Origin header, or None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    is_default = (parts.scheme, port) in (("http", 80), ("https", 443))
    origin = f"{parts.scheme}://{host}" + ("" if port is None or is_default else f":{port}")
    return origin if _is_origin(origin) else None


def _is_origin(origin: str) -> bool:
    found = _ORIGIN.fullmatch(origin)
    return found is not None and int(found["port"] or 0) <= 65535


def _is_loopback(origin: str) -> bool:
    found = _ORIGIN.fullmatch(origin)
    return _is_origin(origin) and _LOOPBACK.fullmatch(found["host"] if found else "") is not None


def _checked_base_url(base_url: object) -> str:
    text = base_url if isinstance(base_url, str) else ""
    text = f"/{text.strip('/')}/" if text.strip("/") else "/"
    if not isinstance(base_url, str) or not _BASE_URL.fullmatch(text) or "/../" in text:
        raise ValueError(f"expected a base URL such as '/' or '/user/demo-abc/', got {base_url!r}")
    return text


def _check(port: int, path: str, host: str) -> None:
    if host and not 0 < port < 65536:
        raise ValueError(f"expected a port from 1 to 65535, got {port}")
    if not path.startswith("/"):
        raise ValueError(f"expected a path that starts with '/', got {path!r}")


def _goes_through_jupyter(place: Place, tunnel_id: str) -> bool:
    if place.is_proxied:
        return True
    if not place._has_jupyter:
        return False
    if seen_by_page("direct"):  # tried, and in vain
        return bool(tunnel_id) or place.has_server_proxy is True
    return bool(tunnel_id) and place.can_reach_kernel is None


def _url(
    scheme: str, port: int, secure: bool, path: str, tunnel_id: str, place: Place | None, host: str
) -> str:
    _check(port, path, host)
    place = detect() if place is None else place
    tunnel_id = "" if seen_by_page("tunnel") else tunnel_id
    is_through_jupyter = _goes_through_jupyter(place, tunnel_id)
    if not is_through_jupyter or not (tunnel_id or host in _PROXY_REACHES):
        return _direct(scheme, port, secure, path, host)
    return _through_jupyter(
        scheme, f"wslab/{tunnel_id}{path}" if tunnel_id else f"proxy/{port}{path}", place
    )


def _direct(scheme: str, port: int, secure: bool, path: str, host: str) -> str:
    if not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}{'s' if secure else ''}://{host}:{port}{path}"


def _through_jupyter(scheme: str, rest: str, place: Place) -> str:
    origin = place.jupyter_origin
    if origin is not None and _is_loopback(origin):
        # This machine has several names, and a page's cookie is for the one that it was opened by:
        # a link or a frame is completed by the page, and so is a URL before a page has told its.
        origin = origin if scheme == "ws" and origin in known_origins() else None
    if origin is None:
        return f"{place.jupyter_base_url}{rest}"
    page_scheme, _, host = origin.partition("://")
    return f"{scheme}{'s' if page_scheme == 'https' else ''}://{host}{place.jupyter_base_url}{rest}"
