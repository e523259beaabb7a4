"""Which cell to run first: what a NameError in a lesson is answered with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kernels import Kernel
from wslab.learn import missing
from wslab.learn.missing import find

STARTUP = Path(missing.__file__).with_name("startup.py")
CELLS = [
    ("markdown", "m1", "# Title\n\nText"),
    ("code", "setup", "import os.path as where\nfrom a import b as c\nserver = 1"),
    ("markdown", "m2", "## Two clients & more"),
    ("code", "two", "alice, (bob, *others) = 1, (2, 3)\nfor each in others:\n    last = each"),
    ("code", "def", "async def handler(ws):\n    inside = 1\n\nclass Parser:\n    field = 2"),
    ("code", "again", "alice = 2  # made anew"),
    ("code", "use", "print(alice)"),
    ("code", "later", "dora = 3"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cells = [{"cell_type": kind, "id": name, "source": text} for kind, name, text in CELLS]
    (tmp_path / "07_lesson.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "06_broken.ipynb").write_text("{")
    (tmp_path / "notes.ipynb").write_text(json.dumps({"cells": cells}))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "line", "heading"),
    [
        ("alice", "alice = 2  # made anew", "Two clients & more"),  # the last one before
        ("bob", "alice, (bob, *others) = 1, (2, 3)", "Two clients & more"),
        ("others", "alice, (bob, *others) = 1, (2, 3)", "Two clients & more"),
        ("last", "alice, (bob, *others) = 1, (2, 3)", "Two clients & more"),
        ("where", "import os.path as where", "Title"),
        ("c", "import os.path as where", "Title"),
        ("handler", "async def handler(ws):", "Two clients & more"),
        ("Parser", "async def handler(ws):", "Two clients & more"),
    ],
)
def test_the_earlier_cell_that_makes_the_name_is_found(folder, name, line, heading):
    found = find(name, "use", "print(alice)", folder)
    assert found is not None
    assert (found.name, found.line, found.heading) == (name, line, heading)
    assert f"begins with\n    {line}\n" in str(found)
    assert "Run > Run All Above Selected Cell" in str(found)
    assert "Two clients &amp; more" in found._repr_html_() or heading == "Title"


@pytest.mark.parametrize("name", ["inside", "field", "a", "dora", "nobody"])
def test_what_no_earlier_cell_makes_is_not_explained(folder, name):
    assert find(name, "use", "print(alice)", folder) is None


def test_a_cell_of_no_lesson_is_let_alone(folder, tmp_path):
    assert find("alice", "use", "print(alice, 1)", folder) is None
    assert find("alice", None, "print(alice)", folder) is not None
    assert find("alice", "other", "print(alice)", folder) is not None  # its id was made anew


@pytest.mark.kernel
def test_a_kernel_says_it_below_the_error_and_once(folder):
    with Kernel(cwd=folder) as kernel:
        for _ in range(2):
            kernel.check("import wslab.learn", cell_id="m1")
        failed = kernel.run("print(alice)", cell_id="use")
        assert failed.error == "NameError: name 'alice' is not defined"
        assert failed.text.count("begins with\n    alice = 2  # made anew") == 1
        assert [list(one["data"]) for one in failed.results] == [["text/plain", "text/html"]]
        own = kernel.run("print(nobody)", cell_id="own")
        assert (own.status, own.text) == ("error", "")


@pytest.mark.kernel
def test_a_kernel_that_knows_nothing_says_it_too_and_a_later_import_does_not_double_it(folder):
    with Kernel(cwd=folder, env={"PYTHONSTARTUP": str(STARTUP)}) as kernel:
        assert kernel.check("import sys; print('wslab' in sys.modules, '_wait' in dir())") == (
            "False False\n"
        )
        for _ in range(2):
            failed = kernel.run("print(alice)", cell_id="use")
            assert failed.text.count("begins with\n    alice = 2  # made anew") == 1
            kernel.check("import wslab.learn")
        own = kernel.run("print(nobody)", cell_id="own")
        assert (own.status, own.text) == ("error", "")


@pytest.mark.kernel
@pytest.mark.parametrize("startup", [None, STARTUP])
def test_a_cell_whose_server_the_last_cell_has_closed_is_told_so(folder, startup):
    path = folder / "07_lesson.ipynb"
    lesson = json.loads(path.read_text())
    cell = {"cell_type": "code", "id": "talk", "source": "alice.recv(timeout=1)"}
    path.write_text(json.dumps({"cells": [*lesson["cells"], cell]}))
    env = {"PYTHONSTARTUP": str(startup)} if startup else {}
    begin = (
        "import wslab, wslab.learn\n"
        "async def quiet(websocket):\n    await websocket.wait_closed()\n"
        "server = wslab.serve(quiet)\nalice = wslab.connect(server)"
    )
    with Kernel(cwd=folder, env=env) as kernel:
        kernel.check(begin)
        failed = kernel.run(cell["source"], cell_id="talk")
        assert failed.status == "error"  # a timeout: it runs still, and that says enough
        assert "its last cell has closed everything" not in failed.text
        kernel.check("wslab.shutdown()")
        failed = kernel.run(cell["source"], cell_id="talk")
        assert failed.status == "error"
        assert failed.text.count("its last cell has closed everything") == 1
        own = kernel.run("alice.recv(timeout=1) and None", cell_id="own")
        assert (own.status, own.text) == ("error", "")


def test_in_a_terminal_the_startup_file_is_silent_and_leaves_no_name():
    namespace: dict = {}
    exec(STARTUP.read_text(), namespace)
    assert [name for name in namespace if not name.startswith("__")] == []
