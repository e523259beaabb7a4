"""By which names a server answers, and what a web site gets that makes its own name lead here."""

from __future__ import annotations

import http.client
import re
import socket

import pytest

import wslab
from tests import peers
from tests.browser import Sync
from tests.server.asgi_rig import application
from tests.server.http_rig import Answering
from tests.server.rig import echo
from wslab.notebook import allowed_origins, environment
from wslab.notebook.environment import Kind
from wslab.server.hosts import check_hosts, is_known_host, name_in, refusal_of_host
from wslab.server.listen_address import ListenAddress

REBOUND = "rebound.example:8765"
WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
             f"Sec-WebSocket-Key: {peers.KEY}")  # fmt: skip


def asked(server, host, *headers, method="GET"):
    """Return the status and all that comes for a request that names a host."""
    lines = [f"{method} / HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *headers]
    with peers.dial(server.port, "\r\n".join([*lines, "", ""]).encode()) as sock:
        head = peers.read_head(sock)
        size = int((re.search(rb"(?i)content-length: (\d+)", head) or [b"", b"0"])[1])
        body = b""
        while len(body) < size and (more := sock.recv(65536)):
            body += more
    return int(head.split(b" ", 2)[1]), (head + body).decode()


def refusal(*fields, hosts=(), host="127.0.0.1", **kwargs):
    return refusal_of_host(fields, hosts, kwargs, ListenAddress(host, 8765, {}))


@pytest.mark.parametrize("what", [echo, Answering(), application], ids=["page", "http", "asgi"])
@pytest.mark.parametrize("headers", [(), WEBSOCKET], ids=["page", "socket"])
def test_a_name_that_was_made_to_lead_here_gets_no_page_and_no_socket(what, headers):
    with wslab.serve(what) as server:
        status, text = asked(server, REBOUND, *headers)
        assert status == 421
        assert "serve(..., hosts=['rebound.example'])" in text
        assert server.url in text
        [refused] = server.refusals
        assert refused.status == 421
        assert "DNS rebinding" in refused.reason
        assert server.connections_seen == 0
        assert not server.errors
        assert asked(server, f"127.0.0.1:{server.port}", *headers)[0] == (101 if headers else 200)


def test_a_connection_that_stays_is_asked_again_for_each_request():
    handler = Answering()
    with wslab.serve(handler) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        for name, status in (("localhost", 200), (REBOUND, 421), ("localhost", 200)):
            client.request("GET", "/", headers={"Host": name})
            answer = client.getresponse()
            answer.read()
            assert answer.status == status
        client.close()
        assert len(handler.asked) == 2
        assert server.refusals_seen == 1


def test_names_that_were_given():
    hosts = ["Chat.Example.org", re.compile(r"[a-z]+\.lab")]
    with wslab.serve(echo, hosts=hosts) as server:
        for host in ("chat.example.org", "CHAT.example.org:80", "chat.example.org.", "a.lab"):
            assert asked(server, host)[0] == 200, host
        for host in ("example.org", "a.lab.example", "b.chat.example.org"):
            assert asked(server, host)[0] == 421, host


def test_none_answers_by_every_name():
    with wslab.serve(echo, hosts=None) as server:
        assert asked(server, REBOUND, *WEBSOCKET)[0] == 101


def test_a_hook_of_the_users_is_not_asked():
    seen = []

    def hook(websocket, request):
        seen.append(request.path)

    for what in (echo, Answering()):
        with wslab.serve(what, process_request=hook) as server:
            assert asked(server, REBOUND)[0] == 421
    assert seen == []


@pytest.mark.parametrize("what", [echo, Answering(), application], ids=["page", "http", "asgi"])
def test_what_jupyter_has_let_in_comes_by_jupyters_name(what, monkeypatch):
    with wslab.serve(what) as server:
        monkeypatch.setattr(server._entry, "let_in", lambda headers: True)
        assert asked(server, "hub.example")[0] == 200


@pytest.mark.parametrize(
    "field",
    ["localhost", "localhost:1", "LOCALHOST.", "app.localhost:8765", "127.0.0.1", "127.9.9.9:80",
     "[::1]:8765", "192.168.1.7:8765", ""],
)  # fmt: skip
def test_addresses_and_names_of_this_machine_are_good(field):
    assert refusal(field) == ""


@pytest.mark.parametrize(
    "field",
    [REBOUND, "localhost.example", "127.0.0.1.example", "evil@localhost", "localhost/x", "a b",
     "local host", "2130706433.example", "[::1].example", "[evil]", "x"],
)  # fmt: skip
def test_others_are_not(field):
    assert refusal(field) != ""


def test_every_host_of_several_must_be_good():
    assert refusal("localhost", REBOUND) != ""
    assert refusal(REBOUND, "localhost") != ""


def test_who_sends_none_is_no_browser(server):
    assert refusal() == ""
    assert asked(server, None, *WEBSOCKET)[0] == 101


def test_what_a_stranger_sends_is_not_all_sent_back():
    assert len(refusal("a" * 8_000)) < 800


def test_the_name_that_it_was_told_to_listen_on():
    assert refusal("laptop.lan:8765", host="laptop.lan") == ""
    assert refusal("laptop.lan:8765", host="127.0.0.1") != ""


def test_this_machines_own_name_where_others_can_reach_it(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "Laptop")
    for name in ("laptop:8765", "laptop.local"):
        assert refusal(name, host="0.0.0.0") == ""
        assert refusal(name, host=None) == ""
        assert refusal(name) != ""


@pytest.mark.parametrize(
    "origin", ["https://chat.example", "http://chat.example", re.compile(r"https://c.*\.example")]
)
def test_whose_pages_are_let_in_their_name_is(origin):
    assert refusal("chat.example", origins=[origin, None]) == ""
    assert refusal("bad.example", origins=[origin, None]) != ""
    assert refusal("chat.example:1", origins=["http://chat.example:1"]) == ""


def test_where_every_page_is_let_in_there_is_nothing_to_keep():
    assert refusal(REBOUND, origins=None) == ""
    assert refusal(REBOUND, origins=None, hosts=["chat.example"]) != ""


def test_the_notebooks_own_pages(monkeypatch):
    monkeypatch.setattr(
        "wslab.server.hosts.known_origins", lambda: frozenset({"https://hub.example:8000"})
    )
    assert refusal("hub.example:8000") == ""
    assert refusal("hub.example.evil") != ""
    assert allowed_origins.known_origins() == frozenset()


@pytest.mark.parametrize("kind", list(Kind))
def test_where_no_browser_is_beside_the_kernel_none_can_be_led_to_it(kind, monkeypatch):
    here = environment.Environment(kind, "", "/", None, None, "", None)
    monkeypatch.setattr(environment, "detect", lambda: here)
    is_far = kind in (Kind.HUB, Kind.BINDER, Kind.COLAB)
    assert (refusal("someones.mybinder.example") == "") is is_far


def test_a_network_in_memory_has_no_other_programs(memory_network):
    with wslab.serve(echo) as server:
        with wslab.connect(server, additional_headers={"Host": REBOUND}) as client:
            assert client.ping() >= 0


@pytest.mark.parametrize("hosts", ["chat.example", b"x", 5, [5]])
def test_what_is_no_list_of_names(hosts):
    with pytest.raises(TypeError, match="expected .*hosts="):
        check_hosts(hosts)


@pytest.mark.parametrize("host", ["https://chat.example", "chat.example:80", "", "a b", "[::1]"])
def test_what_is_no_name(host):
    with pytest.raises(ValueError, match="a name without scheme and port"):
        wslab.serve(echo, hosts=[host])


def test_its_parts():
    assert name_in("A.B:80") == "a.b"
    assert name_in("[::1]:80") == "[::1]"
    assert name_in("a:b") is None
    assert is_known_host("a.b", {"a.b"})
    assert not is_known_host("a.b")


@pytest.mark.browser
def test_a_page_in_a_real_browser_whose_name_was_made_to_lead_here(page: Sync):
    """What the first server lets happen is the attack; the second is as servers are by default."""
    asks = """async () => {
      const answer = await fetch("/"), text = await answer.text();
      const socket = new WebSocket("ws://" + location.host + "/");
      const came = await new Promise(done => {
        socket.onopen = () => done("open"); socket.onclose = event => done(event.code);
      });
      return [answer.status, text.includes("my diary"), came];
    }"""
    with wslab.serve(echo, page="<p>my diary", hosts=None) as lax:
        page.goto(f"http://rebound.example:{lax.port}/")
        assert page.evaluate(asks) == [200, True, 1006]  # a socket has an Origin
        assert [refusal.status for refusal in lax.refusals] == [403]
    with wslab.serve(echo, page="<p>my diary") as server:
        answer = page.goto(f"http://rebound.example:{server.port}/")
        assert answer.status == 421
        assert "DNS rebinding" in page.inner_text("body")
        assert page.evaluate(asks) == [421, False, 1006]
        assert {refusal.status for refusal in server.refusals} == {421}
        page.goto(server.page_url)
        assert page.evaluate(asks)[0] == 200
