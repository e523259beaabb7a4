"""Whom an emit is for: rooms and clients as a program names them, as the connections that they are.

Its rule: a client that is meant twice gets it once; one that came back is its latest connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from ..backplane.backplane import Session
from .connection import Connection
from .emission import Target
from .hub_client import HubClient, connection_of
from .hub_context import HubContext
from .registry import check_room

__all__ = ["Skip", "To", "resolved"]

To: TypeAlias = str | HubClient | Iterable[str | HubClient] | None
Skip: TypeAlias = HubClient | Iterable[HubClient] | None


def resolved(context: HubContext, to: To, skip: Skip) -> Target:
    """Return whom it is for; clients among these are admitted.

    Raises:
        TypeError, ValueError: ``to`` or ``skip`` is nothing that a hub's emit takes.
    """
    registry = context.registry
    if to is None:
        return Target((), registry.of(None), [None], [], _left_out(skip))
    if isinstance(to, str):
        return Target((_noted(context, to),), _in_room(context, to), [to], [], _left_out(skip))
    if not isinstance(to, HubClient) and not isinstance(to, Iterable):
        raise TypeError(
            f"expected a room's name, a client, or several of these, got {type(to).__name__} "
            f"{to!r:.60}"
        )
    names: list[str] = []
    connections: dict[Connection, None] = {}
    rooms: list[str | None] = []
    sessions: list[Session] = []
    alone: list[Connection] = []
    for each in [to] if isinstance(to, HubClient) else dict.fromkeys(_hashable(to)):
        if isinstance(each, HubClient):
            here = _admitted(context, each)
            names.append(here.id)
            if here.is_open:
                connections[here] = None
            if here.session is not None:
                sessions.append(here.session)
            else:
                alone.append(here)
        else:
            names.append(_noted(context, each))
            connections.update(dict.fromkeys(_in_room(context, each)))
            rooms.append(each)
    return Target(tuple(names), connections, rooms, sessions, _left_out(skip), tuple(alone))


def _admitted(context: HubContext, client: HubClient) -> Connection:
    connection = connection_of(client)
    if connection.context is not context:
        raise ValueError(
            f"expected a client of hub {context.settings.name!r}, got {client}, which is a client "
            f"of another hub, {connection.context.settings.name!r}"
        )
    connection.admit()
    return connection.current()


def _noted(context: HubContext, room: str) -> str:
    # Nobody can be in a room of a longer name, and a trace keeps what is noted.
    return room if len(room) <= context.settings.limits.room_name_bytes else f"{room[:60]}..."


def _in_room(context: HubContext, room: str) -> tuple[Connection, ...]:
    connections = context.registry.of(check_room(room))
    if not connections and room in context.registry.members:
        raise ValueError(
            f"expected a room's name or a client, got {room!r}, which is a client's id: pass "
            f"the client itself, hub.clients[{room!r}]"
        )
    return connections


def _hashable(to: Iterable[Any]) -> Iterator[str | HubClient]:
    for each in to:
        yield each if isinstance(each, HubClient) else check_room(each)


def _left_out(skip: Any) -> frozenset[Connection]:
    if skip is None:
        return frozenset()
    several = (skip,) if isinstance(skip, HubClient) else skip
    if isinstance(several, str) or not isinstance(several, Iterable):
        raise TypeError(f"expected skip= to be a client or several, got {skip!r:.60}")
    clients = tuple(several)
    for client in clients:
        if not isinstance(client, HubClient):
            raise TypeError(f"expected skip= to be a client or several, got {client!r:.60}")
    return frozenset(connection_of(client).current() for client in clients)
