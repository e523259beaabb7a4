"""The command line: `wslab lab`, `wslab serve`, `wslab doctor`.

Each command is a few lines around what a notebook would call. Its rule: what a user got wrong is
one line on stderr that begins with `wslab:` and exit code 2, never a traceback; what a user's
handler got wrong keeps its traceback. It is the only module that prints.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from http.client import responses
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from ..errors import LoopBlocked, WslabError, in_words
from ..server.handler import Handler, awaited, check_handler, handler_name
from ..server.http_page import Page
from ..server.refusals import Refusal
from ..server.serve import serve
from ..server.server import Server
from ..waiting import SLICE_S
from ..wire.frames.close_codes import close_code_meaning

if TYPE_CHECKING:
    import logging

__all__ = ["jupyterlab", "main"]

PACKAGE = Path(__file__).resolve().parent.parent
FIRST_LESSON = "00_start_here.ipynb"
COPY_TO = "wslab-course"
NOT_COPIED = (".ipynb_checkpoints", "__pycache__")
CAN_EXEC = os.name == "posix"  # Windows has no exec: there, a child that is waited for
# Said before the user's own arguments, which come later and so win.
QUIET = "--Application.log_level=WARN"
MAX_LINES = 10_000  # that may wait for a terminal that is stopped (Ctrl-S)

_HELP = """\
WebSockets to learn from and to use, in JupyterLab and from the shell.

  wslab lab       open JupyterLab on the course
  wslab serve     run an echo, a chat or a handler of yours until Ctrl-C
  wslab doctor    examine what works here, what does not, and what to do
"""
_EXAMPLES = """\
examples:
  wslab lab                          the course, in your browser
  wslab serve                        an echo server; its page opens in a browser
  wslab serve chat --port 8765       a chat with rooms, names and a page
  wslab serve app.py:handler         `async def handler(websocket)` of app.py
  wslab doctor                       exit code 1 if something will not work

`wslab COMMAND --help` tells more about each.
"""
_LAB = """\
Open JupyterLab on the course, at its first lesson.

In a clone of the project, that is its own notebooks folder. Elsewhere the
course is copied into ./wslab-course first: files that are missing there are
added, and a file of yours is never overwritten.

What it says is the lab's address, and what goes wrong (--debug: everything).
For root, as in most containers, it adds --allow-root. All other arguments go
on to `jupyter lab` unchanged.
"""
_LAB_EXAMPLES = """\
examples:
  wslab lab
  wslab lab --no-browser --port 8899       print the address instead
  wslab lab --dir ~/websockets             put the course there
  wslab lab --ip 0.0.0.0                   an argument of jupyter lab
  wslab lab -- --help-all                  all of those that it knows
  wslab lab --binder-link                  a link to this clone on Binder
"""
_SERVE = """\
Run a WebSocket server until Ctrl-C; clients are then told 1001 (going away).

HANDLER is
  echo             every message goes back to its sender (the default)
  chat             a chat with rooms, names and history; its page is a client
  FILE.py:NAME     your own: `async def NAME(websocket)` in FILE.py, written as
                   in the websockets documentation

It prints the URL for clients and that of a page to try it with, then a line
for each client that comes or goes. A handler's exception is printed with its
traceback, and its client is told 1011 (internal error).
"""
_SERVE_EXAMPLES = """\
examples:
  wslab serve
  wslab serve chat --port 8765
  wslab serve app.py:handler --quiet
  wslab serve --host 0.0.0.0     let other machines in; there is no password

then, in Python:
  with wslab.connect("ws://127.0.0.1:8765/") as alice:
      alice.send("hello")
      print(alice.recv(timeout=1))
