"""The books: what was said, who was in which room when, what each heard and was told. Pure.

Its rule: nothing here knows what is tested. Everything that the rig does, or sees a client get, is
noted with the next number of one count; a thing that takes time has two of them, since between
asking and being answered nobody can know. `close` is called when all is quiet: what a member must
have heard by then and has not is *told* where it was told of a gap after that was said, and else
*lost*. Left out: answers and presence, which the rig compares as they come.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["EVERYBODY", "Books", "Member", "Page", "Said"]

EVERYBODY = "*"
PEACE = ("", "nothing")  # when no fault goes on
NEVER = 2**62


@dataclass(eq=False, slots=True)
class Stay:
    """One member's time in one room.

    Args:
        joining: when it asked to join.
        joined: when it was answered; until then nobody knows.
        leaving: when it asked to leave.
        left: when that was answered.
    """

    joining: int
    joined: int = NEVER
    leaving: int = NEVER
    left: int = NEVER


@dataclass(eq=False, slots=True)
class Said:
    """One message.

    Args:
        uid: its number, which nothing else has.
        room: to whom; `EVERYBODY`, or one member alone (see `Member.own_room`).
        sender: the member that said it, or None: a node's own program.
        begun: when it was said.
        fault: what was going on, or "".
        is_skipping: whether its sender is left out.
        done: when its sender was answered.
        is_unsure: its sender was told that nobody knows what became of it.
        is_repeated: its sender was told that its session is unknown; it may say it once more.
    """

    uid: int
    room: str
    sender: Member | None
    begun: int
    fault: str
    is_skipping: bool = False
    done: int = NEVER
    is_unsure: bool = False
    is_repeated: bool = False


@dataclass(eq=False, slots=True)
class Member:
    """One session of one client, over all its connections."""

    name: str
    began: int
    stays: dict[str, list[Stay]] = field(default_factory=lambda: collections.defaultdict(list))
    heard: set[int] = field(default_factory=set)
    order: list[int] = field(default_factory=list)  # of what it heard since the books were closed
    told: int = -1  # when it was last told that something is missing
    ended: int = NEVER
    is_lost: bool = False  # its session was forgotten, and it was told so; it did not say goodbye

    @property
    def own_room(self) -> str:
        """The room that means this person alone, whichever session it has."""
        return "@" + self.name.partition(".")[0]

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it is surely in now."""
        return frozenset(
            room
            for room, stays in self.stays.items()
            if room[0] not in "*@" and stays[-1].joined != NEVER and stays[-1].leaving == NEVER
        )


@dataclass
class Page:
    """What came out for one fault; ``wrong`` are the failures in words, the first 20.

    Args:
        messages: that were said.
        due: that members had to hear, each member counted.
        lost: of these, not heard without a word.
        told: of these, not heard, and the member was told of a gap; also what it heard twice, or in
            a room that it had left, and was told so.
        twice: heard twice without a word.
        gaps: how often a member was told that something may be missing.
        unsure: messages whose sender was told that nobody knows.
        disordered: heard in another order than they were said, or than by others, while a fault
            went on.
    """

    rounds: int = 0
    messages: int = 0
    due: int = 0
    lost: int = 0
    told: int = 0
    twice: int = 0
    gaps: int = 0
    unsure: int = 0
    disordered: int = 0
    right_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def fail(self, text: str) -> None:
        if len(self.wrong) < 200:
            self.wrong.append(text)


