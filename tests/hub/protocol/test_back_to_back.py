"""Nothing is lost, nothing comes twice, and all in order, or it is told: any seed says so.

And mutants: small mistakes, put into the halves, which these conversations must notice.
"""

from __future__ import annotations

import pytest

from tests.hub.mutants import is_noticed, put_in
from tests.hub.protocol.back_to_back import Conversation
from wslab.hub.protocol.client_session import ClientSession
from wslab.hub.protocol.kept_packets import KeptPackets
from wslab.hub.protocol.room_log import RoomLog
from wslab.hub.protocol.server_session import ServerSession
from wslab.hub.protocol.sessions import Sessions
from wslab.hub.protocol.stays import Stays
from wslab.hub.protocol.untold import Untold

STEPS = 40
MOST = 2_000  # conversations that a mutant may survive


def converse(seed, steps=STEPS):
    try:
        Conversation(seed).run(steps)
    except AssertionError as exc:
        exc.add_note(f"Conversation({seed}).run({steps})")
        raise


@pytest.mark.parametrize("first", range(0, 2_000, 500))
def test_nothing_is_lost_or_comes_twice_or_out_of_order_or_it_is_told(first):
    for seed in range(first, first + 500):
        converse(seed)


def test_nor_in_long_conversations():
    for seed in range(20):
        converse(seed, 1_000)


MUTANTS = {
    "takes a packet before its turn": (
        ServerSession.receive, "n == self.received + 1", "n > self.received",
    ),
    "takes a packet again": (ServerSession.receive, "self.received = n", "pass"),
    "keeps no answer": (ServerSession.awaits_answer, "n == self.received", "False"),
    "says that one more has come": (
        ServerSession.resume,
        "offset, self.receipt, None",
        "offset, self.receipt + 1, None",
    ),
    "sends what it was left out of": (
        ServerSession.missed, "if token not in past.skip:", "if True:",
    ),
    "takes a new session for the one before": (
        ServerSession.resume, "if offset == self._offset_before", "if False",
    ),
    "forgets where it was": (Stays.leave, "if joined < offset", "if False"),
    "was in a room before it joined": (Stays.join, "= log, offset", "= log, 0"),
    "does not know what is no longer kept": (
        RoomLog.drop_oldest, "self.dropped_to = past.offset", "pass",
    ),
    "tells of no loss": (Untold.resume, "return found.count", "return 0"),
    "takes what was told for read": (Untold.resume, "if told_at > offset", "if False"),
    "lets a session expire that has come back": (
        Sessions.continued, "self._away.pop(token, None)", "self._away.get(token)",
    ),
    "does not ask again": (KeptPackets.acknowledge, "or kept.id in open_calls", ""),
    "sends nothing again": (ClientSession._joined, "self._packets.send_again()", "pass"),
    "asks for what it has seen": (
        ClientSession._meant, "self.offset = max(packet.offset, self.offset or 0)", "pass",
    ),
    "goes on counting with a new hub": (KeptPackets.begin_anew, "kept.n = n", "pass"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MUTANTS)
def test_a_mutant_is_noticed(mistake, monkeypatch):
    function, right, wrong = MUTANTS[mistake]
    put_in(monkeypatch, function, right, wrong)
    assert is_noticed(
        lambda seed: Conversation(seed).run(STEPS), MOST, (AssertionError, ValueError)
    ), f"{MOST} conversations did not notice a half that {mistake}"
