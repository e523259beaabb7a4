"""Who may connect: pages of this machine, and the notebook's own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notebook.rig import (
    HUB,
    PUBLIC,
    ZMQInteractiveShell,
)
from wslab.notebook.allowed_origins import is_allowed_origin, known_origins
from wslab.notebook.environment import detect
from wslab.notebook.page import note_page_origin

pytestmark = pytest.mark.usefixtures("on_a_plain_machine")


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://localhost",
        "https://localhost",
        "http://localhost:8888",
        "http://127.0.0.1:1",
        "https://127.255.255.254:65535",
        "http://127.0.0.53",
        "http://[::1]",
        "http://[::1]:8888",
    ],
)
def test_pages_of_this_machine_and_clients_that_are_no_page_may(origin: str | None) -> None:
    assert is_allowed_origin(origin)


REFUSED = [
    "",
    "null",
    "*",
    "file://",
    "http://",
    "http:",
    "localhost",
    "localhost:8888",
    "//localhost",
    "http://localhost.evil.com",
    "http://127.0.0.1.evil.com",
    "http://127.0.0.1@evil.com",
    "http://localhost@evil.com",
    "http://evil.com#localhost",
    "http://evil.com?localhost",
    "http://evil.com/localhost",
    "http://evil.com\\localhost",
    "http://evil.com:80@localhost",
    "http://user@localhost",
    "http://user:pw@localhost",
    "HTTP://localhost",
    "http://LOCALHOST",
    "http://Localhost:8888",
    "http://localhost.",
    "http://127.0.0.1.",
    "http://localhost/",
    "http://localhost:8888/",
    "http://localhost:",
    "http://localhost:0",
    "http://localhost:080",
    "http://localhost:65536",
    "http://localhost:99999",
    "http://localhost:100000",
    "http://localhost:-1",
    "http://localhost:+80",
    "http://localhost: 80",
    "http://localhost:80:80",
    "http://localhost:\u0668\u0668",
    "http://localhost ",
    " http://localhost",
    "http://localhost\n",
    "http://localhost\x00",
    "http://localhost, http://evil.com",
    "http://localhost http://evil.com",
    "http://xlocalhost",
    "http://evil-localhost",
    "http://foo.localhost",
    "http://127.1",
    "http://127.0.0.01",
    "http://127.0.0.256",
    "http://127.0.0.0.1",
    "http://0127.0.0.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://0.0.0.0",
    "http://128.0.0.1",
    "http://1127.0.0.1",
    "http://127\u30020.0.1",
    "http://::1",
    "http://[::]",
    "http://[::1",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::ffff:127.0.0.1]",
    "http://[::1%25eth0]",
    "http://[::1]evil.com",
    "http://[::1].evil.com",
    "ws://localhost",
    "ftp://localhost",
    "httpss://localhost",
    "chrome-extension://abcdefgh",
    "vscode-webview://1a2b3c",
    "https://example.org",
]


@pytest.mark.parametrize("origin", REFUSED)
def test_everybody_else_may_not(origin: str) -> None:
    assert not is_allowed_origin(origin, here=detect({}, modules={}))


def test_the_notebooks_own_pages_may(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_allowed_origin("https://hub.example.org")
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_URL", PUBLIC["JUPYTERHUB_PUBLIC_URL"])
    assert is_allowed_origin("https://hub.example.org")
    assert not is_allowed_origin("http://hub.example.org")
    assert not is_allowed_origin("https://hub.example.org.evil.com")

    assert not is_allowed_origin("http://10.0.0.7:8888")
    note_page_origin("http://10.0.0.7:8888", "/")
    assert is_allowed_origin("http://10.0.0.7:8888")
    assert not is_allowed_origin("http://10.0.0.7:8889")
    assert known_origins() == {"https://hub.example.org", "http://10.0.0.7:8888"}


def test_a_webview_may_only_where_vscode_shows_the_notebook() -> None:
    vscode = detect({}, ZMQInteractiveShell(__vsc_ipynb_file__="/x.ipynb"), {})
    assert is_allowed_origin("vscode-webview://1a2b3c", here=vscode)
    assert not is_allowed_origin("vscode-webview://1a2b3c.evil.com", here=vscode)
    assert not is_allowed_origin("vscode-webview://1A", here=vscode)
    note_page_origin("vscode-webview://1a2b3c", "/")
    assert is_allowed_origin("vscode-webview://1a2b3c", here=detect({}, modules={}))
    assert detect(HUB, modules={}).jupyter_origin is None  # it is no address of Jupyter's


# What a browser may write for a page of this machine; the whole policy, said a second way.
PLAIN_LOOPBACK = re.compile(
    r"https?://(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?", re.ASCII
)
PIECES = ["http", "https", "://", ":", "/", "localhost", "127.0.0.1", "[::1]", "evil.com", "@"]
PIECES += [".", "8888", "null", "%", "#", "\\", " ", "LOCALHOST", "file", "127.", "\t", "-"]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)))
def test_whatever_is_allowed_is_plainly_loopback(origin: str) -> None:
    if is_allowed_origin(origin):
        assert PLAIN_LOOPBACK.fullmatch(origin)


@given(
    st.sampled_from(["http", "https"]),
    st.one_of(
        st.just("localhost"),
        st.just("[::1]"),
        st.tuples(*[st.integers(0, 255)] * 3).map(lambda rest: "127.{}.{}.{}".format(*rest)),
    ),
    st.one_of(st.none(), st.integers(1, 65535)),
)
def test_every_loopback_origin_is_allowed_and_no_change_of_it_is(
    scheme: str, host: str, port: int | None
) -> None:
    origin = f"{scheme}://{host}" + (f":{port}" if port else "")
    assert is_allowed_origin(origin)
    for changed in (origin + ".evil.com", origin + "/", "x" + origin, origin.upper(), origin + "@"):
        assert not is_allowed_origin(changed)
