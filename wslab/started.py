"""running(): what this process has started and not stopped, with a way to stop each.

A snapshot of the registry in `cells`; the handles themselves are in it. Its rule: looking at it
starts, stops and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from .client.urls import shown
from .loops import portals
from .notebook import cells

__all__ = ["Running", "Started", "running"]

MAX_SHOWN = 50
_CELL = "text-align:left;padding:2px 16px 2px 0;background:none"


@dataclass(frozen=True, slots=True)
class Started:
    """One thing that runs: ``thing`` is the Server, Client, Browser or panel itself."""

    kind: str
    name: str
    where: str
    state: str
    by: str
    thing: Any

    def stop(self, timeout: float | None = 5.0) -> None:
        """Stop a server, close a client or a widget; idempotent.

        Args:
            timeout: seconds to wait for that; None waits until it has.

        Raises:
            TimeoutError: it takes longer; says what holds it, and it closes as soon as it can.
            WrongThread: called on the lab's loop.
        """
        portals.refuse_loops_thread("stop()")
        cells.close(self.thing, timeout)

    def __repr__(self) -> str:
        words = (self.kind, repr(self.name), self.where, self.state, self.by)
        return "  ".join(word for word in words if word)


class Running(Sequence[Started]):
    """What ran at that moment, oldest first; shows itself as text and as HTML.

    ``wslab.running()[0].stop()`` stops one, ``wslab.shutdown()`` all.
    """

    def __init__(self, started: Sequence[Started]) -> None:
        self._started = tuple(started)

    def __len__(self) -> int:
        return len(self._started)

    @overload
    def __getitem__(self, index: int) -> Started: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Started]: ...

    def __getitem__(self, index: int | slice) -> Started | Sequence[Started]:
        return self._started[index]

    def _more(self) -> str:
        more = len(self) - MAX_SHOWN
        return f"and {more:,} more; " if more > 0 else ""

    def __repr__(self) -> str:
        if not self._started:
            return "Nothing runs: no server, no client."
        rows = [
            (f"[{number}]", one.kind, repr(one.name), one.where, one.state, one.by)
            for number, one in enumerate(self._started[:MAX_SHOWN])
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        lines.append(f"{self._more()}running()[0].stop() stops one, wslab.shutdown() all")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        import html  # only a front end needs it

        if not self._started:
            return f"<p>{html.escape(repr(self))}</p>"
        heads = ("", "what", "name", "where", "state", "started by", "to stop it")
        rows = [
            (str(n), one.kind, one.name, one.where, one.state, one.by, f"running()[{n}].stop()")
            for n, one in enumerate(self._started[:MAX_SHOWN])
        ]
        head = "".join(f'<th scope="col" style="{_CELL}">{text}</th>' for text in heads)
        body = "".join(
            '<tr style="background:none">'
            + "".join(f'<td style="{_CELL}">{html.escape(text)}</td>' for text in row)
            + "</tr>"
            for row in rows
        )
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{self._more()}<code>wslab.shutdown()</code> stops all of them.</p>"
        )


def running() -> Running:
    """List what this process has started and not stopped: servers, clients, widgets.

    Returns:
        A snapshot, oldest first; each has ``stop()``, and ``thing``, the handle itself.
    """
    return Running([_started(thing) for thing in cells.things()])


def _started(thing: Any) -> Started:
    url = getattr(thing, "url", "")
    if hasattr(thing, "is_stopping"):
        count = len(thing.connections)
        state = f"{count} connection{'' if count == 1 else 's'}"
        state = "stopping" if thing.is_stopping else state
    else:
        state = str(getattr(thing, "status", ""))
    return Started(
        kind=type(thing).__name__.lower(),
        name=str(getattr(thing, "name", "") or ""),
        where=shown(url) if isinstance(url, str) and url else "",
        state=state,
        by=_by(cells.owner_key(thing)),
        thing=thing,
    )


def _by(key: tuple[str, str] | None) -> str:
    if key is None:
        return ""
    return f"module {key[1]}" if key[0] == "module" else "a cell"
