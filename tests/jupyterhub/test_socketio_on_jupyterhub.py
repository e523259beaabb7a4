"""A stock Socket.IO client, as people install it, and hub.js, in a page on a real JupyterHub: they
talk to a Hub in the kernel, through the Hub's proxy and the tunnel, by each of their transports.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests import node
from tests.browser import Sync
from tests.jupyterhub.rig import User
from tests.jupyterhub.test_on_jupyterhub import FETCH, TOKEN, frame_of
from tests.lab.harness import Notebook

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.timeout(300)]

SERVE = """
import pathlib, wslab

hub = wslab.Hub()
ended = []

@hub.on("disconnect")
async def disconnect(client, reason):
    ended.append(client.id)

@hub.on("say")
async def say(client, text, blob):
    await hub.emit("said", wslab.hub.Args(text, blob))
    return [text.upper(), len(blob)]

server = wslab.serve(hub, page=pathlib.Path("front"))"""
FRAME = """
from IPython.display import IFrame
IFrame(server.page_url, "100%", 120)"""

# What the README says a page of one's own does, wherever it is shown.
PAGE = """<!doctype html><title>stock</title>
<script src="socket.io.min.js"></script>
<script>
function start(options) {
  const path = new URL("socket.io/", location.href).pathname;
  const token = /(?:^|;\\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1];
  return io({ path, query: token ? { _xsrf: token } : {}, ...options });
}
</script>"""
TALK = """async options => {
  const socket = start({ ...options, forceNew: true, reconnection: false });
  const { engine } = socket.io;
  const first = engine.transport.name;
  const upgraded = options.transports ? null : new Promise(go => engine.on("upgrade", go));
  const failed = new Promise((_, no) => {
    socket.on("connect_error", no);
    const where = () => [done, socket.connected, engine.readyState, engine.transport.name];
    setTimeout(() => no(new Error(`after 60 s: ${where()}`)), 60_000);
  });
  let done = "nothing";
  const heard = new Promise(go => socket.on("said", (...args) => go(args)));
  await Promise.race([failed, new Promise(go => socket.on("connect", go))]);
  done = "connected";
  const three = new Uint8Array([1, 2, 3]);
  const answer = await socket.timeout(20_000).emitWithAck("say", "hello", three);
  done = "answered";
  const [text, blob] = await Promise.race([failed, heard]);
  done = "heard";
  await Promise.race([failed, upgraded]);
  done = "upgraded";
  const said = await socket.timeout(20_000).emitWithAck("say", "again", new Uint8Array(70000));
  const last = engine.transport.name;
  const id = socket.id;
  socket.disconnect();
  return { first, last, answer, text, blob: [...new Uint8Array(blob)], said, id };
}"""

MODULE = """async () => {
  const { connect } = await import("./wslab/hub.js");
  const hub = connect();
  const heard = new Promise(go => hub.on("said", (...args) => go(args)));
  const answer = await hub.call("say", ["hello", new Uint8Array([1, 2, 3])]);
  const [text, blob] = (await heard).flat();
  const { id, state } = hub;
  hub.close();
  return { answer, text, blob: [...blob], id, state };
}"""


@pytest.fixture
def page(alice: User) -> Iterator[tuple[Notebook, Sync]]:
    """A notebook, and a frame in it that the kernel's Hub has answered with."""
    node.need("socket.io-client")
    front = alice.root / "front"
    front.mkdir(exist_ok=True)
    (front / "index.html").write_text(PAGE)
    shutil.copy(node.MODULES / "socket.io-client" / "dist" / "socket.io.min.js", front)
    with alice.open(alice.write("stock.ipynb", [SERVE, FRAME])) as notebook:
        for index in range(2):
            notebook.run_cell(index)
        assert notebook.errors() == []
        yield notebook, frame_of(notebook, 1)


def test_a_stock_client_by_each_of_its_transports(page: tuple[Notebook, Sync]):
    notebook, frame = page
    for options, first, last in (
        ({}, "polling", "websocket"),
        ({"transports": ["polling"]}, "polling", "polling"),
        ({"transports": ["websocket"]}, "websocket", "websocket"),
    ):
        told = frame.evaluate(TALK, options)
        assert (told["first"], told["last"]) == (first, last)
        assert told["answer"] == ["HELLO", 3]
        assert (told["text"], told["blob"]) == ("hello", [1, 2, 3])
        assert told["said"] == ["AGAIN", 70000]
        notebook.wait_until(f"{told['id']!r} in ended")
    token = frame.evaluate(TOKEN)
    assert token
    tape = "b''.join(one.data for one in server.tape.chunks())"
    notebook.wait_until(f"b'/socket.io/?' in {tape}")
    notebook.wait_until(f"{token.encode()!r} not in {tape}")
    notebook.wait_until("not server.errors")
    assert notebook.console == []


def test_hub_js_is_imported_and_talks(page: tuple[Notebook, Sync]):
    """A module's request has no place for a header or a changing query; a fetch must have one."""
    notebook, frame = page
    assert frame.evaluate(FETCH, ["wslab/hub.js", ""])[0] == 403
    told = frame.evaluate(MODULE)
    assert told["answer"] == ["HELLO", 3]
    assert (told["text"], told["blob"], told["state"]) == ("hello", [1, 2, 3], "open")
    notebook.wait_until(f"{told['id']!r} in ended")
    notebook.wait_until("not server.errors")
