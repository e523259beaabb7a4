"""`wslab doctor`: print the report, and tell by the exit code whether all works."""

from __future__ import annotations

from typing import Any

from ..checkup.doctor import doctor

__all__ = ["add_parser", "run"]

_DOCTOR = """\
Examine, by doing, whether wslab works here: a real server, a real handshake,
an echo, the way through Jupyter's server where there is one, and the versions
of what is installed. Takes about a second. Exit code 1 if something will not
work.
"""


def add_parser(commands: Any, **kwargs: Any) -> None:
    """Add this command's arguments to those of `wslab`."""
    commands.add_parser("doctor", description=_DOCTOR, **kwargs)


def run() -> int:
    """Examine, print; return the exit code."""
    report = doctor()
    print(report)
    return 0 if report.ok else 1
