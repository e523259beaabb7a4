"""Whose pages are let in, and what the others are told."""

from __future__ import annotations

import pytest

from wslab.server.listen_address import ListenAddress
from wslab.server.origins import refusal_of_origin

HERE = ("127.0.0.1", 8765)


@pytest.mark.parametrize("origin", ["http://localhost:1", "http://127.0.0.1:8765"])
def test_pages_of_this_machine(origin):
    assert refusal_of_origin(origin, ListenAddress("0.0.0.0", 8765, {}), HERE) == ""


def test_pages_of_the_server_itself():
    address = ListenAddress("192.0.2.7", 8765, {})
    assert refusal_of_origin("http://192.0.2.7:8765", address, ("192.0.2.7", 8765)) == ""


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://192.0.2.7:8765"])
def test_others_are_told_how_to_be_let_in(origin):
    text = refusal_of_origin(origin, ListenAddress("127.0.0.1", 8765, {}), HERE)
    assert f"serve(..., origins=[{origin!r}, None])" in text
