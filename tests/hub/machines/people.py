"""People: what a client does with its life, all of it drawn from a seed, and noted in the books.

Its rule: a person knows only what its client was told. Where that is Doubt, it asks again if asking
twice does no harm (to join, to leave), and else notes that nobody knows. A session that the hub has
forgotten is a new member of nothing.
"""

from __future__ import annotations

import asyncio
import collections
import random
import time
from typing import Any, Protocol

from tests.hub.machines.books import EVERYBODY, Books, Member, Said
from tests.hub.machines.clients import Doubt

__all__ = ["ROOMS", "Person", "World"]

ROOMS = ("red", "green", "blue", "amber")
PADS = (0, 0, 0, 200, 5_000)
TRIES = 5


class World(Protocol):
    """What a person knows of where it lives."""

    books: Books
    door_url: str
    pace_s: float
    is_pausing: bool
    is_closing: bool
    people: list[Person]
    answers: collections.Counter[str]

    def fail(self, text: str) -> None:
        """Note that something is wrong."""


class Person:
    """One person, over all its sessions.

    Args:
        world: where it lives.
        make: of its clients.
        name: for the books.
        seed: of what it does.
    """

    def __init__(self, world: World, make: Any, name: str, seed: int) -> None:
        self.world, self.make, self.name = world, make, name
        self.random = random.Random(seed)
        self.steps: collections.deque[str] = collections.deque(maxlen=60)
        self._step, self._times = "", 0  # the last of them, and how often it came
        self.is_idle = False
        self.user_id = ""
        self.member: Member | None = None
        self.client: Any = None
        self._nth = 0
        self._over = ""
        self._saying: Said | None = None
        self._joining = ""  # the room that it asks to join
        self._rooms: frozenset[str] | None = None  # that it was in when it was told of a gap

    # What its client is told.

    def heard(self, uid: int) -> None:
        if self.member is None:
            return
        self.world.books.hear(self.member, uid, self._trail)

    def _trail(self) -> str:
        came = list(getattr(self.client, "came", ()))
        return f"; its last steps: {list(self.steps)[-16:]}; what came: {came}"

    def noted(self, what: str) -> None:
        """Keep it for a failure's trail; what happens again and again, once with its number."""
        if what == self._step:
            self._times += 1
            self.steps[-1] = f"{what} ({self._times} times)"
        else:
            self._step, self._times = what, 1
            self.steps.append(f"{time.monotonic() % 1000:.2f} s: {what}")

    def told(self, why: str) -> None:
        self.noted(f"told {why}")
        if self.member is not None:
            self.world.books.tell(self.member)

    def shaken(self, why: str) -> None:
        self.noted(f"told of a gap: {why}")
        if self.member is not None:
            self._rooms = self.member.rooms
            self.world.books.shake(self.member)

    def forgotten(self, why: str) -> None:
        self.noted(f"forgotten: {why}")
        self.user_id, self._rooms = "", None
        if self._saying is not None:
            self._saying.is_repeated = True
        self._begin(is_lost=True)
        assert self.member is not None
        self.world.books.arrived(self.member)
        if self._joining:  # by whom it is asked again
            self.world.books.joining(self.member, self._joining)

    def ended(self, why: str) -> None:
        self.noted(f"ended: {why}")
        self._over = why

    def _begin(self, *, is_lost: bool) -> None:
        """Be a new member; the one before has ended in that way, or was none."""
        books = self.world.books
        if self.member is not None:
            books.end(self.member, is_lost=is_lost)
        self._nth += 1
        self.member = books.begin(f"{self.name}.{self._nth}")

    # Its life.

    async def live(self) -> None:
        """Come, act, and rest when all do, until the world ends."""
        await self._come()
        while not self.world.is_closing:
            self.client.look()
            if self._over:
                self.world.fail(f"{self.name} was ended: {self._over}; {list(self.steps)}")
                self._over = ""
                await self._anew()
            if self._rooms is not None:
                await self._set_right()
                continue
            if self.world.is_pausing:
                await self._rest()
                continue
            await self._act()
            await asyncio.sleep(self.random.expovariate(1 / self.world.pace_s))
        self.is_idle = False
        await self.client.close()

    async def _rest(self) -> None:
        if not self.user_id or not self.member or not self.member.rooms:
            await self._join()
        self.is_idle = bool(self.user_id)
        await asyncio.sleep(0.05)
        if not self.world.is_pausing:
            self.is_idle = False

    async def _come(self) -> None:
        for _ in range(TRIES):
            self.client = self.make(self.world.door_url, self, random.Random(self.random.random()))
            # A member from before the first word comes: it may hear something at once.
            self._begin(is_lost=False)
            try:
                member = self.member
                await self.client.open()
                if self.member is member is not None:
                    self.world.books.arrived(member)
                break
            except Exception as exc:  # while no node is there
                self.noted(f"could not come: {exc!r}")
                await asyncio.sleep(0.3)
        else:
            self.world.fail(f"{self.name} cannot connect: {list(self.steps)}")
            return
        await self._join()

    async def _anew(self) -> None:
        """Say goodbye, and come as somebody new."""
        self.user_id = ""
        assert self.member is not None
        self.world.books.end(self.member, is_lost=bool(self._over))
        await self.client.close()
        await self._come()

    async def _act(self) -> None:
        dice = self.random.random()
        if dice < 0.66:
            await self._say()
        elif dice < 0.74:
            await self._join()
        elif dice < 0.79:
            await self._leave()
        elif dice < 0.88:
            await self._ask()
        elif dice < 0.98:
            self.noted("cuts")
            self.client.cut()
        else:
            self.noted("anew")
            await self._anew()

    async def _say(self) -> None:
        member, books = self.member, self.world.books
        assert member is not None
        rooms = sorted(member.rooms) or [EVERYBODY]
        room = self.random.choice([*rooms, *rooms, EVERYBODY, member.own_room])
        is_skipping = room not in (member.own_room,) and self.random.random() < 0.15
        said = books.say(member, room, is_skipping=is_skipping)
        self.noted(f"says {said.uid} to {room}")
        pad = "x" * self.random.choice(PADS)
        data = {"uid": said.uid, "room": room, "pad": pad, "skip": is_skipping}
        self._saying = said
        try:
            answer = await self.client.ask("say", data)
        except Doubt as exc:
            self.noted(f"in doubt of {said.uid}: {exc}")
            books.doubt(said)
            return
        finally:
            self._saying = None
        if answer != said.uid:
            self.world.fail(f"{self.name} said {said.uid}, was answered {answer!r:.300}")
        if self.member is not member:  # it was asked again by a new session
            books.doubt(said)
        else:
            books.done(said)

    async def _join(self) -> None:
        room = self.random.choice(ROOMS)
        for _ in range(TRIES):
            member = self.member
            assert member is not None
            if room in member.rooms:
                return
            stay = self.world.books.joining(member, room)
            self.noted(f"joins {room}")
            user_id = await self._ask_to_join(room)
            if user_id is None:
                self._rooms = member.rooms  # it may be in it: to be set right
                return
            if self.member is member:
                self.user_id = user_id
                self.world.books.joined(stay)
                return

    async def _set_right(self) -> None:
        """Join its rooms again, and leave all others, since the hub may have it in others."""
        self.is_idle = False
        rooms, member, books = self._rooms or frozenset(), self.member, self.world.books
        self._rooms = None
        assert member is not None
        for room in ROOMS:
            stay, stays = None, []
            if room in rooms:
                stay = books.joining(member, room)
                is_sure = await self._ask_to_join(room) is not None
            else:
                stays = books.leaving(member, room)
                is_sure = await self._until_sure("leave", {"room": room}) is not None
            if self.member is not member:  # somebody new, who may be in it, too
                assert self.member is not None
                self._rooms = self.member.rooms
                return
            if self._rooms is not None or not is_sure:
                self._rooms = (self._rooms or frozenset()) | rooms  # all of it once more
                return
            if stay is not None:
                books.joined(stay)
            else:
                books.left(stays)

    async def _leave(self) -> None:
        member = self.member
        assert member is not None
        rooms = sorted(member.rooms)
        if len(rooms) < 2:
            return
        room = self.random.choice(rooms)
        stays = self.world.books.leaving(member, room)
        self.noted(f"leaves {room}")
        if await self._until_sure("leave", {"room": room}) is not None:
            self.world.books.left(stays)
        elif self.member is member:
            self._rooms = member.rooms

    async def _ask_to_join(self, room: str) -> Any:
        self._joining = room
        try:
            return await self._until_sure("join", {"room": room})
        finally:
            self._joining = ""

    async def _until_sure(self, event: str, data: Any) -> Any:
        """Ask until there is an answer, since asking twice does no harm; None: there was none."""
        for _ in range(TRIES * 4):
            try:
                answer = await self.client.ask(event, data)
            except Doubt as exc:
                self.noted(f"in doubt of {event} {data['room']}: {exc}")
                if self._over or self.world.is_closing:
                    return None
                await asyncio.sleep(0.1)
                continue
            if not isinstance(answer, str):
                self.world.fail(f"{self.name} asked for {event}, was answered {answer!r:.300}")
                return None
            self.noted(f"was answered: {event} {data['room']}")
            return answer
        return None

    async def _ask(self) -> None:
        """Ask another, by way of the hub: the answer must be right, or an error."""
        other = self.random.choice(self.world.people)
        if not other.user_id:
            return
        number = self.random.randrange(10**6)
        self.noted(f"asks {other.name}")
        try:
            answer = await self.client.ask("ask", {"uid": number, "user": other.user_id})
        except Doubt:
            self.world.answers["in doubt"] += 1
            return
        except Exception as exc:  # CallFailed: the hub said that it could not
            answer = {"error": str(exc)}
        if answer == number + 1:
            self.world.answers["right"] += 1
        elif isinstance(answer, dict) and len(answer) <= 3:
            self.world.answers["an error in its place"] += 1
            self.noted(f"was answered {answer!r:.200}")
        else:
            self.world.fail(f"{self.name} asked {number}, was answered {answer!r:.300}")
