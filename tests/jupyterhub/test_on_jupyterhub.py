"""What people do with wslab on a real JupyterHub: its proxy, its login, its cross-site token.

Each of the four things that a page can do through the tunnel (a WebSocket, a frame, a fetch, an
EventSource) is done for real, and the server in the kernel says what reached it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser import Sync
from tests.jupyterhub.conftest import need_jupyterhub
from tests.jupyterhub.rig import JupyterHub, User
from tests.lab.harness import Notebook, course
from tests.lab.test_browser_in_lab import Shown
from tests.lab.test_panels_in_lab import complaints

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(300)]

# A server that keeps what reaches it, and what a page can ask it for.
SERVE = """
import json, wslab
from websockets.http11 import Response
from websockets.datastructures import Headers

reached = []  # [kind, path, names of headers]

def keep(kind, request):
    reached.append([kind, request.path, sorted(name.lower() for name in request.headers)])

async def handler(websocket):
    keep("websocket", websocket.request)
    await websocket.send("hello " * 40)
    await websocket.close(4001, "that is all")

def page(request):
    keep("http", request)
    path = request.path.partition("?")[0]
    body, kind = {
        "/": (b"<title>framed</title><p>from the kernel</p>", "text/html"),
        "/data.json": (b'{"answer": 42}', "application/json"),
        "/events": (b"data: pushed\\n\\n", "text/event-stream"),
    }[path]
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body))})
    return Response(200, "OK", headers, body)

server = wslab.serve(handler, subprotocols=["beta"], page=page, compression="deflate", name="hub's")
server"""
BROWSER = """
browser = wslab.Browser(server, protocols=["alpha", "beta"])
browser"""
FRAME = """
from IPython.display import IFrame
IFrame(server.page_url, "100%", 120)"""
SEEN = """
def shown(event):
    fields = ("type", "protocol", "extensions", "code", "reason", "was_clean", "text")
    return {name: getattr(event, name) for name in fields}
print(json.dumps({
    "route": browser.route, "routes": [one.kind for one in server.routes],
    "url": server.browser_url, "asks": browser.page_sockets.routes.asks,
    "events": [shown(event) for event in browser.events],
    "reached": reached, "doctor": {one.name: [one.ok, one.seen] for one in wslab.doctor().findings},
}))"""

# In a page that has Jupyter's origin: with the token and without it.
FETCH = """async ([url, token]) => {
  const response = await fetch(url, { headers: token ? { "X-XSRFToken": token } : {} });
  return [response.status, response.ok ? await response.text() : ""];
}"""
XHR = """([url, token]) => new Promise(go => {
  const request = new XMLHttpRequest();
  request.open("GET", url);
  if (token) request.setRequestHeader("X-XSRFToken", token);
  request.onloadend = () => go(request.status);
  request.send();
})"""
EVENTS = """url => new Promise(go => {
  const source = new EventSource(url);
  source.onmessage = ({ data }) => { source.close(); go(data); };
  source.onerror = () => { source.close(); go("error"); };
})"""
SOCKET = """url => new Promise(go => {
  const socket = new WebSocket(url, ["alpha", "beta"]);
  let protocol = "", extensions = "";
  socket.onopen = () => ({ protocol, extensions } = socket);
  socket.onclose = ({ code, reason }) => go([protocol, extensions.split(";")[0], code, reason]);
})"""
# As the widgets' own helper does (wslab/widgets/dom.js) and the README says.
TOKEN = "() => /(?:^|;\\\\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? ''"
SECRETS = ("cookie", "authorization", "x-xsrftoken", "x-csrftoken", "wslab-tunnel-secret")


def ask(notebook: Notebook, index: int, ready: Any) -> dict[str, Any]:
    """Run a cell again until what it says is ready."""
    deadline = time.monotonic() + 20
    while True:
        notebook.run_cell(index)
        assert notebook.errors() == []
        said: dict[str, Any] = json.loads(notebook.text(index))
        if ready(said):
            return said
        assert time.monotonic() < deadline, said


@pytest.fixture
def shown(alice: User) -> Iterator[Notebook]:
    """A notebook whose server, Browser and frame are shown."""
    with alice.open(alice.write("hub.ipynb", [SERVE, BROWSER, FRAME, SEEN])) as notebook:
        for index in range(3):
            notebook.run_cell(index)
        assert notebook.errors() == []
        yield notebook


def frame_of(notebook: Notebook, index: int) -> Sync:
    """Return the frame in a cell's output, loaded."""
    notebook.cell(index).locator("iframe").wait_for()
    element = notebook.cell(index).locator("iframe").element_handle()
    frame = element.content_frame()
    frame.wait_for_load_state()
    return frame


