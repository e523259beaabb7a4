"""What a hub's handlers let through: kept, logged, and told to whoever shows it.

Its rule: a handler's failure is the sender's to hear and nobody else's to feel.
"""

from __future__ import annotations

import logging

from ...failures import Failure, FailureLog

__all__ = ["HandlerFailures"]

_log = logging.getLogger("wslab.hub")
# For what a server or view shows anyway: silent unless the user configures logging.
_shown_log = logging.getLogger("wslab.hub.shown")
_shown_log.addHandler(logging.NullHandler())


class HandlerFailures:
    """One hub's.

    Attributes:
        log: the latest of them; it tells its listeners on the loop.
    """

    def __init__(self) -> None:
        self.log = FailureLog()

    def record(
        self, exc: BaseException, where: str, who: str, address: tuple[str, int] | None
    ) -> Failure:
        """Keep and tell what a handler let through.

        Args:
            exc: the exception.
            where: the handler's name.
            who: the id of the client that it ran for.
            address: that client's host and port.
        """
        failure = Failure.of(exc, where=where, who=who, address=address)
        self.log.append(failure)
        log = _shown_log if self.log.has_listeners else _log
        log.error("handler %s failed for client %s\n%s", where, who, failure.traceback.rstrip())
        return failure
