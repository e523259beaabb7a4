"""Who does not get through the tunnel.

A real Jupyter server, raw sockets, and a server of ours that must not see one byte of what is
refused.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

import wslab
from tests import inside
from tests.jupyters import BASE_URL, TOKEN, Jupyter, as_kernel_of
from tests.tunnel.rig import (
    LOGIN,
    OPENING,
    Refused,
    ask,
    echo,
    host_of,
    path_to,
    routes,
    status,
    tunnel_to,
    untouched,
)

pytestmark = pytest.mark.usefixtures("kernel")


def test_the_origin_that_jupyter_lets_in_is_let_in(jupyter: Jupyter) -> None:
    """And nobody else: the server itself goes on refusing that page, and a guessed secret."""
    far = "Origin: https://hub.example.org"
    with wslab.serve(echo) as server:
        direct, tunnel = routes(server, jupyter)
        tunnel.handshake("/", far).close()
        for guess in ((), ("Wslab-Tunnel-Secret: a-guess",)):
            with pytest.raises(Refused, match="^HTTP/1.1 403 "):
                direct.handshake("/", far, *guess)


def test_origins_of_the_users_own_choice_are_kept_to(jupyter: Jupyter) -> None:
    with wslab.serve(echo, origins=["https://a.example"]) as server:
        way = tunnel_to(server, jupyter)
        way.handshake("/", "Origin: https://a.example").close()
        with pytest.raises(Refused, match="^HTTP/1.1 403 "):
            way.handshake("/", "Origin: https://b.example")


def test_the_token_and_the_cookie_open(jupyter: Jupyter, victim: wslab.Server, cookie: str) -> None:
    path = path_to(victim)
    own = f"Origin: http://localhost:{jupyter.port}"
    host = host_of(jupyter)
    assert status(ask(jupyter, path, LOGIN, *OPENING)) == 101
    assert status(ask(jupyter, f"{path}?token={TOKEN}", *OPENING)) == 101
    assert status(ask(jupyter, path, cookie, own, *OPENING, host=host)) == 101


@pytest.mark.parametrize(
    "login",
    [
        (),
        ("Authorization: token wrong",),
        ("Authorization: Bearer ",),
        ("Cookie: username-localhost-8888=forged",),
    ],
)
def test_without_a_login_nobody_passes(
    jupyter: Jupyter, victim: wslab.Server, login: tuple[str, ...]
) -> None:
    path = path_to(victim)
    assert status(ask(jupyter, path, *login, *OPENING)) == 403
    assert status(ask(jupyter, path, *login)) == 403
    assert status(ask(jupyter, f"{path}?token=wrong", *login, *OPENING)) == 403
    assert status(ask(jupyter, f"{BASE_URL}wslab/", *login)) == 403
    assert untouched(victim)


def test_a_person_without_a_login_is_sent_to_it(jupyter: Jupyter, victim: wslab.Server) -> None:
    path = path_to(victim)
    for headers in (
        ("Accept: text/html,*/*",),
        ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
    ):
        answer = ask(jupyter, path, *headers)
        assert status(answer) == 302
        assert f"Location: {BASE_URL}login?next=" in answer.decode()
    assert untouched(victim)
    assert "exception" not in jupyter.log


def test_a_token_in_a_link_becomes_a_cookie(jupyter: Jupyter, victim: wslab.Server) -> None:
    """The page's own requests know no token: the browser must have the cookie before it."""
    path = path_to(victim)
    answer = ask(jupyter, f"{path}?token={TOKEN}&room=1", "Accept: text/html").decode()
    assert status(answer.encode()) == 302
    assert f"\r\nLocation: {path}?room=1\r\n" in answer
    [pair] = re.findall(r"(?m)^Set-Cookie: (username-[^;]+)", answer)
    again = ask(jupyter, f"{path}?room=1", f"Cookie: {pair}", "Accept: text/html")
    assert again.endswith(b"the page of ours")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1:1",
        "http://localhost:1",
    ],
)
def test_a_foreign_page_with_the_users_cookie_is_refused(
    jupyter: Jupyter, victim: wslab.Server, cookie: str, origin: str
) -> None:
    path = path_to(victim)
    host = host_of(jupyter)
    own = f"Origin: http://{host}"
    assert status(ask(jupyter, f"{BASE_URL}wslab/", cookie, own, host=host)) == 200
    lines = (cookie, f"Origin: {origin}")
    assert status(ask(jupyter, path, *lines, *OPENING, host=host)) == 403
    assert status(ask(jupyter, path, *lines, host=host)) == 403
    assert untouched(victim)


