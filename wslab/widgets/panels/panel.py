"""ServerPanel and ClientPanel: the live widgets that a Server and a Client show themselves with.

Their rule: what comes from the browser are custom messages only, and may come on any thread; every
click has an id, which comes back in ``done`` when the kernel has done it, and what fails is said in
the panel. What goes to the browser are a few traits, set from the flusher's ticks, and only where
they changed. What there is to see is for `model` to say, and how it looks for panel.js.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import traitlets
from websockets.protocol import State

from ...client.client import Client
from ...failures import in_words
from ...notebook import environment
from ...notebook.page import note_page_origin
from ...server.server import Server
from ...taps.tap import Tap
from .. import live
from ..network_controls.model import NetworkReader, presets, steps
from ..network_controls.verbs import act
from ..widget import Widget, read_static
from . import model, static_html

__all__ = ["ClientPanel", "Panel", "ServerPanel", "panel_of"]

FIRST_LOOK_S = 600.0  # a page that a running cell keeps from answering may be looking already
FIRST_ANSWER_S = 5.0  # and one that does not answer for so long need not stay with what is over
MAX_DONE = 50  # ids of clicks


class Panel(Widget):
    """What both panels share: who looks, what was clicked, when to send.

    Args:
        thing: the Server or Client; it is not kept alive by its panel.
    """

    _esm = read_static(
        "widgets/dom.js",
        "widgets/panels/panel_dom.js",
        "widgets/network_controls/rows.js",
        "widgets/panels/panel.js",
    )
    _css = read_static(
        "widgets/theme.css", "widgets/panels/panel.css", "widgets/network_controls/controls.css"
    )

    view = traitlets.Dict().tag(sync=True)
    trouble: traitlets.List[Any] = traitlets.List().tag(sync=True)
    done: traitlets.List[Any] = traitlets.List().tag(sync=True)
    said = traitlets.Dict().tag(sync=True)
    failure = traitlets.Unicode().tag(sync=True)

    actions: ClassVar[dict[str, Callable[[Any, Any, Any], str]]] = {}

    def __init__(self, thing: Any) -> None:
        self._thing = weakref.ref(thing)
        self._viewers: set[str] = set()
        self._was_seen = False
        self._lock_views = threading.RLock()
        self._shown_s = time.monotonic()
        super().__init__(**self._look(thing))
        self.on_msg(self._on_msg)

    # Who looks.

    @property
    def is_watched(self) -> bool:
        """Whether a page shows it, or may be about to."""
        if self._thing() is None or self.comm is None:
            return False
        return bool(self._viewers) or self._awaits_page(FIRST_LOOK_S)

    @property
    def is_over(self) -> bool:
        """Whether nobody looks, and there is nothing left to look at."""
        thing = self._thing()
        is_looked_at = bool(self._viewers) or self._awaits_page(FIRST_ANSWER_S)
        return not is_looked_at and (thing is None or self._is_replaced(thing))

    def _awaits_page(self, patience_s: float) -> bool:
        return not self._was_seen and time.monotonic() - self._shown_s < patience_s

    def show(self) -> None:
        """Keep it up to date: it is being shown."""
        self._was_seen = False
        self._shown_s = time.monotonic()
        live.watch(self)

    def forms(self) -> dict[str, str]:
        """Return it as text and as HTML that needs no script, as it is at this moment."""
        thing = self._thing()
        look = self.get_state() if thing is None else self._look(thing)
        args = look["view"], look["trouble"], look.get("messages", {}).get("rows", ())
        return {
            "text/plain": static_html.to_text(*args),
            "text/html": static_html.to_html(*args),
        }

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self.show()
        return super()._repr_mimebundle_(**kwargs)

    # Kernel to browser.

    def _look(self, thing: Any, *, closely: bool = False) -> dict[str, Any]:
        """Return the traits as they should be; closely: it may wait, for it is no tick."""
        raise NotImplementedError

    def _is_replaced(self, thing: Any) -> bool:
        raise NotImplementedError

    def refresh(self, *, closely: bool = False, **traits: Any) -> int:
        """Send what has changed; return about how many bytes that was."""
        thing = self._thing()
        with self._lock_views:
            if self.comm is None:
                return 0
            if thing is not None:
                traits = {**self._look(thing, closely=closely), **traits}
            changed = {name: new for name, new in traits.items() if getattr(self, name) != new}
            if not changed:
                return 0
            with self.hold_sync():
                for name, new in changed.items():
                    setattr(self, name, new)
        return len(repr(changed))

    def show_failure(self, exc: BaseException) -> None:
        """Say that it no longer is up to date, and why."""
        with self._lock_views:
            self.failure = f"This panel stopped: {_words(exc)}"

    def close(self) -> None:
        """Close the widget: pages that show it take it away."""
        live.unwatch(self)
        _all.discard(self)
        super().close()

    # Browser to kernel.

    def _on_msg(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # On the main thread or on a subshell's; what it raised or printed would appear nowhere.
        try:
            kind = content["type"]
            if kind == "ready":
                self._ready(content)
            elif kind == "gone":
                self._viewers.discard(str(content["view"]))
                if content.get("for_good") and self.is_over:
                    self.close()
            elif kind == "act":
                self._act(content)
        except Exception as exc:
            self._say(None, _words(exc), is_good=False)

    def _ready(self, content: Any) -> None:
        with contextlib.suppress(ValueError):  # a page without an address of its own
            note_page_origin(content.get("origin"), content.get("base") or "/")
        self._was_seen = True
        self._viewers.add(str(content["view"]))
        self._where = environment.detect()
        self.failure = ""
        self.refresh(closely=True)
        live.watch(self)

    def _act(self, content: Any) -> None:
        text, is_good = "interrupted", False
        try:
            thing = self._thing()
            if thing is None:
                text = "it is no longer in the kernel's memory"
            else:
                text = self.actions[content["what"]](self, thing, content.get("data"))
                is_good = True
        except Exception as exc:
            text = _words(exc)
        finally:  # an interrupt, too, ends what was pending
            self._say(str(content["id"]), text, is_good=is_good)

    def _say(self, click: str | None, text: str, *, is_good: bool) -> None:
        done = [*self.done, click][-MAX_DONE:] if click else self.done
        said = {"click": click, "text": text, "good": is_good, "at": int(time.time())}
        try:
            self.refresh(closely=True, done=done, said=said)
        except Exception as exc:
            self.show_failure(exc)


class ServerPanel(Panel):
    """What a server or a tap is, who is connected, what went wrong; buttons to stop and restart.

    Folded away, the network of each connection: see `NetworkControls`.
    """

    kind = traitlets.Unicode("server").tag(sync=True)
    network = traitlets.Dict().tag(sync=True)
    steps = traitlets.Dict(steps()).tag(sync=True)
    presets: traitlets.List[Any] = traitlets.List(presets()).tag(sync=True)

    def __init__(self, server: Server | Tap) -> None:
        self._reader = NetworkReader()
        self._where = environment.detect()  # kept: it reads files
        super().__init__(server)

    def _look(self, thing: Server | Tap, *, closely: bool = False) -> dict[str, Any]:
        held = thing.held() if closely and thing.is_serving else None
        return {
            "view": model.server_view(thing, here=self._where),
            "trouble": model.server_trouble(thing, held=held),
            "network": self._networks(thing),
        }

    def _networks(self, server: Server | Tap) -> dict[str, Any]:
        with self._lock_views:
            return self._reader.look(server)

    def _is_replaced(self, thing: Server | Tap) -> bool:
        return thing.replaced and not thing.is_serving

    def _do_stop(self, server: Server | Tap, _data: Any) -> str:
        server.stop()
        if isinstance(server, Tap):
            return "stopped; TCP has ended on both sides, without a close frame"
        return "stopped; its clients were told 1001"

    def _do_restart(self, server: Server | Tap, _data: Any) -> str:
        was_serving = server.is_serving
        server.restart()
        if was_serving and isinstance(server, Tap):
            return "restarted on the same port"
        if was_serving:
            return "restarted; its clients were told 1012"
        server.note = "started again on the same port"
        return "started on the same port"

    def _do_network(self, server: Server | Tap, data: Any) -> str:
        return act(self._reader, server, data)  # with no lock: the lab's loop may have to do it

    actions: ClassVar = {"stop": _do_stop, "restart": _do_restart, "network": _do_network}


class ClientPanel(Panel):
    """A client's state and latest messages, with a box to send, a ping, and a button to close."""

    kind = traitlets.Unicode("client").tag(sync=True)
    messages = traitlets.Dict().tag(sync=True)

    def __init__(self, client: Client) -> None:
        self._sent: collections.deque[tuple[int, int, str | bytes]]
        self._sent = collections.deque(maxlen=model.MAX_LOG)
        self._numbers = itertools.count(1)
        self._drawn: tuple[Any, ...] = ()
        self._messages: dict[str, Any] = {}
        super().__init__(client)

    def _look(self, thing: Client, *, closely: bool = False) -> dict[str, Any]:
        return {
            "view": model.client_view(thing),
            "trouble": model.client_trouble(thing),
            "messages": self._latest(thing),
        }

    def _latest(self, client: Client) -> dict[str, Any]:
        sent = tuple(self._sent)
        numbers = (len(client.received), client.received_dropped, sent[-1][1] if sent else 0)
        if numbers != self._drawn:
            self._messages, self._drawn = model.client_log(client, sent), numbers
        return self._messages

    def _is_replaced(self, thing: Client) -> bool:
        return thing.state is State.CLOSED and thing.replaced

    def _do_send(self, client: Client, data: Any) -> str:
        after = client.received_dropped + len(client.received)
        client.send(str(data), timeout=3.0)
        self._sent.append((after, next(self._numbers), str(data)))
        return "sent"

    def _do_ping(self, client: Client, _data: Any) -> str:
        return f"pong after {model.round_trip(client.ping(timeout=5.0))}"

    def _do_close(self, client: Client, _data: Any) -> str:
        client.close(1000)
        return "closed with 1000"

    actions: ClassVar = {"send": _do_send, "ping": _do_ping, "close": _do_close}


def _words(exc: BaseException) -> str:
    notes = "".join(f" {note}" for note in getattr(exc, "__notes__", ()))
    return f"{in_words(exc)}{notes}"


# One panel for each thing, however often it is shown.

_panels: weakref.WeakKeyDictionary[Any, Panel] = weakref.WeakKeyDictionary()
_all: weakref.WeakSet[Panel] = weakref.WeakSet()
_guard = threading.RLock()


def panel_of(thing: Server | Tap | Client) -> Panel:
    """Return the panel of a Server, Tap or Client, made when it is shown first.

    Closes the panels that are over: their thing is gone or was replaced, and nobody looks.
    """
    with _guard:
        for old in tuple(_all):
            if old.is_over:
                old.close()
        panel = _panels.get(thing)
        if panel is None or panel.comm is None:
            panel = ClientPanel(thing) if isinstance(thing, Client) else ServerPanel(thing)
            _panels[thing] = panel
            _all.add(panel)
        return panel
