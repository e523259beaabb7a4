"""Where wslab runs: each kind of place from its signs, the URLs, and who may connect."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wslab.notebook import environment as place_module
from wslab.notebook.environment import (
    Kind,
    browser_url,
    detect,
    is_allowed_origin,
    known_origins,
    needs_login,
    note_page_origin,
    note_ways,
    page_url,
    seen_by_page,
    ways,
)

HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/alice/"}
PUBLIC = HUB | {"JUPYTERHUB_PUBLIC_URL": "https://Hub.Example.org:443/user/alice/"}
BINDER = {
    "JUPYTERHUB_SERVICE_PREFIX": "/user/demo-abc/",
    "BINDER_LAUNCH_HOST": "https://mybinder.org/",
    "BINDER_REF_URL": "https://example.org/demo/tree/1234",
}


class ZMQInteractiveShell:
    """Stands for ipykernel's shell: only its name and its namespace count."""

    def __init__(self, **user_ns: Any) -> None:
        self.user_ns = user_ns


class TerminalInteractiveShell:
    user_ns: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def on_a_plain_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Forget this machine: no noted page, no container, no Hub, no running Jupyter server."""
    monkeypatch.setattr(place_module, "_is_container", lambda: False)
    monkeypatch.setattr(place_module, "_runtime_dir", lambda: str(tmp_path))
    monkeypatch.delenv("JUPYTERHUB_PUBLIC_URL", raising=False)
    place_module._noted.clear()
    place_module._tried.clear()
    yield
    place_module._noted.clear()
    place_module._tried.clear()


def write_server_file(folder: Path, pid: int | str = 4242, **changes: Any) -> dict[str, str]:
    """Write what jupyter_server writes about itself; return the kernel's environment."""
    info = {
        "base_url": "/",
        "hostname": "localhost",
        "password": False,
        "pid": 4242,
        "port": 8888,
        "root_dir": "/home/alice",
        "secure": False,
        "sock": "",
        "token": "a-secret-token",
        "url": "http://localhost:8888/",
        "version": "2.21.1",
    }
    (folder / f"jpserver-{pid}.json").write_text(json.dumps(info | changes))
    return {"JPY_PARENT_PID": "4242"}


# Kinds


def test_a_script() -> None:
    place = detect({}, modules={})
    assert place.kind is Kind.SCRIPT
    assert place.can_reach_kernel is True
    assert place.jupyter_origin is None
    assert place.has_server_proxy is None
    assert browser_url(8765, place=place) == "ws://127.0.0.1:8765/"


def test_ipython_that_is_imported_but_not_running_is_a_script() -> None:
    modules = {"IPython": SimpleNamespace(get_ipython=lambda: None)}
    assert detect({}, modules=modules).kind is Kind.SCRIPT


def test_the_shell_is_asked_for_when_ipython_is_there() -> None:
    modules = {"IPython": SimpleNamespace(get_ipython=TerminalInteractiveShell)}
    assert detect({}, modules=modules).kind is Kind.IPYTHON


def test_ipython_half_imported_is_no_error() -> None:
    assert detect({}, modules={"IPython": SimpleNamespace()}).kind is Kind.SCRIPT


def test_ipython_in_a_terminal() -> None:
    place = detect({}, TerminalInteractiveShell(), {})
    assert place.kind is Kind.IPYTHON
    assert "terminal" in place.label


def test_jupyter(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path, base_url="/base/", url="http://localhost:8888/base/")
    place = detect(environ, ZMQInteractiveShell(), {})
    assert place.kind is Kind.JUPYTER
    assert place.jupyter_base_url == "/base/"
    assert place.jupyter_origin == "http://localhost:8888"
    assert place.can_reach_kernel is True
    assert "a-secret-token" not in repr(place)
    assert browser_url(8765, place=place) == "ws://127.0.0.1:8765/"


