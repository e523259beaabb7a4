"""Sources: what an Inspector looks at: Servers, Clients and Tapes.

Its rule: they are asked for their tape, their address and their state, and nothing is done to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...client.urls import shown
from ...wire.tape.tape import Tape
from ..panels import model
from .keepalive import KEEPALIVE_S

__all__ = ["Sources"]


class Sources:
    """What is inspected together.

    Args:
        sources: Servers, Clients and Tapes, or lists of them.

    Raises:
        TypeError: a source is none of these.
        ValueError: a source has no tape, or there is none.
    """

    def __init__(self, sources: Iterable[Any]) -> None:
        self._sources = list(_flat(sources))
        self.tapes = [_tape_of(source) for source in self._sources]
        if not self.tapes:
            raise ValueError("expected a Server, a Client or a Tape to inspect, got none")

    @property
    def title(self) -> str:
        """The names of the first three, and how many more there are."""
        names = [
            source.name or "tape" if isinstance(source, Tape) else shown(str(source.url))
            for source in self._sources
        ]
        names = list(dict.fromkeys(model.one_line(name) for name in names))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more

    @property
    def state(self) -> str:
        """What the first server or client among them is now; "recorded" where all are tapes."""
        for source in self._sources:
            if hasattr(source, "is_serving"):
                return "listening" if source.is_serving else "stopped"
        for source in self._sources:
            if hasattr(source, "why_closed"):
                return str(source.state.name).lower()
        return "recorded"

    @property
    def replays(self) -> dict[int, Any]:
        """The replays among them, by the numbers of their tapes."""
        return {n: each for n, each in enumerate(self._sources) if hasattr(each, "differences")}

    @property
    def servers(self) -> list[str]:
        """The addresses of the servers among them, "host:port"."""
        return [
            f"{source.host}:{source.port}"
            for source in self._sources
            if hasattr(source, "is_serving")
        ]

    @property
    def intervals_s(self) -> list[float]:
        """How often the ends of the connections ping by themselves, in seconds."""
        return sorted({each for source in self._sources for each in _intervals_of(source)})


def _flat(sources: Iterable[Any]) -> Iterator[Any]:
    for source in sources:
        if isinstance(source, list | tuple):
            yield from _flat(source)
        else:
            yield source


def _tape_of(source: Any) -> Tape:
    if isinstance(source, Tape):
        return source
    if not hasattr(source, "tape"):
        raise TypeError(
            f"expected a Server, a Client, a Tape or a list of them, got {type(source).__name__}"
        )
    if not isinstance(source.tape, Tape):
        raise ValueError(
            f"{source!r} has no tape: it was made with record=False. Make it with record=True to "
            "look at its bytes"
        )
    return source.tape


def _intervals_of(source: Any) -> Iterable[float]:
    for end in (source, *getattr(source, "connections", ())):
        websocket = getattr(end, "websocket", None)
        interval_s = getattr(websocket, "ping_interval", KEEPALIVE_S)
        if isinstance(interval_s, int | float) and 0 < interval_s < float("inf"):
            yield float(interval_s)
