"""How many sessions there are of each address, and who gives way."""

from __future__ import annotations

import collections

from wslab.hub.engineio.places import Places, by_address
from wslab.hub.protocol.limits import Limits


def places(**limits):
    limited = collections.Counter()
    return Places(lambda: Limits(**limits), limited, by_address), limited


def nobody(sid, told):
    raise AssertionError


def test_so_many_of_one_address():
    there, limited = places(clients_per_address=1)
    assert there.full(("1.1.1.1", 1), {}, nobody) is None
    there.take("a", ("1.1.1.1", 1), {})
    assert there.full(("1.1.1.1", 2), {}, nobody).startswith("1 clients of your address are")
    assert there.full(("1.1.1.2", 2), {}, nobody) is None
    there.leave("a")
    assert there.full(("1.1.1.1", 2), {}, nobody) is None
    assert limited == {"clients_per_address": 1}
    assert not there._addresses


def test_the_address_with_the_most_gives_way_and_there_the_latest():
    there, limited = places(clients=3)
    ended = []
    for sid in ("a", "b"):
        there.take(sid, ("6.6.6.6", 1), {})
    there.take("c", ("1.1.1.1", 1), {})
    assert there.full(("2.2.2.2", 1), {}, lambda *it: ended.append(it)) is None
    [(sid, told)] = ended
    assert sid == "b"
    assert told.startswith("all places are taken, and your address has the most")
    there.leave("b")
    there.take("d", ("2.2.2.2", 1), {})
    for host in ("6.6.6.6", "3.3.3.3"):
        assert there.full((host, 1), {}, nobody).startswith("3 clients are connected already")
    assert there.address_of("d") == "2.2.2.2"
    assert limited == {"clients": 3}
