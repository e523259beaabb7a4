"""What an Inspector costs under load: page and kernel at 10,000 frames a second, in Chromium.

``python -m tests.benchmarks.bench_inspector [--seconds 60] [--frames 10000]``. A client in a
process of its own sends half of the frames, and the server in the notebook's kernel echoes them.
Told: the page's longest main-thread task, its memory over time, how long the kernel takes to answer
a cell, and whether every frame was counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.browser import Chromium, Sync, find_chromium
from tests.lab.harness import Lab, Notebook

CELLS = [
    """
import wslab
from wslab.widgets import Inspector
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
server = wslab.serve(echo, name="echo", ping_interval=None)  # the load answers no pings
print(server.port)
""",
    "inspector = Inspector(server)\ninspector",
]
BARE = [CELLS[0], "1"]
COUNTED = """
import json
print(json.dumps([
    inspector._feed.numbers(), inspector._feed.drawn, len(inspector._feed.rows), inspector.failure
]))
"""
IDLE = "print(str(all(reader.is_idle for reader in inspector._feed._readers)).lower())"
WATCH = """() => {
  window.tasks = [];
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) window.tasks.push([entry.startTime, entry.duration]);
  }).observe({ type: "longtask" });
  window.frames_drawn = 0;
  const count = () => { window.frames_drawn++; requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""
ASK = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const began = performance.now();
  let text = "";
  const future = kernel.requestExecute({ code, store_history: false });
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === "stream") text += content.text;
  };
  await future.done;
  return [performance.now() - began, text];
}"""
HEADS = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FRAME = b"\x81\x8d\x00\x00\x00\x00hello, world!"
ANSWER_BYTES = 15


async def _load(port: int, rate: float, seconds: float) -> None:
    """Send frames at an even pace, read every answer, then say how many were sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEADS)
    await reader.readuntil(b"\r\n\r\n")
    began, sent, received = time.perf_counter(), 0, 0
    is_over, all_came = False, asyncio.Event()

    async def read() -> None:
        nonlocal received
        while data := await reader.read(2**16):
            received += len(data)
            if is_over and received >= sent * ANSWER_BYTES:
                all_came.set()

    reading = asyncio.create_task(read())
    while (now := time.perf_counter() - began) < seconds:
        due = int(now * rate) - sent
        for _ in range(due):  # one write a frame, so that they do not all come as one chunk
            writer.write(FRAME)
        sent += due
        await writer.drain()
        await asyncio.sleep(0.002)
    took = time.perf_counter() - began
    is_over = True
    writer.write(FRAME)  # one more, so that an answer comes after this
    sent += 1
    await all_came.wait()
    print(json.dumps([sent, took]), flush=True)
    reading.cancel()
    writer.close()


@contextlib.contextmanager
def _loading(port: int, seconds: float, frames: float) -> Iterator[subprocess.Popen[str]]:
    """Start the client in a process of its own."""
    given = ["--load", str(port), "--frames", str(frames), "--seconds", str(seconds)]
    command = [sys.executable, "-m", "tests.benchmarks.bench_inspector", *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process


def run(notebook: Notebook, seconds: float, frames: float) -> dict[str, Any]:
    """Put the load on an open notebook and return what was measured."""
    page = notebook.page
    notebook.run_all()
    port = int(notebook.text(0))
    page.locator(".wi-empty").wait_for()
    cdp = notebook._context.new_cdp_session(page)
    cdp.send("Performance.enable")
    # Collecting garbage from outside holds the page: only before and after.
    cdp.send("HeapProfiler.collectGarbage")
    live = [_heap(cdp)]
    page.evaluate(WATCH)
    answers, heap, nodes = [], [], []
    began = time.monotonic()
    with _loading(port, seconds, frames) as load:
        while load.poll() is None:
            answers.append(page.evaluate(ASK, "1")[0])
            if time.monotonic() - began > len(heap) * seconds / 20:
                heap.append(_heap(cdp))
                nodes.append(page.evaluate("document.querySelectorAll('.wi *').length"))
            time.sleep(0.25)
        assert load.stdout is not None
        sent, took = json.loads(load.stdout.read())
    deadline = time.monotonic() + 10
    while "false" in page.evaluate(ASK, IDLE)[1] and time.monotonic() < deadline:
        time.sleep(0.1)
    tasks = page.evaluate("window.tasks")
    cdp.send("HeapProfiler.collectGarbage")
    live.append(_heap(cdp))
    counted, drawn, rows, failure = json.loads(page.evaluate(ASK, COUNTED)[1])
    return {
        "rate": 2 * sent / took,
        "sent": sent,
        "counted": [counted[side]["frames"] for side in ("client", "server")],
        "drawn": drawn,
        "rows": rows,
        "failure": failure,
        "foot": page.locator(".wi-foot").inner_text(),
        "tasks": tasks,
        "live": live,
        "fps": page.evaluate("window.frames_drawn") / (time.monotonic() - began),
        "heap": heap,
        "nodes": nodes,
        "answers": answers,
        "console": notebook.console,
    }


def _heap(cdp: Sync) -> float:
    """Return the page's memory in MB, with what garbage there is."""
    metrics = {
        each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]
    }
    return float(metrics["JSHeapUsedSize"]) / 1e6


