"""Heads without their secrets, and no trace of them."""

from __future__ import annotations

import dataclasses
import string
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import wslab.wire.http
from tests.wire.http.heads import (
    CHROMIUM_REQUEST,
    CURL_REQUEST,
    KEY,
    RFC_REQUEST,
    SECRET,
    SSE_RESPONSE,
    WEBSOCKETS_REQUEST,
    read_request,
    read_response,
)
from wslab.wire.http.building import build_request, build_response
from wslab.wire.http.handshake import Handshake
from wslab.wire.http.redaction import (
    find_secrets,
    redact,
    redact_body,
    redact_bytes,
    redact_partial_head,
)
from wslab.wire.http.secret_values import MARKER


def test_a_response_is_redacted_with_what_repeats_the_secret() -> None:
    location = f"https://a/cb?code={SECRET}&state=1#access_token={SECRET}"
    data = build_response(
        302,
        headers=[("Set-Cookie", f"sid={SECRET}; HttpOnly"), ("Location", location),
                 ("X-Echo", f"<{SECRET}>")],
        reason=f"Go {SECRET}",
    )  # fmt: skip
    response = read_response(data, f'<a href="/?x={SECRET}">'.encode())
    hidden = redact(response)
    assert hidden.get("Location") == "https://a/cb?code=[redacted]&state=1#access_token=[redacted]"
    assert hidden.get("Set-Cookie") == MARKER
    assert hidden.get("X-Echo") == f"<{MARKER}>"
    assert hidden.reason == f"Go {MARKER}"
    assert hidden.body == f'<a href="/?x={MARKER}">'.encode()
    assert hidden.status == 302


def test_a_response_repeats_no_secret_of_its_request() -> None:
    request = read_request(build_request(f"/?token={SECRET}", "a", KEY))
    response = read_response(build_response(403), f"bad: {SECRET}".encode())
    assert SECRET.encode() in redact(response).body
    assert redact(response, also=find_secrets(request)).body == f"bad: {MARKER}".encode()


@pytest.mark.parametrize(
    "body",
    [f'{{"token": "{SECRET}", "a": 1}}', f"<a href='/lab?token={SECRET}'>", f"api_key={SECRET}"],
)
def test_a_body_hides_what_it_names_a_secret(body: str) -> None:
    response = redact(read_response(build_response(200), body.encode()))
    assert response.body == body.replace(SECRET, MARKER).encode()


