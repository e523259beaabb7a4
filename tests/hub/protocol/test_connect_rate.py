"""How often an address may connect, and what is remembered of that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wslab.hub.protocol.connect_rate import MAX_ADDRESSES, ConnectRate


def test_so_many_at_once_and_then_one_after_the_other():
    rate = ConnectRate()
    for _ in range(6):
        assert rate.wait_s("a", 6, 0.0) == 0.0
        rate.count("a", 6, 0.0)
    assert rate.wait_s("a", 6, 0.0) == 10.0
    assert rate.wait_s("a", 6, 4.0) == 6.0
    assert rate.wait_s("b", 6, 0.0) == 0.0  # somebody else
    assert rate.wait_s("a", 6, 10.0) == 0.0
    rate.count("a", 6, 10.0)
    assert rate.wait_s("a", 6, 10.0) == 10.0
    assert rate.wait_s("a", 6, 600.0) == 0.0


@given(st.lists(st.floats(0.0, 30.0), max_size=60), st.integers(1, 20))
def test_never_more_than_two_minutes_worth_in_a_minute(pauses, per_minute):
    rate, now_s, let_in = ConnectRate(), 0.0, []
    for pause_s in pauses:
        now_s += pause_s
        if not rate.wait_s("a", per_minute, now_s):
            rate.count("a", per_minute, now_s)
            let_in.append(now_s)
    for start_s in let_in:
        inside = [at_s for at_s in let_in if start_s <= at_s < start_s + 60.0]
        assert len(inside) <= 2 * per_minute


def test_what_is_remembered_is_bounded():
    rate = ConnectRate()
    for nth in range(3 * MAX_ADDRESSES):
        rate.count(f"address {nth}", 1, 0.0)
    assert len(rate) == MAX_ADDRESSES
    # The latest are those that are remembered, and whoever goes on trying is among them.
    assert rate.wait_s(f"address {3 * MAX_ADDRESSES - 1}", 1, 0.0) == 60.0


def test_who_is_quiet_is_forgotten():
    rate = ConnectRate()
    for nth in range(100):
        rate.count(f"address {nth}", 60, float(nth))
    assert len(rate) <= 2
