"""What each notebook cell started, so that running it again replaces it.

The one registry of everything in this process that has to be closed. Its rule: a run of a cell
that starts things of one kind first closes all things of that kind which the run before had
started; the n-th new one may then take the n-th old one's place (a server its port). What was
started by importing a module belongs to that module in the same way (``%autoreload``); what a
plain script, a test or a widget's callback starts belongs to nobody and stays until it is closed.
Where a front end names no cells (nbclassic, nbclient, consoles), the same text is the same cell.
It knows only things that can be closed, and neither servers nor clients nor loops.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import contextvars
import hashlib
import os
import sys
import threading
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

from ..waiting import deadline_after, left_until, result_of

__all__ = [
    "Claim",
    "Closeable",
    "Owner",
    "claim",
    "close",
    "close_all",
    "close_cell",
    "current_owner",
    "forget",
    "owner_key",
    "things",
]

REPLACE_TIMEOUT_S = 5.0
SOURCE = "source"  # the kind of a key: the same text is taken for the same cell
MAX_RECORDS = 1_000  # beyond that the oldest go that have nothing open: a console never ends
DELETED_TIMEOUT_S = 1.0  # a cell that runs next waits no longer for what a deleted one had started


class Closeable(Protocol):
    """Something that can be told to close, and says when it has."""

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[Any]:
        """Start closing without waiting; ``replaced`` when a re-run cell takes its place."""
        ...


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


@dataclass(slots=True)
class _Record:
    """What one owner has started of one kind."""

    run: object  # the latest
    past: collections.deque[object]  # runs before it, whose tasks and threads may live on
    claimed: int = 0  # places given to the latest run
    places: list[object] = field(default_factory=list)  # by order in the cell, from all runs
    open: dict[int, Closeable] = field(default_factory=dict)


@dataclass(slots=True)
class Claim:
    """Room for one new thing. ``place`` is what the old one in its position had left behind."""

    owner: Owner | None
    kind: str
    keep: bool
    place: object = None
    _nth: int | None = None

    def adopt(self, thing: Closeable, place: object = None) -> None:
        """Enter ``thing``, and the ``place`` (a server its port) that its successor shall get."""
        with _lock:
            _things[id(thing)] = thing
            record = self._record()
            if record is not None:
                record.open[id(thing)] = thing
                if self._nth is not None:
                    record.places[self._nth] = place

    def reopen(self, thing: Closeable) -> None:
        """Enter a thing again that had closed, and was started again in its old place."""
        with _lock:
            _things[id(thing)] = thing
            record = self._record()
            if record is not None:
                record.open[id(thing)] = thing

    def _record(self) -> _Record | None:
        # None for what belongs to nobody, and where the cell has been deleted meanwhile.
        if self.owner is None or self.keep:
            return None
        return _records.get((self.owner.key, self.kind))


_lock = threading.RLock()
_things: dict[int, Closeable] = {}
_records: dict[tuple[tuple[str, str], str], _Record] = {}
_hooked_shells: set[int] = set()
_has_cell_ended = False  # whether no cell runs now, as far as the shell has told


def claim(kind: str, *, keep: bool = False) -> Claim:
    """Make room for one thing of ``kind``, which the caller is about to start.

    Closes, and waits for, what the same cell's run before had started of that kind.

    Args:
        kind: such as "server"; things of different kinds never replace one another.
        keep: the new thing shall not be replaced when the cell runs again.

    Raises:
        TimeoutError: what the run before had started does not close: what, and what holds it.
    """
    _hook_shell()
    owner = current_owner()
    if owner is None or keep:
        return Claim(owner, kind, keep)
    with _lock:
        for name in [name for name in _records if not _records[name].open]:
            if len(_records) < MAX_RECORDS:
                break
            del _records[name]
        record = _records.setdefault(
            (owner.key, kind), _Record(owner.run, collections.deque(maxlen=8))
        )
        if any(owner.is_run(run) for run in record.past):
            # A task or thread of an earlier run: what it starts is the cell's, but it replaces
            # nothing, and takes no place, of what the latest run has started.
            return Claim(owner, kind, keep)
        to_close: list[Closeable] = []
        if not owner.is_run(record.run):
            record.past.append(record.run)
            record.run, record.claimed = owner.run, 0
            to_close = list(record.open.values())  # each is taken out when it has closed
        nth = record.claimed
        record.claimed += 1
        if nth == len(record.places):
            record.places.append(None)
        place = record.places[nth]
    _close(to_close, REPLACE_TIMEOUT_S, replaced=True)
    return Claim(owner, kind, keep, place, nth)


def forget(thing: Closeable) -> None:
    """Take out a thing that has closed. Its place stays, for the cell's next run."""
    with _lock:
        _things.pop(id(thing), None)
        for record in _records.values():
            record.open.pop(id(thing), None)


def things() -> tuple[Closeable, ...]:
    """Return everything that is open, oldest first."""
    with _lock:
        return tuple(_things.values())


