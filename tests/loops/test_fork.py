"""After a fork: the parent goes on, and the child gets its own."""

from __future__ import annotations

import os

import pytest

from tests.loops.scripts import ends_within, loops, options, script, was_quiet


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@options
@loops
def test_a_fork_gets_a_fresh_portal_and_the_parents_goes_on(
    options: tuple[str, ...], uvloop: bool
) -> None:
    source = """
        import os, select, socket, sys, warnings
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # fork with threads
        import wslab
        from wslab import errors
        from wslab.loops import portals
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        server = wslab.serve(echo)
        client = wslab.connect(server)
        client.send("before"); assert client.recv(timeout=5) == "before"
        parents = portals.lab()
        done_r, done_w = os.pipe(); go_r, go_w = os.pipe(); after_r, after_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go_w); os.close(done_r)
            try:
                parents.call(print)
            except errors.PortalClosed as exc:
                assert "fork" in str(exc), exc
            else:
                raise AssertionError("the parent's portal worked in the child")
            assert portals.lab() is not parents
            with wslab.serve(echo) as own, wslab.connect(own) as to_own:
                to_own.send("child"); assert to_own.recv(timeout=5) == "child"
            with wslab.connect(server.url) as to_parent:
                to_parent.send("up"); assert to_parent.recv(timeout=5) == "up"
            os.write(done_w, b"1"); os.close(done_w)
            os.read(go_r, 1)  # lives on until the parent has stopped its server
            sys.exit(0)
        os.close(go_r); os.close(done_w)
        assert os.read(done_r, 1) == b"1"
        client.send("after"); assert client.recv(timeout=5) == "after"
        port = server.port
        server.stop()
        assert client.close_code == 1001, client.close_code
        again = socket.socket()
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port)); again.listen(); again.close()
        os.close(go_w)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    ends_within(1.0, source, *options, uvloop=uvloop)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@loops
def test_a_forked_child_ends_with_its_own_status_and_its_handles_refuse(uvloop: bool) -> None:
    source = """
        import os, sys, warnings
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # fork with threads
        import wslab
        from wslab import errors
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        with wslab.serve(echo) as server, wslab.connect(server) as alice:
            alice.send("one"); assert alice.recv(timeout=5) == "one"
            alice.send("kept")
            pid = os.fork()
            if pid == 0:
                asked = {
                    "send()": lambda: alice.send("x"), "recv()": lambda: alice.recv(timeout=60),
                    "ping()": alice.ping, "close()": alice.close,
                    "emit()": lambda: alice.emit("x"), "call()": lambda: alice.call("x"),
                    "server.stop()": server.stop, "server.restart()": server.restart,
                    "server.start_serving()": server.start_serving,
                }
                for what, ask in asked.items():
                    try:
                        ask()
                    except errors.PortalClosed as exc:
                        assert str(exc).startswith(what + ": "), exc
                        assert "call serve() or connect() again here" in str(exc), exc
                    else:
                        raise AssertionError(what)
                assert not server.is_serving and server.connections == ()
                assert "of the parent process" in repr(server) + repr(alice)
                wslab.shutdown()
                sys.exit(3)  # and so leaves both blocks
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
            assert alice.recv(timeout=5) == "kept"  # and the parent's go on
            assert server.is_serving
            pid = os.fork()
            if pid == 0:  # with something of its own
                with wslab.serve(echo) as own, wslab.connect(own) as bob:
                    bob.send("two"); assert bob.recv(timeout=5) == "two"
                    sys.exit(4)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
            alice.send("three"); assert alice.recv(timeout=5) == "three"
    """
    done, _ = script(source, uvloop=uvloop)
    was_quiet(done)
