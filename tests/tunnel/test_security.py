"""Who does not get through the tunnel, and what does not get through with those who may.

A real Jupyter server, raw sockets, and a server of ours that must not see one byte of what is
refused: `Victim` counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wslab
from tests import peers
from tests.jupyters import (
    BASE_URL,
    TOKEN,
    Jupyter,
    as_kernel_of,
    read_exactly,
    read_to_end,
    settled,
)
from wslab.wire.frames.layout import encode_frame

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LOGIN = f"Authorization: token {TOKEN}"
OPENING = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    pytest.importorskip("jupyter_server")
    server = Jupyter(
        tmp_path_factory.mktemp("jupyter"),
        "--ServerApp.jpserver_extensions=wslab.tunnel=True",
    )
    yield server
    server.close()


@pytest.fixture
def victim(monkeypatch: pytest.MonkeyPatch, jupyter: Jupyter) -> Iterator[wslab.Server]:
    async def echo(websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message)

    as_kernel_of(monkeypatch, jupyter)
    with wslab.serve(echo, page="the page of ours") as server:
        assert server.tunnel_id
        yield server


def path_to(server: wslab.Server) -> str:
    return f"{BASE_URL}wslab/{server.tunnel_id}/"


def ask(
    jupyter: Jupyter, target: str, *headers: str, method: str = "GET", host: str = "localhost"
) -> bytes:
    """Send one request, and return all that comes until the other side ends."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if not any(line.startswith("Connection:") for line in headers):
        lines.append("Connection: close")
    return answered(jupyter, "\r\n".join([*lines, "", ""]).encode("latin-1"))


def answered(jupyter: Jupyter, data: bytes) -> bytes:
    """Send bytes; return one answer (its body by Content-Length), or what came until the end."""
    with jupyter.dial(data) as sock:
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while True:
                head, gap, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                if gap and (head.split()[1] == b"101" or (length and len(body) >= int(length[1]))):
                    return answer
                piece = sock.recv(65536)
                if not piece:
                    return answer
                answer += piece
    return answer


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1."), answer[:100]
    return int(answer.split(b" ", 2)[1])


def untouched(server: wslab.Server) -> bool:
    """Whether no byte of a request has reached the server (a connection may have been made)."""
    assert server.tape is not None
    return server.connections_seen == 0 and not any(
        type(event).__name__ == "RequestEvent" for event in server.tape.events
    )


def host_of(jupyter: Jupyter) -> str:
    """The Host that a browser sends; the cookie's name depends on it."""
    return f"localhost:{jupyter.port}"


@pytest.fixture(scope="module")
def cookie(jupyter: Jupyter) -> str:
    """The cookie of a user who has logged in, as a browser sends it."""
    answer = ask(jupyter, f"{BASE_URL}wslab/?token={TOKEN}", host=host_of(jupyter))
    pairs = re.findall(rb"(?mi)^set-cookie: ([^;\r]+)", answer)
    assert any(pair.startswith(b"username-") for pair in pairs), answer
    return "Cookie: " + "; ".join(pair.decode() for pair in pairs)


# Who is let in.


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
        with wslab.serve(peers_echo) as server:
            assert status(ask(jupyter, path_to(server), LOGIN, *OPENING)) == 403
            assert untouched(server)
    finally:
        jupyter.close()


async def peers_echo(websocket: Any) -> None:
    async for message in websocket:
        await websocket.send(message)


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


# What it leads to.


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


def entry_file(jupyter: Jupyter, server: wslab.Server) -> Path:
    return jupyter.runtime / f"wslab-{server.tunnel_id}.json"


def forged(jupyter: Jupyter, server: wslab.Server, **changes: Any) -> str:
    """Write a second entry, held by nobody's lock but otherwise a living process's; its id."""
    content = json.loads(entry_file(jupyter, server).read_text())
    name = "f" * 32
    content |= {"id": name, "locked": False} | changes
    file = jupyter.runtime / f"wslab-{name}.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    return name


@pytest.fixture
def clean(jupyter: Jupyter) -> Iterator[Path]:
    file = jupyter.runtime / f"wslab-{'f' * 32}.json"
    yield file
    if file.is_symlink() or file.exists():
        file.unlink()


def through(jupyter: Jupyter, name: str) -> int:
    return status(ask(jupyter, f"{BASE_URL}wslab/{name}/", LOGIN, *OPENING))


