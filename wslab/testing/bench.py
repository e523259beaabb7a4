"""Bench: what one test has started, what its handlers let through, and how all of it ends.

Its rule: clients close before servers, servers before the network; whatever fails on the way, the
rest ends too. It knows nothing of pytest: the plugin asks it and fails the test.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..client.client import Client
from ..failures import Failure, FailureLog
from ..network.memory import MemoryNetwork
from ..server.server import Server
from ..taps.tap import Tap
from ..wire.tape.conversation import conversation
from ..wire.tape.sent import labels_of
from ..wire.tape.tape import Tape
from .expectation import Expectation

__all__ = ["Bench"]

MAX_SHOWN = 3  # failures that are shown in full
MAX_TRACEBACK_CHARS = 4_000


class Bench:
    """The servers, clients and network of one test.

    Args:
        seed: of its network in memory; None: another one each time.
        conditions: of that network, as :class:`MemoryNetwork` takes them.

    Attributes:
        servers, clients: those that it has started, in order.
        network: the network in memory, once there is one.
        has_failed: whether the test has failed, as far as is known.
    """

    def __init__(self, seed: int | None, conditions: Mapping[str, Any]) -> None:
        self.servers: list[Server | Tap] = []
        self.clients: list[Client] = []
        self.network: MemoryNetwork | None = None
        self.has_failed = False
        self._is_tcp = False
        self._seed = seed
        self._conditions = conditions
        self._closing = tuple(contextlib.ExitStack() for _ in range(3))
        self._lock = threading.Lock()
        self._failures = FailureLog()
        self._expected: list[Expectation] = []
        self._complaints: list[str] = []
        self._told = 0  # failures of clients' functions that have been told or were expected

    # Starting.

    @property
    def is_tcp(self) -> bool:
        """Whether something of this test uses TCP."""
        return self._is_tcp

    def memory(self) -> MemoryNetwork:
        """Return this test's network in memory, in use from now on.

        Raises:
            ValueError: something of this test uses TCP.
        """
        if self._is_tcp:
            raise ValueError(
                "expected all of one test over TCP, or all in memory: tcp=True was asked for "
                "before, and servers and clients in memory are out of its reach"
            )
        if self.network is None:
            network = MemoryNetwork(seed=self._seed, **self._conditions)
            self.network = self._closing[0].enter_context(network)
        return self.network

    def use(self, *, tcp: bool) -> None:
        """Use TCP for what follows, or the network in memory.

        Raises:
            ValueError: this test has used the other one.
        """
        if not tcp:
            self.memory()
        elif self.network is not None:
            raise ValueError(
                "expected all of one test over TCP, or all in memory: this test has a network in "
                "memory (ws_network, or an earlier call without tcp=True), which stands in TCP's "
                "way"
            )
        self._is_tcp = self._is_tcp or tcp

    def add_server(self, server: Server | Tap, stop: Callable[[], object] | None = None) -> None:
        """Stop it at the end, and let what its handlers raise fail the test.

        Args:
            stop: how, where there is more to do than that.
        """
        self._closing[1].callback(stop or server.stop)
        self.servers.append(server)
        server.errors.listen(self._note, kept=True)

    def add_client(self, client: Client) -> None:
        """Close it at the end; what its event handlers raise fails the test."""
        self._closing[2].callback(client.close)
        self.clients.append(client)

    def close(self) -> None:
        """Close clients, then servers, the newest first, then the network."""
        self._reset_stuck()
        network, servers, clients = self._closing
        with network, servers, clients:
            pass

    def _reset_stuck(self) -> None:
        """End by RST what a test has left cut or unread: a goodbye would only time out."""
        for pair in self.network.connections if self.network is not None else ():
            if any(each.is_cut or each.is_stopped for each in (pair.client, pair.server)):
                pair.reset()
        networks = [client.network for client in self.clients]
        networks += [each.network for server in self.servers for each in server.connections]
        for network in networks:
            if network.is_cut or network.is_stopped:
                network.reset()
                network.resume_reading()  # who does not read is not told

    # What user code let through.

    def expect(self, expectation: Expectation) -> None:
        """Let it take what fits, from now on."""
        with self._lock:
            self._expected.append(expectation)

    def expect_no_more(self, expectation: Expectation) -> None:
        """Let it take nothing more."""
        with self._lock:
            self._expected.remove(expectation)

    def _note(self, failure: Failure) -> None:
        with self._lock:
            takers = [each for each in reversed(self._expected) if each.take(failure)][:1]
        if not takers:
            self._failures.append(failure)

    def complain(self, text: str) -> None:
        """Let the test fail with this text."""
        self._complaints.append(text)

    def take_failures(self) -> str:
        """Say what no one has expected and was not told yet; "" where that is nothing."""
        complaints, self._complaints = self._complaints, []
        return "\n\n".join(filter(None, [*complaints, self._take_exceptions()]))

    def _take_exceptions(self) -> str:
        raised = [error for client in self.clients for error in client.errors if error.traceback]
        told, self._told = self._told, len(raised)
        failures = [*self._failures, *raised[told:]]
        dropped = self._failures.dropped
        self._failures = FailureLog()
        if not failures:
            return ""
        count = len(failures) + dropped
        exceptions = "an exception" if count == 1 else f"{count} exceptions"
        told_of = [
            f"{failure}\n{failure.end_of_traceback(MAX_TRACEBACK_CHARS)}"
            for failure in failures[:MAX_SHOWN]
        ]
        if count > len(told_of):
            told_of.append(f"... and {count - len(told_of)} more")
        return (
            f"a handler let {exceptions} through that no `with ws_serve.expect_errors(...)` "
            "expects:\n\n" + "\n".join(told_of)
        )

    # What to show of a test that failed.

    def sections(self) -> list[tuple[str, str]]:
        """Return titles and texts: what handlers raised, the frames, the seed."""
        sections = []
        failures = self.take_failures()
        if failures:
            sections.append(("wslab: exceptions", failures))
        tapes = {f"server {server.name!r}": server.tape for server in self.servers}
        if not self.servers:
            tapes = {f"client {client.name!r}": client.tape for client in self.clients}
        sections += [
            (f"wslab: frames of {name}", _shown(tape)) for name, tape in tapes.items() if tape
        ]
        if self.network is not None:
            seed = self.network.seed
            sections.append(("wslab: network", f"seed {seed}; again with --wslab-seed={seed}"))
        return sections


def _shown(tape: Tape) -> str:
    return conversation(tape.iter_events(), labels_of(tape.recorder))
