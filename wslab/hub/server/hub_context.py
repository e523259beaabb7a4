"""What all connections of one hub share, and none of them owns.

Its rule: it names the parts and does nothing itself. A connection knows this, and never the hub.
"""

from __future__ import annotations

import collections
import itertools
import weakref
from collections.abc import Callable
from typing import Any

from ..backplane.backplane import Backplane, Session
from ..backplane.memory import MemoryBackplane
from ..backplane.status import without_password
from ..dialects.dialect import Said
from ..protocol import packets
from ..protocol.arguments import Args
from ..protocol.payload import from_json
from .admission import Admission
from .delivery import Delivery
from .fair_turns import FairTurns
from .handler_failures import HandlerFailures
from .handlers import Handlers
from .holder import Holder
from .hub_loop import HubLoop
from .link import Link
from .packet_reader import ByteCount
from .registry import Registry
from .settings import HubSettings

__all__ = ["HubContext"]


class HubContext:
    """One hub's parts.

    Args:
        settings: what it was told.
        emit: `Hub.emit`.

    Attributes:
        limited: how often each of the limits has held, by its name.
        complaints: what senders were told, counted by code.
        leave_listeners: called with a client and the reason, when it has left.
        registry: the connections that are here, and their rooms.
        holders: which connection has a session now.
        ahead: what waits of all clients, in bytes.
        question_numbers: of what clients are asked.
        max_size: returns the most bytes of one message from a client.
        takes_raw: returns whether somebody handles what is no packet.
        authenticating: the turns of those who come, while it is found out who they are.
        root: of a namespace, the context of the first hub; None for that.
    """

    def __init__(self, settings: HubSettings, emit: Callable[..., Delivery]) -> None:
        self.settings = settings
        self.emit = emit
        self.authenticating = FairTurns()
        self.root: HubContext | None = None
        self.limited: collections.Counter[str] = collections.Counter()
        self.complaints: collections.Counter[str] = collections.Counter()
        self.leave_listeners: list[Callable[[Any, str], object]] = []
        self.failures = HandlerFailures()
        self.loop = HubLoop(settings.name)
        self.handlers = Handlers(settings, self.limited)
        self.admission = Admission(settings, self.limited)
        self.registry: Registry[Any] = Registry(
            settings.limits, self.limited, lambda connection: str(connection.address)
        )
        self.backplane: Backplane = self._new_backplane()
        self.registry.filled = lambda room: self.backplane.room_filled(room)
        self.registry.emptied = lambda room: self.backplane.room_emptied(room)
        self.holders: weakref.WeakKeyDictionary[Session, Holder[Any]] = weakref.WeakKeyDictionary()
        self.ahead = ByteCount()
        self.question_numbers = itertools.count(1)
        # Asked for each message: one function for all connections.
        self.max_size = lambda: settings.limits.max_size
        self.takes_raw = lambda: "message" in self.handlers.by_event

    def _new_backplane(self) -> Backplane:
        settings = self.settings
        if settings.backplane is None:
            return MemoryBackplane(
                settings.history, settings.session_s, settings.limits, self.limited, self.data_of
            )
        try:
            from ..backplane.redis.engine import RedisBackplane
        except ModuleNotFoundError as exc:
            raise ModuleNotFoundError(
                f"expected redis-py for backplane={without_password(settings.backplane)!r}, and "
                f'{exc.name} is not installed: pip install "wslab[redis]"'
            ) from None
        return RedisBackplane(
            settings.backplane, settings.name, settings.when_down, settings.history,
            settings.session_s, lambda: settings.limits, self.limited, self.data_of, self._failed,
        )  # fmt: skip

    def set_backplane(self, url: str | None) -> None:
        """Have another backplane from now on, before the first client.

        Raises:
            RuntimeError: there have been clients.
            TypeError, ValueError: no URL of a backplane.
        """
        if self.admission.alive or self.registry.members or self.backplane.latest_offset():
            raise RuntimeError(
                f"expected hub {self.settings.name!r} to be given its backplane before its first "
                "client, and it has had some"
            )
        before, self.settings.backplane = self.settings.backplane, url
        try:
            self.settings.__post_init__()
            self.backplane = self._new_backplane()
        except BaseException:
            self.settings.backplane = before
            raise

    def _failed(self, exc: BaseException) -> None:
        self.failures.record(exc, "the backplane", "", None)

    def take_loop(self) -> None:
        """Make the running loop the hub's; a new one begins with nobody.

        Raises:
            RuntimeError: the hub serves clients on another loop.
        """
        if self.loop.is_running_one:
            return
        with self.loop.lock:
            self.loop.take(is_in_use=self.admission.alive > 0)
            self.ahead.value = 0
            self.handlers.reset()
            self.admission.reset()
            self.authenticating = FairTurns()
            for connection in self.registry.of(None):  # of a loop that was closed under them
                connection.depart()

    def is_continued_by(self, link: Link) -> bool:
        """Whether a connection takes the place of its session's earlier one, which is open."""
        token = link.dialect.greeting(link.path, link.auth).token
        session = self.backplane.session(token) if token else None
        holder = self.holder(session).client if session is not None else None
        return holder is not None and holder.is_open

    def holder(self, session: Session) -> Holder[Any]:
        """Return who has a session; there is one for each, as long as that is remembered."""
        return self.holders.setdefault(session, Holder())

    def data_of(self, said: Said) -> Any:
        """Return what an event carries, or an answer of a client elsewhere."""
        packet = packets.Packet(data=from_json(said.data.decode()))
        packet.attachments = list(said.attachments)
        packet.binary = len(packet.attachments)
        data = packets.take_binary(packet, self.settings.loads)
        return Args(*data) if said.is_several and isinstance(data, list) else data
