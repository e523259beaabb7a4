"""What there is to see of a Server or a Client, as plain JSON: the one picture that all forms draw.

Pure reading, from any thread: no widget, no waiting, nothing that could hold an event loop. Words
and numbers are made here, so that the text, the HTML and the live panel say the same; only points
in time stay numbers (``at``: whole seconds since the epoch), for a page knows its reader's time
zone. Every list is bounded and says what it leaves out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from websockets.protocol import State

from ...client.client import Client
from ...client.urls import shown
from ...failures import Failure
from ...notebook import environment, routes
from ...notebook.environment import Environment
from ...notebook.routes import Route
from ...server.connection import Connection
from ...server.server import Server
from ...taps.tap import Tap

__all__ = [
    "client_log",
    "client_trouble",
    "client_view",
    "duration",
    "one_line",
    "round_trip",
    "server_trouble",
    "server_view",
    "size",
]

MAX_ROWS = 12
MAX_LOG = 50
MAX_TEXT = 200  # characters of one message
MAX_REASON = 500  # characters of what went wrong
MAX_BYTES = 16  # bytes of a binary message
MAX_TRACEBACK = 4_000  # characters, from the end: there stands what was raised

_EPOCH_S = time.time() - time.monotonic()  # once: a difference taken anew would waver
_NORMAL = (1000, 1001, 1012)
_LABELS = {"\n": "↵", "\t": "⇥", "\u200d": "\u200d"}  # the last one joins emoji


def server_view(
    server: Server | Tap, *, here: Environment | None = None, now_s: float | None = None
) -> dict[str, Any]:
    """Say what a server or a tap is, where it is and who is connected.

    Args:
        server: to look at.
        here: where this runs, for the URLs that a browser can reach; found out by default, which
            reads files.
        now_s: ``time.monotonic()``, if that shall be another moment than now.
    """
    now_s = time.monotonic() if now_s is None else now_s
    connections = server.connections
    return {
        "kind": "server",
        **({"noun": "tap"} if isinstance(server, Tap) else {}),
        "name": one_line(server.name),
        "state": _server_state(server),
        "since": f"for {_elapsed(server.began_s, now_s)}" if server.is_serving else "",
        "url": shown(server.url),
        **_urls(server, here),
        "note": _note(server),
        "rows": [_row(connection, now_s) for connection in connections[:MAX_ROWS]],
        "more": f"and {len(connections) - MAX_ROWS:,} more" if len(connections) > MAX_ROWS else "",
        "now": f"{len(connections):,}",
        "seen": f"{server.connections_seen:,}",
        "received": _amount(connections, "received"),
        "sent": _amount(connections, "sent"),
    }


def _note(server: Server | Tap) -> str:
    note = server.note if server.is_serving else ""
    line = getattr(_backplane(server), "line", "") if server.is_serving else ""
    note = "; ".join(part for part in (note, line) if part)
    if isinstance(server, Tap):
        note = f"leads to {server.upstream_url}" + (f"; {note}" if note else "")
    return note


def _backplane(server: Server | Tap) -> Any:
    """Return how the backplane of a server's hub is; None where it has none."""
    handler = getattr(server, "handler", None)
    found = getattr(getattr(handler, "hub", handler), "backplane", None)
    return found if hasattr(found, "node_id") else None


def _server_state(server: Server | Tap) -> str:
    if server.is_serving:
        return "listening"
    if server.is_stopping:
        return "stopping"
    return "replaced" if server.replaced else "stopped"


def _urls(server: Server | Tap, here: Environment | None) -> dict[str, str]:
    """Return what a browser can use; empty where there is nothing, or nothing else than the URL."""
    if server.tcp_host and not 0 < server.port < 65536:
        return {"browser_url": "", "page_url": "", "reach": "", "doubt": ""}
    here = environment.detect() if here is None else here
    how: dict[str, Any] = {"secure": server.is_secure, "tunnel_id": server.tunnel_id}
    how["host"] = server.tcp_host
    how["here"] = here
    route = routes.routes_to(server.port, **how)[0]
    return {
        "browser_url": route.url if route.kind in ("tunnel", "proxy") else "",
        # Of Jupyter's own, a path: each page that shows the link completes it.
        "page_url": routes.page_url(
            server.port, **{**how, "here": replace(here, jupyter_origin=None)}
        ),
        **_reach(here, route),
    }


