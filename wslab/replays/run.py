"""Run: one time that a script is played.

Its rule: it only says what belongs together: the connection of the record, and the live one.
"""

from __future__ import annotations

from typing import NamedTuple

from .script import Script

__all__ = ["MAX_RUNS", "Run"]

MAX_RUNS = 100  # that a replay remembers


class Run(NamedTuple):
    """A script and the connection that it is played over.

    Args:
        number: of the replay's connections, counted from 1.
        script: the connection of the record.
        connection_id: the live one's on the replay's tape; "" where it was refused.
    """

    number: int
    script: Script
    connection_id: str = ""
