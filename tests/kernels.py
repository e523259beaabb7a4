"""Run cells in a real Jupyter kernel, queued all at once as Run All queues them.

A front end sends every cell without waiting for the one before; nbclient waits for each reply and
so hides whatever loses a queued cell. `Kernel` speaks the protocol with plain ZeroMQ sockets: no
event loop here that could hide or cause anything. A cell without a reply has the status "lost".
Left out: stdin, comms that answer back, choosing another kernelspec.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat
import zmq
import zmq.asyncio
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session

from tests.peers import free_port

PROJECT = Path(__file__).resolve().parent.parent
CHANNELS = {"shell": zmq.DEALER, "control": zmq.DEALER, "iopub": zmq.SUB}
LINGER_S = 0.5  # after a kernel's death: what it had sent may still be on its way


def environment(**extra: str) -> dict[str, str]:
    """Return the environment for a kernel: the checkout on the path, no widget for a debugger."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | extra


@dataclass
class Cell:
    """What came back for one cell.

    `status` is "ok", "error", "aborted" (queued behind one that failed) or "lost" (no reply).
    """

    source: str
    cell_id: str
    status: str = "lost"
    idle: bool = False
    execution_count: int | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    seconds: float | None = None

    @property
    def text(self) -> str:
        """All that the cell wrote to stdout and stderr, and its result as plain text."""
        pieces = [output.get("text", "") for output in self.outputs]
        pieces += [output["data"].get("text/plain", "") for output in self.results]
        return "".join(pieces)

    @property
    def results(self) -> list[dict[str, Any]]:
        """The outputs that carry MIME data: displays and the value of the last line."""
        return [output for output in self.outputs if "data" in output]

    @property
    def error(self) -> str | None:
        """The exception as "Name: words", or None."""
        for output in self.outputs:
            if output["output_type"] == "error":
                return f"{output['ename']}: {output['evalue']}"
        return None

    @property
    def interrupted(self) -> bool:
        """Whether it ended by an interrupt.

        Where that hits an instruction without a line (Python 3.12), IPython cannot format the
        traceback and prints its own failure instead: an error without an error output.
        """
        error = self.error or "KeyboardInterrupt"
        return self.status == "error" and error.startswith("KeyboardInterrupt")


