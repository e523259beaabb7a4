"""What runs in a node's process: `python -m wslab.machines.serving`, told on stdin what to serve.

Its rule: it ends when stdin does, so that it outlives nobody who started it; and whatever it lets
through is written where its starter reads it. Lines on stdin ask for things while it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import linecache
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..failures import Failure
from ..loops import portals
from ..loops.shutdown import shutdown
from ..server.serve import serve

__all__: list[str] = []

AGAIN_S = 0.2  # after which what runs beside the server, and has broken off, begins again
MAX_FAILURES = 50
IMPORTED = ("asyncio", "json", "wslab", "redis.asyncio")  # for the function, as a lesson has them


class _Failures:
    """What is let through, a line each in a file."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "failures.jsonl").open("ab", buffering=0)
        self._count = 0

    def add(self, failure: Failure) -> None:
        self._count += 1
        if self._count > MAX_FAILURES:  # what fails again and again must not fill a disk
            return
        self._file.write(json.dumps(dataclasses.asdict(failure)).encode() + b"\n")
        sys.stderr.write(failure.traceback)
        sys.stderr.flush()


def main() -> None:
    """Serve until stdin ends."""
    told = json.loads(sys.stdin.readline())
    folder = Path(told["folder"])
    failures = _Failures(folder)
    handler, beside = _made(told)
    server = serve(handler, name=told["name"])
    server.errors.listen(failures.add, kept=True)
    if beside is not None:
        portals.lab().submit(_run_beside, beside, failures)
    written = folder / "ready.part"
    written.write_text(json.dumps({"url": server.url, "pid": os.getpid()}))
    written.rename(folder / "ready.json")
    for line in sys.stdin:
        word, _, rest = line.partition(" ")
        if word == "drain":
            portals.lab().submit(handler.drain, float(rest))
    shutdown(1.0)
    shutil.rmtree(folder, ignore_errors=True)


def _made(told: dict[str, Any]) -> tuple[Any, Callable[[], Any] | None]:
    """Return what the function makes: a handler, and what runs beside it."""
    source, file = told["source"], f"<{told['name']}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": "node"}
    for name in IMPORTED:
        with contextlib.suppress(ImportError):  # redis is an extra
            __import__(name)
            first = name.partition(".")[0]
            namespace[first] = sys.modules[first]
    exec(compile(source, file, "exec"), namespace)
    made = namespace[told["function"]](told["redis"])
    return made if isinstance(made, tuple) else (made, None)


async def _run_beside(beside: Callable[[], Any], failures: _Failures) -> None:
    """Run it again and again: at once where it has ended, and a moment after it broke off."""
    while True:
        try:
            await beside()
            await asyncio.sleep(0)  # one that never waits shall not hold the others
        except Exception as exc:  # Redis may be away
            failures.add(Failure.of(exc, where=getattr(beside, "__name__", "beside the server")))
            await asyncio.sleep(AGAIN_S)


if __name__ == "__main__":
    main()
