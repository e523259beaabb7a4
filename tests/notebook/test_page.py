"""What the page tells: its address, and which routes answer it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notebook.rig import (
    HUB,
    ZMQInteractiveShell,
    write_server_file,
)
from wslab.notebook.allowed_origins import known_origins
from wslab.notebook.environment import detect
from wslab.notebook.page import note_page_origin, note_routes, seen_by_page
from wslab.notebook.routes import browser_url, page_url

pytestmark = pytest.mark.usefixtures("on_a_plain_machine")


def test_a_page_on_another_machine_shows_that_the_kernel_is_out_of_reach(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path)
    note_page_origin("https://lab.example.org:8443", "/base")
    here = detect(environ, ZMQInteractiveShell(), {})
    assert here.can_reach_kernel is False
    assert "https://lab.example.org:8443" in here.reason
    assert browser_url(8765, path="/chat?x=1", here=here) == (
        "wss://lab.example.org:8443/base/proxy/8765/chat?x=1"
    )
    assert page_url(8765, here=here) == "https://lab.example.org:8443/base/proxy/8765/"


def test_a_page_on_this_machine_does_not_overrule_a_sign_of_another(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path) | {"SSH_CONNECTION": "x"}
    note_page_origin("http://localhost:8888", "/")
    assert detect(environ, ZMQInteractiveShell(), {}).can_reach_kernel is None


def test_a_page_stands_in_for_a_missing_server_file() -> None:
    note_page_origin("http://localhost:8888", "/base/")
    here = detect({}, ZMQInteractiveShell(), {})
    assert (here.can_reach_kernel, here.jupyter_base_url) == (True, "/base/")


def test_the_page_noted_last_wins() -> None:
    for origin in ("https://a.example", "https://b.example", "https://a.example"):
        note_page_origin(origin, "/")
    assert detect(HUB, modules={}).jupyter_origin == "https://a.example"
    assert known_origins() == {"https://a.example", "https://b.example"}


def test_noted_origins_are_bounded_and_thread_safe() -> None:
    def note(thread: int) -> None:
        for number in range(100):
            note_page_origin(f"https://h{number}.t{thread}.example", "/")
            known_origins()

    threads = [threading.Thread(target=note, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(known_origins()) == 32


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "*",
        "null",
        "file://",
        "javascript:1",
        "HTTPS://a.example",
        "https://a.example/",
        "https://a.example.",
        "https://a.example:0",
        "https://a.example:99999",
        "https://a.example\n",
        "https://a .example",
        "https://u@a.example",
        "https://-a.example",
        "https://[::1",
    ],
)
def test_what_is_no_origin_is_not_noted(origin: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a page's location\.origin"):
        note_page_origin(origin, "/")
    assert known_origins() == frozenset()


@pytest.mark.parametrize(
    "base_url", ["/a b/", "//evil.example/x//y", "/x?y/", "/a/../b/", '/"/', "/\n/", None, 1]
)
def test_what_is_no_base_url_is_not_noted(base_url: Any) -> None:
    with pytest.raises(ValueError, match="expected a base URL"):
        note_page_origin("https://a.example", base_url)
    assert known_origins() == frozenset()


@given(st.text(max_size=60), st.text(max_size=60))
def test_noting_never_fails_otherwise_than_with_a_value_error(origin: str, base_url: str) -> None:
    try:
        note_page_origin(origin, base_url)
    except ValueError:
        return
    assert origin in known_origins()


def test_another_page_begins_anew() -> None:
    note_page_origin("https://a.example", "/user/alice/")
    note_routes({"tunnel": "403"})
    note_page_origin("https://a.example", "/user/alice/")  # the same one, loaded again
    assert seen_by_page("tunnel") == "403"
    note_page_origin("http://localhost:8888", "/user/alice/")
    assert seen_by_page("tunnel") is None
