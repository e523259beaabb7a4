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


def test_so_many_bytes_pass_in_a_second_and_no_packet_in_parts():
    pipe = Pipe(Conditions(bytes_per_s=1_000, delay_s=1.0), "seed")
    pipe.put(b"a" * 2_000, 0.0)
    assert pipe.due_s() == 1.0 + 1.448
    assert (pipe.take(2.4, 10_000), len(pipe.take(2.45, 10_000))) == (None, 1_448)
    assert pipe.due_s() == 3.0
    assert pipe.take(3.0, 10_000) == b"a" * 552


def test_another_rate_holds_for_what_is_held_and_makes_up_for_nothing():
    conditions = Conditions(bytes_per_s=10)
    pipe = Pipe(conditions, "seed")
    pipe.put(b"a" * 100_000, 0.0)
    conditions.bytes_per_s = 10_000
    pipe.note_change(60.0)
    taken = sum(len(what) for what in drained(pipe, 60.0, 100_000))
    assert taken <= 1_448
    taken += sum(len(what) for what in drained(pipe, 61.0, 100_000))
    assert 10_000 <= taken <= 12_000


def test_what_waits_for_its_time_can_be_let_go():
    pipe = Pipe(Conditions(delay_s=60.0), "seed")
    pipe.put(b"early", 0.0)
    pipe.put(Mark.FIN, 5.0)
    pipe.hasten()
    assert drained(pipe, 5.0) == [b"early", Mark.FIN]
    assert pipe.is_empty


def test_a_seed_repeats_the_jitter():
    def times(seed: str) -> list[float | None]:
        pipe = Pipe(Conditions(jitter_s=1.0), seed)
        found = []
        for number in range(5):
            pipe.put(b"x", 10.0 * number)
            found.append(pipe.due_s())
            drained(pipe, 10.0 * number + 1)
        return found

    assert times("7") == times("7") != times("8")


def test_many_small_writes_on_a_long_way_are_few_pieces():
    pipe = Pipe(Conditions(delay_s=100.0, jitter_s=100.0), "seed")
    for number in range(50_000):
        pipe.put(b"x", number / 1_000)
    assert len(pipe._coming) < 1_000


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "take", "cut", "restore", "rate", "delay", "clear"]),
            st.integers(1, 2_000),
            st.sampled_from([0.0, 0.001, 0.3]),
        )
    )
)
def test_whatever_changes_meanwhile_all_arrives_once_and_in_order(steps):
    conditions = Conditions(jitter_s=0.05)
    pipe, sent, came, now_s = Pipe(conditions, "seed"), b"", b"", 0.0

    def take() -> bytes:
        return b"".join(what for what in drained(pipe, now_s) if isinstance(what, bytes))

    for number, (step, figure, gap_s) in enumerate(steps):
        match step:
            case "put":
                data = bytes([number % 256]) * figure
                pipe.put(data, now_s)
                sent += data
            case "take":
                came += take()
            case "cut":
                conditions.cut()
            case "restore":
                conditions.restore()
            case "rate":
                conditions.bytes_per_s = None if figure % 3 == 0 else figure * 10
            case "delay":
                conditions.delay_s = figure / 1_000
            case "clear":
                pipe.hasten()
        if step not in ("put", "take"):
            pipe.note_change(now_s)
        assert pipe.size_bytes == len(sent) - len(came)
        now_s += gap_s
    conditions.restore()
    while (due_s := pipe.due_s()) is not None:
        now_s = max(now_s, due_s)
        came += take()
    assert came == sent


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