"""
_DOCTOR = """\
Examine, by doing, whether wslab works here: a real server, a real handshake,
an echo, the way through Jupyter's server where there is one, and the versions
of what is installed. Takes about a second. Exit code 1 if something will not
work.
"""


class _UserError(Exception):
    """Something that the user can put right: shown as one line, exit code 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UserError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; what `wslab` in a shell calls.

    Args:
        argv: the arguments after the program's name; those of this process by default.

    Returns:
        The exit code: 0 done, 1 something does not work, 2 the user's mistake, 130 interrupted
        (where an interrupt is not the normal way to end).
    """
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except (_UserError, WslabError) as exc:
        _complain(getattr(exc, "strerror", None) or str(exc))  # without an OSError's number
        return 2
    except BrokenPipeError:  # `wslab ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130


def _complain(text: str) -> None:
    print(f"wslab: {' '.join(text.split())}", file=sys.stderr, flush=True)


def _run(argv: list[str]) -> int:
    parser = _parser()
    passed_on: list[str] = []
    if argv[:1] == ["lab"] and "--" in argv:
        cut = argv.index("--")
        argv, passed_on = argv[:cut], argv[cut + 1 :]
    args, unknown = parser.parse_known_args(argv)
    if args.command == "lab":
        return _lab(args, [*unknown, *passed_on])
    if unknown:
        program = f"wslab {args.command}" if args.command else "wslab"
        raise _UserError(f"unrecognized arguments: {' '.join(unknown)} (see `{program} --help`)")
    if args.command is None:
        parser.print_help()
        return 0
    return _serve(args) if args.command == "serve" else _doctor()


def _parser() -> argparse.ArgumentParser:
    kwargs: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,  # an abbreviation could be an argument for Jupyter
    }
    parser = _Parser(
        prog="wslab", usage="wslab COMMAND ...", description=_HELP, epilog=_EXAMPLES, **kwargs
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)

    lab = commands.add_parser(
        "lab",
        usage="wslab lab [options] [arguments of jupyter lab]",
        description=_LAB,
        epilog=_LAB_EXAMPLES,
        **kwargs,
    )
    lab.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    lab.add_argument("--port", type=_port, metavar="N", help="Jupyter's port (8888 or the next)")
    lab.add_argument(
        "--dir", metavar="FOLDER", help=f"copy the course to FOLDER instead of ./{COPY_TO}"
    )
    lab.add_argument(
        "--binder-link", action="store_true", help="print the Binder link of this clone's origin"
    )

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
    server.add_argument("--port", type=_port, metavar="N", help="TCP port (a free one)")
    server.add_argument("--name", help="the server's name on its page (the handler's name)")
    server.add_argument(
        "--quiet", action="store_true", help="no line for each client that comes or goes"
    )

    commands.add_parser("doctor", description=_DOCTOR, **kwargs)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import importlib.metadata
        import platform

        from ..doctor import own_version

        websockets = importlib.metadata.version("websockets")
        print(
            f"wslab {own_version()} (websockets {websockets}, Python {platform.python_version()})"
        )
        parser.exit(0)


def _port(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


# wslab doctor


def _doctor() -> int:
    from ..doctor import doctor

    report = doctor()
    print(report)
    return 0 if report.ok else 1


# wslab lab


def _lab(args: argparse.Namespace, passed_on: list[str]) -> int:
    if args.binder_link:
        if passed_on:
            raise _UserError(f"--binder-link takes no other arguments, got {' '.join(passed_on)}")
        print(_binder_link(_checkout() or Path.cwd()))
        return 0
    import importlib.util

    if importlib.util.find_spec("jupyterlab") is None:
        raise _UserError(
            f"JupyterLab is not installed for {sys.executable}; install it there: "
            "pip install 'wslab[lab]'"
        )
    course = _course(args.dir)
    first = f"/tree/{FIRST_LESSON}" if (course / FIRST_LESSON).is_file() else ""
    command = [
        # As the script `jupyter-lab` does: a queue.py in the user's folder must not be imported.
        *(sys.executable, "-P", "-c", "from wslab.cli.main import jupyterlab; jupyterlab()"),
        f"--ServerApp.root_dir={course}",
        f"--LabApp.default_url=/lab{first}",
        QUIET,
        *_as_root(passed_on),
        *(["--no-browser"] if args.no_browser else []),
        *([f"--port={args.port}"] if args.port is not None else []),
        *passed_on,
    ]
    return _become(command)


def _as_root(passed_on: list[str]) -> list[str]:
    """Return what Jupyter wants to hear before it runs as root, and say that it was said."""
    is_root = getattr(os, "geteuid", lambda: -1)() == 0
    if not is_root or any("allow-root" in one or "allow_root" in one for one in passed_on):
        return []
    print("wslab: this user is root, so JupyterLab is started with --allow-root", flush=True)
    return ["--allow-root"]


def jupyterlab() -> None:
    """Run JupyterLab in this process, with what `sys.argv` says; what `wslab lab` becomes.

    Jupyter writes its address several times among other lines; here it stands alone, once.
    """
    import logging

    from jupyterlab.labapp import LabApp

    logging.getLogger("ServerApp").addFilter(_say_address_alone)
    # For its kernels: a lesson that is opened again says which cell to run. Who has a startup file
    # of their own keeps it.
    os.environ.setdefault("PYTHONSTARTUP", str(PACKAGE / "learn" / "startup.py"))
    LabApp.launch_instance()


# What Jupyter warns of in every lab on one's own machine, below the address that should stand last.
_USUAL = ("is not trusted", "over TCP without encryption", "websocket_ping_timeout")


def _say_address_alone(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if record.levelname == "WARNING" and any(words in text for words in _USUAL):
        return False
    if "To access the server" not in text:
        return True
    address = re.search(r"^\s+(https?://\S+)", text, re.MULTILINE)
    if address is None:
        return True
    print(f"\nwslab: JupyterLab runs until Ctrl-C. Open\n\n    {address[1]}\n", flush=True)
    return False


def _become(command: list[str]) -> int:
    """Go on as another program, or wait for it; its exit code and its signals are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    if CAN_EXEC:
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the child got it too, and decides
            continue


