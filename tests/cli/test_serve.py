"""`wslab serve` until a signal."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.cli.rig import WAIT_S, Serving, connect, needs_posix, refused
from wslab.learn.stock_client import StockClient


@needs_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_echo_until_a_signal(number: int) -> None:
    with Serving() as serving:
        with connect(f"{serving.url}path?token=secret") as alice:
            alice.send("hello")
            assert alice.recv(timeout=WAIT_S) == "hello"
            assert re.fullmatch(
                r"\d\d:\d\d:\d\d  connect     [0-9a-f]{6}  127\.0\.0\.1:\d+ /path\n",
                serving.line(),
            )
            code, out, err = serving.end(number)
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=WAIT_S)
            assert alice.close_code == 1001
        assert (code, err) == (0, "")
        assert re.fullmatch(
            r"\S+  disconnect  [0-9a-f]{6}  \S+ 1001 going away, \d+\.\d s\nwslab: stopped\n", out
        )


@needs_posix
def test_the_page_is_where_it_says() -> None:
    with Serving("--name", "my echo") as serving:
        assert serving.head.startswith("wslab: my echo at ws://127.0.0.1:")
        found = re.search(r"page at (http://127\.0\.0\.1:\d+/) ", serving.head)
        assert found
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(found[1], timeout=WAIT_S) as response:
            assert "my echo" in response.read().decode()
        assert serving.end(signal.SIGINT) == (0, "wslab: stopped\n", "")


@needs_posix
@pytest.mark.parametrize("which", [("chat",), ("--example", "chat")])
def test_chat_is_a_hub_with_a_page_of_its_own(which: tuple[str, ...]) -> None:
    with Serving(*which, "--quiet") as serving:
        with connect(serving.url) as alice:
            assert json.loads(alice.recv(timeout=WAIT_S))["event"] == "welcome"
            alice.send("hello")
            assert json.loads(alice.recv(timeout=WAIT_S))["event"] == "people"
            said = json.loads(alice.recv(timeout=WAIT_S))
            assert (said["event"], said["data"]["text"]) == ("said", "hello")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(serving.url.replace("ws:", "http:"), timeout=WAIT_S) as response:
            assert "<title>Chat</title>" in response.read().decode()
        assert serving.end(signal.SIGTERM) == (0, "wslab: stopped\n", "")


@needs_posix
@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_chat_takes_stock_clients_of_socket_io(transports: list[str] | None) -> None:
    with Serving("chat", "--quiet") as serving:
        with StockClient(serving.url, transports=transports, wait_s=WAIT_S) as client:
            client.connect()
            assert client.ask("enter", {"name": "ana", "room": "lobby"})["people"] == ["ana"]
        assert serving.end(signal.SIGTERM) == (0, "wslab: stopped\n", "")


@needs_posix
def test_an_asgi_application(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import wslab\n"
        "async def inner(scope, receive, send):\n"
        "    fields = [(b'content-type', b'text/plain')]\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': fields})\n"
        "    await send({'type': 'http.response.body', 'body': b'the page'})\n"
        "app = wslab.Hub('lobby').asgi(inner)\n"
    )
    with Serving("main.py:app", cwd=tmp_path) as serving:
        with connect(f"{serving.url}ws") as alice:
            assert json.loads(alice.recv(timeout=WAIT_S))["event"] == "welcome"
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(serving.url.replace("ws:", "http:"), timeout=WAIT_S) as response:
                assert response.read() == b"the page"
            code, _, err = serving.end(signal.SIGINT)
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=WAIT_S)
            assert alice.close_code == 1001
        assert code == 0, err


@needs_posix
@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "0.0.0.0"])
def test_the_addresses_that_are_printed_lead_there(host: str) -> None:
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else 2):
            pass
    except OSError:
        pytest.skip(f"no {host} here")
    with Serving("--host", host) as serving:
        with connect(serving.url) as websocket:
            websocket.send("hi")
            assert websocket.recv(timeout=WAIT_S) == "hi"
        page_url = re.search(r"http://\S+", serving.head)
        assert page_url is not None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(page_url[0], timeout=WAIT_S) as answer:
            assert answer.status == 200


@needs_posix
def test_pages_that_are_allowed_come_by_their_servers_name() -> None:
    def asked(serving: Serving, origin: str, host: str) -> int:
        headers = {"Origin": origin, "Host": host}
        try:
            with connect(serving.url, additional_headers=headers):
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code

    with Serving("--allow", "https://chat.example", "--quiet") as serving:
        mine = serving.url.removeprefix("ws://").rstrip("/")
        assert asked(serving, "https://chat.example", "chat.example") == 101
        assert asked(serving, f"http://{mine}", mine) == 101  # its own page
        assert asked(serving, "https://evil.example", "chat.example") == 403
        assert asked(serving, "http://127.0.0.1.evil.example", mine) == 403
        assert asked(serving, "https://chat.example", "evil.example") == 421


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused("serve", "--port", str(port))
    assert f"expected port {port} on 127.0.0.1 to be free" in line
    assert "Errno" not in line


@needs_posix
def test_the_port_is_free_afterwards() -> None:
    with Serving() as serving:
        with connect(serving.url):
            code, _, _ = serving.end(signal.SIGTERM)
        assert code == 0
    port = serving.url.split(":")[2][:-1]
    with Serving("--port", port) as again:
        assert again.url == serving.url
        again.end(signal.SIGTERM)


HUB = """
import wslab
hub = wslab.Hub("lobby", history=10)
app = hub.asgi()
"""


@needs_posix
@pytest.mark.parametrize("what", ["hub", "app"])
def test_a_hub_is_drained_at_sigterm(tmp_path: Path, what: str) -> None:
    (tmp_path / "main.py").write_text(HUB)
    with Serving(f"main.py:{what}", "--quiet", "--drain", "0.2", cwd=tmp_path) as serving:
        url = serving.url + ("ws" if what == "app" else "")
        with connect(url) as alice, connect(url) as bob:
            for each in (alice, bob):
                assert json.loads(each.recv(timeout=WAIT_S))["event"] == "welcome"
            serving.process.send_signal(signal.SIGTERM)
            for each in (alice, bob):
                with pytest.raises(ConnectionClosed):
                    each.recv(timeout=WAIT_S)
                told = (each.close_code, each.close_reason)
                assert told == (1012, "service restart, come back in 0.2 s")
        out, err = serving.process.communicate(timeout=WAIT_S)
        assert (serving.process.returncode, err) == (0, "")
        assert out == (
            "wslab: 2 clients are told to come back; a second signal ends at once\nwslab: stopped\n"
        )


@needs_posix
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(tmp_path: Path, second: int) -> None:
    (tmp_path / "main.py").write_text(HUB)
    with Serving("main.py:hub", "--quiet", "--drain", "99999", cwd=tmp_path) as serving:
        with connect(serving.url) as alice, connect(serving.url) as bob:
            for each in (alice, bob):
                assert json.loads(each.recv(timeout=WAIT_S))["event"] == "welcome"
            serving.process.send_signal(signal.SIGTERM)
            assert serving.line().startswith("wslab: 2 clients are told")
            code, out, err = serving.end(second)
            assert (code, out, err) == (0, "wslab: stopped\n", "")
            codes = []
            for each in (alice, bob):
                with pytest.raises(ConnectionClosed):
                    each.recv(timeout=WAIT_S)
                codes.append(each.close_code)
            assert sorted(codes) in ([1001, 1001], [1001, 1012])


def test_a_time_is_one() -> None:
    assert "expected seconds, such as 5 or 0.5, got 'soon'" in refused("serve", "--drain", "soon")
