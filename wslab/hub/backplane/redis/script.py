"""A Lua script that Redis runs as one step; each is a ``.lua`` file beside this one.

Its rule: Redis is told a script's hash, and its text only where it does not know it (any more):
after SCRIPT FLUSH, or a restart. Who sends it is `commands`.
"""

from __future__ import annotations

import hashlib
from importlib import resources

__all__ = ["Script"]


class Script:
    """One script.

    Args:
        name: of the file, without its ending.

    Attributes:
        text: what it says.
        sha: by which Redis knows it, once it does.
    """

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = resources.files(__package__).joinpath(f"{name}.lua").read_bytes()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<Script {self.name}>"
