"""lies(): what liars say for a stroke of lesson 16's whiteboard, as JSON text.

Its rule: each differs in one respect from a stroke that a board has to take, or is none at all, so
that a check which leaves one respect out lets one of them through.
"""

from __future__ import annotations

import json
import random
from typing import Any

from .board_guest import COLORS, MAX_COORDINATE, MAX_POINTS
from .testbench import nonce

__all__ = ["lies"]


def lies() -> list[str]:
    """Return all of them, in random order."""
    point, good = [5, 5], [[1, 2], [3, 4]]
    of_points: list[Any] = [
        None, 7, "abc", {}, {"0": point}, [], 5, [5], ["ab"], [[]], [[1]], [[1, 2, 3]], [[1, "2"]],
        [[-1, 5]], [[5, MAX_COORDINATE + 1]], [[None, 5]], [[[1], 5]], [{"x": 1, "y": 2}],
        [point] * (MAX_POINTS + 1), [point] * 5000, [point, point, "x"], [[10**30, 5]],
    ]  # fmt: skip
    of_colors: list[Any] = [None, 7, "", nonce(), "x" * 100_000, ["ink"], {"ink": 1}, "url(//evil)"]
    whole: list[Any] = [None, 7, "ink", [], [good], {}, {"points": good}, {"color": "ink"}]
    said = [json.dumps(each) for each in whole]
    said += [json.dumps({"color": random.choice(COLORS), "points": each}) for each in of_points]
    said += [json.dumps({"color": each, "points": good}) for each in of_colors]
    random.shuffle(said)
    return said
