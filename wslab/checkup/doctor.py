"""doctor(): what is around me, what will not work here, and what to do about it.

It finds out by doing: a throwaway server, a real handshake, an echo, a request through Jupyter's
server. Its rule: what hangs or fails becomes a finding. It repairs nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

from ..errors import WrongThread
from ..loops import portals
from ..notebook import environment
from ..notebook.environment import Environment
from ..server.server import Server
from . import jupyter, packages, process
from . import server as server_checks
from .budget import Budget, short
from .report import NOT_TRIED, Finding, Report, tidied

__all__ = ["Examination", "doctor"]

BUDGET_S = 9.0  # for everything; then what is left is "not known"


def doctor() -> Report:
    """Examine, by doing, whether wslab works here; takes about a second, at most ten.

    Returns:
        The report; a notebook shows it as a table, ``print`` as text. ``report.ok`` is False if
        anything was found that will not work.

    Raises:
        WrongThread: called on the lab's own loop, which it would hold while it examines it.
    """
    if portals.lab().is_running and threading.get_ident() == portals.lab().thread_id:
        raise WrongThread(
            "doctor() was called on the lab's own loop, which it has to examine from outside; in "
            "a handler or other async code: `await asyncio.to_thread(wslab.doctor)`"
        )
    examination = Examination()
    try:
        examination.examine()
    finally:
        examination.leave()
    return Report(tidied(examination.findings, examination.secrets))


class Examination:
    """One examination: the time that is left, what was found, the server that was started."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.secrets: set[str] = set()
        self._budget = Budget(BUDGET_S)
        self._server: Server | None = None

    def examine(self) -> None:
        """Look at everything; what hangs or fails becomes a finding."""
        try:
            versions = self._budget.ask(packages.packages, 2.0)
        except Exception as exc:
            versions = [Finding("versions", None, f"could not be read: {short(exc)}")]
        self._find_server_works()
        self._check("environment proxies", process.environment_proxies, 1.0, "")
        self._find_way_to_browser()
        self._find_it_stops()
        self.findings += [process.nesting(), *versions]

    def leave(self) -> None:
        """Stop what an interrupted or failed examination left running, without waiting."""
        if self._server is not None:
            with contextlib.suppress(Exception):
                self._server.begin_close()

    def _check(self, name: str, check: Callable[[], Finding], within_s: float, advice: str) -> bool:
        """Add the finding of ``check``, or that it failed or gave no answer; whether it is ok."""
        try:
            finding: Finding = self._budget.ask(check, within_s)
        except Exception as exc:
            finding = Finding(name, False, short(exc), advice)
        self.findings.append(finding)
        return finding.ok is True

    def _find_server_works(self) -> None:
        """Start a server and talk to it; after a failure that hangs, the rest is not tried."""
        names = ["handshake and echo", "page over HTTP", "answers while busy", "localhost"]
        not_tried = ["listen on 127.0.0.1", *names]
        if self._check("event loop", process.loop, 2.0, "Restart Python (the kernel)"):
            self._server, finding = server_checks.listen(self._budget)
            self.findings.append(finding)
            not_tried = names
        server = self._server
        if server is not None:
            advice = (
                "Something between this Python and its own 127.0.0.1 interferes: look at firewall, "
                "antivirus or sandbox settings"
            )
            if self._check(names[0], lambda: server_checks.handshake(server.url), 3.0, advice):
                self._check(names[1], lambda: server_checks.page(server.port), 2.5, advice)
                self.findings.append(server_checks.busy(self._budget, server))
                instead = f"Use {server_checks.numeric_address(server)}"
                self._check(names[3], lambda: server_checks.localhost(server), 2.5, instead)
                return
            not_tried = names[1:]
        self.findings += [Finding(name, None, NOT_TRIED) for name in not_tried]

    def _find_way_to_browser(self) -> None:
        """Say where this runs, whether Jupyter's server carries, and what a browser has to use."""
        try:
            here: Environment = self._budget.ask(environment.detect, 1.0)
        except Exception as exc:
            self.findings.append(Finding("place", None, short(exc)))
            return
        self.findings.append(Finding("place", True, f"{here.label}; {here.reason}"))
        found: jupyter.JupyterServer | None = None
        with contextlib.suppress(Exception):
            found = self._budget.ask(lambda: jupyter.find_jupyter(os.environ), 1.0)
        self.secrets.update(found.tokens if found is not None else ())
        carried = jupyter.through_jupyter(self._budget, here, self._server, found)
        tunnel_id = self._server.tunnel_id if self._server is not None else ""
        self.findings += [*carried, jupyter.browser(here, carried, tunnel_id)]

    def _find_it_stops(self) -> None:
        name, server = "stop() frees the port", self._server
        if server is None:
            self.findings.append(Finding(name, None, NOT_TRIED))
            return
        advice = "Restart Python (the kernel) to free the port"
        self._check(name, lambda: server_checks.stopped(server), 3.5, advice)
