"""IPython's shell, where one runs: its request of this moment, and when cells begin and end.

Its rule: IPython is never imported here; a script that does without it keeps doing without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["has_cell_ended", "hear_cells", "running_request", "running_shell"]

_heard_shells: set[int] = set()
_has_cell_ended = False  # whether no cell runs now, as far as the shell has told


def running_shell() -> Any:
    """Return the shell; None where IPython has not been imported, or runs nothing."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()  # type: ignore[no-untyped-call, unused-ignore]


def running_request() -> dict[str, Any]:
    """Return the message from the front end that this code runs for; empty where there is none."""
    return getattr(running_shell(), "get_parent", dict)() or {}


def hear_cells(begins: Callable[[], object]) -> None:
    """Call ``begins`` when a cell begins, from now on; once for each shell."""
    shell = running_shell()
    if shell is None or id(shell) in _heard_shells or not hasattr(shell, "events"):
        return
    _heard_shells.add(id(shell))

    def has_begun(_info: Any = None) -> None:
        _note(has_ended=False)
        begins()

    shell.events.register("pre_run_cell", has_begun)
    shell.events.register("post_run_cell", _ends)


def has_cell_ended() -> bool:
    """Whether no cell runs now, as far as a shell that is heard has told."""
    return _has_cell_ended


def _ends(_result: Any = None) -> None:
    _note(has_ended=True)


def _note(*, has_ended: bool) -> None:
    global _has_cell_ended
    _has_cell_ended = has_ended