def test_a_shell_derived_from_ipykernels_is_a_kernel() -> None:
    class Derived(ZMQInteractiveShell):
        pass

    assert detect({}, Derived(), {}).kind is Kind.JUPYTER


def test_jupyter_is_found_by_the_parent_process_where_the_variable_is_no_pid(
    tmp_path: Path,
) -> None:
    write_server_file(tmp_path, pid=os.getppid())
    place = detect({"JPY_PARENT_PID": "1784"}, ZMQInteractiveShell(), {})
    assert place.jupyter_origin == "http://localhost:8888"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": 1}', '{"url": "x", "base_url": 1}'])
def test_a_broken_server_file_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "jpserver-4242.json").write_text(text)
    place = detect({"JPY_PARENT_PID": "4242"}, ZMQInteractiveShell(), {})
    assert (place.kind, place.can_reach_kernel) == (Kind.JUPYTER, None)


def test_without_a_server_of_this_machine_reach_is_unknown() -> None:
    place = detect({"JPY_PARENT_PID": "../../x"}, ZMQInteractiveShell(), {})
    assert (place.kind, place.can_reach_kernel) == (Kind.JUPYTER, None)
    assert "no Jupyter server" in place.why


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        ({"hostname": "0.0.0.0", "url": "http://my-box:8888/"}, None),
        ({"hostname": "localhost", "url": "http://my-box:8888/"}, None),  # ServerApp.ip = ""
        ({"hostname": "10.0.0.7", "url": "https://10.0.0.7:8888/"}, "https://10.0.0.7:8888"),
        ({"hostname": "localhost", "url": "http+unix://%2Ftmp%2Fs"}, None),
    ],
)
def test_a_server_that_listens_beyond_this_machine_leaves_reach_unknown(
    tmp_path: Path, changes: dict[str, str], origin: str | None
) -> None:
    place = detect(write_server_file(tmp_path, **changes), ZMQInteractiveShell(), {})
    assert (place.jupyter_origin, place.can_reach_kernel) == (origin, None)


def test_a_loopback_server_by_ipv6(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path, hostname="::1", url="http://[::1]:8888/")
    place = detect(environ, ZMQInteractiveShell(), {})
    assert (place.jupyter_origin, place.can_reach_kernel) == ("http://[::1]:8888", True)


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}, "SSH"),
        ({"CODESPACES": "true"}, "Codespace"),
        ({"REMOTE_CONTAINERS": "true"}, "container"),
    ],
)
def test_signs_of_another_machine_leave_reach_unknown(
    tmp_path: Path, environ: dict[str, str], word: str
) -> None:
    for place in (
        detect(environ | write_server_file(tmp_path), ZMQInteractiveShell(), {}),
        detect(environ, TerminalInteractiveShell(), {}),
        detect(environ, ZMQInteractiveShell(__vsc_ipynb_file__="/x.ipynb"), {}),
        detect(environ, modules={}),
    ):
        assert place.can_reach_kernel is None
        assert word in place.why


def test_a_container_is_such_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_module, "_is_container", lambda: True)
    assert "container" in detect({}, modules={}).why


@pytest.mark.parametrize("shell", [ZMQInteractiveShell(), TerminalInteractiveShell(), None])
def test_a_hub_whatever_the_shell(shell: Any) -> None:
    place = detect(HUB, shell, {})
    assert place.kind is Kind.HUB
    assert place.jupyter_base_url == "/user/alice/"
    assert place.jupyter_origin is None
    assert place.can_reach_kernel is False
    assert browser_url(8765, place=place) == "/user/alice/proxy/8765/"


def test_a_hub_that_tells_its_public_url() -> None:
    place = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert place.jupyter_origin == "https://hub.example.org"
    assert browser_url(8765, place=place) == "wss://hub.example.org/user/alice/proxy/8765/"
    assert page_url(8765, place=place) == "https://hub.example.org/user/alice/proxy/8765/"