def test_a_page_takes_the_tunnel_and_everybody_says_so(shown: Notebook, alice: User, expect):
    browser = Shown(shown, 1)
    expect(browser.now).to_have_text("CLOSED")
    said = ask(shown, 3, lambda said: len(said["events"]) >= 4)
    opened = next(event for event in said["events"] if event["type"] == "open")
    closed = next(event for event in said["events"] if event["type"] == "close")
    assert said["route"] == "tunnel"
    assert opened["protocol"] == "beta"
    assert opened["extensions"].startswith("permessage-deflate")
    assert (closed["code"], closed["reason"], closed["was_clean"]) == (4001, "that is all", True)
    assert said["routes"][0] == "tunnel"
    assert re.fullmatch(rf"ws://127\.0\.0\.1:\d+{alice.base_url}wslab/[0-9a-f]{{32}}/", said["url"])
    ok, seen = said["doctor"]["through the tunnel"]
    assert ok is True
    assert "to the notebook's page" in seen
    expect(browser.root.locator(".ws-where")).to_contain_text("by wslab's tunnel")
    assert complaints(shown) == []


def test_what_a_page_can_do_and_what_reaches_the_server(shown: Notebook, alice: User):
    frame = frame_of(shown, 2)
    assert frame.locator("p").inner_text() == "from the kernel"
    # A link or a frame is of the page that shows it, whatever Jupyter calls itself.
    source = shown.cell(2).locator("iframe").get_attribute("src")
    url = frame.url
    assert urlsplit(url)[:2] == urlsplit(shown.page.url)[:2], (url, source)

    token = frame.evaluate(TOKEN)
    assert token
    # Without the token the Hub lets nobody in: any page of any user could have asked.
    assert frame.evaluate(FETCH, [f"{url}data.json", ""])[0] == 403
    assert frame.evaluate(XHR, [f"{url}data.json", ""]) == 403
    assert frame.evaluate(EVENTS, f"{url}events") == "error"
    assert frame.evaluate(FETCH, [f"{url}data.json", token]) == [200, '{"answer": 42}']
    assert frame.evaluate(XHR, [f"{url}data.json?x=1", token]) == 200
    assert frame.evaluate(EVENTS, f"{url}events?a=1&_xsrf={token}&b=2") == "pushed"
    socket = frame.evaluate(SOCKET, url.replace("http", "ws", 1))
    assert socket == ["beta", "permessage-deflate", 4001, "that is all"]

    reached = ask(shown, 3, lambda said: len(said["reached"]) >= 6)["reached"]
    paths = [path for _, path, _ in reached]
    assert paths.count("/data.json") == 1
    assert paths.count("/data.json?x=1") == 1
    assert "/events?a=1&b=2" in paths
    for kind, path, names in reached:
        assert not set(names) & set(SECRETS), (kind, path, names)
        assert token not in path
        assert "_xsrf" not in path


def test_the_panels_link_opens_the_page(shown: Notebook, alice: User, expect):
    link = shown.cell(0).get_by_role("link").first
    with shown.page.expect_popup() as opened:
        link.click()
    page = opened.value
    expect(page).to_have_title("framed")
    assert page.url.startswith(f"{alice.url}wslab/")
    page.close()


