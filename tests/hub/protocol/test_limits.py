"""The numbers of the limits themselves, and who gives way."""

from __future__ import annotations

import dataclasses
import inspect
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.hub.protocol.limits import Limits, address_of, excesses, fair_level

NUMBERS = [field.name for field in dataclasses.fields(Limits) if field.name != "proxies"]


@pytest.mark.parametrize("name", NUMBERS)
def test_each_limit_says_what_it_expects(name):
    for wrong in ("5", True, [1]):
        with pytest.raises(TypeError, match=f"expected {name} as .*, got {type(wrong).__name__}"):
            Limits(**{name: wrong})
    for wrong in (-1, float("nan") if name.endswith("_s") else -5):
        with pytest.raises(ValueError, match=f"expected {name} (of at least|above) [01]"):
            Limits(**{name: wrong})
    if name.endswith("_s"):
        assert getattr(Limits(**{name: math.inf}), name) == math.inf
    assert getattr(Limits(**{name: 7}), name) == 7


def test_limits_are_frozen_named_and_explained():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().clients = 5
    with pytest.raises(TypeError, match="positional"):
        Limits(5)
    for field in dataclasses.fields(Limits):
        assert f"\n    {field.name}: " in inspect.getdoc(Limits)


def test_proxies_are_addresses_and_networks():
    assert Limits(proxies=("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")).proxies
    with pytest.raises(TypeError, match=r"expected proxies as addresses or networks, .* got str"):
        Limits(proxies="127.0.0.1")
    for wrong in ("localhost", "*", 5, None):
        with pytest.raises(ValueError, match=r"got .* among them"):
            Limits(proxies=(wrong,))


@given(st.lists(st.integers(0, 1000)), st.integers(0, 5000))
def test_a_fair_level_is_the_largest_that_fits(sizes, total):
    level = fair_level(sizes, total)

    def kept(level):
        return sum(min(size, level) for size in sizes)

    assert kept(level) <= total
    assert level == max(sizes, default=level) or kept(level + 1) > total


@pytest.mark.parametrize(
    ("address", "same"),
    [
        (("1.2.3.4", 5), "1.2.3.4"), (("::ffff:1.2.3.4", 5, 0, 0), "1.2.3.4"),
        (("2001:db8:0:1:2:3:4:5", 5, 0, 0), "2001:db8:0:1::"), (("fe80::1%eth0", 5), "fe80::"),
        (None, ""), (("odd:name", 1), "odd:name"),
    ],
)  # fmt: skip
def test_an_address_is_one_ipv4_or_a_network_of_ipv6(address, same):
    assert address_of(address) == same


@given(st.dictionaries(st.integers(), st.integers(0, 1000)), st.integers(0, 5000))
def test_who_holds_more_than_a_fair_part_gives_way_until_all_fits(sizes, total):
    level = fair_level(sizes.values(), total)
    over = dict(excesses(sizes, total))
    assert sum(over.values()) == max(sum(sizes.values()) - total, 0)
    assert all(0 < excess <= sizes[who] - level for who, excess in over.items())
