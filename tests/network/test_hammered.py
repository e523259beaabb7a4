"""Threads that set, cut and clear the networks of a running conversation: nothing is lost, nothing
comes twice, the order stays, and in the end nothing is held."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import wslab
from tests.peers import client_tls, server_tls, until
from tests.server.rig import echo

PAIRS, MESSAGES, HAMMERS = 4, 250, 3
VERBS: list[Callable[[Any, random.Random], object]] = [
    lambda network, rng: network.cut(),
    lambda network, rng: network.restore(),
    lambda network, rng: network.restore(),
    lambda network, rng: network.stop_reading(),
    lambda network, rng: network.resume_reading(),
    lambda network, rng: network.resume_reading(),
    lambda network, rng: network.clear(),
    lambda network, rng: network.use("3g"),
    lambda network, rng: setattr(network, "delay_s", rng.choice([0.0, 0.001, (0.01, 0.0)])),
    lambda network, rng: setattr(network, "jitter_s", rng.choice([0.0, (0.0, 0.01)])),
    lambda network, rng: setattr(network, "bytes_per_s", rng.choice([None, 1e6, (1e7, None)])),
    lambda network, rng: (repr(network), network.held_bytes),
]


@contextlib.contextmanager
def hammered(networks: list[Any], seed: int) -> Iterator[None]:
    """Let threads do what they like to networks, which in the end are as they were."""
    is_over = threading.Event()

    def hammer(number: int) -> None:
        rng = random.Random(f"{seed} {number}")
        while not is_over.wait(rng.choice([0, 0, 0.001, 0.01])):
            rng.choice(VERBS)(rng.choice(networks), rng)

    with ThreadPoolExecutor(HAMMERS) as pool:
        hammers = [pool.submit(hammer, number) for number in range(HAMMERS)]
        try:
            yield
        finally:
            is_over.set()
            for each in hammers:
                each.result(10)
            for network in networks:
                network.clear()


def talk(alice: wslab.Client, seed: int, said: list[int]) -> None:
    rng = random.Random(seed)
    for number in range(MESSAGES):
        message = f"{number} " + "x" * rng.choice([0, 10, 200, 5_000, 70_000])
        said.append(zlib.crc32(message.encode()))
        alice.send(message, timeout=30)


def hear(alice: wslab.Client, heard: list[int]) -> None:
    for _ in range(MESSAGES):
        heard.append(zlib.crc32(alice.recv(timeout=30).encode()))


@pytest.mark.usefixtures("lab_loop")
@pytest.mark.parametrize("over", ["tcp", "tls", "memory"])
def test_a_conversation_survives_whatever_threads_do_to_its_network(over, request):
    if over == "memory":
        request.getfixturevalue("memory_network")
    ours, theirs = ({"ssl": tls()} if over == "tls" else {} for tls in (server_tls, client_tls))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(wslab.serve(echo, ping_interval=None, **ours))
        clients = [
            stack.enter_context(wslab.connect(server, ping_interval=None, **theirs))
            for _ in range(PAIRS)
        ]
        until(lambda: len(server.connections) == PAIRS)
        networks = [each.network for each in (*clients, *server.connections)]
        said: list[list[int]] = [[] for _ in clients]
        heard: list[list[int]] = [[] for _ in clients]
        with ThreadPoolExecutor(2 * PAIRS) as pool:
            with hammered(networks, seed=5):
                talks = list(map(pool.submit, itertools.repeat(talk), clients, range(9), said))
                hears = list(map(pool.submit, itertools.repeat(hear), clients, heard))
                # Half of it while they hammer, the rest on what they leave behind.
                until(lambda: sum(map(len, heard)) > PAIRS * MESSAGES / 2, within_s=30)
            for each in (*talks, *hears):
                each.result(30)
        assert heard == said
        until(lambda: not any(network.held_bytes for network in networks))
