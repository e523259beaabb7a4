"""Results: what each way took in one round, as rows, as text and as HTML that needs no script.

Its rule: numbers are the tape's; a way that did not bring every update says so in words, and so
does whoever ran the round.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from .. import static_html
from .settings import Settings
from .tally import Figures

__all__ = ["COLUMNS", "Result", "Results", "duration"]

COLUMNS = ("way", "requests", "headers", "all bytes", "in silence", "usual delay", "of the last")


def duration(seconds: float) -> str:
    """Return a time in words: "3 ms", "1.20 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class Result:
    """What one way took.

    Attributes:
        way: its name.
        updates: how many it brought.
        missed: how many it did not bring.
        requests: how many it made, a handshake included.
        head_bytes: of requests and answers.
        bytes: all that HTTP and WebSocket took, heads included, in both directions.
        idle_bytes: those of them in the silence after the last update.
        usual_late_s: the median of the delays, in seconds.
        last_late_s: the delay of the last update; None where it never came.
        refused: the status of an answer that was no success; 0 where there was none.
    """

    way: str
    updates: int
    missed: int
    requests: int
    head_bytes: int
    bytes: int
    idle_bytes: int
    usual_late_s: float
    last_late_s: float | None
    refused: int = 0

    @classmethod
    def of(cls, way: str, figures: Figures, made: int, last: int) -> Result:
        """Return a way's figures as its result.

        Args:
            way: its name.
            figures: as they were counted.
            made: how many updates there were.
            last: the number of the last one.
        """
        return cls(
            way=way,
            updates=len(figures.came_s),
            missed=made - len(figures.came_s),
            requests=figures.requests,
            head_bytes=figures.head_bytes,
            bytes=figures.bytes,
            idle_bytes=figures.idle_bytes,
            usual_late_s=figures.usual_late_s,
            last_late_s=figures.late_s.get(last),
            refused=figures.refused,
        )

    @property
    def remark(self) -> str:
        """What is out of the ordinary, as a sentence; "" for nothing."""
        if not self.missed:
            return ""
        why = f"; the server answered {self.refused}" if self.refused else ""
        why = why or ("" if self.requests else "; nothing asked for it")
        return f"{self.way}: {self.missed} of {self.missed + self.updates} updates missing{why}"

    def cells(self) -> tuple[str, ...]:
        """Return it as the words of a row; see ``COLUMNS``."""
        has_any = bool(self.updates)
        return (
            self.way,
            f"{self.requests:,}",
            f"{self.head_bytes:,}",
            f"{self.bytes:,}",
            f"{self.idle_bytes:,}",
            duration(self.usual_late_s) if has_any else "-",
            "-" if self.last_late_s is None else duration(self.last_late_s),
        )


@dataclass(frozen=True)
class Results:
    """The five ways of one round, by name: ``results["SSE"].bytes``.

    Attributes:
        ways: in the order in which they are shown.
        settings: what the round was.
        ran_in: "page" or "Python": who asked.
        note: what else is to be said of the round; "" for nothing.
    """

    ways: tuple[Result, ...]
    settings: Settings
    ran_in: str
    note: str = ""

    def __getitem__(self, way: str) -> Result:
        """Return one way's.

        Raises:
            KeyError: there is no such way.
        """
        for one in self.ways:
            if one.way == way:
                return one
        known = ", ".join(repr(one.way) for one in self.ways)
        raise KeyError(f"expected one of {known}; got {way!r}")

    @property
    def by(self) -> str:
        """Who ran the lanes, as a sentence."""
        if self.ran_in == "page":
            return "A page ran the five lanes."
        return "Python ran the five lanes, with few headers: no page had come."

    @property
    def remarks(self) -> list[str]:
        """What is out of the ordinary, a sentence each."""
        said = [one.remark for one in self.ways if one.remark]
        return [*said, self.note] if self.note else said

    def __str__(self) -> str:
        rows = [COLUMNS, *(one.cells() for one in self.ways)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i])
                for i, cell in enumerate(row)
            ).rstrip()
            for row in rows
        ]
        return "\n".join([str(self.settings), *lines, self.by, *self.remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        said = " ".join([self.by, *self.remarks])
        return (
            f'<div style="{static_html.TEXT}"><p>{html.escape(str(self.settings))}</p>'
            f"{static_html.table(COLUMNS, [one.cells() for one in self.ways])}"
            f"{static_html.soft(said)}</div>"
        )

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one dict a way, with its words, as the page gets them."""
        return [{"name": one.way, "cells": list(one.cells()[1:])} for one in self.ways]
