"""ForgottenAwait: what Python says of a coroutine that nobody awaited, heard while a check runs.

Its rule: Python says it as a warning, which ends up below the cell, away from the check that fails;
here it becomes the check's hint. Warnings know no threads: one check listens at a time.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import re
import warnings
from typing import Any

from ..failures import is_around

__all__ = ["ForgottenAwait"]


class ForgottenAwait:
    """Listens for the first coroutine that nobody awaited."""

    def __init__(self) -> None:
        self.name = ""  # of the first one, such as "send"
        self._around = contextlib.ExitStack()

    def listen(self) -> None:
        """Begin, for the whole process: warnings know no threads."""
        self._around.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", RuntimeWarning)
        gc.collect()  # one that an earlier try has left must not be taken for this one's
        warnings.simplefilter("always", RuntimeWarning)  # and not only once for each line
        before = warnings.showwarning

        def show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
            found = re.match(r"coroutine '(?:.*\.)?(\w+)' was never awaited", str(message))
            if found is None:
                before(message, *args, **kwargs)
            elif not self.name:
                self.name = found[1]

        warnings.showwarning = show

    def look_into(self, exc: BaseException) -> None:
        """Look for one in what an exception holds: Python says nothing while somebody holds it."""
        held = [getattr(exc, "obj", None)]  # an AttributeError's
        traceback = exc.__traceback__
        while traceback is not None:
            if not is_around(traceback.tb_frame.f_code.co_filename):
                held += traceback.tb_frame.f_locals.values()
            traceback = traceback.tb_next
        for one in held:
            if inspect.iscoroutine(one) and inspect.getcoroutinestate(one) == "CORO_CREATED":
                self.name = self.name or one.__name__
                one.close()  # said here, and so not once more below a later cell

    def stop(self) -> None:
        """End it; the way in which warnings were shown before is back."""
        self._around.close()
