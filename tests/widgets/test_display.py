"""How a Server and a Client show themselves: in a terminal, in a kernel, and as bare HTML."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import pytest
from IPython.core.formatters import DisplayFormatter

import wslab
from tests.kernels import Kernel
from tests.outline import Outline
from wslab.widgets import display
from wslab.widgets.panels import static_html

WIDGET = "application/vnd.jupyter.widget-view+json"


async def echo(websocket):
    async for message in websocket:
        if message == "boom":
            raise ValueError("<script>alert(1)</script> & more")
        await websocket.send(message)


@pytest.fixture
def server():
    with wslab.serve(echo) as running:
        yield running


@pytest.fixture
def shell():
    """As much of IPython's shell as shows things; a whole one brings threads and files."""
    return types.SimpleNamespace(display_formatter=DisplayFormatter())


def test_a_terminal_gets_text_only(shell, server):
    assert display.register(shell)
    assert display.register(shell)  # again does no harm
    data, metadata = shell.display_formatter.format(server)
    assert metadata == {}
    assert list(data) == ["text/plain"]
    told = re.escape(server.url)
    assert re.match(rf"server 'echo', listening for \d+ s, at {told}", data["text/plain"])


def test_the_text_names_who_is_connected_and_what_went_wrong(shell, server):
    display.register(shell)
    with wslab.connect(server, name="alice") as alice, wslab.connect(server, name="bob") as bob:
        alice.send("hello")
        assert alice.recv(5) == "hello"
        bob.send("boom")
        with pytest.raises(Exception, match="1011"):
            bob.recv(5)
        [text] = shell.display_formatter.format(server)[0].values()
        lines = text.splitlines()
        names = re.split(r"  +", lines[1].strip())
        assert names[:5] == ["client", "id", "path", "open for", "messages in"]
        row = lines[2].split()
        assert row[:3] == ["alice", server.connections[0].id, "/"]
        assert row[5] == "1"
        assert "  1 connected now, 2 since it was made" in lines
        assert any(line.startswith("  Last error, ") for line in lines)
        assert lines[-1] == "    ValueError: <script>alert(1)</script> & more"

        [text] = shell.display_formatter.format(alice)[0].values()
        assert re.search(r"received +text +5 B +hello", text)
        [text] = shell.display_formatter.format(bob)[0].values()
        assert text.startswith(f"client 'bob', closed with 1011, to {server.url}")
        assert "Why it closed: The server closed it with 1011" in text
    server.stop()
    [text] = shell.display_formatter.format(server)[0].values()
    assert text.splitlines()[0] == f"server 'echo', stopped, at {server.url}"


def test_the_extension_registers_too(shell, server):
    assert wslab.load_ipython_extension(shell) is None
    assert list(shell.display_formatter.format(server)[0]) == ["text/plain"]


def test_without_ipython_there_is_nothing_to_tell():
    code = """if True:
        import sys
        from wslab.widgets import display
        assert "IPython" not in sys.modules
        print(display.register())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_importing_loads_no_widget():
    code = (
        "import IPython, sys, wslab\n"
        "print([m for m in sys.modules if m in ('ipywidgets', 'anywidget')"
        " or m.startswith('wslab.widgets.') and m != 'wslab.widgets.display'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_html_is_plain_markup_and_escapes_what_came(server):
    from wslab.widgets.panels import model

    name = "<img src=x onerror=alert(1)>"
    with wslab.connect(server, name=name) as alice:
        alice.send("<b>x</b>")
        assert alice.recv(5) == "<b>x</b>"
        alice.send("boom")
        with pytest.raises(Exception, match="1011"):
            alice.recv(5)
        text = static_html.to_html(model.server_view(server), model.server_trouble(server), [])
        text += static_html.to_html(
            model.client_view(alice),
            model.client_trouble(alice),
            model.client_log(alice)["rows"],
        )
    outline = Outline(text)
    assert outline.open == []
    table = {"table", "thead", "tbody", "tr", "th", "td"}
    text = {"div", "p", "b", "span", "br", "code", "pre", "details", "summary"}
    assert outline.tags <= table | text
    assert outline.attributes == {"style"}
    assert "|<b>x</b>|" in outline.text
    assert name in outline.text
    assert "ValueError: <script>alert(1)</script> & more" in outline.text
    assert re.search(r"as of \d\d:\d\d:\d\d on \d{4}-\d\d-\d\d", outline.text)


SERVE = """
import wslab
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
server = wslab.serve(echo)
"""


@pytest.mark.kernel
def test_a_kernel_gets_a_panel_html_and_text():
    cells = [
        SERVE + "server",
        "server",
        "alice = wslab.connect(server, name='alice')\nalice",
        "from IPython.display import display; display(server, alice)",
        "server.stop()\nserver",
    ]
    with Kernel() as kernel:
        first, second, client, both, stopped = kernel.run_all(cells)
    bundles = [cell.outputs[0]["data"] for cell in (first, second, client, stopped)]
    for bundle in bundles:
        assert set(bundle) == {"text/plain", "text/html", WIDGET}
    models = [bundle[WIDGET]["model_id"] for bundle in bundles]
    assert models[0] == models[1] == models[3]  # one panel, however often it is shown
    assert models[2] != models[0]
    assert [output["data"][WIDGET]["model_id"] for output in both.outputs] == models[1:3]
    assert ", listening for " in bundles[0]["text/plain"]
    assert "|echo|" in "|" + Outline(bundles[0]["text/html"]).text
    assert "server 'echo', stopped" in bundles[3]["text/plain"]
    for cell in (first, client, both):  # nothing is printed
        assert "stream" not in [output["output_type"] for output in cell.outputs]


@pytest.mark.kernel
def test_a_panel_that_cannot_be_made_is_said():
    cells = ["import sys; sys.modules['anywidget'] = None", SERVE + "server"]
    with Kernel() as kernel:
        _, cell = kernel.run_all(cells)
    [output] = cell.outputs
    assert set(output["data"]) == {"text/plain", "text/html"}
    assert "No live panel: ModuleNotFoundError: " in output["data"]["text/plain"]
    assert "No live panel: ModuleNotFoundError: " in output["data"]["text/html"]
