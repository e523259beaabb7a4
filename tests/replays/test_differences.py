from __future__ import annotations

from wslab.replays.differences import MAX_DIFFERENCES, Difference, DifferenceLog, Differences


def test_none():
    assert not Differences()
    assert repr(Differences()) == "no differences"


def test_text():
    changed = Difference("changed", "alice", "client", "a", "b", 3, 1.25, note="no more")
    extra = Difference("extra", "alice", "client", None, b"\xff" * 200, 3, 1.25, seen_size=5000)
    first = Difference("extra", "alice", "client", None, "x")
    close = Difference("close", "alice", "client", "close 1000", "close 1001", 3, 1.25)
    opening = Difference("handshake", "alice", "client", "a request for /a", "/b")
    order = Difference("order", "alice", "client", "a", "a", 3, 1.25, note="too late")
    assert repr(Differences([changed, extra, first, close, opening, order])).splitlines() == [
        "6 differences",
        "[0] changed: alice, message 3, at 1.250 s, from the client: expected 'a', got 'b' "
        "(no more)",
        "[1] extra: alice, after message 3, at 1.250 s, from the client: expected nothing, got "
        + repr(b"\xff" * 120)
        + "… (5,000 bytes)",
        "[2] extra: alice, before the first message, at 0.000 s, from the client: expected "
        "nothing, got 'x'",
        "[3] close: alice, after message 3, at 1.250 s, from the client: expected close 1000, got "
        "close 1001",
        "[4] handshake: handshake of alice: expected a request for /a, got /b",
        "[5] order: alice, message 3, at 1.250 s, from the client: 'a' came at another place "
        "(too late)",
    ]


def test_a_log_has_a_bound():
    log = DifferenceLog()
    serials = [
        log.add(Difference("missing", "alice", "client", str(n)))
        for n in range(MAX_DIFFERENCES + 5)
    ]
    found = log.snapshot()
    assert (len(found), found.dropped) == (MAX_DIFFERENCES, 5)
    assert [each.expected for each in found[:2]] == ["0", "1"]
    lines = repr(found).splitlines()
    assert lines[0] == "1,005 differences"
    assert lines[-2:] == ["and 955 more", "of which 5 were counted and not kept"]
    log.take_back(serials[0])
    log.take_back(serials[-1])
    found = log.snapshot()
    assert (len(found), found.dropped) == (MAX_DIFFERENCES - 1, 4)
