"""What this process has started, and a way to stop each."""

from __future__ import annotations

import pytest

import wslab
from wslab.errors import WrongThread
from wslab.notebook import cells, owners

pytestmark = pytest.mark.usefixtures("memory_network")


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def test_nothing_runs():
    assert list(wslab.running()) == []
    assert repr(wslab.running()) == "Nothing runs: no server, no client."
    assert "Nothing runs" in wslab.running()._repr_html_()


def test_each_is_listed_and_can_be_stopped():
    server = wslab.serve(echo, name="<b>echo")
    alice = wslab.connect(f"{server.url}?token=secret", name="alice")
    browser = wslab.Browser(server)
    listed = wslab.running()
    assert [(one.kind, one.thing) for one in listed] == [
        ("server", server),
        ("client", alice),
        ("browser", browser),
    ]
    lines = repr(listed).splitlines()
    assert " ".join(lines[0].split()) == f"[0] server '<b>echo' {server.url} 1 connection"
    assert "'alice'" in lines[1]
    assert "secret" not in repr(listed) + listed._repr_html_() + repr(listed[1])
    assert "OPEN" in lines[1]
    assert lines[-1] == "running()[0].stop() stops one, wslab.shutdown() all"
    assert "&lt;b&gt;echo" in listed._repr_html_()
    assert "running()[1].stop()" in listed._repr_html_()
    assert len(listed[1:]) == 2
    for one in reversed(listed):
        one.stop()
        one.stop()
    assert (server.is_serving, alice.close_code, len(wslab.running())) == (False, 1001, 0)
    assert len(listed) == 3  # a snapshot


def test_a_long_list_is_cut_in_views_only():
    with wslab.serve(echo, name="many") as server:
        clients = [wslab.connect(server, record=False) for _ in range(55)]
        listed = wslab.running()
        assert len(listed) == 56
        assert len(repr(listed).splitlines()) == 51
        assert repr(listed).splitlines()[-1].startswith("and 6 more; running()[0].stop()")
        assert "and 6 more" in listed._repr_html_()
        for client in clients:
            client.close()


def test_on_the_loop_it_can_be_looked_at_and_not_waited_for():
    with wslab.serve(echo) as server:

        async def look():
            with pytest.raises(WrongThread, match=r"stop\(\)"):
                wslab.running()[0].stop()
            return len(wslab.running())

        assert wslab.run(look) == 1
        assert server.is_serving


def test_who_started_it(monkeypatch):
    owner = owners.Owner(("module", "mine"), object())
    monkeypatch.setattr(owners, "current_owner", lambda: owner)
    with wslab.serve(echo):
        [one] = wslab.running()
        assert one.by == "module mine"
        assert "module mine" in repr(wslab.running())
    cells.close_cell(owner.key)
