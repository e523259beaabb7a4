"""Who is connected and who is in which room: the one place that knows.

Its rule: one lock, and both sides of a membership change under it, so that any thread sees rooms
and clients that agree. The views are live and read-only; iterating one goes over a snapshot. An
empty room is no room.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

from ...errors import Refused
from ..protocol.limits import Limits

if TYPE_CHECKING:
    from .hub_client import HubClient

__all__ = ["Clients", "Registry", "Rooms", "check_room"]


def check_room(room: object) -> str:
    """Return a room's name, or refuse what is none.

    Raises:
        TypeError, ValueError: it is no text, or empty.
    """
    if not isinstance(room, str):
        several = "; several at once: client.join(*rooms)" * isinstance(room, list | tuple | set)
        raise TypeError(
            f"expected a room's name, such as 'lobby', got {type(room).__name__} {room!r:.60}"
            f"{several}"
        )
    if not room:
        raise ValueError("expected a room's name, such as 'lobby', got an empty one")
    return room


class Registry:
    """The registry itself; all methods work from any thread."""

    def __init__(
        self,
        limits: Limits | None = None,
        limited: collections.Counter[str] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self._limits = limits or Limits()
        self._limited = limited if limited is not None else collections.Counter()
        self._clients: dict[str, HubClient] = {}
        self._rooms: dict[str, dict[HubClient, None]] = {}  # in the order of joining

    def add(self, client: HubClient) -> None:
        """Enter a client; its id becomes longer where another one has come with the same."""
        with self.lock:
            if client.id in self._clients:
                client.id = self.id_for(client._link.id.hex)
            self._clients[client.id] = client

    def remove(self, client: HubClient) -> None:
        """Take a client out of everything; it remembers the rooms that it was in."""
        with self.lock:
            if self._clients.get(client.id) is client:
                del self._clients[client.id]
            rooms = client._rooms_at_end = frozenset(client._rooms)
            for room in rooms:
                self.leave(client, room)

    def join(self, client: HubClient, room: str) -> bool:
        """Put a client into a room; return whether that is new.

        Raises:
            Refused: it is in too many, there are too many, or the name is too long.
        """
        with self.lock:
            if room not in client._rooms:
                self.check_join(room, len(client._rooms))
            return self.put_back(client, room)

    def check_join(self, room: str, count: int) -> None:
        """Refuse one room more for a client that is in so many."""
        limits = self._limits
        if count >= limits.rooms_per_client:
            name, what = "rooms_per_client", f"a client to be in at most {count:,} rooms"
        elif room not in self._rooms and len(self._rooms) >= limits.rooms:
            name, what = "rooms", f"at most {limits.rooms:,} rooms in all"
        elif len(room) * 4 > limits.room_name_bytes < len(room.encode(errors="replace")):
            name = "room_name_bytes"
            what = f"a room's name of at most {limits.room_name_bytes} bytes"
        else:
            return
        self._limited[name] += 1
        raise Refused(f"expected {what}; {room!r:.60} was not joined (Limits({name}=...))")

    def put_back(self, client: HubClient, room: str) -> bool:
        """Put a client into a room, as `join`; it was there before, and may be again."""
        with self.lock:
            them = self._rooms.setdefault(room, {})
            is_new = client not in them
            them[client] = None
            client._rooms.add(room)
            return is_new

    def leave(self, client: HubClient, room: str) -> bool:
        """Take a client out of a room; return whether it was there."""
        with self.lock:
            them = self._rooms.get(room)
            if them is None or client not in them:
                return False
            del them[client]
            client._rooms.discard(room)
            if not them:
                del self._rooms[room]
            return True

    def id_for(self, digits: str) -> str:
        """Return the shortest beginning of ``digits``, six or more, that nobody goes by."""
        with self.lock:
            for length in range(6, len(digits)):
                if digits[:length] not in self._clients:
                    return digits[:length]
        return digits

    def of(self, room: str | None) -> tuple[HubClient, ...]:
        """Return who is in a room, or everybody for None, in the order of coming."""
        with self.lock:
            return tuple(self._clients.values() if room is None else self._rooms.get(room, ()))

    def rooms_of(self, client: HubClient) -> frozenset[str]:
        """Return the rooms that a client is in; once it is gone, those that it was in."""
        with self.lock:
            at_end = client._rooms_at_end
            return frozenset(client._rooms) if at_end is None else at_end


class _Values(ValuesView[Any]):
    # The inherited one looks each key up when its turn comes, and it may be gone by then.
    _mapping: Clients | Rooms

    def __iter__(self) -> Iterator[Any]:
        return iter([value for _, value in self._mapping._now()])

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)


class _Items(ItemsView[str, Any]):
    _mapping: Clients | Rooms

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._mapping._now())


class Clients(Mapping[str, "HubClient"]):
    """The connected clients by id; live and read-only."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getitem__(self, id: str) -> HubClient:
        return self._registry._clients[id]

    def __iter__(self) -> Iterator[str]:
        return iter([client.id for client in self._registry.of(None)])

    def values(self) -> ValuesView[HubClient]:
        """Return the clients; iterating goes over those of that moment."""
        return _Values(self)

    def items(self) -> ItemsView[str, HubClient]:
        """Return ids and clients; iterating goes over those of that moment."""
        return _Items(self)

    def _now(self) -> list[tuple[str, HubClient]]:
        with self._registry.lock:
            return list(self._registry._clients.items())

    def __len__(self) -> int:
        return len(self._registry._clients)

    def __repr__(self) -> str:
        return (
            f"<{len(self)} clients: {_shown([str(c) for c in self._registry.of(None)[:8]], self)}>"
        )


class Rooms(Mapping[str, "tuple[HubClient, ...]"]):
    """The rooms by name, and in each the clients in the order of joining; live and read-only."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getitem__(self, room: str) -> tuple[HubClient, ...]:
        clients = self._registry.of(room) if isinstance(room, str) else ()
        if not clients:
            raise KeyError(room)
        return clients

    def __iter__(self) -> Iterator[str]:
        with self._registry.lock:
            return iter(tuple(self._registry._rooms))

    def values(self) -> ValuesView[tuple[HubClient, ...]]:
        """Return who is in each room; iterating goes over the rooms of that moment."""
        return _Values(self)

    def items(self) -> ItemsView[str, tuple[HubClient, ...]]:
        """Return rooms and who is in them; iterating goes over those of that moment."""
        return _Items(self)

    def _now(self) -> list[tuple[str, tuple[HubClient, ...]]]:
        with self._registry.lock:
            return [(room, tuple(them)) for room, them in self._registry._rooms.items()]

    def __len__(self) -> int:
        return len(self._registry._rooms)

    def __repr__(self) -> str:
        with self._registry.lock:
            sizes = [f"{room} ({len(them)})" for room, them in self._registry._rooms.items()]
        return f"<{len(sizes)} rooms: {_shown(sizes[:8], sizes)}>"


def _shown(some: list[str], everything: object) -> str:
    more = len(everything) - len(some)  # type: ignore[arg-type]
    return (", ".join(some) or "none") + (f" and {more} more" if more > 0 else "")