@pytest.mark.parametrize("url", ["", "hub.example.org", "https://", "ftp://x/", "https://a:b/"])
def test_a_public_url_that_is_none_is_ignored(url: str) -> None:
    place = detect(HUB | {"JUPYTERHUB_PUBLIC_URL": url}, ZMQInteractiveShell(), {})
    assert place.jupyter_origin is None


def test_a_hub_user_whose_name_is_quoted() -> None:
    environ = {"JUPYTERHUB_SERVICE_PREFIX": "/hub/user/a%40b.org"}
    assert detect(environ, modules={}).jupyter_base_url == "/hub/user/a%40b.org/"


def test_binder_learns_its_origin_from_the_page() -> None:
    place = detect(BINDER, ZMQInteractiveShell(), {})
    assert place.kind is Kind.BINDER
    assert place.jupyter_origin is None
    assert browser_url(8765, place=place) == "/user/demo-abc/proxy/8765/"

    note_page_origin("https://notebooks.example.org", "/binder/user/demo-abc/")
    place = detect(BINDER, ZMQInteractiveShell(), {})
    assert browser_url(8765, place=place) == (
        "wss://notebooks.example.org/binder/user/demo-abc/proxy/8765/"
    )


def test_binder_without_a_prefix_asks_the_servers_file(tmp_path: Path) -> None:
    environ = {"BINDER_REPO_URL": "x"} | write_server_file(tmp_path, base_url="/user/b/")
    assert detect(environ, ZMQInteractiveShell(), {}).jupyter_base_url == "/user/b/"


def test_vscode_by_its_variable_in_the_namespace() -> None:
    place = detect({}, ZMQInteractiveShell(__vsc_ipynb_file__="/home/x.ipynb"), {})
    assert (place.kind, place.can_reach_kernel) == (Kind.VSCODE, True)
    assert browser_url(8765, place=place) == "ws://127.0.0.1:8765/"


@pytest.mark.parametrize("name", ["VSCODE_PID", "VSCODE_CWD"])
def test_vscode_by_its_environment(name: str) -> None:
    assert detect({name: "1"}, ZMQInteractiveShell(), {}).kind is Kind.VSCODE
    # A terminal of VS Code sets the same for all that is started there.
    assert detect({name: "1"}, modules={}).kind is Kind.SCRIPT


def test_jupyterlab_started_from_a_terminal_of_vscode_is_jupyter(tmp_path: Path) -> None:
    environ = {"VSCODE_PID": "1"} | write_server_file(tmp_path)
    assert detect(environ, ZMQInteractiveShell(), {}).kind is Kind.JUPYTER


def test_vscode_with_a_kernel_on_a_hub() -> None:
    place = detect(HUB, ZMQInteractiveShell(__vsc_ipynb_file__="/x.ipynb"), {})
    assert (place.kind, place.can_reach_kernel) == (Kind.VSCODE, False)
    assert "JupyterHub" in place.why


@pytest.mark.parametrize(
    ("environ", "modules"), [({"COLAB_RELEASE_TAG": "r"}, {}), ({}, {"google.colab": object()})]
)
def test_colab(environ: dict[str, str], modules: dict[str, Any]) -> None:
    place = detect(environ, ZMQInteractiveShell(), modules)
    assert (place.kind, place.can_reach_kernel) == (Kind.COLAB, False)
    assert browser_url(8765, place=place) == "ws://127.0.0.1:8765/"


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"jupyter_server_proxy", "jupyter_server"}, True),
        ({"jupyter_server"}, False),
        (set(), None),
    ],
)
def test_has_server_proxy(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], expected: bool | None
) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: name if name in installed else None
    )
    assert detect(HUB, modules={}).has_server_proxy is expected


def test_every_place_says_why() -> None:
    for environ in ({}, HUB, BINDER, {"COLAB_GPU": ""}):
        place = detect(environ, ZMQInteractiveShell(), {})
        assert len(place.why.split()) > 3
        assert place.label


def test_the_real_runtime_folder_is_jupyters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/somewhere/runtime")
    assert place_module._runtime_dir() == "/somewhere/runtime"


