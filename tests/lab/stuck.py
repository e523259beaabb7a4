"""What a notebook in a page waits for, asked when it has not ended in time: so the failure says it.

The page is asked for its cells, its dialogs and its side of the kernel's connection; Jupyter's
server for what it thinks of the kernel; at last the kernel is interrupted, for the traceback shows
where it stood. Left out: whatever helps. A test that needs this has failed.
"""

from __future__ import annotations

import json
from typing import Any

from tests.browser import Sync

__all__ = ["WATCH", "what_it_waits_for"]

# JupyterLab handles one message after another: the last one that came is the one that it is at.
WATCH = """() => {
  const { kernel } = window.jupyterapp.shell.currentWidget.context.sessionContext.session;
  if (kernel.wslabHeard) return;
  const heard = kernel.wslabHeard = [];
  kernel.anyMessage.connect((_, { msg, direction }) => {
    const { header, parent_header, content } = msg;
    const about = content.execution_state ?? content.comm_id?.slice(0, 8) ?? "";
    const parent = parent_header?.msg_id?.slice(-8) ?? "";
    const sign = `${new Date().toISOString().slice(17, 23)} ${direction === "send" ? ">" : "<"}`;
    const id = header.msg_id.slice(-8);
    heard.push(`${sign} ${header.msg_type} ${about} ${id} of ${parent}`);
    if (heard.length > 60) heard.shift();
  });
}"""

TELL = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  const context = panel.context.sessionContext;
  const kernel = context.session?.kernel;
  const within = (promise, ms) => Promise.race([
    promise.then(() => "done", error => String(error)),
    new Promise(go => setTimeout(() => go("pending"), ms)),
  ]);
  const flags = ["replied", "idle", "done", "disposes"];
  const futures = [...(kernel?._futures?.values() ?? [])].map(future => [
    future.msg.header.msg_type, future.msg.header.msg_id.slice(-8),
    String(future.msg.content.code ?? "").slice(0, 60),
    flags.filter((_, bit) => future._status & (1 << bit)).join(" "),
  ]);
  const running = panel.content.widgets
    .map((cell, index) => [index, cell.model.executionState, cell.model.executionCount])
    .filter(([, state]) => state && state !== "idle");
  const kernels = async () => {
    await window.jupyterapp.serviceManager.kernels.refreshRunning();
    return [...window.jupyterapp.serviceManager.kernels.running()];
  };
  return {
    "cells that run or wait": running,
    "the kernel, for the page": [kernel?.status, kernel?.connectionStatus, kernel?.id],
    "the session": context.kernelDisplayStatus,
    "the messages' queue": kernel?._msgChain ? await within(kernel._msgChain, 2000) : "none",
    "not sent yet": (kernel?._pendingMessages ?? []).map(({ header }) => header.msg_type),
    "requests without an end": futures,
    "last messages": kernel?.wslabHeard ?? [],
    "dialogs": [...document.querySelectorAll(".jp-Dialog")].map(one => one.innerText),
    "asked for input": Boolean(kernel?.hasPendingInput),
    "visible": [document.visibilityState, document.hasFocus()],
    "kernels, for the server": await Promise.race([
      kernels(), new Promise(go => setTimeout(() => go("no answer"), 5000))]),
  };
}"""

INTERRUPT = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await Promise.race([
    panel.context.sessionContext.session.kernel.interrupt(),
    new Promise(go => setTimeout(go, 5000)),
  ]);
  await new Promise(go => setTimeout(go, 3000));
  const cells = panel.content.model.cells;
  return Array.from({ length: cells.length }, (_, i) => cells.get(i).toJSON())
    .flatMap(cell => cell.outputs ?? [])
    .filter(output => output.output_type === "error")
    .map(output => output.traceback.join("\\n"));
}"""


def what_it_waits_for(page: Sync) -> str:
    """Return what the page, the server and the kernel say, a line or a few each."""
    try:
        told: dict[str, Any] = page.evaluate(TELL)
        told["where the kernel stood"] = page.evaluate(INTERRUPT)
    except Exception as error:
        return f"the page does not say: {error}"
    return "\n".join(f"{name}: {_shown(value)}" for name, value in told.items())


def _shown(value: Any) -> str:
    if isinstance(value, list) and value:
        return "".join(
            f"\n    {line if isinstance(line, str) else json.dumps(line)}" for line in value
        )
    return str(value)
