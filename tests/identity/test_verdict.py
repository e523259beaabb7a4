"""What is made of the answer of a function that authenticates."""

from __future__ import annotations

import asyncio
import time

import pytest

from wslab.errors import Refused
from wslab.identity.credentials import BadCredentials, Credentials
from wslab.identity.identity import Identity
from wslab.identity.verdict import Denial, denial_of, judged, too_late

NONE = Credentials(None, None)
SOME = Credentials("the-secret", "header")


def verdict(answer, credentials=SOME):
    async def ask(given):
        assert given is credentials
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return asyncio.run(judged(ask, credentials))


def test_who_is_known():
    identity = Identity("alice", time.time() + 60)
    assert verdict(identity) is identity
    assert verdict("alice") == Identity("alice")


@pytest.mark.parametrize(
    ("answer", "credentials", "status", "close_code", "said"),
    [
        (None, NONE, 401, 4401, "no token came: bring one as `Authorization: Bearer TOKEN`"),
        (None, SOME, 401, 4401, "the token in the header is not one that is valid here"),
        (False, SOME, 401, 4401, "the token in the header is not one that is valid here"),
        (Identity("alice", 1.0), SOME, 401, 4401, "expired: come again with new credentials"),
        (Refused("members only"), SOME, 403, 4403, "members only"),
        (Refused(), SOME, 403, 4403, "refused"),
        (Refused("seen before", status=401), SOME, 401, 4401, "seen before"),
    ],
)
def test_who_is_not_let_in(answer, credentials, status, close_code, said):
    denial = verdict(answer, credentials)
    assert isinstance(denial, Denial)
    assert (denial.status, denial.close_code) == (status, close_code)
    assert denial.reason.startswith(said)
    response = denial.response()
    assert response.status == status
    assert response.body.decode().startswith(said)
    fields = dict(response.headers)
    challenge = None if status == 403 else "Bearer"
    if credentials is SOME and status == 401:
        challenge = 'Bearer error="invalid_token"'
    assert fields.get("WWW-Authenticate") == challenge
    assert fields["Cache-Control"] == "no-store"
    assert "secret" not in repr(denial)


@pytest.mark.parametrize("answer", [True, 5, {"user": "alice"}, ("alice",)])
def test_what_is_no_answer_lets_nobody_in(answer):
    with pytest.raises(TypeError, match=r"expected wslab\.Identity\(user_id\), a user's id, or"):
        verdict(answer)


def test_what_it_raises_is_raised():
    with pytest.raises(LookupError):
        verdict(LookupError("no such table"))
    with pytest.raises(ValueError, match="expected user_id"):
        verdict("")


def test_a_refusal_says_401_or_403():
    assert denial_of(Refused("x", data={"seats": 0}), NONE).data == {"seats": 0}
    with pytest.raises(ValueError, match=r"expected status=401 .* got 418"):
        Refused("x", status=418)
    assert denial_of(BadCredentials("expected one"), None) == Denial(
        401, "expected one", had_token=True
    )
    assert too_late().close_code == 4401