def run_bare(notebook: Notebook, seconds: float, frames: float) -> tuple[list[float], list[Any]]:
    """Return the kernel's answers and the page's long tasks with nothing to look at."""
    notebook.run_all()
    notebook.page.evaluate(WATCH)
    with _loading(int(notebook.text(0)), seconds, frames) as load:
        answers = []
        while load.poll() is None:
            answers.append(notebook.page.evaluate(ASK, "1")[0])
            time.sleep(0.25)
    return sorted(answers), notebook.page.evaluate("window.tasks")


def report(result: dict[str, Any]) -> None:
    """Print the figures beside what is aimed at."""
    tasks = sorted(duration for _, duration in result["tasks"])
    answers = sorted(result["answers"])
    print(f"\nInspector under {result['rate']:,.0f} frames a second")
    print(f"  sent and echoed     {result['sent']:,}; counted {result['counted']}")
    print(f"  drawn               {result['drawn']:,} frames; {result['rows']:,} rows kept")
    print(f"  the page says       {' '.join(result['foot'].split())}")
    print(
        f"  main-thread tasks   longest {max(tasks, default=0):.0f} ms; "
        f"{len(tasks)} over 50 ms (aim: none over 100 ms); {result['fps']:.0f} pictures a second"
    )
    print(f"  page memory         {' '.join(f'{mb:.0f}' for mb in result['heap'])} MB, and garbage")
    print(
        "                      taken out before and after: {:.1f}, {:.1f}".format(*result["live"])
    )
    print(f"  elements in it      {min(result['nodes'])} to {max(result['nodes'])}")
    print(f"  kernel's answer     {_spread(answers)} (aim: under 200 ms)")
    print(f"  console             {result['console'] or 'clean'}; failure {result['failure']!r}")


def _spread(answers: list[float]) -> str:
    middle, late = statistics.median(answers), answers[int(len(answers) * 0.95)]
    return f"median {middle:.0f} ms, 95 % {late:.0f} ms, longest {answers[-1]:.0f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--frames", type=float, default=10_000.0, help="a second, both ways")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        asyncio.run(_load(given.load, given.frames / 2, given.seconds))
        return
    executable = find_chromium()
    if executable is None:
        raise SystemExit("no Chromium on the PATH")
    browser = Chromium(executable)
    try:
        with Lab(browser.browser) as lab:
            with lab.open(lab.write("bare.ipynb", BARE)) as notebook:
                bare, tasks = run_bare(notebook, min(15.0, given.seconds), given.frames)
            with lab.open(lab.write("load.ipynb", CELLS)) as notebook:
                report(run(notebook, given.seconds, given.frames))
            longest = max((duration for _, duration in tasks), default=0)
            print(
                f"  without Inspector   {_spread(bare)}; longest task {longest:.0f} ms, "
                f"{len(tasks)} over 50 ms in {min(15.0, given.seconds):.0f} s"
            )
    finally:
        browser.close()


if __name__ == "__main__":
    main()
