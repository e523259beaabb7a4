"""A real Chromium for the tests: Playwright's whole API, called without `await`.

Playwright's own sync API leaves its event loop marked as running in the calling thread, where
pytest-asyncio and `asyncio.run` then refuse to work. So its async API runs on a thread of its own
here, and `Sync` stands before every object of it: a call waits for the result, an event handler
gets wrapped objects (and runs on that thread: let it collect, not wait).
Left out: choosing among browsers, and downloading one.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import shutil
import threading
from collections.abc import Callable
from typing import Any

FLAGS = (
    "--no-sandbox",  # Chromium's sandbox does not work as root in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name of somebody else's that leads to this machine, as by DNS rebinding.
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
EXPECT_S = 20.0  # for a page beside others on a small machine; who sees it sooner goes on sooner
DEADLINE_S = 100.0  # under pytest's own limit, so that the error names the call that hung


def find_chromium() -> str | None:
    """Return the path of a Chromium on the PATH, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class LoopThread:
    """An event loop on a daemon thread; `wait` calls a function there and awaits its result."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="browser", daemon=True)
        self._thread.start()

    def wait(self, call: Callable[[], Any]) -> Any:
        if threading.current_thread() is self._thread:
            # An event handler called something: waiting for it would stop what it waits for.
            value = call()
            return self._loop.create_task(value) if inspect.iscoroutine(value) else value

        async def settle() -> Any:
            value = call()
            return await value if inspect.isawaitable(value) else value

        future = asyncio.run_coroutine_threadsafe(settle(), self._loop)
        try:
            return future.result(DEADLINE_S)
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Sync:
    """One object of Playwright's async API, usable from plain code."""

    def __init__(self, target: Any, loop: LoopThread) -> None:
        self.__dict__["_target"] = target
        self.__dict__["_loop"] = loop

    def __getattr__(self, name: str) -> Any:
        return self._wrap(getattr(self._target, name))

    def __repr__(self) -> str:
        return f"Sync({self._target!r})"

    def __eq__(self, other: object) -> bool:
        return self._target == _bare(other)

    def __hash__(self) -> int:
        return hash(self._target)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = tuple(self._bare_or_handler(arg) for arg in args)
        kwargs = {key: self._bare_or_handler(arg) for key, arg in kwargs.items()}
        return self._on_loop(lambda: self._target(*args, **kwargs))

    def __enter__(self) -> Any:
        return self._on_loop(self._target.__aenter__)

    def __exit__(self, *exc_info: Any) -> None:
        self._on_loop(lambda: self._target.__aexit__(*exc_info))

    def _on_loop(self, call: Callable[[], Any]) -> Any:
        return self._wrap(self._loop.wait(call))

    def _wrap(self, value: Any) -> Any:
        if inspect.iscoroutine(value):  # `info.value` of `with page.expect_...() as info`
            return self._on_loop(lambda: value)
        if isinstance(value, list):
            return [self._wrap(item) for item in value]
        if inspect.ismethod(value) or type(value).__module__.startswith("playwright."):
            return Sync(value, self._loop)
        return value

    def _bare_or_handler(self, value: Any) -> Any:
        if isinstance(value, Sync):
            return value._target
        if inspect.isroutine(value):
            return _handler(value, self._loop)
        return value


def _bare(value: Any) -> Any:
    return value._target if isinstance(value, Sync) else value


@functools.cache  # so that `page.remove_listener(event, handler)` finds what `page.on` was given
def _handler(function: Callable[..., Any], loop: LoopThread) -> Callable[..., Any]:
    wrapper = Sync(None, loop)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return _bare(function(*(wrapper._wrap(arg) for arg in args)))

    return call


class Chromium:
    """Start a browser; `browser` is Playwright's Browser behind `Sync`, `expect` its `expect`."""

    def __init__(self, executable: str) -> None:
        self._loop = LoopThread()
        try:
            self._loop.wait(lambda: self._start(executable))
        except BaseException:
            self._loop.close()
            raise

    async def _start(self, executable: str) -> None:
        from playwright.async_api import async_playwright, expect

        self._playwright = await async_playwright().start()
        browser = await self._playwright.chromium.launch(
            executable_path=executable, args=list(FLAGS)
        )
        self.browser = Sync(browser, self._loop)
        expect.set_options(timeout=EXPECT_S * 1000)
        self.expect = Sync(expect, self._loop)

    def close(self) -> None:
        async def stop() -> None:
            await self.browser._target.close()
            await self._playwright.stop()

        try:
            self._loop.wait(stop)
        finally:
            self._loop.close()
