"""Secrets in the values of headers and in URLs."""

from __future__ import annotations

import re

import pytest

from tests.wire.http.heads import KEY, SECRET, read_request
from wslab.wire.http.building import build_request
from wslab.wire.http.redaction import redact
from wslab.wire.http.secret_values import hide_secrets, hide_session


def redacted_value(name: str, value: str) -> str:
    head = read_request(build_request("/", "a", KEY, headers={name: value}))
    hidden = redact(head)
    [header] = [header for header in hidden.headers if header.name == name]
    assert header.redacted is (header.value != value)
    return header.value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Cookie", f"sid={SECRET}; theme=dark", "[redacted]"),
        ("Authorization", f"Bearer {SECRET}", "Bearer [redacted]"),
        ("authorization", f"Basic {SECRET}", "Basic [redacted]"),
        ("Authorization", SECRET, "[redacted]"),
        ("Proxy-Authorization", f'Digest username="a", response="{SECRET}"', "Digest [redacted]"),
        ("X-XSRFToken", SECRET, "[redacted]"),
        ("X-API-Key", SECRET, "[redacted]"),
        ("X-Auth-Token", SECRET, "[redacted]"),
        ("X-Amz-Security-Token", SECRET, "[redacted]"),
        ("X-Forwarded-Access-Token", SECRET, "[redacted]"),
        ("Referer", f"http://a/b?x=1&Access_Token={SECRET}&y=2#z",
         "http://a/b?x=1&Access_Token=[redacted]&y=2#z"),
        ("Referer", f"http://me:{SECRET}@a/b", "http://[redacted]@a/b"),
        ("X-Original-URI", f"/a?%74oken={SECRET}", "/a?%74oken=[redacted]"),
        ("Sec-WebSocket-Protocol", f"bearer.{SECRET}, chat", "bearer.[redacted], chat"),
        ("Sec-WebSocket-Protocol",
         f"base64url.bearer.authorization.k8s.io.{SECRET}, base64.binary.k8s.io",
         "base64url.bearer.authorization.k8s.io.[redacted], base64.binary.k8s.io"),
        ("Sec-WebSocket-Protocol",
         f"v1.kernel.websocket.jupyter.org, v1.token.websocket.jupyter.org.{SECRET}",
         "v1.kernel.websocket.jupyter.org, v1.token.websocket.jupyter.org.[redacted]"),
        ("Sec-WebSocket-Protocol", "v1.token.websocket.jupyter.org",
         "v1.token.websocket.jupyter.org"),
        ("Sec-WebSocket-Protocol", f"access_token, {SECRET}", "access_token, [redacted]"),
        ("Sec-WebSocket-Protocol", f"Authorization,{SECRET}", "Authorization, [redacted]"),
        ("Sec-WebSocket-Protocol", f"chat, eyJhbGciOiJIUzI1NiJ9.{SECRET}", "chat, [redacted]"),
        ("Sec-WebSocket-Protocol", "chat,graphql-transport-ws", "chat,graphql-transport-ws"),
        ("Sec-WebSocket-Key", KEY, KEY),
        ("Origin", "http://example.com", "http://example.com"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=15",
         "permessage-deflate; client_max_window_bits=15"),
        ("Cookie", "", ""),
    ],
)  # fmt: skip
def test_secrets_are_hidden_and_nothing_else(name: str, value: str, expected: str) -> None:
    assert redacted_value(name, value) == expected


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "api_key", "key", "auth", "jwt", "password", "secret", "session",
     "code", "sig", "signature", "TOKEN", "id_token", "X-Amz-Signature"],
)  # fmt: skip
def test_parameters_of_the_target_are_hidden(name: str) -> None:
    data = build_request(f"/ws?a=1&{name}={SECRET}&b=2", "a", KEY)
    request = redact(read_request(data))
    assert request.target == f"/ws?a=1&{name}=[redacted]&b=2"
    assert request.raw == data.replace(SECRET.encode(), b"[redacted]")


@pytest.mark.parametrize(
    "target", ["/a?monkey=1&tokyo=2&encode=3", "/tokens/a", "/?q=token", "/?auth=packet", "*"]
)
def test_other_targets_stay(target: str) -> None:
    expected = target
    request = read_request(build_request(target, "a", KEY))
    assert redact(request).target == expected


def test_an_id_of_a_session_is_hidden_behind_a_mark_of_its_own():
    hidden = hide_session(SECRET)
    assert re.fullmatch(r"\[redacted\][0-9a-f]{8}", hidden)
    assert hide_session(SECRET) == hidden  # again the same
    assert hide_session(SECRET + "2") != hidden
    assert hide_secrets("", f"/?EIO=4&sid={SECRET}&x=1") == f"/?EIO=4&sid={hidden}&x=1"
    assert hide_secrets("", f"/?sid={hidden}") == f"/?sid={hidden}"  # what is hidden stays
    assert hide_session(hidden, 30) == hidden
    assert hide_session(SECRET, 20) == hidden + "**"
    assert hide_session(SECRET, 18) == hidden
    assert hide_session(SECRET, 17) == "[redacted]*******"
    assert hide_session(SECRET, 4) == "[red"
    assert hide_session("[redacted]" + SECRET) != "[redacted]" + SECRET
