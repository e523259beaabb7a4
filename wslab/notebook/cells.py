"""What each notebook cell started, so that running it again replaces it.

The one registry of everything in this process that has to be closed. Its rule: a run of a cell
that starts things of one kind first closes all things of that kind which the run before had
started; the n-th new one gets what the n-th old one hands over (a server its port). What was
started by importing a module belongs to that module in the same way (``%autoreload``); what a
plain script, a test or a widget's callback starts belongs to nobody and stays until it is closed.
Who that is, `owners` finds out. It knows only things that can be closed, and neither servers nor
clients nor loops.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import os
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..calls.waiting import deadline_after, left_until, result_of
from . import owners, shell
from .owners import Owner

__all__ = [
    "Claim",
    "Closeable",
    "claim",
    "close",
    "close_all",
    "close_cell",
    "forget",
    "owner_key",
    "things",
]

REPLACE_TIMEOUT_S = 5.0
MAX_RECORDS = 1_000  # beyond that the oldest go that have nothing open: a console never ends
DELETED_TIMEOUT_S = 1.0  # a cell that runs next waits no longer for what a deleted one had started


class Closeable(Protocol):
    """Something that can be told to close, and says when it has."""

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[Any]:
        """Start closing without waiting; ``replaced`` when a re-run cell takes its place."""


@dataclass(slots=True)
class _Record:
    """What one owner has started of one kind."""

    run: object  # the latest
    past: collections.deque[object]  # runs before it, whose tasks and threads may live on
    claimed: int = 0  # positions given to the latest run
    handovers: list[object] = field(default_factory=list)  # by position in the cell
    open: dict[int, Closeable] = field(default_factory=dict)


@dataclass(slots=True)
class Claim:
    """Room for one new thing. ``handover`` is what the old one in its position left to it."""

    owner: Owner | None
    kind: str
    keep: bool
    handover: object = None
    _nth: int | None = None

    def adopt(self, thing: Closeable, handover: object = None) -> None:
        """Enter ``thing``, and what its successor shall get (of a server: its port)."""
        with _lock:
            _things[id(thing)] = thing
            record = self._record()
            if record is not None:
                record.open[id(thing)] = thing
                if self._nth is not None:
                    record.handovers[self._nth] = handover

    def reopen(self, thing: Closeable) -> None:
        """Enter a thing again that had closed, and was started again in its old position."""
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


def claim(kind: str, *, keep: bool = False) -> Claim:
    """Make room for one thing of ``kind``, which the caller is about to start.

    Closes, and waits for, what the same cell's run before had started of that kind.

    Args:
        kind: such as "server"; things of different kinds never replace one another.
        keep: the new thing shall not be replaced when the cell runs again.

    Raises:
        TimeoutError: what the run before had started does not close: what, and what holds it.
    """
    shell.hear_cells(_cell_begins)
    owner = owners.current_owner()
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
            # nothing, and takes no position, of what the latest run has started.
            return Claim(owner, kind, keep)
        to_close: list[Closeable] = []
        if not owner.is_run(record.run):
            record.past.append(record.run)
            record.run, record.claimed = owner.run, 0
            to_close = list(record.open.values())  # each is taken out when it has closed
        nth = record.claimed
        record.claimed += 1
        if nth == len(record.handovers):
            record.handovers.append(None)
        handover = record.handovers[nth]
    _close(to_close, REPLACE_TIMEOUT_S, replaced=True)
    return Claim(owner, kind, keep, handover, nth)


def forget(thing: Closeable) -> None:
    """Take out a thing that has closed. What it hands over stays, for the cell's next run."""
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
    """Close everything at once. Ports stay: a cell that runs again gets its port back.

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


def _cell_begins() -> None:
    # JupyterLab names the cells deleted since the last run in each request's metadata.
    metadata = shell.running_request().get("metadata") or {}
    for cell_id in metadata.get("deletedCells") or ():
        with contextlib.suppress(TimeoutError):  # it closes when it can, which is soon enough
            close_cell(("cell", str(cell_id)), DELETED_TIMEOUT_S)


def _forget_after_fork() -> None:
    # The threads and loops behind these live in the parent; the child has nothing to close.
    global _lock
    _lock = threading.RLock()
    _things.clear()
    _records.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