def test_an_entry_without_a_lock_counts_while_its_process_lives(
    jupyter: Jupyter, victim: wslab.Server, clean: Path
) -> None:
    assert through(jupyter, forged(jupyter, victim)) == 101  # or the next tests would show nothing
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert through(jupyter, forged(jupyter, victim, pid=child.pid)) == 404
    assert through(jupyter, forged(jupyter, victim, started="1")) == 404
    assert through(jupyter, forged(jupyter, victim, locked=True)) == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"address": ["192.0.2.1", 80]},
        {"address": ["0.0.0.0", 80]},
        {"address": ["localhost", 80]},
        {"address": ["127.0.0.1", 0]},
        {"address": ["127.0.0.1", "80"]},
        {"address": ["127.0.0.1"]},
        {"address": "/etc/passwd"},
        {"address": "relative"},
        {"address": None},
        {"machine": "another"},
        {"secret": ""},
        {"secret": "x" * 40 + "\r\nX-Smuggled: 1"},
        {"id": "e" * 32},
        {"wslab": 2},
        {"pid": -1},
        {"pid": "1"},
        {"name": None},
        {"padding": "x" * 5000},
    ],
)
def test_an_entry_that_says_something_else_is_none(
    jupyter: Jupyter, victim: wslab.Server, clean: Path, changes: dict[str, Any]
) -> None:
    assert through(jupyter, forged(jupyter, victim, **changes)) == 404
    assert untouched(victim)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o606])
def test_an_entry_that_others_can_open_is_none(
    jupyter: Jupyter, victim: wslab.Server, clean: Path, mode: int
) -> None:
    name = forged(jupyter, victim)
    clean.chmod(mode)
    assert through(jupyter, name) == 404


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to give away")
def test_an_entry_of_another_user_is_none(
    jupyter: Jupyter, victim: wslab.Server, clean: Path
) -> None:
    name = forged(jupyter, victim)
    os.chown(clean, 65534, 65534)
    assert through(jupyter, name) == 404


def test_links_pipes_and_folders_are_no_entries(
    jupyter: Jupyter, victim: wslab.Server, clean: Path, tmp_path: Path
) -> None:
    name = forged(jupyter, victim)
    clean.rename(tmp_path / "entry")
    clean.symlink_to(tmp_path / "entry")
    assert through(jupyter, name) == 404
    clean.unlink()
    clean.hardlink_to(tmp_path / "entry")
    assert through(jupyter, name) == 404
    clean.unlink()
    os.mkfifo(clean, 0o600)
    assert through(jupyter, name) == 404
    clean.unlink()
    clean.mkdir(mode=0o700)
    assert through(jupyter, name) == 404
    clean.rmdir()
    for text in ("", "{", "[]", "null", "\xff", '{"wslab": 1}'):
        clean.write_text(text)
        clean.chmod(0o600)
        assert through(jupyter, name) == 404


