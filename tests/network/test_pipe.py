"""One direction of a connection: order, times, cuts, marks, and what it costs."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from wslab.network.conditions import Conditions
from wslab.network.pipe import Mark, Pipe


def drained(pipe: Pipe, now_s: float, max_bytes: int = 1_000) -> list[bytes | Mark]:
    came = []
    while (what := pipe.take(now_s, max_bytes)) is not None:
        came.append(what)
    return came


def test_bytes_that_are_there_are_joined_and_marks_come_behind_them():
    pipe = Pipe(Conditions(), "seed")
    for what in (b"ab", b"c", Mark.FIN, Mark.RST):
        pipe.put(what, 0.0)
    assert pipe.size_bytes == 3
    assert drained(pipe, 0.0) == [b"abc", Mark.FIN, Mark.RST]
    assert (pipe.size_bytes, pipe.take(9.0, 10)) == (0, None)


def test_a_read_takes_no_more_than_it_may():
    pipe = Pipe(Conditions(), "seed")
    pipe.put(b"abcdefg", 0.0)
    assert drained(pipe, 0.0, max_bytes=3) == [b"abc", b"def", b"g"]


def test_bytes_come_when_they_are_due_and_the_next_time_is_known():
    conditions = Conditions(delay_s=2.0)
    pipe = Pipe(conditions, "seed")
    assert pipe.due_s() is None
    pipe.put(b"first", 10.0)
    pipe.put(b"second", 11.0)
    assert (pipe.due_s(), pipe.take(11.9, 100)) == (12.0, None)
    assert (pipe.take(12.0, 100), pipe.due_s()) == (b"first", 13.0)
    assert pipe.take(13.0, 100) == b"second"


def test_what_is_written_later_is_not_earlier_for_being_joined():
    pipe = Pipe(Conditions(delay_s=1.0), "seed")
    pipe.put(b"a", 0.0)
    pipe.put(b"b", 1.5)  # the first has come, and nobody has read it
    assert pipe.take(2.0, 100) == b"a"
    assert pipe.take(2.5, 100) == b"b"


def test_a_line_that_is_cut_tells_nothing():
    conditions = Conditions()
    pipe = Pipe(conditions, "seed")
    pipe.put(b"a", 0.0)
    pipe.put(Mark.RST, 0.0)
    assert pipe.has_reset(0.0)
    conditions.cut()
    assert (pipe.take(9.0, 100), pipe.due_s(), pipe.has_reset(9.0)) == (None, None, False)
    conditions.restore()
    assert drained(pipe, 9.0) == [b"a", Mark.RST]


def test_what_is_dropped_is_the_last_and_no_mark():
    pipe = Pipe(Conditions(delay_s=1.0), "seed")
    for at_s in range(3):
        pipe.put(b"abcd", float(at_s))
    pipe.put(Mark.FIN, 3.0)
    pipe.drop_beyond(6)
    assert pipe.size_bytes == 6
    assert drained(pipe, 9.0) == [b"abcdab", Mark.FIN]


@given(
    sizes=st.lists(st.integers(1, 3_000), min_size=1, max_size=20),
    seed=st.integers(0, 2**32),
    max_chunk_bytes=st.one_of(st.none(), st.integers(1, 500)),
    delay_s=st.sampled_from([0.0, 0.1]),
    jitter_s=st.sampled_from([0.0, 0.0004, 5.0]),
    gap_s=st.sampled_from([0.0, 0.0003, 0.5]),
)
def test_all_arrives_once_and_in_order(sizes, seed, max_chunk_bytes, delay_s, jitter_s, gap_s):
    conditions = Conditions(delay_s=delay_s, jitter_s=jitter_s, max_chunk_bytes=max_chunk_bytes)
    pipe = Pipe(conditions, str(seed))
    now_s, came = 0.0, []
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    for chunk in sent:
        pipe.put(chunk, now_s)
        came += drained(pipe, now_s)
        now_s += gap_s
    pipe.put(Mark.FIN, now_s)
    while (due_s := pipe.due_s()) is not None:
        assert due_s <= now_s + delay_s + jitter_s
        came += drained(pipe, due_s)
    assert came.pop() is Mark.FIN
    assert b"".join(came) == b"".join(sent)
    assert max(map(len, came)) <= (max_chunk_bytes or 1_000)
    assert pipe.size_bytes == 0


@given(st.lists(st.integers(1, 400), min_size=1), st.lists(st.integers(1, 400), min_size=1))
def test_a_seed_cuts_the_same_bytes_at_the_same_places(some, others):
    def cuts(sizes: list[int], seed: str = "7") -> set[int]:
        pipe, at, found = Pipe(Conditions(max_chunk_bytes=50), seed), 0, set()
        left = 2_000
        for size in [*sizes, left]:
            pipe.put(bytes(min(size, left)), 0.0)
            left -= min(size, left)
            for chunk in drained(pipe, 0.0):
                at += len(chunk)
                found.add(at)
            if not left:
                return found
        raise AssertionError

    def ends(sizes: list[int]) -> set[int]:
        return {sum(sizes[:number]) for number in range(len(sizes) + 1)}

    # However it is written, it is cut there, and where one read had to end.
    assert cuts(some) - ends(some) <= cuts(others) | ends(others)
    assert cuts([2_000]) == cuts([2_000]) != cuts([2_000], "8")


def test_many_small_writes_cost_little_more_than_their_bytes():
    pipe = Pipe(Conditions(), "seed")
    tracemalloc.start()
    try:
        for number in range(100_000):
            pipe.put(b"x", number / 50)  # nobody reads
        held_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert pipe.size_bytes == 100_000
    assert held_bytes < 2 * 100_000