class Books:
    """All of it, for one run."""

    def __init__(self) -> None:
        self.now = 0
        self.uid = 0
        self.fault = ""
        self.members: dict[Member, None] = {}
        self.said: dict[int, Said] = {}  # since the books were closed
        self.pages: dict[str, Page] = collections.defaultdict(Page)
        self._doubtful: list[tuple[Said, Member, str]] = []
        self._before: dict[int, Said] = {}  # what came to be judged the last time

    def tick(self) -> int:
        self.now += 1
        return self.now

    @property
    def page(self) -> Page:
        """Where what happens now is noted."""
        return self.pages[self.fault]

    # Members and rooms.

    def begin(self, name: str) -> Member:
        """Note that somebody comes, as a new session.

        Args:
            name: the person's, and behind a dot what makes it this session's alone.
        """
        member = Member(name, self.tick())
        self.members[member] = None
        for room in (EVERYBODY, member.own_room):
            member.stays[room].append(Stay(member.began))
        return member

    def arrived(self, member: Member) -> None:
        """Note that it was welcomed: it hears everybody's from here, and what is for it alone."""
        for room in (EVERYBODY, member.own_room):
            member.stays[room][-1].joined = self.tick()

    def end(self, member: Member, *, is_lost: bool) -> None:
        """Note the end of a session: its goodbye, or that it was told that it is forgotten."""
        if member.ended == NEVER:
            member.ended, member.is_lost = self.tick(), is_lost
            self.page.gaps += is_lost

    def tell(self, member: Member) -> None:
        """Note that a member was told of a gap."""
        member.told = self.tick()
        self.page.gaps += 1

    def shake(self, member: Member) -> None:
        """Note that a member was told of a gap in what it did itself, too.

        It may be in rooms that it has left, and no more in some that it has joined.
        """
        self.tell(member)
        for room, stays in member.stays.items():
            for stay in stays if room[0] not in "*@" else ():
                stay.leaving, stay.left = min(stay.leaving, member.told), NEVER

    def joining(self, member: Member, room: str) -> Stay:
        """Note that a member asks to join."""
        stay = Stay(self.tick())
        member.stays[room].append(stay)
        return stay

    def joined(self, stay: Stay) -> None:
        stay.joined = self.tick()

    def leaving(self, member: Member, room: str) -> list[Stay]:
        """Note that a member asks to leave a room, by whatever stays it is in it."""
        stays, now = list(member.stays.get(room, ())), self.tick()
        for stay in stays:
            stay.leaving = min(stay.leaving, now)
        return stays

    def left(self, stays: Iterable[Stay]) -> None:
        now = self.tick()
        for stay in stays:
            stay.left = min(stay.left, now)

    # What is said and heard.

    def say(self, sender: Member | None, room: str, *, is_skipping: bool = False) -> Said:
        """Note that something is about to be said."""
        self.uid += 1
        said = Said(self.uid, room, sender, self.tick(), self.fault, is_skipping)
        self.said[said.uid] = said
        self.page.messages += 1
        return said

    def done(self, said: Said) -> None:
        """Note that its sender was answered: it is said."""
        said.done = self.tick()
        said.fault = said.fault or self.fault

    def doubt(self, said: Said) -> None:
        """Note that its sender was told that nobody knows."""
        said.is_unsure = True
        said.fault = said.fault or self.fault
        self.pages[said.fault].unsure += 1

    def hear(self, member: Member, uid: int, trail: Callable[[], str] = str) -> None:
        """Note what a client got; what is wrong about it is judged at the close.

        Args:
            member: the session.
            uid: of the message.
            trail: returns what went before, for a failure.
        """
        self.tick()
        said = self.said.get(uid) or self._before.get(uid)
        if said is None:
            self.page.fail(f"{member.name} heard {uid}, which was said long ago, or never{trail()}")
            return
        wrong = ""
        if uid in member.heard:
            wrong = f"twice: {member.name} heard {uid} to {said.room} again"
        elif said.is_skipping and said.sender is member:
            wrong = f"{member.name} heard {uid}, from which it was left out"
        elif not any(stay.left >= said.begun for stay in member.stays.get(said.room, ())):
            wrong = f"{member.name} heard {uid} to {said.room}, where it was not"
        if wrong:
            self._doubtful.append((said, member, wrong + trail()))
        if uid not in member.heard:
            member.heard.add(uid)
            member.order.append(uid)

    # Whether it is right.

    def missing(self) -> Iterator[tuple[Said, Member]]:
        """Yield what members ought to have heard by now, and have not."""
        for said in self.said.values():
            for member in self.members:
                if self._is_due(said, member) and said.uid not in member.heard:
                    yield said, member

    def _is_due(self, said: Said, member: Member) -> bool:
        if said.is_unsure or said.done == NEVER or (said.is_skipping and said.sender is member):
            return False
        if member.ended < (said.begun if member.is_lost else NEVER):
            return False
        stays = member.stays.get(said.room, ())
        # Who asked to leave may be gone before it came.
        return any(stay.joined <= said.begun and stay.leaving == NEVER for stay in stays)

    def waiting(self) -> int:
        """Return how much has not been heard that nobody was told of: what is yet to come."""
        return sum(not self._is_told(said, member) for said, member in self.missing())

    @staticmethod
    def _is_told(said: Said, member: Member) -> bool:
        return said.begun <= member.told or (member.is_lost and said.begun <= member.ended)

    def close(self) -> None:
        """Judge all that was said since the last time: now everything must have come."""
        for said in self.said.values():
            self.pages[said.fault].due += sum(self._is_due(said, each) for each in self.members)
        for said, member, wrong in self._doubtful:
            page = self.pages[said.fault]
            if said.is_repeated or self._is_told(said, member):
                page.told += 1  # it was told that this may be, before or behind
            else:
                page.twice += wrong.startswith("twice")
                page.fail(wrong)
        self._doubtful.clear()
        for said, member in self.missing():
            page = self.pages[said.fault]
            if self._is_told(said, member):
                page.told += 1
            else:
                page.lost += 1
                page.fail(f"lost: {member.name} did not hear {said.uid} to {said.room}")
        self._judge_agreement()
        for member in tuple(self.members):
            self._judge_order(member)
            member.heard.difference_update(self._before)
            member.order.clear()
            if member.ended != NEVER:
                del self.members[member]
            for stays in member.stays.values():
                del stays[:-1]
        self._before, self.said = self.said, {}

    def _judge_order(self, member: Member) -> None:
        """What was said after an answer to another must be heard after that, in one room."""
        latest: dict[str, Said] = {}
        for uid in member.order:
            said = self.said.get(uid)
            if said is None:
                continue
            before = latest.get(said.room)
            if before is not None and said.done < before.begun:
                self._disordered(member, said, before)
            if before is None or before.begun < said.begun:
                latest[said.room] = said

    def _judge_agreement(self) -> None:
        """What two members of a room both heard, they must have heard in the same order."""
        heard: dict[str, list[tuple[Member, list[Said]]]] = collections.defaultdict(list)
        for member in self.members:
            by_room: dict[str, list[Said]] = collections.defaultdict(list)
            for uid in member.order:
                if (said := self.said.get(uid)) is not None:
                    by_room[said.room].append(said)
            for room, those in by_room.items():
                heard[room].append((member, those))
        for each in heard.values():
            _, longest = max(each, key=lambda one: len(one[1]))
            place = {said: nth for nth, said in enumerate(longest)}
            for member, those in each:
                before = None
                for said in those:
                    if said not in place:
                        continue
                    if before is not None and place[said] < place[before]:
                        self._disordered(member, said, before)
                    else:
                        before = said

    def _disordered(self, member: Member, said: Said, before: Said) -> None:
        fault = said.fault or before.fault
        if fault in PEACE:
            self.pages[fault].fail(f"order: {member.name} heard {said.uid} after {before.uid}")
        else:
            self.pages[fault].disordered += 1
