"""The words in which a connection's end is told."""

from __future__ import annotations

import pytest

from wslab.wire.close_words import KEEPALIVE, broke_off, capitalised, closed_by, unanswered_by


@pytest.mark.parametrize(
    ("who", "expected"),
    [("the server", "The server"), ("this client", "This client"), ("al", "al")],
)
def test_a_name_begins_a_sentence(who, expected):
    assert capitalised(who) == expected
    assert unanswered_by(who) == f"{expected} did not answer the close frame."


def test_who_closed_it():
    assert closed_by("the server", "alice", 1001, "") == (
        "The server closed it with 1001 (going away: a server shuts down, or the user left the "
        "page)."
    )
    assert closed_by("alice", "the server", 4000, "x").endswith('meaning) and the reason "x".')
    assert closed_by("alice", "the server", 1011, KEEPALIVE).endswith(
        "It had sent a ping, and the server's pong did not come in time."
    )


def test_it_broke_off():
    assert broke_off().endswith("(never sent; RFC 6455 §7.1.5).")
    assert broke_off("reset by peer").endswith("§7.1.5): reset by peer.")
