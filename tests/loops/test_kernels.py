"""The kernel helper itself: queued cells come back in order, and a lost one is seen as lost."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from tests import kernels
from tests.kernels import Kernel, lost, run_with_nbclient

pytestmark = pytest.mark.kernel


def test_five_queued_cells_all_come_back():
    with Kernel() as kernel:
        cells = kernel.run_all(["a = 20", "a += 1", "print('out')", "a * 2", "import sys; sys"])
        assert lost(cells) == []
        assert [cell.status for cell in cells] == ["ok"] * 5
        assert [cell.text for cell in cells[:4]] == ["", "", "out\n", "42"]
        assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5]


def test_cells_behind_a_dead_kernel_are_lost(tmp_path):
    # It dies only once the first reply is here: what a process has not yet sent dies with it.
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)"
    die = f"{wait}\nos._exit(3)"
    with Kernel() as kernel:
        cells = [kernel.send(source) for source in ("print('first')", die, "print('never')", "1")]
        kernel.collect(cells[:1], timeout=20)
        assert cells[0].status == "ok"
        go.touch()
        kernel.collect(cells, timeout=20)
        assert lost(cells) == [die, "print('never')", "1"]
        assert not kernel.is_alive


def test_a_cell_that_does_not_end_is_lost_and_can_be_interrupted():
    with Kernel() as kernel:
        [endless] = kernel.run_all(["print('on'); import time; time.sleep(60)"], timeout=2)
        assert endless.status == "lost"
        assert endless.text == "on\n"
        kernel.interrupt()
        kernel.collect([endless], timeout=10)
        assert endless.interrupted
        assert kernel.check("1 + 1") == "2"


def test_an_error_aborts_what_is_queued_behind_it_unless_told_otherwise():
    with Kernel() as kernel:
        cells = kernel.run_all(["1 / 0", "print('on')"])
        assert [cell.status for cell in cells] == ["error", "aborted"]
        assert cells[0].error == "ZeroDivisionError: division by zero"
        cells = kernel.run_all(["1 / 0", "print('on')"], stop_on_error=False)
        assert [cell.status for cell in cells] == ["error", "ok"]


def test_the_kernel_sees_the_cells_ids():
    see = "print(get_ipython().get_parent()['metadata'])"
    with Kernel() as kernel:
        [cell] = kernel.run_all([see], cell_ids=["one"], deleted_cells=["gone"])
        assert "'cellId': 'one'" in cell.text
        assert "'deletedCells': ['gone']" in cell.text


def test_restart_forgets_and_close_leaves_no_process():
    with Kernel() as kernel:
        first = kernel.pid
        kernel.check("a = 1")
        kernel.restart()
        assert kernel.pid != first
        assert kernel.run("a").error == "NameError: name 'a' is not defined"
        second = kernel.pid
    for pid in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_port_taken_between_its_choice_and_its_use_is_chosen_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose = kernels.write_connection_file
    chosen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def choose_first_the_taken_one(file: str, **options: Any) -> Any:
            if not chosen:
                options["shell_port"] = taken.getsockname()[1]
            chosen.append(file)
            return choose(file, **options)

        monkeypatch.setattr(kernels, "write_connection_file", choose_first_the_taken_one)
        with Kernel() as kernel:
            assert kernel.check("6 * 7") == "42"
    assert len(chosen) == 2


def test_nbclient_runs_this_interpreter():
    import sys

    document = run_with_nbclient(["import sys", "print(sys.executable)"])
    assert document.cells[1].outputs[0].text.strip() == sys.executable
