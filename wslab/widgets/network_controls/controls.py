"""NetworkControls: delay, cut and stop connections by hand, and see what either end knows of it.

    NetworkControls(server)                  # a row for each connection of the server
    NetworkControls(alice)                   # one client's

Its rule: it shows what `model` reads and does what `verbs` allows, ten times a second and with no
wait; what it sets stays when it is gone. A server's panel holds the same, folded. ``str(...)`` is
the same as text.
"""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from ...client.client import Client
from ...hub import Hub
from ...server.server import Server
from ...taps.tap import Tap
from ..panels.panel import Panel
from ..widget import read_static
from . import static_html
from .model import NetworkReader, presets, steps
from .verbs import act

__all__ = ["NetworkControls"]


class NetworkControls(Panel):
    """A cable for each connection, which a click cuts and joins, and sliders for what it is like.

    Below each end of a cable stands how long ago that end heard something: all that it can know.
    A server's rows are its connections, and the settings that connections to come begin with.

    Args:
        target: a Server, a Tap or a Client; it is not kept alive.

    Raises:
        TypeError: it is none of these.
    """

    _esm = read_static(
        "widgets/dom.js",
        "widgets/panels/panel_dom.js",
        "widgets/network_controls/rows.js",
        "widgets/network_controls/controls.js",
    )
    _css = read_static(
        "widgets/theme.css", "widgets/panels/panel.css", "widgets/network_controls/controls.css"
    )

    steps = traitlets.Dict(steps()).tag(sync=True)
    presets: traitlets.List[Any] = traitlets.List(presets()).tag(sync=True)

    def __init__(self, target: Any) -> None:
        if not isinstance(target, Server | Tap | Client):
            hint = ": pass the server that serves it" if isinstance(target, Hub) else ""
            got = f"{type(target).__name__} {target!r:.60}"
            raise TypeError(f"expected a Server, a Tap or a Client, got {got}{hint}")
        self._reader = NetworkReader()
        super().__init__(target)

    def _look(self, thing: Server | Tap | Client, *, closely: bool = False) -> dict[str, Any]:
        with self._lock_views:
            return {"view": self._reader.look(thing), "trouble": []}

    def _is_replaced(self, thing: Server | Tap | Client) -> bool:
        return thing.replaced

    def forms(self) -> dict[str, str]:
        """Return it as text and as HTML that needs no script, as it is at this moment."""
        thing = self._thing()
        view = self.view if thing is None else self._look(thing)["view"]
        return {"text/plain": static_html.to_text(view), "text/html": static_html.to_html(view)}

    def _do(self, thing: Server | Tap | Client, data: Any) -> str:
        return act(self._reader, thing, data)  # with no lock: the lab's loop may have to do it

    actions: ClassVar = {"network": _do}
