"""What an Inspector costs under load: page and kernel at 10,000 frames a second, in Chromium.

``python -m tests.benchmarks.bench_inspector [--seconds 60] [--frames 10000]``. A client in a
process of its own sends half of the frames, and the server in the notebook's kernel echoes them.
Told: the page's longest main-thread task, its memory over time, how long the kernel takes to answer
a cell, and whether every frame was counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from tests.browser import Chromium, Sync, find_chromium
from tests.lab.harness import Lab, Notebook

CELLS = [
    """
import wslab
from wslab.widgets.inspector import Inspector
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
server = wslab.serve(echo, name="echo")
print(server.port)
""",
    "inspector = Inspector(server)\ninspector",
]
COUNTED = """
import json
print(json.dumps([
    inspector._feed.numbers(), inspector._feed.drawn, len(inspector._feed.rows), inspector.failure
]))
"""
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
  future.onIOPub = message => { if (message.header.msg_type === "stream") text += message.content.text; };
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

    async def read() -> None:
        nonlocal received
        while data := await reader.read(2**16):
            received += len(data)

    reading = asyncio.create_task(read())
    while (now := time.perf_counter() - began) < seconds:
        due = int(now * rate) - sent
        for _ in range(due):  # one write a frame, so that they do not all come as one chunk
            writer.write(FRAME)
        sent += due
        await writer.drain()
        await asyncio.sleep(0.002)
    took = time.perf_counter() - began
    while received < sent * ANSWER_BYTES:
        await asyncio.sleep(0.01)
    print(json.dumps([sent, took]), flush=True)
    reading.cancel()
    writer.close()


def run(notebook: Notebook, seconds: float, frames: float) -> dict[str, Any]:
    """Put the load on an open notebook and return what was measured."""
    page = notebook.page
    notebook.run_all()
    port = int(notebook.text(0))
    page.locator(".wi-empty").wait_for()
    cdp = notebook._context.new_cdp_session(page)
    cdp.send("Performance.enable")
    page.evaluate(WATCH)
    load = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bench_inspector", "--load", str(port),
         "--frames", str(frames), "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    answers, heap, nodes = [], [], []
    began = time.monotonic()
    while load.poll() is None:
        answers.append(page.evaluate(ASK, "1")[0])
        if time.monotonic() - began > len(heap) * seconds / 10:
            heap.append(_heap(cdp))
            nodes.append(page.evaluate("document.querySelectorAll('.wi *').length"))
        time.sleep(0.25)
    assert load.stdout is not None
    sent, took = json.loads(load.stdout.read())
    load.stdout.close()
    time.sleep(1.0)
    counted, drawn, rows, failure = json.loads(page.evaluate(ASK, COUNTED)[1])
    # Garbage collection that is asked for from outside blocks the page: it is not the page's.
    return {
        "rate": 2 * sent / took,
        "sent": sent,
        "counted": [counted[side]["frames"] for side in ("client", "server")],
        "drawn": drawn,
        "rows": rows,
        "failure": failure,
        "foot": page.locator(".wi-foot").inner_text(),
        "tasks": page.evaluate("window.tasks"),
        "fps": page.evaluate("window.frames_drawn") / (time.monotonic() - began),
        "heap": heap,
        "nodes": nodes,
        "answers": answers,
        "console": notebook.console,
    }


def _heap(cdp: Sync) -> float:
    """Return the page's live memory in MB, garbage taken out."""
    cdp.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"]) / 1e6


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
    print(f"  page memory         {' '.join(f'{mb:.1f}' for mb in result['heap'])} MB (aim: flat)")
    print(f"  elements in it      {min(result['nodes'])} to {max(result['nodes'])}")
    print(
        f"  kernel's answer     median {statistics.median(answers):.0f} ms, 95 % "
        f"{answers[int(len(answers) * 0.95)]:.0f} ms, longest {answers[-1]:.0f} ms "
        f"(aim: under 200 ms; {len(answers)} cells)"
    )
    print(f"  console             {result['console'] or 'clean'}; failure {result['failure']!r}")


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
        with Lab(browser.browser) as lab, lab.open(lab.write("load.ipynb", CELLS)) as notebook:
            report(run(notebook, given.seconds, given.frames))
    finally:
        browser.close()


if __name__ == "__main__":
    main()
