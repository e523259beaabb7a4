"""A stock client that is said to have recovered has missed nothing, and got nothing twice.

And mutants: small mistakes, put into what recovery stands on, which conversations must notice.
"""

from __future__ import annotations

import pytest

from tests.hub.mutants import is_noticed, put_in
from tests.hub.server.stock_conversation import StockConversation
from wslab.hub.dialects.socket_io import SocketIo
from wslab.hub.protocol.server_session import ServerSession
from wslab.hub.protocol.stays import Stays
from wslab.hub.protocol.untold import Untold

STEPS = 40
MOST = 1_500  # conversations that a mutant may survive


def converse(seed, steps=STEPS):
    try:
        StockConversation(seed).run(steps)
    except AssertionError as exc:
        exc.add_note(f"StockConversation({seed}).run({steps})")
        raise


@pytest.mark.parametrize("first", range(0, 2_000, 500))
def test_who_recovers_has_missed_nothing(first):
    for seed in range(first, first + 500):
        converse(seed)


def test_nor_in_long_conversations():
    for seed in range(10):
        converse(seed, 1_000)


MUTANTS = {
    "takes any place for one of its history": (
        SocketIo.greeting, "and match[1] == self.mark", "",
    ),
    "lets a last text be taken for a place": (
        SocketIo.raw, 'to_json(raw.payload.decode()), (), None, raw.offset',
        'to_json(raw.payload.decode())',
    ),
    "says no place": (SocketIo._packet, "offset is not None and self.mark", "False"),
    "does not tell the pid": (SocketIo.welcome, "self.mark and", "False and"),
    "continues over a gap": (
        ServerSession.is_whole_since, "self.missed(since) is not None", "True",
    ),
    "begins anew where nothing was seen": (
        ServerSession.is_whole_since,
        "self.began_offset if offset is None",
        "10**9 if offset is None",
    ),
    "gives nothing to who has seen nothing": (
        ServerSession.resume, "offset = self.began_offset", "offset = latest",
    ),
    "forgets where it was": (Stays.leave, "if joined < offset", "if False"),
    "sends what it was left out of": (
        ServerSession.missed, "if token not in past.skip:", "if True:",
    ),
    "tells of no loss": (Untold.resume, "return found.count", "return 0"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MUTANTS)
def test_a_mutant_is_noticed(mistake, monkeypatch):
    function, right, wrong = MUTANTS[mistake]
    put_in(monkeypatch, function, right, wrong)
    errors = (AssertionError, ValueError, IndexError)
    is_told = is_noticed(lambda seed: StockConversation(seed).run(STEPS), MOST, errors)
    assert is_told, f"{MOST} conversations did not notice a hub that {mistake}"
