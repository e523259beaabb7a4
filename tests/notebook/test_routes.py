"""URLs and routes for a browser, in each kind of environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.notebook.rig import (
    BINDER,
    HUB,
    ID,
    PUBLIC,
    ZMQInteractiveShell,
    kinds,
    write_server_file,
)
from wslab.notebook.environment import detect
from wslab.notebook.page import note_page_origin, note_routes, seen_by_page
from wslab.notebook.routes import browser_url, needs_login, page_url, routes_to

pytestmark = pytest.mark.usefixtures("on_a_plain_machine")


def test_only_direct_urls_change_with_tls() -> None:
    here, hub = detect({}, modules={}), detect(PUBLIC, modules={})
    assert browser_url(1, secure=True, path="/a", here=here) == "wss://127.0.0.1:1/a"
    assert page_url(65535, secure=True, here=here) == "https://127.0.0.1:65535/"
    assert browser_url(1, secure=True, here=hub).startswith("wss://hub.example.org/")
    note_page_origin("http://hub.local:8000", "/user/alice/")
    plain = detect(HUB, modules={})
    assert browser_url(1, secure=True, here=plain) == "ws://hub.local:8000/user/alice/proxy/1/"


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


def test_the_tunnel_comes_before_the_proxy_where_the_kernel_is_far() -> None:
    hub = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert kinds(hub) == ["proxy", "comm"]
    assert kinds(hub, tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    assert kinds(hub, tunnel_id=ID, secure=True) == ["tunnel", "comm"]  # the proxy speaks no TLS
    base = f"hub.example.org/user/alice/wslab/{ID}"
    assert browser_url(8765, tunnel_id=ID, path="/a?b=1", here=hub) == f"wss://{base}/a?b=1"
    assert page_url(8765, tunnel_id=ID, secure=True, here=hub) == f"https://{base}/"
    assert routes_to(8765, tunnel_id=ID, here=hub)[0].url == f"wss://{base}/"


def test_without_an_origin_the_tunnels_url_is_a_path() -> None:
    binder = detect(BINDER, ZMQInteractiveShell(), {})
    assert browser_url(8765, tunnel_id=ID, here=binder) == f"/user/demo-abc/wslab/{ID}/"
    assert routes_to(8765, tunnel_id=ID, here=binder)[0].url == f"/user/demo-abc/wslab/{ID}/"


def test_a_server_that_listens_elsewhere(tmp_path: Path) -> None:
    here = detect(write_server_file(tmp_path), ZMQInteractiveShell(), {})
    for host, shown in (("::1", "[::1]"), ("127.0.0.2", "127.0.0.2"), ("box.lan", "box.lan")):
        assert browser_url(8765, here=here, host=host) == f"ws://{shown}:8765/"
        assert page_url(8765, here=here, host=host, secure=True) == f"https://{shown}:8765/"
        assert routes_to(8765, here=here, host=host)[0].url == f"ws://{shown}:8765/"
    hub = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert kinds(hub, host="::1", tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    # jupyter-server-proxy goes to this machine's loopback only.
    assert kinds(hub, host="192.0.2.7") == ["comm"]
    assert browser_url(8765, here=hub, host="192.0.2.7") == "ws://192.0.2.7:8765/"


def test_a_unix_socket_is_reached_by_the_tunnel_or_not_at_all(tmp_path: Path) -> None:
    here = detect(write_server_file(tmp_path), ZMQInteractiveShell(), {})
    hub = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert browser_url(0, here=here, host="") == page_url(0, here=here, host="") == ""
    assert routes_to(0, here=here, host="")[-1].url == ""
    assert browser_url(0, here=hub, host="") == ""
    assert kinds(hub, host="", tunnel_id=ID) == ["tunnel", "comm"]
    assert browser_url(0, here=hub, host="", tunnel_id=ID).endswith(f"/wslab/{ID}/")


def test_on_this_machine_the_direct_way_is_the_best(tmp_path: Path) -> None:
    here = detect(write_server_file(tmp_path), ZMQInteractiveShell(), {})
    assert here.can_reach_kernel is True
    assert kinds(here, tunnel_id=ID)[:2] == ["direct", "tunnel"]
    assert browser_url(8765, tunnel_id=ID, here=here) == "ws://127.0.0.1:8765/"
    assert needs_login(tunnel_id=ID, here=here) == ""


def test_where_nobody_knows_the_tunnel_is_sure(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path) | {"SSH_CONNECTION": "x"}
    here = detect(environ, ZMQInteractiveShell(), {})
    assert here.can_reach_kernel is None
    assert kinds(here, tunnel_id=ID)[:2] == ["tunnel", "direct"]
    assert f"/wslab/{ID}/" in browser_url(8765, tunnel_id=ID, here=here)
    assert browser_url(8765, here=here) == "ws://127.0.0.1:8765/"
    assert "token" in needs_login(tunnel_id=ID, here=here)
    assert needs_login(here=here) == ""


def test_without_a_jupyter_page_there_is_no_way_through_jupyter() -> None:
    colab = detect({"COLAB_GPU": ""}, ZMQInteractiveShell(), {})
    assert kinds(colab, tunnel_id=ID) == ["comm"]
    vscode = detect({}, ZMQInteractiveShell(__vsc_ipynb_file__="/x.ipynb"), {})
    assert kinds(vscode, tunnel_id=ID) == ["direct", "comm"]
    assert kinds(detect({}, modules={}), tunnel_id=ID) == ["direct", "comm"]


def test_each_way_says_what_it_changes() -> None:
    here, hub = detect({}, modules={}), detect(HUB, modules={})
    changes = {
        route.kind: route.changes for route in (*routes_to(1, here=here), *routes_to(1, here=hub))
    }
    changes |= {route.kind: route.changes for route in routes_to(1, tunnel_id=ID, here=hub)}
    assert changes["direct"] == ""
    assert "Cookies" in changes["tunnel"]
    assert "close codes" in changes["proxy"]
    assert "Python in the kernel" in changes["comm"]


@pytest.mark.parametrize(
    ("environ", "word"), [(HUB, "Hub"), (BINDER, "session's token"), (PUBLIC, "same user")]
)
def test_what_a_phone_needs(environ: dict[str, str], word: str) -> None:
    here = detect(environ, ZMQInteractiveShell(), {})
    assert word in needs_login(tunnel_id=ID, here=here)
    assert word in needs_login(here=here)


def test_what_does_not_answer_the_page_is_no_way() -> None:
    hub = detect(HUB, modules={})
    assert kinds(hub, tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    note_routes({"tunnel": "403"})
    assert seen_by_page("tunnel") == "403"
    assert kinds(hub, tunnel_id=ID) == ["proxy", "comm"]
    assert browser_url(8765, tunnel_id=ID, here=hub).endswith("/proxy/8765/")
    assert page_url(8765, tunnel_id=ID, here=hub).endswith("/proxy/8765/")
    tried = routes_to(8765, tunnel_id=ID, here=hub, is_to_try=True)  # a page may try again
    assert [route.kind for route in tried] == ["tunnel", "proxy", "comm"]
    note_routes({"tunnel": "", "nonsense": "403"})
    assert kinds(hub, tunnel_id=ID) == ["tunnel", "proxy", "comm"]
    assert seen_by_page("proxy") is None
    assert seen_by_page("nonsense") is None


def test_a_page_that_cannot_reach_this_machine_goes_through_jupyter(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path)
    here = detect(environ, ZMQInteractiveShell(), {})
    assert browser_url(8765, tunnel_id=ID, here=here) == "ws://127.0.0.1:8765/"
    note_routes({"direct": "no connection", "tunnel": ""})
    assert browser_url(8765, tunnel_id=ID, here=here) == f"/wslab/{ID}/"
    assert "log in" in needs_login(tunnel_id=ID, here=here)


def test_on_loopback_a_link_is_completed_by_its_page(tmp_path: Path) -> None:
    """Jupyter calls itself localhost, and a page may be opened at 127.0.0.1."""
    environ = write_server_file(tmp_path, url="http://localhost:8888/base/", base_url="/base/")
    here = replace(detect(environ, ZMQInteractiveShell(), {}), can_reach_kernel=None)
    path = f"/base/wslab/{ID}/"
    assert browser_url(8765, tunnel_id=ID, here=here) == path
    assert page_url(8765, tunnel_id=ID, here=here) == path
    note_page_origin("http://127.0.0.1:8888", "/base/")
    here = replace(detect(environ, ZMQInteractiveShell(), {}), can_reach_kernel=None)
    assert browser_url(8765, tunnel_id=ID, here=here) == f"ws://127.0.0.1:8888{path}"
    assert page_url(8765, tunnel_id=ID, here=here) == path


def test_a_certificate_that_no_browser_trusts(tmp_path: Path) -> None:
    here = detect(write_server_file(tmp_path), ZMQInteractiveShell(), {})
    made = {"secure": True, "is_trusted": False, "here": here}
    assert [route.kind for route in routes_to(8765, tunnel_id=ID, **made)] == [
        "tunnel", "direct", "comm",
    ]  # fmt: skip
    assert browser_url(8765, tunnel_id=ID, **made).endswith(f"/wslab/{ID}/")
    assert page_url(8765, tunnel_id=ID, **made).endswith(f"/wslab/{ID}/")
    assert needs_login(tunnel_id=ID, here=here) == ""
    assert "log in to Jupyter" in needs_login(tunnel_id=ID, here=here, is_trusted=False)
    assert browser_url(8765, **made) == "wss://127.0.0.1:8765/"  # there is no other
    assert routes_to(8765, **made)[0].kind == "direct"
