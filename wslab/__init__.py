"""Understand and use WebSockets where you already work: in a notebook.

    server = wslab.serve(handler)                 # any handler from the websockets docs, or a Hub
    alice = wslab.connect(server, name="alice")   # a Server, or any ws:// or wss:// URL
    alice.send("hello")
    alice.recv(timeout=1)

These are the public names and nothing else. Importing the package starts no thread, and loads no
widget, server or client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import (
    BackplaneDown,
    BadPacket,
    BadURL,
    CallFailed,
    ClientGone,
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    LoopBlocked,
    NestingRefused,
    NobodyListening,
    PortalClosed,
    PortInUse,
    Refused,
    WrongThread,
    WslabError,
)
from .identity.credentials import Credentials
from .identity.identity import Identity
from .loops.nesting import allow_nested_loops
from .loops.run import run
from .loops.shutdown import shutdown
from .started import running
from .widgets.display import register as _register
from .wire.tape.tape import Tape

if TYPE_CHECKING:
    from .checkup.doctor import doctor
    from .client.backoff import Reconnect
    from .client.client import Client
    from .client.connect import connect
    from .hub import Hub, Limits, SocketIO
    from .network.memory import MemoryNetwork
    from .replays.replay import Replay, replay
    from .server.serve import serve
    from .server.server import Server
    from .taps.start import tap
    from .taps.tap import Tap
    from .widgets.browser.browser import Browser
    from .widgets.chat.panel import ChatPanel
    from .widgets.inspector.inspector import Inspector
    from .widgets.network_controls.controls import NetworkControls

    __version__: str

__all__ = [  # noqa: RUF022  in the order in which help() and the reference show them
    "serve",
    "Server",
    "connect",
    "Client",
    "Reconnect",
    "replay",
    "Replay",
    "tap",
    "Tap",
    "Hub",
    "Limits",
    "SocketIO",
    "Credentials",
    "Identity",
    "Browser",
    "Inspector",
    "ChatPanel",
    "NetworkControls",
    "Tape",
    "MemoryNetwork",
    "run",
    "allow_nested_loops",
    "doctor",
    "running",
    "shutdown",
    "WslabError",
    "ConnectFailed",
    "NobodyListening",
    "HandshakeRefused",
    "HandshakeTimeout",
    "BadURL",
    "PortInUse",
    "LoopBlocked",
    "WrongThread",
    "PortalClosed",
    "NestingRefused",
    "BadPacket",
    "Refused",
    "CallFailed",
    "ClientGone",
    "BackplaneDown",
]

# Loaded by whoever asks for them: who only connects has no server, who only serves no client.
_LATER = {
    "Browser": "wslab.widgets.browser.browser",
    "ChatPanel": "wslab.widgets.chat.panel",
    "Client": "wslab.client.client",
    "Hub": "wslab.hub",
    "Inspector": "wslab.widgets.inspector.inspector",
    "Limits": "wslab.hub",
    "MemoryNetwork": "wslab.network.memory",
    "NetworkControls": "wslab.widgets.network_controls.controls",
    "Reconnect": "wslab.client.backoff",
    "Replay": "wslab.replays.replay",
    "Server": "wslab.server.server",
    "SocketIO": "wslab.hub",
    "Tap": "wslab.taps.tap",
    "connect": "wslab.client.connect",
    "doctor": "wslab.checkup.doctor",
    "replay": "wslab.replays.replay",
    "serve": "wslab.server.serve",
    "tap": "wslab.taps.start",
}

_register()  # how they show themselves, where IPython already runs; loads no widget

if not TYPE_CHECKING:  # a checker would take every name for one that is here

    def __getattr__(name: str) -> object:
        if name in _LATER:
            from importlib import import_module

            value = globals()[name] = getattr(import_module(_LATER[name]), name)
            return value
        if name == "__version__":
            from importlib.metadata import version

            return version("wslab")
        raise AttributeError(f"module 'wslab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def load_ipython_extension(ipython: object) -> None:
    """Do the same for ``%load_ext wslab``."""
    _register(ipython)
