"""`wslab lab`: open JupyterLab on the course, at its first lesson.

This process becomes `jupyter lab`, with what makes it quiet and leads to the course; arguments that
are not wslab's go on to it unchanged.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calls.waiting import pause
from .arguments import UserError, port
from .course import COPY_TO, FIRST_LESSON, PACKAGE, binder_link, checkout, course, source
from .lessons import as_text, lessons

if TYPE_CHECKING:
    import logging

__all__ = ["add_parser", "become", "jupyterlab", "run", "say_address_alone"]

CAN_EXEC = os.name == "posix"  # Windows has no exec: there, a child that is waited for
# Said before the user's own arguments, which come later and so win.
QUIET = "--Application.log_level=WARN"

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
  wslab lab --list                         all lessons, and what they need
  wslab lab --binder-link                  a link to this clone on Binder
"""


def add_parser(commands: Any, **kwargs: Any) -> None:
    """Add this command's arguments to those of `wslab`."""
    lab = commands.add_parser(
        "lab",
        usage="wslab lab [options] [arguments of jupyter lab]",
        description=_LAB,
        epilog=_LAB_EXAMPLES,
        **kwargs,
    )
    lab.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    lab.add_argument("--port", type=port, metavar="N", help="Jupyter's port (8888 or the next)")
    lab.add_argument(
        "--dir", metavar="FOLDER", help=f"copy the course to FOLDER instead of ./{COPY_TO}"
    )
    lab.add_argument(
        "--binder-link", action="store_true", help="print the Binder link of this clone's origin"
    )
    lab.add_argument(
        "--list", action="store_true", help="print the lessons, with minutes and needs"
    )


def run(args: argparse.Namespace, passed_on: list[str]) -> int:
    """Become JupyterLab; ``passed_on`` is for it. Return the exit code."""
    if args.binder_link:
        if passed_on:
            raise UserError(f"--binder-link takes no other arguments, got {' '.join(passed_on)}")
        print(binder_link(checkout() or Path.cwd()))
        return 0
    if args.list:
        if passed_on:
            raise UserError(f"--list takes no other arguments, got {' '.join(passed_on)}")
        print(as_text(lessons(source())))
        return 0
    import importlib.util

    if importlib.util.find_spec("jupyterlab") is None:
        raise UserError(
            f"JupyterLab is not installed for {sys.executable}; install it there: "
            "pip install 'wslab[lab]'"
        )
    folder = course(args.dir)
    first = f"/tree/{FIRST_LESSON}" if (folder / FIRST_LESSON).is_file() else ""
    command = [
        # As the script `jupyter-lab` does: a queue.py in the user's folder must not be imported.
        *(sys.executable, "-P", "-c", "from wslab.cli.lab import jupyterlab; jupyterlab()"),
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab{first}",
        QUIET,
        *_as_root(passed_on),
        *(["--no-browser"] if args.no_browser else []),
        *([f"--port={args.port}"] if args.port is not None else []),
        *passed_on,
    ]
    return become(command)


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

    logging.getLogger("ServerApp").addFilter(say_address_alone)
    # For its kernels: a lesson that is opened again says which cell to run. Who has a startup file
    # of their own keeps it.
    os.environ.setdefault("PYTHONSTARTUP", str(PACKAGE / "learn" / "startup.py"))
    LabApp.launch_instance()


# What Jupyter warns of in every lab on one's own machine, below the address that should stand last.
_USUAL = ("is not trusted", "over TCP without encryption", "websocket_ping_timeout")


def say_address_alone(record: logging.LogRecord) -> bool:
    """Print the address where a record tells it; return whether Jupyter shall say the record."""
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


def become(command: list[str]) -> int:
    """Go on as another program, or wait for it; its exit code and its signals are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    if CAN_EXEC:
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return pause(process.wait)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):  # the child got it too, and decides
            continue
