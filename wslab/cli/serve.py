"""`wslab serve`: run an echo, a chat or a handler of the user's until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from typing import Any, cast

from ..errors import LoopBlocked
from ..server.handler import Application, Handler, handler_name, is_application
from ..server.listen_address import ListenAddress, port_of
from ..server.listening import inherited_socket, listening_socket
from ..server.serve import serve
from ..server.server import Server
from .arguments import cannot_listen, complain, port, seconds, workers
from .lines import say
from .serve_log import ServeLog
from .served import handler_of, hub_of, page_of, share
from .signals import ended_by, interrupt_at_once
from .workers import Place, Workers

__all__ = ["add_parser", "run"]

_THIS_MACHINE = re.compile(r"https?://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?")

_SERVE = """\
Run a WebSocket server until Ctrl-C; clients are then told 1001 (going away).
At SIGTERM, as a process manager sends it, the clients of a Hub are told 1012
(service restart) instead, over --drain seconds, and come back by themselves.

HANDLER is
  echo             every message goes back to its sender (the default)
  chat             a chat with rooms, names and history; its page is a client
  FILE.py:NAME     your own: `async def NAME(websocket)` in FILE.py, written as
                   in the documentation of websockets, a Hub, or an ASGI app
                   (MODULE:NAME is the same, as for uvicorn)

Several processes serve one Hub with --workers N --backplane redis://...: they
share the port, and one that dies is started again. Who gets a client is the
system's choice, so that Socket.IO's polling needs a proxy instead (README).

It prints the URL for clients and that of a page to try it with, then a line
for each client that comes or goes. A handler's exception is printed with its
traceback, and its client is told 1011 (internal error).
"""
_SERVE_EXAMPLES = """\
examples:
  wslab serve
  wslab serve chat --port 8765
  wslab serve app.py:handler --quiet
  wslab serve app:hub --workers 4 --backplane redis://127.0.0.1:6379/0
  wslab serve --host 0.0.0.0     let other machines in; there is no password
  wslab serve --allow https://chat.example      behind a proxy of that name

then, in Python:
  with wslab.connect("ws://127.0.0.1:8765/") as alice:
      alice.send("hello")
      print(alice.recv(timeout=1))
"""


def add_parser(commands: Any, **kwargs: Any) -> None:
    """Add this command's arguments to those of `wslab`."""
    server = commands.add_parser(
        "serve",
        usage="wslab serve [HANDLER] [options]",
        description=_SERVE,
        epilog=_SERVE_EXAMPLES,
        **kwargs,
    )
    what = server.add_mutually_exclusive_group()
    what.add_argument("handler", nargs="?", default="echo", help=argparse.SUPPRESS)
    what.add_argument(
        "--example", choices=["echo", "chat"], help="the same as a HANDLER of that name"
    )
    server.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    server.add_argument("--port", type=port, metavar="N", help="TCP port (a free one)")
    server.add_argument("--name", help="the server's name on its page (the handler's name)")
    server.add_argument(
        "--allow", action="append", default=[], metavar="ORIGIN",
        help="pages of this Origin may connect, too; repeatable",
    )  # fmt: skip
    server.add_argument(
        "--quiet", action="store_true", help="no line for each client that comes or goes"
    )
    server.add_argument(
        "--backplane",
        metavar="URL",
        help="a Redis that a Hub's processes share: redis://...",
    )
    server.add_argument(
        "--workers", type=workers, default=1, metavar="N", help="processes that serve (1)"
    )
    server.add_argument("--worker", type=Place.read, help=argparse.SUPPRESS)
    server.add_argument(
        "--drain",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="to send a Hub's clients away in, at SIGTERM (5)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; return the exit code."""
    args.handler = args.example or args.handler
    handler = handler_of(args.handler)
    share(handler, args)
    if args.workers > 1:
        return _run_workers(args, handler)
    place: Place | None = args.worker
    log = ServeLog(is_quiet=args.quiet, whose=f"  (worker {place.nth})" if place else "")
    server = None
    with ended_by(log.end):
        try:
            server = _start(args, handler, log)
            server.refusal_listeners.append(log.refused)
            server.errors.listen(
                lambda failure: log.put(sys.stderr, failure.traceback.rstrip()), kept=True
            )
            if place is not None:
                _say(f"worker {place.nth} (pid {os.getpid()}) serves")
            else:
                _say(
                    f"{server.name} at {server.url}\n"
                    f"       page at {server.page_url} (Ctrl-C stops)"
                )
            number = log.print_until_end(lambda: place is not None and place.is_orphan)
            if number in (0, signal.SIGTERM):
                _drain(server, args.drain, log)
            interrupt_at_once()
            try:
                server.stop()
            except LoopBlocked as exc:
                complain(str(exc))
                return 1
            log.print_the_rest()
            _say(f"{f'worker {place.nth} ' if place else ''}stopped")
            return 0
        finally:
            if server is not None and server.is_serving:
                server.begin_close()


def _run_workers(args: argparse.Namespace, handler: Handler | Application) -> int:
    try:
        sock = listening_socket(args.host, args.port or 0)
    except OSError as exc:
        raise cannot_listen(exc, args.host, args.port) from None
    with sock:
        address = ListenAddress(args.host, 0, {"sock": sock})
        address.arguments()
        address.port = port_of([sock])
        name = args.name or handler_name(handler)
        _say(
            f"{name} at {address.url}, {args.workers} workers\n"
            f"       pid {os.getpid()} (Ctrl-C stops)"
        )
        arguments = ["serve", args.handler, "--host", args.host, "--name", name]
        arguments += ["--drain", f"{args.drain:g}"]
        if args.backplane:
            arguments += ["--backplane", args.backplane]
        for each in args.allow:
            arguments += ["--allow", each]
        if args.quiet:
            arguments.append("--quiet")
        code = Workers(arguments, args.workers, sock.fileno(), args.drain, _say).run()
    _say("stopped")
    return code


def _say(text: str) -> None:
    say(f"wslab: {text}")


def _drain(server: Server, over_s: float, log: ServeLog) -> None:
    """Tell a hub's clients to come back, until the next signal at the latest."""
    hub = hub_of(server.handler)
    if hub is None or not server.connections:
        return
    count = len(server.connections)
    people = "1 client is" if count == 1 else f"{count} clients are"
    _say(f"{people} told to come back; a second signal ends at once")
    draining = server.runner.submit(hub.drain, over_s)
    draining.add_done_callback(lambda _: log.end(0, None))
    log.print_until_end()
    if not draining.cancel() and (failure := draining.exception()) is not None:
        complain(f"not all of them were told: {failure}")


def _start(args: argparse.Namespace, handler: Handler | Application, log: ServeLog) -> Server:
    place: Place | None = args.worker
    more: dict[str, Any] = {} if place is None else {"sock": inherited_socket(place.fd)}
    if args.allow:
        more["origins"] = [*args.allow, _THIS_MACHINE, None]
    try:
        return serve(
            handler if is_application(handler) else log.wrap(cast("Handler", handler)),
            args.host,
            None if place else args.port,
            name=args.name or handler_name(handler),
            page=page_of(args.handler),
            **more,
        )
    except OSError as exc:
        raise cannot_listen(exc, args.host, args.port) from None
