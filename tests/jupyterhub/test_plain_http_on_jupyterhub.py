"""Plain HTTP from a page on a real JupyterHub to a kernel's server, through the Hub's proxy and the
tunnel: bodies, events one by one, requests that are held, and requests that a page gives up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.browser import Sync
from tests.jupyterhub.rig import User
from tests.jupyterhub.test_on_jupyterhub import TOKEN, frame_of
from tests.lab.harness import Notebook, keep_screenshots

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(300)]

# A server by hand, so that each answer's pieces go out when the test wants them to.
SERVE = """
import asyncio, hashlib, re, wslab
from wslab import tunnel

heads, ended, more = [], [], asyncio.Queue()

async def answer(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode("latin-1")
    heads.append(head)
    method, target, _ = head.split(" ", 2)
    path = target.partition("?")[0]
    length = re.search(r"(?i)\\r\\ncontent-length: *([0-9]+)", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    kind = {"/": "text/html", "/events": "text/event-stream"}.get(path, "text/plain")
    ok = f"HTTP/1.1 200 OK\\r\\nContent-Type: {kind}\\r\\nConnection: close\\r\\n\\r\\n".encode()
    if path != "/hold":
        writer.write(ok)
    gone = asyncio.ensure_future(reader.read())
    try:
        if path == "/":
            writer.write(b"<title>by hand</title>")
        elif path == "/events":
            for count in range(1000):
                writer.write(b"data: %d\\n\\n" % count)
                await writer.drain()
                asked = asyncio.ensure_future(more.get())  # by a POST of the page
                await asyncio.wait([asked, gone], return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    asked.cancel()
                    ended.append(path)
                    return
        elif path == "/more":
            more.put_nowait(body)
        elif path == "/hold":
            await asyncio.wait([gone], timeout=float(body or b"60"))
            if gone.done():
                ended.append(path)
                return
            writer.write(ok + b"held")
        else:
            writer.write(f"{method} {len(body)} {hashlib.sha256(body).hexdigest()}".encode())
        await writer.drain()
    finally:
        gone.cancel()
        writer.close()

listener = await asyncio.start_server(answer, "127.0.0.1", 0)
entry = tunnel.register(listener.sockets[0].getsockname(), is_secure=False, name="by hand")"""
FRAME = """
from IPython.display import IFrame
IFrame(f"{BASE}wslab/{entry.id}/", "100%", 120)"""

FETCH = """async ([path, method, size, token]) => {
  const headers = token ? { "X-XSRFToken": token } : {};
  const body = size === null ? undefined : typeof size === "string" ? size : "x".repeat(size);
  const response = await fetch(path, { method, headers, body });
  return [response.status, response.ok ? await response.text() : ""];
}"""
# Asks for the next event only when one has come: what is gathered on the way comes never.
EVENTS = """([token, count]) => new Promise(go => {
  const came = [];
  const source = new EventSource(`events?_xsrf=${token}`);
  source.onmessage = ({ data }) => {
    came.push(data);
    if (came.length === count) { source.close(); go(came); return; }
    fetch("more", { method: "POST", headers: { "X-XSRFToken": token }, body: data });
  };
  source.onerror = () => { source.close(); go("error"); };
})"""
HOLD = """token => {
  window.control = new AbortController();
  const headers = { "X-XSRFToken": token };
  const { signal } = window.control;
  window.held = fetch("hold", { method: "POST", headers, body: "60", signal })
    .then(() => "answered", error => error.name);
}"""


@pytest.fixture
def page(alice: User) -> Iterator[tuple[Notebook, Sync]]:
    """A notebook, and a frame in it that the kernel's server has answered with."""
    cells = [SERVE, FRAME.replace("{BASE}", alice.base_url)]
    with alice.open(alice.write("by-hand.ipynb", cells)) as notebook:
        for index in range(2):
            notebook.run_cell(index)
        assert notebook.errors() == []
        yield notebook, frame_of(notebook, 1)


def test_what_a_page_sends_and_what_it_may_wait_for(page: tuple[Notebook, Sync]):
    notebook, frame = page
    token = frame.evaluate(TOKEN)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert frame.evaluate(FETCH, ["echo", method, 5, ""]) == [403, ""]
        digest = hashlib.sha256(b"x" * 5).hexdigest()
        assert frame.evaluate(FETCH, ["echo", method, 5, token]) == [200, f"{method} 5 {digest}"]
    size = 3 * 2**20
    digest = hashlib.sha256(b"x" * size).hexdigest()
    assert frame.evaluate(FETCH, ["echo", "POST", size, token]) == [200, f"POST {size} {digest}"]

    assert frame.evaluate(EVENTS, [token, 5]) == ["0", "1", "2", "3", "4"]
    notebook.wait_until("ended == ['/events']")
    frame.evaluate(HOLD, token)
    notebook.wait_until("'POST /hold ' in heads[-1]")
    assert frame.evaluate("() => { window.control.abort(); return window.held; }") == "AbortError"
    notebook.wait_until("ended == ['/events', '/hold']")

    # Longer than a long poll of Engine.IO is held by default.
    assert frame.evaluate(FETCH, ["hold", "POST", "26", token]) == [200, "held"]
    notebook.wait_until("ended == ['/events', '/hold']")
    notebook.wait_until("not any('xsrf' in head.lower() for head in heads)")
    notebook.wait_until("not any('cookie' in head.lower() for head in heads)")


TEAM = """
import wslab
from wslab.examples.team import Members, team
server = wslab.serve(team(Members("open sesame", "", "signs")), name="team")"""
SHOW = """
from IPython.display import IFrame
IFrame(server.page_url, "100%", 400)"""


def test_an_application_with_a_login_by_cookie(alice: User, expect):
    """FastAPI with a hub inside: the cookie is asked for before the WebSocket opens."""
    pytest.importorskip("fastapi")
    with alice.open(alice.write("team.ipynb", [TEAM, SHOW])) as notebook:
        for index in range(2):
            notebook.run_cell(index)
        assert notebook.errors() == []
        frame = frame_of(notebook, 1)
        expect(frame.locator("#state")).to_have_text("Log in first.")
        frame.get_by_label("Name").fill("ana")
        frame.get_by_label("Password").fill("wrong")
        frame.get_by_role("button", name="Log in").click()
        expect(frame.locator("#state")).to_contain_text("no member")
        frame.get_by_label("Password").fill("open sesame")
        frame.get_by_role("button", name="Log in").click()
        expect(frame.locator("#state")).to_have_text("connected")
        frame.get_by_label("Say something").fill("hello over the Hub")
        frame.get_by_role("button", name="Send").click()
        expect(frame.locator("#log li")).to_have_text("anahello over the Hub")
        if folder := keep_screenshots():
            notebook.screenshot(folder / "team-on-jupyterhub.png", index=1)
        names = [one["name"] for one in notebook.page.context.cookies() if "team" in one["name"]]
        assert [name.partition("-team")[0][:6] for name in names] == ["wslab-"]
        frame.get_by_role("button", name="Log out").click()
        expect(frame.locator("#login")).to_be_visible()
        notebook.wait_until("not server.errors")
