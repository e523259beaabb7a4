"""The way from a browser, through Jupyter's server, to a server of ours: byte for byte.

A Jupyter server extension. `registry` is how a server makes itself known (a file in Jupyter's
runtime directory), `request_head` what of a request goes on and `response_head` what of an answer
comes back, `relay` moves the bytes, `handlers` stands in Jupyter's server. Its rule: whoever
Jupyter lets in reaches servers that wslab started and nothing else, and after the heads nothing is
looked at and nothing changed.
Importing this loads neither tornado nor Jupyter: a kernel registers its servers without them.
"""

from __future__ import annotations

from typing import Any

from .registry.addresses import loopback
from .registry.kernel import Registration, is_wanted, register, tunnel_is_there

__all__ = ["Registration", "is_wanted", "loopback", "register", "tunnel_is_there"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "wslab.tunnel"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the handlers to a Jupyter server, and tell its kernels that they are there."""
    from .handlers import routes
    from .registry.jupyter import announce

    serverapp.web_app.add_handlers(".*$", routes(serverapp.web_app.settings.get("base_url", "/")))
    try:
        announce()
    except OSError as exc:
        # The way works all the same; kernels merely do not know.
        serverapp.log.warning("wslab.tunnel could not tell kernels that it is here: %s", exc)
    serverapp.log.info("wslab.tunnel carries browsers to wslab's servers")
