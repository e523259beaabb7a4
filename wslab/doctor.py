"""doctor(): what is around me, what will not work here, and what to do about it.

It finds out by doing: a throwaway server, a real handshake, an echo, a request through Jupyter's
server. Its one rule: nothing waits without a bound and nothing stays behind, so each check runs on
a spare thread that is given up when it hangs. Beside server/ and client/ it is the only module
that opens sockets, since they are what it examines. It repairs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from .client.client import connect
from .client.urls import is_loopback
from .errors import HandshakeRefused, LoopBlocked, WrongThread, in_words
from .loops import portals
from .loops.portal import Portal
from .notebook import environment
from .server.serve import serve
from .server.server import Server
from .waiting import result_of

__all__ = ["Finding", "Report", "doctor", "own_version"]

T = TypeVar("T")

BUDGET_S = 9.0  # for everything; then what is left is "not known"
PROXY_S = 3.0
BUSY_S = 0.3  # how long the calling thread computes while the loop has to answer
BUSY_TRIES = 3  # what happens to hold the machine passes, what holds the interpreter stays
LATE_S = 0.25  # an echo slower than this while it computes: stalls.STALL_S is the same
WIDTH = 80

STATES = {True: "works", False: "does not work", None: "not known"}
NEST_MINIMUM = "1.7.4"  # known also where wslab's own metadata is not
_NOT_TRIED = "not tried, because of what is said above"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``ok`` is True (works), False (will not work) or None (could not be known); ``seen`` is what
    came, ``advice`` what to do about it, or "".
    """

    name: str
    ok: bool | None
    seen: str
    advice: str = ""

    @property
    def state(self) -> str:
        """``ok`` in words."""
        return STATES[self.ok]


