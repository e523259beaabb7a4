"""Party: a whiteboard of lesson 16 at work, the guests at it, and the books of who drew what.

Its rule: each party has a board of its own, made anew and served over real sockets; what the
board's handlers raise becomes part of the Miss. What the guests do there, and what a board has to
do, is for the lesson's checks to say.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from .board_guest import FRESH, Books, Guest, Stroke
from .exercises import Miss, NotYet
from .learner_loop import bounded
from .testbench import TestBench

__all__ = ["NEEDS_HUB", "Party", "open_party"]

WAIT_S = 2.0  # for one message
MAKE_S = 2.0  # for whiteboard()

NEEDS_HUB = "`def whiteboard():` makes a Hub, puts handlers on it, and ends with `return board`"


class Party:
    """A learner's board at work, its guests and the check's books.

    Attributes:
        bench: what serves the board.
        board: the Hub that whiteboard() has returned.
        books: all strokes that were drawn.
        guests: who is looked at by :meth:`all_see`.
    """

    def __init__(self, bench: TestBench, board: Any) -> None:
        self.bench = bench
        self.board = board
        self.books = Books()
        self.guests: list[Guest] = []

    @property
    def strokes(self) -> list[Stroke]:
        """All strokes that were drawn, oldest first."""
        return list(self.books.strokes.values())

    def enter(self, name: str, *, called: str = "") -> Guest:
        """Let somebody come; ``called`` is the name that the board is told, where it is another."""
        guest = Guest(self.bench, self.books, name, called=called)
        self.guests.append(guest)
        return guest

    def all_see(self, strokes: list[Stroke], when: str, hint: str = "") -> None:
        """Let every guest read until its picture is just that."""
        for guest in self.guests:
            guest.expect(strokes, when, hint)

    def is_sound(self, hint: str) -> None:
        """Raise a Miss where a handler has let an exception through."""
        if self.board.errors_seen:
            failure = self.board.errors[0]
            raise Miss("no handler that raises", str(failure), hint, failure.traceback)


@contextlib.contextmanager
def open_party(whiteboard: Any) -> Iterator[Party]:
    """Make a board and serve it, until the end of the block.

    Args:
        whiteboard: the learner's function, which makes a Hub.

    Raises:
        Miss: it makes none, or not a new one; or what the block has raised, with what the board's
            handlers have raised.
        NotYet: a handler has a ``raise NotYet`` left.
    """
    expected = "whiteboard() to return a Hub"
    if not callable(whiteboard) or inspect.isclass(whiteboard):
        raise Miss(expected, f"{type(whiteboard).__name__} {whiteboard!r:.60}", NEEDS_HUB)
    board = bounded(whiteboard, timeout_s=MAKE_S, expected=expected)
    is_one = callable(board) and hasattr(board, "errors_seen") and hasattr(board, "emit")
    if inspect.isclass(board) or not is_one:
        raise Miss(expected, f"{type(board).__name__} {board!r:.60}", NEEDS_HUB)
    if len(board.clients):
        raise Miss("a new Hub each time", "one that somebody is connected to", FRESH)
    with TestBench(board, wait_s=WAIT_S, ping_interval=None) as bench:
        try:
            yield Party(bench, board)
        except Miss as miss:
            failures = list(board.errors)
            if any(one.kind.rpartition(".")[2] == "NotYet" for one in failures):
                raise NotYet from None
            if failures and not miss.details:
                name = failures[0].where.rpartition(".")[2]
                miss.seen += f". Your handler {name}() raised {failures[0].summary}"
                miss.hint = "fix what your handler raised first"
                miss.details = failures[0].traceback
            raise
