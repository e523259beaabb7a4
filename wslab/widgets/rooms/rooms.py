"""RoomMap and WhoIsHere: a Hub's clients, rooms and messages, seen while they change.

    hub                                      # in a cell: shows its RoomMap
    RoomMap(hub)                             # who is in which room; each message, client by client
    WhoIsHere(hub)                           # its upper part: ids, names, since, who left and why

Their rule: they read what the hub keeps anyway, ten times a second, and hold no message up. A map
turns ``hub.trace`` on, which costs the hub a line a client and message. All is bounded: what is not
drawn is counted. ``str(map)`` is the same as text.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import traitlets

from ...hub import Hub
from ..panels.panel import Panel
from ..widget import read_static
from . import model, static_html

__all__ = ["RoomMap", "WhoIsHere", "map_of"]


class WhoIsHere(Panel):
    """Who is connected to a hub: names, ids, rooms, since when, counts; and who left, and why.

    A client's name is what the hub's handlers call it (``client.name``), or else its name in this
    process. Who left before the first of these panels was made is not known.

    Args:
        hub: to look at; it is not kept alive.

    Raises:
        TypeError: not a Hub.
    """

    _esm = read_static("widgets/dom.js", "widgets/panels/panel_dom.js", "widgets/rooms/rooms.js")
    _css = read_static("widgets/theme.css", "widgets/panels/panel.css", "widgets/rooms/rooms.css")

    kind = traitlets.Unicode("who").tag(sync=True)
    life: traitlets.List[Any] = traitlets.List(model.life()).tag(sync=True)

    def __init__(self, hub: Hub) -> None:
        _check(hub)
        self._record = model.departures_of(hub)
        super().__init__(hub)

    def _look(self, thing: Hub, *, closely: bool = False) -> dict[str, Any]:
        return {
            "view": model.who_view(thing, self._record),
            "trouble": model.hub_trouble(thing),
        }

    def _last_look(self) -> dict[str, Any]:
        return {"view": self.view, "trouble": self.trouble}

    def _is_replaced(self, thing: Hub) -> bool:
        return False  # a hub has no end of its own

    def forms(self) -> dict[str, str]:
        hub = self._thing()
        look = self._last_look() if hub is None else self._look(hub)
        return {
            "text/plain": static_html.to_text(**look),
            "text/html": static_html.to_html(**look),
        }


class RoomMap(WhoIsHere):
    """Who is in which room, and for each message from whom to whom, and what became of it.

    One column a client; a room's row marks its members, a message's row says for each client
    whether it was sent, queued, dropped, left out (``skip=``) or on its way out. Eight clients
    and twenty messages are drawn, the others counted.

    Args:
        hub: to look at; it is not kept alive. Its ``trace`` is turned on, if it was off.

    Raises:
        TypeError: not a Hub.
    """

    kind = traitlets.Unicode("map").tag(sync=True)
    matrix = traitlets.Dict().tag(sync=True)

    def __init__(self, hub: Hub) -> None:
        self._reader = model.MatrixReader()
        _check(hub)
        model.trace(hub)
        super().__init__(hub)

    def _look(self, thing: Hub, *, closely: bool = False) -> dict[str, Any]:
        with self._lock_views:
            matrix = self._reader.look(thing, self._record)
        return {**super()._look(thing), "matrix": matrix}

    def _last_look(self) -> dict[str, Any]:
        return {**super()._last_look(), "matrix": self.matrix}


def _check(hub: Any) -> None:
    if not isinstance(hub, Hub):
        hint = ": pass the Hub that it serves" if hasattr(hub, "handler") else ""
        raise TypeError(f"expected a Hub, got {type(hub).__name__} {hub!r:.60}{hint}")


_maps: weakref.WeakKeyDictionary[Hub, RoomMap] = weakref.WeakKeyDictionary()
_guard = threading.RLock()


def map_of(hub: Hub) -> RoomMap:
    """Return the map that a hub shows itself with, made when it is shown first."""
    with _guard:
        shown = _maps.get(hub)
        if shown is None or shown.comm is None:
            shown = _maps[hub] = RoomMap(hub)
        return shown
