"""The way from a browser, through Jupyter's server, to a server of ours: byte for byte.

A Jupyter server extension. `entries` is how a server makes itself known (a file in Jupyter's
runtime directory), `head` what of a request goes on, `carry` moves the bytes, `handlers` stands in
Jupyter's server. Its rule: whoever Jupyter lets in reaches servers that wslab started and nothing
else, and after the request's head nothing is looked at and nothing changed.
Importing this loads neither tornado nor Jupyter: a kernel registers its servers without them.
"""

from __future__ import annotations

from typing import Any

from .entries import Registration, is_wanted, loopback, register, tunnel_is_there

__all__ = ["Registration", "is_wanted", "loopback", "register", "tunnel_is_there"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "wslab.tunnel"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the handlers to a Jupyter server, and tell its kernels that they are there."""
    from . import entries, handlers

    serverapp.web_app.add_handlers(
        ".*$", handlers.routes(serverapp.web_app.settings.get("base_url", "/"))
    )
    try:
        entries.announce()
    except OSError as exc:
        # The way works all the same; kernels merely do not know.
        serverapp.log.warning("wslab.tunnel could not tell kernels that it is here: %s", exc)
    serverapp.log.info("wslab.tunnel carries browsers to wslab's servers")
