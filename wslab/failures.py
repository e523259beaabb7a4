"""Failure and FailureLog: what user code let through, as text.

One form for handlers, hooks, callbacks and checks. Its rule: nothing here refers to an exception, a
traceback or a frame, since each of them keeps a dead connection and a handler's locals alive; and
whatever the exception holds, a failure is small and recording one never raises.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import overload

import websockets

__all__ = [
    "Failure",
    "FailureLog",
    "in_words",
    "is_around",
    "kind_of",
    "said_by",
    "users_traceback",
]

MAX_MESSAGE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 16_000
MAX_STEPS = 50  # of one traceback: the last ones, which are nearest to the mistake
MAX_LOG_BYTES = 512 * 2**10

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_EXAMPLES = os.path.join(_PACKAGE, "examples") + os.sep  # read and run as a user's own
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_WEBSOCKETS = os.path.dirname(os.path.abspath(websockets.__file__)) + os.sep


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that user code let through: its text, and no reference to it.

    Args:
        at: when, in seconds since the epoch.
        where: the function that raised: a handler's name, or a hook's such as ``process_request``.
        who: the id of the connection or client that it was called for; "" where there is none.
        address: host and port of that client.
        kind: the exception's qualified name; a builtin's without a module (``ValueError``).
        kinds: its own and those of all classes that it is derived from.
        message: what the exception says, at most 2,000 characters of it.
        traceback: the formatted traceback from the user's own code on, at most 16,000 characters.
    """

    at: float
    where: str
    who: str
    address: tuple[str, int] | None
    kind: str
    kinds: tuple[str, ...]
    message: str
    traceback: str

    @classmethod
    def of(
        cls,
        exc: BaseException,
        *,
        where: str,
        who: str = "",
        address: tuple[str, int] | None = None,
        at: float | None = None,
    ) -> Failure:
        """Return what there is to say about an exception; see the class for the arguments."""
        return cls(
            at=time.time() if at is None else at,
            where=where,
            who=who,
            address=address,
            kind=kind_of(exc),
            kinds=tuple(map(_name_of, type(exc).__mro__)),
            message=said_by(exc),
            traceback=users_traceback(exc),
        )

    @property
    def summary(self) -> str:
        """The exception's name and text, without where it was raised."""
        name = self.kind.rpartition(".")[2]
        return f"{name}: {self.message}" if self.message else name

    def is_a(self, kind: type[BaseException]) -> bool:
        """Whether the exception was of this class or of one derived from it, by name."""
        return _name_of(kind) in self.kinds

    def end_of_traceback(self, max_chars: int) -> str:
        """Return the traceback's last characters: there stands what was raised."""
        text = self.traceback
        return text if len(text) <= max_chars else f"...\n{text[-max_chars:]}"

    @property
    def size_bytes(self) -> int:
        """What keeping it costs."""
        texts = (self.where, self.who, self.kind, self.message, self.traceback, *self.kinds)
        return 200 + sum(map(sys.getsizeof, texts))

    def __str__(self) -> str:
        return f"{self.summary} (in {self.where}{f', for {self.who}' if self.who else ''})"


