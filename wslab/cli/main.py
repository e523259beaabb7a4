"""The command line: `wslab lab`, `wslab serve`, `wslab tap`, `wslab doctor`, a file each.

Each command is a few lines around what a notebook would call. Its rule: what a user got wrong is
one line on stderr that begins with `wslab:` and exit code 2, never a traceback; what a user's
handler got wrong keeps its traceback. Only these files print.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import WslabError
from . import doctor, lab, serve, tap
from .arguments import UserError, complain

__all__ = ["main"]

_HELP = """\
WebSockets to learn from and to use, in JupyterLab and from the shell.

  wslab lab       open JupyterLab on the course
  wslab serve     run an echo, a chat or a handler of yours until Ctrl-C
  wslab tap       carry what a client and a server say, and show it
  wslab doctor    examine what works here, what does not, and what to do
"""
_EXAMPLES = """\
examples:
  wslab lab                          the course, in your browser
  wslab serve                        an echo server; its page opens in a browser
  wslab serve chat --port 8765       a chat with rooms, names and a page
  wslab serve app.py:handler         `async def handler(websocket)` of app.py
  wslab tap wss://feed.example/      what is said with that server
  wslab doctor                       exit code 1 if something will not work

`wslab COMMAND --help` tells more about each.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see `{self.prog} --help`)")


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
    except (UserError, WslabError) as exc:
        complain(getattr(exc, "strerror", None) or str(exc))  # without an OSError's number
        return 2
    except BrokenPipeError:  # `wslab ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        complain("interrupted")
        return 130


def _run(argv: list[str]) -> int:
    parser = _parser()
    passed_on: list[str] = []
    if argv[:1] == ["lab"] and "--" in argv:
        cut = argv.index("--")
        argv, passed_on = argv[:cut], argv[cut + 1 :]
    args, unknown = parser.parse_known_args(argv)
    if args.command == "lab":
        return lab.run(args, [*unknown, *passed_on])
    if unknown:
        program = f"wslab {args.command}" if args.command else "wslab"
        raise UserError(f"unrecognized arguments: {' '.join(unknown)} (see `{program} --help`)")
    if args.command is None:
        parser.print_help()
        return 0
    if args.command == "tap":
        return tap.run(args)
    return serve.run(args) if args.command == "serve" else doctor.run()


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
    for command in (lab, serve, tap, doctor):
        command.add_parser(commands, **kwargs)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import importlib.metadata
        import platform

        from ..checkup.versions import own_version

        websockets = importlib.metadata.version("websockets")
        print(
            f"wslab {own_version()} (websockets {websockets}, Python {platform.python_version()})"
        )
        parser.exit(0)


if __name__ == "__main__":
    sys.exit(main())
