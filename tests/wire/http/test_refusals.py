"""Refusals told in words."""

from __future__ import annotations

import pytest

from tests.wire.http.heads import (
    CHROMIUM_REQUEST,
    CURL_REQUEST,
    RFC_REQUEST,
    failed,
    handshake,
    spoiled_request,
    without,
)
from wslab.wire.http.building import build_response
from wslab.wire.http.handshake import Handshake


def refusal(
    status: int,
    headers: dict[str, str] | None = None,
    *,
    request: bytes = RFC_REQUEST,
    body: bytes = b"",
) -> Handshake:
    return handshake(request, build_response(status, headers=headers or {}), body)


# Refusals.
STATUSES = [400, 401, 403, 404, 405, 407, 408, 426, 429, 431, 500, 501, 502, 503, 504, 505]
WORDS = {
    200: "a page, not a socket",
    301: "sends the client elsewhere",
    302: "sends the client elsewhere",
    307: "sends the client elsewhere",
    308: "sends the client elsewhere",
    400: "could not take the request",
    401: "wants to know who asks",
    403: "will not serve it",
    404: "nothing at this path",
    405: "does not take the request's method",
    407: "A proxy on the way",
    426: "only after an upgrade",
    429: "Too many requests",
    431: "too large",
    500: "its log has the reason",
    502: "no valid answer from the server behind it",
    503: "cannot serve now",
    418: "finds the request at fault",
    599: "failed",
    103: "interim answer",
    304: "has already",
    999: "No known status",
}


@pytest.mark.parametrize("status", sorted({*STATUSES, *WORDS}))
def test_every_refusal_is_told(status: int) -> None:
    result = refusal(status)
    assert not result.accepted
    assert failed(result) == [("response", "status")]
    assert result.why_refused.startswith(str(status))
    assert WORDS.get(status, "") in result.why_refused
    assert result.subprotocol is None


def test_426_with_a_version_blames_the_version() -> None:
    asked = spoiled_request({"Sec-WebSocket-Version": "8"})
    result = refusal(426, {"Sec-WebSocket-Version": "13"}, request=asked)
    assert result.suspect == "Sec-WebSocket-Version"
    assert "(13): the cause is Sec-WebSocket-Version, '8'" in result.why_refused
    # The same answer to a request that asks for 13 must have another cause.
    result = refusal(426, {"Sec-WebSocket-Version": "13, 8"})
    assert result.suspect is None
    assert "is a good handshake" in result.why_refused
    assert "(it does not say to what)" in result.why_refused
    assert "another upgrade (TLS/1.0)" in refusal(426, {"Upgrade": "TLS/1.0"}).why_refused


@pytest.mark.parametrize("status", [200, 400, 426])
@pytest.mark.parametrize("name", ["Upgrade", "Connection", "Sec-WebSocket-Key"])
def test_a_missing_header_is_blamed(status: int, name: str) -> None:
    result = refusal(status, request=without(RFC_REQUEST, name))
    assert result.suspect == name
    assert f"Very likely because of {name}" in result.why_refused
    assert "got no such header" in result.why_refused


def test_a_good_request_is_not_blamed_for_400_or_200() -> None:
    assert "the reason is the server's own" in refusal(400).why_refused
    assert refusal(400).suspect is None
    assert "ordinary page" in refusal(200).why_refused
    body = b"<center>The plain HTTP request was sent to HTTPS port</center>"
    assert "wss" in refusal(400, body=body).why_refused


def test_403_suspects_origin_only_if_there_is_one() -> None:
    result = refusal(403)
    assert result.suspect == "Origin"
    assert "Probably because of Origin, 'http://example.com'" in result.why_refused
    assert "cannot be known" in result.why_refused
    result = refusal(403, request=CURL_REQUEST)
    assert result.suspect is None
    assert "It cannot be Origin, unless" in result.why_refused


def test_401_tells_what_was_sent_without_showing_it() -> None:
    headers = {"WWW-Authenticate": 'Basic realm="lab"'}
    result = refusal(401, headers)
    assert result.suspect == "Authorization"
    assert "scheme 'Basic'" in result.why_refused
    assert "carries no Authorization" in result.why_refused
    result = refusal(401, request=CHROMIUM_REQUEST)
    assert result.suspect == "Cookie"
    assert "Cookie and a token in the URL came with the request" in result.why_refused
    assert "t0p" not in result.why_refused


def test_a_redirect_tells_where_to_without_secrets() -> None:
    result = refusal(302, {"Location": "/hub/login?next=%2Flab%3Ftoken%3Dhunter2"})
    assert "looks like a login" in result.why_refused
    assert "hunter2" not in result.why_refused
    assert "use wss" in refusal(301, {"Location": "https://a/"}).why_refused
    assert "no Location" in refusal(307).why_refused


def test_other_refusals_name_their_header() -> None:
    assert refusal(407).suspect == "Proxy-Authorization"
    assert "'2 s'" not in refusal(503).why_refused
    assert "after '30'" in refusal(503, {"Retry-After": "30"}).why_refused
    assert "after '5'" in refusal(429, {"Retry-After": "5"}).why_refused
    assert "'/chat'" in refusal(404, request=CHROMIUM_REQUEST).why_refused
    big = spoiled_request({"Cookie": "a=" + "b" * 9000})
    result = refusal(431, request=big)
    assert result.suspect == "Cookie"
    assert "Cookie is the largest of them (9010 of" in result.why_refused
    assert refusal(431).suspect is None
    assert "none is large" in refusal(431).why_refused
    post = spoiled_request(method="POST")
    assert (
        "this is POST. It takes GET (Allow)."
        in refusal(405, {"Allow": "GET"}, request=post).why_refused
    )
    assert "no WebSocket's address" in refusal(405, {"Allow": "POST"}).why_refused


def test_the_servers_own_words_are_quoted_if_they_are_plain() -> None:
    plain = {"Content-Type": "text/plain; charset=utf-8"}
    result = refusal(400, plain, body=b"Failed to open: invalid Upgrade.\nMore.\n")
    assert result.why_refused.endswith("Its own words: 'Failed to open: invalid Upgrade.'.")
    page = refusal(400, {"Content-Type": "text/html"}, body=b"<html>secret")
    assert "own words" not in page.why_refused
    echo = refusal(401, plain, request=spoiled_request({"Cookie": "s=hunter2hunter2"}),
                   body=b"no session hunter2hunter2")  # fmt: skip
    assert "hunter2" not in echo.why_refused
