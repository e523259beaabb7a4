"""Nested event loops, only when asked: the one file that touches nest_asyncio2.

Its rule: nothing is patched at import, and what cannot be nested is refused before anything is
changed, with the way out. It knows no portal.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
from dataclasses import dataclass
from typing import cast

from ..calls.calling import running_loop
from ..errors import NestingRefused
from ..notebook.shell import running_shell

__all__ = ["NestedLoops", "allow_nested_loops", "kernels_loop", "nest"]

_OLDEST = (1, 7, 4)  # older ones lose the cells queued behind one that nests (ipykernel 7)


@dataclass(frozen=True)
class NestedLoops:
    """What allow_nested_loops() did, and what it costs; shows itself as text."""

    version: str
    newly_applied: bool
    is_needed: bool = True

    def __repr__(self) -> str:
        if not self.is_needed:
            return (
                "No event loop runs here, so asyncio.run(main()) works as it is. Nothing was "
                "changed."
            )
        did = "now allowed" if self.newly_applied else "already allowed"
        return (
            f"Nested event loops are {did} in this process (nest_asyncio2 {self.version}): "
            "asyncio.run(main()) works in a cell.\n"
            "What it costs: every task of this process is now a pure-Python one (a few per cent "
            "more time an echo), and while main() runs, the cell holds the kernel. It stays until "
            "the kernel restarts. Without it: `await main()` in a cell, or wslab.run(main)."
        )


def allow_nested_loops() -> NestedLoops:
    """Let a pasted ``asyncio.run(main())`` work in a cell, by applying nest_asyncio2.

    Opt in, for the whole process, until the kernel restarts. In a script, where no loop runs yet,
    nothing is needed and nothing is done.

    Returns:
        What was done and what it costs, as the cell's output.

    Raises:
        NestingRefused: the running loop cannot be nested (uvloop), the unmaintained nest_asyncio
            has patched asyncio already, or nest_asyncio2 is too old: which, and how to get out.
    """
    loop = kernels_loop() or running_loop()
    if loop is None:
        return NestedLoops("", newly_applied=False, is_needed=False)
    newly = nest(loop)
    return NestedLoops(importlib.metadata.version("nest_asyncio2"), newly)


def nest(loop: asyncio.AbstractEventLoop) -> bool:
    """Apply nest_asyncio2 to ``loop``; return whether it was not applied before.

    Raises:
        NestingRefused: see :func:`allow_nested_loops`.
    """
    get = "run `%pip install -U 'nest_asyncio2>=1.7.4'` and restart the kernel"
    try:
        version = importlib.metadata.version("nest_asyncio2")
    except importlib.metadata.PackageNotFoundError:
        raise NestingRefused(f"nested loops need nest_asyncio2, which is missing: {get}") from None
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < _OLDEST:
        raise NestingRefused(
            f"nest_asyncio2 {version} silently loses the cells queued behind one that nests "
            f"(Run All); 1.7.4 or newer is needed: {get}"
        )
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        raise NestingRefused(
            "the old, unmaintained nest_asyncio has already patched asyncio in this kernel, and "
            "two patches of the same loop break each other. Remove `import nest_asyncio; "
            "nest_asyncio.apply()`, restart the kernel and call wslab.allow_nested_loops() instead"
        )
    if not isinstance(loop, asyncio.BaseEventLoop):
        kind = type(loop)
        raise NestingRefused(
            f"the running loop is a {kind.__module__}.{kind.__qualname__}, and only asyncio's own "
            "loops can be nested. Use `await main()` or wslab.run(main), or start the kernel "
            "without uvloop as its loop"
        )
    newly = not hasattr(asyncio, "_nest_asyncio2")
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    return newly


def kernels_loop() -> asyncio.AbstractEventLoop | None:
    """Return the notebook kernel's loop, on whatever thread; None outside a kernel."""
    io_loop = getattr(getattr(running_shell(), "kernel", None), "io_loop", None)
    return cast("asyncio.AbstractEventLoop | None", getattr(io_loop, "asyncio_loop", None))
