"""Lines on a terminal that several processes share.

Its rule: what is said at once is written at once. `print` writes the end of a line apart where
Python does not buffer (PYTHONUNBUFFERED, as containers have it), and another worker's line comes
between.
"""

from __future__ import annotations

from typing import TextIO

__all__ = ["say"]


def say(text: str, stream: TextIO | None = None) -> None:
    """Write one line, or some that belong together, in one piece.

    Args:
        text: without the last line's end.
        stream: where to; standard output by default.
    """
    print(f"{text}\n", end="", file=stream, flush=True)