@pytest.mark.parametrize("piece", [b"a", b"token", b"token ", b"?&", b"://", b"%25", b"=", b"&a="])
def test_long_texts_are_redacted_in_linear_time(piece: bytes) -> None:
    # Looked through again from each of its bytes, the body alone would take minutes.
    response = read_response(build_response(200), piece * 100_000)
    assert redact(response).body
    line = piece.decode() * (15_000 // len(piece))
    for name in ("Location", "Cookie", "Sec-WebSocket-Protocol", "X-Other"):
        redact(read_response(build_response(302, headers={name: line})))


@pytest.mark.parametrize("data", [RFC_REQUEST, CURL_REQUEST, WEBSOCKETS_REQUEST])
def test_a_head_without_secrets_stays_as_it_is(data: bytes) -> None:
    request = read_request(data)
    assert redact(request) == request
    assert redact(read_response(SSE_RESPONSE)) == read_response(SSE_RESPONSE)
    bare = read_response(b"HTTP/1.1 101\r\n\r\n")
    assert redact(bare) == bare


def test_reveal_shows_all() -> None:
    request = read_request(CHROMIUM_REQUEST)
    assert redact(request, True) is request
    assert redact(request, reveal=False) != request


def test_a_redacted_head_is_a_whole_head() -> None:
    request = redact(read_request(CHROMIUM_REQUEST))
    again = read_request(request.raw)
    plain = [dataclasses.replace(header, redacted=False) for header in request.headers]
    assert list(again.headers) == plain
    assert again.target == request.target == "/chat?token=[redacted]"
    assert redact(request) == request


CARRIERS = [
    ("Cookie", "{}"),
    ("Cookie", "a=1; sid={}; b=2"),
    ("Authorization", "Bearer {}"),
    ("Authorization", "{}"),
    ("Proxy-Authorization", "Basic {}"),
    ("X-Session-Token", "{}"),
    ("X-XSRFToken", "{}"),
    ("x-api-key", "{}"),
    ("Referer", "https://a/?token={}"),
    ("Referer", "https://a/?next={{{}}}"),
    ("Sec-WebSocket-Protocol", "chat, bearer.{}"),
    ("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.{}, chat"),
    ("Sec-WebSocket-Protocol", "token, {}, chat"),
    ("", "/ws?token={}"),
    ("", "/ws?a=1&signature={}&b=2"),
    ("", "/ws;session={}?a=1"),
    ("", "/ws?redirect={{{}}}"),
]
secrets = st.text(string.ascii_letters + string.digits + "-._~+/=!*", min_size=12, max_size=80)
# Whatever text of ours can stand in a head or a judgement of it.
KNOWN_TEXTS = [path.read_text() for path in Path(wslab.wire.http.__file__).parent.glob("*.py")]


def traces(secret: str, *things: Any) -> list[str]:
    """Return every piece of eight characters of a secret that is somewhere in the things."""
    text = "\n".join(repr(thing) for thing in things)
    pieces = {secret[i : i + 8] for i in range(len(secret) - 7)}
    return sorted(piece for piece in pieces if piece in text)


@given(secrets, st.sampled_from(CARRIERS), st.integers(0, 2))
def test_redaction_leaves_no_trace(secret: str, carrier: tuple[str, str], wraps: int) -> None:
    name, form = carrier
    if "{{" in form:  # a URL in a URL, percent-encoded once or more
        inner = f"/x?token={secret}"
        for _ in range(wraps + 1):
            inner = quote(inner, safe="")
        value = form.replace("{{{}}}", inner)
    else:
        value = form.replace("{}", secret)
    target = value if not name else "/"
    headers = {name: value} if name else {}
    request = read_request(build_request(target, "a", KEY, headers=headers))
    # A "secret" that is a word of ours, such as "websocket", leaves what looks like traces.
    assume(not traces(secret, redact(read_request(CHROMIUM_REQUEST)), repr(KNOWN_TEXTS), *CARRIERS))
    assert traces(secret, request) or "{{" in form
    hidden = redact(request)
    asked = Handshake(request, read_response(build_response(403)))
    shown = (hidden, dataclasses.asdict(hidden), hidden.raw, asked.checks, asked.why_refused)
    assert traces(secret, *shown) == []
    assert MARKER in repr(hidden)
    assert redact(hidden) == hidden
    assert {header.name for header in hidden.headers} == {h.name for h in request.headers}
    with_faults = Handshake(request, None).request
    assert traces(secret, dataclasses.asdict(redact(with_faults))) == []


@given(secrets, st.sampled_from(["Set-Cookie", "Location", "X-Auth-Token"]), st.booleans())
def test_redaction_leaves_no_trace_in_answers(secret: str, name: str, echoed: bool) -> None:
    value = {"Set-Cookie": "sid={}; Path=/", "Location": "/?code={}", "X-Auth-Token": "{}"}[name]
    assume("." not in secret)  # dots take tokens apart, and the parts are looked for alone
    data = build_response(302, headers={name: value.replace("{}", secret)})
    response = read_response(data, f"moved: {secret}".encode() if echoed else b"moved")
    hidden = redact(response)
    assume(not traces(secret, read_response(build_response(302)), repr(KNOWN_TEXTS), *CARRIERS))
    assert traces(secret, hidden, dataclasses.asdict(hidden)) == []


class TestWhatIsNoWholeHead:
    def test_keeps_the_shape_of_a_head(self):
        head = b"GET /a/b?token=abc HTTP/1.1\r\nCookie: a=b; c\r\nno colon\r\n \tfolded\x00"
        assert redact_partial_head(head) == (
            b"GET /x/xxxxxxxxxxx HTTP/1.1\r\nCookie: xxxx x\r\nxx xxxxx\r\n \txxxxxx\x00"
        )
        assert redact_partial_head(b"s3cret") == b"sxxxxx"
        assert redact_bytes(b"a b\r\n\xff") == b"x x\r\nx"

    @pytest.mark.parametrize(
        ("data", "hidden"),
        [
            (b'{"token": "abc", "a": 1}', b'{"token": "[re", "a": 1}'),
            (b"password=0123456789abc&x=1", b"password=[redacted]***&x=1"),
            (b"you said s3cretS3cret!", b"you said [redacted]**!"),
            (b"it ends in s3cret", b"it ends in [redac"),
            (b"it ends in s3c", b"it ends in s3c"),
            (b"nothing", b"nothing"),
            # What a Socket.IO client POSTs to renew who it is, by the token alone.
            (b'422["authenticate","0123456789abc"]', b'422["authenticate","[redacted]***"]'),
        ],
    )
    def test_a_body_keeps_its_length(self, data, hidden):
        assert redact_body(data, {"s3cretS3cret"}) == hidden
        assert len(hidden) == len(data)
        assert redact_body(hidden, set()) == hidden

    def test_a_secret_cut_in_two(self):
        data = b"you said s3cretS3cret!"
        for cut in range(len(data)):
            first = redact_body(data[:cut], {"s3cretS3cret"})
            second = redact_body(data[cut:], {"s3cretS3cret"}, data[:cut])
            assert b"s3cr" not in first + second
            assert second.endswith(b"!")
