"""Scripts: what a script that a node has Redis run is called, and what is only upkeep.

A script goes over the wire once, by `EVAL` or `SCRIPT LOAD`; from then on its SHA-1 stands for it.
Its rule: it is called what its first comment says, up to the first stop, as a hub's own scripts
do; of a hub's keys and channels the part that all of them share is left out.
"""

from __future__ import annotations

import hashlib
import re
import textwrap

__all__ = ["UPKEEP", "Scripts", "is_own_channel", "without_prefix"]

MAX_SCRIPTS = 500  # whose names are kept
MAX_TITLE = 44  # characters

# How scripts are called that a hub's nodes run again and again, however little is said.
UPKEEP = (
    "Begin, or go on",
    "Have sessions live on",
    "Say how far the hub is now",
    "Which nodes can still answer",
    "Who is connected at which node",
)

_PREFIX = re.compile(r"wslab:\{[^}]*\}:")
_OWN = re.compile(r"^(?:wslab:\{[^}]*\}:)?node:[^:]+:(?:canary|read)$")


def without_prefix(word: str) -> str:
    """Return a key or channel of a hub without what all of the hub's have in front."""
    return _PREFIX.sub("", word)


def is_own_channel(name: str) -> bool:
    """Whether a node listens to this channel to learn that it still hears."""
    return _OWN.match(name) is not None


class Scripts:
    """The titles of the scripts that were seen."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}

    def learn(self, text: bytes) -> str:
        """Take note of a script's text, and return its title."""
        digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        first = next((line for line in text.decode("utf-8", "replace").splitlines() if line), "")
        found = re.match(r"\s*--\s*(.+?)(?:[.:;]|$)", first)
        title = found[1] if found else f"script {digest[:6]}"
        self._titles[digest] = textwrap.shorten(title, MAX_TITLE, placeholder=" ...")
        while len(self._titles) > MAX_SCRIPTS:
            del self._titles[next(iter(self._titles))]
        return self._titles[digest]

    def title(self, digest: str) -> str:
        """Return what a digest stands for."""
        return self._titles.get(digest.lower(), f"script {digest[:6]}")
