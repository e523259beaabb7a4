"""A widget that speaks while a cell ends: the next cell's output and end stay its own."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest

from tests.kernels import Kernel
from wslab.notebook.kernel_parent import keep_parent


class Pretended:
    """A kernel as far as it is asked: what its requests are, in one context."""

    def __init__(self) -> None:
        self.parents: list[tuple[str, str]] = []

    def dispatch_shell(self, msg: Any, *, concurrent: bool = False) -> None: ...

    def set_parent(self, ident: Any, parent: dict[str, Any], channel: str = "shell") -> None:
        self.parents.append((channel, parent.get("header", {}).get("msg_id", "")))


def request(msg_id: str) -> dict[str, Any]:
    return {"header": {"msg_id": msg_id}}


def test_a_request_that_comes_again_does_not_take_the_place_of_the_next() -> None:
    kernel = Pretended()
    for _ in range(2):
        keep_parent(kernel)
    kernel.set_parent(b"", request("a"))
    contextvars.copy_context().run(kernel.set_parent, b"", request("said by a page"))
    kernel.set_parent(b"", request("a"))  # it still runs
    kernel.set_parent(b"", request("b"))
    kernel.set_parent(b"", request("a"))
    kernel.set_parent(b"", request("a"), channel="control")
    kernel.set_parent(b"", {})
    assert kernel.parents == [
        ("shell", "a"),
        ("shell", "said by a page"),
        ("shell", "a"),
        ("shell", "b"),
        ("shell", "b"),
        ("control", "a"),
        ("shell", ""),
    ]


def test_a_kernel_that_does_no_such_thing_is_left_as_it_is() -> None:
    class Older(Pretended):
        def dispatch_shell(self, msg: Any) -> None: ...  # type: ignore[override]

    kernel = Older()
    keep_parent(kernel)
    keep_parent()  # no kernel runs this
    assert "set_parent" not in vars(kernel)


@pytest.mark.kernel
def test_cells_that_await_beside_a_widget_that_speaks_each_end() -> None:
    # Without us, ipykernel 7.4.0 takes an end away in every second round or more.
    with Kernel() as kernel:
        made = (
            "import asyncio, time\nfrom wslab.widgets import SecondsSlider\ns = SecondsSlider('s')"
        )
        comm_id = kernel.check(f"{made}\nprint(s.comm.comm_id)").strip()
        for turns in range(12):
            busy = f"time.sleep(0.1)\nfor _ in range({turns}):\n    await asyncio.sleep(0)"
            cells = [kernel.send(busy), kernel.send("await asyncio.sleep(0.02)\nprint('second')")]
            for _ in range(5):
                kernel.say(comm_id, {"method": "update", "state": {}, "buffer_paths": []})
            kernel.collect(cells, timeout=10)
            assert [cell.idle for cell in cells] == [True, True], turns
            assert [cell.text for cell in cells] == ["", "second\n"], turns
