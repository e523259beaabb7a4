"""Who starts something: the cell, or the module being imported, whose code runs on this thread.

Its rule: where that is not certain it is nobody, and what nobody owns is never replaced. Where a
front end names no cells (nbclassic, nbclient, consoles), the same text is the same cell.
"""

from __future__ import annotations

import contextvars
import hashlib
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any

from . import shell

__all__ = ["Owner", "current_owner"]

SOURCE = "source"  # the kind of a key: the same text is taken for the same cell


@dataclass(frozen=True, slots=True)
class Owner:
    """Who starts things: ``key`` names the cell or module, ``run`` tells one run from the next."""

    key: tuple[str, str]
    run: object

    @property
    def is_source(self) -> bool:
        """Whether the front end names no cells, so that this one is known by its text only."""
        return self.key[0] == SOURCE

    def is_run(self, run: object) -> bool:
        """Whether ``run`` is this one: the same request's id, or the very same module spec."""
        return self.run is run or (isinstance(run, str) and self.run == run)


def current_owner() -> Owner | None:
    """Return the cell, or the module being imported, whose code is running on this thread.

    A task, and a thread that was handed its context (``asyncio.to_thread``), belong to the cell
    that started them. A plain thread does not know where it comes from: it is taken for the cell's
    that is running, if one is. None in a script, a REPL, a test and a widget's callback.
    """
    module = _importing(sys._getframe(1))
    if module is not None:
        return module
    parent = shell.running_request()
    cell_id = (parent.get("metadata") or {}).get("cellId")
    source = str((parent.get("content") or {}).get("code") or "").strip()
    header = parent.get("header") or {}
    if not (cell_id or source) or header.get("msg_type") != "execute_request":
        return None
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main and shell.has_cell_ended() and not _is_in_context(parent):
        return None
    key = ("cell", cell_id) if cell_id else (SOURCE, hashlib.sha256(source.encode()).hexdigest())
    return Owner(key, header["msg_id"])


def _is_in_context(parent: dict[str, Any]) -> bool:
    # Where no context tells, the shell names the latest request of any thread instead.
    return any(value is parent for value in contextvars.copy_context().values())


def _importing(frame: FrameType | None) -> Owner | None:
    # The nearest module body on the stack says whose code this is. A module has a new __spec__
    # each time it is loaded; a notebook's cell and a script are the body of __main__.
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            name = frame.f_globals.get("__name__")
            spec = frame.f_globals.get("__spec__")
            if name == "__main__" or spec is None:
                return None
            # The spec itself, not its id(): that may be given to the next one.
            return Owner(("module", str(name)), spec)
        frame = frame.f_back
    return None