SERVES_AND_DIES = """
import os, signal, wslab
async def handler(websocket): pass
server = wslab.serve(handler)
print(server.tunnel_id, server.port, flush=True)
input()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_entry_of_a_process_that_was_killed_is_stale(
    jupyter: Jupyter, victim: wslab.Server
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SERVES_AND_DIES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child, child.stdin, child.stdout:
        name, port = child.stdout.readline().split()
        assert through(jupyter, name) == 101
        child.stdin.write("\n")
        child.stdin.flush()
        child.wait(10)
    file = jupyter.runtime / f"wslab-{name}.json"
    assert file.exists()
    with socket.create_server(("127.0.0.1", int(port))) as heir:  # another program has the port now
        heir.settimeout(0.2)
        assert through(jupyter, name) == 404
        with pytest.raises(TimeoutError):
            heir.accept()
    victim.restart()  # whoever comes next clears it away
    assert not file.exists()


def test_a_server_that_stopped_is_gone_at_once(jupyter: Jupyter, victim: wslab.Server) -> None:
    name, file = victim.tunnel_id, entry_file(jupyter, victim)
    assert file.stat().st_mode & 0o777 == 0o600
    victim.stop()
    assert not file.exists()
    assert through(jupyter, name) == 404


def test_a_server_whose_port_does_not_answer(
    jupyter: Jupyter, victim: wslab.Server, clean: Path
) -> None:
    name = forged(jupyter, victim, address=["127.0.0.1", peers.free_port()])
    assert through(jupyter, name) == 502


# The target.


@pytest.mark.parametrize(
    "target",
    [
        "{base}wslab/{other}/../{id}/",
        "{base}wslab/../wslab/{id}/",
        "{base}wslab/%2e%2e/{id}/",
        "{base}wslab//{id}/",
        "{base}wslab%2F{id}/",
        "{base}/wslab/{id}/",
        "{base}wslab/{id}",
        "{base}wslab/{id}x/",
        "{base}wslab/{short}/",
        "{base}wslab/{upper}/",
        "{base}wslab/{quoted}/",
        "{base}wslab/{id}%00/",
        "{base}wslab/{id}.json/",
        "{base}wslab/tunnel-1/",
        "{base}wslab/?x={base}wslab/{id}/",
        "http://localhost{base}wslab/{id}/",
        "//localhost{base}wslab/{id}/",
        "/wslab/{id}/",
        "*",
    ],
)
def test_there_is_one_way_to_write_it(jupyter: Jupyter, victim: wslab.Server, target: str) -> None:
    name = victim.tunnel_id
    written = target.format(
        base=BASE_URL,
        id=name,
        other="0" * 32,
        short=name[:-1],
        upper=name.upper() if name.upper() != name else "A" * 32,
        quoted=f"%{ord(name[0]):02x}{name[1:]}",
    )
    answer = ask(jupyter, written, LOGIN, *OPENING)
    assert not answer or status(answer) in (200, 302, 400, 404), answer[:200]
    assert b"the page of ours" not in answer
    assert untouched(victim)


@pytest.mark.parametrize(
    "path", ["../../../api/status", "..%2f..%2fapi", "%2e%2e/", "//evil.example/", "\\..\\", "a#b"]
)
def test_what_follows_stays_on_that_server(
    jupyter: Jupyter, victim: wslab.Server, path: str
) -> None:
    answer = ask(jupyter, path_to(victim) + path, LOGIN)
    assert status(answer) in (400, 404)
    assert b"started" not in answer  # Jupyter's api/status


# The head.


def request(victim: wslab.Server, *lines: str, start: str = "GET {path} HTTP/1.1") -> bytes:
    first = start.format(path=path_to(victim))
    return "\r\n".join([first, "Host: localhost", LOGIN, *lines, "", ""]).encode("latin-1")


SECOND = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def smuggled(victim: wslab.Server) -> bool:
    assert victim.tape is not None
    return b"/smuggled" in b"".join(chunk.data for chunk in victim.tape.chunks())


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding:\x0bchunked",),
        (f"Content-Length: {len(SECOND)}",),
        ("Content-Length: 0", f"Content-Length: {len(SECOND)}"),
        ("Content-Length: +0",),
        ("Content-Length: -1",),
        ("Host: evil.example",),
        ("Host: localhost",),
        (" folded: line",),
        ("X-A: 1", "\tfolded"),
        ("X-A: a\rX-B: b",),
        ("X-A: a\x00b",),
        ("X A: 1",),
        (": nameless",),
        ("no colon",),
    ],
)
@pytest.mark.parametrize("opens", [True, False])
def test_a_head_that_could_be_read_in_two_ways_is_refused(
    jupyter: Jupyter, victim: wslab.Server, lines: tuple[str, ...], opens: bool
) -> None:
    data = request(victim, *(OPENING if opens else ("Accept: */*",)), *lines)
    answer = answered(jupyter, data + SECOND.encode())
    assert not answer or status(answer) == 400, answer[:300]
    assert untouched(victim)
    assert not smuggled(victim)


@pytest.mark.parametrize(
    "start",
    [
        "GET {path}x y HTTP/1.1",
        "GET  {path} HTTP/1.1",
        "GET {path}\tHTTP/1.1",
        "GET {path}\x00 HTTP/1.1",
        "GET {path}\xe9 HTTP/1.1",
        "GET {path} HTTP/1.1\rX-A: 1",
        "GET {path} HTTP/2.0",
        "GET {path} HTTQ/1.1",
    ],
)
def test_a_request_line_that_is_none_is_refused(
    jupyter: Jupyter, victim: wslab.Server, start: str
) -> None:
    answer = answered(jupyter, request(victim, *OPENING, start=start))
    assert not answer or status(answer) in (400, 404), answer[:300]
    assert untouched(victim)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "X%sY"])
def test_other_methods_are_refused(jupyter: Jupyter, victim: wslab.Server, method: str) -> None:
    answer = ask(jupyter, path_to(victim), LOGIN, *OPENING, method=method)
    assert not answer or status(answer) in (204, 400, 403, 405), answer[:300]
    assert untouched(victim)


def test_line_feeds_alone_cannot_hide_a_header(jupyter: Jupyter, victim: wslab.Server) -> None:
    """Jupyter's server takes them for ends of lines; what goes on has none of them."""
    data = request(victim, "X-A: 1\nX-B: 2", *OPENING)
    answer = answered(jupyter, data)
    assert victim.tape is not None
    sent = b"".join(chunk.data for chunk in victim.tape.chunks())
    if answer and status(answer) == 101:
        assert b"X-A: 1\r\nX-B: 2\r\n" in sent
        assert sent.count(b"\n") == sent.count(b"\r\n")
    else:
        assert sent == b""


