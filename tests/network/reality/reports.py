"""What the real network said when the script was played on it: kept, so that ours can be held to it
also where no namespaces can be made. `python -m tests.network.reality --record` writes it anew.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.network.reality.player import Report

PATH = Path(__file__).with_name("reports.json")


def read() -> dict[str, Report]:
    """Return the report of each scene."""
    return {
        scene: [(words, tuple(client), tuple(server)) for words, client, server in report]
        for scene, report in json.loads(PATH.read_text(encoding="utf-8")).items()
    }


def write(reports: dict[str, Report]) -> None:
    """Keep the report of each scene, a step a line."""
    scenes = [
        f"{json.dumps(scene)}: [\n" + ",\n".join(f"  {json.dumps(row)}" for row in report) + "\n]"
        for scene, report in reports.items()
    ]
    PATH.write_text("{\n" + ",\n".join(scenes) + "\n}\n", encoding="utf-8")