@pytest.mark.parametrize(
    "signs",
    [
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
        ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
        ("Referer: https://evil.example/", "Accept: */*"),
        ("Accept: */*",),
    ],
)
def test_a_foreign_page_cannot_include_what_we_serve(
    jupyter: Jupyter, victim: wslab.Server, cookie: str, signs: tuple[str, ...]
) -> None:
    assert status(ask(jupyter, path_to(victim), cookie, *signs, host=host_of(jupyter))) == 403
    assert untouched(victim)


@pytest.mark.parametrize(
    "signs",
    [
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
        ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
        ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"),
        ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
        ("Referer: http://localhost/lab", "Accept: */*"),
    ],
)
def test_links_and_the_notebooks_own_page_may(
    jupyter: Jupyter, victim: wslab.Server, cookie: str, signs: tuple[str, ...]
) -> None:
    host = host_of(jupyter)
    lines = (sign.replace("localhost", host) for sign in signs)
    answer = ask(jupyter, path_to(victim), cookie, *lines, host=host)
    assert answer.endswith(b"the page of ours")


def test_a_host_that_jupyter_does_not_know_is_refused(
    jupyter: Jupyter, victim: wslab.Server
) -> None:
    """A name that was pointed at this machine (DNS rebinding)."""
    assert status(ask(jupyter, path_to(victim), LOGIN, *OPENING, host="evil.example")) == 403
    assert untouched(victim)


def test_who_may_not_run_code_may_not_talk_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "readonly.py").write_text(
        "from jupyter_server.auth import Authorizer\n"
        "class ReadOnly(Authorizer):\n"
        "    def is_authorized(self, handler, user, action, resource):\n"
        "        return action == 'read'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    jupyter = Jupyter(
        tmp_path,
        "--ServerApp.jpserver_extensions=wslab.tunnel=True",
        "--ServerApp.authorizer_class=readonly.ReadOnly",
    )
    try:
        as_kernel_of(monkeypatch, jupyter)
        with wslab.serve(echo) as server:
            assert status(ask(jupyter, path_to(server), LOGIN, *OPENING)) == 403
            assert untouched(server)
    finally:
        jupyter.close()


def test_the_probe_tells_the_version(jupyter: Jupyter) -> None:
    for target in (f"{BASE_URL}wslab/", f"{BASE_URL}wslab"):
        answer = ask(jupyter, target, LOGIN)
        assert status(answer) == 200
        assert list(json.loads(answer.partition(b"\r\n\r\n")[2])) == ["wslab"]


def test_the_probe_tells_whether_it_sees_a_server(jupyter: Jupyter, victim: wslab.Server) -> None:
    """And asks the server nothing: who looks for a way has not taken it."""
    probe = f"{BASE_URL}wslab/?server="
    assert status(ask(jupyter, f"{probe}{victim.tunnel_id}", LOGIN)) == 200
    for name in ("f" * 32, "nonsense", "..%2F", f"{victim.tunnel_id}0"):
        assert status(ask(jupyter, f"{probe}{name}", LOGIN)) == 404
    assert status(ask(jupyter, f"{probe}{victim.tunnel_id}")) == 403
    assert untouched(victim)


def test_a_port_that_wslab_did_not_start_is_not_reached(
    jupyter: Jupyter, victim: wslab.Server
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)
        port = other.getsockname()[1]
        for name in (str(port), f"127.0.0.1:{port}", f"{port:032x}", f"{port:032d}"):
            answer = ask(jupyter, f"{BASE_URL}wslab/{name}/", LOGIN, *OPENING)
            assert status(answer) == 404
        with pytest.raises(TimeoutError):
            other.accept()


def test_what_jupyter_logs_names_no_token(jupyter: Jupyter, victim: wslab.Server) -> None:
    ask(jupyter, f"{path_to(victim)}nothing?token={TOKEN}", *OPENING)
    ask(jupyter, f"{BASE_URL}wslab/{'0' * 32}/?token={TOKEN}", *OPENING)
    assert TOKEN not in jupyter.log
    assert inside.registration(victim).secret not in jupyter.log
