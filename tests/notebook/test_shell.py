"""IPython's shell: heard once, and not imported."""

from __future__ import annotations

import sys

import pytest

from tests.notebook.pretended import Shell, start
from wslab.notebook import shell as shells


def test_the_hooks_are_registered_once(shell: Shell) -> None:
    for _ in range(5):
        shell.run("A", start)
    assert {event: len(known) for event, known in shell.callbacks.items()} == {
        "pre_run_cell": 1,
        "post_run_cell": 1,
    }


def test_a_cell_runs_from_its_beginning_to_its_end(shell: Shell) -> None:
    shells.hear_cells(lambda: None)
    assert shell.run("A", shells.has_cell_ended) is False
    assert shells.has_cell_ended() is True
    assert shell.run("B", shells.running_request)["metadata"]["cellId"] == "B"


def test_without_ipython_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert shells.running_shell() is None
    assert shells.running_request() == {}
    assert "IPython" not in sys.modules
