"""Machines: two nodes, their clients and the Redis between them, live, in one picture.

``Machines(one, two, redis)`` has a lane for each, and shows who says what to whom, in order.

Its rule: what is drawn was recorded, byte for byte, in this process: the clients' WebSockets, and
what passes between each node and Redis. A button kills a process, as a crash would. What is drawn
is for `model` to say.
"""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from ...machines import Node, RedisServer
from ...machines.line import Front
from ..panels.panel import Panel
from ..widget import read_static
from . import model, static_html

__all__ = ["Machines"]

ROWS = 14  # that are drawn: no scrollbar inside a page that scrolls


class Machines(Panel):
    """Who says what to whom, between nodes, their clients and a Redis.

    Args:
        things: one or two nodes from ``start_nodes``, and perhaps the Redis between them and the
            front before them, in any order.
        rows: how many are drawn, the latest; the others are counted.

    Raises:
        TypeError: something else, or no node.
    """

    _esm = read_static(
        "widgets/dom.js", "widgets/panels/panel_dom.js", "widgets/machines/machines.js"
    )
    _css = read_static(
        "widgets/theme.css", "widgets/panels/panel.css", "widgets/machines/machines.css"
    )

    kind = traitlets.Unicode("machines").tag(sync=True)

    def __init__(self, *things: Node | RedisServer | Front, rows: int = ROWS) -> None:
        found: dict[type, list[Any]] = {Node: [], RedisServer: [], Front: []}
        for thing in things:
            kind = next((kind for kind in found if isinstance(thing, kind)), None)
            if kind is None:
                raise TypeError(
                    "expected nodes from start_nodes(), and perhaps a Redis from start_redis(), "
                    f"got {type(thing).__name__} {thing!r:.60}"
                )
            found[kind].append(thing)
        nodes = found[Node]
        if not 1 <= len(nodes) <= 2:
            raise TypeError(f"expected one node or two, got {len(nodes)}")
        redis, front = (next(iter(found[kind]), None) for kind in (RedisServer, Front))
        self._model = model.Look(nodes, redis, front)
        self._most = rows
        super().__init__(nodes[0])

    def _look(self, thing: Node, *, closely: bool = False) -> dict[str, Any]:
        with self._lock_views:
            return {"view": self._model.view(self._most)}

    def _is_replaced(self, thing: Node) -> bool:
        return not any(node.is_alive for node in self._model.nodes)

    def forms(self) -> dict[str, str]:
        """Return it as text and as HTML that needs no script, as it is at this moment."""
        with self._lock_views:
            view = self._model.view(model.MAX_ROWS)
        return {"text/plain": static_html.to_text(view), "text/html": static_html.to_html(view)}

    def _process(self, lane: Any) -> Node | RedisServer:
        if lane == model.REDIS and self._model.redis is not None:
            return self._model.redis
        return self._model.nodes[0 if lane == 1 else 1]

    def _do_kill(self, _thing: Node, lane: Any) -> str:
        one = self._process(lane)
        one.kill()
        return f"killed {one.name}"

    def _do_start(self, _thing: Node, lane: Any) -> str:
        one = self._process(lane)
        if isinstance(one, RedisServer):
            one.start()
        return f"started {one.name}"

    actions: ClassVar = {"kill": _do_kill, "start": _do_start}