class Kernel:
    """A kernel of this interpreter; as a context manager it is gone, by its pid, at the end.

    Args:
        env: variables on top of this process's.
        cwd: the kernel's working directory; None is a fresh temporary one, as far from the
            checkout as a user's.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wslab-kernel-")
        self._env = environment(
            IPYTHONDIR=f"{self._folder.name}/ipython",
            JUPYTER_RUNTIME_DIR=self._folder.name,
            **(env or {}),
        )
        self._cwd = cwd or Path(self._folder.name)
        self._cells: dict[str, Cell] = {}
        self._sent_s: dict[str, float] = {}
        self.messages: list[dict[str, Any]] = []  # all of iopub, in order, for tests that look
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- life ------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def _start(self) -> None:
        # Its ports are chosen here and bound there: in between somebody else may take one.
        try:
            for _ in range(3):
                try:
                    return self._start_once()
                except RuntimeError as exc:
                    if "Address already in use" not in str(exc):
                        raise
                    self._end()
                    taken = exc
            raise taken
        except BaseException:
            self.close()
            raise

    def _start_once(self) -> None:
        self._log = Path(self._folder.name) / f"kernel-{uuid.uuid4().hex[:6]}.log"
        key = uuid.uuid4().hex.encode()
        # No port of those that any test's server may get meanwhile: a ZeroMQ socket that has once
        # met an echo of what it sent never connects again, so a kernel would be waited for in vain.
        file, info = write_connection_file(
            f"{self._folder.name}/{uuid.uuid4().hex}.json",
            key=key,
            **{f"{name}_port": free_port() for name in (*CHANNELS, "stdin", "hb")},
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ipykernel_launcher", "-f", file],
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._context: zmq.Context[Any] = zmq.Context()
        self._session = Session(key=key, signature_scheme=info["signature_scheme"])
        self._sockets: dict[str, zmq.Socket[Any]] = {}
        self._poller = zmq.Poller()
        for name, kind in CHANNELS.items():
            socket = self._context.socket(kind)
            socket.linger = 0
            if kind == zmq.SUB:
                socket.subscribe(b"")
            socket.connect(f"tcp://{info['ip']}:{info[f'{name}_port']}")
            self._sockets[name] = socket
            self._poller.register(socket, zmq.POLLIN)
        self._wait_ready(60.0)

    def _wait_ready(self, timeout: float) -> None:
        # A SUB socket misses what is published before it has subscribed: ask until it hears.
        deadline = time.monotonic() + timeout
        heard: set[str] = set()
        while heard != {"shell", "iopub"}:
            self._session.send(self._sockets["shell"], "kernel_info_request", {})
            pause = time.monotonic() + 0.5
            while time.monotonic() < pause and heard != {"shell", "iopub"}:
                heard.update(channel for channel, _ in self._receive(0.1))
            if not self.is_alive or time.monotonic() > deadline:
                raise RuntimeError(
                    f"expected the kernel to answer within {timeout:g} s; heard on "
                    f"{sorted(heard) or 'no channel'}, its exit code is {self._process.poll()} "
                    f"and it wrote:\n{self.log}"
                )
        while self._receive(0.1):  # the answers to the other requests
            pass
        self.messages.clear()

    @property
    def log(self) -> str:
        """What the kernel's process wrote to its own terminal."""
        return self._log.read_text(errors="replace")

    def shutdown(self, timeout: float = 20.0) -> None:
        """Ask the kernel to end, as closing a notebook does, and wait for it.

        Args:
            timeout: seconds. Now and then ipykernel waits 10 by itself: its control thread flushes
                what is printed to the thread that publishes, which has just ended.
        """
        self._session.send(self._sockets["control"], "shutdown_request", {"restart": False})
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"expected the kernel to end within {timeout:g} s; it wrote:\n{self.log}"
            ) from None

    def restart(self) -> None:
        """End the kernel as JupyterLab's restart does and start a fresh one."""
        self.shutdown()
        self._context.destroy(linger=0)
        self._start()

    def interrupt(self) -> None:
        """Send SIGINT, as the stop button does."""
        os.kill(self.pid, signal.SIGINT)

    def close(self) -> None:
        """End the process by its id, whatever state it is in, and free every socket."""
        self._end()
        self._folder.cleanup()

    def _end(self) -> None:
        if self.is_alive:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._context.destroy(linger=0)

    # --- cells -----------------------------------------------------------------------------

    def send(
        self,
        source: str,
        *,
        cell_id: str | None = None,
        deleted_cells: Sequence[str] = (),
        stop_on_error: bool = True,
    ) -> Cell:
        """Queue a cell and return at once; `collect` fills it in.

        Args:
            source: the code.
            cell_id: the notebook's id of this cell; None makes a new one, and "" names none, as
                front ends do that know of no ids.
            deleted_cells: ids of cells that were deleted since the last request.
            stop_on_error: abort the cells queued behind this one if it fails.
        """
        cell = Cell(source, cell_id or str(uuid.uuid4()))
        message = self._session.send(
            self._sockets["shell"],
            "execute_request",
            {
                "code": source,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": stop_on_error,
            },
            metadata={
                **({} if cell_id == "" else {"cellId": cell.cell_id}),
                "deletedCells": list(deleted_cells),
                "recordTiming": False,
                "trusted": True,
            },
        )
        identity = message["header"]["msg_id"]
        self._cells[identity] = cell
        self._sent_s[identity] = time.monotonic()
        return cell

    def say(self, comm_id: str, data: Mapping[str, Any]) -> None:
        """Send what a widget's page says to its comm; nothing comes back for it."""
        content = {"comm_id": comm_id, "data": dict(data)}
        self._session.send(self._sockets["shell"], "comm_msg", content)

    def collect(
        self,
        cells: Sequence[Cell],
        timeout: float = 60.0,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Read until each of `cells` has its reply and is idle, the kernel is dead, or time is up.

        Args:
            until: a further condition that ends the wait early.
        """
        deadline = time.monotonic() + timeout
        while not all(cell.idle and cell.status != "lost" for cell in cells):
            if until is not None and until():
                return
            if not self.is_alive:
                deadline = min(deadline, time.monotonic() + LINGER_S)
                if not self._receive(LINGER_S):
                    return
            if time.monotonic() > deadline:
                return
            self._receive(min(0.2, max(0.0, deadline - time.monotonic())))

    def run_all(
        self,
        sources: Sequence[str],
        *,
        cell_ids: Sequence[str] | None = None,
        deleted_cells: Sequence[str] = (),
        stop_on_error: bool = True,
        timeout: float = 60.0,
    ) -> list[Cell]:
        """Queue all cells at once, as Run All does, and return what came back for each."""
        ids: Sequence[str | None] = cell_ids or [None] * len(sources)
        cells = [
            self.send(
                source, cell_id=cell_id, deleted_cells=deleted_cells, stop_on_error=stop_on_error
            )
            for source, cell_id in zip(sources, ids, strict=True)
        ]
        self.collect(cells, timeout)
        return cells

    def run(self, source: str, *, cell_id: str | None = None, timeout: float = 60.0) -> Cell:
        """Run one cell and wait for it."""
        return self.run_all(
            [source], cell_ids=None if cell_id is None else [cell_id], timeout=timeout
        )[0]

    def check(self, source: str, *, cell_id: str | None = None, timeout: float = 60.0) -> str:
        """Run one cell that must succeed; return its text."""
        cell = self.run(source, cell_id=cell_id, timeout=timeout)
        assert cell.status == "ok", f"{cell.status}: {cell.error}\n{cell.text}\n{self.log}"
        return cell.text

    def _receive(self, timeout: float) -> list[tuple[str, dict[str, Any]]]:
        ready = dict(self._poller.poll(timeout * 1000))
        received = []
        for channel, socket in self._sockets.items():
            if socket in ready:
                _, message = self._session.recv(socket, zmq.NOBLOCK)
                assert message is not None
                received.append((channel, message))
                self._note(channel, message)
        return received

    def _note(self, channel: str, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if channel == "iopub":
            self.messages.append(message)
        identity = message["parent_header"].get("msg_id", "")
        cell = self._cells.get(identity)
        if cell is None:
            return
        if kind == "execute_reply":
            cell.status = content["status"]
            cell.execution_count = content.get("execution_count")
            cell.seconds = time.monotonic() - self._sent_s[identity]
        elif kind == "status" and content["execution_state"] == "idle":
            cell.idle = True
        elif kind in ("stream", "display_data", "execute_result", "error"):
            cell.outputs.append({"output_type": kind} | content)


def lost(cells: Sequence[Cell]) -> list[str]:
    """Return the sources of the cells that no reply came for."""
    return [cell.source for cell in cells if cell.status == "lost"]


def notebook(sources: Sequence[str]) -> nbformat.NotebookNode:
    """Return a notebook of code cells for the Python kernel."""
    document = nbformat.v4.new_notebook()
    document.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    document.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return document


def run_with_nbclient(
    document: nbformat.NotebookNode | Path | Sequence[str],
    *,
    timeout: float = 60.0,
    allow_errors: bool = False,
) -> nbformat.NotebookNode:
    """Execute a notebook one cell after the other through nbclient; return it with its outputs.

    Args:
        document: a notebook, the path of one, or the sources of its code cells.
        timeout: seconds for each cell.
        allow_errors: go on after a cell that fails, instead of raising CellExecutionError.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient

    if isinstance(document, Path):
        document = nbformat.read(document, as_version=4)
    elif not isinstance(document, nbformat.NotebookNode):
        document = notebook(document)

    with tempfile.TemporaryDirectory(prefix="wslab-nbclient-") as folder:
        # No kernelspec of the user's: "python3" is then this very interpreter.
        specs = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
        context = zmq.asyncio.Context()

        async def execute() -> None:
            manager = AsyncKernelManager(
                kernel_name="python3",
                kernel_spec_manager=specs,
                context=context,
                connection_file=f"{folder}/kernel.json",
                # Ports are chosen here and bound there: in between somebody else may take one.
                transport="ipc",
                ip=f"{folder}/kernel",
            )
            client = NotebookClient(
                document,
                km=manager,
                timeout=timeout,
                allow_errors=allow_errors,
                resources={"metadata": {"path": folder}},
            )
            await client.async_execute(
                cleanup_kc=True, env=environment(IPYTHONDIR=f"{folder}/ipython")
            )

        try:
            asyncio.run(execute())
        finally:
            context.destroy(linger=0)
    return document
