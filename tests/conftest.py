"""What every test shares: the browser, and the proof that a test leaves nothing behind."""

from __future__ import annotations

import collections
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import redis_server
from tests.browser import NAMES, Chromium, Sync, find_chromium
from tests.leaks import Snapshot, wait_for_nothing
from wslab.network.memory import MemoryNetwork

# Files of long tests that need nothing of one another, each of which is a worker's for itself.
ONE_BY_ONE = ("tests/test_course.py::", "tests/network/reality/test_conditions_are_real.py::")
pytest_plugins = ["pytester"]  # runs of pytest inside a test, for our own plugin

REQUIRE_BROWSER = os.environ.get("REQUIRE_BROWSER", "") not in ("", "0")
NO_BROWSER = (
    f"no Chromium on the PATH ({', '.join(NAMES)}); on Debian and Ubuntu: apt install chromium"
)

# A busy machine is no failure: pytest's own limit bounds a property that hangs.
settings.register_profile("wslab", settings.default, deadline=None)
settings.load_profile("wslab")


def pytest_configure() -> None:
    """Take interrupts, also where a shell has started us in the background and so ignores them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what needs a browser last; without one skip it, with one reason for all.

    What starts kernels comes first: it waits a lot, so that who runs several tests at a time shall
    not be left with it at the end.
    """
    items.sort(
        key=lambda item: (
            item.get_closest_marker("browser") is not None,
            item.get_closest_marker("kernel") is None,
        )
    )
    if find_chromium() is None and not REQUIRE_BROWSER:
        skip = pytest.mark.skip(reason=NO_BROWSER)
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files with `--dist loadfile`, but of some files one test after the other."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(ONE_BY_ONE) else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fold the skips for want of a browser into one line of the summary."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_BROWSER in report.longrepr[2]:
        report.longrepr = (str(Path(__file__).parent), None, report.longrepr[2])
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which files took the time, where --durations asks for the tests that did."""
    if not config.option.durations:
        return
    by_file: collections.Counter[str] = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                by_file[report.nodeid.partition("::")[0]] += report.duration  # type: ignore[assignment]
    terminalreporter.section("slowest 20 files")
    for name, took_s in by_file.most_common(20):
        terminalreporter.write_line(f"{took_s:7.1f}s {name}")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, socket, child process or task on the lab's loop."""
    before = Snapshot.take()
    yield
    left = wait_for_nothing(before)
    if left:
        pytest.fail("left behind by this test:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def memory_network() -> Iterator[MemoryNetwork]:
    """A network in memory for all servers and clients on event loops; TCP is out of reach.

    For what is not about the operating system: `pytestmark = pytest.mark.usefixtures(...)`.
    """
    with MemoryNetwork(seed=1) as network:
        yield network


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis that tests share, each with a hub's name of its own; its URL."""
    redis_server.need()
    with redis_server.RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def _browser() -> Iterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        assert not REQUIRE_BROWSER, f"REQUIRE_BROWSER is set, but there is {NO_BROWSER}"
        pytest.skip(NO_BROWSER)
    browser = Chromium(executable)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def chromium(_browser: Chromium) -> Sync:
    """Playwright's Browser: `chromium.new_page()`, `chromium.new_context()`; no `await` needed."""
    return _browser.browser


@pytest.fixture(scope="session")
def expect(_browser: Chromium) -> Sync:
    """Playwright's `expect`, for the objects of `chromium`."""
    return _browser.expect


@pytest.fixture
def page(chromium: Sync) -> Iterator[Sync]:
    """A fresh page in a context of its own."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()
