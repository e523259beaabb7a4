"""The lessons of a folder, as their notebooks say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wslab.cli.lessons import Lesson, as_text, lessons
from wslab.cli.main import main

TITLE = "# Who is {n}?\n\nWords.\n\nAbout {n} minutes. Before it: lessons 00 to 08, and 12. More."


def write(folder: Path, name: str, text: str, **metadata: object) -> None:
    cells = [{"cell_type": "markdown", "source": text.splitlines(keepends=True)}]
    (folder / name).write_text(json.dumps({"cells": cells, "metadata": metadata}))


def test_a_lesson_is_read_from_its_first_cell(tmp_path: Path) -> None:
    write(tmp_path, "13_names.ipynb", TITLE.format(n=25), wslab={"needs": "tea"})
    write(tmp_path, "00_start.ipynb", "# Is it?\n\nAbout 20 minutes. Nothing before.")
    assert lessons(tmp_path) == [
        Lesson("00_start.ipynb", "Is it?", 20),
        Lesson("13_names.ipynb", "Who is 25?", 25, "lessons 00 to 08, and 12", "tea"),
    ]


def test_what_is_no_lesson_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "00_start.ipynb", "# Is it?\n\nAbout 20 minutes.")
    write(tmp_path, "00_start-Copy1.ipynb", "# Is it?\n\nAbout 20 minutes.")
    write(tmp_path, "mine.ipynb", "# Is it?\n\nAbout 20 minutes.")
    write(tmp_path, "01_no_minutes.ipynb", "# Is it?")
    write(tmp_path, "02_no_title.ipynb", "About 20 minutes.")
    (tmp_path / "03_no_json.ipynb").write_text("{")
    (tmp_path / "04_empty.ipynb").write_text("{}")
    (tmp_path / "05_a_list.ipynb").write_text("[]")
    (tmp_path / "06_no_cells.ipynb").write_text('{"cells": [], "metadata": {}}')
    (tmp_path / "07_a_folder.ipynb").mkdir()
    (tmp_path / "08_binary.ipynb").write_bytes(b"\xff\xfe")
    (tmp_path / "09_huge.ipynb").write_text('{"cells": "' + "x" * 2**21 + '"}')
    assert [one.file for one in lessons(tmp_path)] == ["00_start.ipynb"]


def test_as_text_each_says_what_it_needs() -> None:
    said = as_text(
        [Lesson("00_a.ipynb", "A?", 20), Lesson("01_b.ipynb", "B?", 30, "lesson 00", "c")]
    )
    assert said.splitlines() == [
        "00  A?",
        "    20 minutes; needs nothing",
        "01  B?",
        "    30 minutes; needs lesson 00; c",
    ]


def test_wslab_lab_lists_them_and_starts_nothing(
    packaged: Path, jupyter: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    write(packaged, "01_next.ipynb", "# And now?\n\nAbout 30 minutes. Before it: lesson 00.")
    assert main(["lab", "--list"]) == 0
    assert "01  And now?\n    30 minutes; needs lesson 00\n" in capsys.readouterr().out
    assert main(["lab", "--list", "--debug"]) == 2
    assert "--list takes no other arguments" in capsys.readouterr().err
    assert jupyter == []
