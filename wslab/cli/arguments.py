"""What a user typed: a port or a time as an argument, and one line on stderr for what is wrong."""

from __future__ import annotations

import argparse
import os
import re
import sys

from ..errors import WslabError
from .lines import say

__all__ = ["UserError", "cannot_listen", "complain", "port", "seconds", "workers"]


class UserError(Exception):
    """Something that the user can put right: shown as one line, exit code 2."""


def complain(text: str) -> None:
    """Say something in one line on stderr."""
    say(f"wslab: {' '.join(text.split())}", sys.stderr)


def port(text: str) -> int:
    """Read a port, for argparse."""
    if re.fullmatch(r"[0-9]{1,5}", text) and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


def seconds(text: str) -> float:
    """Read a number of seconds, for argparse."""
    if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        return float(text)
    raise argparse.ArgumentTypeError(f"expected seconds, such as 5 or 0.5, got {text!r}")


def workers(text: str) -> int:
    """Read a number of processes, for argparse."""
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text):
        raise argparse.ArgumentTypeError(f"expected 1 to 999 workers, got {text!r}")
    if int(text) > 1 and os.name != "posix":
        raise argparse.ArgumentTypeError("several workers need a POSIX system; start one, or WSL")
    return int(text)


def cannot_listen(exc: OSError, host: str, port: int | None) -> Exception:
    """Return the mistake that it is to ask for this address; an error of ours stays as it is."""
    if isinstance(exc, WslabError):
        return exc
    return UserError(
        f"can't listen on {host}{f' port {port}' if port else ''}: {exc.strerror or exc}; choose "
        "another --host or --port"
    )
