"""The functions behind ws_serve and ws_connect."""

from __future__ import annotations

import pytest

from tests.server.rig import echo, failing
from wslab.testing.bench import Bench
from wslab.testing.fixtures import Connect, Serve


@pytest.fixture
def bench():
    bench = Bench(1, {})
    yield bench
    bench.close()


@pytest.mark.parametrize("tcp", [True, False])
def test_they_take_what_serve_and_connect_take(bench, tcp):
    server = Serve(bench)(echo, "127.0.0.1", tcp=tcp, name="mine", record=False)
    client = Connect(bench)(server, name="alice", record=False)
    client.send("x")
    assert client.recv(timeout=5) == "x"
    assert (server.name, server.tape, client.tape) == ("mine", None, None)
    assert (bench.network is None) is tcp
    assert (bench.servers, bench.clients) == ([server], [client])


def test_what_is_expected_is_waited_for_and_not_told(bench):
    serve = Serve(bench)
    client = Connect(bench)(serve(failing(KeyError("x"))))
    with serve.expect_errors(LookupError) as failures:
        client.send("x")
    assert [failure.kind for failure in failures] == ["KeyError"]
    assert bench.take_failures() == ""


def test_what_comes_after_the_block_is_told(bench):
    serve = Serve(bench)
    server = serve(failing(KeyError("x")))
    with serve.expect_errors(KeyError):
        Connect(bench)(server).send("x")
    client = Connect(bench)(server)
    client.send("x")
    server.tape.wait_for(kind="close", count=2, sender="server")
    assert "KeyError" in bench.take_failures()


def test_where_the_block_itself_fails_that_is_what_is_raised(bench):
    serve = Serve(bench)
    with pytest.raises(ZeroDivisionError), serve.expect_errors(KeyError):
        raise ZeroDivisionError
    with (
        pytest.raises(AssertionError, match="raise KeyError"),
        serve.expect_errors(KeyError, timeout=0),
    ):
        pass
    with pytest.raises(TypeError, match="at least one class"), serve.expect_errors():
        pass
