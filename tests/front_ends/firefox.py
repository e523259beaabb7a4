"""A real Firefox for a light test: Debian's, by WebDriver BiDi, and no more of that than it takes.

Playwright drives only a Firefox of its own build. This speaks the protocol to the one that people
have: one connection, one command at a time, one page.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import connect

NAMES = ("firefox-esr", "firefox")
START_S = 60.0
# A fresh profile asks and fetches a lot; a test's shall not.
PREFERENCES = {
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


def find_firefox() -> str | None:
    """Return the path of a Firefox on the PATH, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Firefox:
    """One page of a headless Firefox with a profile of its own; ready when made."""

    def __init__(self, executable: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wslab-firefox-")
        with open(os.path.join(self._folder.name, "user.js"), "w") as file:
            for name, value in PREFERENCES.items():
                file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        self._process = subprocess.Popen(
            [
                *(executable, "--headless", "--no-remote", "--remote-debugging-port", "0"),
                *("--profile", self._folder.name, "about:blank"),
            ],
            env=os.environ | {"HOME": self._folder.name, "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said: list[str] = []
        self._found = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._open = contextlib.ExitStack()
        self._websocket: Any = None
        self._number = 0
        try:
            if not self._found.wait(START_S) or self._url is None:
                raise RuntimeError(f"expected Firefox to listen, it wrote {self._said}")
            self._websocket = self._open.enter_context(
                connect(f"{self._url}/session", proxy=None, max_size=None)
            )
            self._ask("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
            (tree,) = self._ask("browsingContext.getTree")["contexts"]
            self._context = tree["context"]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            if self._url is not None:
                self._found.set()
        self._found.set()

    @property
    def _url(self) -> str | None:
        found = re.search(r"BiDi listening on (ws://\S+)", "".join(self._said))
        return found[1] if found else None

    def _ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        self._websocket.send(json.dumps(command))
        while True:
            said = json.loads(self._websocket.recv(timeout=100))
            if said.get("id") != self._number:
                continue  # an event
            if said["type"] != "success":
                raise RuntimeError(f"{method}: {said['error']}: {said['message']}")
            return said["result"]

    def goto(self, url: str) -> None:
        """Open a URL, and wait until its document is there."""
        self._ask("browsingContext.navigate", context=self._context, url=url, wait="interactive")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """Call a function of JavaScript in the page, await it, and return what JSON has of that."""
        expression = (
            f"(async () => JSON.stringify((await ({function})({json.dumps(argument)})) ?? null))()"
        )
        said = self._ask(
            "script.evaluate",
            expression=expression,
            target={"context": self._context},
            awaitPromise=True,
        )
        if said["type"] != "success":
            raise RuntimeError(said["exceptionDetails"]["text"])
        return json.loads(said["result"]["value"])

    def wait_for(self, function: str, within_s: float = 30.0) -> Any:
        """Wait until a function of the page returns something that counts as true; return that."""
        deadline = time.monotonic() + within_s
        while not (value := self.evaluate(function)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"expected {function} within {within_s:g} s, got {value!r}")
            time.sleep(0.05)
        return value

    def close(self) -> None:
        """End it, and wait until it has."""
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._reader.join(10)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._folder.cleanup()
