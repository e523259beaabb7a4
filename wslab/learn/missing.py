"""Which cell to run first: the answer to a failure in a lesson.

A notebook that is opened again has its cells but none of their names; and where a lesson's last
cell has run, nothing of the lesson is open any more. Its rule: it only adds an
output below the error, and only in a cell of a lesson, where an earlier cell makes the name.
"""

from __future__ import annotations

import ast
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed

from ..notebook.shell import running_shell
from ..started import running

__all__ = ["Closed", "Missing", "answer", "find", "watch"]

_MAX_LINE = 60
_MAX_FILE_BYTES = 2_000_000


@dataclass(frozen=True)
class Missing:
    """A name that is not there, and the earlier cell that makes it.

    ``line`` is that cell's first line, ``heading`` the heading above it.
    """

    name: str
    line: str
    heading: str

    def __str__(self) -> str:
        return (
            f"{self.name} is not there yet. An earlier cell makes it: the one that begins with\n"
            f"    {self.line}\n"
            f'under "{self.heading}". Run that cell first, or all of them: in the menu, '
            "Run > Run All Above Selected Cell."
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        name, line, heading = map(html.escape, (self.name, self.line, self.heading))
        return (
            f"<div><code>{name}</code> is not there yet. An earlier cell makes it: the one that "
            f"begins with <code>{line}</code>, under <b>{heading}</b>. Run that cell first, or all "
            "of them: in the menu, <b>Run > Run All Above Selected Cell</b>.</div>"
        )


class Closed:
    """Said where a cell fails because nothing that the lesson had started runs any more."""

    _TEXT = (
        "Nothing of this lesson runs any more: its last cell has closed everything. Run the cells "
        "above first, then this one: in the menu, "
    )
    _MENU = "Run > Run All Above Selected Cell"

    def __repr__(self) -> str:
        return f"{self._TEXT}{self._MENU}."

    def _repr_html_(self) -> str:
        return f"<div>{self._TEXT}<b>{html.escape(self._MENU)}</b>.</div>"


def find(name: str, cell_id: str | None, source: str, folder: Path) -> Missing | None:
    """Find the last cell before this one that makes ``name``, in the lesson that it is of.

    Args:
        name: what was missing.
        cell_id: of the cell that missed it, where the front end has told it.
        source: that cell's text.
        folder: where the lessons are.
    """
    before = _before(cell_id, source, folder)
    return None if before is None else _maker(name, before)


def _before(cell_id: str | None, source: str, folder: Path) -> list[dict[str, Any]] | None:
    """Return the cells before this one, in the lesson that it is of; None where it is of none."""
    for lesson in _lessons(folder):
        at = _place_of(lesson, cell_id, source)
        if at is not None:
            return lesson[:at]
    return None


def _lessons(folder: Path) -> Iterator[list[dict[str, Any]]]:
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        try:
            if path.stat().st_size <= _MAX_FILE_BYTES:
                yield json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError):  # being written, or no notebook
            continue


def _place_of(cells: list[dict[str, Any]], cell_id: str | None, source: str) -> int | None:
    """Return the cell's index: same id and lesson (ids such as "recall" are many lessons')."""
    same_id = [n for n, cell in enumerate(cells) if cell.get("id") == cell_id]
    same_text = [n for n, cell in enumerate(cells) if _text(cell).strip() == source.strip()]
    for n in same_text:
        if n in same_id or cell_id is None:
            return n
    return same_text[0] if same_text else None


def _maker(name: str, cells: list[dict[str, Any]]) -> Missing | None:
    heading, found = "", None
    for cell in cells:
        text = _text(cell)
        if cell.get("cell_type") == "markdown":
            for line in text.splitlines():
                if line.startswith("#"):
                    heading = line.lstrip("#").strip()
        elif name in _made(text):
            found = Missing(name, _first_line(text), heading)
    return found


def _text(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _first_line(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _made(source: str) -> set[str]:
    """Return the names that a cell's top level binds."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    names: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        elif isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp):
            continue
        waiting += ast.iter_child_nodes(node)
    return names


def watch() -> None:
    """Answer the failures of this kernel's lessons from now on; elsewhere it does nothing."""
    shell = running_shell()
    if shell is None or getattr(shell, "_wslab_watches", False):  # startup.py has done it
        return
    shell._wslab_watches = True
    shell.events.register("post_run_cell", answer)


# What a cell meets whose server and clients are gone, or that reads what they would have left.
_OF_WHAT_IS_CLOSED = (ConnectionClosed, ConnectionError, TimeoutError, LookupError)


def answer(result: Any) -> None:
    """Show, below a lesson's cell that has failed, which cells to run first.

    Args:
        result: IPython's ExecutionResult of that cell.
    """
    error = getattr(result, "error_in_exec", None)
    info = getattr(result, "info", None)
    if error is None or info is None:
        return
    where = (getattr(info, "cell_id", None), info.raw_cell or "", Path.cwd())
    said: Missing | Closed | None = None
    if isinstance(error, NameError):
        said = find(error.name, *where) if error.name else None
    elif isinstance(error, _OF_WHAT_IS_CLOSED) and not running():
        said = Closed() if _before(*where) else None
    if said is not None:
        from IPython.display import display

        display(said)  # type: ignore[no-untyped-call]
