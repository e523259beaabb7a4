"""What Binder builds: the pins fit the project, and (WSLAB_TEST_BINDER=1) the course runs there.

That is: in a clean environment made from binder/ alone, in a JupyterLab started as BinderHub starts
it, and in a browser that reaches Jupyter's port and no other, as if it were on another machine.
Left out: the Hub's own proxy, and the https that a browser speaks to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement

from tests.browser import Sync
from tests.lab.harness import Lab, Notebook, course

PROJECT = Path(__file__).resolve().parent.parent
BINDER = PROJECT / "binder"
BASE_URL = "/user/name-abc123/"
LAID_OUT = "etc/jupyter/jupyter_server_config.d/wslab.json"

# The environment that JupyterHub and BinderHub's spawner give, and the latter's command line.
VARIABLES = {
    "JUPYTERHUB_SERVICE_PREFIX": BASE_URL,
    "JUPYTERHUB_BASE_URL": "/",
    "JUPYTERHUB_USER": "name-abc123",
    "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-name-abc123",
    "JUPYTERHUB_API_TOKEN": "0123456789abcdef0123456789abcdef",
    "BINDER_LAUNCH_HOST": "https://binder.example.org/",
    "BINDER_REPO_URL": "https://git.example.org/owner/repository",
    "BINDER_REF_URL": "https://git.example.org/owner/repository/tree/main",
    "BINDER_REQUEST": "v2/gh/owner/repository/main",
    "BINDER_PERSISTENT_REQUEST": "v2/gh/owner/repository/0123456789abcdef",
}
ARGUMENTS = (
    "--ServerApp.trust_xheaders=True",
    "--ServerApp.allow_origin=*",
    "--ServerApp.allow_origin_pat=.*",
)


def _pins() -> dict[str, Requirement]:
    lines = (BINDER / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {_normal(pin.name): pin for pin in pins}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned_to_one_version():
    for pin in _pins().values():
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), pin


def test_the_pins_are_what_the_project_asks_for():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *extras["lab"],
        *extras["fast"],
    ]
    pins = _pins()
    for requirement in map(Requirement, asked):
        pin = pins.get(_normal(requirement.name))
        assert pin is not None, f"{requirement.name} is not in binder/requirements.txt"
        [version] = [specifier.version for specifier in pin.specifier]
        assert requirement.specifier.contains(version), f"{pin} against {requirement}"


def test_the_runtime_is_a_python_that_the_project_supports():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert Requirement(f"x{project['project']['requires-python']}").specifier.contains(version)


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_what_binder_runs_can_be_executed(name):
    assert os.access(BINDER / name, os.X_OK)
    assert (BINDER / name).read_text().startswith("#!/usr/bin/env bash\n")


def test_start_runs_its_command_and_tells_kernels_what_to_watch_for():
    def started(**env: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "PYTHONPATH": str(PROJECT)} | env
        command = ["bash", BINDER / "start", "printenv", "PYTHONSTARTUP"]
        return subprocess.check_output(command, env=environment, text=True).strip()

    assert Path(started()) == PROJECT / "wslab" / "learn" / "startup.py"
    assert started(PYTHONSTARTUP="their own") == "their own"


def _python_of_binder() -> str:
    """Return an interpreter of binder/runtime.txt's version, or else this one."""
    wanted = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    if wanted == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{wanted}")
    runs = found and subprocess.run([found, "-c", ""], capture_output=True, check=False)
    return found if found and runs and runs.returncode == 0 else sys.executable


