"""`wslab serve --workers N`: processes that take their clients from one listening socket.

Its rule: a worker that dies is started again and that is said; a signal goes to each of them, and
they are waited for within a bound. What a worker does is `serve`'s. Left out: who gets a client is
the system's choice, connection by connection, so that polling, where a client's requests must come
to one process, needs a proxy with sticky sessions instead (README, "Many processes").
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from ..calls.waiting import pause
from .signals import ended_by

__all__ = ["Place", "Workers"]

MISTAKE = 2  # exit code: the user's, so that another worker would only make it again
INTERRUPTED = 130  # the same of an interrupt while it starts
AGAIN_S = 1.0  # between two beginnings of one worker
GRACE_S = 10.0  # beyond the time that draining takes, until those that remain are killed


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is told by its parent: which it is, where to listen, and whose it is."""

    nth: int
    fd: int
    parent: int

    def __str__(self) -> str:
        return f"{self.nth}:{self.fd}:{self.parent}"

    @classmethod
    def read(cls, text: str) -> Place:
        """Return what `str` has made of one."""
        nth, fd, parent = map(int, text.split(":"))
        return cls(nth, fd, parent)

    @property
    def is_orphan(self) -> bool:
        """Whether the parent has died, so that nobody would end this worker."""
        return os.getppid() != self.parent


@dataclass(slots=True)
class _Worker:
    nth: int
    process: subprocess.Popen[bytes] | None = None
    began_s: float = 0.0


class Workers:
    """Some processes that run one command.

    Args:
        arguments: of `wslab`, without the place of a worker.
        count: how many there are.
        fd: of the listening socket.
        drain_s: how long they take to end at SIGTERM.
        say: prints a line.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        count: int,
        fd: int,
        drain_s: float,
        say: Callable[[str], object],
    ) -> None:
        self._arguments, self._fd = arguments, fd
        self._end_s = drain_s + GRACE_S
        self._say = say
        self._workers = [_Worker(nth) for nth in range(1, count + 1)]
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def run(self) -> int:
        """Keep them alive until a signal, then end them; return the exit code."""
        with ended_by(self._signal):
            try:
                while (number := self._next_signal()) is None:
                    if self._keep_alive():
                        self._end(signal.SIGTERM)
                        return MISTAKE
                return self._end(number)
            finally:
                for process in self._alive():
                    process.kill()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        pause(process.wait)

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.put(number)

    def _next_signal(self) -> int | None:
        try:
            return pause(self._signals.get)
        except queue.Empty:
            return None

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        processes = [worker.process for worker in self._workers if worker.process is not None]
        return [process for process in processes if process.poll() is None]

    def _keep_alive(self) -> bool:
        """Start who is not there; whether one has ended because of a mistake."""
        for worker in self._workers:
            process = worker.process
            if process is not None and (code := process.poll()) is not None:
                if code == MISTAKE:
                    return True
                how = f"was killed by signal {-code}" if code < 0 else f"has ended with {code}"
                self._say(f"worker {worker.nth} (pid {process.pid}) {how}; another one starts")
                worker.process = None
            if worker.process is None and time.monotonic() - worker.began_s >= AGAIN_S:
                worker.process = self._start(worker.nth)
                worker.began_s = time.monotonic()
        return False

    def _start(self, nth: int) -> subprocess.Popen[bytes]:
        place = Place(nth, self._fd, os.getpid())
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "wslab.cli.main",
                *self._arguments,
                "--worker",
                f"{place}",
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=[self._fd],
            process_group=0,  # a terminal's Ctrl-C is for us, who pass it on once
        )

    def _end(self, number: int) -> int:
        deadline_s = time.monotonic() + self._end_s
        told: int | None = number
        while alive := self._alive():
            if told is not None:
                for process in alive:
                    process.send_signal(told)
            if time.monotonic() > deadline_s:
                self._say(f"{len(alive)} workers did not end in time, and are killed")
                return 1
            told = self._next_signal()
        codes = [worker.process.poll() for worker in self._workers if worker.process is not None]
        # One that had not begun to serve ends by the signal itself.
        return 0 if all(code in (0, -number, INTERRUPTED) for code in codes) else 1
