"""What an Identity may say."""

from __future__ import annotations

import math
import time

import pytest

from wslab.identity.identity import MAX_USER_ID, Identity


def test_it_says_who_and_until_when_and_shows_no_data():
    identity = Identity("alice", time.time() + 60, data={"claim": "the-secret"})
    assert not identity.is_expired
    assert not Identity("alice").is_expired
    assert Identity("alice", time.time() - 1).is_expired
    assert Identity("alice", 0).is_expired
    assert "secret" not in repr(identity)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5,), TypeError, "expected user_id as a str, got int"),
        (("",), ValueError, "expected user_id of 1 to 256 characters"),
        (("x" * (MAX_USER_ID + 1),), ValueError, "expected user_id of 1 to 256 characters"),
        (("\ud800",), ValueError, "that UTF-8 can hold"),
        (("a", "soon"), TypeError, "seconds since the epoch, such as time.time"),
        (("a", True), TypeError, "got bool True"),
        (("a", math.nan), ValueError, "expected expires_at as a moment"),
        (("a", math.inf), ValueError, "or None for never"),
    ],
)
def test_what_it_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        Identity(*arguments)
