"""What a hub may be told."""

from __future__ import annotations

from wslab.hub import Hub, Limits


def test_the_short_forms_are_the_limits_themselves():
    hub = Hub(backlog=5, rate=2.5, max_size=9, limits=Limits(clients=7))
    assert hub.limits == Limits(backlog=5, rate=2.5, max_size=9, clients=7)
    assert Hub(limits=Limits(backlog=9, rate=3)).limits == Limits(backlog=9, rate=3)
