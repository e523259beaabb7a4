"""ChildProcess: a process of ours, entered where servers and clients are, to end as they do.

Its rule: a pipe to its stdin is held here, and whoever runs in it ends when that pipe does: so it
outlives neither a kernel that is killed nor a cell that is run again. It has a folder of its own
for what it logs and tells, which goes with it. What runs in it is not here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..loops import portals
from ..notebook import cells

__all__ = ["ChildProcess"]

PACKAGE = Path(__file__).resolve().parent.parent
START_S = 30.0  # a busy machine, or a small one on Binder
END_S = 2.0  # after which it is killed
LOOK_S = 0.01
MAX_LOG_BYTES = 4000  # of its log, in an error


class ChildProcess:
    """One process of this machine, of this process's own.

    Args:
        name: how views call it.
        claim: from `cells.claim`, of its kind.

    Attributes:
        folder: its own, for what it logs and tells.
        ending_at: when it was told to end, in seconds since the epoch; None before.
        ended_at: when it was first seen to have ended; None before.
    """

    def __init__(self, name: str, claim: cells.Claim) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="wslab-"))
        self.ending_at: float | None = None
        self.ended_at: float | None = None
        self._claim = claim
        self._popen: subprocess.Popen[bytes] | None = None
        self._was_killed = False
        self._ending: concurrent.futures.Future[Any] | None = None

    # What it is.

    @property
    def pid(self) -> int | None:
        """Its number; None where it has ended."""
        return self._popen.pid if self._popen is not None and self.is_alive else None

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        is_alive = self._popen is not None and self._popen.poll() is None
        if not is_alive and self._popen is not None and self.ended_at is None:
            self.ended_at = time.time()
        return is_alive

    @property
    def status(self) -> str:
        """One or two words: "process 4711", "killed", "ended"."""
        if self.is_alive:
            return f"process {self.pid}"
        if self._popen is None:
            return "not started"
        return "killed" if self._was_killed else "ended"

    @property
    def log(self) -> str:
        """The end of what it has logged."""
        with contextlib.suppress(OSError):
            data = (self.folder / "log.txt").read_bytes()
            return data[-MAX_LOG_BYTES:].decode("utf-8", "replace").strip()
        return ""

    # Its life.

    def launch(self, command: Sequence[str], first: str = "") -> None:
        """Start it, and do not wait until it is up: several come up at once.

        Args:
            command: the program and its arguments.
            first: written to its stdin, as a line.
        """
        portals.refuse_loops_thread("starting a process")
        self._close_stdin()  # of its run before
        self._was_killed, self.ending_at, self.ended_at = False, None, None
        self._ending = None
        # The same wslab as here, also where it is not installed.
        path = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (self.folder / "log.txt").open("wb") as log:
            self._popen = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
                start_new_session=True,  # an interrupt of the kernel is not for it
                bufsize=0,
            )
        self._claim.adopt(self)
        if first:
            self.tell(first)

    def wait_until(self, is_up: Callable[[], bool], *, keeps: bool = False) -> None:
        """Wait until it is up; where that fails, it is ended.

        Args:
            is_up: says whether it is.
            keeps: keep its folder then, since it will be started again.

        Raises:
            RuntimeError: it ended, or was not up in time; with the end of what it logged.
        """
        deadline_s = time.monotonic() + START_S
        try:
            while not is_up():
                if not self.is_alive or time.monotonic() > deadline_s:
                    state = "is not yet" if self.is_alive else "has ended"
                    raise RuntimeError(
                        f"expected {self.name} to be up within {START_S:g} s, but it {state}. The "
                        f"end of its log:\n{self.log or '(empty)'}"
                    )
                time.sleep(LOOK_S)
        except BaseException:
            self.kill()
            if not keeps:
                self._forget()
            raise

    def tell(self, line: str) -> None:
        """Write a line to its stdin; nothing where it has ended."""
        assert self._popen is not None
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.write(line.encode() + b"\n")

    def kill(self, timeout: float = 5.0) -> None:
        """End it at once, as a crash does; its system ends its connections.

        Args:
            timeout: seconds to wait for that.

        Raises:
            TimeoutError: it still runs.
        """
        if self._popen is not None and self.is_alive:
            self._was_killed = True
            self._popen.kill()
            if not self.ends_within(timeout):
                raise TimeoutError(f"expected {self.name} to end within {timeout:g} s once killed")
        self._close_stdin()

    def ends_within(self, timeout: float) -> bool:
        """Wait until it has ended; whether it has, within so many seconds."""
        deadline_s = time.monotonic() + timeout
        while self.is_alive:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(LOOK_S)
        return True

    def stop(self, timeout: float | None = 5.0) -> None:
        """Have it end properly, and wait for that; idempotent.

        Args:
            timeout: seconds; None waits until it has.

        Raises:
            TimeoutError: it takes longer.
        """
        portals.refuse_loops_thread("stop()")
        cells.close(self, timeout)

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[Any]:
        """Start ending it, without waiting; it is killed where it takes longer than 2 s."""
        if self._ending is None:
            self.ending_at = time.time()
            self._close_stdin()
            self._ending = portals.lab().submit(self._end)
        return self._ending

    async def _end(self) -> None:
        deadline_s = time.monotonic() + END_S
        while self.is_alive:
            if time.monotonic() > deadline_s:
                assert self._popen is not None
                self._popen.kill()
            await asyncio.sleep(LOOK_S)
        await self.closed()
        self._forget()

    async def closed(self) -> None:
        """End what goes with it; on the lab's loop."""

    def _forget(self) -> None:
        self._close_stdin()
        cells.forget(self)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close_stdin(self) -> None:
        if self._popen is not None and self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()

    def signal(self, number: int) -> None:
        """Send it a signal; nothing where it has ended."""
        if self._popen is not None and self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._popen.pid, number)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self.status}>"
