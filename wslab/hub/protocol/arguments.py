"""Several arguments of one event, or of one answer, where as a rule there is one: its data.

Its rule: a Socket.IO client sends and gets them as such. Plain JSON has one place for data, so
there they are a list; a handler that asks for several gets the items of such a list.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Args", "arguments_for"]


class Args(tuple[Any, ...]):
    """Arguments to send, or that came: ``hub.emit("move", Args("e2", "e4"))``.

    A handler that returns them answers a Socket.IO client with several arguments, and
    ``client.call`` returns them where such a client did.
    """

    __slots__ = ()

    def __new__(cls, *args: Any) -> Args:
        return super().__new__(cls, args)

    def __repr__(self) -> str:
        return f"Args({', '.join(map(repr, self))})"


def arguments_for(data: Any, least: int) -> tuple[Any, ...]:
    """Return what a handler is called with, after its client.

    Args:
        data: an event's, or several arguments of it.
        least: how many the handler must have; 1 may be left out by the sender, and is None then.
    """
    if type(data) is not Args:
        return tuple(data) if least > 1 and type(data) is list else (data,)
    if len(data) == 1 and least > 1 and type(data[0]) is list:
        return tuple(data[0])
    return tuple(data) if data or least != 1 else (None,)
