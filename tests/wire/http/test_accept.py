"""Key and Accept, beside websockets' own."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import accept_key as reference_accept_key

from tests.wire.http.heads import ACCEPT, KEY
from wslab.wire.http.accept import GUID, accept_key, check_key, derive_accept


# Key and Accept.
def test_accept_is_derived_step_by_step() -> None:
    # RFC 6455 §1.3.
    steps = derive_accept(KEY)
    assert steps.key == KEY
    assert steps.guid == GUID == "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert steps.concatenated == "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert steps.sha1 == bytes.fromhex("b37a4f2cc0624f1690f64606cf385945b2bec4ea")
    assert steps.accept == ACCEPT == accept_key(KEY)
    assert steps.key_fault is None
    assert derive_accept(f" {KEY}\t") == steps


@given(st.binary(min_size=16, max_size=16))
def test_accept_is_what_websockets_says(nonce: bytes) -> None:
    key = base64.b64encode(nonce).decode()
    assert accept_key(key) == reference_accept_key(key)
    assert check_key(key) is None


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "is base64 of 0 bytes, not of 16"),
        ("dGhlIHNhbXBsZSBub25j", "is base64 of 15 bytes, not of 16"),
        ("dGhlIHNhbXBsZSBub25jZQ", "is not base64"),
        ("dGhlIHNhbXBsZSBub25jZQ==!", "is not base64"),
        ("the sample nonce", "is not base64"),
        ("ключ", "is not base64"),
    ],
)
def test_a_bad_key_is_named(key: str, fault: str) -> None:
    assert check_key(key) == fault


def test_a_key_beyond_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        derive_accept("ключ")
