"""What a tap changes of a request's head, line by line."""

from __future__ import annotations

import pytest

from tests.taps.rig import head
from wslab.errors import BadURL
from wslab.taps.request_head import Upstream, rewritten

REQUEST = head(
    "GET /feed?x=1 HTTP/1.1",
    "host: 127.0.0.1:5000",
    "ORIGIN: http://127.0.0.1:5000",
    "Cookie: a=1; b=2",
    "x-Odd:   two  spaces ",
    "Sec-WebSocket-Extensions: permessage-deflate",
)


def lines(request, url="wss://feed.example/", **kwargs):
    return rewritten(request, Upstream.at(url, **kwargs)).decode("latin-1").split("\r\n")


def test_host_and_origin_are_the_upstreams_and_no_other_byte_changes():
    assert lines(REQUEST) == [
        "GET /feed?x=1 HTTP/1.1",
        "host: feed.example",
        "ORIGIN: https://feed.example",
        "Cookie: a=1; b=2",
        "x-Odd:   two  spaces ",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("ws://feed.example/", "feed.example", "http://feed.example"),
        ("ws://feed.example:80/", "feed.example", "http://feed.example"),
        ("wss://feed.example:8443/x", "feed.example:8443", "https://feed.example:8443"),
        ("ws://[::1]:9000/", "[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_a_port_is_named_where_it_is_not_the_schemes_own(url, host, origin):
    assert lines(REQUEST, url)[1:3] == [f"host: {host}", f"ORIGIN: {origin}"]


@pytest.mark.parametrize(
    ("origin", "with_one", "without"),
    [
        ("upstream", ["ORIGIN: https://feed.example"], []),
        ("keep", ["ORIGIN: http://127.0.0.1:5000"], []),
        (None, [], []),
        ("https://a.example", ["ORIGIN: https://a.example"], ["Origin: https://a.example"]),
    ],
)
def test_what_becomes_of_the_origin(origin, with_one, without):
    def origins(request):
        found = lines(request, origin=origin)
        return [line for line in found if line.lower().startswith("origin:")]

    assert origins(REQUEST) == with_one
    assert origins(head("GET / HTTP/1.1", "Host: x")) == without


def test_own_headers_take_the_place_of_the_clients():
    own = [("Cookie", "mine=1"), ("X-New", "a"), ("X-New", "b"), ("Host", "other.example")]
    assert lines(REQUEST, headers=own) == [
        "GET /feed?x=1 HTTP/1.1",
        "host: other.example",
        "ORIGIN: https://feed.example",
        "Cookie: mine=1",
        "x-Odd:   two  spaces ",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "X-New: a",
        "X-New: b",
        "",
        "",
    ]
    assert lines(REQUEST, headers={"origin": "https://b.example"})[2] == "ORIGIN: https://b.example"


def test_a_request_without_host_gets_one_and_of_several_one_is_left():
    assert lines(head("GET / HTTP/1.0"))[:2] == ["GET / HTTP/1.0", "Host: feed.example"]
    twice = head("GET / HTTP/1.1", "Host: a", "Host: b")
    assert lines(twice)[1:] == ["Host: feed.example", "", ""]


def test_user_and_password_of_the_url_become_a_header():
    url = "wss://ana:s%40fe@feed.example/x"
    assert "Authorization: Basic YW5hOnNAZmU=" in lines(REQUEST, url)
    own = lines(REQUEST, url, headers={"Authorization": "Bearer 1"})
    assert [line for line in own if "uthorization" in line] == ["Authorization: Bearer 1"]


def test_the_path_is_that_of_the_url():
    assert Upstream.at("ws://feed.example").path == "/"
    assert Upstream.at("ws://feed.example/a/b?c=d").path == "/a/b?c=d"


@pytest.mark.parametrize("bad", [{"headers": {"a b": "c"}}, {"origin": "a\r\nb: c"}])
def test_what_http_cannot_carry_is_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        Upstream.at("ws://feed.example/", **bad)
    with pytest.raises(BadURL):
        Upstream.at("https://feed.example/")
