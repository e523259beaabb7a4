"""What the notebooks' exercises use: predict before you run, check what you wrote, ask for a hint.

Its rule: a check looks at the wire, with data made up afresh each time, and never at the learner's
text or names. It accepts every right way and says of a wrong one what was expected, what was seen
and when. Nothing here stops Run All: what is not answered or not written yet says so.
"""

from __future__ import annotations

from .exercises import NotYet, Verdict, check, hint
from .missing import watch as _watch_for_missing_names
from .open_resources import left_open
from .predict import Prediction, predict

__all__ = ["NotYet", "Prediction", "Verdict", "check", "hint", "left_open", "predict"]

_watch_for_missing_names()
