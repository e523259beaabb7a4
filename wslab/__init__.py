"""wslab: learn and use WebSockets where you already work, in a notebook.

The public names and nothing else. Importing it starts no thread and loads no widget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import Client, connect
from .display import register as _register
from .doctor import doctor
from .portal import allow_nested_loops, run, shutdown
from .reconnect import Reconnect
from .server import Server, serve

if TYPE_CHECKING:
    from .hub import Hub
    from .widgets.browser import Browser
    from .widgets.inspector import Inspector

__all__ = [
    "Browser",
    "Client",
    "Hub",
    "Inspector",
    "Reconnect",
    "Server",
    "allow_nested_loops",
    "connect",
    "doctor",
    "run",
    "serve",
    "shutdown",
]

_register()  # how they show themselves, where IPython already runs; loads no widget


def __getattr__(name: str) -> Any:
    if name == "Inspector":  # a widget: loaded by whoever asks for it
        from .widgets.inspector import Inspector

        return Inspector
    if name == "Browser":
        from .widgets.browser import Browser

        return Browser
    if name == "Hub":
        from .hub import Hub

        return Hub
    if name == "__version__":
        from importlib.metadata import version

        return version("wslab")
    raise AttributeError(f"module 'wslab' has no attribute {name!r}")


def load_ipython_extension(ipython: object) -> None:
    """Do the same for ``%load_ext wslab``."""
    _register(ipython)
