"""`wslab tap`: carry what connects to another server until Ctrl-C, with a line for each message."""

from __future__ import annotations

import argparse
import ssl
from pathlib import Path
from typing import Any

from ..client.urls import is_loopback
from ..errors import LoopBlocked
from ..taps.request_head import UPSTREAM
from ..taps.start import tap
from ..taps.tap import Tap
from ..wire.tape.tape import Tape
from .arguments import UserError, cannot_listen, complain, port
from .signals import ended_by, interrupt_at_once
from .tap_log import TapLog

__all__ = ["add_parser", "run"]

_TAP = """\
Listen, and carry whatever connects, byte for byte, to URL (ws:// or wss://),
until Ctrl-C. Connect a page, an app or a program in any language to the URL
that is printed, and read what both sides say: a line for each message.

Only the head of a request is touched: Host and Origin become what the server
behind it expects, and --header adds headers of yours. Cookies, credentials and
tokens in heads are not shown and not saved, unless --reveal says so.
"""
_TAP_EXAMPLES = """\
examples:
  wslab tap wss://feed.example/v1
  wslab tap ws://127.0.0.1:8000/ws --port 9000 --save session.har
  wslab tap wss://feed.example/ --header "Authorization: Bearer ..."
  wslab tap wss://feed.example/ --host 0.0.0.0    for a phone in your network

A .har opens in Chrome's network panel, a .pcapng in Wireshark; in Python,
wslab.Tape.load("session.har") reads both.
"""


def add_parser(commands: Any, **kwargs: Any) -> None:
    """Add this command's arguments to those of `wslab`."""
    parser = commands.add_parser(
        "tap",
        usage="wslab tap URL [options]",
        description=_TAP,
        epilog=_TAP_EXAMPLES,
        **kwargs,
    )
    parser.add_argument("url", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=port, metavar="N", help="TCP port (a free one)")
    parser.add_argument("--save", type=_file, metavar="FILE", help="at the end: .har or .pcapng")
    parser.add_argument(
        "--keep", type=_mib, default=64, metavar="MIB", help="how much to keep for that (64)"
    )
    parser.add_argument("--reveal", action="store_true", help="show and save secrets, too")
    parser.add_argument(
        "--header", type=_header, action="append", default=[], metavar="LINE",
        help="'Name: value', in place of the client's; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--origin", default=UPSTREAM, metavar="WHAT",
        help="the Origin sent: upstream (its pages'), keep, or a value",
    )  # fmt: skip
    parser.add_argument(
        "--allow", action="append", metavar="ORIGIN",
        help="pages of this Origin may ask, and no others; repeatable",
    )  # fmt: skip
    parser.add_argument("--cafile", metavar="FILE", help="the certificates to trust, for wss://")
    parser.add_argument("--quiet", action="store_true", help="no line for each message")


def run(args: argparse.Namespace) -> int:
    """Carry until a signal; return the exit code."""
    made = None
    log = TapLog(is_quiet=args.quiet, reveal=args.reveal)
    with ended_by(log.end):
        try:
            made = _start(args)
            log.watch(made)
            print(
                f"wslab: tap at {made.url}\n       leads to {made.upstream_url} (Ctrl-C stops)",
                flush=True,
            )
            if not is_loopback(args.host):
                complain(
                    f"note: whoever reaches port {made.port} of this machine can speak to "
                    f"{made.upstream_url} through this tap, in your name"
                )
            log.print_until_end(made)
            interrupt_at_once()
            try:
                made.stop()
            except LoopBlocked as exc:
                complain(str(exc))
                return 1
            log.print_new(made)
            if args.save is not None and made.tape is not None:
                _save(made.tape, args.save, reveal=args.reveal)
            print("wslab: stopped", flush=True)
            return 0
        finally:
            if made is not None and made.is_serving:
                made.begin_close()


def _start(args: argparse.Namespace) -> Tap:
    try:
        return tap(
            args.url,
            host=args.host,
            port=args.port,
            record=args.keep * 2**20,
            origin=args.origin,
            headers=args.header,
            origins=None if args.allow is None else [*args.allow, None],
            ssl=_tls(args.cafile),
        )
    except OSError as exc:
        raise cannot_listen(exc, args.host, args.port) from None
    except ValueError as exc:
        raise UserError(str(exc)) from None


def _tls(cafile: str | None) -> ssl.SSLContext | None:
    if cafile is None:
        return None
    try:
        return ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as exc:
        raise UserError(f"--cafile {cafile}: {exc.strerror or exc}") from None


def _save(tape: Tape, path: Path, *, reveal: bool) -> None:
    write = tape.to_har if path.suffix == ".har" else tape.to_pcapng
    try:
        write(path, reveal=reveal)
    except OSError as exc:
        raise UserError(f"can't write {path}: {exc.strerror or exc}") from None
    count = len(tape.connections)
    left = f" ({tape.dropped}; --keep keeps more)" if tape.dropped else ""
    print(f"wslab: {count} connection{'' if count == 1 else 's'} saved to {path}{left}", flush=True)


# Arguments, for argparse.


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    if path.suffix not in (".har", ".pcapng"):
        raise argparse.ArgumentTypeError(
            f"expected a name that ends in .har or .pcapng, got {text!r}"
        )
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def _mib(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65536:
        return int(text[:6])
    raise argparse.ArgumentTypeError(f"expected a number of MiB from 1 to 65536, got {text!r}")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(
            f'expected "Name: value", got {name.strip()!r} without colon'
        )
    return name.strip(), value.strip()