class FailureLog:
    """The latest failures, oldest first; bounded in number and in bytes, read from any thread.

    It reads like a list: ``log[-1]``, ``len(log)``, ``for failure in log``.

    Args:
        limit: failures to keep.
        max_bytes: bytes that they may take all together.
    """

    __slots__ = (
        "_failures",
        "_limit",
        "_listeners",
        "_lock",
        "_max_bytes",
        "_seen",
        "_size_bytes",
    )

    def __init__(self, limit: int = 50, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._failures: deque[Failure] = deque()
        self._size_bytes = 0
        self._seen = 0
        self._listeners: list[Callable[[Failure], object]] = []

    @property
    def seen(self) -> int:
        """How many there have been, those that are no longer kept included."""
        return self._seen

    @property
    def dropped(self) -> int:
        """How many are no longer kept."""
        with self._lock:
            return self._seen - len(self._failures)

    @property
    def size_bytes(self) -> int:
        """What keeping them costs."""
        return self._size_bytes

    def append(self, failure: Failure) -> None:
        """Add one; the oldest go where it would be too many. The newest always stays."""
        size_bytes = failure.size_bytes
        with self._lock:
            self._seen += 1
            self._failures.append(failure)
            self._size_bytes += size_bytes
            while len(self._failures) > 1 and (
                len(self._failures) > self._limit or self._size_bytes > self._max_bytes
            ):
                self._size_bytes -= self._failures.popleft().size_bytes
            listeners = tuple(self._listeners)
        for tell in listeners:
            with contextlib.suppress(Exception):  # recording one failure must not make another
                tell(failure)

    @property
    def has_listeners(self) -> bool:
        """Whether somebody is told of each."""
        return bool(self._listeners)

    def listen(self, tell: Callable[[Failure], object], *, kept: bool = False) -> None:
        """Call ``tell`` with each failure that comes, on its thread, and first with those kept."""
        with self._lock:
            self._listeners.append(tell)
            told = tuple(self._failures) if kept else ()
        for failure in told:
            tell(failure)

    def unlisten(self, tell: Callable[[Failure], object]) -> None:
        """Tell it no more; idempotent."""
        with self._lock, contextlib.suppress(ValueError):
            self._listeners.remove(tell)

    def clear(self) -> None:
        """Forget those that are kept; they stay counted in :attr:`seen`."""
        with self._lock:
            self._failures.clear()
            self._size_bytes = 0

    def _copy(self) -> tuple[Failure, ...]:
        with self._lock:
            return tuple(self._failures)

    def __len__(self) -> int:
        return len(self._failures)

    def __iter__(self) -> Iterator[Failure]:
        return iter(self._copy())

    def __reversed__(self) -> Iterator[Failure]:
        return reversed(self._copy())

    @overload
    def __getitem__(self, index: int) -> Failure: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Failure, ...]: ...

    def __getitem__(self, index: int | slice) -> Failure | tuple[Failure, ...]:
        return self._copy()[index]

    def __repr__(self) -> str:
        kept = self._copy()
        if not self._seen:
            return "<no failures>"
        more = self._seen - len(kept)
        lines = [f"{more:,} older ones are no longer kept"] if more else []
        return "\n".join([*lines, *map(str, kept)])


def kind_of(exc: BaseException) -> str:
    """Return an exception's qualified name; a builtin's, or one of a cell's, without a module."""
    return _name_of(type(exc))


def _name_of(kind: type) -> str:
    module = kind.__module__
    return (
        kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    )


def in_words(exc: BaseException) -> str:
    """Return an exception's name and text, in a sentence of ours."""
    return f"{type(exc).__name__}: {said_by(exc)}"


def said_by(exc: BaseException) -> str:
    """Return an exception's text, or what became of it where that fails."""
    try:
        text = str(exc)
    except KeyboardInterrupt:
        raise
    except BaseException as failure:
        return f"(its text raised {type(failure).__name__})"
    text = _writable(text)
    if len(text) <= MAX_MESSAGE_CHARS:
        return text
    return f"{text[:MAX_MESSAGE_CHARS]}... ({len(text) - MAX_MESSAGE_CHARS:,} characters more)"


def _writable(text: str) -> str:
    # Half of a surrogate pair can be in no file, log or message: UTF-8 has no form for it.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def users_traceback(exc: BaseException) -> str:
    """Format an exception from the user's own code on.

    The calls that lead there, ours and those of asyncio and websockets, explain nothing to whoever
    wrote that code. Where there are only such calls, all of them are shown.

    Args:
        exc: what was let through; it is not kept.
    """
    try:
        told = traceback.TracebackException(
            type(exc), exc, _from_user_on(exc.__traceback__), limit=-MAX_STEPS, compact=True
        )
        text = _writable("".join(told.format()))
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # notes, attributes and texts are the user's code as well
        name = type(failure).__name__
        return (
            f"{kind_of(exc)}: {said_by(exc)}\n(its traceback can't be shown: that raised {name})\n"
        )
    if len(text) <= MAX_TRACEBACK_CHARS:
        return text
    half = MAX_TRACEBACK_CHARS // 2
    return (
        f"{text[:half]}\n... ({len(text) - MAX_TRACEBACK_CHARS:,} characters left out)\n"
        f"{text[-half:]}"
    )


def _from_user_on(tb: TracebackType | None) -> TracebackType | None:
    first = tb
    while first is not None and is_around(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first or tb


def is_around(filename: str) -> bool:
    """Whether a file holds what runs around a user's code: ours, Python's own or websockets'."""
    if filename.startswith(_EXAMPLES):
        return False
    if filename.startswith(("<frozen", _PACKAGE, _WEBSOCKETS)):
        return True
    return filename.startswith(_STDLIB) and not filename.startswith(_installed())


@functools.cache
def _installed() -> tuple[str, ...]:
    import sysconfig  # takes its time, and only a failure needs it

    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return tuple(os.path.join(path, "") for path in paths if path)
