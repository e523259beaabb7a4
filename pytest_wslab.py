"""pytest's plugin of wslab: options, hooks and fixtures, found by pytest itself.

It stands beside the package, so that a test run which uses none of it does not load wslab. Its
rule: what a fixture does is in `wslab.testing`; here it is only asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wslab import MemoryNetwork
    from wslab.testing.bench import Bench
    from wslab.testing.fixtures import Connect, Serve
    from wslab.testing.records import Records

__all__: list[str] = []

MODES = ("none", "once", "all")
_BENCH = pytest.StashKey["Bench"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("wslab", "WebSockets by wslab")
    group.addoption(
        "--wslab-seed",
        type=int,
        help="the seed of ws_network, as a failure has printed it; another one each time without",
    )
    group.addoption(
        "--wslab-record",
        choices=MODES,
        help="of ws_replay: none plays records only (the default), once makes those that are not "
        "there, all makes all of them anew",
    )
    parser.addini("wslab_record", "which records ws_replay makes (--wslab-record)", default="none")
    parser.addini("wslab_seed", "the seed of ws_network (--wslab-seed)", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Name our marker."""
    config.addinivalue_line(
        "markers",
        "ws_network(delay_s=0.0, jitter_s=0.0, max_chunk_bytes=None, ...): the network "
        "in memory that ws_serve and ws_connect use in this test",
    )


@pytest.fixture
def _ws_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    from wslab.testing.bench import Bench

    config = request.config
    seed = config.getoption("wslab_seed", None)
    if seed is None:
        seed = int(config.getini("wslab_seed") or -1)
    marker = request.node.get_closest_marker("ws_network")
    bench = Bench(None if seed < 0 else seed, marker.kwargs if marker is not None else {})
    request.node.stash[_BENCH] = bench
    yield bench
    bench.close()
    _fail_for(bench)


@pytest.fixture
def ws_serve(_ws_bench: Bench) -> Serve:
    """Start servers as wslab.serve does, in memory; a handler that raises fails the test."""
    from wslab.testing.fixtures import Serve

    return Serve(_ws_bench)


@pytest.fixture
def ws_connect(_ws_bench: Bench) -> Connect:
    """Connect clients as wslab.connect does; they are closed before the servers."""
    from wslab.testing.fixtures import Connect

    return Connect(_ws_bench)


@pytest.fixture
def ws_network(_ws_bench: Bench) -> MemoryNetwork:
    """Give the network in memory that this test's servers and clients use."""
    return _ws_bench.memory()


@pytest.fixture
def ws_replay(request: pytest.FixtureRequest, _ws_bench: Bench) -> Records:
    """Play a session that was recorded before, or record it (--wslab-record)."""
    from wslab.testing.records import FOLDER, Records

    config = request.config
    mode: Any = config.getoption("wslab_record", None) or config.getini("wslab_record")
    if mode not in MODES:
        raise pytest.UsageError(f"expected wslab_record = {', '.join(MODES)}, got {mode!r}")
    return Records(_ws_bench, request.path.parent / FOLDER, mode)


def _fail_for(bench: Bench) -> None:
    text = bench.take_failures()
    if text:
        pytest.fail(text, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test whose handler has raised."""
    result = yield
    bench = item.stash.get(_BENCH, None)
    if bench is not None:
        _fail_for(bench)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, of a test that failed, the frames, what handlers raised, and the seed."""
    report = yield
    bench = item.stash.get(_BENCH, None)
    if report.failed and bench is not None:
        bench.has_failed = True
        report.sections.extend(bench.sections())
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show the frames where the messages of one side are not what they should be."""
    if "wslab.wire.tape.sent" not in sys.modules:
        return None
    from wslab.testing.comparison import explained

    return explained(op, left, right)