@dataclass(frozen=True, repr=False)
class Report:
    """All findings of one examination; shows itself as a table, as text and in a notebook."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that will not work. What is not known does not count."""
        return all(finding.ok is not False for finding in self.findings)

    @property
    def summary(self) -> str:
        """One sentence: how many work, how many do not, how many are not known."""
        failed, unknown = (sum(f.ok is state for f in self.findings) for state in (False, None))
        works = len(self.findings) - failed - unknown
        parts = [f"{works} of {len(self.findings)} work"]
        if failed:
            parts.append(f"{failed} {'does' if failed == 1 else 'do'} not work")
        if unknown:
            parts.append(f"{unknown} {'is' if unknown == 1 else 'are'} not known")
        return f"wslab {own_version()}: {', '.join(parts)}."

    def __str__(self) -> str:
        import textwrap

        names = max((len(f.name) for f in self.findings), default=0)
        states = max(map(len, STATES.values()))
        indent = " " * (states + names + 4)
        lines = [self.summary, ""]
        for finding in self.findings:
            head = f"{finding.state:{states}}  {finding.name:{names}}  "
            lines += textwrap.wrap(
                finding.seen, WIDTH, initial_indent=head, subsequent_indent=indent
            ) or [head.rstrip()]
            if finding.advice:
                lines += textwrap.wrap(
                    finding.advice,
                    WIDTH,
                    initial_indent=f"{indent}-> ",
                    subsequent_indent=f"{indent}   ",
                )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        rows = []
        for finding in self.findings:
            weight = "600" if finding.ok is False else "400"
            advice = f'<div style="{_ADVICE}">{escape(finding.advice)}</div>'
            rows.append(
                f'<tr style="background:none"><td style="{_CELL};font-weight:{weight};'
                f'white-space:nowrap">{finding.state}</td>'
                f'<th scope="row" style="{_CELL};font-weight:400;white-space:nowrap">'
                f"{escape(finding.name)}</th>"
                f'<td style="{_CELL}">{escape(finding.seen)}'
                f"{advice if finding.advice else ''}</td></tr>"
            )
        heads = "".join(
            f'<th scope="col" style="{_CELL};font-weight:600">{head}</th>'
            for head in ("state", "what", "seen")
        )
        return (
            f'<table style="{_TABLE}"><caption style="{_CAPTION}">{escape(self.summary)}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )


_LINE = "var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
_TABLE = (
    "border-collapse:collapse;max-width:56em;color:var(--jp-content-font-color1, inherit);"
    "font-family:var(--jp-content-font-family, sans-serif);font-size:inherit"
)
_CAPTION = "caption-side:top;text-align:left;color:inherit;padding:0.25em 0.75em 0.5em 0"
_CELL = (
    f"text-align:left;vertical-align:top;padding:0.25em 0.75em 0.25em 0;border:0;"
    f"border-top:1px solid {_LINE}"
)
_ADVICE = "color:var(--jp-content-font-color1, inherit);padding:0.15em 0 0 1em"


class _NoAnswer(Exception):
    """A check did not end within its bound and was given up."""


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
    visit = _Visit()
    try:
        visit.examine()
    finally:
        visit.leave()
    return Report(tuple(visit.tidied()))


class _Visit:
    """One examination: the time that is left, what was found, the server that was started."""

    def __init__(self) -> None:
        self.deadline_s = time.monotonic() + BUDGET_S
        self.findings: list[Finding] = []
        self.secrets: set[str] = set()
        self.server: Server | None = None

    # Bounds.

    def ask(
        self, check: Callable[[], Any], within_s: float, undo: Callable[[Any], object] | None = None
    ) -> Any:
        """Return ``check()``, run on a spare thread (or its loop, where it is a coroutine's).

        Args:
            check: what may hang.
            within_s: how long it may take, in seconds.
            undo: called with what ``check`` returns after it was given up.

        Raises:
            _NoAnswer: it took longer.
        """
        within_s = max(0.0, min(within_s, self.deadline_s - time.monotonic()))
        worker = Portal("wslab doctor")
        gave_up = False
        try:
            future = worker.submit(check)
            try:
                return result_of(future, within_s)
            except TimeoutError:
                if future.done():
                    raise  # the check's own
                gave_up = True
                if undo is not None:
                    future.add_done_callback(lambda late: _undo_late(late, undo))
                raise _NoAnswer(f"no answer within {within_s:.1f} s{_held()}") from None
        finally:
            with contextlib.suppress(LoopBlocked):
                worker.close(0.0 if gave_up else 1.0)

    def check(self, name: str, check: Callable[[], Finding], within_s: float, advice: str) -> bool:
        """Add the finding of ``check``, or that it failed or gave no answer; whether it is ok."""
        try:
            finding: Finding = self.ask(check, within_s)
        except Exception as exc:
            finding = Finding(name, False, _short(exc), advice)
        self.findings.append(finding)
        return finding.ok is True

    # The examination.

    def examine(self) -> None:
        """Look at everything; what hangs or fails becomes a finding."""
        try:
            packages = self.ask(_packages, 2.0)
        except Exception as exc:
            packages = [Finding("versions", None, f"could not be read: {_short(exc)}")]
        self.server_works()
        self.check("environment proxies", _environment_proxies, 1.0, "")
        self.where()
        self.stop()
        self.findings += [_nesting(), *packages]

    def server_works(self) -> None:
        """Start a server and talk to it; after a failure that hangs, the rest is not tried."""
        talks = ["handshake and echo", "page over HTTP", "answers while busy", "localhost"]
        not_tried = ["listen on 127.0.0.1", *talks]
        if self.check("event loop", _loop, 2.0, "Restart Python (the kernel)"):
            self.listen()
            not_tried = talks
        server = self.server
        if server is not None:
            advice = (
                "Something between this Python and its own 127.0.0.1 interferes: look at firewall, "
                "antivirus or sandbox settings"
            )
            if self.check("handshake and echo", lambda: _echoes(server, server.url), 3.0, advice):
                self.check("page over HTTP", lambda: _page(server.port), 2.5, advice)
                self.findings.append(self.busy(server))
                self.check("localhost", lambda: _localhost(server), 2.5, f"Use {_plain(server)}")
                return
            not_tried = talks[1:]
        self.findings += [Finding(name, None, _NOT_TRIED) for name in not_tried]

    def listen(self) -> None:
        """Start the throwaway server, kept out of the way of the cell's own ones."""
        name = "listen on 127.0.0.1"
        try:
            self.server = self.ask(
                lambda: serve(_echo, name="doctor", keep=True), 2.5, lambda late: late.begin_close()
            )
        except TimeoutError as exc:  # an OSError too, and no refusal
            self.findings.append(Finding(name, False, _short(exc)))
        except OSError as exc:
            advice = (
                "A firewall, an antivirus or a sandbox keeps this Python from listening. Allow "
                f"{os.path.basename(sys.executable)} to listen on 127.0.0.1; nobody outside this "
                "machine can reach that address"
            )
            self.findings.append(Finding(name, False, f"refused: {exc.strerror or exc}", advice))
        except Exception as exc:
            self.findings.append(Finding(name, False, _short(exc)))
        else:
            self.findings.append(Finding(name, True, "got a free port"))

    def busy(self, server: Server) -> Finding:
        """Ask for echoes while this thread computes; once more if they came late, by chance?"""
        for _ in range(BUSY_TRIES):
            finding = self.busy_once(server)
            if finding.ok is not False or self.deadline_s - time.monotonic() < 15 * BUSY_S:
                break
        return finding

    def busy_once(self, server: Server) -> Finding:
        """Measure echoes from loop to loop while the calling thread computes and awaits nothing."""
        name = "answers while busy"
        if self.deadline_s - time.monotonic() < 10 * BUSY_S:
            return Finding(name, None, "not tried: no time was left")
        worker = Portal("wslab doctor")
        try:
            future = worker.submit(_worst_echo, server.url)
            until_s = time.monotonic() + 5 * BUSY_S
            while not future.done() and time.monotonic() < until_s:
                pass  # this is the computing
            worst_s: float = result_of(future, 0.5)
        except TimeoutError:
            return Finding(name, False, "no echo came while this thread computed", _SLOW)
        except Exception as exc:
            return Finding(name, False, _short(exc), _SLOW)
        finally:
            with contextlib.suppress(LoopBlocked):
                worker.close(1.0)
        seen = f"slowest echo {worst_s * 1e3:.0f} ms while this thread computed"
        if worst_s > LATE_S:
            return Finding(name, False, f"{seen}; expected under {LATE_S * 1e3:.0f} ms", _SLOW)
        return Finding(name, True, seen)

    def where(self) -> None:
        """Say where this runs, what a browser has to use, and whether Jupyter's proxy carries."""
        try:
            here: environment.Place = self.ask(environment.detect, 1.0)
        except Exception as exc:
            self.findings.append(Finding("place", None, _short(exc)))
            return
        self.findings.append(Finding("place", True, f"{here.label}; {here.why}"))
        carried = self.through_jupyter(here)
        self.findings += carried
        tunnel_id = self.server.tunnel_id if self.server is not None else ""
        self.findings.append(_browser(here, carried, tunnel_id))

    def through_jupyter(self, here: environment.Place) -> list[Finding]:
        """Echo through Jupyter's server as a browser on a Hub would; none where there is none."""
        tunnel, proxy = "through the tunnel", "through Jupyter"
        is_needed = here.can_reach_kernel is not True
        try:
            door: _Door | None = self.ask(lambda: _find_door(os.environ), 1.0)
        except Exception:
            door = None
        if door is None:
            if here.kind not in (
                environment.Kind.HUB,
                environment.Kind.BINDER,
                environment.Kind.JUPYTER,
            ):
                return []
            seen = "no Jupyter server was found that could be asked"
            if is_needed:
                return [Finding(name, None, seen) for name in (tunnel, proxy)]
            seen = f"{seen}; not needed here"
            return [Finding(name, True, seen) for name in (tunnel, proxy)]
        self.secrets.update(door.tokens)
        if self.server is None:
            return [Finding(name, None, _NOT_TRIED) for name in (tunnel, proxy)]
        server = self.server
        tried: dict[str, tuple[bool | None, str]] = {}
        try:
            tried[tunnel] = self.ask(lambda: _tunnels(server, door), PROXY_S)
            path = f"proxy/{server.port}/"
            tried[proxy] = self.ask(lambda: _carries(server, door, path, "proxy/"), PROXY_S)
        except Exception as exc:  # whoever does not answer the one does not answer the other
            tried = {name: tried.get(name, (False, _short(exc))) for name in (tunnel, proxy)}
        tried[tunnel] = _as_the_page_says("tunnel", *tried[tunnel])
        tried[proxy] = _as_the_page_says("proxy", *tried[proxy])
        return [
            self.judged(here, name, *tried[name], stands_in=tried[other][0] is True)
            for name, other in ((tunnel, proxy), (proxy, tunnel))
        ]

    def judged(
        self, here: environment.Place, name: str, ok: bool | None, seen: str, *, stands_in: bool
    ) -> Finding:
        """Say what a way through Jupyter that was tried means here; ``stands_in``: for it."""
        if ok:
            return Finding(name, True, seen)
        if here.can_reach_kernel is True and not environment.seen_by_page("direct"):
            seen = f"{seen}; not needed while the browser is on this machine"
            return Finding(name, True, seen)
        if name == "through Jupyter":
            if stands_in:
                return Finding(name, True, f"{seen}; not needed, since the tunnel carries")
            advice = (
                "Install it where the Jupyter server runs (`pip install jupyter-server-proxy`) and "
                "start that server again; without it or the tunnel a browser elsewhere can't reach "
                "a server here"
            )
            # It is surely needed on a Hub; over SSH or in a container, perhaps.
            return Finding(name, ok if here.is_proxied else None, seen, advice)
        advice = (
            "Install wslab where the Jupyter server runs (`pip install wslab`) and start that "
            "server again. If it is installed there: `jupyter server extension enable "
            "wslab.tunnel --sys-prefix`"
        )
        if environment.seen_by_page("tunnel"):  # it is there
            advice = "Load the page again, and log in again if it asks for that"
        if stands_in:
            seen = f"{seen}; jupyter-server-proxy stands in, which changes close codes and more"
        return Finding(name, None, seen, advice)

    def stop(self) -> None:
        """Stop the server and take its port once, to see that it is free."""
        name = "stop() frees the port"
        server = self.server
        if server is None:
            self.findings.append(Finding(name, None, _NOT_TRIED))
            return

        def stopped() -> Finding:
            began_s = time.monotonic()
            server.stop(timeout=2.0)
            took_ms = (time.monotonic() - began_s) * 1e3
            _take_port(server.port)
            return Finding(name, True, f"stopped in {took_ms:.0f} ms, then the port was free")

        self.check(name, stopped, 3.5, "Restart Python (the kernel) to free the port")

    def leave(self) -> None:
        """Stop what an interrupted or failed examination left running, without waiting."""
        if self.server is not None:
            with contextlib.suppress(Exception):
                self.server.begin_close()

    def tidied(self) -> Iterable[Finding]:
        """Give the findings without secrets and without the way to the user's home."""
        home = os.path.expanduser("~")

        def tidy(text: str) -> str:
            for secret in self.secrets:
                text = text.replace(secret, "[hidden]")
            text = re.sub(r"(?i)\b(token=|bearer )[^\s&'\"]+", r"\1[hidden]", text)
            text = re.sub(r"//[^/@\s]+@", "//[hidden]@", text)
            if len(home) > 1:
                text = text.replace(home, "~")
            return " ".join(text.split())

        for finding in self.findings:
            yield replace(finding, seen=tidy(finding.seen), advice=tidy(finding.advice))


_SLOW = (
    "The machine is overloaded, or an extension holds Python's interpreter lock: answers come late "
    "while a cell runs"
)


def _undo_late(late: Any, undo: Callable[[Any], object]) -> None:
    if not late.cancelled() and late.exception() is None:
        undo(late.result())


def _short(exc: BaseException) -> str:
    return str(exc) if isinstance(exc, _NoAnswer) else in_words(exc)


def _held() -> str:
    lab = portals.lab()
    return f"; {lab.held_by()}" if lab.is_running and not lab.answers() else ""


def _plain(server: Server) -> str:
    return (
        f"the address 127.0.0.1 instead of the name localhost, as in ws://127.0.0.1:{server.port}/"
    )


# Checks of the loop and of a server. Each runs on a spare thread.


async def _echo(websocket: Any) -> None:
    async for message in websocket:
        await websocket.send(message)


def _loop() -> Finding:
    lab = portals.lab()
    kind = type(lab.loop)  # asking for it starts it
    if not lab.answers(1.0):
        return Finding(
            "event loop",
            False,
            lab.held_by(),
            "Until then no server and no client of this process answers; if it never lets go, "
            "restart Python (the kernel)",
        )
    is_fast = kind.__module__.partition(".")[0] == "uvloop"
    seen = "uvloop" if is_fast else f"asyncio's own ({kind.__name__})"
    return Finding("event loop", True, f"{seen}, on a thread of its own, answers")


def _echoes(server: Server, url: str, name: str = "handshake and echo") -> Finding:
    began_s = time.perf_counter()
    with connect(url, name="doctor", keep=True, open_timeout=2.0) as client:
        opened_s = time.perf_counter()
        _expect_echo(client, timeout=1.0)
        echoed_s = time.perf_counter()
        client.close(timeout=0.5)
    opened_ms, echoed_ms = (opened_s - began_s) * 1e3, (echoed_s - opened_s) * 1e3
    seen = f"101 (open) after {opened_ms:.1f} ms, then an echo in {echoed_ms:.1f} ms"
    return Finding(name, True, seen)


def _expect_echo(client: Any, timeout: float) -> None:
    nonce = os.urandom(8).hex()
    client.send(nonce)
    answer = client.recv(timeout=timeout)
    if answer != nonce:
        raise ConnectionError(
            f"expected {nonce!r} back, got {answer!r:.40}: another program answers at this address"
        )


def _page(port: int) -> Finding:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        body = response.read(1 << 20)
    finally:
        connection.close()
    seen = f"{response.status} {response.reason}, {len(body)} bytes"
    if response.status != 200 or b"<html" not in body.lower():
        return Finding(
            "page over HTTP",
            False,
            f"{seen}; expected 200 and an HTML page",
            "The installation is not complete: `pip install --force-reinstall wslab`",
        )
    return Finding("page over HTTP", True, seen)


async def _worst_echo(url: str) -> float:
    """Return the slowest of the echoes during BUSY_S, in seconds."""
    from websockets.asyncio.client import connect as connect_async

    worst_s = 0.0
    async with asyncio.timeout(4 * BUSY_S):
        async with connect_async(url, proxy=None, compression=None) as websocket:
            until_s = time.perf_counter() + BUSY_S
            while (began_s := time.perf_counter()) < until_s:
                await websocket.send("echo")
                await websocket.recv()
                worst_s = max(worst_s, time.perf_counter() - began_s)
    return worst_s


def _localhost(server: Server) -> Finding:
    name = "localhost"
    found = socket.getaddrinfo("localhost", server.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    seen = f"means {' and '.join(addresses)}"
    foreign = [address for address in addresses if not is_loopback(address)]
    if foreign:
        return Finding(name, False, f"{seen}, which is not this machine", f"Use {_plain(server)}")
    began_s = time.monotonic()
    try:
        _echoes(server, f"ws://localhost:{server.port}/")
    except Exception as exc:
        return Finding(
            name,
            False,
            f"{seen}; a server on 127.0.0.1 is not reached by it ({type(exc).__name__})",
            f"Use {_plain(server)}",
        )
    took_s = time.monotonic() - began_s
    if took_s > 0.5:
        seen = f"{seen}; reaches a server on 127.0.0.1 only after {took_s:.1f} s"
        return Finding(name, True, seen, f"Faster: {_plain(server)}")
    return Finding(name, True, f"{seen}; reaches a server on 127.0.0.1")


def _take_port(port: int) -> None:
    with socket.socket() as taken:
        if os.name == "posix":  # past TIME_WAIT; elsewhere this option would steal a port in use
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()


# Checks of what is around.


def _as_the_page_says(kind: str, ok: bool | None, seen: str) -> tuple[bool | None, str]:
    """Let what the notebook's page found weigh more than what was found from here, with a token."""
    found = environment.seen_by_page(kind)
    if not ok or found is None:
        return ok, seen
    if not found:
        return ok, f"{seen}, and one to the notebook's page"
    return False, f"{seen}, but the notebook's page got none: {found}"


def _browser(here: environment.Place, carried: list[Finding], tunnel_id: str) -> Finding:
    """Say which URL a page has to use, as far as that is known."""
    ways = {finding.name: finding.ok for finding in carried}
    tunnels = ways.get("through the tunnel") is True and tunnel_id != ""
    port = 8765  # stands for any
    url = environment.browser_url(port, place=here, tunnel_id="ID" if tunnels else "")
    url = url.replace(str(port), "PORT")
    if url.startswith("/"):
        url += " on the notebook's own host"
    ok, advice = here.can_reach_kernel, ""
    if here.is_proxied or environment.seen_by_page("direct"):
        ok = True if tunnels else ways.get("through Jupyter")
        if not ok:
            advice = "A page in your browser may not reach a server here; Python does"
    elif tunnels:
        ok = True
    elif ok is None:
        other = "or go through jupyter-server-proxy"
        if ways.get("through Jupyter"):
            other = f"or go through Jupyter, at {here.jupyter_base_url}proxy/PORT/"
        advice = (
            "If your browser runs on another machine, it can't reach this address: forward the "
            f"port too, {other}"
        )
    elif not ok:
        advice = "A page in your browser can't connect here; wslab.connect() in Python can"
    return Finding("URL for a browser", ok, url, advice)


def _environment_proxies() -> Finding:
    import urllib.request

    from websockets.proxy import get_proxy
    from websockets.uri import parse_uri

    name = "environment proxies"
    kinds = sorted(urllib.request.getproxies().keys() & {"http", "https", "ws", "wss", "socks"})
    if "all" in urllib.request.getproxies():
        kinds.append("all")
    caught = [
        host
        for host in ("127.0.0.1", "localhost")
        if get_proxy(parse_uri(f"ws://{host}:8765/")) is not None
    ]
    if caught:
        return Finding(
            name,
            False,
            f"a proxy for {', '.join(kinds)} would catch {' and '.join(caught)}",
            "Set NO_PROXY=localhost,127.0.0.1 in the environment before Python starts. "
            "wslab.connect() goes around the proxy; websockets.connect() needs proxy=None",
        )
    return Finding(name, True, "set, and leave this machine alone" if kinds else "none set")


class _Door:
    """Where the Jupyter server that started this kernel listens; its repr shows no token."""

    def __init__(self, url: str, tokens: tuple[str, ...]) -> None:
        self.url = url  # ws://host:port/base/
        self.tokens = tokens


def _find_door(environ: Mapping[str, str]) -> _Door | None:
    """Find the running Jupyter server in Jupyter's own files, or by the Hub's environment."""
    import json

    hub_token = environ.get("JUPYTERHUB_API_TOKEN", "")
    for pid in (environ.get("JPY_PARENT_PID", ""), str(os.getppid())):
        # What jupyter_server's list_running_servers() would give, which also deletes files.
        if not re.fullmatch(r"[0-9]{1,10}", pid):
            continue
        try:
            from jupyter_core.paths import jupyter_runtime_dir

            text = Path(jupyter_runtime_dir(), f"jpserver-{pid}.json").read_text("utf-8")
            info = json.loads(text)
            url = _reachable(str(info["url"]), str(info.get("hostname", "")))
            token = str(info.get("token") or "")
        except (OSError, ImportError, ValueError, KeyError, TypeError):
            continue
        if url is not None:
            return _Door(url, tuple(dict.fromkeys(filter(None, (token, hub_token)))))
    url = _reachable(environ.get("JUPYTERHUB_SERVICE_URL", ""), "")
    return _Door(url, (hub_token,) if hub_token else ()) if url is not None else None


def _reachable(url: str, hostname: str) -> str | None:
    """Make the ws URL under which this process can reach a Jupyter server, or None."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None  # such as one that listens on a Unix socket
    everywhere = ("", "0.0.0.0", "::", "*")
    # One that listens on every address writes its machine's name into the URL.
    is_open = parts.hostname in everywhere or hostname in ("0.0.0.0", "::", "*")
    host = "127.0.0.1" if is_open else parts.hostname
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    base_url = f"/{parts.path.strip('/')}/" if parts.path.strip("/") else "/"
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{host}{port}{base_url}"


def _tunnels(server: Server, door: _Door) -> tuple[bool | None, str]:
    """Echo through ``<base_url>wslab/<id>/``; whether that worked, and what came."""
    entry_id = server.tunnel_id or "0" * 32  # not registered: the answer tells more than we know
    ok, seen = _carries(server, door, f"wslab/{entry_id}/", "wslab/")
    if ok is False and not server.tunnel_id:
        note = f" ({server.note})" if server.note else ""
        return False, f"not there: Jupyter's server does not have it{note}"
    return ok, seen


def _carries(server: Server, door: _Door, path: str, where: str) -> tuple[bool | None, str]:
    """Echo through ``<base_url><path>``; whether that worked, and what came."""
    kwargs: dict[str, Any] = {"open_timeout": PROXY_S - 0.5, "keep": True, "name": "doctor"}
    if door.url.startswith("wss:"):
        import ssl
        from urllib.parse import urlsplit

        kwargs["ssl"] = ssl.create_default_context()
        if is_loopback(urlsplit(door.url).hostname or ""):
            # Certificates for one's own machine are mostly self-signed, and it is this machine.
            kwargs["ssl"].check_hostname = False
            kwargs["ssl"].verify_mode = ssl.CERT_NONE
    url = f"{door.url}{path}"
    refused: HandshakeRefused | None = None
    for token in door.tokens or ("",):
        headers = {"Authorization": f"token {token}"} if token else {}
        try:
            began_s = time.monotonic()
            with connect(url, additional_headers=headers, **kwargs) as client:
                try:
                    _expect_echo(client, timeout=1.0)
                except Exception:
                    return False, (
                        "installed, but Jupyter's server can't reach a port of this kernel; "
                        "it may run on another machine"
                    )
                took_ms = (time.monotonic() - began_s) * 1e3
                client.close(timeout=0.3)
            return True, f"an echo came through Jupyter's server after {took_ms:.0f} ms"
        except HandshakeRefused as exc:
            refused = exc
    assert refused is not None
    if refused.status in (401, 403):
        return None, f"Jupyter's server let nobody in ({refused.status}): its token is not known"
    if refused.status == 404:
        return False, f"not there: Jupyter's server has nothing at {where} (404)"
    return False, f"Jupyter's server answered {refused.status} instead of 101"


def _nesting() -> Finding:
    name = "nested loops"
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        return Finding(
            name,
            False,
            "the old nest_asyncio has patched asyncio in this process; it silently loses queued "
            "cells",
            "Remove `import nest_asyncio; nest_asyncio.apply()`, restart the kernel and call "
            "wslab.allow_nested_loops() instead",
        )
    if hasattr(asyncio, "_nest_asyncio2"):
        return Finding(name, True, "allowed in this process, by nest_asyncio2")
    return Finding(name, True, "not asked for (wslab.allow_nested_loops() does)")


# Versions.

_REQUIREMENT = (  # compiled where they are used: importing wslab shall cost little
    r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*([^;]*)(?:;(.*))?"
)
_VERSION = r"v?(?:\d+!)?(\d+(?:\.\d+)*)[-_.]?(a|b|c|rc|alpha|beta|pre|preview|dev)?"
# What each is for, where it is not there.
_OPTIONAL = {
    "ipykernel": "needed only in a notebook",
    "jupyterlab": "needed only for `wslab lab`: pip install 'wslab[lab]'",
    "jupyter-server-proxy": "needed where the browser is on another machine (Binder, a Hub)",
    "uvloop": "the stock event loop does the same, more slowly",
}
_NEEDED = ("websockets", "anywidget", "ipywidgets", "nest_asyncio2")


def _packages() -> list[Finding]:
    import importlib.metadata
    import platform

    def installed(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    versions = {name: installed(name) for name in (*_NEEDED, *_OPTIONAL)}
    python, requirements = _own_requirements()
    return _judged(versions, minimums(requirements), platform.python_version(), python)


def _judged(
    versions: Mapping[str, str | None], least: Mapping[str, str], python: str, python_least: str
) -> list[Finding]:
    """Compare versions with minimums; ``least`` is by normalized name."""
    import platform

    minimum = re.sub(r"[^0-9.]", "", python_least)
    implementation = f"{platform.python_implementation()} {python} on {sys.platform}"
    is_old = bool(minimum) and not at_least(python, minimum)
    findings = [
        Finding("python", False, f"{implementation}; {minimum} or newer is needed")
        if is_old
        else Finding("python", True, implementation)
    ]
    kernel = versions.get("ipykernel")
    for name, version in versions.items():
        minimum = least.get(_normal(name), NEST_MINIMUM if name == "nest_asyncio2" else "")
        if version is None:
            seen = f"not installed; {_OPTIONAL.get(name, 'needed')}"
            advice = "" if name in _OPTIONAL else "Install wslab again: `pip install -U wslab`"
            findings.append(Finding(name, name in _OPTIONAL, seen, advice))
        elif minimum and not at_least(version, minimum):
            seen = f"{version}; {minimum} or newer is needed"
            if name == "nest_asyncio2" and kernel is not None and at_least(kernel, "7"):
                seen += f": beside ipykernel {kernel} it silently loses queued cells (Run All)"
            advice = f"`pip install -U '{name}>={minimum}'`, then restart the kernel"
            findings.append(Finding(name, False, seen, advice))
        else:
            findings.append(Finding(name, True, version))
    return findings


def own_version() -> str:
    """Return wslab's version, also where it runs from a checkout that is not installed."""
    import importlib.metadata

    try:
        return importlib.metadata.version("wslab")
    except importlib.metadata.PackageNotFoundError:
        return str(_checkout_project().get("version", "(version not known)"))


def _own_requirements() -> tuple[str, list[str]]:
    """Return what wslab's metadata asks of Python and of packages, as requirement strings."""
    import importlib.metadata

    try:
        metadata = importlib.metadata.metadata("wslab")
        python = str(metadata.json.get("requires_python", ""))
        return python, importlib.metadata.requires("wslab") or []
    except importlib.metadata.PackageNotFoundError:
        project = _checkout_project()
        extras = project.get("optional-dependencies", {})
        return str(project.get("requires-python", "")), [
            *project.get("dependencies", []),
            *(f"{line}; extra == '{extra}'" for extra in extras for line in extras[extra]),
        ]


def _checkout_project() -> dict[str, Any]:
    """Read the pyproject.toml beside the package, where that is wslab's own; else {}."""
    import tomllib

    try:
        text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text("utf-8")
        project = tomllib.loads(text).get("project", {})
    except (OSError, ValueError):
        return {}
    return project if project.get("name") == "wslab" else {}


def minimums(requirements: Iterable[str]) -> dict[str, str]:
    """Return the lowest version that each requirement string allows, by normalized name.

    Args:
        requirements: such as ``"websockets>=17"`` or ``"uvloop>=0.21; extra == 'fast'"``. What
            only development needs (extras other than ``lab`` and ``fast``) is left out.
    """
    found = {}
    for requirement in requirements:
        match = re.match(_REQUIREMENT, requirement)
        if match is None:
            continue
        name, versions, marker = match[1], match[2], match[3] or ""
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        least = re.search(r">=\s*([0-9][0-9A-Za-z.!]*)", versions)
        if least is not None and (extra is None or extra[1] in ("lab", "fast")):
            found[_normal(name)] = least[1]
    return found


def at_least(version: str, minimum: str) -> bool:
    """Whether ``version`` is ``minimum`` or newer; a pre-release of it is not."""
    has, wants = re.match(_VERSION, version.lower()), re.match(_VERSION, minimum.lower())
    if has is None or wants is None:
        return False
    numbers = [[int(part) for part in match[1].split(".")] for match in (has, wants)]
    length = max(map(len, numbers))
    mine, least = (part + [0] * (length - len(part)) for part in numbers)
    return mine > least if has[2] and not wants[2] else mine >= least


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