def _run(*command: str | Path, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return done.stdout


# Binder, for real.


@dataclass
class Built:
    """What Binder's build leaves: an environment and the checkout that it was made from."""

    checkout: Path
    python: Path
    env: dict[str, str]


def on_binder(function: Any) -> Any:
    """Mark a test of what Binder's build leaves."""
    for mark in (
        pytest.mark.skipif(
            os.environ.get("WSLAB_TEST_BINDER") != "1",
            reason="installs everything anew; set WSLAB_TEST_BINDER=1 (CI does)",
        ),
        pytest.mark.slow,
        pytest.mark.timeout(600),
    ):
        function = mark(function)
    return function


def in_pages(function: Any) -> Any:
    """Mark a test in the lab there."""
    return pytest.mark.browser(pytest.mark.kernel(on_binder(function)))


@pytest.fixture(scope="session")  # what needs a browser comes much later than the rest of a module
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build as Binder does: requirements.txt, then postBuild, in a copy of the checkout."""
    folder = tmp_path_factory.mktemp("binder")
    checkout = folder / "checkout"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        if (PROJECT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, checkout / name)

    venv = folder / "venv"
    python = venv / "bin" / "python"
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env["JUPYTER_CONFIG_DIR"] = str(folder / "config")
    _run(_python_of_binder(), "-m", "venv", venv, cwd=folder, env=env)
    env["PATH"] = f"{venv / 'bin'}{os.pathsep}{env['PATH']}"
    pins = checkout / "binder" / "requirements.txt"
    _run(python, "-m", "pip", "install", "-qq", "-r", pins, cwd=checkout, env=env)
    _run("bash", checkout / "binder" / "postBuild", cwd=checkout, env=env)
    return Built(checkout, python, env)


@pytest.fixture(scope="module")
def lab(built: Built, chromium: Sync) -> Iterator[Lab]:
    """JupyterLab of that environment as on Binder, for a browser elsewhere.

    It is told nothing of the tunnel: what the build installed has to enable it. What binder/start
    adds to the environment of its command is asked of it.
    """
    asked = ["bash", built.checkout / "binder" / "start", "printenv", "PYTHONSTARTUP"]
    startup = subprocess.check_output(asked, env=built.env, text=True).strip()
    with Lab(
        chromium,
        base_url=BASE_URL,
        env=VARIABLES | {"PATH": built.env["PATH"], "PYTHONPATH": "", "PYTHONSTARTUP": startup},
        arguments=ARGUMENTS,
        python=str(built.python),
        root=built.checkout,
        enables_tunnel=False,
        ip="0.0.0.0",
        is_all_in_reach=False,
    ) as running:
        yield running


# Chooses what a client offers second, echoes, and closes with a code and a reason of its own.
SERVER = """
import json, wslab

async def handler(websocket):
    async for message in websocket:
        if message == "bye":
            await websocket.close(4001, "you said bye")
        else:
            await websocket.send(message)

def choose(connection, offered):
    return "chat" if "chat" in offered else None

server = wslab.serve(handler, select_subprotocol=choose)
"""
URLS = "print(json.dumps([server.port, server.browser_url, server.page_url, server.needs_login]))"
SEEN = "print(json.dumps([server.connections_seen, len(server.refusals)]))"

# A path alone is completed as a page has to complete it.
TALK = """([url, messages]) => new Promise(resolve => {
  const said = { opened: false, protocol: "", received: [] };
  const socket = new WebSocket(
    new URL(url, location.href.replace(/^http/, "ws")), ["nobody", "chat"]);
  socket.onopen = () => {
    said.opened = true;
    said.protocol = socket.protocol;
    for (const message of messages) socket.send(message);
  };
  socket.onmessage = event => { said.received.push(event.data); };
  socket.onclose = ({ code, reason, wasClean }) => resolve({ ...said, code, reason, wasClean });
})"""
FETCH = """url => fetch(url, { mode: "no-cors" }).then(() => "an answer", error => error.name)"""
WHOLE = {
    "opened": True,
    "protocol": "chat",
    "received": ["hello"],
    "code": 4001,
    "reason": "you said bye",
    "wasClean": True,
}
NOTHING = {
    "opened": False,
    "protocol": "",
    "received": [],
    "code": 1006,
    "reason": "",
    "wasClean": False,
}


def said(notebook: Notebook, index: int) -> Any:
    """Run a cell that prints JSON; return that."""
    notebook.run_cell(index)
    assert notebook.errors() == []
    return json.loads(notebook.text(index))


@on_binder
def test_the_build_proves_that_the_tunnel_is_enabled(built: Built, tmp_path: Path):
    # The fixture's build has found it enabled. Switched off by a file that comes first, it fails.
    assert (built.python.parents[1] / LAID_OUT).is_file()
    folder = tmp_path / "jupyter_server_config.d"
    folder.mkdir()
    (folder / "off.json").write_text(
        json.dumps({"ServerApp": {"jpserver_extensions": {"wslab.tunnel": False}}})
    )
    done = subprocess.run(
        ["bash", built.checkout / "binder" / "postBuild"],
        cwd=built.checkout,
        env=built.env | {"JUPYTER_CONFIG_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "wslab.tunnel disabled\n" in done.stderr
    assert done.stderr.endswith("expected wslab.tunnel enabled and OK in this list\n")


@in_pages
def test_a_lesson_that_is_opened_again_says_which_cell_to_run(lab: Lab):
    with lab.open("notebooks/03_conversation.ipynb") as notebook:
        cells = notebook.cells()
        code = [i for i, cell in enumerate(cells) if cell["cell_type"] == "code"]
        index = next(i for i in code[3:] if "import" not in "".join(cells[i]["source"]))
        notebook.run_cell(index)
        [error] = notebook.errors()
        assert "NameError" in error
        notebook.page.wait_for_function(
            "i => window.jupyterapp.shell.currentWidget.content.model.cells.get(i)"
            ".toJSON().outputs.length > 1",
            arg=index,
        )
        assert "run" in notebook.text(index).lower(), notebook.outputs(index)


@in_pages
def test_a_page_reaches_jupyter_and_nothing_else(lab: Lab, chromium: Sync):
    with lab.open(lab.write("reach.ipynb", [SERVER, URLS, SEEN])) as notebook:
        notebook.run_cell(0)
        port, *_ = said(notebook, 1)
        for host in ("127.0.0.1", "localhost"):
            assert notebook.page.evaluate(TALK, [f"ws://{host}:{port}/", ["bye"]]) == NOTHING
            assert notebook.page.evaluate(FETCH, f"http://{host}:{port}/") == "TypeError"
        assert said(notebook, 2) == [0, 0]  # not refused either: nobody came

        # A page of the same origin, the same URL, and nothing in between: it was the reach.
        near = chromium.new_context()
        try:
            page = near.new_page()
            page.goto(f"{lab.url}login")
            assert page.evaluate(TALK, [f"ws://127.0.0.1:{port}/", ["hello", "bye"]]) == WHOLE
        finally:
            near.close()
        assert said(notebook, 2) == [1, 0]


@in_pages
def test_the_tunnel_carries_what_the_server_says_into_the_page(lab: Lab, expect: Sync):
    assert "wslab.tunnel | extension was successfully loaded" in lab.log
    with lab.open(lab.write("tunnel.ipynb", [SERVER, URLS, SEEN])) as notebook:
        notebook.run_cell(0)
        _, browser_url, page_url, needs_login = said(notebook, 1)
        assert re.fullmatch(rf"{BASE_URL}wslab/[0-9a-f]{{32}}/", browser_url)
        assert page_url == browser_url  # both a path, while the kernel has not seen the page
        assert "token" in needs_login
        assert notebook.page.evaluate(TALK, [browser_url, ["hello", "bye"]]) == WHOLE
        assert said(notebook, 2)[0] == 1

        tab = notebook.page.context.new_page()
        answer = tab.goto(f"http://127.0.0.1:{lab.port}{page_url}")
        assert answer.status == 200
        tab.get_by_role("button", name="Connect", exact=True).click()
        tab.locator("#message").fill("from another tab")
        tab.get_by_role("button", name="Send", exact=True).click()
        expect(tab.locator("#received")).to_contain_text("1 message")
        assert said(notebook, 2)[0] == 2
        assert notebook.console == []

        # Another browser, which has not logged in, gets Jupyter's question and nothing of ours.
        stranger = lab.new_context()
        page = stranger.new_page()
        page.goto(f"http://127.0.0.1:{lab.port}{page_url}")
        assert f"{BASE_URL}login?next=" in page.url
        lab.forget(stranger)
        assert said(notebook, 2)[0] == 2


BROWSER = """
browser = wslab.Browser(server, protocols=["nobody", "chat"])
browser.send("hello", when_open=True)
browser.send("bye", when_open=True)
browser"""
TOLD = """print(json.dumps([browser.route, browser.protocol, browser.received,
    [[e.code, e.reason, e.was_clean] for e in browser.events if e.type == "close"]]))"""
DOCTOR = """report = wslab.doctor()
print(json.dumps([report.ok, [[f.name, f.ok, f.seen] for f in report.findings]]))"""


@in_pages
def test_a_browser_in_a_cell_and_the_doctor_take_the_tunnel(lab: Lab, expect: Sync):
    cells = [SERVER, BROWSER, TOLD, DOCTOR, URLS]
    with lab.open(lab.write("browser.ipynb", cells)) as notebook:
        notebook.run_cell(0)
        notebook.run_cell(1)
        shown = notebook.cell(1).locator(".ws-browser")
        expect(shown.locator(".ws-machine [aria-current=step] b")).to_have_text("CLOSED")
        expect(shown).to_contain_text("through Jupyter, by wslab's tunnel")
        expect(shown.locator(".ws-url")).to_contain_text(f":{lab.port}{BASE_URL}wslab/")
        assert said(notebook, 2) == [
            "tunnel",
            "chat",
            ["hello"],
            [[4001, "you said bye", True]],
        ]
        is_ok, findings = said(notebook, 3)
        found = {name: (ok, seen) for name, ok, seen in findings}
        assert is_ok, found
        assert found["place"][1].startswith("Binder; ")
        assert found["through the tunnel"][0] is True, found
        assert "echo" in found["through the tunnel"][1]
        assert found["URL for a browser"][0] is True
        assert f"{BASE_URL}wslab/ID/" in found["URL for a browser"][1]
        # Now the widget has told where the page is: links can be sent.
        _, browser_url, page_url, _ = said(notebook, 4)
        assert browser_url.startswith(f"ws://127.0.0.1:{lab.port}{BASE_URL}wslab/")
        # A path, which whatever page it stands in completes: at each name of Jupyter's machine.
        assert page_url == urlsplit(browser_url).path
        assert notebook.console == []


# What reaches a server from a page, and what needs more than the library itself; the others know
# nothing of where they are.
ABOUT_PLACES = re.compile(r"Browser\(|Race\(|page_url|browser_url|socketio|redis|tls=|machines")


@in_pages
@pytest.mark.parametrize(
    "lesson",
    [path for path in course() if ABOUT_PLACES.search(path.read_text(encoding="utf-8"))],
    ids=lambda path: path.stem,
)
def test_the_course_runs_where_it_knows_of_places(lab: Lab, lesson: Path, expect: Sync):
    with lab.open(f"notebooks/{lesson.name}") as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        assert notebook.not_run() == []
        sources = ["".join(cell["source"]) for cell in notebook.cells()]
        for index, source in enumerate(sources):
            if (
                "wslab.serve(" in source
                and "wslab.Browser(" in source
                and "autoconnect" not in source
            ):
                # Once more, since a lesson's last cell closes all, and now nothing is in its way.
                notebook.run_cell(index)
                shown = notebook.cell(index).locator(".ws-browser").first
                expect(shown).to_contain_text("by wslab's tunnel")
        assert notebook.errors() == []
        assert notebook.console_of_run_all == []
