"""The request that a kernel answers, kept from being changed back by a widget's message.

ipykernel 7.4 handles a widget's message while a cell awaits, and then names that cell again as what
all output belongs to. Where the cell ended meanwhile, the next one has begun: its end is told as
the earlier one's, and it stays [*] with all its output in the wrong place. Its rule: a request that
has been answered does not come again. Nothing of the kernel is changed where it does not do this.
"""

from __future__ import annotations

import inspect
from collections import deque
from contextvars import ContextVar
from typing import Any

from .shell import running_shell

__all__ = ["keep_parent"]

_KEPT = 256  # ids of requests; one that comes again is among the last few


def keep_parent(kernel: Any = None) -> None:
    """Let no earlier request take the place of the one that runs; idempotent.

    Args:
        kernel: the ipykernel; None is the one that runs this.
    """
    kernel = getattr(running_shell(), "kernel", None) if kernel is None else kernel
    dispatch = getattr(kernel, "dispatch_shell", None)
    if dispatch is None or getattr(kernel.set_parent, "keeps", False):
        return
    if "concurrent" not in inspect.signature(dispatch).parameters:
        return
    set_parent = kernel.set_parent
    seen: deque[str] = deque(maxlen=_KEPT)
    # A kernel has one context for its main shell and one for each subshell.
    standing: ContextVar[tuple[Any, dict[str, Any]]] = ContextVar("standing")

    def keeping(ident: Any, parent: dict[str, Any], channel: str = "shell") -> None:
        msg_id = parent.get("header", {}).get("msg_id")
        if channel == "shell" and msg_id:
            if msg_id in seen:
                ident, parent = standing.get((ident, parent))
            seen.append(msg_id)  # again, too: more messages than are kept may come beside a cell
            standing.set((ident, parent))
        set_parent(ident, parent, channel)

    keeping.keeps = True  # type: ignore[attr-defined]
    kernel.set_parent = keeping
