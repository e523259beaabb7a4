"""Plan: the lines of a handshake to send, and how they differ from a good one.

Its rule: what somebody wrote is kept as it is, right or wrong; secrets are hidden in its name only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...wire.http.secret_values import hide_secrets
from ..panels import model
from .target import HandshakeTarget

__all__ = ["DEFAULTS", "Plan", "label_of", "plan_of"]

_MAX_LABEL = 90

Plan = dict[str, Any]
"""What to send: ``method``, ``target``, ``version``, and ``lines``: [[name, value], ...]."""

DEFAULTS = (
    ("Host", ""),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", ""),
    ("Sec-WebSocket-Version", "13"),
)
"""The five headers that a handshake must have (RFC 6455 §4.1)."""


def plan_of(
    target: HandshakeTarget,
    key: str,
    *,
    omit: Iterable[str] = (),
    headers: Iterable[tuple[str, str]] = (),
    method: str = "GET",
    path: str | None = None,
    version: str = "HTTP/1.1",
) -> Plan:
    """Return a good request's lines, changed as told; a header of the same name is replaced."""
    lines = [[name, key if name == "Sec-WebSocket-Key" else value] for name, value in DEFAULTS]
    lines[0][1] = target.host_header
    for name, value in headers:
        same = [line for line in lines if line[0].lower() == name.lower()]
        if same:
            same[0][:] = [name, value]
        else:
            lines.append([name, value])
    left_out = {name.lower() for name in ([omit] if isinstance(omit, str) else omit)}
    lines = [line for line in lines if line[0].lower() not in left_out]
    target_path = target.path if path is None else path
    return {"method": method, "target": target_path, "version": version, "lines": lines}


def label_of(plan: Plan, good: Plan) -> str:
    """Name how a request differs from the good one."""
    said = []
    for part in ("method", "target", "version"):
        if plan[part] != good[part]:
            said.append(f"{part} {hide_secrets('', plan[part])}")
    ours = {name.lower(): (name, value) for name, value in plan["lines"]}
    theirs = {name.lower(): (name, value) for name, value in good["lines"]}
    if gone := [name for low, (name, _) in theirs.items() if low not in ours]:
        said.append(f"without {', '.join(gone)}")
    for low, (name, value) in ours.items():
        if low not in theirs:
            said.append(f"with {name}: {hide_secrets(name, value)}")
        elif value != theirs[low][1]:
            said.append(f"{name}: {hide_secrets(name, value)}" if value else f"{name} empty")
    text = model.one_line(", ".join(said)) or "as it should be"
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"