def test_the_module_alone_imports_nothing_heavy() -> None:
    code = "import importlib.util as u, sys; s = u.spec_from_file_location('place', sys.argv[1])\n"
    code += "m = sys.modules['place'] = u.module_from_spec(s); s.loader.exec_module(m)\n"
    code += "m.detect(); print(*sys.modules)"
    source = Path(detect.__code__.co_filename)
    done = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heavy = {"asyncio", "IPython", "json", "jupyter_core", "jupyter_server", "tornado"}
    assert not heavy & {*done.stdout.split()}


# What the page tells


def test_a_page_on_another_machine_shows_that_the_kernel_is_out_of_reach(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path)
    note_page_origin("https://lab.example.org:8443", "/base")
    place = detect(environ, ZMQInteractiveShell(), {})
    assert place.can_reach_kernel is False
    assert "https://lab.example.org:8443" in place.why
    assert browser_url(8765, path="/chat?x=1", place=place) == (
        "wss://lab.example.org:8443/base/proxy/8765/chat?x=1"
    )
    assert page_url(8765, place=place) == "https://lab.example.org:8443/base/proxy/8765/"


def test_a_page_on_this_machine_does_not_overrule_a_sign_of_another(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path) | {"SSH_CONNECTION": "x"}
    note_page_origin("http://localhost:8888", "/")
    assert detect(environ, ZMQInteractiveShell(), {}).can_reach_kernel is None


def test_a_page_stands_in_for_a_missing_server_file() -> None:
    note_page_origin("http://localhost:8888", "/base/")
    place = detect({}, ZMQInteractiveShell(), {})
    assert (place.can_reach_kernel, place.jupyter_base_url) == (True, "/base/")


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


# URLs


def test_only_direct_urls_change_with_tls() -> None:
    here, hub = detect({}, modules={}), detect(PUBLIC, modules={})
    assert browser_url(1, secure=True, path="/a", place=here) == "wss://127.0.0.1:1/a"
    assert page_url(65535, secure=True, place=here) == "https://127.0.0.1:65535/"
    assert browser_url(1, secure=True, place=hub).startswith("wss://hub.example.org/")
    note_page_origin("http://hub.local:8000", "/user/alice/")
    plain = detect(HUB, modules={})
    assert browser_url(1, secure=True, place=plain) == "ws://hub.local:8000/user/alice/proxy/1/"


def test_without_a_place_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PUBLIC.items():
        monkeypatch.setenv(name, value)
    assert browser_url(8765) == "wss://hub.example.org/user/alice/proxy/8765/"


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range(port: int) -> None:
    with pytest.raises(ValueError, match=f"got {port}"):
        browser_url(port)


def test_a_path_without_its_slash() -> None:
    with pytest.raises(ValueError, match="got 'chat'"):
        page_url(8765, path="chat")


# Ways

ID = "0123456789abcdef" * 2


def kinds(place: place_module.Place, **kwargs: Any) -> list[str]:
    found = ways(8765, place=place, **kwargs)
    assert all(way.label for way in found)
    return [way.kind for way in found]