def _checkout() -> Path | None:
    """Return the clone that this package runs from (an editable install), or None."""
    root = PACKAGE.parent
    # Another package's `notebooks` may stand beside ours in site-packages, but no pyproject.toml.
    is_clone = (root / "notebooks").is_dir() and (root / "pyproject.toml").is_file()
    return root if is_clone else None


def _packaged_course() -> Path | None:
    """Return the course that a wheel carries, or None."""
    folder = PACKAGE / "_course"
    return folder if folder.is_dir() else None


def _course(folder: str | None) -> Path:
    """Return the folder to open, with the course in it."""
    checkout = _checkout()
    if checkout is not None and folder is None:
        return checkout / "notebooks"
    source = checkout / "notebooks" if checkout is not None else _packaged_course()
    if source is None:
        raise _UserError(
            "this installation carries no course; install wslab again, or run it from a clone of "
            "the project"
        )
    target = Path(folder).expanduser() if folder is not None else Path(COPY_TO)
    try:
        copied, kept = _lay_out(source, target)
    except OSError as exc:
        raise _UserError(
            f"the course can't be copied to {target}: {exc.strerror or exc}; choose another folder "
            "with --dir"
        ) from None
    said = [
        f"{copied} {'file' if copied == 1 else 'files'} copied" if copied else "nothing missing"
    ]
    if kept:
        said.append(f"left as they are: {kept} that differ from this version's")
    print(f"wslab: the course is in {target} ({', '.join(said)})")
    return target.resolve()


def _lay_out(source: Path, target: Path) -> tuple[int, int]:
    """Copy the files that are missing in ``target``; return how many, and how many differ."""
    copied = kept = 0
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_dir() or any(part in NOT_COPIED for part in relative.parts):
            continue
        copy = target / relative
        if os.path.lexists(copy):
            kept += not copy.is_file() or copy.read_bytes() != path.read_bytes()
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: half a file would be taken for a changed one the next time.
        part = copy.with_name(f".{copy.name}.part")
        try:
            shutil.copyfile(path, part)
            os.replace(part, copy)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        copied += 1
    return copied, kept


def _binder_link(folder: Path) -> str:
    """Return the address that opens ``folder``'s origin on Binder, at its current branch."""
    from urllib.parse import quote

    remote = _git(folder, "remote", "get-url", "origin")
    if not remote:
        raise _UserError(
            f"{folder} is no git clone with a remote 'origin', from which Binder could build; "
            "publish it on GitHub or GitLab first: git remote add origin URL"
        )
    host, path = _remote(remote)
    provider = {"github.com": "gh", "gitlab.com": "gl"}.get(host)
    if provider is None:
        raise _UserError(
            f"expected 'origin' to be at github.com or gitlab.com, got {host or 'a local path'}; "
            "Binder's own page makes links for other places"
        )
    parts = path.split("/")
    if len(parts) < 2 or not all(parts) or (provider == "gh" and len(parts) != 2):
        raise _UserError(f"expected 'origin' to name OWNER/REPOSITORY, got {path!r}")
    branch = _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD")
    ref = branch or _git(folder, "rev-parse", "HEAD")  # a detached HEAD: the commit itself
    if branch and not _git(
        folder, "rev-parse", "--quiet", "--verify", f"refs/remotes/origin/{ref}"
    ):
        _complain(f"note: branch {ref!r} is not at origin yet; Binder sees only what is pushed")
    # GitLab's groups may be nested, so there the whole name is one segment.
    name = "/".join(quote(part, safe="") for part in parts)
    name = name if provider == "gh" else quote(path, safe="")
    return (
        f"https://mybinder.org/v2/{provider}/{name}/{quote(ref, safe='')}"
        f"?urlpath=lab/tree/notebooks/{FIRST_LESSON}"
    )


