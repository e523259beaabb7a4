"""A kernel's servers make themselves known, and keep their URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wslab
from tests.jupyters import BASE_URL, Jupyter, read_to_end
from tests.tunnel.rig import echo, tunnel_to
from wslab.tunnel.registry.jupyter import announce
from wslab.tunnel.registry.kernel import tunnel_is_there

pytestmark = pytest.mark.usefixtures("kernel")


def test_the_url_outlives_a_restart_and_another_server_on_the_same_port(jupyter: Jupyter) -> None:
    with wslab.serve(echo) as server:
        name = server.tunnel_id
        server.restart()
        assert server.tunnel_id == name
        tunnel_to(server, jupyter).handshake().close()
    assert server.tunnel_id == ""
    with wslab.serve(echo, port=server.port) as again:
        assert again.tunnel_id == name
        tunnel_to(again, jupyter).handshake().close()


def test_two_servers_are_told_apart(jupyter: Jupyter) -> None:
    with wslab.serve(echo, page="one") as one, wslab.serve(echo, page="two") as two:
        assert one.tunnel_id != two.tunnel_id
        for server, text in ((one, b"one"), (two, b"two")):
            with tunnel_to(server, jupyter).dial() as sock:
                assert read_to_end(sock).endswith(text)


def test_a_plain_script_writes_nothing(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_PARENT_PID")
    with wslab.serve(echo) as server:
        assert server.tunnel_id == ""
        assert not list(jupyter.runtime.glob("wslab-[0-9a-f]*"))


def test_a_kernel_with_another_runtime_directory_has_no_tunnel(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Jupyter's server would look for the entry in its own, so no page must be sent there."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", BASE_URL)

    def leads_to_the_tunnel() -> bool:
        with wslab.serve(echo) as server:
            kinds = [route.kind for route in server.routes]
            leads = {"wslab/" in server.browser_url, "wslab/" in server.page_url}
            assert leads == {bool(server.tunnel_id)} == {"tunnel" in kinds}
            return bool(server.tunnel_id)

    assert not leads_to_the_tunnel()
    # Nor where another Jupyter with a tunnel (this process plays it) has its files there.
    other = announce()
    assert other is not None
    assert tunnel_is_there({}) is True  # to a program in that one's terminal
    assert not leads_to_the_tunnel()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(jupyter.runtime))
    assert leads_to_the_tunnel()
    other.remove()


def test_a_failure_to_write_is_said_and_does_not_stop_the_server(
    jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wslab.tunnel.register", full)
    with wslab.serve(echo) as server:
        assert server.tunnel_id == ""
        assert "No space left on device" in server.note
        with wslab.connect(server) as client:
            client.send("hello")
            assert client.recv(timeout=10) == "hello"