def _reach(here: Environment, route: Route) -> dict[str, str]:
    """Say how a browser gets there: ``reach`` is news, ``doubt`` a remark in the margin."""
    if route.kind in ("tunnel", "proxy"):
        # The tunnel changes no byte, and a first look is no place for its headers: they are in
        # `server.routes`. What a proxy changes has to be known.
        changes = f". {route.changes}" if route.changes and route.kind == "proxy" else ""
        return {"reach": f"{route.label}{changes}", "doubt": ""}
    if not route.url:
        return {"reach": "no browser can open a Unix socket, so it has no URL there", "doubt": ""}
    if here.can_reach_kernel is False:
        return {"reach": f"not within your browser's reach: {here.reason}", "doubt": ""}
    return {"reach": "", "doubt": "" if here.can_reach_kernel else f"It may fail: {here.reason}"}


def _row(connection: Connection, now_s: float) -> dict[str, str]:
    return {
        "id": connection.id,
        "label": one_line(connection.label or ""),
        "path": one_line(shown(connection.path)),
        "open": _elapsed(connection.began_s, now_s),
        "received": f"{connection.received:,}",
        "received_size": size(connection.received_bytes),
        "sent": f"{connection.sent:,}",
        "sent_size": size(connection.sent_bytes),
    }


def _amount(connections: Iterable[Connection], direction: str) -> dict[str, str]:
    connections = tuple(connections)
    messages = sum(getattr(connection, direction) for connection in connections)
    size_bytes = sum(getattr(connection, f"{direction}_bytes") for connection in connections)
    return {"messages": f"{messages:,}", "size": size(size_bytes)}


def server_trouble(server: Server | Tap, *, held: str | None = None) -> list[dict[str, Any]]:
    """Say what went wrong: errors of handlers, requests refused, loops held, the worst first.

    Args:
        server: to look at.
        held: who holds its loop at this moment (``Server.held()``, which may wait: not from here).
    """
    trouble: list[dict[str, Any]] = []
    if held:
        trouble.append(_trouble("held", "Does not answer", held))
    errors, refusals = tuple(server.errors), tuple(server.refusals)
    if errors:
        trouble.append(_error(errors[-1], server.errors_seen))
    if refusals:
        last, count = refusals[-1], server.refusals_seen
        text = f"{last.status}, {one_line(last.reason, MAX_REASON)}"
        title = "Refused a request" if count == 1 else f"Refused {count:,} requests, the last"
        trouble.append(_trouble("refused", title, text, at=last.at))
    backplane = _backplane(server)
    if getattr(backplane, "status", "") == "down" and server.is_serving:
        text = f"{one_line(backplane.why, MAX_REASON)}; {backplane.queued:,} events wait"
        trouble.append(_trouble("held", "Redis is away", text))
    # A loop is shared: who has had no client yet, or has stopped, has nothing to tell about it.
    blockages = [s for s in server.blockages if s.began_s + s.duration_s > server.began_s]
    if blockages and server.is_serving and server.connections_seen:
        longest = max(blockages, key=lambda blockage: blockage.duration_s)
        title = (
            "Was held" if len(blockages) == 1 else f"Was held {len(blockages)} times, the longest"
        )
        text = f"for {longest.duration_s:.1f} s by {longest.culprit}; nobody got an answer then"
        trouble.append(_trouble("blockage", title, text, at=_EPOCH_S + longest.began_s))
    return trouble


def _error(error: Failure, count: int) -> dict[str, Any]:
    text = one_line(error.summary, MAX_REASON)
    where = f"{error.where}()" + (f", connection {error.who}" if error.who else "")
    title = "Last error" if count == 1 else f"Last of {count:,} errors"
    details = error.end_of_traceback(MAX_TRACEBACK)
    return _trouble("error", title, f"{text} (in {where})", at=error.at, details=details)


def _trouble(
    kind: str, title: str, text: str, *, at: float | None = None, details: str = ""
) -> dict[str, Any]:
    return {
        "kind": kind,
        "title": title,
        "text": text,
        "at": None if at is None else int(at),
        "details": details,
    }


def client_view(client: Client, *, now_s: float | None = None) -> dict[str, Any]:
    """Say what a client is, how its connection stands and how much went over it.

    Args:
        client: to look at.
        now_s: ``time.monotonic()``, if that shall be another moment than now.
    """
    now_s = time.monotonic() if now_s is None else now_s
    received, sent, received_bytes, sent_bytes = client.counts
    state = client.state
    is_open = state is State.OPEN
    view = {
        "kind": "client",
        "name": one_line(client.name),
        "id": client.id,
        "state": state.name.lower(),
        "since": f"for {_elapsed(client.began_s, now_s)}" if is_open else "",
        "url": client.url,
        "subprotocol": client.subprotocol or "",
        "received": {"messages": f"{received:,}", "size": size(received_bytes)},
        "sent": {"messages": f"{sent:,}", "size": size(sent_bytes)},
        "waiting": f"{client.waiting:,}" if client.waiting else "",
    }
    if state is State.CONNECTING:  # again: one that has never been open is nobody's client
        view["since"] = client.status.replace("reconnecting", "again")
    if state is State.CLOSED:
        view["since"] = f"with {client.close_code}"
        view["state"] = "closed" if client.close_code in _NORMAL else "broken"
    return view


