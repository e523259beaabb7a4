"""Tanks: where the bytes are that a server has sent and its clients have not read, live.

    tanks = Tanks(server, fay, sam)          # a row for each client, a tank for each place
    tanks.levels(sam).server                 # bytes that the server's process holds for sam

Its rule: it only reads what is counted anyway, ten times a second while somebody looks, and holds
nothing up. What each number is stands in `model`.
"""

from __future__ import annotations

import weakref
from typing import Any

import traitlets

from ...client.client import Client
from ...server.server import Server
from ..panels.panel import Panel
from ..widget import read_static
from . import model, static_html

__all__ = ["Tanks"]


class Tanks(Panel):
    """How full each place is, between a server's program and that of each client.

    Args:
        server: from ``wslab.serve``; it is not kept alive.
        clients: from ``wslab.connect``, in this process: six are drawn. They are not kept alive.
        queued: takes the server's end of a connection and returns the bytes that the server's own
            program has queued for it; None where it queues none. Of a Hub this is known.

    Raises:
        TypeError: not a Server, or not Clients.
    """

    _esm = read_static("widgets/dom.js", "widgets/panels/panel_dom.js", "widgets/tanks/tanks.js")
    _css = read_static("widgets/theme.css", "widgets/panels/panel.css", "widgets/tanks/tanks.css")

    kind = traitlets.Unicode("tanks").tag(sync=True)

    def __init__(
        self, server: Server, *clients: Client, queued: model.Queued | None = None
    ) -> None:
        if not isinstance(server, Server):
            raise TypeError(f"expected a Server, got {type(server).__name__} {server!r:.60}")
        for client in clients:
            if not isinstance(client, Client):
                raise TypeError(
                    f"expected Clients, as wslab.connect() returns them, got "
                    f"{type(client).__name__} {client!r:.60}"
                )
        self._clients = [weakref.ref(client) for client in clients]
        self._gauge = model.Gauge(queued)
        super().__init__(server)

    def levels(self, client: Client) -> model.Levels:
        """Return where the bytes for one client are now.

        Args:
            client: of the same server, in this process.
        """
        server = self._thing()
        with self._lock_views:
            return self._gauge.levels(server, client) if server is not None else model.Levels()

    def _look(self, thing: Server, *, closely: bool = False) -> dict[str, Any]:
        clients = [client for ref in self._clients if (client := ref()) is not None]
        with self._lock_views:
            return {"view": self._gauge.look(thing, clients)}

    def _is_replaced(self, thing: Server) -> bool:
        return thing.replaced and not thing.is_serving

    def forms(self) -> dict[str, str]:
        """Return it as text and as HTML that needs no script, as it is at this moment."""
        server = self._thing()
        view = self.view if server is None else self._look(server)["view"]
        return {"text/plain": static_html.to_text(view), "text/html": static_html.to_html(view)}
