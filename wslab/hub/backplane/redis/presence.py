"""Who is connected at which node of a hub, and which node has died: leases in Redis.

Its rule: a node that has not renewed its lease for `LEASE_S`, by Redis's own clock, is taken out,
and whoever takes a client out is the only one that is told of it. A node that was taken for dead
and is not registers anew, with all its clients. What is told here goes to Redis in the order in
which it happened; while a write is on its way, the next waits and takes all that comes meanwhile.
Where all nodes were late, Redis itself was away: then no lease has run.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from ....errors import BackplaneDown
from ..member import Member
from .link import RedisLink
from .packing import packed, unpacked
from .script import Script

__all__ = ["Presence"]

LEASE_S = 10.0
RENEW_S = 3.0
AWAY_S = 6.0  # for nobody at all to renew
WRITE_MOST = 500  # clients of one step of Redis, which does nothing else meanwhile
SWEEPS = 20  # steps that take the clients of dead nodes out, in one beat
NAME_LENGTH = 256  # of a client's name, in characters: what is longer is cut
_SCRIPT: Final = Script("presence")


class Presence:
    """One node's part; on the link's loop only.

    Args:
        link: to Redis.
        lost: called with each client of a node that has died, on one node of the hub alone.
        lease_s, renew_s, away_s: as above.
    """

    def __init__(
        self,
        link: RedisLink,
        lost: Callable[[Member], None],
        *,
        lease_s: float = LEASE_S,
        renew_s: float = RENEW_S,
        away_s: float = AWAY_S,
    ) -> None:
        self._link = link
        self._lost = lost
        self._lease_ms, self._away_ms = round(lease_s * 1000), round(away_s * 1000)
        self._renew_s = renew_s
        keys = link.keys
        self._keys = [keys.nodes, keys.renewed, keys.members(""), keys.inside(""), keys.who("")]
        self._records: dict[str, bytes] = {}  # of the clients that are here, by id
        self._since: dict[str, float] = {}
        self._unwritten: dict[str, None] = {}  # whose record is to be written, or taken out
        self._is_registered = self._has_left = False
        self._is_writing = False
        self._renewed_s = 0.0

    # What is told of the clients of this node.

    def changed(self, member: Member) -> None:
        """Note that a client is here now, or that its name, its user or its rooms have changed."""
        since = self._since.setdefault(member.id, time.time())
        self._records[member.id] = _record(member, since)
        self._note(member.id)

    def went(self, client_id: str) -> None:
        """Note that a client is here no more."""
        if self._records.pop(client_id, None) is not None:
            del self._since[client_id]
            self._note(client_id)

    def _note(self, client_id: str) -> None:
        self._unwritten[client_id] = None
        if self._is_registered and not self._is_writing:
            self._write()

    def _write(self) -> None:
        """Write what has changed; what changes meanwhile, when Redis has answered."""
        some = list(itertools.islice(self._unwritten, WRITE_MOST))
        args: list[str | bytes] = []
        for client_id in some:
            del self._unwritten[client_id]
            args += [client_id, self._records.get(client_id, b"")]
        self._is_writing = True
        self._post("write", *args).add_done_callback(self._written)

    def _written(self, answer: asyncio.Future[Any]) -> None:
        self._is_writing = False
        if answer.cancelled() or answer.exception() is not None or not answer.result():
            self._is_registered = False  # `beat`, or the link when it is up again, sees to it
        elif self._unwritten and self._is_registered:
            self._write()

    # Its life.

    async def up(self) -> None:
        """Register this node and all its clients; for when Redis is there (again).

        Raises:
            BackplaneDown, redis.RedisError: it is not there.
        """
        if self._has_left:
            return
        kept = await self._run("register", self._lease_ms, self._away_ms)
        here = dict(self._records)
        self._unwritten = {}  # all of it is written now; what changes from here on comes later
        gone = [each for each in kept if each.decode(errors="replace") not in here]
        todo: list[tuple[str | bytes, bytes]] = [(each, b"") for each in gone]
        todo += here.items()
        for first in range(0, len(todo), WRITE_MOST):
            await self._run("write", *itertools.chain(*todo[first : first + WRITE_MOST]))
        self._is_registered, self._renewed_s = True, time.monotonic()
        if self._unwritten and not self._is_writing:
            self._write()

    def down(self) -> None:
        """Note that Redis is not there."""
        self._is_registered = False

    async def beat(self) -> None:
        """Renew the lease when it is time, and take out who has not; to be called once a second.

        Raises:
            BackplaneDown, redis.RedisError: Redis is not there.
        """
        if self._has_left:
            return
        if not self._is_registered:
            await self.up()
        if time.monotonic() - self._renewed_s < self._renew_s:
            return
        self._renewed_s = time.monotonic()
        is_known, dead = await self._run("renew", self._lease_ms, self._away_ms)
        if not is_known:
            await self.up()
        for _ in range(SWEEPS if dead else 0):
            swept = await self._run("sweep", WRITE_MOST)
            if not swept:
                return
            node, taken = swept
            for client_id, record in _pairs(taken):
                self._lost(_member(client_id, record, node))

    async def leave(self) -> None:
        """Take this node out for good, with its clients; nobody is told that these are lost.

        Raises:
            BackplaneDown, redis.RedisError: Redis is not there; the lease ends by itself.
        """
        self._has_left, self._is_registered = True, False
        while await self._run("leave", WRITE_MOST):
            pass

    # Who is there.

    async def everybody(self, room: str | None = None) -> list[Member]:
        """Return the clients of all nodes, or those in a room, in the order of their coming.

        Raises:
            BackplaneDown: Redis is not there.
        """
        if not self._is_registered and self._link.status == "up":
            await self.up()  # it was taken for dead
        if not self._is_registered:
            raise BackplaneDown(
                f"expected this process to be known to Redis, but it is {self._link.status}: who "
                "is at other processes is not known now. hub.clients says who is here"
            )
        while self._unwritten:  # what happened here before is seen; the link keeps the order
            self._write()
        found: list[tuple[float, Member]] = []
        if room is not None:
            flat = await self._run("room", room.encode(errors="surrogatepass"))
            for node, client_id, record in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
                found.append((_since(record), _member(client_id, record, node)))
        else:
            for node in await self._run("nodes"):
                members = self._link.keys.members(node.decode())
                for client_id, record in _pairs(await self._link.command("HGETALL", members)):
                    found.append((_since(record), _member(client_id, record, node)))
        found.sort(key=lambda each: each[0])
        return [member for _, member in found]

    def _args(self, what: str, *args: Any) -> list[Any]:
        return [what, self._link.node_id, *args]

    def _post(self, what: str, *args: Any) -> asyncio.Future[Any]:
        return self._link.post(_SCRIPT, self._keys, self._args(what, *args))

    async def _run(self, what: str, *args: Any) -> Any:
        return await self._link.run(_SCRIPT, self._keys, self._args(what, *args))


def _record(member: Member, since: float) -> bytes:
    name = b"" if member.name is None else b"=" + _bytes(member.name[:NAME_LENGTH])
    rooms = sorted(map(_bytes, member.rooms))
    return packed([_bytes(member.user_id), name, b"%.6f" % since, *rooms])


def _member(client_id: bytes, record: bytes, node: bytes) -> Member:
    user_id, name, _, *rooms = unpacked(record)
    return Member(
        id=_text(client_id),
        name=_text(name[1:]) if name else None,
        user_id=_text(user_id),
        node=_text(node),
        rooms=tuple(map(_text, rooms)),
    )


def _since(record: bytes) -> float:
    return float(unpacked(record)[2])


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")


def _pairs(flat: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    values = iter(flat)
    return zip(values, values, strict=True)
