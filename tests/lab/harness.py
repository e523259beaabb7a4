"""A real JupyterLab in a real Chromium: `Lab` is the server, `Notebook` one open notebook.

Each lab has its own folders for configuration, data, runtime files, settings and work, so that it
neither sees nor touches a user's. The course is copied: nothing is run in place. The page's own
application object drives it (`--LabApp.expose_app_in_browser`), for the toolbar's indicators tell
less than they seem to: "idle" shows before there is a kernel.
Left out: asserting anything. Tests do that, with `console`, `outputs` and `status`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat
from playwright.async_api import Error

from tests.browser import Sync
from tests.kernels import environment, notebook
from tests.lab.stuck import WATCH, what_it_waits_for
from tests.peers import free_port

COURSE = Path(__file__).resolve().parents[2] / "notebooks"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
VIEWPORT = {"width": 1400, "height": 900}
SLICE_S = 20.0

# No question about news, no saving behind a test's back, every cell in the page.
SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/apputils-extension/themes": {"theme": LIGHT},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/notebook-extension/tracker": {
        "windowingMode": "none",
        "recordTiming": False,
    },
}

# What JupyterLab itself says in the console of an empty notebook: (part of the text, why).
HARMLESS: tuple[tuple[str, str], ...] = (
    (
        "Could not restore the debugger state: Canceled future",
        "its debugger asks a new kernel, and the notebook is closed before that has answered",
    ),
)

READY = """async timeout_ms => {
  const late = new Promise((_, no) => setTimeout(() => no(new Error("too late")), timeout_ms));
  const until = async condition => {
    while (!condition()) await new Promise(go => setTimeout(go, 20));
  };
  const ready = async () => {
    await until(() => window.jupyterapp);
    const app = window.jupyterapp;
    await app.started;
    await app.restored;
    await until(() => app.shell.currentWidget?.context?.isReady);
    const context = app.shell.currentWidget.context.sessionContext;
    await until(() => {
      const kernel = context.session?.kernel;
      return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
    });
    await until(() => !document.getElementById("jupyterlab-splash"));
  };
  await Promise.race([ready(), late]);
}"""

# In a page that showed another notebook before; what that page shows besides goes.
OPEN = """async path => {
  const { commands, shell } = window.jupyterapp;
  const opened = await commands.execute("docmanager:open", { path });
  shell.activateById(opened.id);
  for (const other of [...shell.widgets("main")]) if (other.id !== opened.id) other.dispose();
  while (shell.currentWidget !== opened) await new Promise(go => setTimeout(go, 20));
}"""

LAID_OUT = """([width, height]) => {
  const box = document.querySelector("#jp-main-content-panel").getBoundingClientRect();
  const below = height - box.bottom;  // the status bar
  return Math.abs(box.right - width) < 1 && below >= 0 && below < 40;
}"""
TWO_FRAMES = """() => new Promise(
  drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn())))"""

LEAVE = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.sessionContext.shutdown();
  panel.context.model.dirty = false;
  panel.dispose();
}"""

SHUT_DOWN = "() => window.jupyterapp.shell.currentWidget?.context?.sessionContext.shutdown()"

COMMAND = """([command, args]) => {
  window.wslabRuns = window.jupyterapp.commands.execute(command, args).then(() => true);
  window.wslabRuns.catch(() => {});  // who asks below is told
}"""

ENDED = """async timeout_ms => await Promise.race([
  window.wslabRuns, new Promise(go => setTimeout(() => go(false), timeout_ms)),
])"""

ASK = """async ([code, timeout_ms]) => {
  const late = new Promise((_, no) => setTimeout(() => no(new Error("too late")), timeout_ms));
  const { kernel } = window.jupyterapp.shell.currentWidget.context.sessionContext.session;
  const asked = kernel.requestExecute({ code, store_history: false });
  let text = "";
  asked.onIOPub = ({ header, content }) => {
    if (header.msg_type === "stream") text += content.text;
  };
  await Promise.race([asked.done, late]);
  return text;
}"""

