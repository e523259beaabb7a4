"""A test run inside a test: what the plugin makes of a suite that somebody else has written."""

from __future__ import annotations

import contextlib
import gc
import textwrap
from importlib.metadata import entry_points

import pytest

import wslab.testing  # noqa: F401

# An inner run forgets the modules that it was first to load, and uvloop's loops with them.
with contextlib.suppress(ImportError):
    import uvloop  # noqa: F401

IS_INSTALLED = bool(entry_points(group="pytest11", name="wslab"))

HANDLERS = """
import asyncio
import pytest
import websockets
import wslab

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def picky(websocket):
    async for message in websocket:
        raise ValueError(f"no {message}, please")
"""


def run(pytester: pytest.Pytester, code: str, *args: str, apart: bool = False):
    """Run a file of tests; return its result.

    Args:
        code: the tests; the handlers above are at hand.
        args: of pytest.
        apart: in a process of its own.
    """
    pytester.makepyfile(test_theirs=HANDLERS + textwrap.dedent(code))
    plugin = () if IS_INSTALLED else ("-p", "pytest_wslab")
    args = ("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function", *args)
    start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    # pytest parses a test that failed while websockets' thread may still log the handler's
    # exception, which parses, too. Where a collection comes in between, CPython 3.11 mixes the two
    # up: "SystemError: AST constructor recursion depth mismatch".
    gc.disable()
    try:
        return start(*plugin, *args)
    finally:
        gc.enable()