def _remote(remote: str) -> tuple[str, str]:
    """Split a git remote into host and path, without credentials, port and `.git`."""
    from urllib.parse import unquote

    found = re.fullmatch(r"(?:https?|ssh|git)://(?:[^/]*@)?([^/:@]+)(?::\d+)?/(.+)", remote)
    if found is None:  # the short form for ssh, user@host:path; C:\... is a local path
        found = re.fullmatch(r"(?:[^/@]+@)?([^/:@]{2,}):(?!//)(.+)", remote)
    if found is None:
        return "", ""
    host = found[1].lower().removeprefix("www.")
    host = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}.get(host, host)
    return host, unquote(found[2]).strip("/").removesuffix(".git")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except FileNotFoundError:
        raise _UserError("git is not installed, so the clone's origin is not known") from None
    except subprocess.TimeoutExpired:
        raise _UserError("git did not answer within 10 s") from None
    return done.stdout.strip() if done.returncode == 0 else ""


# wslab serve


def _serve(args: argparse.Namespace) -> int:
    args.handler = args.example or args.handler
    handler = _handler(args.handler)
    log = _Log(is_quiet=args.quiet)
    # Also where a shell started this in the background and told it to ignore interrupts.
    signals = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)  # the terminal was closed
    before = {number: signal.signal(number, log.end) for number in signals}
    server = None
    try:
        server = _start(args, handler, log)
        server.refusal_listeners.append(log.refused)
        server.errors.listen(lambda failure: log.put(sys.stderr, failure.traceback.rstrip()))
        print(
            f"wslab: {server.name} at {server.url}\n"
            f"       page at {server.page_url} (Ctrl-C stops)",
            flush=True,
        )
        log.print_until_end()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second one does not wait
        try:
            server.stop()
        except LoopBlocked as exc:
            _complain(str(exc))
            return 1
        log.print_the_rest()
        print("wslab: stopped", flush=True)
        return 0
    finally:
        if server is not None and server.is_serving:
            server.begin_close()
        for number, previous in before.items():
            signal.signal(number, previous)


def _start(args: argparse.Namespace, handler: Handler, log: _Log) -> Server:
    try:
        return serve(
            log.told(handler),
            args.host,
            args.port,
            name=args.name or handler_name(handler),
            page=_page(args.handler),
        )
    except OSError as exc:
        if isinstance(exc, WslabError):
            raise
        raise _UserError(
            f"can't listen on {args.host}{f' port {args.port}' if args.port else ''}: "
            f"{exc.strerror or exc}; choose another --host or --port"
        ) from None


def _handler(what: str) -> Handler:
    """Return the handler that a command line names."""
    if what == "echo":
        from ..examples.echo import echo

        return echo
    if what == "chat":
        from ..examples.chat import chat

        return chat()
    file, _, name = what.rpartition(":")
    if not file.endswith(".py") or not name:
        is_file = what.endswith(".py")
        hint = f"say which function of it: {what}:handler" if is_file else f"got {what!r}"
        raise _UserError(f"expected echo, chat or FILE.py:NAME; {hint}")
    module = _load(Path(file))
    handler: Any = module
    try:
        for part in name.split("."):
            handler = getattr(handler, part)
    except AttributeError:
        import inspect

        there = [key for key, value in vars(module).items() if inspect.iscoroutinefunction(value)]
        has = f"its async functions are {', '.join(there)}" if there else "it has no async function"
        raise _UserError(f"{file} has no {name!r}; {has}") from None
    try:
        check_handler(handler)
    except TypeError as exc:
        raise _UserError(f"{what}: {exc}") from None
    return handler  # type: ignore[no-any-return]


