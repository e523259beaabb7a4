"""Where a token may stand in a request, and what is refused as it could be read in two ways."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader

from wslab.hub.protocol.addresses import counted_as
from wslab.identity.credentials import (
    MAX_TOKEN,
    BadCredentials,
    Credentials,
    brings_later,
    token_in,
)

ADDRESS = ("127.0.0.1", 5)


def of(path="/", packet=None, trusts_page=False, **headers):
    fields = Headers([(name.replace("_", "-"), value) for name, value in headers.items()])
    return Credentials.of(path, fields, ADDRESS, packet=packet, trusts_page=trusts_page)


@pytest.mark.parametrize(
    ("given", "token", "source"),
    [
        ({}, None, None),
        ({"Authorization": "Bearer abc"}, "abc", "header"),
        ({"authorization": "bearer  abc "}, "abc", "header"),
        ({"Authorization": "Basic abc"}, None, None),
        ({"Authorization": "Bearer"}, None, None),
        ({"Authorization": "Bearer a b"}, None, None),
        ({"path": "/chat?name=x&token=abc"}, "abc", "query"),
        ({"path": "/chat?access_token=a%20b"}, "a b", "query"),
        ({"path": "/chat?token="}, None, None),
        ({"path": "/token=abc"}, None, None),
        ({"Cookie": "a=1; token=abc; b=2"}, "abc", "cookie"),
        ({"Cookie": 'access_token="abc"'}, "abc", "cookie"),
        ({"Cookie": "token=first; token=second"}, "first", "cookie"),
        ({"Cookie": "token=plain; __Host-token=safe"}, "safe", "cookie"),
        ({"packet": {"token": "abc"}}, "abc", "packet"),
        ({"packet": "abc"}, "abc", "packet"),
        ({"packet": {"token": 5}}, None, None),
        # What is said on purpose counts before what a browser adds.
        ({"packet": "p", "Authorization": "Bearer h", "path": "/?token=q"}, "p", "packet"),
        ({"Authorization": "Bearer h", "path": "/?token=q", "Cookie": "token=c"}, "h", "header"),
        ({"path": "/?token=q", "Cookie": "token=c"}, "q", "query"),
    ],
)
def test_where_a_token_stands(given, token, source):
    found = of(**given)
    assert (found.token, found.source) == (token, source)
    assert found.address == ADDRESS


@pytest.mark.parametrize(
    ("origin", "host", "counts"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("https://Example.org", "example.ORG", True),
        ("https://evil.example", "127.0.0.1:8000", False),
        ("http://127.0.0.1:9000", "127.0.0.1:8000", False),
        ("null", "127.0.0.1:8000", False),
        ("http://[", "127.0.0.1:8000", False),
    ],
)
def test_a_cookie_counts_only_where_the_page_may_bring_it(origin, host, counts):
    given = {"Cookie": "token=abc", "Origin": origin, "Host": host}
    assert of(**given).token == ("abc" if counts else None)
    assert of(**given).cookies == ({"token": "abc"} if counts else {})
    assert of(**given, trusts_page=True).token == "abc"


def test_what_could_be_read_in_two_ways_is_refused():
    twice = Headers([("Authorization", "Bearer a"), ("Authorization", "Bearer b")])
    with pytest.raises(BadCredentials, match="expected one Authorization header, got 2"):
        Credentials.of("/", twice, None)
    for path in ("/?token=a&token=b", "/?token=a&access_token=a"):
        with pytest.raises(BadCredentials, match="expected one token in the query, got 2"):
            of(path)
    origins = Headers(
        [("Cookie", "token=a"), ("Origin", "http://x"), ("Origin", "http://y"), ("Host", "x")]
    )
    assert Credentials.of("/", origins, None).token is None
    with pytest.raises(BadCredentials, match="sensible length"):
        of("/?token=a&" + "x=1&" * 200)


def test_a_token_has_a_bound_and_stands_in_no_text():
    with pytest.raises(BadCredentials, match=r"at most 4,096 characters, got 4,097$") as refused:
        of(packet="s" * (MAX_TOKEN + 1))
    assert "sss" not in str(refused.value)
    shown = [
        repr(of(Authorization="Bearer the-secret", Cookie="token=the-secret")),
        repr(of("/chat?token=the-secret&name=x")),
        repr(of(packet={"token": "the-secret"})),
        repr(of()),
    ]
    assert [text for text in shown if "secret" in text] == []
    assert shown[1] == "<Credentials: a token in the query, for '/chat?token=[redacted]&name=x'>"


def test_a_query_may_say_that_the_token_comes_later():
    assert brings_later("/?name=x&auth=packet")
    assert not brings_later("/?auth=packets")
    assert not brings_later("/auth=packet")
    assert token_in(None) is None
    assert token_in("") is None


def test_headers_that_are_a_plain_mapping_are_read_too():
    assert Credentials.of("/", {"Authorization": "Bearer abc"}, None).token == "abc"


TEXTS = st.text(st.characters(codec="latin-1"), max_size=60)


@given(
    st.one_of(TEXTS, st.just("/?token=a&"), st.text("/?&=;#%tokenacsaut5[]@:", max_size=40)),
    st.lists(
        st.tuples(
            st.sampled_from(["Authorization", "Cookie", "Origin", "Host", "X-Forwarded-For"]),
            st.one_of(TEXTS, st.text("Bearer tokn=;:/[]", max_size=40)),
        ),
        max_size=5,
    ),
    st.one_of(st.none(), TEXTS, st.dictionaries(st.sampled_from(["token", "x"]), st.integers())),
)
def test_whatever_comes_is_read_or_refused(path, headers, packet):
    fields = Headers()
    for name, value in headers:
        with contextlib.suppress(InvalidHeader):
            fields[name] = value
    try:
        found = Credentials.of(path, fields, None, packet=packet)
        brings_later(path)
    except BadCredentials:
        return
    assert (found.token is None) is (found.source is None)
    counted_as(("127.0.0.1", 1), fields, ("127.0.0.1",))
