"""HandshakeEditor: take out or spoil a line of the opening handshake, send it, see the answer.

Its rule: what it sends is what stands there, over TCP from the kernel, and what it shows is what
came back. Building, sending and judging are in `plan`, `target` and `attempt`, the drawing in
editor.js, and what it has in common with the frame editor in `attempts`.
"""

from __future__ import annotations

import base64
import os
import ssl as tls
from collections.abc import Iterable, Mapping
from typing import Any

import traitlets

from ...wire.http.header_purposes import explain
from ..attempts.editor import AttemptEditor
from ..widget import read_static
from .attempt import HandshakeAttempt, attempt, to_json
from .target import DEFAULTS, HandshakeTarget, Plan, plan_of

__all__ = ["HandshakeEditor"]

_MAX_LINES = 40
_START_LINE = (
    "Method, target and version: what to do, with what, in which language. A handshake is a GET, "
    "so that any HTTP server can answer it."
)
# Offered, but not part of a good request: what a page of somebody else's would send.
_OFFERED = (("Origin", "https://elsewhere.example"),)


class HandshakeEditor(AttemptEditor[HandshakeAttempt]):
    """Edit an opening handshake line by line, send it for real, and read the answer.

    Args:
        target: a Server, a ws:// or wss:// URL, or a function of (reader, writer) as
            ``asyncio.start_server`` takes it, which gets a port of its own for each attempt.
        ssl: for wss:// to a server whose certificate the system does not know.

    Raises:
        TypeError, ValueError: the target is none of these.

    See RFC 6455 §4.1 for the request, §4.2 for the answer.
    """

    _esm = read_static(
        "widgets/dom.js",
        "widgets/attempts/editor.js",
        "widgets/handshake_editor/editor.js",
    )
    _css = read_static("widgets/theme.css", "widgets/attempts/editor.css")

    good = traitlets.Dict().tag(sync=True)

    def __init__(self, target: Any, *, ssl: tls.SSLContext | None = None) -> None:
        self._target = HandshakeTarget.of(target, ssl=ssl)
        self._key = _new_key()
        name = self._target.name
        super().__init__("handshake", name, title=name, good=self._good())

    # What a program may do.

    def ask(
        self,
        *,
        omit: str | Iterable[str] = (),
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        method: str = "GET",
        path: str | None = None,
        version: str = "HTTP/1.1",
    ) -> HandshakeAttempt:
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
        return self._attempt(plan, key)

    def _attempt(self, plan: Plan, key: str) -> HandshakeAttempt:
        one = attempt(self._target, plan, plan_of(self._target, key))
        with self._mutex:
            self._key = _new_key()  # one for each connection (RFC 6455 §4.1)
            return self._keep(one, good=self._good())

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

    _to_json = staticmethod(to_json)

    def _click(self, content: Any) -> None:
        self._attempt(_checked(content["plan"]), str(content["key"]))

    def _good_text(self) -> str:
        plan = plan_of(self._target, self._key)
        lines = [f"{name}: {value}" for name, value in plan["lines"]]
        return "\n".join([f"{plan['method']} {plan['target']} {plan['version']}", *lines])


def _new_key() -> str:
    return base64.b64encode(os.urandom(16)).decode("ascii")


def _checked(plan: Any) -> Plan:
    """Take a plan from the browser apart and together again, so that it is one."""
    lines = [[str(name), str(value)] for name, value in plan["lines"]]
    if len(lines) > _MAX_LINES:
        raise ValueError(f"expected at most {_MAX_LINES} headers, got {len(lines)}")
    parts = {part: str(plan[part]) for part in ("method", "target", "version")}
    return {**parts, "lines": lines}
