"""One client of a hub as all of the hub's processes see it: data, since it may be elsewhere."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Member"]


class Member(NamedTuple):
    """Who is there, on whichever node.

    Args:
        id: what it goes by while it is connected.
        name: what handlers call it.
        user_id: who it is, over all its connections.
        node: where it is connected: a `hub.node_id`.
        rooms: that it is in.
    """

    id: str
    name: str | None
    user_id: str
    node: str
    rooms: tuple[str, ...] = ()
