"""Origins and base URLs to the letter; who is let in by them is tested with the allowed ones."""

from __future__ import annotations

import pytest

from wslab.notebook.origins import checked_base_url, is_origin, is_webview, origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Hub.Example.org:443/user/alice/", "https://hub.example.org"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8888/lab?token=x", "http://[::1]:8888"),
        ("http://a.example:443/", "http://a.example:443"),
        ("ftp://a.example/", None),
        ("http://a.example:70000/", None),
        ("", None),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin
    assert origin is None or is_origin(origin)


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("", "/"),
        ("/", "/"),
        ("user/ann", "/user/ann/"),
        ("/a%20b/", "/a%20b/"),
        ("//evil", "/evil/"),
    ],
)
def test_a_base_url_has_a_slash_at_both_ends(text: str, base_url: str) -> None:
    assert checked_base_url(text) == base_url


@pytest.mark.parametrize("text", ["/a/../b/", "/a?b", "/a b/", None, 3])
def test_what_is_no_base_url(text: object) -> None:
    with pytest.raises(ValueError, match="expected a base URL"):
        checked_base_url(text)


def test_a_view_of_vs_code() -> None:
    assert is_webview("vscode-webview://1a2b3c")
    assert not is_webview("vscode-webview://")
    assert not is_webview("https://vscode-webview.example")
    assert not is_origin("vscode-webview://1a2b3c")