def test_who_hands_cookies_over_asks_first(alice: User, expect):
    cells = [
        SERVE.replace('name="hub\'s"', 'name="alone"'),
        # The tunnel is asked for a server that it can't see.
        "browser = wslab.Browser(server, protocols=['alpha', 'beta'])\n"
        "to_page = browser.page_sockets.routes.to_page\n"
        "changed = lambda: [{**route, 'server': 'f' * 32} for route in to_page()]\n"
        "browser.page_sockets.routes.to_page = changed\n"
        "browser",
        "print(browser)",
        SEEN,
        "server.browser_url",
    ]
    with alice.open(alice.write("asks.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        browser = Shown(notebook, 1)
        expect(browser.said).to_have_text("waits for your answer")
        expect(browser.root.locator(".ws-asks")).to_contain_text("cookies")
        said = ask(notebook, 3, lambda said: said["asks"])
        assert said["route"] is None
        assert said["reached"] == []  # nothing has been handed over
        assert "No answer through Jupyter, by wslab's tunnel: 404" in browser.root.inner_text()
        assert "tunnel" not in said["routes"]
        assert said["doctor"]["through the tunnel"][0] is not True
        notebook.run_cell(2)
        assert "waits for an answer" in notebook.text(2)
        assert "route='proxy'" in notebook.text(2)
        browser.button("Go there, and hand Jupyter’s cookies over").click()
        expect(browser.now).to_have_text("CLOSED")
        said = ask(notebook, 3, lambda said: said["route"])
        assert said["route"] == "proxy"
        assert f"{alice.base_url}proxy/" in said["url"]
        assert "cookie" in said["reached"][0][2]  # what was asked about is true
        # Another Browser asks anew.
        notebook.run_cell(1)
        expect(browser.said).to_have_text("waits for your answer")
        browser.button("Go by the kernel, without them").click()
        expect(browser.now).to_have_text("CLOSED")
        assert ask(notebook, 3, lambda said: said["route"])["route"] == "comm"


def test_two_users_do_not_reach_each_others_servers(
    shown: Notebook, hub: JupyterHub, alice: User, expect
):
    url = frame_of(shown, 2).url  # hers
    entry = url.split("/wslab/")[1]
    before = ask(shown, 3, lambda said: said["events"])["reached"]
    bob = hub.user("bob")
    with bob.open(bob.write("bob.ipynb", [SERVE, BROWSER, FRAME, SEEN])) as notebook:
        for index in range(3):
            notebook.run_cell(index)
        own = frame_of(notebook, 2)
        expect(Shown(notebook, 1).now).to_have_text("CLOSED")
        token = own.evaluate(TOKEN)
        assert own.evaluate(FETCH, [f"{own.url}data.json", token])[0] == 200
        # Hers by her address: as a page that is opened, a fetch, an EventSource and a WebSocket.
        page = notebook.page.context.new_page()
        answer = page.goto(url)
        assert answer.status == 403
        assert "from the kernel" not in page.content()
        page.close()
        assert own.evaluate(FETCH, [f"{url}data.json", token])[0] == 403
        assert own.evaluate(EVENTS, f"{url}events?_xsrf={token}") == "error"
        assert own.evaluate(SOCKET, url.replace("http", "ws", 1)) == ["", "", 1006, ""]
        # And hers by his own address.
        there = f"{bob.url}wslab/{entry}"
        assert own.evaluate(FETCH, [f"{there}data.json", token])[0] == 404
        assert own.evaluate(SOCKET, there.replace("http", "ws", 1)) == ["", "", 1006, ""]
    assert ask(shown, 3, lambda said: said["events"])["reached"] == before


def test_a_named_server_has_its_own_way(hub: JupyterHub, alice: User, expect):
    second = hub.user("alice", "second")
    assert second.base_url == "/user/alice/second/"
    with second.open(second.write("named.ipynb", [SERVE, BROWSER, FRAME, SEEN])) as notebook:
        for index in range(3):
            notebook.run_cell(index)
        expect(Shown(notebook, 1).now).to_have_text("CLOSED")
        said = ask(notebook, 3, lambda said: len(said["events"]) >= 4)
        assert said["route"] == "tunnel"
        assert f"{second.base_url}wslab/" in said["url"]
        frame = frame_of(notebook, 2)
        assert frame.url.startswith(f"{second.url}wslab/")
        token = frame.evaluate(TOKEN)
        assert frame.evaluate(FETCH, [f"{frame.url}data.json", token])[0] == 200
        assert complaints(notebook) == []


CHAT = """
import wslab
from wslab.examples.chat import PAGE, chat
server = wslab.serve(chat(), page=PAGE)
server"""


def test_the_chat_application(alice: User, expect):
    with alice.open(alice.write("chat.ipynb", [CHAT])) as notebook:
        notebook.run_cell(0)
        windows = []
        for name in ("ana", "ben"):
            with notebook.page.expect_popup() as opened:
                notebook.cell(0).get_by_role("link").first.click()
            page = opened.value
            page.get_by_label("Your name").fill(name)
            page.get_by_role("button", name="Enter").click()
            expect(page.get_by_role("status")).to_have_text("connected")
            windows.append(page)
        ana, ben = windows
        expect(ana.locator("#people li")).to_have_count(2)
        ana.get_by_label("Message", exact=True).fill("hello over the Hub")
        ana.keyboard.press("Enter")
        expect(ben.locator("#log li span")).to_have_text("hello over the Hub")
        for page in windows:
            page.close()


@pytest.mark.parametrize(
    "lesson",
    [path for path in course() if path.name[:2] in ("00", "07", "08", "09", "12", "13", "16")],
    ids=lambda path: path.stem,
)
def test_a_lesson_runs(alice: User, lesson):
    with alice.open(f"notebooks/{lesson.name}") as notebook:
        notebook.run_all(timeout=180)
        assert notebook.errors() == []
        assert notebook.not_run() == []
        assert notebook.console_of_run_all == []


def test_lesson_00s_page_is_shown(alice: User, expect):
    (lesson,) = (path for path in course() if path.name.startswith("00"))
    with alice.open(f"notebooks/{lesson.name}") as notebook:
        sources = ["".join(cell["source"]) for cell in notebook.cells()]
        index = next(nth for nth, source in enumerate(sources) if "IFrame(" in source)
        for nth, cell in enumerate(notebook.cells()[: index + 1]):
            if cell["cell_type"] == "code":
                notebook.run_cell(nth)
        frame = frame_of(notebook, index)
        frame.get_by_role("button").first.click()  # Connect
        expect(frame.locator("body")).to_contain_text("open")
        assert frame.url.startswith(f"{alice.url}wslab/")


def test_under_a_base_url_and_over_tls(chromium: Sync, expect):
    need_jupyterhub()
    with JupyterHub(chromium, base_url="/course/", is_secure=True) as hub:
        carol = hub.user("carol")
        assert carol.base_url == "/course/user/carol/"
        with carol.open(carol.write("tls.ipynb", [SERVE, BROWSER, FRAME, SEEN])) as notebook:
            for index in range(3):
                notebook.run_cell(index)
            expect(Shown(notebook, 1).now).to_have_text("CLOSED")
            said = ask(notebook, 3, lambda said: len(said["events"]) >= 4)
            assert said["route"] == "tunnel"
            assert said["url"].startswith("wss://127.0.0.1:")
            assert f"{carol.base_url}wslab/" in said["url"]
            closed = next(event for event in said["events"] if event["type"] == "close")
            assert (closed["code"], closed["reason"]) == (4001, "that is all")
            frame = frame_of(notebook, 2)
            assert frame.url.startswith(f"{carol.url}wslab/")
            token = frame.evaluate(TOKEN)
            assert frame.evaluate(FETCH, [f"{frame.url}data.json", token])[0] == 200
            assert frame.evaluate(EVENTS, f"{frame.url}events?_xsrf={token}") == "pushed"
            for kind, path, names in said["reached"]:
                assert not set(names) & set(SECRETS), (kind, path, names)
