"""The portals of this process: the lab's own loop, and the notebook's.

Its rule: each is made when it is first asked for, and again where the last one has been closed or
belongs to the process that this one was forked from.
"""

from __future__ import annotations

import os
import threading

from ..errors import NestingRefused
from .kernel_portal import KernelPortal
from .nesting import kernels_loop, nest
from .portal import Portal
from .shutdown import end_at_exit

__all__ = ["kernel", "lab", "refuse_loops_thread"]

_guard = threading.RLock()
_lab: Portal | None = None
_kernel: KernelPortal | None = None


def lab() -> Portal:
    """Return the process's one background loop, fresh where the last one has been closed."""
    global _lab
    with _guard:
        if _lab is None or _lab.is_closed:
            _lab = Portal("wslab")
            end_at_exit(_lab)
        return _lab


def kernel() -> KernelPortal:
    """Return the portal to the notebook's own loop, applying nest_asyncio2 on first use.

    Raises:
        NestingRefused: there is no notebook loop here, or it cannot be nested.
    """
    global _kernel
    with _guard:
        loop = kernels_loop()
        if loop is None:
            raise NestingRefused(
                'loop="kernel" needs the loop of a running notebook kernel, and this is not one. '
                "Leave it out: the lab's own loop works in scripts, tests and notebooks alike"
            )
        if _kernel is None or _kernel.loop is not loop:
            nest(loop)
            _kernel = KernelPortal(loop)
        end_at_exit()
        return _kernel


def refuse_loops_thread(what: str) -> None:
    """Refuse a call that waits, where it was made on the lab's loop.

    Raises:
        WrongThread: it was.
    """
    if _lab is not None:
        _lab.refuse_own_thread(what)


def _forget_after_fork() -> None:
    global _guard, _lab, _kernel
    _guard = threading.RLock()  # the parent's may have been held at the moment of the fork
    _lab = _kernel = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
