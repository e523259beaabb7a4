"""shutdown(): the end of all that this process has started, when asked or in its last second.

Its rule: what is open closes first (clients before servers), then the lab's loop ends. At the
interpreter's exit the peers get their close frames while the daemon thread still lives; a loop that
is held must not hold up the exit, and there is nobody left to tell.
"""

from __future__ import annotations

import atexit
import contextlib

from ..calls.waiting import deadline_after, left_until
from ..errors import LoopBlocked
from ..notebook import cells
from .fork import renew_pool_of_uvloop
from .portal import Portal

__all__ = ["end_at_exit", "shutdown"]

_EXIT_S = 0.7  # for everything to close when the interpreter ends

_lab: Portal | None = None
_is_hooked = False


def end_at_exit(lab: Portal | None = None) -> None:
    """Have everything close when the interpreter ends; once is enough.

    Args:
        lab: the loop that :func:`shutdown` ends as well, in place of the one before.
    """
    global _lab, _is_hooked
    _lab = lab or _lab
    if not _is_hooked:
        atexit.register(_at_exit)
        _is_hooked = True


def shutdown(timeout: float | None = 5.0) -> None:
    """Stop every server, close every client and end the lab's loop; idempotent.

    Args:
        timeout: seconds for all of it together; None waits until it is done.

    Raises:
        LoopBlocked: something holds a loop: what, and who has not closed for it. Those close as
            soon as it lets go; call this again then.
        WrongThread: called on the lab's own loop.
    """
    if _lab is not None:
        _lab.refuse_own_thread("shutdown()")
    try:
        _shutdown(timeout, explain=True)
    except LoopBlocked:
        raise
    except TimeoutError as exc:
        raise LoopBlocked(str(exc)) from None


def _shutdown(timeout: float | None, *, explain: bool) -> None:
    deadline_s = deadline_after(timeout)
    cells.close_all(timeout, explain=explain)
    if _lab is not None and _lab.is_running:
        _lab.close(max(0.1, left_until(deadline_s)))


def _at_exit() -> None:
    with contextlib.suppress(Exception):
        _shutdown(_EXIT_S, explain=False)
    if _lab is not None:
        _lab.park()
    renew_pool_of_uvloop()