def owner_key(thing: Closeable) -> tuple[str, str] | None:
    """Return the key of the cell or module that started a thing; None for nobody's."""
    with _lock:
        return next((name[0] for name, one in _records.items() if id(thing) in one.open), None)


def close(thing: Closeable, timeout: float | None) -> None:
    """Close one thing, and wait for that.

    Args:
        thing: what to close.
        timeout: seconds to wait; None waits until it has.

    Raises:
        TimeoutError: it takes longer; says what holds it.
    """
    _close([thing], timeout, replaced=False)


def close_all(timeout: float | None, *, explain: bool = True) -> None:
    """Close everything at once. Places stay: a cell that runs again gets its port back.

    Args:
        timeout: seconds for all together; None waits until they have closed.
        explain: find out what holds those that are late, which takes a moment.

    Raises:
        TimeoutError: what had not closed by then, and what holds it.
    """
    _close(list(things()), timeout, replaced=False, explain=explain)


def close_cell(key: tuple[str, str], timeout: float | None = REPLACE_TIMEOUT_S) -> None:
    """Close what a cell that no longer exists had started.

    Args:
        key: see :class:`Owner`.
        timeout: seconds to wait for that.

    Raises:
        TimeoutError: what had not closed by then, and what holds it.
    """
    with _lock:
        mine = [_records.pop(name) for name in list(_records) if name[0] == key]
        left = [thing for record in mine for thing in record.open.values()]
    _close(left, timeout, replaced=False)


def _close(
    closing: list[Closeable], timeout: float | None, *, replaced: bool, explain: bool = True
) -> None:
    deadline_s = deadline_after(timeout)
    futures: list[tuple[Closeable, concurrent.futures.Future[Any]]] = []
    # In reverse order: a client says goodbye before the server that it talks to does.
    for thing in reversed(closing):
        try:
            futures.append((thing, thing.begin_close(replaced=replaced)))
        except RuntimeError:  # its loop has ended, so nothing of it can be closed any more
            forget(thing)
    late: list[Closeable] = []
    failure: Exception | None = None
    for thing, future in futures:  # all of them get their time, whatever happens to one
        try:
            result_of(future, left_until(deadline_s))
        except Exception as exc:
            if future.done():
                failure = failure or exc
            else:
                late.append(thing)
    if late:
        names = ", ".join(map(repr, late[:3])) + (f" and {len(late) - 3} more" * (len(late) > 3))
        asked = late if explain else ()
        held = next(filter(None, (getattr(thing, "held", str)() for thing in asked)), "")
        raise TimeoutError(
            f"expected {names} to close within {timeout:g} s"
            + (f", but {held}" if held else ", but it takes longer")
            + ". It closes as soon as it can; then try again"
        )
    if failure is not None:
        raise failure


# Who is asking.


def current_owner() -> Owner | None:
    """Return the cell, or the module being imported, whose code is running on this thread.

    A task, and a thread that was handed its context (``asyncio.to_thread``), belong to the cell
    that started them. A plain thread does not know where it comes from: it is taken for the cell's
    that is running, if one is. None in a script, a REPL, a test and a widget's callback.
    """
    module = _importing(sys._getframe(1))
    if module is not None:
        return module
    shell = _shell()
    parent: dict[str, Any] = getattr(shell, "get_parent", dict)() or {}
    cell_id = (parent.get("metadata") or {}).get("cellId")
    source = str((parent.get("content") or {}).get("code") or "").strip()
    header = parent.get("header") or {}
    if not (cell_id or source) or header.get("msg_type") != "execute_request":
        return None
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main and _has_cell_ended and not _is_in_context(parent):
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


def _shell() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()  # type: ignore[no-untyped-call, unused-ignore]


def _hook_shell() -> None:
    """Hear of each cell's beginning and end, and of deleted cells; once for each shell."""
    shell = _shell()
    if shell is None or id(shell) in _hooked_shells or not hasattr(shell, "events"):
        return
    _hooked_shells.add(id(shell))
    shell.events.register("pre_run_cell", _cell_begins)
    shell.events.register("post_run_cell", _cell_ends)


def _cell_begins(_info: Any = None) -> None:
    global _has_cell_ended
    _has_cell_ended = False
    # JupyterLab names the cells deleted since the last run in each request's metadata.
    parent: dict[str, Any] = getattr(_shell(), "get_parent", dict)() or {}
    for cell_id in (parent.get("metadata") or {}).get("deletedCells") or ():
        with contextlib.suppress(TimeoutError):  # it closes when it can, which is soon enough
            close_cell(("cell", str(cell_id)), DELETED_TIMEOUT_S)


def _cell_ends(_result: Any = None) -> None:
    global _has_cell_ended
    _has_cell_ended = True


def _forget_after_fork() -> None:
    # The threads and loops behind these live in the parent; the child has nothing to close.
    global _lock
    _lock = threading.RLock()
    _things.clear()
    _records.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
