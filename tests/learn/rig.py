"""What the tests of the lessons share: the notebooks' cells, their solutions, and what a lesson
asks of a learner's time.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

COURSE = Path(__file__).resolve().parents[2] / "notebooks"

WORDS_A_MINUTE = 80  # of new matter, for a newcomer
WIDGET_MIN = 0.5
EXERCISE_MIN = {  # or 5
    "02 parser": 8.0,
    "03 capitals": 3.0,
    "03 ticks": 6.0,
    "05 private": 10.0,
    "10 follow": 6.0,
    "11 feed": 7.0,
    "14 guard": 7.0,
    "13 hub": 2.0,  # two lines, after the same by hand
    "15 once": 8.0,
    "16 step 1": 2.0,  # as "13 hub"
    "16 step 2": 4.0,
    "16 step 3": 6.0,  # what one point may be is given
    "16 step 4": 4.0,
}
WIDGETS = re.compile(
    r"\b(?:predict|IFrame|Inspector|Browser|ChatPanel|NetworkControls|come_back|Tanks"
    r"|CompressionBench|Machines|Race|two_pages|\w+Editor|\w*[Ss]lider|hint|display)\("
    r"|^(?:server|hub|alice|lifetimes|lanes)$",
    re.MULTILINE,
)
MORE = re.compile(r"^#+ More, if you like", re.MULTILINE)
HEADING = re.compile(r"^(#+) ", re.MULTILINE)


def solution(lesson: str) -> ModuleType:
    """Return the solutions of a lesson, as "02_frames"; run anew at each call."""
    spec = importlib.util.spec_from_file_location("solution", COURSE / "solutions" / f"{lesson}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document(lesson: str) -> list[dict[str, Any]]:
    """Return all cells of a lesson, each source as one text."""
    cells = json.loads((COURSE / f"{lesson}.ipynb").read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def cells(lesson: str) -> dict[str, str]:
    """Return the sources of a lesson's code cells by their ids."""
    return {c["id"]: c["source"] for c in document(lesson) if c["cell_type"] == "code"}


def is_hidden(cell: dict[str, Any]) -> bool:
    """Whether JupyterLab shows a cell's source only when asked to."""
    return cell["metadata"].get("jupyter", {}).get("source_hidden") is True


def core(lesson: str) -> list[dict[str, Any]]:
    """Return a lesson's cells without its parts headed "More, if you like"."""
    kept, is_more = [], False
    for cell in document(lesson):
        if cell["cell_type"] == "markdown" and HEADING.search(cell["source"]):
            is_more = bool(MORE.search(cell["source"]))
        if not is_more:
            kept.append(cell)
    return kept


def minutes(lesson: str) -> float:
    """Estimate what a newcomer needs: words of text, widgets, exercises."""
    words, widgets, exercises = 0, 0, 0.0
    for cell in core(lesson):
        if cell["cell_type"] == "markdown":
            text = re.split(r"^\*\*(?:Sources|Next)", cell["source"], flags=re.MULTILINE)[0]
            words += len(re.findall(r"[\w'-]+", re.sub(r"\]\([^)]*\)", "]", text)))
            continue
        widgets += len(WIDGETS.findall(cell["source"]))
        names = re.findall(r'\bcheck\("([^"]+)"', cell["source"])
        exercises += sum(EXERCISE_MIN.get(name, 5.0) for name in names)
    return words / WORDS_A_MINUTE + WIDGET_MIN * widgets + exercises


# What a kernel runs before a lesson, so that its clocks run two hundred times as fast as a reader.
KEEPALIVE_S = 0.1
SHORT_KEEPALIVE = f"""
from websockets.asyncio import client as _client, server as _server
for _makes in (_client.connect.__init__, _server.serve):
    _makes.__kwdefaults__["ping_interval"] = {KEEPALIVE_S}
"""
# A reader who thinks: longer than a ping. The pause is what is tested, not a wait for something.
PAUSE = f"import time as _time\n_time.sleep({2 * KEEPALIVE_S})"
# What is left after a kernel's restart: nothing that a cell has made.
FORGET = """
for _name in [each for each in globals() if each not in _kept and not each.startswith("_")]:
    del globals()[_name]
import wslab as _wslab
_wslab.shutdown()
"""
KEEP = "_kept = {*globals(), '_kept'}"
