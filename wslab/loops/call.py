"""call(): work on a portal's loop, and the wait for its result.

Its rule: where the time is up or an interrupt comes, the work is cancelled and gets time to clean
up; and where another's work was in the way, the error says whose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..calls.calling import function_name
from ..calls.crossing import Crossing
from ..calls.waiting import result_of
from ..errors import LoopBlocked
from .watchdog import ANSWER_S

__all__ = ["SETTLE_S", "call"]

SETTLE_S = 1.0  # how long cancelled work may take to clean up before we stop waiting for it


class _Held(Protocol):
    """What call() asks about a loop that did not come to it in time."""

    def answers(self, within_s: float = ...) -> bool: ...

    def held_by(self) -> str: ...


def call(
    crossing: Crossing,
    loop: _Held,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    timeout: float | None,
) -> Any:
    """Have ``func(*args)`` run on a loop and wait for its result.

    Args:
        crossing: a new one, to that loop.
        loop: says who holds it.
        func: a function or coroutine function.
        args: what to call it with.
        timeout: seconds to wait; None waits until it ends.

    Raises:
        LoopBlocked: the timeout passed because something else holds the loop.
        TimeoutError: the timeout passed; the work has been cancelled, and has cleaned up unless
            that takes it longer than a second.
    """
    try:
        # Sent in here: an interrupt strikes between any two lines, and work begins with the first.
        crossing.send(func, args)
        return result_of(crossing, timeout, cancels=True)
    except TimeoutError:
        if not crossing.cancelled():
            raise  # its own
        if not crossing.settles_within(ANSWER_S) and not loop.answers():
            raise LoopBlocked(
                f"{function_name(func)} did not run within {timeout:g} s, because {loop.held_by()}"
            ) from None
        crossing.settles_within(SETTLE_S)
        raise TimeoutError(f"{function_name(func)} did not end within {timeout:g} s") from None
    except BaseException:
        if crossing.cancel():
            crossing.settles_within(SETTLE_S)
        raise
    finally:
        del crossing