def client_trouble(client: Client) -> list[dict[str, Any]]:
    """Say why it closed, or comes back, and what its handlers raised; empty where all is well."""
    trouble: list[dict[str, Any]] = []
    state = client.state
    if state is State.CLOSED:
        kind = "closed" if client.close_code in _NORMAL else "error"
        trouble.append(_trouble(kind, "Why it closed", client.why_closed))
    elif state is State.CONNECTING:
        # A sentence that counts down would be a new one each time one looks.
        text = client.why_closed.rpartition(" It is reconnecting")[0]
        trouble.append(_trouble("closed", "Why it reconnects", text))
    elif client.reconnected:
        trouble.append(_came_back(client))
    if client.gap is not None:
        trouble.append(_trouble("gap", "Events are missing", client.gap))
    if client.errors:
        error, count = client.errors[-1], client.errors_seen
        what = "An event failed" if error.event is not None or not error.kind else "on_open failed"
        title = what if count == 1 else f"{count:,} events failed, the last"
        text = one_line(str(error), MAX_REASON)
        details = error.end_of_traceback(MAX_TRACEBACK)
        trouble.append(_trouble("event", title, text, at=error.at, details=details))
    return trouble


def _came_back(client: Client) -> dict[str, Any]:
    count, attempts = client.reconnected, client.reconnects
    title = "Came back" if count == 1 else f"Came back {count:,} times, the last"
    if client.session is None:
        text = "what either side sent around the break may be lost: the server keeps no session"
    elif client.gap is not None:
        text = "in a session of which something is missing"
    else:
        text = "the session went on where it had stopped"
    return _trouble("back", title, text, at=attempts[-1].at if attempts else None)


def client_log(client: Client, sent: Iterable[tuple[int, int, str | bytes]] = ()) -> dict[str, Any]:
    """Return the latest messages, oldest first.

    Args:
        client: to look at.
        sent: what a panel has sent through it: after how many messages received, a number that
            counts up from 1, and the message.

    Returns:
        ``rows``, and ``dropped``: in words what is not shown of what was received.
    """
    received = client.received
    before = client.received_dropped
    rows = [(number, 0, message) for number, message in enumerate(received, before + 1)]
    rows = rows[-MAX_LOG:]
    rows += sent
    rows.sort(key=lambda row: row[:2])
    hidden = before + len(received) - sum(1 for row in rows[-MAX_LOG:] if not row[1])
    dropped = ""
    if hidden > 0:
        dropped = f"{hidden:,} older not shown"
        if before:
            dropped += f", {before:,} of them no longer kept"
    return {
        "rows": [_message(number, order, message) for number, order, message in rows[-MAX_LOG:]],
        "dropped": dropped,
    }


def _message(number: int, order: int, message: str | bytes) -> dict[str, str]:
    if isinstance(message, bytes):
        text = message[:MAX_BYTES].hex(" ") + (" ..." if len(message) > MAX_BYTES else "")
        amount = size(len(message))
    else:
        text = one_line(message)
        if message.isascii():
            amount = size(len(message))
        elif len(message) <= 100_000:
            amount = size(len(message.encode(errors="replace")))
        else:  # counting the bytes of so much text ten times a second would hold the loop
            amount = f"{len(message):,} characters"
    return {
        "key": f"{number}.{order}",
        "direction": "sent" if order else "received",
        "type": "binary" if isinstance(message, bytes) else "text",
        "size": amount,
        "text": text,
    }


# Words and numbers.


def _elapsed(began_s: float, now_s: float) -> str:
    # Whole seconds on both sides: so all times in a view change at the same moment, not a dozen.
    return duration(int(now_s) - int(began_s))


def duration(seconds: float) -> str:
    """Return a length of time in words: "0 s", "42 s", "3 min", "2 h 5 min", "4 d 1 h"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def round_trip(seconds: float) -> str:
    """Return a round trip in words: "0.31 ms", "12 ms", "1.25 s"."""
    if seconds >= 1.0:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds < 0.01 else f"{seconds * 1e3:.0f} ms"


def size(size_bytes: int) -> str:
    """Return a number of bytes in words: "141 B", "1.2 kB", "3.4 MB" (powers of 1000)."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    amount, unit = size_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}"


def one_line(text: str, limit: int = MAX_TEXT) -> str:
    """Return the beginning of a text with every control character made visible."""
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else _LABELS.get(c, repr(c)[1:-1]) for c in shown)
    return shown + (" ..." if len(text) > limit else "")
