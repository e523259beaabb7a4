"""What the fixtures ws_serve and ws_connect are: functions that start things for one test.

Their rule: they take what `wslab.serve` and `wslab.connect` take, and return what these return;
where it runs, and how it ends, is the bench's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..client.client import Client
from ..client.connect import connect
from ..failures import Failure
from ..server.serve import serve
from ..server.server import Server
from .bench import Bench
from .expectation import Expectation

__all__ = ["Connect", "Serve"]


class Serve:
    """The fixture ``ws_serve``; call it as :func:`wslab.serve`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __call__(self, handler: Any, *args: Any, tcp: bool = False, **kwargs: Any) -> Server:
        """Start a server; it is stopped when the test and all its clients have ended.

        An exception that its handler, its hooks or its hub's handlers let through fails the test.

        Args:
            handler: as for :func:`wslab.serve`, as are all other arguments.
            tcp: use TCP on loopback, in place of the network in memory: for TLS, for a browser,
                for clients that do not stand on asyncio.

        Raises:
            ValueError: the test has used the other network already.
        """
        self._bench.use(tcp=tcp)
        server = serve(handler, *args, **kwargs)
        self._bench.add_server(server)
        return server

    @contextlib.contextmanager
    def expect_errors(
        self,
        *kinds: type[BaseException],
        match: str | None = None,
        count: int = 1,
        timeout: float = 5.0,
    ) -> Iterator[list[Failure]]:
        """Expect handlers to raise within the block; gives the list that the failures come into.

        The end of the block waits for them, since a handler runs beside the test.

        Args:
            kinds: classes of exceptions; each has to come.
            match: a regular expression that is found in what they say.
            count: how many of each.
            timeout: seconds that the end of the block waits.

        Raises:
            AssertionError: they did not come.
            TypeError: no kind was named.
        """
        if not kinds:
            raise TypeError("expected at least one class of exceptions, as expect_errors(KeyError)")
        expectation = Expectation(kinds, match, count)
        self._bench.expect(expectation)
        try:
            yield expectation.failures
            missing = expectation.missing_after(timeout)
        finally:
            self._bench.expect_no_more(expectation)
        if missing:
            raise AssertionError(missing)


class Connect:
    """The fixture ``ws_connect``; call it as :func:`wslab.connect`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __call__(self, target: Any, *, tcp: bool = False, **kwargs: Any) -> Client:
        """Connect a client; it is closed at the end of the test, before the servers.

        Args:
            target: a Server or a URL, as for :func:`wslab.connect`, as are all other arguments.
            tcp: use TCP, for a server that this test has not started.

        Raises:
            ValueError: the test has used the other network already.
        """
        self._bench.use(tcp=tcp or self._bench.is_tcp)
        client = connect(target, **kwargs)
        self._bench.add_client(client)
        return client
