"""A page's session: recorded by Chromium as a HAR, and replayed to the page and to its server."""

from __future__ import annotations

import json

import pytest

import wslab
from tests.browser import Sync
from tests.peers import until
from tests.replays.rig import kinds

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><meta charset="utf-8"><title>a page that votes</title><script>
const id = crypto.randomUUID(), heard = [];
const vote = (url, what) => {
  const socket = new WebSocket(url, ["votes"]);
  socket.onopen = () => socket.send(JSON.stringify({ id, vote: what }));
  socket.onmessage = ({ data }) => {
    heard.push(JSON.parse(data));
    if (heard.length === 1) socket.send(new Uint8Array([1, 2, 3]));
    if (heard.length === 2) socket.close(4000, "voted");
  };
};
</script>"""


async def votes(websocket):
    asked = json.loads(await websocket.recv())
    await websocket.send(json.dumps({"id": asked["id"], "counts": asked["vote"]}))
    await websocket.send(json.dumps({"bytes": len(await websocket.recv())}))
    await websocket.wait_closed()


@pytest.fixture(scope="module")
def har(chromium: Sync, tmp_path_factory: pytest.TempPathFactory):
    """Return the path of what Chromium has recorded of a page that votes."""
    path = tmp_path_factory.mktemp("har") / "votes.har"
    with wslab.serve(votes, page=PAGE, subprotocols=["votes"]) as server:
        context = chromium.new_context(record_har_path=str(path))
        page = context.new_page()
        page.goto(server.page_url)
        with page.expect_websocket() as opened:
            page.evaluate("url => vote(url, 'yes')", server.url)
        # The server's connection may end before the recorder has heard of the last message.
        until(lambda: opened.value.is_closed())
        context.close()
    return path


def test_to_the_page(har, page: Sync):
    with wslab.serve(votes, page=PAGE) as pages, wslab.replay(har, bind=["id"]) as replay:
        page.goto(pages.page_url)
        page.evaluate("url => vote(url, 'yes')", replay.url)
        assert not replay.wait(10)
        page.wait_for_function("() => heard.length === 2")
        assert page.evaluate("() => heard[0].id === id && heard[1].bytes === 3")


def test_to_a_page_that_says_something_else(har, page: Sync):
    with wslab.serve(votes, page=PAGE) as pages, wslab.replay(har, bind=["id"]) as replay:
        page.goto(pages.page_url)
        page.evaluate("url => vote(url, 'no')", replay.url)
        [found] = replay.wait(10)
        assert (found.kind, found.note) == ("changed", "vote: 'yes' → 'no'")


def test_to_its_server(har):
    async def counts_wrong(websocket):
        await websocket.recv()
        await websocket.send('{"id": "x", "counts": "yes"}')
        await websocket.send('{"bytes": 4}')
        await websocket.wait_closed()

    with wslab.serve(votes, subprotocols=["votes"]) as server:
        assert not wslab.replay(har, server, side="client", bind=["id"]).differences
    found = wslab.replay(har, counts_wrong, side="client", bind=["id"]).differences
    assert kinds(found) == ["handshake", "changed", "changed"]