def _page(what: str) -> Page:
    """Return what a browser gets from the handler that a command line names."""
    if what != "chat":
        return True
    from ..examples.chat import PAGE

    return PAGE


def _load(path: Path) -> Any:
    """Import a user's file, as `python FILE.py` would find its neighbours."""
    import importlib.util

    if not path.is_file():
        raise _UserError(f"there is no file {path}")
    path = path.resolve()
    sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"served_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look for it there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as exc:
        where = f"{os.path.basename(exc.filename or path)} line {exc.lineno}"
        raise _UserError(f"{where}: {type(exc).__name__}: {exc.msg}") from None
    except (Exception, SystemExit) as exc:
        line = traceback.extract_tb(exc.__traceback__)
        inner = [step for step in line if step.filename == str(path)]
        where = f"{path.name} line {inner[-1].lineno}" if inner else path.name
        raise _UserError(f"{where}: {in_words(exc)}") from None
    return module


class _Log:
    """The lines of a running server; handlers put them, the main thread prints them.

    Printing waits for the terminal, and a handler that waits holds the loop for everybody.
    """

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._lines: queue.SimpleQueue[tuple[Any, str] | None] = queue.SimpleQueue()
        self._left_out = 0

    def end(self, signum: int, frame: FrameType | None) -> None:
        """Take a signal: what is printed ends here."""
        self._lines.put(None)

    def put(self, stream: Any, text: str) -> None:
        if self._lines.qsize() < MAX_LINES:
            self._lines.put((stream, text))
        else:
            self._left_out += 1

    def event(self, what: str, connection_id: str, text: str) -> None:
        if not self._is_quiet:
            now = time.strftime("%H:%M:%S")
            self.put(sys.stdout, f"{now}  {what:10}  {connection_id}  {text}")

    def print_until_end(self) -> None:
        while True:
            try:
                line = self._lines.get(timeout=SLICE_S)
            except queue.Empty:
                continue
            if line is None:
                return
            print(line[1], file=line[0], flush=True)

    def print_the_rest(self) -> None:
        """Print what came while the server stopped."""
        while not self._lines.empty():
            line = self._lines.get()
            if line is not None:
                print(line[1], file=line[0], flush=True)
        if self._left_out:
            print(f"wslab: {self._left_out} lines were left out: nobody read them", flush=True)

    # Around each connection; these run on the server's loop.

    def told(self, handler: Handler) -> Handler:
        """Wrap a handler so that each client's coming and going is told."""

        async def told(websocket: Any) -> None:
            began_s = time.monotonic()
            peer = websocket.remote_address
            # Not the query: a token may be in it.
            path = websocket.request.path.partition("?")[0] if websocket.request else ""
            connection_id = websocket.id.hex[:6]
            self.event("connect", connection_id, f"{_address(peer)} {_printable(path)}")
            try:
                await awaited(handler(websocket), handler)
            except Exception as exc:
                is_own_end = isinstance(exc, ConnectionClosed) and websocket.state is not State.OPEN
                if not is_own_end:
                    await websocket.close(1011)  # as websockets itself does next
                raise
            else:
                await websocket.close()
            finally:
                code = websocket.close_code
                meaning = close_code_meaning(code).partition(":")[0] if code else "still open"
                took_s = time.monotonic() - began_s
                text = f"{_address(peer)} {code or ''} {meaning}, {took_s:.1f} s"
                # Next, so that what the handler raised, which the server records now, comes first.
                loop = asyncio.get_running_loop()
                loop.call_soon(self.event, "disconnect", connection_id, text)

        functools.update_wrapper(told, handler)
        told.__name__ = handler_name(handler)
        return told

    def refused(self, refusal: Refusal) -> None:
        """Tell of a request that was turned away."""
        status = f"{refusal.status} {responses.get(refusal.status, '')}"
        self.event("refused", refusal.connection_id, f"{refusal.peer or '?'} {status}")


def _address(peer: Any) -> str:
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "?"


def _printable(text: str) -> str:
    # What a client sends must not reach the terminal as a control sequence.
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


if __name__ == "__main__":
    sys.exit(main())
