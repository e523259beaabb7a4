"""What comes from Redis is told in order, once, and whole: a model of Redis and one node."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from wslab.hub.backplane.redis.feed import Feed, Hold

STREAMS = ("a", "b", "c")


class Event(NamedTuple):
    offset: int
    streams: dict[str, int]
    size_bytes: int = 10


@dataclass
class Reading:
    hold: Hold
    is_sent: bool = False


class World:
    """One Redis and one node, whose messages travel as far as a seed lets them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.feed: Feed[Event] = Feed(10**6)
        self.counter = 0
        self.last: dict[str, int] = {}
        self.log: list[Event] = []
        self.subscribed: set[str] = set()
        # Published, and not heard yet; and what was read, behind all that was published before.
        self.on_the_way: list[Event | tuple[Hold, list[Event]]] = []
        self.asked: list[str] = []  # to be subscribed
        self.readings: list[tuple[Hold, str | None]] = []  # which wait for a subscription, or none
        self.joined: dict[str, int] = {}
        self.told: list[int] = []

    def emit(self) -> None:
        self.counter += 10
        streams = self.random.sample(STREAMS, self.random.randint(1, 2))
        event = Event(self.counter, {each: self.last.get(each, 0) for each in streams})
        self.last.update(dict.fromkeys(streams, self.counter))
        self.log.append(event)
        self.on_the_way += [event for each in streams if each in self.subscribed]

    def join(self) -> None:
        stream = self.random.choice(STREAMS)
        if stream not in self.feed.seen:
            self.joined[stream] = self.counter
            self.readings.append((self.feed.follow(stream, self.counter), stream))
            self.asked.append(stream)

    def subscribe(self) -> None:
        if self.asked:
            self.subscribed.add(self.asked.pop(0))

    def hear(self) -> None:
        if self.on_the_way:
            event = self.on_the_way.pop(0)
            if not isinstance(event, Event):
                hold, found = event
                self.feed.filled(hold, [(each, each.streams) for each in found])
                self.tell()
                return
            gap = self.feed.came(event, event.streams)
            if gap is not None:
                self.readings.append((gap, None))
            self.tell()

    def read(self) -> None:
        ready = [each for each in self.readings if each[1] is None or each[1] in self.subscribed]
        if ready:
            chosen = self.random.choice(ready)
            self.readings.remove(chosen)
            self.fill(chosen[0])

    def fill(self, hold: Hold) -> None:
        found = {
            event.offset: event
            for stream, since in hold.since.items()
            for event in self.log
            if stream in event.streams and event.offset > since
        }
        self.on_the_way.append((hold, [found[each] for each in sorted(found)]))

    def lose(self) -> None:
        """The connection breaks: what is on the way is gone, and all is read again."""
        self.on_the_way.clear()
        self.subscribed.update(self.asked)
        self.asked.clear()
        self.readings = [(self.feed.hold_all(), None)]
        self.tell()

    def drop(self) -> None:
        """Redis forgets one message on its way, without a word."""
        if self.on_the_way:
            at = self.random.randrange(len(self.on_the_way))
            if isinstance(self.on_the_way[at], Event):
                del self.on_the_way[at]

    def tell(self) -> None:
        while (event := self.feed.next()) is not None:
            self.told.append(event.offset)

    def settle(self) -> None:
        while self.asked or self.on_the_way or self.readings:
            self.subscribe()
            self.hear()
            self.read()

    def expected(self) -> list[int]:
        return [
            event.offset
            for event in self.log
            if any(event.offset > self.joined.get(each, 10**9) for each in event.streams)
        ]


STEPS = ("emit", "join", "subscribe", "hear", "read", "lose")


@given(st.integers(0, 10**6), st.lists(st.sampled_from(STEPS), max_size=60))
@settings(max_examples=600)
def test_everything_is_told_once_and_in_order(seed: int, steps: list[str]) -> None:
    world = World(seed)
    for step in steps:
        getattr(world, step)()
    world.settle()
    assert world.told == world.expected()
    assert (len(world.feed), world.feed.size_bytes, world.feed.late) == (0, 0, 0)
    assert world.feed.holds == ()


@given(st.integers(0, 10**6), st.lists(st.sampled_from((*STEPS, "drop")), max_size=60))
@settings(max_examples=600)
def test_what_is_lost_without_a_word_is_noticed_with_the_next_and_told_once(
    seed: int, steps: list[str]
) -> None:
    world = World(seed)
    for step in steps:
        getattr(world, step)()
    for stream in STREAMS:  # one more of each, which all are heard
        world.settle()
        world.counter += 10
        event = Event(world.counter, {stream: world.last.get(stream, 0)})
        world.last[stream] = world.counter
        world.log.append(event)
        world.on_the_way += [event] * (stream in world.subscribed)
    world.settle()
    assert sorted(world.told) == world.expected()
    assert (world.told == sorted(world.told)) is (world.feed.late == 0)


def test_no_event_waits_for_a_hold_that_began_after_it_came() -> None:
    feed: Feed[Event] = Feed(100)
    first, told = feed.follow("a", 0), []

    def tell() -> None:
        while (event := feed.next()) is not None:
            told.append(event.offset)

    feed.came(Event(10, {"a": 0}), {"a": 0})
    second = feed.follow("b", 0)
    feed.came(Event(20, {"a": 10}), {"a": 10})
    tell()
    assert told == []
    feed.filled(first, [])
    tell()
    assert told == [10]
    feed.end(second)
    tell()
    assert told == [10, 20]


def test_what_was_read_and_is_not_wanted_is_not_read_again() -> None:
    feed: Feed[Event] = Feed(100)
    hold = feed.follow("a", 0)
    feed.filled(hold, [], {"a": 20, "b": 5})  # what was said before somebody joined
    assert feed.seen == {"a": 20}
    assert feed.came(Event(30, {"a": 20}), {"a": 20}) is None
    assert feed.next() is not None


def test_what_waits_can_be_let_go_of() -> None:
    feed: Feed[Event] = Feed(100)
    feed.follow("a", 0)
    feed.came(Event(10, {"a": 0}), {"a": 0})
    assert (len(feed), feed.size_bytes) == (1, 10)
    assert len(feed.clear()) == 1
    assert (len(feed), feed.size_bytes, feed.next()) == (0, 0, None)


def test_a_stream_that_is_left_is_not_read_any_more() -> None:
    feed: Feed[Event] = Feed(100)
    hold = feed.follow("a", 0)
    feed.unfollow("a")
    feed.unfollow("a")
    assert feed.hold_all().since == {}
    assert feed.filled(hold, [(Event(10, {"a": 0}), ["a"])]) == 0  # it is no longer open
