"""What a client lost and was not told of."""

from __future__ import annotations

from wslab.hub.protocol import untold as module
from wslab.hub.protocol.untold import Untold


def test_what_was_dropped_and_not_told_is_bounded_and_still_counted(monkeypatch):
    monkeypatch.setattr(module, "MAX_UNTOLD", 10)
    untold = Untold()
    for first in range(1, 100, 3):
        untold.add(range(first, first + 3))
    assert untold.size_bytes == 80
    assert untold.take(98) == 98
    assert untold.take(98) == 0
    untold.add(range(20))
    assert untold.take(5) == 0  # these come again, if they are kept, or there is a gap
    untold.add([7])
    assert untold.take(7) == 1
