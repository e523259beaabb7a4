"""Who starts something: the cell, its tasks and threads, a module, or nobody."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebook.pretended import Shell, Thing, in_thread, start
from wslab.notebook import cells, owners


@pytest.mark.parametrize("kind", ["comm_msg", "complete_request"])
def test_a_widgets_callback_belongs_to_nobody(shell: Shell, kind: str) -> None:
    first = shell.run("A", start, kind=kind)
    second = shell.run("A", start, kind=kind)
    assert first.closed == second.closed == []
    assert shell.run(None, owners.current_owner) is None


def test_a_task_of_an_earlier_run_replaces_nothing(shell: Shell) -> None:
    context = shell.run("A", lambda: (start(place=1), contextvars.copy_context())[1])
    second = shell.run("A", start)
    late = context.run(start, place=7)
    assert second.closed == []
    assert late.name == "None"
    third = shell.run("A", start)
    assert second.closed == late.closed == [True]  # but it is the cell's, and goes with it
    assert third.name == "1"


def test_a_task_of_a_run_that_was_not_seen_does_not_mix_up_the_places(shell: Shell) -> None:
    shell.run("A", lambda: start(place=1))
    between = shell.run("A", contextvars.copy_context)  # this run starts nothing itself
    second = shell.run("A", start)
    between.run(start)
    assert second.closed in ([], [True])  # who came later cannot be known; nothing breaks
    cells.close_all(1)
    assert cells.things() == ()


def test_a_thread_with_its_cells_context_belongs_to_the_cell(shell: Shell) -> None:
    async def on_a_thread() -> Thing:
        return await asyncio.to_thread(start)

    first = shell.run("A", lambda: asyncio.run(on_a_thread()))
    shell.run("B", lambda: None)
    shell.run("A", start)
    assert first.closed == [True]


def test_a_plain_thread_belongs_to_the_cell_that_is_running(shell: Shell) -> None:
    first = shell.run("A", lambda: in_thread(start))
    second = shell.run("A", lambda: in_thread(start))
    assert first.closed == [True]
    assert second.closed == []


def test_a_plain_thread_while_no_cell_runs_belongs_to_nobody(shell: Shell) -> None:
    mine = shell.run("A", start)
    stray = in_thread(start)
    shell.run("A", start)
    assert mine.closed == [True]
    assert stray.closed == []


def test_many_threads_of_one_cell_do_not_replace_each_other(shell: Shell) -> None:
    def crowd() -> list[Thing]:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return [future.result(5) for future in [pool.submit(start) for _ in range(100)]]

    first, second = shell.run("A", crowd), shell.run("A", crowd)
    assert [thing.closed for thing in first] == [[True]] * 100
    assert [thing.closed for thing in second] == [[]] * 100


# Modules.


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that starts something when it is imported, and has a helper that does too."""
    name = "starts_at_import"
    source = """
        from tests.notebook.test_cells import start
        here = start(place="of the module")
        def helper():
            return start()
    """
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "tests.notebook.test_cells", sys.modules[__name__])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield name
    sys.modules.pop(name, None)


def test_reloading_a_module_replaces_what_it_started(shell: Shell, module: str) -> None:
    loaded = shell.run("A", lambda: importlib.import_module(module))
    first = loaded.here
    shell.run("B", lambda: importlib.reload(loaded))
    assert first.closed == [True]
    assert loaded.here.name == "of the module"
    assert loaded.here.closed == []


def test_a_module_that_was_dropped_and_imported_again_replaces_too(
    shell: Shell, module: str
) -> None:
    for _ in range(20):  # specs that were freed leave their id() to new ones
        first = importlib.import_module(module).here
        del sys.modules[module]
        second = importlib.import_module(module).here
        del sys.modules[module]
        assert first.closed == [True]
        assert second.closed == []
        second.begin_close()


def test_what_a_module_started_is_not_the_cells_that_imported_it(shell: Shell, module: str) -> None:
    def cell() -> Thing:
        return importlib.import_module(module).here  # type: ignore[no-any-return]

    first = shell.run("A", cell)
    assert shell.run("A", cell) is first
    shell.run("B", lambda: None, deleted=("A",))
    assert first.closed == []


def test_a_helper_of_a_module_belongs_to_the_cell_that_calls_it(shell: Shell, module: str) -> None:
    loaded = shell.run("A", lambda: importlib.import_module(module))
    first, second = shell.run("A", loaded.helper), shell.run("A", loaded.helper)
    assert first.closed == [True]
    assert second.closed == loaded.here.closed == []


# Where there is no shell at all.


def test_nobody_owns_what_a_script_or_a_test_starts() -> None:
    assert owners.current_owner() is None
