from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.replays.rig import kinds, steps
from wslab.replays.comparison import MAX_PENDING, Comparison
from wslab.replays.differences import DifferenceLog
from wslab.replays.matching import Matcher, new_matcher

TEN = list("abcdefghij")


def compared(expected: list[str], *, matcher: Matcher | None = None):
    log = DifferenceLog()
    matcher = matcher or Matcher()
    return log, Comparison(steps("client", *expected), "client", matcher, log, "one")


def differences(expected: list[str], seen: list[str], *, matcher: Matcher | None = None):
    log, comparison = compared(expected, matcher=matcher)
    for n, data in enumerate(seen):
        comparison.see(data, 0.1 * n)
    comparison.finish("the end")
    return log.snapshot()


@given(st.lists(st.sampled_from("aab"), max_size=60))
def test_the_same_has_no_difference(messages):
    assert not differences(messages, messages)


def test_each_kind():
    assert kinds(differences(TEN, [*TEN[:4], *TEN[5:]])) == ["missing"]
    assert kinds(differences(TEN, [*TEN[:4], "x", *TEN[4:]])) == ["extra"]
    assert kinds(differences(TEN, [*TEN[:4], "x", *TEN[5:]])) == ["changed"]
    assert kinds(differences(TEN, [*TEN[:4], "f", "e", *TEN[6:]])) == ["order"]
    assert kinds(differences(TEN, ["j", *TEN[:9]])) == ["order"]
    assert kinds(differences(TEN, [*TEN[1:], "a"])) == ["order"]
    assert kinds(differences(TEN, [*TEN, "x"])) == ["extra"]


@given(st.data())
def test_one_that_is_planted_is_the_one_that_is_found(data):
    messages = [f"message {n}" for n in range(data.draw(st.integers(2, 80)))]
    seen = messages.copy()
    place = data.draw(st.integers(0, len(messages) - 2))
    kind = data.draw(st.sampled_from(["missing", "extra", "changed", "order"]))
    if kind == "missing":
        del seen[place]
    elif kind == "extra":
        seen.insert(place, "x")
    elif kind == "changed":
        seen[place] = "x"
    else:
        seen[place : place + 2] = reversed(seen[place : place + 2])
    [found] = differences(messages, seen)
    assert found.kind == kind
    if kind in ("missing", "changed"):
        assert found.number == place + 1
    elif kind == "extra":
        assert found.number == place
        assert found.seen_number == place + 1


@given(st.data())
def test_some_that_are_planted_apart(data):
    messages = [f"message {n}" for n in range(100)]
    seen, planted = [], []
    for n, message in enumerate(messages):
        kind = data.draw(st.sampled_from(["missing", "extra", "changed"])) if n % 5 == 0 else ""
        planted += [kind] if kind else []
        seen += {"": [message], "missing": [], "extra": ["x", message], "changed": ["x"]}[kind]
    assert kinds(differences(messages, seen)) == planted


@given(
    st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abcx"), max_size=40)
)
def test_any_two_add_up(expected, seen):
    found = kinds(differences(expected, seen))
    short, long = found.count("missing"), found.count("extra")
    assert len(expected) - short == len(seen) - long
    assert bool(found) is (expected != seen)


class TestProgress:
    def test_a_message_counts_whatever_it_says(self):
        _, comparison = compared(TEN)
        comparison.see("x", 0.0)
        assert comparison.reached == 1
        comparison.see("a", 0.0)
        assert comparison.reached == 1
        comparison.see("b", 0.0)
        assert comparison.reached == 2

    def test_what_is_passed_over(self):
        _, comparison = compared(TEN)
        comparison.see("b", 0.0)
        assert comparison.reached == 2
        comparison.see("c", 0.0)
        assert (comparison.reached, comparison.left) == (3, 7)

    def test_what_is_bound_behind_a_difference(self):
        matcher = new_matcher("exact", bind=["id"])
        expected = ["first", '{"id":"old"}', "last"]
        _, comparison = compared(expected, matcher=matcher)
        comparison.see("changed", 0.0)
        comparison.see('{"id":"new"}', 0.0)
        assert matcher.replaced('{"id":"old"}') == '{"id":"new"}'

    def test_what_a_changed_message_binds(self):
        matcher = new_matcher("exact", bind=["id"])
        expected = ['{"id":"old","a":1}', '{"id":"old","a":2}']
        log, comparison = compared(expected, matcher=matcher)
        comparison.see('{"id":"new","a":9}', 0.0)
        assert matcher.replaced('{"id":"old"}') == '{"id":"new"}'  # it may stand for the first
        comparison.see('{"id":"new","a":2}', 0.0)
        comparison.finish("the end")
        [found] = log.snapshot()
        assert (found.kind, found.note) == ("changed", "a: 1 → 9")
        assert matcher.bound == {"old": "new"}

    def test_what_was_taken_for_a_changed_one_binds_nothing(self):
        matcher = new_matcher("exact", bind=["id"])
        expected = ['{"id":"old","a":1}', '{"id":"old","a":2}', "end"]
        log, comparison = compared(expected, matcher=matcher)
        for message in ('{"id":"x","a":9}', '{"id":"new","a":1}', '{"id":"new","a":2}', "end"):
            comparison.see(message, 0.0)
        assert kinds(log.snapshot()) == ["extra"]
        assert matcher.bound == {"old": "new"}
        assert matcher._guessed == {}

    def test_giving_up(self):
        log, comparison = compared(TEN)
        comparison.see("a", 0.0)
        comparison.give_up("it did not come within 1 s")
        [found] = log.snapshot()
        assert (found.kind, found.expected, found.note) == (
            "missing",
            "b",
            "it did not come within 1 s",
        )
        comparison.see("b", 0.0)
        for message in TEN[2:]:
            comparison.see(message, 0.0)
        comparison.finish("the end")
        assert kinds(log.snapshot()) == ["order"]

    def test_what_it_was_taken_for_comes_after_the_end(self):
        log, comparison = compared(["a"])
        comparison.see("x", 0.0)
        comparison.finish("the record was over")
        assert kinds(log.snapshot()) == ["changed"]
        comparison.see("a", 0.0)
        [found] = log.snapshot()
        assert (found.kind, found.seen) == ("extra", "x")


def test_a_peer_that_sends_what_nobody_expects():
    """However much it sends, little is held and little is done."""
    log, comparison = compared([f"message {n}" for n in range(100_000)])
    big = "x" * 2**17
    for _ in range(3 * MAX_PENDING):
        comparison.see(big, 0.0)
        assert len(comparison._pending) < MAX_PENDING
        assert comparison._pending_bytes <= 2**20
    for n in range(2_000):
        comparison.see(f"y{n}", 0.0)
    found = log.snapshot()
    assert len(found) == 1_000
    assert found.dropped > 1_000
    assert max(len(each.seen or "") for each in found) == 4096
    assert {each.seen_size for each in found} >= {2**17}


def test_no_token_is_shown():
    welcome = '{{"event":"welcome","data":{{"session":"{}","n":{}}}}}'
    said = [welcome.format("s3cretS3cret-1", 1), welcome.format("s3cretS3cret-2", 2)]
    for match in ("exact", "json"):
        [found] = differences(said[:1], said[1:], matcher=new_matcher(match))
        assert "s3cret" not in repr(found)
        assert '"session":"[redacted]' in found.expected
        assert found.note == "data.n: 1 → 2"
