"""What a hub's keys and channels in Redis are called.

Its rule: all names of one hub share one hash tag, so that a script may touch any of them also in a
cluster. No name holds a session's token, which is a secret, but its hash.
"""

from __future__ import annotations

import hashlib

__all__ = ["Keys", "token_hash"]

_TAG = str.maketrans({"{": "%7B", "}": "%7D", "%": "%25"})
_HASH_BYTES = 16


def token_hash(token: str) -> str:
    """Return what stands for a session's token: who reads it cannot continue the session."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()[: 2 * _HASH_BYTES]


class Keys:
    """The names of one hub.

    Args:
        hub: its name, which all of its processes have in common.

    Attributes:
        epoch: a random name; it is a new one when Redis has lost its data.
        counter: the offset of the latest event.
        nodes: a sorted set of the nodes that live, by when their leases end.
        renewed: when any of them has renewed its lease.
    """

    __slots__ = ("_prefix", "counter", "epoch", "nodes", "renewed")

    def __init__(self, hub: str) -> None:
        self._prefix = f"wslab:{{{hub.translate(_TAG)}}}:"
        self.epoch = self._prefix + "epoch"
        self.counter = self._prefix + "counter"
        self.nodes = self._prefix + "nodes"
        self.renewed = self._prefix + "renewed"

    def room(self, room: str | None) -> str:
        """Return the stream of a room's events, and the channel of the same name.

        None is everybody's. A session's own events have a room, too: `own`.
        """
        if room is None:
            return self._prefix + "everybody"
        try:
            room.encode()
        except UnicodeEncodeError:  # JSON may hold half a surrogate pair, UTF-8 may not
            return f"{self._prefix}odd:{room.encode(errors='surrogatepass').hex()}"
        return f"{self._prefix}room:{room}"

    def own(self, token_hash: str) -> str:
        """Return the stream of the events that went to one session alone; it has no channel."""
        return f"{self._prefix}own:{token_hash}"

    def meta(self, stream: str) -> str:
        """Return the hash that goes with a stream.

        Its fields: ``last`` (offset), ``bytes`` (that are kept), ``trimmed`` (the offset of the
        last event that is no longer kept).
        """
        return stream.replace("}:", "}:meta:", 1)  # in front: a room's name may end in anything

    def message(self, id: str) -> str:
        """Return where the offset of the message of that id stands, so that it is said once."""
        return f"{self._prefix}id:{id}"

    def session(self, token_hash: str) -> str:
        """Return the hash that is a session; its field ``owner`` is the node that has it."""
        return f"{self._prefix}session:{token_hash}"

    def members(self, node_id: str) -> str:
        """Return the hash of the clients of a node."""
        return f"{self._prefix}members:{node_id}"

    def inside(self, room: str) -> str:
        """Return the set of the places of those who are in a room: "<node>/<client id>"."""
        return f"{self._prefix}in:{room}"

    def who(self, name: str) -> str:
        """Return the sorted set of the places of a client, by its id, or of a user's clients."""
        return f"{self._prefix}who:{name}"

    def channel(self, node_id: str, topic: str) -> str:
        """Return the channel on which one node is told of a topic.

        Topics: ``own`` (events for one session), ``sessions``, ``questions``, ``canary``,
        ``read`` (that streams were read).
        """
        return f"{self._prefix}node:{node_id}:{topic}"