IDLE = """async timeout_ms => {
  const panel = window.jupyterapp.shell.currentWidget;
  const end = Date.now() + timeout_ms;
  const busy = () => {
    const kernel = panel.context.sessionContext.session?.kernel;
    if (!kernel || kernel.connectionStatus !== "connected" || kernel.status !== "idle") return true;
    return panel.content.widgets.some(cell => cell.model.executionState === "running");
  };
  let calm = 0;  // twice in a row: between two cells the kernel is idle for a moment
  while (calm < 2) {
    calm = busy() ? 0 : calm + 1;
    if (Date.now() > end) return false;
    await new Promise(go => setTimeout(go, 50));
  }
  return true;
}"""


class Pages:
    """Pages of a Chromium on one JupyterLab, whoever runs that.

    Args:
        browser: the fixture `chromium`.
        url: where the lab is, with its base URL, ending in a slash; settled before `open`.
        root: the folder that the lab serves.
        query: what the first page of a context adds to its address.
        options: of each browser context.
    """

    def __init__(
        self,
        browser: Sync,
        *,
        url: str = "",
        root: Path,
        query: str = "reset",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._browser = browser
        self.url = url
        self.root = root
        self._query = query
        self._options = dict(options or {})
        self._opened = 0
        self._contexts: list[Sync] = []
        self._idle: list[tuple[Sync, Sync]] = []  # pages (and their contexts) without a notebook

    @property
    def log(self) -> str:
        """What the server wrote to its terminal."""
        return ""

    def write(self, name: str, document: nbformat.NotebookNode | Sequence[str]) -> str:
        """Put a notebook (or the sources of its code cells) under the root; return its path."""
        if not isinstance(document, nbformat.NotebookNode):
            document = notebook(document)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(document, path)
        return name

    def open(
        self,
        path: str,
        *,
        timeout: float = 60.0,
        viewport: Mapping[str, int] | None = None,
        alone: bool = False,
    ) -> Notebook:
        """Open a notebook by its path under the root, in a page of this lab that shows no other.

        Returns when its kernel is connected and idle.

        Args:
            path: where it is.
            timeout: how long that may take, in seconds.
            viewport: the page's size, if not VIEWPORT.
            alone: in a new page, of a new browser context, that nobody gets afterwards. Loading
                JupyterLab is most of the work of most tests, so only where it must be.
        """
        if self._idle and not alone:
            context, page = self._idle.pop()
            opened = Notebook(self, context, path, page)
            opened.resize(**(viewport or VIEWPORT))
            page.evaluate(OPEN, path)
        else:
            self._opened += 1
            context = self.new_context(viewport)
            opened = Notebook(self, context, path, context.new_page(), alone=alone)
            # A workspace each: two pages on one workspace fight over it.
            where = f"lab/workspaces/test-{self._opened}/tree/{path}?{self._query}"
            opened.page.goto(self.url + where)
        opened.wait_ready(timeout)
        return opened

    def new_context(self, viewport: Mapping[str, int] | None = None) -> Sync:
        """Return a browser context that is logged in to nothing; `forget` closes it."""
        context = self._browser.new_context(viewport=dict(viewport or VIEWPORT), **self._options)
        self._contexts.append(context)
        return context

    def take_back(self, context: Sync, page: Sync) -> None:
        """Keep a page that shows no notebook for the next one."""
        self._idle.append((context, page))

    def forget(self, context: Sync) -> None:
        """Close one page's context."""
        if context in self._contexts:
            self._contexts.remove(context)
            context.close()

    def close_pages(self) -> None:
        """Close every page and its context."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        self._idle.clear()


class Lab(Pages):
    """A JupyterLab server of this interpreter on a free port of 127.0.0.1, ready when made.

    Args:
        browser: the fixture `chromium`.
        base_url: the path that everything is served under, as a JupyterHub gives.
        env: variables on top of this process's, for the server and its kernels.
        arguments: more of the command line.
        python: another interpreter that has JupyterLab.
        root: the folder to serve; None is a fresh one with a copy of the course in notebooks/.
        enables_tunnel: switch wslab's tunnel on by an argument, since in a checkout that is merely
            on the path nothing is installed that does.
        ip: the address to listen on; 127.0.0.1 must be among what it means.
        is_all_in_reach: False for pages that reach this server's port and nothing else, as on
            another machine: they ask a proxy for the rest, and there is none.
    """

    def __init__(
        self,
        browser: Sync,
        *,
        base_url: str = "/",
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        python: str = sys.executable,
        root: Path | None = None,
        enables_tunnel: bool = True,
        ip: str = "127.0.0.1",
        is_all_in_reach: bool = True,
    ) -> None:
        if enables_tunnel:
            arguments = ["--ServerApp.jpserver_extensions=wslab.tunnel=True", *arguments]
        start = time.monotonic()
        self._temporary = tempfile.TemporaryDirectory(prefix="wslab-lab-")
        self._folder = Path(self._temporary.name)
        self.base_url = base_url
        self.token = secrets.token_hex(16)
        super().__init__(
            browser,
            root=root or lay_out_course(self._folder),
            query=f"reset&token={self.token}",
        )
        self._no_proxy: socket.socket | None = None
        if not is_all_in_reach:
            self._no_proxy = socket.socket()
            self._no_proxy.bind(("127.0.0.1", 0))  # never listens, and nobody else gets the port
        write_settings(self._folder / "settings")
        self._log = self._folder / "server.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    python,
                    "-m",
                    "jupyterlab",
                    "--no-browser",
                    "--allow-root",
                    "--LabApp.expose_app_in_browser=True",
                    f"--ServerApp.ip={ip}",
                    f"--ServerApp.port={free_port()}",
                    f"--ServerApp.base_url={base_url}",
                    f"--ServerApp.root_dir={self.root}",
                    f"--IdentityProvider.token={self.token}",
                    *arguments,
                ],
                env=self._environment(env or {}),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.port = self._wait_until_it_answers(60.0)
        except BaseException:
            self.close()
            raise
        self.url = f"http://127.0.0.1:{self.port}{base_url}"
        if self._no_proxy is not None:
            proxy = f"http://127.0.0.1:{self._no_proxy.getsockname()[1]}"
            # Chromium goes around a proxy for all of loopback, unless <-loopback> takes that back.
            bypass = f"<-loopback>,127.0.0.1:{self.port}"
            self._options["proxy"] = {"server": proxy, "bypass": bypass}
        self.start_s = time.monotonic() - start

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        own = {name: str(self._folder / folder) for name, folder in folders.items()}
        return environment(**own) | dict(env)

    def _wait_until_it_answers(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        file = self._folder / "runtime" / f"jpserver-{self._process.pid}.json"
        while time.monotonic() < deadline and self._process.poll() is None:
            if file.exists():
                try:
                    port = int(json.loads(file.read_text())["port"])
                    url = f"http://127.0.0.1:{port}{self.base_url}api/status?token={self.token}"
                    with urllib.request.urlopen(url, timeout=5):
                        return port
                except (OSError, ValueError):
                    pass  # not written or not listening yet
            time.sleep(0.05)
        raise RuntimeError(
            f"expected JupyterLab to answer within {timeout:g} s; its exit code is "
            f"{self._process.poll()} and it wrote:\n{self.log}"
        )

    @property
    def log(self) -> str:
        """What the server wrote to its terminal."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """Close the pages, end the server and with it its kernels, remove its folders."""
        self.close_pages()
        if self._process.poll() is None:
            self._process.terminate()  # jupyter_server shuts its kernels down before it ends
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        if self._no_proxy is not None:
            self._no_proxy.close()
        self._temporary.cleanup()


class Notebook:
    """One notebook open in one page. `page` is Playwright's page for everything not here."""

    def __init__(
        self, lab: Pages, context: Sync, path: str, page: Sync, *, alone: bool = False
    ) -> None:
        self.lab = lab
        self.path = path
        self._context = context
        self._is_spent = alone  # nobody gets this page afterwards
        self._console: list[str] = []
        self.page = page
        self._listeners = {
            "console": self._hear,
            "pageerror": self._hear_exception,
            "crash": self._hear_crash,
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            self._is_spent = True
            said = "\n".join(self._console) or "nothing"
            exc.add_note(f"the page's console: {said}\nthe server: {self.lab.log[-2000:]}")
        self.close()

    def close(self) -> None:
        """End the kernel, then close the notebook without saving, and the page if it is spent."""
        if self._is_spent or self.page.is_closed():
            if not self.page.is_closed():
                self.page.evaluate(SHUT_DOWN)
            self.lab.forget(self._context)
            return
        self.page.evaluate(LEAVE)
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        self.lab.take_back(self._context, self.page)

    def crash(self) -> None:
        """End the page's process, so that nothing of the page can say a last word."""
        self._is_spent = True
        with contextlib.suppress(Error):  # for the page that was to be shown never is
            self.page.goto("chrome://crash")

    # --- what it says ----------------------------------------------------------------------

    def _hear(self, message: Any) -> None:
        if message.type not in ("error", "warning"):
            return
        url = message.location.get("url", "")
        self._console.append(f"{message.type}: {message.text} [{url}]")

    def _hear_exception(self, error: Any) -> None:
        self._console.append(f"page error: {error.message}\n{error.stack}")

    def _hear_crash(self, _: Any) -> None:
        self._console.append("the page crashed")

    @property
    def console_all(self) -> list[str]:
        """Every warning, error and uncaught exception of the page so far."""
        return list(self._console)

    @property
    def console(self) -> list[str]:
        """The same without what JupyterLab itself is known to say (HARMLESS)."""
        return [line for line in self._console if not any(part in line for part, _ in HARMLESS)]

    @property
    def console_of_run_all(self) -> list[str]:
        """The same without pages of servers that had ended when the page asked for them.

        In a lesson that is run in one go the last cell ends all servers, and a busy browser may get
        round to an iframe, to the socket of its page, or to `Browser`'s question which route leads
        to the server, only then: it gets our 404, which says that the server has gone, or 502 where
        it goes just then, or nothing where it asks the server itself. A Socket.IO client that had
        come before tries again and again. And lesson 13's page loads that client from the internet,
        where there is one; lesson 16's loads hub.js.
        """
        late = re.compile(
            r"status of (404 \(Not Found\)|502 \(Bad Gateway\)) "
            r"\[[^\]]*/wslab/[0-9a-f]{32}/(\?name=\w+|wslab/hub\.js)?\]$"
            r"|WebSocket connection to '[^']*/wslab/[0-9a-f]{32}/.* response code: (404|502) "
            r"|status of 404 \(Not Found\) \[[^\]]*/wslab/\?server=[0-9a-f]{32}\]$"
            r"|net::ERR_CONNECTION_REFUSED \[http://127\.0\.0\.1:\d+/\]$"
            r"|/wslab/[0-9a-f]{32}/socket\.io/|Failed to load resource: .* \[https://cdn\."
        )
        return [line for line in self.console if not late.search(line)]

    def cells(self) -> list[dict[str, Any]]:
        """Return every cell as nbformat has it, with its outputs as they are in the page now."""
        return list(
            self.page.evaluate(
                """() => {
                  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
                  return Array.from({ length: cells.length }, (_, i) => cells.get(i).toJSON());
                }"""
            )
        )

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return the outputs of one cell."""
        return list(self.cells()[index].get("outputs", []))

    def text(self, index: int) -> str:
        """Return a cell's streams and plain-text results, joined."""
        pieces = []
        for output in self.outputs(index):
            text = output.get("text", output.get("data", {}).get("text/plain", ""))
            pieces.append("".join(text) if isinstance(text, list) else text)
        return "".join(pieces)

    def errors(self) -> list[str]:
        """Return "cell 3: Name: words" for each cell that shows an exception."""
        return [
            f"cell {index}: {output['ename']}: {output['evalue']}"
            for index, cell in enumerate(self.cells())
            for output in cell.get("outputs", [])
            if output["output_type"] == "error"
        ]

    def not_run(self) -> list[int]:
        """Return the indices of the code cells with a source that have no execution count."""
        return [
            index
            for index, cell in enumerate(self.cells())
            if cell["cell_type"] == "code"
            and "".join(cell["source"]).strip()
            and cell["execution_count"] is None
        ]

    # --- what it does ----------------------------------------------------------------------

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the lab has started and this notebook's kernel is connected and idle."""
        try:
            self.page.evaluate(READY, timeout * 1000)
            self.page.evaluate(WATCH)
        except Exception as error:
            raise TimeoutError(
                f"expected {self.path} with an idle kernel within {timeout:g} s; the console "
                f"says {self.console_all}, the server:\n{self.lab.log}"
            ) from error

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until the kernel is idle and no cell is queued or running."""
        if not self._within(IDLE, timeout):
            raise TimeoutError(
                f"expected {self.path} to be idle within {timeout:g} s; {self._stuck()}"
            )

    def command(self, name: str, args: Any = None, *, timeout: float = 60.0) -> None:
        """Execute a command of JupyterLab and wait for its end."""
        self.page.evaluate(COMMAND, [name, args or {}])
        if not self._within(ENDED, timeout):
            raise TimeoutError(f"expected {name} to end within {timeout:g} s; {self._stuck()}")

    def _within(self, script: str, timeout: float) -> bool:
        """Ask the page again and again, in slices: `tests.browser` gives up on a long question."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if self.page.evaluate(script, min(left, SLICE_S) * 1000):
                return True
        return False

    def _stuck(self) -> str:
        """Say what it waits for; interrupts the kernel."""
        return (
            f"without a number are cells {self.not_run()}\n{what_it_waits_for(self.page)}\n"
            f"the console: {self.console_all}\nthe server:\n{self.lab.log[-3000:]}"
        )

    def run_all(self, *, timeout: float = 90.0) -> None:
        """Run All: queue every cell at once, and wait until all have run."""
        self.command("notebook:run-all-cells", timeout=timeout)
        self.wait_idle(timeout)

    def run_cell(self, index: int, *, timeout: float = 60.0) -> None:
        """Run one cell and wait for it."""
        self.select(index)
        self.command("notebook:run-cell", timeout=timeout)
        self.wait_idle(timeout)

    def wait_until(self, expression: str, *, timeout: float = 20.0) -> None:
        """Wait until an expression is true in the kernel, which is asked beside the cells."""
        deadline = time.monotonic() + timeout
        code = f"print(bool({expression}))"
        while (said := self.page.evaluate(ASK, [code, timeout * 1000])) != "True\n":
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"expected {expression} within {timeout:g} s, and the kernel says {said!r}"
                )
            time.sleep(0.05)

    def select(self, index: int) -> None:
        """Make a cell the active one."""
        self.page.evaluate(
            "i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", index
        )

    def cell(self, index: int) -> Sync:
        """Return the locator of a cell's element in the page, outputs included."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def restart_kernel(self, *, timeout: float = 60.0) -> None:
        """Restart the kernel without a question and wait until the new one is idle."""
        heard = len(self._console)
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.context.sessionContext.restartKernel()"
        )
        self.wait_ready(timeout)
        # True and harmless here; at any other time it would be news.
        self._console[heard:] = [
            line for line in self._console[heard:] if "Connection lost, reconnecting" not in line
        ]

    def reload(self) -> None:
        """Load the page anew, as F5 does; nobody gets it afterwards.

        JupyterLab then opens again, some time later, what its workspace had open: behind the next
        test's back that would be this notebook, in place of that test's.
        """
        self._is_spent = True
        self.page.reload()

    def set_theme(self, theme: str) -> None:
        """Change JupyterLab's theme (LIGHT, DARK) and wait until the page shows it."""
        self._is_spent = True
        self.command("apputils:change-theme", {"theme": theme})
        # The splash has to go first: JupyterLab takes it away twice, and fails the second time,
        # when two changes of theme follow each other within its 200 ms of fading out.
        self.page.wait_for_function(
            """name => document.body.dataset.jpThemeName === name
                 && !document.getElementById("jupyterlab-splash")""",
            arg=theme,
        )

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page another size, in CSS pixels, and wait until it is laid out anew.

        JupyterLab does so when it hears of it, and a widget in it a frame later: what is measured
        before that is of the size before.
        """
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_function(LAID_OUT, arg=[width, height])
        self.page.evaluate(TWO_FRAMES)

    def screenshot(self, path: Path | str, *, index: int | None = None) -> None:
        """Save a PNG of the page, or of one cell."""
        target = self.page if index is None else self.cell(index)
        target.screenshot(path=str(path))


def lay_out_course(folder: Path) -> Path:
    """Copy the course to `work/notebooks` in a folder; return `work`."""
    root = folder / "work"
    if COURSE.is_dir():
        ignore = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
        shutil.copytree(COURSE, root / "notebooks", ignore=ignore)
    root.mkdir(exist_ok=True)
    return root


def write_settings(folder: Path) -> None:
    """Write a person's settings of JupyterLab (JUPYTERLAB_SETTINGS_DIR) that tests need."""
    for plugin, values in SETTINGS.items():
        path = folder / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def course() -> list[Path]:
    """Return the lessons, in order."""
    return sorted(COURSE.glob("[0-9][0-9]_*.ipynb"))


def keep_screenshots() -> Path | None:
    """Return the folder that WSLAB_SCREENSHOTS names, made, or None."""
    folder = os.environ.get("WSLAB_SCREENSHOTS")
    if not folder:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)
