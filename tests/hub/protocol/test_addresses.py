"""Who counts as one, behind proxies that are named and others."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers

from wslab.hub.protocol.addresses import MAX_HOPS, counted_as

PROXIES = ("10.0.0.0/8", "2001:db8::1")


@pytest.mark.parametrize(
    ("host", "forwarded", "counts_as"),
    [
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4", "10.0.0.2"], "1.2.3.4"),  # in two headers
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("2001:db8::1", ["2001:db8:0:1:2:3:4:5"], "2001:db8:0:1::"),
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db8:0:1::5]:5678"], "2001:db8:0:1::"),
        ("10.0.0.1", ["[2001:db8:0:1::5]"], "2001:db8:0:1::"),
        # What the client itself has written stands to the left, and is not believed.
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.9, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("1.2.3.4", ["6.6.6.6"], "1.2.3.4"),
        ("1.2.3.4", ["6.6.6.6, 10.0.0.1"], "1.2.3.4"),
        # What can't be read says nothing: the nearest that is known counts.
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, _hidden, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("odd:name", ["1.2.3.4"], "odd:name"),
    ],
)
def test_who_counts_as_one(host, forwarded, counts_as):
    headers = Headers([("X-Forwarded-For", value) for value in forwarded])
    assert counted_as((host, 5), headers, PROXIES) == counts_as


def test_without_proxies_no_header_is_believed():
    headers = {"X-Forwarded-For": "6.6.6.6"}
    assert counted_as(("127.0.0.1", 5), headers, ()) == "127.0.0.1"
    assert counted_as(("127.0.0.1", 5), headers, ("127.0.0.1",)) == "6.6.6.6"
    assert counted_as(None, headers, ("127.0.0.1",)) == ""


def test_a_long_header_costs_no_more_than_a_short_one():
    headers = {"X-Forwarded-For": "6.6.6.6, " + ", ".join(["10.0.0.2"] * 5000)}
    assert counted_as(("10.0.0.1", 5), headers, PROXIES) == "10.0.0.2"
    assert MAX_HOPS < 100