def test_encoded_line_ends_in_the_path_stay_encoded(jupyter: Jupyter, victim: wslab.Server) -> None:
    ask(jupyter, f"{path_to(victim)}%0d%0aX-Injected:%201", LOGIN)
    assert victim.tape is not None
    sent = b"".join(chunk.data for chunk in victim.tape.chunks())
    assert b"GET /%0d%0aX-Injected:%201 HTTP/1.1\r\n" in sent
    assert b"\r\nX-Injected" not in sent


def test_a_second_request_behind_the_first_is_dropped(
    jupyter: Jupyter, victim: wslab.Server
) -> None:
    with jupyter.dial(request(victim, "Accept: */*") + SECOND.encode()) as sock:
        answer = read_to_end(sock)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"the page of ours")
    assert not smuggled(victim)


def test_a_second_request_behind_a_refused_handshake_is_dropped(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_kernel_of(monkeypatch, jupyter)

    def refuse(websocket: Any, request: Any) -> Any:
        return websocket.respond(403, "Not you.\n")

    with wslab.serve(peers_echo, process_request=refuse) as server:
        with jupyter.dial(request(server, *OPENING) + SECOND.encode()) as sock:
            answer = read_to_end(sock)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert not smuggled(server)


def test_frames_sent_with_the_head_arrive(jupyter: Jupyter, victim: wslab.Server) -> None:
    """Bytes that came before the answer are not lost, only late."""
    early = encode_frame(1, b"early", mask_key=b"abcd")
    with jupyter.dial(request(victim, *OPENING) + early) as sock:
        assert peers.read_head(sock).startswith(b"HTTP/1.1 101 ")
        assert read_exactly(sock, 7) == encode_frame(1, b"early")


def test_a_head_of_one_mebibyte_is_refused(jupyter: Jupyter, victim: wslab.Server) -> None:
    data = request(victim, *OPENING, *(f"X-{n}: {'x' * 1000}" for n in range(1100)))
    assert len(data) > 2**20
    answer = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        answer = answered(jupyter, data)
    assert not answer or status(answer) in (400, 431)
    assert untouched(victim)
    assert through(jupyter, victim.tunnel_id) == 101  # and nobody else is disturbed


def test_a_slow_head_costs_the_server_nothing(jupyter: Jupyter, victim: wslab.Server) -> None:
    """Nothing is opened behind before a head is whole; Jupyter's own bound ends it (an hour)."""
    data = request(victim, *OPENING)
    sockets = settled(lambda: jupyter.sockets)
    slow = [jupyter.dial(data[:-2]) for _ in range(20)]
    try:
        deadline = time.monotonic() + 10
        while jupyter.sockets < sockets + 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert through(jupyter, victim.tunnel_id) == 101
        assert jupyter.sockets <= sockets + 22  # one for each, and the pair of the one just made
        assert victim.connections_seen == 1
    finally:
        for sock in slow:
            sock.close()


def test_what_jupyter_logs_names_no_token(jupyter: Jupyter, victim: wslab.Server) -> None:
    ask(jupyter, f"{path_to(victim)}nothing?token={TOKEN}", *OPENING)
    ask(jupyter, f"{BASE_URL}wslab/{'0' * 32}/?token={TOKEN}", *OPENING)
    assert TOKEN not in jupyter.log
    assert victim._entry is not None
    assert victim._entry.secret not in jupyter.log
