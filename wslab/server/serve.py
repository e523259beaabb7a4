"""serve(): a server that a plain cell starts, and starts again when it runs again.

Its rule: every keyword of websockets, or of uvicorn for an application, is handed on as it is. What
nobody knows is refused before anything starts. What the server does then is `server.server`'s.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from typing import Any, Literal

from websockets.asyncio import server as ws_server

from ..calls.waiting import finite_times
from ..errors import PortInUse
from ..loops import portals
from ..network.recording import new_tape
from ..notebook import cells
from ..websockets_compat.keywords import check_keywords
from .handler import Application, Handler, check_handler, handler_name, is_application
from .hosts import Hosts, check_hosts
from .http_page import Page, check_page
from .listen_address import ListenAddress
from .listener import HANDLER_GRACE_S
from .own_certificate import own_tls
from .server import Server
from .user_code import Auth
from .uvicorn_compat import HANDED_ON

__all__ = ["serve"]


def serve(
    handler: Handler | Application,
    host: str | None = "127.0.0.1",
    port: int | None = None,
    *,
    name: str | None = None,
    page: Page = True,
    auth: Auth | None = None,
    loop: Literal["lab", "kernel"] = "lab",
    keep: bool = False,
    record: bool | int = True,
    compression: str | None = None,
    handler_grace_s: float = HANDLER_GRACE_S,
    hosts: Hosts = (),
    tls: bool = False,
    **kwargs: Any,
) -> Server:
    """Start a WebSocket server; it is listening when the call returns.

    Any handler from the websockets documentation works unchanged, and every other keyword of
    ``websockets.serve`` is handed on as it is. So does any ASGI application (Starlette, FastAPI, a
    plain ``async def app(scope, receive, send)``): uvicorn's protocols run it, and pages, API and
    sockets share the port. Running the cell again replaces the server: same port, and its clients
    are told 1012 (service restart).

    Args:
        handler: ``async def handler(websocket)``, called once for each connection; or an ASGI
            application, called for each request, after its lifespan has begun.
        host: address to listen on. The default is this machine only; ``"0.0.0.0"`` lets others in.
        port: TCP port; None picks a free one (or, in a cell that runs again, the one it had).
        name: how views call it; the handler's name by default.
        page: what a plain HTTP GET to a handler gets. True is a page to try the server with, None a
            bare 426; HTML, a path to files, or a function of the request: see
            ``wslab.server.http_page``.
        auth: called with the `Credentials` of each handshake, on a thread unless it is an ``async
            def``; returns who that is, an `Identity` or a user's id, which then is
            ``websocket.identity``. None or False is answered 401 before the 101, and `Refused`
            403, with a body that says why; when ``expires_at`` has come, the connection is closed
            with 4401. For a Hub it is its ``authenticate`` handler. Pages are everybody's.
        loop: ``"lab"`` answers also while a cell runs. ``"kernel"`` shares the notebook's own
            loop, for handlers that must be on the main thread.
        keep: do not replace this server when its cell runs again.
        record: put every byte on ``server.tape``, 16 MiB at the most; a number sets another bound
            in bytes. False keeps no byte; messages are still counted.
        compression: off by default, unlike in websockets, so that what you see on the wire is what
            you sent; ``"deflate"`` turns it on (RFC 7692).
        handler_grace_s: how many seconds ``stop()`` lets a handler go on after its connection has
            closed, before it cancels it: for one that writes a file or a database at its end. 0
            cancels at once.
        hosts: names that it answers by, beside addresses, ``localhost``, ``host``, those of
            ``origins`` and the notebook's own: a list of names or compiled patterns. A request for
            another name, also for a page, gets 421: a web site can make its own lead here (DNS
            rebinding, RFC 9110 §7.2). None answers by every name, as does ``origins=None``.
        tls: speak TLS (``wss://``) with a certificate that is made on the spot. Clients of this
            process trust it: :func:`wslab.connect`, and others by ``server.client_tls``. Nobody
            else does: browsers come through the notebook's tunnel. Extra ``tls``.
        kwargs: ``origins``, ``ssl``, ``subprotocols``, ``max_size``, ``ping_interval``,
            ``process_request`` and all others of ``websockets.serve``. Without ``origins``, pages
            from this machine and this notebook may connect, as may clients that send no Origin;
            other pages get 403 (RFC 6455 §10.2); ``origins=None`` lets every page in. For an
            application: those of
            ``create_server``, ``max_size``, ``open_timeout``, ``origins``, ``ping_interval``,
            ``ping_timeout``, and uvicorn's ``root_path``, ``proxy_headers`` and the like.

    Raises:
        PortInUse: another server listens on that port; says which, where it is known.
        TypeError: the handler is neither an async function of one argument nor an application, or
            nobody knows a keyword: it says which one is nearest.
        RuntimeError: the application's lifespan failed to start.
        ImportError: an application, and uvicorn is not installed (extra ``asgi``); or ``tls``, and
            trustme is not (extra ``tls``).
        WrongThread: called in async code on the lab's loop.
    """
    if is_application(handler):
        _check_application_keywords(kwargs, page)
    else:
        check_keywords(
            kwargs,
            "serve()",
            serve,
            ws_server.serve,
            asyncio.BaseEventLoop.create_server,
            also=("unix", "path", "cleanup_socket"),  # of create_unix_server
        )
        check_handler(handler)
        check_page(page)
    if not 0 <= handler_grace_s < math.inf:
        raise ValueError(
            f"expected handler_grace_s of 0 or more seconds, and not without end, got "
            f"{handler_grace_s!r}"
        )
    if loop not in ("lab", "kernel"):
        raise ValueError(f'expected loop="lab" or loop="kernel", got {loop!r}')
    check_hosts(hosts)
    _check_tls(tls, kwargs)
    own = own_tls(ListenAddress(host, port or 0, kwargs)) if tls else None
    if own is not None:
        kwargs = {**kwargs, "ssl": own.server}
    runner = portals.kernel() if loop == "kernel" else portals.lab()
    claim = cells.claim("server", keep=keep)
    if port and _has_no_cell(claim):
        _replace_on(port)
    server = Server(
        handler,
        name=name or handler_name(handler),
        host=host,
        port=port or (claim.handover if isinstance(claim.handover, int) else None),
        page=page,
        auth=auth,
        runner=runner,
        claim=claim,
        tape=new_tape(record, name=name or handler_name(handler)),
        handler_grace_s=handler_grace_s,
        kwargs={**finite_times(kwargs), "compression": compression},
        hosts=hosts if hosts is None else tuple(hosts),
        client_tls=None if own is None else own.client,
    )
    if claim.handover is not None:
        server.note = "replaces what this cell had started before, on the same port"
    try:
        server.start()
    except PortInUse:
        if port or claim.handover is None:
            raise
        # The old port was free for a moment and somebody else took it.
        server.start(on_any_port=True)
        server.note = (
            f"replaces what this cell had started before; port {claim.handover} was taken "
            "meanwhile, so this is a new one"
        )
    if claim.owner is not None and claim.owner.is_source and claim.handover is None:
        server.note = _older_servers(server) or server.note
    claim.adopt(server, server.port)
    return server


def _check_tls(tls: Any, kwargs: dict[str, Any]) -> None:
    if not isinstance(tls, bool):
        raise TypeError(
            f"expected tls=True, or a certificate of your own by ssl=context, got tls={tls!r:.60}"
        )
    if tls and kwargs.get("ssl") is not None:
        raise TypeError("expected tls=True or ssl=context, not both: tls=True makes its own")


def _check_application_keywords(kwargs: dict[str, Any], page: Page) -> None:
    """Refuse what is for handlers only.

    Raises:
        TypeError: which keyword.
    """
    if page is not True:
        raise TypeError("page=... is for handlers: an application answers plain HTTP itself")
    ours = _OF_BOTH.union(HANDED_ON)
    for name in inspect.signature(ws_server.serve).parameters.keys() & kwargs.keys() - ours:
        raise TypeError(
            f"{name}=... is for handlers: an application sees to that itself. It may be given "
            f"{', '.join(sorted(_OF_BOTH))}, what create_server() takes, and of uvicorn's "
            f"keywords {', '.join(HANDED_ON)}"
        )
    check_keywords(
        kwargs,
        "serve()",
        serve,
        asyncio.BaseEventLoop.create_server,
        also=("unix", "path", *ours),
    )


_OF_BOTH = {"max_size", "open_timeout", "origins", "ping_interval", "ping_timeout"}


def _has_no_cell(claim: cells.Claim) -> bool:
    return claim.owner is None or claim.owner.is_source


def _older_servers(server: Server) -> str:
    """Say which servers an earlier text of this cell may have left, where cells have no names."""
    older = [
        f"{thing.name!r} on port {thing.port}"
        for thing in cells.things()
        if isinstance(thing, Server) and thing.name == server.name and thing.is_serving
        if thing.claim.owner is not None and thing.claim.owner.is_source
    ]
    if not older:
        return ""
    return (
        "this front end does not say which cell runs, so a cell whose text has changed starts "
        f"another server; still there: {', '.join(older[:3])}"
        + (f" and {len(older) - 3} more" if len(older) > 3 else "")
        + ". wslab.running() lists them all, each with stop()"
    )


def _replace_on(port: int) -> None:
    # A script has no cells: there, the same explicit port means the same server.
    for thing in cells.things():
        if not isinstance(thing, Server) or thing.port != port or thing.claim.keep:
            continue
        if _has_no_cell(thing.claim):
            thing.begin_close(replaced=True)
            thing.stop()
