"""The API reference, written from the docstrings by pdoc: ``python -m tests.reference FOLDER``.

It reads what is there; a name that cannot be resolved, or a docstring that cannot be rendered, is
an error. `make docs` calls it, and a test does.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc

import wslab

# What a reader may import from; the rest is how it is done.
MODULES = ("wslab", "wslab.errors", "wslab.hub", "wslab.learn", "wslab.wire")


def write(folder: Path) -> Path:
    """Write the pages into a folder and return the first one's path."""
    for name in wslab.__all__:
        getattr(wslab, name)  # pdoc sees only what has been loaded
    pdoc.render.configure(docformat="google", footer_text=f"wslab {wslab.__version__}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # It shows an annotation as it is written where its module imports the name for checkers.
        for said in ("Error parsing type annotation", "Failed to run TYPE_CHECKING code"):
            warnings.filterwarnings("ignore", message=said)
        pdoc.pdoc(*MODULES, "!wslab.learn.lesson_", output_directory=folder)
    return folder / "wslab.html"


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
