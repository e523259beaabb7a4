"""Paths: which values inside JSON are meant, in a small language.

``user.name`` is the name of the user, ``items.0.id`` the id of the first item, ``items.*.id`` that
of each: ``*`` stands for any one name or place. ``$.items[0].id`` says the same. Its rule: a path
is compared name by name from the top; there is no "anywhere below".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Path", "Paths", "parse_paths", "step_into"]

Path = tuple[str, ...]
Paths = tuple[Path, ...]

_INDEX = re.compile(r"\[(\d+|\*)\]")


def parse_paths(texts: Iterable[str], keyword: str) -> Paths:
    """Return paths as names one below the other.

    Args:
        texts: such as ``"user.name"``.
        keyword: whose value they are, for the error.

    Raises:
        TypeError, ValueError: one is no path.
    """
    if isinstance(texts, str):
        raise TypeError(f"expected {keyword}= to be a list of paths, got one text: [{texts!r}]")
    return tuple(_parse(text, keyword) for text in texts)


def _parse(text: str, keyword: str) -> Path:
    if not isinstance(text, str):
        raise TypeError(f"expected a path such as 'user.id' in {keyword}=, got {text!r:.60}")
    names = _INDEX.sub(r".\1", text).removeprefix("$").removeprefix(".").split(".")
    if not all(names):
        raise ValueError(
            f"expected names with a dot between them, such as 'user.id' or 'items.*.id', in "
            f"{keyword}=, got {text!r:.60}"
        )
    return tuple(names)


def step_into(paths: Paths, name: str | int) -> Paths:
    """Return what is left of each path that leads through a name; () is a path that ends there."""
    key = str(name)
    return tuple(path[1:] for path in paths if path and path[0] in (key, "*"))
