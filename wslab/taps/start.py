"""tap(): a server that a plain cell starts, and that carries what comes to another one.

Its rule: it listens when the call returns, and reaches for the other server only when somebody
asks. What it does then is `taps.tap`'s.
"""

from __future__ import annotations

import ssl as tls
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from ..calls.waiting import finite
from ..client.arguments import Addressed
from ..errors import PortInUse
from ..loops import portals
from ..network.recording import new_tape
from ..notebook import cells
from .admission import Origins
from .request_head import UPSTREAM, Upstream
from .tap import Tap

__all__ = ["tap"]


def tap(
    target: Addressed | str,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    name: str | None = None,
    keep: bool = False,
    record: bool | int = True,
    origin: str | None = UPSTREAM,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    origins: Origins | None = None,
    ssl: tls.SSLContext | None = None,
    max_connections: int = 1_000,
    open_timeout: float | None = 10.0,
) -> Tap:
    """Start a server that carries whatever connects to it, byte for byte, to another one.

    Connect a page, a phone's app or a program in any language to ``tap.url`` in place of the
    target, and read the conversation on ``tap.tape``. Only a request's head is touched: Host,
    Origin, and ``headers``. Everything else goes on as it came, both ways: subprotocols,
    extensions, cookies, frames with their compression, close codes, refusals, plain HTTP, and how
    TCP ends. Running the cell again replaces the tap: same port, and its connections end.

    Args:
        target: a Server, or any ``ws://`` or ``wss://`` URL; a user and password in it become an
            Authorization header. Its path and query are those of ``tap.url``; a client that asks
            for another path gets that one. Proxies of the environment are not asked.
        host: address to listen on. The default is this machine only; ``"0.0.0.0"`` lets everybody
            on its networks speak to the target through it, with your ``headers``.
        port: TCP port; None picks a free one (or, in a cell that runs again, the one it had).
        name: how views call it; the target's host by default.
        keep: do not replace this tap when its cell runs again.
        record: put every byte on ``tap.tape``, 16 MiB at the most; a number sets another bound in
            bytes. False keeps no byte.
        origin: what the target gets where a page asks: ``"upstream"`` the Origin of its own pages,
            ``"keep"`` the page's; any other text is sent in every request, None in none.
        headers: names and values that are sent in place of the client's own of these names.
        origins: whose pages may ask (RFC 6455 §10.2), as for ``serve``. Without it pages from this
            machine, this notebook and the target itself may, as may clients that send no Origin;
            others get 403.
        ssl: for a ``wss://`` target whose certificate is not signed by a known authority.
        max_connections: at once; more get 503.
        open_timeout: seconds to reach the target in; then the client gets 502.

    Raises:
        BadURL: not a WebSocket URL.
        PortInUse: another server listens on that port; says which, where it is known.
        TypeError, ValueError: a header that HTTP cannot carry, or another wrong argument.
        WrongThread: called in async code on the lab's loop.
    """
    url = target if isinstance(target, str) else target.url
    upstream = Upstream.at(url, origin=origin, headers=headers)
    if max_connections < 1:
        raise ValueError(f"expected max_connections of at least 1, got {max_connections}")
    ssl = ssl or getattr(target, "client_tls", None)  # of a certificate made on the spot
    if ssl is not None and not upstream.is_secure:
        raise ValueError(f"expected a wss:// URL with ssl=, got one of {urlsplit(url).scheme}://")
    runner = portals.lab()
    claim = cells.claim("tap", keep=keep)
    earlier = claim.handover if isinstance(claim.handover, int) else None
    name = name or upstream.host
    made = Tap(
        upstream,
        name=name,
        host=host,
        port=port or earlier or 0,
        runner=runner,
        claim=claim,
        tape=new_tape(record, name=name),
        origins=origins,
        tls=ssl or (tls.create_default_context() if upstream.is_secure else None),
        max_connections=max_connections,
        open_timeout=finite(open_timeout),
    )
    if earlier is not None:
        made.note = "replaces what this cell had started before, on the same port"
    try:
        made.start()
    except PortInUse:
        if port or earlier is None:
            raise
        made.start(on_any_port=True)  # somebody else took it meanwhile
        made.note = (
            f"replaces what this cell had started before; port {earlier} was taken meanwhile, so "
            "this is a new one"
        )
    claim.adopt(made, made.port)
    return made
