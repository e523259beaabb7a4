"""Who is connected and who is in which room: the one place that knows.

Its rule: one lock, and both sides of a membership change under it, so that any thread sees rooms
and members that agree. What a member is, it does not know. The views are live and read-only;
iterating one goes over a snapshot. An empty room is no room.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from typing import Any, Generic, TypeVar

from ...errors import Refused
from ..protocol.limits import Limits

__all__ = ["Clients", "Registry", "Rooms", "check_room"]

M = TypeVar("M")  # a member: anything that can be a key
C = TypeVar("C")  # how it is shown


def _nothing(_room: str) -> None:
    pass


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


class Registry(Generic[M]):
    """The registry itself; all methods work from any thread.

    Args:
        limits: how many rooms there may be.
        limited: counts, by the name of a limit, how often that has held.
        address_of: returns from where a member comes.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        limited: collections.Counter[str] | None = None,
        address_of: Callable[[M], str] = lambda member: "",
    ) -> None:
        self.lock = threading.RLock()
        self._limits = limits or Limits()
        self._limited = limited if limited is not None else collections.Counter()
        self.id_digits = 6  # at least
        self.members: dict[str, M] = {}
        self.rooms: dict[str, dict[M, None]] = {}  # in the order of joining
        # Called under the lock, with a room that somebody is in now, or nobody is any more.
        self.filled: Callable[[str], object] = _nothing
        self.emptied: Callable[[str], object] = _nothing
        self._rooms_of: dict[M, set[str]] = {}  # of those that are in one
        self._address_of = address_of
        self._stays: collections.Counter[str] = (
            collections.Counter()
        )  # in rooms, by address, where that has a limit

    def add(self, member: M, id: str, digits: str) -> str:
        """Enter a member, and return its id: a longer one where somebody has come with the same.

        Args:
            member: who came.
            id: what `id_for` gave it.
            digits: of which that is the beginning.
        """
        with self.lock:
            if id in self.members:
                id = self.id_for(digits)
            self.members[id] = member
            return id

    def remove(self, member: M, id: str) -> frozenset[str]:
        """Take a member out of everything; return the rooms that it was in."""
        with self.lock:
            if self.members.get(id) is member:
                del self.members[id]
            rooms = self.rooms_of(member)
            for room in rooms:
                self.leave(member, room)
            return rooms

    def join(self, member: M, room: str) -> bool:
        """Put a member into a room; return whether that is new.

        Raises:
            Refused: it is in too many, there are too many, or the name is too long.
        """
        with self.lock:
            rooms = self._rooms_of.get(member, ())
            if room not in rooms:
                self.check_join(member, room, len(rooms))
            return self.put_back(member, room)

    def check_join(self, member: M, room: str, count: int) -> None:
        """Refuse one room more for a member that is in so many."""
        limits = self._limits
        most = limits.rooms_per_address
        if count >= limits.rooms_per_client:
            name, what = "rooms_per_client", f"a client to be in at most {count:,} rooms"
        elif most is not None and self._stays[self._address_of(member)] >= most:
            name, what = "rooms_per_address", f"the clients of an address in at most {most:,} rooms"
        elif room not in self.rooms and len(self.rooms) >= limits.rooms:
            name, what = "rooms", f"at most {limits.rooms:,} rooms in all"
        elif len(room) * 4 > limits.room_name_bytes < len(room.encode(errors="replace")):
            name = "room_name_bytes"
            what = f"a room's name of at most {limits.room_name_bytes} bytes"
        else:
            return
        self._limited[name] += 1
        raise Refused(f"expected {what}; {room!r:.60} was not joined (Limits({name}=...))")

    def put_back(self, member: M, room: str) -> bool:
        """Put a member into a room, as `join`; it was there before, and may be again."""
        with self.lock:
            them = self.rooms.get(room)
            if them is None:
                them = self.rooms[room] = {}
                self.filled(room)
            is_new = member not in them
            if is_new and self._limits.rooms_per_address is not None:
                self._stays[self._address_of(member)] += 1
            them[member] = None
            self._rooms_of.setdefault(member, set()).add(room)
            return is_new

    def leave(self, member: M, room: str) -> bool:
        """Take a member out of a room; return whether it was there."""
        with self.lock:
            them = self.rooms.get(room)
            if them is None or member not in them:
                return False
            del them[member]
            if self._limits.rooms_per_address is not None:
                address = self._address_of(member)
                self._stays[address] -= 1
                if not self._stays[address]:
                    del self._stays[address]
            rooms = self._rooms_of[member]
            rooms.remove(room)
            if not rooms:
                del self._rooms_of[member]
            if not them:
                del self.rooms[room]
                self.emptied(room)
            return True

    def id_for(self, digits: str) -> str:
        """Return the shortest beginning of ``digits`` that nobody goes by; six, as a rule."""
        with self.lock:
            for length in range(self.id_digits, len(digits)):
                if digits[:length] not in self.members:
                    return digits[:length]
        return digits

    def of(self, room: str | None) -> tuple[M, ...]:
        """Return who is in a room, or everybody for None, in the order of coming."""
        with self.lock:
            return tuple(self.members.values() if room is None else self.rooms.get(room, ()))

    def rooms_of(self, member: M) -> frozenset[str]:
        """Return the rooms that a member is in."""
        with self.lock:
            return frozenset(self._rooms_of.get(member, ()))


