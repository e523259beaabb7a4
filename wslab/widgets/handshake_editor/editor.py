"""HandshakeEditor: take out or spoil a line of the opening handshake, send it, see the answer.

Its rule: what it sends is what stands there, over TCP from the kernel, and what it shows is what
came back. From the browser come custom messages only, on any thread; each click has an id that
comes back in ``done``. Building, sending and judging are in `attempt`, the drawing in editor.js.
"""

from __future__ import annotations

import base64
import html
import os
import ssl as tls
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import anywidget
import traitlets

from ...wire.http.header_purposes import explain
from ..assets import read_static
from .attempt import DEFAULTS, Plan, Target, Try, attempt, plan_of, to_json

__all__ = ["HandshakeEditor"]

MAX_TRIES = 20
_MAX_DONE = 50
_MAX_LINES = 40
_START_LINE = (
    "Method, target and version: what to do, with what, in which language. A handshake is a GET, "
    "so that any HTTP server can answer it."
)
# Offered, but not part of a good request: what a page of somebody else's would send.
_OFFERED = (("Origin", "https://elsewhere.example"),)


class HandshakeEditor(anywidget.AnyWidget):
    """Edit an opening handshake line by line, send it for real, and read the answer.

    Args:
        target: a Server, a ws:// or wss:// URL, or a function of (reader, writer) as
            ``asyncio.start_server`` takes it, which gets a port of its own for each try.
        ssl: for wss:// to a server whose certificate the system does not know.

    Raises:
        TypeError, ValueError: the target is none of these.

    See RFC 6455 §4.1 for the request, §4.2 for the answer.
    """

    _esm = read_static(
        "widgets/dom.js",
        "widgets/handshake_editor/attempt.js",
        "widgets/handshake_editor/editor.js",
    )
    _css = read_static("widgets/theme.css", "widgets/handshake_editor/editor.css")

    # Kernel to browser only: trait sync the other way jams while a cell awaits.
    title = traitlets.Unicode().tag(sync=True)
    good = traitlets.Dict().tag(sync=True)
    shown: traitlets.List[Any] = traitlets.List().tag(sync=True)
    done: traitlets.List[Any] = traitlets.List().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)

    def __init__(self, target: Any, *, ssl: tls.SSLContext | None = None) -> None:
        self._target = Target.of(target, ssl=ssl)
        self._tries: list[tuple[int, Try]] = []
        self._count = 0
        self._key = _new_key()
        self._mutex = threading.RLock()
        super().__init__(title=self._target.name, good=self._good())
        self.on_msg(self._on_msg)

    # What a program may do.

    @property
    def tries(self) -> tuple[Try, ...]:
        """What was sent so far and what came back, oldest first; the last twenty."""
        with self._mutex:
            return tuple(one for _, one in self._tries)

    def ask(
        self,
        *,
        omit: str | Iterable[str] = (),
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        method: str = "GET",
        path: str | None = None,
        version: str = "HTTP/1.1",
    ) -> Try:
        """Send a handshake, right but for what is changed here, and return what came of it.

        Args:
            omit: header or headers to leave out.
            headers: headers to add, or to send with another value.
            method, path, version: for another start line.

        Raises:
            NobodyListening: nothing listens there.
            HandshakeTimeout, ConnectFailed: no connection could be made within 3 s, or at all.
            ValueError: this would not be one HTTP head.
        """
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        with self._mutex:
            key = self._key
        plan = plan_of(
            self._target,
            key,
            omit=omit,
            headers=pairs,
            method=method,
            path=path,
            version=version,
        )
        return self._carry_out(plan, key)

    def _carry_out(self, plan: Plan, key: str, **traits: Any) -> Try:
        one = attempt(self._target, plan, plan_of(self._target, key))
        with self._mutex:
            self._count += 1
            self._tries = [*self._tries, (self._count, one)][-MAX_TRIES:]
            self._key = _new_key()  # one for each connection (RFC 6455 §4.1)
            with self.hold_sync():
                self.shown = [to_json(each, number) for number, each in self._tries]
                self.good = self._good()
        return one

    def _good(self) -> dict[str, Any]:
        """Return the lines to begin with, and what each is for."""
        plan = plan_of(self._target, self._key)
        rows = []
        for name, value in (*plan["lines"], *_OFFERED):
            purpose, set_by, section = explain(name, "client")
            needed = any(name == default for default, _ in DEFAULTS)
            note = f"{purpose} Set by {set_by}."
            rows.append({"name": name, "value": value, "on": needed, "note": note, "rfc": section})
        note, rfc = _START_LINE, "RFC 6455 §4.1"
        return {**plan, "lines": rows, "key": self._key, "note": note, "rfc": rfc}

    # Browser to kernel.

    def _on_msg(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # On the main thread or on a subshell's; what it raised or printed would appear nowhere.
        if not isinstance(content, dict) or content.get("type") != "send":
            return
        said = "interrupted"
        try:
            plan, key = _checked(content["plan"]), str(content["key"])
            self._carry_out(plan, key)
            said = ""
        except Exception as exc:
            notes = "".join(f" {note}" for note in getattr(exc, "__notes__", ()))
            said = f"not sent: {exc}{notes}"
        finally:  # an interrupt, too, ends what was pending
            with self._mutex, self.hold_sync():
                self.done = [*self.done, str(content.get("id"))][-_MAX_DONE:]
                self.said = said

    # As text, for where the widget does not reach.

    def __str__(self) -> str:
        tries = self.tries
        count = "1 try" if len(tries) == 1 else f"{len(tries)} tries"
        lines = [f"handshake editor for {self._target.name}, {count}"]
        width = max((len(one.label) for one in tries), default=0)
        lines += [f"  {one.label:<{width}}  {one.outcome}" for one in tries]
        return "\n".join(lines)

    __repr__ = __str__

    def _to_html(self) -> str:
        tries = self.tries
        if not tries:
            plan = plan_of(self._target, self._key)
            lines = [f"{plan['method']} {plan['target']} {plan['version']}"]
            lines += [f"{name}: {value}" for name, value in plan["lines"]]
            body = f"<pre>{html.escape(chr(10).join(lines))}</pre><p>Nothing was sent yet.</p>"
        else:
            style = "text-align:left;padding:2px 16px 2px 0;background:none;vertical-align:top"
            rows = "".join(
                "<tr>"
                + "".join(
                    f'<td style="{style}">{html.escape(text)}</td>'
                    for text in (one.label, one.outcome, one.why)
                )
                + "</tr>"
                for one in tries
            )
            head = "".join(
                f'<th style="{style}">{name}</th>' for name in ("request", "answer", "why")
            )
            body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<p><b>Handshake editor</b> for {html.escape(self._target.name)}</p>{body}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, meta = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/plain": str(self), "text/html": self._to_html()}, meta


def _new_key() -> str:
    return base64.b64encode(os.urandom(16)).decode("ascii")


def _checked(plan: Any) -> Plan:
    """Take a plan from the browser apart and together again, so that it is one."""
    lines = [[str(name), str(value)] for name, value in plan["lines"]]
    if len(lines) > _MAX_LINES:
        raise ValueError(f"expected at most {_MAX_LINES} headers, got {len(lines)}")
    parts = {part: str(plan[part]) for part in ("method", "target", "version")}
    return {**parts, "lines": lines}
