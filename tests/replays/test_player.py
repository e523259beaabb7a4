"""Both sides of a script played against each other, without sockets: over a line with delays."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.replays.rig import kinds, script_of
from wslab.replays.differences import DifferenceLog
from wslab.replays.matching import Matcher
from wslab.replays.player import Abort, Catch, Close, Ping, Player, Send, Wait, gap_factor
from wslab.replays.run import Run
from wslab.replays.script import Script

Said = list[tuple]


def player_of(script: Script, side: str, *, timing: object = "asap", timeout_s: float = 10.0):
    log = DifferenceLog()
    player = Player(
        Run(1, script),
        side,
        Matcher(),
        log,
        factor=gap_factor(timing),
        timeout_s=timeout_s,
        now_s=0.0,
    )
    return log, player


def played(
    scripts: dict[str, Script], *, seed: int, timing: object = "asap", jitter_s: float = 1.0
):
    """Play the client's side of one script against the server's of another; return both logs.

    What one sends comes to the other in order, up to a second later.
    """
    rng = random.Random(seed)
    log, player, arrival = {}, {}, {"client": 0.0, "server": 0.0}
    for side, script in scripts.items():
        log[side], player[side] = player_of(script, side, timing=timing, timeout_s=100.0)
    events = [(0.0, 0, side, None) for side in scripts]  # when, which, whose turn, what came
    serial = 0
    waiting = dict.fromkeys(scripts, 0)  # the number of the event that is waited for
    while events:
        now_s, number, side, came = heapq.heappop(events)
        assert serial < 10_000, "it does not end"
        other = "client" if side == "server" else "server"
        if came is None and waiting[side] != number:
            continue  # a wait that something has ended
        if came is not None:
            kind, *what = came
            if kind == "message":
                player[side].message(what[0], now_s)
            elif not player[side].is_over:
                player[side].closed(*what, now_s, by_us=False)
        while not player[side].is_over:
            action = player[side].next(now_s)
            serial += 1
            arrival[other] = max(arrival[other], now_s + rng.random())
            if isinstance(action, Send):
                heapq.heappush(events, (arrival[other], serial, other, ("message", action.data)))
            elif isinstance(action, Wait):
                if action.at_most_s is not None:
                    waiting[side] = serial
                    heapq.heappush(events, (now_s + action.at_most_s, serial, side, None))
                else:
                    waiting[side] = -1
                break
            elif isinstance(action, Catch):
                # Its ping goes there and its pong comes back, behind all that was on its way.
                back_s = max(arrival[side], arrival[other]) + 1e-6
                arrival[side] = back_s
                waiting[side] = serial
                heapq.heappush(events, (back_s, serial, side, None))
                break
            elif isinstance(action, Close | Abort):
                code = (action.code, action.reason) if isinstance(action, Close) else (1006, "")
                heapq.heappush(events, (arrival[other], serial, other, ("closed", *code)))
                player[side].closed(*code, now_s, by_us=True)
            else:
                assert isinstance(action, Ping)
    return {side: one.snapshot() for side, one in log.items()}


MESSAGES = st.lists(
    st.tuples(st.sampled_from(["client", "server"]), st.sampled_from(["a", "b", b"c"])),
    max_size=30,
)
ENDS = st.sampled_from(
    [[], [("client", "close", 1000, "bye")], [("server", "close", 4000)], [("server", "close")]]
)


@given(MESSAGES, ENDS, st.integers(0, 99), st.sampled_from(["asap", "recorded", 3.0]))
def test_a_clean_replay_has_no_differences_on_either_side(said, end, seed, timing):
    script = script_of(*said, *end)
    found = played({"client": script, "server": script}, seed=seed, timing=timing)
    assert kinds(found["client"]) == kinds(found["server"]) == []


@given(MESSAGES.filter(len), st.data(), st.integers(0, 99))
def test_a_planted_difference_is_seen_by_the_other_side(said, data, seed):
    place = data.draw(st.integers(0, len(said) - 1))
    sender = said[place][0]
    planted = list(said)
    planted[place] = (sender, "x")
    clean, live = script_of(*said), script_of(*planted)
    other = "client" if sender == "server" else "server"
    found = played({sender: live, other: clean}, seed=seed)
    assert kinds(found[other]) == ["changed"]
    assert found[other][0].number == place + 1
    assert kinds(found[sender]) == []


class TestTiming:
    @pytest.mark.parametrize(
        ("timing", "factor"), [("asap", 0.0), ("recorded", 1.0), (2.0, 0.5), (1, 1.0)]
    )
    def test_factors(self, timing, factor):
        assert gap_factor(timing) == factor

    @pytest.mark.parametrize("timing", ["fast", 0, -1.0, float("inf"), True, None, float("nan")])
    def test_no_timing(self, timing):
        with pytest.raises(ValueError, match="how many times as fast"):
            gap_factor(timing)

    def test_a_pause_counts_from_the_step_before(self):
        script = script_of(("client", "a"), ("server", "b"), ("server", "c"))
        _, player = player_of(script, "server", timing=2.0)
        assert player.next(0.0) == Wait(pytest.approx(10.025))
        player.message("a", 5.0)
        assert player.next(5.0) == Wait(pytest.approx(0.05))
        assert player.next(5.05) == Send("b")
        assert player.next(5.05) == Wait(pytest.approx(0.05))
        assert player.next(5.5) == Send("c")
        assert player.next(5.5) == Wait(None)
        assert player.is_played


def test_pings_are_played_and_those_of_the_other_side_are_not_waited_for():
    script = script_of(("server", "ping", b"1"), ("client", "ping", b"2"), ("server", "a"))
    _, player = player_of(script, "server")
    assert player.next(0.0) == Ping(b"1")
    assert player.next(0.0) == Send("a")


class TestSilence:
    def test_a_message_that_does_not_come(self):
        script = script_of(("client", "a"), ("server", "b"), ("client", "c"))
        log, player = player_of(script, "server", timeout_s=5.0)
        assert player.next(0.0) == Wait(5.0)
        assert player.next(5.0) == Send("b")
        player.message("c", 6.0)
        assert player.next(6.0) == Wait(None)
        [found] = log.snapshot()
        assert (found.kind, found.expected) == ("missing", "a")
        assert found.note == "it did not come within 5 s"

    def test_three_in_a_row_are_the_end(self):
        said = [("client", str(n)) for n in range(100)]
        script = script_of(*said, ("server", "close", 1000))
        log, player = player_of(script, "server", timeout_s=5.0)
        for now_s in (0.0, 5.0, 10.0):
            assert player.next(now_s) == Wait(5.0)
        assert player.next(15.0) == Catch()
        assert player.next(15.0) == Close(1000, "")
        assert kinds(log.snapshot()) == ["missing"] * 100
        assert log.snapshot()[-1].note == "nothing came in 3 waits of 5 s"

    def test_three_with_a_message_between_are_not(self):
        script = script_of(*[("client", str(n)) for n in range(4)], ("server", "b"))
        _, player = player_of(script, "server", timeout_s=5.0)
        for now_s in (0.0, 5.0):
            assert player.next(now_s) == Wait(5.0)
        player.message("1", 6.0)
        for now_s in (6.0, 11.0):
            assert player.next(now_s) == Wait(5.0)
        assert player.next(16.0) == Send("b")

    def test_a_close_frame_that_does_not_come(self):
        script = script_of(("server", "a"), ("client", "close", 4001, "x"))
        log, player = player_of(script, "server", timeout_s=5.0)
        assert player.next(0.0) == Send("a")
        assert player.next(0.0) == Wait(5.0)
        assert player.next(5.0) == Catch()
        assert player.next(5.0) == Close(4001, "x")
        [found] = log.snapshot()
        assert str(found).startswith("close: one, after message 1, at 0.100 s, from the client: ")
        assert found.text == "expected close 4001 'x', got silence"


class TestHowItEnds:
    def ended(self, script: Script, code: int, reason: str = "", *, waits: bool = True, **how):
        log, player = player_of(script, "server")
        if waits:
            while not isinstance(player.next(0.0), Wait | Catch):
                pass
        player.closed(code, reason, 1.0, **{"by_us": False, **how})
        assert player.is_over
        player.closed(1234, "again", 2.0, by_us=False)
        return [each.text for each in log.snapshot()]

    def test_as_on_the_record(self):
        assert self.ended(script_of(("server", "a"), ("client", "close", 1000)), 1000) == []

    def test_with_another_code_or_reason(self):
        script = script_of(("server", "a"), ("client", "close", 1000, "x"))
        assert self.ended(script, 1001) == ["expected close 1000 'x', got close 1001"]
        assert self.ended(script, 1006) == [
            "expected close 1000 'x', got an end without a close frame (1006)"
        ]
        assert self.ended(script, 1005) == [
            "expected close 1000 'x', got a close frame without a code"
        ]

    def test_too_early(self):
        script = script_of(("client", "a"), ("server", "b"), ("client", "close", 1000))
        assert self.ended(script, 1000) == [
            "expected 'a', got nothing",
            "expected close 1000, got close 1000, too early",
        ]

    def test_while_we_were_sending(self):
        script = script_of(("server", "a"), ("server", "b"), ("client", "close", 1000))
        assert self.ended(script, 1000, waits=False, was_busy=True) == []

    def test_by_the_other_side(self):
        script = script_of(("server", "a"), ("server", "close", 1011, "oops"))
        assert self.ended(script, 1000) == [
            "expected close 1011 'oops' by the server, got close 1000"
        ]

    def test_where_the_record_does_not_say_how(self):
        assert self.ended(script_of(("server", "a")), 1006) == []
        assert self.ended(script_of(("client", "a"), ("server", "b")), 1000) == [
            "expected 'a', got nothing",
            "expected an open connection, got close 1000, too early",
        ]

    def test_where_it_broke_off(self):
        script = script_of(("server", "a"), ended=True)
        assert self.ended(script, 1006) == []
        assert self.ended(script, 1000) == [
            "expected an end without a close frame (1006), got close 1000"
        ]

    def test_stopped(self):
        script = script_of(("client", "a"), ("client", "close", 1000))
        assert self.ended(script, 1001, by_us=True) == ["expected 'a', got nothing"]


def test_how_we_end():
    _, player = player_of(script_of(("client", "a"), ended=True), "server")
    player.message("a", 0.0)
    assert player.next(0.0) == Catch()
    assert player.next(0.0) == Abort()
    _, player = player_of(script_of(("client", "close")), "client")
    assert player.next(0.0) == Catch()
    assert player.next(0.0) == Close(1005, "")
    _, player = player_of(script_of(("client", "a")), "client")
    assert player.next(0.0) == Send("a")
    assert player.next(0.0) == Catch()
    assert player.next(0.0) == Close(1000, "")


def test_what_crosses_our_close_frame_is_not_compared():
    log, player = player_of(script_of(("server", "close", 1000)), "server")
    assert player.next(0.0) == Catch()
    player.message("caught", 0.0)
    assert player.next(0.0) == Close(1000, "")
    player.message("crossed", 0.0)
    player.closed(1000, "", 0.0, by_us=True)
    assert [each.seen for each in log.snapshot()] == ["caught"]


def test_failing():
    log, player = player_of(script_of(("client", "a")), "server")
    player.fail("error", "a replay to its end", "ValueError: no")
    assert [str(each.text) for each in log.snapshot()] == [
        "expected a replay to its end, got ValueError: no",
        "expected 'a', got nothing",
    ]
    assert player.is_over