def test_the_tunnel_comes_before_the_proxy_where_the_kernel_is_far() -> None:
    hub = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert kinds(hub) == ["proxy", "comm"]
    assert kinds(hub, tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    assert kinds(hub, tunnel_id=ID, secure=True) == ["tunnel", "comm"]  # the proxy speaks no TLS
    base = f"hub.example.org/user/alice/wslab/{ID}"
    assert browser_url(8765, tunnel_id=ID, path="/a?b=1", place=hub) == f"wss://{base}/a?b=1"
    assert page_url(8765, tunnel_id=ID, secure=True, place=hub) == f"https://{base}/"
    assert ways(8765, tunnel_id=ID, place=hub)[0].url == f"wss://{base}/"


def test_without_an_origin_the_tunnels_url_is_a_path() -> None:
    binder = detect(BINDER, ZMQInteractiveShell(), {})
    assert browser_url(8765, tunnel_id=ID, place=binder) == f"/user/demo-abc/wslab/{ID}/"
    assert ways(8765, tunnel_id=ID, place=binder)[0].url == f"/user/demo-abc/wslab/{ID}/"


def test_a_server_that_listens_elsewhere(tmp_path: Path) -> None:
    here = detect(write_server_file(tmp_path), ZMQInteractiveShell(), {})
    for host, shown in (("::1", "[::1]"), ("127.0.0.2", "127.0.0.2"), ("box.lan", "box.lan")):
        assert browser_url(8765, place=here, host=host) == f"ws://{shown}:8765/"
        assert page_url(8765, place=here, host=host, secure=True) == f"https://{shown}:8765/"
        assert ways(8765, place=here, host=host)[0].url == f"ws://{shown}:8765/"
    hub = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert kinds(hub, host="::1", tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    # jupyter-server-proxy goes to this machine's loopback only.
    assert kinds(hub, host="192.0.2.7") == ["comm"]
    assert browser_url(8765, place=hub, host="192.0.2.7") == "ws://192.0.2.7:8765/"


def test_a_unix_socket_is_reached_by_the_tunnel_or_not_at_all(tmp_path: Path) -> None:
    here = detect(write_server_file(tmp_path), ZMQInteractiveShell(), {})
    hub = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert browser_url(0, place=here, host="") == page_url(0, place=here, host="") == ""
    assert ways(0, place=here, host="")[-1].url == ""
    assert browser_url(0, place=hub, host="") == ""
    assert kinds(hub, host="", tunnel_id=ID) == ["tunnel", "comm"]
    assert browser_url(0, place=hub, host="", tunnel_id=ID).endswith(f"/wslab/{ID}/")


def test_on_this_machine_the_direct_way_is_the_best(tmp_path: Path) -> None:
    here = detect(write_server_file(tmp_path), ZMQInteractiveShell(), {})
    assert here.can_reach_kernel is True
    assert kinds(here, tunnel_id=ID)[:2] == ["direct", "tunnel"]
    assert browser_url(8765, tunnel_id=ID, place=here) == "ws://127.0.0.1:8765/"
    assert needs_login(tunnel_id=ID, place=here) == ""


def test_where_nobody_knows_the_tunnel_is_sure(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path) | {"SSH_CONNECTION": "x"}
    place = detect(environ, ZMQInteractiveShell(), {})
    assert place.can_reach_kernel is None
    assert kinds(place, tunnel_id=ID)[:2] == ["tunnel", "direct"]
    assert f"/wslab/{ID}/" in browser_url(8765, tunnel_id=ID, place=place)
    assert browser_url(8765, place=place) == "ws://127.0.0.1:8765/"
    assert "token" in needs_login(tunnel_id=ID, place=place)
    assert needs_login(place=place) == ""


def test_without_a_jupyter_page_there_is_no_way_through_jupyter() -> None:
    colab = detect({"COLAB_GPU": ""}, ZMQInteractiveShell(), {})
    assert kinds(colab, tunnel_id=ID) == ["comm"]
    vscode = detect({}, ZMQInteractiveShell(__vsc_ipynb_file__="/x.ipynb"), {})
    assert kinds(vscode, tunnel_id=ID) == ["direct", "comm"]
    assert kinds(detect({}, modules={}), tunnel_id=ID) == ["direct", "comm"]


def test_each_way_says_what_it_changes() -> None:
    here, hub = detect({}, modules={}), detect(HUB, modules={})
    changes = {way.kind: way.changes for way in (*ways(1, place=here), *ways(1, place=hub))}
    changes |= {way.kind: way.changes for way in ways(1, tunnel_id=ID, place=hub)}
    assert changes["direct"] == ""
    assert "Cookies" in changes["tunnel"]
    assert "close codes" in changes["proxy"]
    assert "Python in the kernel" in changes["comm"]


@pytest.mark.parametrize(
    ("environ", "word"), [(HUB, "Hub"), (BINDER, "session's token"), (PUBLIC, "same user")]
)
def test_what_a_phone_needs(environ: dict[str, str], word: str) -> None:
    place = detect(environ, ZMQInteractiveShell(), {})
    assert word in needs_login(tunnel_id=ID, place=place)
    assert word in needs_login(place=place)


# Who may connect


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
    assert not is_allowed_origin(origin, place=detect({}, modules={}))


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
    assert is_allowed_origin("vscode-webview://1a2b3c", place=vscode)
    assert not is_allowed_origin("vscode-webview://1a2b3c.evil.com", place=vscode)
    assert not is_allowed_origin("vscode-webview://1A", place=vscode)
    note_page_origin("vscode-webview://1a2b3c", "/")
    assert is_allowed_origin("vscode-webview://1a2b3c", place=detect({}, modules={}))
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


@given(st.text(max_size=60), st.text(max_size=60))
def test_noting_never_fails_otherwise_than_with_a_value_error(origin: str, base_url: str) -> None:
    try:
        note_page_origin(origin, base_url)
    except ValueError:
        return
    assert origin in known_origins()


# What a page has tried


def test_what_does_not_answer_the_page_is_no_way() -> None:
    hub = detect(HUB, modules={})
    assert kinds(hub, tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    note_ways({"tunnel": "403"})
    assert seen_by_page("tunnel") == "403"
    assert kinds(hub, tunnel_id=ID) == ["proxy", "comm"]
    assert browser_url(8765, tunnel_id=ID, place=hub).endswith("/proxy/8765/")
    assert page_url(8765, tunnel_id=ID, place=hub).endswith("/proxy/8765/")
    tried = ways(8765, tunnel_id=ID, place=hub, is_to_try=True)  # a page may try again
    assert [way.kind for way in tried] == ["tunnel", "proxy", "comm"]
    note_ways({"tunnel": "", "nonsense": "403"})
    assert kinds(hub, tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    assert seen_by_page("proxy") is None
    assert seen_by_page("nonsense") is None


def test_another_page_begins_anew() -> None:
    note_page_origin("https://a.example", "/user/alice/")
    note_ways({"tunnel": "403"})
    note_page_origin("https://a.example", "/user/alice/")  # the same one, loaded again
    assert seen_by_page("tunnel") == "403"
    note_page_origin("http://localhost:8888", "/user/alice/")
    assert seen_by_page("tunnel") is None


def test_a_page_that_cannot_reach_this_machine_goes_through_jupyter(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path)
    here = detect(environ, ZMQInteractiveShell(), {})
    assert browser_url(8765, tunnel_id=ID, place=here) == "ws://127.0.0.1:8765/"
    note_ways({"direct": "no connection", "tunnel": ""})
    assert browser_url(8765, tunnel_id=ID, place=here) == f"/wslab/{ID}/"
    assert "log in" in needs_login(tunnel_id=ID, place=here)


def test_on_loopback_a_link_is_completed_by_its_page(tmp_path: Path) -> None:
    """Jupyter calls itself localhost, and a page may be opened at 127.0.0.1."""
    environ = write_server_file(tmp_path, url="http://localhost:8888/base/", base_url="/base/")
    here = replace(detect(environ, ZMQInteractiveShell(), {}), can_reach_kernel=None)
    path = f"/base/wslab/{ID}/"
    assert browser_url(8765, tunnel_id=ID, place=here) == path
    assert page_url(8765, tunnel_id=ID, place=here) == path
    note_page_origin("http://127.0.0.1:8888", "/base/")
    here = replace(detect(environ, ZMQInteractiveShell(), {}), can_reach_kernel=None)
    assert browser_url(8765, tunnel_id=ID, place=here) == f"ws://127.0.0.1:8888{path}"
    assert page_url(8765, tunnel_id=ID, place=here) == path
