"""Running a cell again replaces what it started, in a pretended shell."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import textwrap

import pytest

from tests.kernels import PROJECT
from tests.notebook.pretended import Shell, Thing, start
from wslab.notebook import cells, owners


def test_a_second_run_replaces_the_first(shell: Shell) -> None:
    first = shell.run("A", start)
    second = shell.run("A", start)
    assert first.closed == [True]
    assert second.closed == []
    assert cells.things() == (second,)


def test_another_cell_replaces_nothing(shell: Shell) -> None:
    first, second = shell.run("A", start), shell.run("B", start)
    again = shell.run("A", start)
    assert first.closed == [True]
    assert second.closed == []
    assert set(cells.things()) == {second, again}


def test_places_go_by_order(shell: Shell) -> None:
    shell.run("A", lambda: [start(place=port) for port in (1, 2, 3)])
    again = shell.run("A", lambda: [start() for _ in range(3)])
    assert [thing.name for thing in again] == ["1", "2", "3"]


def test_fewer_then_more_keep_their_places(shell: Shell) -> None:
    three = shell.run("A", lambda: [start(place=port) for port in (1, 2, 3)])
    one = shell.run("A", lambda: [start()])
    assert [thing.closed for thing in three] == [[True]] * 3
    four = shell.run("A", lambda: [start(place=port) for port in (11, 12, 13, 14)])
    assert [thing.name for thing in (*one, *four)] == ["1", "1", "2", "3", "None"]
    again = shell.run("A", lambda: [start() for _ in range(4)])
    assert [thing.name for thing in again] == ["1", "2", "3", "14"]


def test_a_run_that_fails_midway_loses_no_place(shell: Shell) -> None:
    shell.run("A", lambda: [start(place=port) for port in (1, 2)])

    def fail() -> None:
        start()
        cells.claim("server")  # what was to be started here did not start
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        shell.run("A", fail)
    again = shell.run("A", lambda: [start() for _ in range(2)])
    assert [thing.name for thing in again] == ["1", "2"]


def test_kinds_do_not_replace_each_other(shell: Shell) -> None:
    server = shell.run("A", start)
    client = shell.run("A", lambda: start("client"))
    assert server.closed == []
    shell.run("A", lambda: start("client"))
    assert server.closed == []
    assert client.closed == [True]


def test_a_run_that_starts_nothing_closes_nothing(shell: Shell) -> None:
    server = shell.run("A", start)
    shell.run("A", lambda: None)
    assert server.closed == []


def test_keep_opts_out_and_takes_no_place(shell: Shell) -> None:
    kept = shell.run("A", lambda: start(keep=True, place=1))
    other = shell.run("A", lambda: (start(keep=True), start(place=2)))
    again = shell.run("A", start)
    assert kept.closed == []
    assert [thing.closed for thing in other] == [[], [True]]
    assert again.name == "2"
    cells.close_all(1)
    assert kept.closed == [False]


def test_deleted_cells_are_closed_before_the_next_one_runs(shell: Shell) -> None:
    gone = shell.run("A", lambda: [start("server"), start("client")])
    stays = shell.run("B", start)
    seen = shell.run("C", lambda: [thing.closed for thing in gone], deleted=("A", "never seen"))
    assert seen == [[False], [False]]
    assert stays.closed == []


def test_what_a_deleted_cell_started_does_not_hold_up_the_next(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "DELETED_TIMEOUT_S", 0.05)
    held = shell.run("A", lambda: start(closes="never"))
    assert shell.run("B", lambda: "ran", deleted=("A",)) == "ran"
    assert cells.things() == (held,)  # shutdown() still knows it
    held.let_go()


def test_a_cell_that_came_back_is_new(shell: Shell) -> None:
    shell.run("A", lambda: start(place=1))
    shell.run("B", lambda: None, deleted=("A",))
    assert shell.run("A", start).name == "None"


def test_what_is_late_is_named_and_tried_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "REPLACE_TIMEOUT_S", 0.05)
    held = shell.run("A", lambda: start(place=1, closes="never"))
    with pytest.raises(TimeoutError, match=r"expected <None> to close.*held by somebody"):
        shell.run("A", start)
    with pytest.raises(TimeoutError):
        shell.run("A", start)
    held.let_go()
    again = shell.run("A", start)
    assert again.name == "1"
    assert cells.things() == (again,)


def test_one_that_is_late_does_not_spare_the_others(shell: Shell) -> None:
    def some() -> list[Thing]:
        return [start(), start(closes="never"), start(closes="with an error"), start()]

    things = shell.run("A", some)
    with pytest.raises(TimeoutError, match=r"<None> to close within 0.05 s"):
        cells.close_all(0.05)
    assert [thing.closed for thing in things] == [[False]] * 4
    assert cells.things() == (things[1],)
    things[1].let_go()
    cells.close_all(0.05)


def test_what_goes_wrong_is_raised_and_not_for_ever(shell: Shell) -> None:
    shell.run("A", lambda: start(closes="with an error"))
    with pytest.raises(OSError, match="went wrong"):
        shell.run("A", start)
    assert shell.run("A", start).closed == []


def test_what_cannot_be_closed_any_more_is_forgotten(shell: Shell) -> None:
    shell.run("A", lambda: [start(closes="not any more"), start()])
    again = shell.run("A", start)
    assert cells.things() == (again,)


def test_close_all_keeps_the_places(shell: Shell) -> None:
    shell.run("A", lambda: start(place=1))
    cells.close_all(1)
    assert cells.things() == ()
    assert shell.run("A", start).name == "1"


def test_closing_goes_in_reverse_order(shell: Shell) -> None:
    order: list[str] = []

    class Ordered(Thing):
        def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
            order.append(self.name)
            return super().begin_close(replaced=replaced)

    for name in ("server", "client"):
        cells.claim(name).adopt(Ordered(name))
    cells.close_all(1)
    assert order == ["client", "server"]


def test_a_thing_that_was_restarted_is_replaced_again(shell: Shell) -> None:
    def start_and_claim() -> tuple[cells.Claim, Thing]:
        claim = cells.claim("server")
        thing = Thing()
        claim.adopt(thing, 1)
        return claim, thing

    claim, thing = shell.run("A", start_and_claim)
    thing.begin_close()
    assert cells.things() == ()
    claim.reopen(thing)
    assert cells.things() == (thing,)
    assert shell.run("A", start).name == "1"
    assert thing.closed == [False, True]


def script(source: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_in_a_script_the_same_explicit_port_replaces_and_no_port_does_not() -> None:
    out = script(
        """
        import websockets, wslab
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        first, second = wslab.serve(echo), wslab.serve(echo)
        assert first.is_serving and second.is_serving and first.port != second.port
        client = wslab.connect(second)
        third = wslab.serve(echo, port=second.port)
        assert not second.is_serving and third.is_serving and third.port == second.port
        assert first.is_serving
        try:
            client.recv(timeout=5)
        except websockets.ConnectionClosed:
            print(client.close_code)
    """
    )
    assert out == "1012\n"


def test_a_shutdown_in_a_forked_child_leaves_the_parents_things_alone() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    script("""
        import os, warnings
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)
        import wslab
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        server = wslab.serve(echo); client = wslab.connect(server)
        pid = os.fork()
        if pid == 0:
            assert wslab.notebook.cells.things() == ()
            wslab.shutdown()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        client.send("on"); assert client.recv(timeout=5) == "on"
    """)


def test_texts_are_told_apart_and_what_is_kept_of_them_is_bounded(shell: Shell) -> None:
    def start() -> Thing:
        thing = Thing()
        claim = cells.claim("server")
        assert claim.owner is not None
        assert claim.owner.is_source
        claim.adopt(thing, 8765)
        return thing

    first = shell.run(None, start, source="a = 1\n")
    again = shell.run(None, start, source="a = 1")
    other = shell.run(None, start, source="a = 2")
    assert (first.closed, again.closed, other.closed) == ([True], [], [])
    assert shell.run(None, owners.current_owner, source=" ") is None
    assert shell.run(None, owners.current_owner, source="a", kind="comm_msg") is None
    for number in range(cells.MAX_RECORDS + 10):
        shell.run(None, start, source=f"a = {number}").let_go()
    assert len(cells._records) == cells.MAX_RECORDS
    assert shell.run(None, lambda: cells.claim("server").handover, source="a = 1005") == 8765
