"""The team example under uvicorn, as people run it: a process of its own, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookies import SimpleCookie

import pytest

import wslab
from tests.peers import until
from wslab.errors import HandshakeRefused
from wslab.examples.team import COOKIE, LOGGED_OUT, STAY_S, Members

ENVIRONMENT = {"TEAM_PASSWORD": "open sesame", "TEAM_TOKEN": "for-robots", "TEAM_SECRET": "salt"}


@contextlib.contextmanager
def uvicorn():
    """Run uvicorn as its documentation says, and give the process and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "wslab.examples.team:app", "--port", "0"],
        env={**os.environ, **ENVIRONMENT},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                yield process, found[1] + "/"
                break
        else:
            pytest.fail("uvicorn did not start")
    finally:
        process.terminate()
        process.stderr.read()
        process.wait(timeout=10)
        process.stderr.close()


@pytest.fixture(scope="module")
def url():
    with uvicorn() as (_, url):
        yield url


@pytest.fixture(autouse=True)
def _before(url):
    """Start the process before each test looks what there is."""


def ask(url, body=None, method=None, **headers):
    """Return status, headers and body of an answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


def cookie_of(url, name, password="open sesame"):
    status, headers, _ = ask(url + "login", {"name": name, "password": password})
    assert status == 204
    value = headers["Set-Cookie"]
    assert "HttpOnly" in value
    assert "SameSite=lax" in value
    return f"{COOKIE}={SimpleCookie(value)[COOKIE].value}"


def entered(url, **headers):
    return wslab.connect(url.replace("http", "ws", 1) + "ws", additional_headers=headers)


def test_a_page_an_api_and_a_socket_share_a_port(url):
    status, headers, text = ask(url)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "A team's room" in text
    cookie = cookie_of(url, "ana")
    with entered(url, Cookie=cookie) as ana, entered(url, Cookie=cookie_of(url, "bo")) as bo:
        said = []
        ana.on("said", said.append)
        assert bo.call("say", "hello", timeout=5) == 2
        until(lambda: said == [{"name": "bo", "text": "hello"}])
        status, _, people = ask(url + "api/people", Cookie=cookie)
        assert (status, json.loads(people)) == (200, ["ana", "bo"])
        robot = {"Authorization": "Bearer for-robots"}
        assert ask(url + "api/say", {"text": "deployed"}, **robot)[2] == '{"told":2}'
        until(lambda: said[1:] == [{"name": "robot", "text": "deployed"}])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": f"{COOKIE}=ana.9999999999.{'0' * 64}"},
        {"Cookie": f"{COOKIE}="},
        {"Cookie": f"{COOKIE}=ana"},
        {"Cookie": "other=1"},
        {"Authorization": "Bearer guess"},
        {"Authorization": "Basic for-robots"},
    ],
    ids=["nothing", "forged", "empty", "cut", "other", "token", "scheme"],
)
def test_a_stranger_is_refused_before_the_101(url, headers):
    with pytest.raises(HandshakeRefused) as refused:
        entered(url, **headers)
    assert (refused.value.status, refused.value.body) == (401, b"Log in first.\n")
    assert ask(url + "api/people", **headers)[0] == 401
    # Nor by the way that Socket.IO's clients come.
    assert ask(url + "socket.io/?EIO=4&transport=polling", **headers)[0] == 401


def test_a_program_comes_with_its_token(url):
    with entered(url, Authorization="Bearer for-robots") as robot:
        assert robot.call("say", "beep", timeout=5) == 1
        with pytest.raises(wslab.CallFailed, match="1 to 2,000 characters"):
            robot.call("say", "x" * 2001, timeout=5)


def test_a_page_of_another_site_may_not_use_the_cookie(url):
    cookie = cookie_of(url, "ana")
    with entered(url, Cookie=cookie, Origin=url.rstrip("/")) as ana:
        assert ana.call("say", "from the page", timeout=5) == 1
    with pytest.raises(HandshakeRefused) as refused:
        entered(url, Cookie=cookie, Origin="https://evil.example")
    assert refused.value.status == 403


def test_who_logs_out_has_no_socket_any_more(url):
    cookie = cookie_of(url, "ana")
    with entered(url, Cookie=cookie) as ana:
        assert ask(url + "logout", {}, Cookie=cookie)[0] == 204
        until(lambda: ana.close_code == LOGGED_OUT)


def test_a_wrong_password(url):
    assert ask(url + "login", {"name": "ana", "password": "guess"})[0] == 403
    assert ask(url + "login", {"name": "a.b", "password": "open sesame"})[0] == 403


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_stock_clients_of_socket_io_show_their_cookie_too(url, transports):
    import aiohttp
    import socketio

    headers = {"Cookie": cookie_of(url, "cy")}

    async def visit():
        # As a browser has it: the cookie goes with each request.
        async with aiohttp.ClientSession(headers=headers) as session:
            client = socketio.AsyncClient(reconnection=False, http_session=session)
            await client.connect(url, transports=transports)
            try:
                assert await client.call("say", "hi", timeout=5) == 1
                people = await asyncio.to_thread(ask, url + "api/people", **headers)
                assert json.loads(people[2]) == ["cy"]
            finally:
                await client.disconnect()

    asyncio.run(visit())


def test_its_end_is_told():
    with uvicorn() as (process, url):
        with entered(url, Authorization="Bearer for-robots") as robot:
            process.send_signal(signal.SIGTERM)
            until(lambda: robot.close_code == 1012)
        assert process.wait(timeout=10) in (0, -signal.SIGTERM)


def test_a_login_ends():
    members = Members("sesame", "", "salt")
    cookie = members.cookie_for("ana", "sesame", 1000.0)
    headers = {"cookie": f"{COOKIE}={cookie}"}
    assert members.who(headers, 1000.0 + STAY_S - 1) == "ana"
    assert members.who(headers, 1000.0 + STAY_S) is None
    assert Members("sesame", "", "another").who(headers, 1000.0) is None
    assert members.who({"authorization": "Bearer "}, 1000.0) is None  # no token was set


def test_under_wslab_serve(monkeypatch):
    from wslab.examples.team import team

    with wslab.serve(team(Members("sesame", "t", "salt"))) as server:
        with pytest.raises(HandshakeRefused):
            wslab.connect(server.url + "ws")
        assert [each.status for each in server.refusals] == [401]
        headers = {"Authorization": "Bearer t"}
        with wslab.connect(server.url + "ws", additional_headers=headers) as robot:
            assert robot.call("say", "beep", timeout=5) == 1
        assert not server.errors


@pytest.mark.browser
def test_its_page_in_a_browser(url, chromium, expect):
    context = chromium.new_context(viewport={"width": 640, "height": 420})
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_role("status")).to_have_text("Log in first.")
    page.get_by_label("Name").fill("ana")
    page.get_by_label("Password").fill("guess")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("status")).to_contain_text("no member's name and password")
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("status")).to_have_text("connected")
    page.get_by_label("Say something").fill("hello <b>team</b>")
    page.keyboard.press("Enter")
    expect(page.locator("#log li")).to_have_text("anahello <b>team</b>")
    page.reload()  # the cookie is still there, and no script can read it
    expect(page.get_by_role("status")).to_have_text("connected")
    assert page.evaluate("document.cookie") == ""
    with entered(url, Authorization="Bearer for-robots") as robot:
        expect(page.locator("#people")).to_have_text("ana, robot")
        robot.call("say", "deployed", timeout=5)
        expect(page.locator("#log li")).to_have_text("robotdeployed")
        if path := os.environ.get("WSLAB_TEST_SHOT"):
            page.screenshot(path=path)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("status")).to_contain_text("logged out")
    context.close()
