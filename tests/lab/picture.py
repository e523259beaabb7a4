"""Take pictures in a real JupyterLab: ``python -m tests.lab.picture [NOTEBOOK FOLDER]``.

Without arguments it makes the README's picture, ``notebooks/figures/lab.png``, anew. With a lesson
and a folder it runs the lesson through and pictures every cell, in both themes: to look at.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser import Chromium, find_chromium
from tests.lab.harness import COURSE, DARK, LIGHT, Lab

CELLS = (
    """import wslab

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

server = wslab.serve(echo)
server""",
    """alice = wslab.connect(server, name="alice")
bob = wslab.connect(server, name="bob")
for client, message in (alice, "hello"), (bob, "good morning"), (alice, bytes.fromhex("89504e47")):
    client.send(message)
    client.recv(timeout=1)
alice.ping()
bob.close(1000, "bye")
wslab.Inspector(server)""",
)


def readme(lab: Lab) -> None:
    """Picture a server's panel and the timeline of two clients."""
    lab.write("websockets.ipynb", CELLS)
    with lab.open("websockets.ipynb", viewport={"width": 1280, "height": 1130}) as notebook:
        notebook.command("application:toggle-left-area")
        notebook.run_all()
        notebook.page.wait_for_timeout(2500)  # views are brought up to date ten times a second
        notebook.page.get_by_text("“good morning”").first.click()
        notebook.page.mouse.move(0, 0)
        notebook.page.wait_for_timeout(300)
        notebook.screenshot(COURSE / "figures" / "lab.png")


def lesson(lab: Lab, name: str, folder: Path) -> None:
    """Picture every cell of a lesson after Run All, in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    with lab.open(f"notebooks/{name}.ipynb", viewport={"width": 1280, "height": 900}) as notebook:
        notebook.command("application:toggle-left-area")
        notebook.run_all(timeout=180)
        for theme in (LIGHT, DARK):
            notebook.set_theme(theme)
            for index in range(len(notebook.cells())):
                notebook.select(index)
                notebook.page.wait_for_timeout(150)
                file = f"{name}-{theme.split()[-1].lower()}-{index:02}.png"
                notebook.screenshot(folder / file, index=index)


def main() -> None:
    """Take what the arguments ask for."""
    executable = find_chromium()
    if executable is None:
        raise SystemExit("expected a Chromium on the PATH, found none")
    chromium = Chromium(executable)
    try:
        with Lab(chromium.browser) as lab:
            if len(sys.argv) > 2:
                lesson(lab, sys.argv[1], Path(sys.argv[2]))
            else:
                readme(lab)
    finally:
        chromium.close()


if __name__ == "__main__":
    main()
