"""Plays the script on the real network, on conditions over TCP and in memory, and prints the table.

python -m tests.network.reality            # the table, as Markdown
python -m tests.network.reality --record   # and what the real network says, for the tests
"""

from __future__ import annotations

import sys

from tests.network.reality.lines import our_lines, real_line
from tests.network.reality.player import Player, Report
from tests.network.reality.reports import write
from tests.network.reality.scenes import SCENES, Scene


def _cell(report: Report, number: int) -> str:
    _, client, server = report[number]
    both = (("client", client), ("server", server))
    return "; ".join(f"{side}: {', '.join(what)}" for side, what in both if what) or "nothing"


def _group(scene: Scene, where: str) -> list[Report]:
    lines = our_lines(scene)
    return [Player(line()).play(scene) for name, line in lines.items() if name.startswith(where)]


def main() -> None:
    real = {scene.name: Player(real_line(scene)).play(scene) for scene in SCENES}
    if "--record" in sys.argv:
        write(real)
    print("| step | the real network | TCP with conditions | memory with conditions |")
    print("| --- | --- | --- | --- |")
    for scene in SCENES:
        print(f"| **{scene.name}** | | | |")
        groups = [_group(scene, "TCP"), _group(scene, "memory")]
        for number, step in enumerate(scene.steps):
            truth = _cell(real[scene.name], number)
            cells = []
            for reports in groups:
                others = {_cell(report, number) for report in reports} - {truth}
                same = "the same" if reports else "not played"
                cells.append(" OR ".join(sorted(others)) or same)
            print(f"| {step.words} | {truth} | {' | '.join(cells)} |")
        for side, why in scene.not_at.items():
            print(f"| (not at the {side}: {why}) | | | |")


if __name__ == "__main__":
    main()
