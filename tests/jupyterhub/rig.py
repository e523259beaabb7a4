"""A real JupyterHub on loopback: its proxy, its login by cookie, and a server for each user.

The proxy is configurable-http-proxy, from npm, in a folder of its own below the checkout that Git
ignores. Everybody may log in (a dummy login), and servers are plain processes of this user, each
with a home below the Hub's folder: what keeps users apart here is the Hub, not the system.
Left out: what a Hub has in production (a database, containers, a real login).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.browser import Sync
from tests.kernels import PROJECT, environment
from tests.lab.harness import Pages, lay_out_course, write_settings
from tests.peers import PEM, free_port

# The project's own folder for what npm brings, unless the tests are told of another.
NODE = Path(os.environ.get("WSLAB_TEST_NODE") or PROJECT / ".node")
PROXY = NODE / "node_modules" / ".bin" / "configurable-http-proxy"
START_S = 60.0

CONFIG = """
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {home!r}
c.Spawner.cmd = {command!r}
c.Spawner.args = {arguments!r}
c.Spawner.notebook_dir = "~/work"
c.Spawner.environment = {environment!r}
c.Spawner.start_timeout = 60
c.JupyterHub.allow_named_servers = True
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_port = {hub_port!r}
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.ssl_cert = c.JupyterHub.ssl_key = {pem!r}
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.api_url = {api_url!r}
c.ConfigurableHTTPProxy.auth_token = {proxy_token!r}
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret = {cookie_secret!r}
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "tests", "scopes": ["admin:users", "admin:servers"], "services": ["tests"]}}
]
"""


def what_is_missing() -> str:
    """Say what a Hub would need and is not here; "" where nothing is missing."""
    if find_spec("jupyterhub") is None:
        return "no jupyterhub for this Python; make setup-test installs it"
    if shutil.which("node") is None:
        return "no node, which JupyterHub's proxy runs on; on Debian and Ubuntu: apt install npm"
    if not PROXY.exists() and shutil.which("npm") is None:
        return "no npm, which brings JupyterHub's proxy; on Debian and Ubuntu: apt install npm"
    return ""


def install_proxy() -> None:
    """Let npm bring configurable-http-proxy, once."""
    if PROXY.exists():
        return
    NODE.mkdir(exist_ok=True)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--prefix", NODE, "configurable-http-proxy"],
        cwd=NODE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    if done.returncode or not PROXY.exists():
        raise RuntimeError(f"npm could not bring configurable-http-proxy:\n{done.stderr}")


class JupyterHub:
    """A Hub and its proxy, ready when made; `user` gives a person's pages.

    Args:
        browser: the fixture `chromium`.
        base_url: where all of it is, such as `/` or `/course/`.
        is_secure: whether people come to it over TLS.
    """

    def __init__(self, browser: Sync, *, base_url: str = "/", is_secure: bool = False) -> None:
        install_proxy()
        began_s = time.monotonic()
        self._browser = browser
        self._temporary = tempfile.TemporaryDirectory(prefix="wslab-hub-")
        self.folder = Path(self._temporary.name)
        self._users: list[User] = []
        self._token = secrets.token_hex(16)
        scheme = "https" if is_secure else "http"
        self.url = f"{scheme}://127.0.0.1:{free_port()}{base_url}"
        self._ssl = ssl.create_default_context(cafile=str(PEM)) if is_secure else None
        write_settings(self.folder / "settings")
        arguments = [
            "--allow-root",
            "--ServerApp.jpserver_extensions=wslab.tunnel=True",
            "--LabApp.expose_app_in_browser=True",
        ]
        settings = {
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "PYTHONPATH": environment()["PYTHONPATH"],
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        (self.folder / "config.py").write_text(
            CONFIG.format(
                home=str(self.folder / "home" / "{username}"),
                command=[sys.executable, "-m", "jupyterhub.singleuser"],
                arguments=arguments,
                environment=settings,
                url=self.url,
                hub_port=free_port(),
                api_url=f"http://127.0.0.1:{free_port()}",
                pem=str(PEM) if is_secure else "",
                proxy=str(PROXY),
                proxy_token=secrets.token_hex(16),
                cookie_secret=secrets.token_bytes(32),
                token=self._token,
            )
        )
        self._log = self.folder / "hub.log"
        mine = ("HOME", "USER", "PATH", "LANG", "TMPDIR")  # nothing else reaches the users' servers
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(self.folder / "config.py")],
                env={name: os.environ[name] for name in mine if name in os.environ},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._until(lambda: self.ask("GET", "") is not None, "the Hub's API to answer")
        except BaseException:
            self.close()
            raise
        self.start_s = time.monotonic() - began_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def log(self) -> str:
        """What the Hub, its proxy and its users' servers wrote."""
        return self._log.read_text(errors="replace")

    def ask(self, method: str, path: str) -> Any:
        """Ask the Hub's own API, as an administrator; None while nobody listens there."""
        request = urllib.request.Request(
            f"{self.url}hub/api/{path}",
            method=method,
            headers={"Authorization": f"token {self._token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._ssl) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as exc:
            with exc:
                said = exc.read()
                if exc.code == 409 or b'"status"' not in said:  # there already; no Hub behind yet
                    return None
                raise RuntimeError(f"{method} {path}: {exc.code} {said!r}") from None
        except OSError:
            return None

    def user(self, name: str, server: str = "") -> User:
        """Return the pages of a user's server, which is started if it does not run.

        Args:
            name: anybody's.
            server: of a named server; "" for the default one.
        """
        home = self.folder / "home" / name
        if not home.exists():
            lay_out_course(home)
        self.ask("POST", f"users/{name}")  # 409 where there is one already
        one = User(self._browser, self, name, server)
        self._users.append(one)
        return one

    def _until(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(
                    f"expected {what} within {START_S:g} s; the Hub's exit code is "
                    f"{self._process.poll()} and it wrote:\n{self.log}"
                )
            time.sleep(0.05)

    def close(self) -> None:
        """Close the pages; end the Hub, and with it the proxy and everybody's servers."""
        for user in self._users:
            user.close_pages()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._temporary.cleanup()


class User(Pages):
    """One user's server, and pages of it; each browser context logs in first."""

    def __init__(self, browser: Sync, hub: JupyterHub, name: str, server: str) -> None:
        self.hub, self.name, self.server = hub, name, server
        self.base_url = f"{urlsplit(hub.url).path}user/{name}/{server + '/' if server else ''}"
        super().__init__(
            browser,
            url=f"{hub.url.rstrip('/')}{self.base_url[len(urlsplit(hub.url).path) - 1 :]}",
            root=hub.folder / "home" / name / "work",
            options={"ignore_https_errors": hub.url.startswith("https:")},
        )
        where = f"users/{name}/servers/{server}" if server else f"users/{name}/server"
        hub.ask("POST", where)
        hub._until(self._is_ready, f"the server of {name} {server}")

    def _is_ready(self) -> bool:
        servers: Mapping[str, Any] = self.hub.ask("GET", f"users/{self.name}")["servers"]
        return bool(servers.get(self.server, {}).get("ready"))

    @property
    def log(self) -> str:
        """What the Hub and everything below it wrote."""
        return self.hub.log

    def new_context(self, viewport: Mapping[str, int] | None = None) -> Sync:
        """Return a browser context in which this user has logged in."""
        context = super().new_context(viewport)
        page = context.new_page()
        page.goto(f"{self.hub.url}hub/login?next={self.hub.url}hub/home")
        page.fill("input[name=username]", self.name)
        page.fill("input[name=password]", "anything")
        page.click("#login_submit")
        page.wait_for_url("**/hub/home")
        page.close()
        return context
