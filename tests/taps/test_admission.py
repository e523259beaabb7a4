"""Who may ask through a tap."""

from __future__ import annotations

import re

import pytest

from tests.taps.rig import head
from wslab.notebook import page
from wslab.server.listen_address import ListenAddress
from wslab.taps.admission import refusal_of
from wslab.taps.request_head import Upstream

FEED = Upstream.at("wss://feed.example/")


def refusal(*headers, origins=None, host="127.0.0.1", reached_at=("127.0.0.1", 5000)):
    if not any(line.startswith("Host:") for line in headers):
        headers = ("Host: 127.0.0.1:5000", *headers)
    return refusal_of(
        head("GET / HTTP/1.1", *headers),
        origins=origins,
        upstream=FEED,
        address=ListenAddress(host, 5000, {}),
        reached_at=reached_at,
    )


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "http://127.0.0.1:5000", "https://feed.example"],
)
def test_pages_of_this_machine_and_of_the_upstream_may_ask(origin):
    assert refusal(f"Origin: {origin}") == ""


def test_the_notebooks_own_pages_may_ask(monkeypatch):
    monkeypatch.setattr(page, "noted_origins", lambda: frozenset())
    assert refusal("Origin: https://hub.example") != ""
    monkeypatch.setattr(
        "wslab.notebook.allowed_origins.noted_origins", lambda: frozenset(["https://hub.example"])
    )
    assert refusal("Origin: https://hub.example") == ""


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://feed.example"])
def test_other_pages_are_told_why_not(origin):
    said = refusal(f"Origin: {origin}")
    assert f"pages from '{origin}'" in said
    assert f"origins=['{origin}', None]" in said


def test_the_user_says_whose_pages_may_ask():
    allowed = ["https://a.example", re.compile(r"https://.*\.b\.example"), None]
    assert refusal("Origin: https://a.example", origins=allowed) == ""
    assert refusal("Origin: https://x.b.example", origins=allowed) == ""
    assert refusal("Origin: http://localhost:3000", origins=allowed) != ""
    assert refusal(origins=allowed) == ""
    assert refusal(origins=["https://a.example"]) != ""


@pytest.mark.parametrize(
    "host",
    ["localhost:5000", "app.localhost", "127.0.0.1:5000", "[::1]:5000", "192.168.1.7:5000",
     "feed.example"],
)  # fmt: skip
def test_addresses_and_names_of_this_machine_are_known(host):
    assert refusal(f"Host: {host}") == ""


@pytest.mark.parametrize("host", ["rebound.example:5000", "a[b"])
def test_a_web_site_whose_name_leads_here_is_not_let_in(host):
    assert f"by the name {host!r}" in refusal(f"Host: {host}")


def test_a_name_that_the_user_knows_is_let_in():
    assert refusal("Host: laptop.lan:5000", origins=["http://laptop.lan:5000", None]) == ""
    assert refusal("Host: laptop.lan:5000", host="laptop.lan") == ""
    own = refusal("Host: 192.168.1.7", "Origin: http://192.168.1.7:5000",
                  reached_at=("192.168.1.7", 5000))  # fmt: skip
    assert own == ""
