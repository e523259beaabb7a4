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
    assert untold.resume(98) == 98
    untold.tell(100)
    assert untold.resume(100) == 0
    untold.add(range(20))
    assert untold.resume(5) == 0  # these come again, if they are kept, or there is a gap
    untold.add([7])
    assert untold.resume(7) == 1


def test_it_is_told_again_to_a_client_that_has_not_seen_it_told():
    untold = Untold()
    untold.add([3, 4])
    untold.tell(9)
    untold.add([10, 12])
    untold.tell(14)
    assert untold.resume(14) == 0
    untold.add([3, 4])
    untold.tell(19)
    untold.add([20, 22])
    untold.tell(24)
    assert untold.resume(21) == 1  # 22 comes again
    assert untold.resume(21) == 1
    untold.tell(25)
    assert untold.resume(22) == 1
    untold.tell(26)
    assert untold.resume(26) == 0


def test_what_was_told_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_UNTOLD", 10)
    untold = Untold()
    for offset in range(1, 100, 5):
        untold.add(range(offset, offset + 4))
        untold.tell(offset + 4)
        assert untold.size_bytes <= 80
    assert untold.resume(90) == 0


def test_as_data_and_put_back(monkeypatch):
    monkeypatch.setattr(module, "MAX_UNTOLD", 3)
    untold = Untold()
    assert untold.snapshot() == ((0, 0, []), [])
    untold.add([1, 2, 3, 4])
    untold.tell(5)
    untold.add([6])
    state = untold.snapshot([7, 8, 9])
    assert state == ((1, 6, [7, 8, 9]), [(5, (1, 1, [2, 3, 4]))])
    other = Untold()
    other.restore(state)
    assert other.snapshot() == state
    assert other.resume(9) == 4
    assert untold.resume(9) == 1  # what a snapshot has counted on top is not its own
