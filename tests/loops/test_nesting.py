"""Nested loops: what is pasted from websockets' docs works in a cell, and loses no queued one."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from tests.kernels import PROJECT, Kernel, lost, run_with_nbclient
from tests.loops.in_kernels import BEHIND, PASTED, SETUP, statuses
from wslab.errors import NestingRefused
from wslab.loops import nesting

# asyncio.run() in a cell.


@pytest.mark.kernel
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_pasted_asyncio_run_works_with_all_cells_queued_at_once(attempt: int) -> None:
    with Kernel() as kernel:
        cells = kernel.run_all(["import wslab", "wslab.allow_nested_loops()", PASTED, *BEHIND])
        assert lost(cells) == []
        assert statuses(cells) == ["ok"] * len(cells)
        assert cells[2].text == "Hello world!\n"
        assert cells[-1].text == "3\n"


@pytest.mark.kernel
def test_every_second_cell_nests_and_none_is_lost() -> None:
    with Kernel() as kernel:
        kernel.check("import wslab; wslab.allow_nested_loops(); ran = []")
        sources = [source for n in range(5) for source in (PASTED, f"ran.append({n})")]
        cells = kernel.run_all(sources)
        assert lost(cells) == []
        assert statuses(cells) == ["ok"] * 10
        assert kernel.check("print(ran)") == "[0, 1, 2, 3, 4]\n"


@pytest.mark.kernel
def test_what_it_says_and_that_it_says_it_again() -> None:
    with Kernel() as kernel:
        kernel.check("import wslab, sys; assert 'nest_asyncio2' not in sys.modules")
        assert "cannot be called from a running event loop" in (kernel.run(PASTED).error or "")
        first = kernel.check("wslab.allow_nested_loops()")
        assert "now allowed" in first
        assert "What it costs" in first
        assert "until the kernel restarts" in first
        assert "already allowed" in kernel.check("wslab.allow_nested_loops()")
        kernel.restart()
        kernel.check("import wslab")
        assert "now allowed" in kernel.check("wslab.allow_nested_loops()")


@pytest.mark.kernel
def test_the_labs_own_loop_goes_on_beside_it() -> None:
    """Also the stock loop, which is of the very class that nesting patches while it runs."""
    for head in ("", "import sys; sys.modules['uvloop'] = None\n"):
        with Kernel() as kernel:
            kernel.check(head + SETUP + "server = wslab.serve(echo)\nalice = wslab.connect(server)")
            kernel.check("wslab.allow_nested_loops()")
            talk = "alice.send('x'); assert alice.recv(timeout=5) == 'x'; print(alice.ping() < 5)"
            cells = kernel.run_all([talk, PASTED, talk, "wslab.run(asyncio.sleep, 0)", *BEHIND])
            assert statuses(cells) == ["ok"] * len(cells)
            kernel.check(
                "server.restart(); bob = wslab.connect(server); bob.close(); wslab.shutdown()"
            )
            kernel.shutdown()


@pytest.mark.kernel
def test_an_interrupt_gets_out_of_a_nested_run_and_the_kernel_goes_on() -> None:
    with Kernel() as kernel:
        kernel.check("import asyncio, wslab; wslab.allow_nested_loops()")
        cell = kernel.send("async def main():\n    print('on', flush=True)\n"
                           "    await asyncio.sleep(60)\nasyncio.run(main())")  # fmt: skip
        kernel.collect([cell], timeout=10, until=lambda: "on" in cell.text)
        time.sleep(0.2)  # into the loop's sleep, where an interrupt is heard
        kernel.interrupt()
        kernel.collect([cell], timeout=10)
        assert cell.interrupted, cell
        cells = kernel.run_all([PASTED, *BEHIND])
        assert statuses(cells) == ["ok"] * len(cells)


@pytest.mark.kernel
def test_under_nbclient_too() -> None:
    document = run_with_nbclient(["import wslab; wslab.allow_nested_loops()", PASTED, *BEHIND])
    assert document.cells[1].outputs[0].text == "Hello world!\n"
    assert document.cells[-1].outputs[0].text == "3\n"


# Where it is refused, and how one gets out.


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_an_old_nest_asyncio2_is_refused(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    for version in ("1.7.3", "1.7", "1.7.3.post1", "0.9rc1"):
        monkeypatch.setattr(importlib.metadata, "version", lambda _, version=version: version)
        with pytest.raises(NestingRefused, match=rf"nest_asyncio2 {version} silently loses.*%pip"):
            nesting.nest(loop)


def test_a_missing_nest_asyncio2_is_refused(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(NestingRefused, match=r"which is missing.*%pip install"):
        nesting.nest(loop)


def test_the_old_nest_asyncio_is_refused(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    with pytest.raises(NestingRefused, match=r"old, unmaintained nest_asyncio.*restart the kernel"):
        nesting.nest(loop)


def test_uvloop_as_the_running_loop_is_refused() -> None:
    uvloop = pytest.importorskip("uvloop")
    before = asyncio.run

    async def ask() -> None:
        nesting.allow_nested_loops()

    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(NestingRefused, match=r"uvloop\.Loop.*`await main\(\)`.*without uvloop"),
    ):
        runner.run(ask())
    assert asyncio.run is before  # refused before anything was patched


@pytest.mark.kernel
def test_refusals_inside_a_kernel_change_nothing() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP + "asyncio._nest_patched = True")
        for source in ("wslab.allow_nested_loops()", "wslab.serve(echo, loop='kernel')"):
            assert "old, unmaintained nest_asyncio" in (kernel.run(source).error or "")
        kernel.check(
            "del asyncio._nest_patched\nimport sys; assert 'nest_asyncio2' not in sys.modules"
        )
        kernel.check("""
import importlib.metadata
version, importlib.metadata.version = importlib.metadata.version, lambda name: "1.7.2"
""")
        assert "1.7.2 silently loses the cells" in (
            kernel.run("wslab.allow_nested_loops()").error or ""
        )
        cells = kernel.run_all(
            ["importlib.metadata.version = version", "wslab.allow_nested_loops()", PASTED, *BEHIND]
        )
        assert statuses(cells) == ["ok"] * len(cells)


# Scripts.


def script(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )


def test_in_a_script_nothing_is_needed_and_nothing_is_done() -> None:
    done = script(
        "import sys, asyncio, wslab\nbefore = asyncio.run\nprint(wslab.allow_nested_loops())\n"
        "assert asyncio.run is before and 'nest_asyncio2' not in sys.modules\n" + PASTED
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "No event loop runs here, so asyncio.run(main()) works as it is. Nothing was changed.\n"
        "Hello world!\n"
    )


def test_in_async_code_of_a_script_it_nests() -> None:
    done = script("""
        import asyncio, wslab
        async def inner():
            await asyncio.sleep(0)
            return "inner"
        async def outer():
            print(wslab.allow_nested_loops().newly_applied)
            print(asyncio.run(inner()))
            print(wslab.run(inner))
        asyncio.run(outer())
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True\ninner\ninner\n"