class _Values(ValuesView[Any]):
    # The inherited one looks each key up when its turn comes, and it may be gone by then.
    _mapping: Clients[Any, Any] | Rooms[Any, Any]

    def __iter__(self) -> Iterator[Any]:
        return iter([value for _, value in self._mapping.now()])

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)


class _Items(ItemsView[str, Any]):
    _mapping: Clients[Any, Any] | Rooms[Any, Any]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._mapping.now())


class Clients(Mapping[str, C], Generic[M, C]):
    """The connected clients by id; live and read-only.

    Args:
        registry: who is connected.
        show: returns what is shown of a member.
    """

    def __init__(self, registry: Registry[M], show: Callable[[M], C]) -> None:
        self._registry = registry
        self._show = show

    def __getitem__(self, id: str) -> C:
        return self._show(self._registry.members[id])

    def __iter__(self) -> Iterator[str]:
        with self._registry.lock:
            return iter(tuple(self._registry.members))

    def values(self) -> ValuesView[C]:
        """Return the clients; iterating goes over those of that moment."""
        return _Values(self)

    def items(self) -> ItemsView[str, C]:
        """Return ids and clients; iterating goes over those of that moment."""
        return _Items(self)

    def now(self) -> list[tuple[str, C]]:
        """Return ids and clients of this moment."""
        with self._registry.lock:
            return [(id, self._show(member)) for id, member in self._registry.members.items()]

    def __len__(self) -> int:
        return len(self._registry.members)

    def __repr__(self) -> str:
        some = [str(self._show(member)) for member in self._registry.of(None)[:8]]
        return f"<{len(self)} clients: {_shown(some, self)}>"


class Rooms(Mapping[str, tuple[C, ...]], Generic[M, C]):
    """The rooms by name, and in each the clients in the order of joining; live and read-only.

    Args:
        registry: who is in which.
        show: returns what is shown of a member.
    """

    def __init__(self, registry: Registry[M], show: Callable[[M], C]) -> None:
        self._registry = registry
        self._show = show

    def __getitem__(self, room: str) -> tuple[C, ...]:
        members = self._registry.of(room) if isinstance(room, str) else ()
        if not members:
            raise KeyError(room)
        return tuple(map(self._show, members))

    def __iter__(self) -> Iterator[str]:
        with self._registry.lock:
            return iter(tuple(self._registry.rooms))

    def values(self) -> ValuesView[tuple[C, ...]]:
        """Return who is in each room; iterating goes over the rooms of that moment."""
        return _Values(self)

    def items(self) -> ItemsView[str, tuple[C, ...]]:
        """Return rooms and who is in them; iterating goes over those of that moment."""
        return _Items(self)

    def now(self) -> list[tuple[str, tuple[C, ...]]]:
        """Return rooms and who is in them at this moment."""
        with self._registry.lock:
            return [
                (room, tuple(map(self._show, them))) for room, them in self._registry.rooms.items()
            ]

    def __len__(self) -> int:
        return len(self._registry.rooms)

    def __repr__(self) -> str:
        with self._registry.lock:
            sizes = [f"{room} ({len(them)})" for room, them in self._registry.rooms.items()]
        return f"<{len(sizes)} rooms: {_shown(sizes[:8], sizes)}>"


def _shown(some: list[str], everything: object) -> str:
    more = len(everything) - len(some)  # type: ignore[arg-type]
    return (", ".join(some) or "none") + (f" and {more} more" if more > 0 else "")
