"""A pretended shell, in which the cell that asks is what the test says; and things to start."""

from __future__ import annotations

import concurrent.futures
import contextvars
from collections.abc import Callable
from typing import Any

from wslab.notebook import cells


class Shell:
    """As much of a notebook's shell as the registry looks at."""

    def __init__(self) -> None:
        self.parent: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("parent")
        self.latest: dict[str, Any] = {}
        self.callbacks: dict[str, list[Callable[[Any], None]]] = {}
        self.events = self
        self._requests = 0

    def register(self, event: str, callback: Callable[[Any], None]) -> None:
        self.callbacks.setdefault(event, []).append(callback)

    def get_parent(self) -> dict[str, Any]:
        return self.parent.get(self.latest)

    def run(
        self,
        cell_id: str | None,
        code: Callable[[], Any],
        *,
        kind: str = "execute_request",
        deleted: tuple[str, ...] = (),
        source: str = "",
    ) -> Any:
        self._requests += 1
        metadata: dict[str, Any] = {"deletedCells": list(deleted)}
        if cell_id is not None:
            metadata["cellId"] = cell_id
        header = {"msg_type": kind, "msg_id": f"request {self._requests}"}
        self.latest = {"header": header, "metadata": metadata, "content": {"code": source}}
        self.parent.set(self.latest)
        for callback in self.callbacks.get("pre_run_cell", []):
            callback(None)
        try:
            return code()
        finally:
            for callback in self.callbacks.get("post_run_cell", []):
                callback(None)


class Thing:
    """Something that closes at once, late, with an error, or never."""

    def __init__(self, name: str = "thing", *, closes: str = "at once") -> None:
        self.name = name
        self.closes = closes
        self.closed: list[bool] = []  # one for each begin_close: whether it was replaced
        self._closing: concurrent.futures.Future[None] = concurrent.futures.Future()

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        self.closed.append(replaced)
        if self.closes == "not any more":
            raise RuntimeError("its loop has ended")
        if self.closes == "at once":
            self.let_go()
        elif self.closes == "with an error" and not self._closing.done():
            cells.forget(self)
            self._closing.set_exception(OSError("it went wrong"))
        return self._closing

    def let_go(self) -> None:
        cells.forget(self)
        if not self._closing.done():
            self._closing.set_result(None)

    def held(self) -> str | None:
        return "the loop is held by somebody" if self.closes == "never" else None

    def __repr__(self) -> str:
        return f"<{self.name}>"


def start(kind: str = "server", *, place: object = None, keep: bool = False, **how: Any) -> Thing:
    claim = cells.claim(kind, keep=keep)
    thing = Thing(str(claim.handover), **how)
    claim.adopt(thing, claim.handover or place)
    return thing


def in_thread(func: Callable[[], Any]) -> Any:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(func).result(5)
