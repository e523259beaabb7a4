"""Views: what to show in a cell to see servers, clients, hubs and the wire.

    from wslab.widgets import WhoIsHere

Each has a package of its own, with its script and style beside it: `model` says what there is to
see, `static_html` draws it as text and HTML, and the file of the view's own name is the live
widget, which `live` keeps up to date. Its rule: a view is loaded when somebody asks for it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .browser.browser import Browser
    from .chat.panel import ChatPanel
    from .compression.bench import CompressionBench
    from .frame_editor.editor import FrameEditor
    from .handshake_editor.editor import HandshakeEditor
    from .inspector.inspector import Inspector
    from .machines.machines import Machines
    from .network_controls.controls import NetworkControls
    from .race.race import Race
    from .rooms.rooms import RoomMap, WhoIsHere
    from .seconds.slider import SecondsSlider
    from .tanks.tanks import Tanks
    from .timelines.connection_timeline import ConnectionTimeline
    from .timelines.echo_timeline import EchoTimeline

__all__ = [
    "Browser",
    "ChatPanel",
    "CompressionBench",
    "ConnectionTimeline",
    "EchoTimeline",
    "FrameEditor",
    "HandshakeEditor",
    "Inspector",
    "Machines",
    "NetworkControls",
    "Race",
    "RoomMap",
    "SecondsSlider",
    "Tanks",
    "WhoIsHere",
]

_MODULES = {
    "Browser": "browser.browser",
    "ChatPanel": "chat.panel",
    "CompressionBench": "compression.bench",
    "ConnectionTimeline": "timelines.connection_timeline",
    "EchoTimeline": "timelines.echo_timeline",
    "FrameEditor": "frame_editor.editor",
    "HandshakeEditor": "handshake_editor.editor",
    "Inspector": "inspector.inspector",
    "Machines": "machines.machines",
    "NetworkControls": "network_controls.controls",
    "Race": "race.race",
    "RoomMap": "rooms.rooms",
    "SecondsSlider": "seconds.slider",
    "Tanks": "tanks.tanks",
    "WhoIsHere": "rooms.rooms",
}

if not TYPE_CHECKING:  # a checker would take every name for one that is here

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            from importlib import import_module

            value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
