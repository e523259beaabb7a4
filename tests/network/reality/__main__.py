"""Plays the script on the real network, on conditions over TCP and in memory, and prints the table.

python -m tests.network.reality            # the table, as Markdown
python -m tests.network.reality --record   # and what the real network says, for the tests
"""

from __future__ import annotations

import sys

from tests.network.reality.lines import real_line
from tests.network.reality.player import Player, Report
from tests.network.reality.reports import write
from tests.network.reality.scenes import SCENES, Scene


def _row(scene: Scene, number: int, reports: dict[str, Report]) -> str:
    cells = []
    for report in reports.values():
        _, client, server = report[number]
        said = [
            f"{side}: {', '.join(what)}"
            for side, what in (("client", client), ("server", server))
            if what
        ]
        cells.append("; ".join(said) or "nothing")
    same = [cells[0], *("the same" if cell == cells[0] else cell for cell in cells[1:])]
    return f"| {scene.steps[number].words} | " + " | ".join(same) + " |"


def main() -> None:
    real = {scene.name: Player(real_line(scene)).play(scene) for scene in SCENES}
    if "--record" in sys.argv:
        write(real)
    print("| step | the real network |")
    print("| --- | --- |")
    for scene in SCENES:
        reports = {"": real[scene.name]}
        print(f"| **{scene.name}** | |")
        for number in range(len(scene.steps)):
            print(_row(scene, number, reports))


if __name__ == "__main__":
    main()
