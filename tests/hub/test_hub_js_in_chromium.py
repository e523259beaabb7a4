"""hub.js in the pages of a real browser: servers that restart, lines that break, reloads, tabs."""

from __future__ import annotations

import json
import re

import pytest

import wslab
from tests.browser import Sync
from tests.hub.bad_line import BadLine
from tests.kernels import PROJECT
from tests.peers import free_port, until

pytestmark = pytest.mark.browser

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>a page with a hub</title>
<script type="module">
import { connect } from "./wslab/hub.js";
const asked = new URLSearchParams(location.search);
const store = asked.has("store") ? sessionStorage : undefined;
const times = { firstDelayMs: 10, maxDelayMs: 100 };
// A busy machine is silent for longer now and then: short only where silence is what is tried.
if (asked.has("silence")) times.silenceMs = 300;
const hub = window.hub = connect(undefined, { ...times, store });
Object.assign(window, { heard: [], states: [], changes: [], welcomes: [], answers: [] });
window.uttered = 0;
hub.on("news", (data) => heard.push(data));
hub.on("connection", (change) => { states.push(change.state); changes.push(change); });
hub.on("welcome", (welcome) => welcomes.push(welcome));
hub.on("double", (data) => 2 * data);
</script>
"""


@pytest.fixture
def hub():
    hub = wslab.Hub(history=10_000)
    hub.said = []

    @hub.on("say")
    def say(client, data):
        hub.said.append(data)
        return data

    return hub


@pytest.fixture
def server(hub):
    with wslab.serve(hub, port=free_port(), page=PAGE) as server:
        yield server


@pytest.fixture
def line(server):
    async def begin():
        return await BadLine(server.port, 1, 0).__aenter__()

    line = wslab.run(begin)
    yield line
    wslab.run(line.__aexit__, None, None, None)


def open_page(page: Sync, url: str) -> None:
    page.goto(url)
    page.wait_for_function("window.hub?.state === 'open'")


def say(page: Sync, count: int, first: int = 0) -> None:
    """Let the page say and ask, by turns, a little apart."""
    page.evaluate(
        """([first, count]) => {
            let nth = first;
            const told = (answer) => answers.push(answer);
            const failed = ({ code, message }) => told(`${code}: ${message}`);
            const go = () => {
                if (nth >= first + count) return;
                const said = nth++;
                if (said % 2) hub.emit("say", said);
                else hub.call("say", said).then(told, failed);
                uttered++;
                setTimeout(go, 1);
            };
            go();
        }""",
        [first, count],
    )


def settled(page: Sync, count: int) -> None:
    """Wait until the hub has all that the page has said, and the page knows."""
    answers = (count + 1) // 2
    becomes(page, f"uttered === {count} && hub.buffered === 0 && answers.length === {answers}")


def becomes(page: Sync, what: str) -> None:
    """Wait until something holds in the page, and say how it stands where it does not."""
    try:
        page.wait_for_function(what)
    except Exception as exc:
        stands = page.evaluate(
            "[hub.state, hub.buffered, answers.length, heard.length, changes.slice(-10), welcomes]"
        )
        raise AssertionError(f"expected {what}, got {stands}") from exc


def test_events_answers_and_bytes(page, hub, server):
    open_page(page, server.page_url)
    assert page.evaluate("states") == ["connecting", "open"]
    found = page.evaluate(
        """async () => {
            const bytes = new Uint8Array([0, 255, 7]);
            const more = [bytes.buffer, bytes.subarray(1)];
            const answer = await hub.call("say", { bytes, more });
            return [answer.bytes, ...answer.more].map((each) => [each.constructor.name, ...each]);
        }"""
    )
    assert hub.said == [{"bytes": b"\x00\xff\x07", "more": [b"\x00\xff\x07", b"\xff\x07"]}]
    assert found == [["Uint8Array", 0, 255, 7], ["Uint8Array", 0, 255, 7], ["Uint8Array", 255, 7]]
    [client] = hub.clients.values()
    assert client.id == page.evaluate("hub.id")
    assert wslab.run(client.call, "double", 21) == 42


@pytest.mark.parametrize("how", ["restart", "abort", "cut", "silence"])
def test_what_breaks_is_taken_up_again_with_nothing_lost_and_nothing_twice(
    page, hub, server, line, how
):
    open_page(page, f"http://127.0.0.1:{line.port}/?{how}")
    say(page, 300)
    until(lambda: len(hub.said) > 50)
    for nth in range(100):
        if nth == 50:
            if how == "restart":
                server.restart()
            elif how == "abort":
                [client] = hub.clients.values()
                wslab.run(_now(client.websocket.transport.abort))
            elif how == "cut":
                wslab.run(_now(line.cut))
            else:
                wslab.run(_now(line.swallow))
        hub.emit("news", nth)
    settled(page, 300)
    becomes(page, "heard.length >= 100")
    assert page.evaluate("heard") == list(range(100))
    assert hub.said == list(range(300))
    assert sorted(page.evaluate("answers"), key=str) == sorted(range(0, 300, 2), key=str)
    assert page.evaluate("states").count("open") > 1
    assert page.evaluate("welcomes.map(({ gap }) => gap)") == [None] * page.evaluate(
        "welcomes.length"
    )


def _now(call):
    async def now():
        call()

    return now


@pytest.mark.parametrize("how", ["kept", "on its way"])
def test_another_hub_in_its_place_says_that_it_does_not_know_the_page(page, hub, server, line, how):
    open_page(page, f"http://127.0.0.1:{line.port}/")
    emit = "hub.emit('say', 'meanwhile')"
    if how == "on its way":
        wslab.run(_now(line.swallow))
        page.evaluate(emit)
    server.stop()
    becomes(page, "states.includes('waiting')")
    if how == "kept":
        page.evaluate(emit)
    other = wslab.Hub(history=10)
    other.on("say", lambda client, data: hub.said.append(data))
    with wslab.serve(other, port=server.port, page=PAGE):
        becomes(page, "welcomes.length === 2 && hub.buffered === 0")
    assert page.evaluate("welcomes.at(-1).gap") == "session unknown"
    assert hub.said == ["meanwhile"]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_page_that_is_loaded_again_goes_on_where_it_has_a_store(page, hub, server, keeps):
    open_page(page, server.page_url + ("?store" if keeps else ""))
    say(page, 20)
    settled(page, 20)
    [before] = [client.user_id for client in hub.clients.values()]
    hub.emit("news", "heard before")
    page.wait_for_function("heard.length === 1")
    page.goto("about:blank")
    until(lambda: not hub.clients)
    hub.emit("news", "said while it was away")
    page.go_back()
    page.wait_for_function("window.hub?.state === 'open'")
    say(page, 20, 100)
    settled(page, 20)
    [after] = [client.user_id for client in hub.clients.values()]
    assert (before == after) is keeps
    assert page.evaluate("heard") == (["said while it was away"] if keeps else [])
    assert page.evaluate("welcomes[0].resumed") is keeps
    assert hub.said == [*range(20), *range(100, 120)]


def test_two_tabs_are_two_clients_also_where_one_is_a_copy_of_the_other(page, hub, server):
    open_page(page, server.page_url + "?store")
    with page.expect_popup() as popup:
        page.evaluate("window.open(location.href)")
    other = popup.value
    other.wait_for_function("window.hub?.state === 'open'")
    hub.emit("news", 1)
    for each in (page, other):
        each.wait_for_function("heard.length === 1")
        assert each.evaluate("states") == ["connecting", "open"]
    assert len({client.user_id for client in hub.clients.values()}) == 2


def test_a_session_that_goes_on_elsewhere_is_left_to_it(page, hub, server):
    open_page(page, server.page_url)
    [client] = hub.clients.values()
    token = client._connection.session_part.token
    with wslab.connect(f"{server.url}?session={token}") as other:
        other.recv(timeout=5)
        page.wait_for_function("hub.state === 'closed'")
    assert page.evaluate("hub.call('say', 1).catch(({ code }) => code)") == "closed"


def test_a_page_of_another_origin_may_have_the_script_and_its_hub(page, hub, server):
    with wslab.serve(wslab.Hub(), page="<title>elsewhere</title>") as elsewhere:
        page.goto(elsewhere.page_url)
        page.evaluate(
            """async (url) => {
                const { connect } = await import(url);
                window.hub = connect();
                await new Promise((open) => hub.on("welcome", open));
            }""",
            f"{server.page_url}wslab/hub.js",
        )
        assert len(hub.clients) == 1


def test_inside_an_application_the_script_knows_where_the_hub_is(page, hub):
    async def app(scope, receive, send):
        fields = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": PAGE.encode()})

    with wslab.serve(hub.asgi(app, path="/sockets/here")) as server:
        open_page(page, server.page_url)
        say(page, 20)
        settled(page, 20)
    assert hub.said == list(range(20))


def page_in(text):
    """Return the one page that a text shows."""
    [html] = re.findall(r"```html\n(.*?)```", text, re.DOTALL)
    assert "hub.js" in html
    assert len(html.splitlines()) <= 12
    return html


def test_the_page_of_the_readme(page, expect):
    hub = wslab.Hub(history=100)

    @hub.on("chat")
    async def chat(client, text):
        await hub.emit("chat", text, skip=client)
        return "said"

    html = page_in((PROJECT / "README.md").read_text("utf-8"))
    with wslab.serve(hub, page=html) as server, wslab.connect(server) as alice:
        page.goto(server.page_url)
        expect(page).to_have_title("open")
        page.locator("input").fill("hello")
        page.locator("input").press("Enter")
        expect(page.locator("li")).to_have_text(["said"])
        alice.emit("chat", "and <b>you</b>")
        expect(page.locator("li")).to_have_text(["said", "and <b>you</b>"])


def test_the_page_of_lesson_06(page, expect):
    cells = json.loads((PROJECT / "notebooks/06_rooms.ipynb").read_text("utf-8"))["cells"]
    [html] = (
        page_in("".join(cell["source"])) for cell in cells if "hub.js" in "".join(cell["source"])
    )
    [source] = ("".join(cell["source"]) for cell in cells if cell["id"] == "hub")
    names = {"wslab": wslab}
    exec(source, names)
    hub = names["hub"]
    heard = []
    with (
        wslab.serve(hub, page=html) as server,
        wslab.connect(f"{server.url}?name=ana", reconnect=True) as ana,
    ):
        ana.on("said", heard.append)
        ana.emit("join", {"room": "kitchen"})
        page.goto(server.page_url)
        until(lambda: len(hub.rooms.get("kitchen", ())) == 2)
        page.locator("input").fill("tea?")
        page.locator("input").press("Enter")
        until(lambda: heard)
        assert heard == [{"from": "page", "text": "tea?", "room": "kitchen"}]
        ana.emit("say", {"room": "kitchen", "text": "yes"})
        expect(page.locator("ul")).to_have_text("ana: yes")
