"""The one script of the check against reality: scenes, and in each what is done step by step.

Each step says how many events it brings at the client and at the server. Which they are nobody
writes down here: the real network says so, and ours has to say the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["SCENES", "Scene", "Step"]


@dataclasses.dataclass(frozen=True)
class Step:
    """One step: a method of `player.Player`, and how many events follow at each end."""

    do: str
    args: tuple[Any, ...]
    client: int
    server: int

    @property
    def words(self) -> str:
        """The step as the table shows it."""
        return " ".join([self.do.replace("_", " "), *filter(None, map(_shown, self.args))])


def _shown(arg: Any) -> str:
    if isinstance(arg, dict):
        return ", ".join(
            f"{name}={arg[name]}" for name in arg if arg[name] != QUIET.get(name, "other")
        )
    return str(arg)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Steps that are played on a line of their own.

    Attributes:
        needs: "cut" any real line can do; "packets" takes one that holds packets (`TunLink`).
        at_least_s: from the opening to the last event at either end, on every line.
        is_a_race: whether the same network says now this exception, now that one: it depends on
            which of two kernels is the first to send again.
        not_at: the ends at which our conditions are something else, with the reason.
        not_over_tls: where TLS, which lies between TCP and our conditions, says more than they let.
    """

    name: str
    steps: tuple[Step, ...]
    needs: str = "cut"
    at_least_s: float = 0.0
    is_a_race: bool = False
    not_at: dict[str, str] = dataclasses.field(default_factory=dict)
    not_over_tls: bool = False


QUIET: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.4}


def step(do: str, *args: Any, client: int = 0, server: int = 0) -> Step:
    return Step(do, args, client, server)


def opened(client: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> Step:
    return step("open", QUIET | (client or {}), QUIET | (server or {}), client=1, server=1)


def said(side: str, message: str) -> Step:
    """Send, and see it come."""
    other = "server" if side == "client" else "client"
    return step("send", side, message, **{side: 1, other: 1})


def kept(side: str, message: str) -> Step:
    """Send into a line that lets nothing through."""
    return step("send", side, message, **{side: 1})


CUT, RESTORE, NOTHING = step("cut"), step("restore"), step("nothing")
BYE = step("close", "client", 1000, "bye", client=1, server=1)
KEEPALIVE = {"ping_interval": 0.2, "ping_timeout": 0.3}
PATIENT = {"close_timeout": 15.0}

SCENES = [
    Scene(
        "a conversation",
        (
            opened(),
            said("client", "hello"),
            said("server", "good day"),
            step("ping", "client", client=1),
            step("ping", "server", server=1),
            step("close", "client", 1000, "bye", client=1, server=1),
        ),
    ),
    Scene(
        "the server closes",
        (opened(), said("client", "hello"), step("close", "server", 4000, "x", client=1, server=1)),
    ),
    Scene("the client's program crashes", (opened(), step("abort", "client", client=1, server=1))),
    Scene("the server's program crashes", (opened(), step("abort", "server", client=1, server=1))),
    Scene(
        "cut and restored",
        (
            opened(),
            said("client", "one"),
            CUT,
            kept("client", "two"),
            kept("client", "three"),
            kept("server", "II"),
            step("ping", "client"),
            NOTHING,
            step("restore", client=2, server=2),  # messages, and the pong
            said("client", "four"),
            BYE,
        ),
    ),
    Scene(
        "cut and restored, with nothing to say",
        (opened(), CUT, NOTHING, RESTORE, said("server", "still here"), BYE),
    ),
    Scene(
        "cut again and again",
        (
            opened(),
            CUT,
            kept("client", "one"),
            step("restore", server=1),
            CUT,
            kept("client", "two"),
            kept("server", "II"),
            step("restore", client=1, server=1),
            CUT,
            RESTORE,
            CUT,
            kept("client", "three"),
            step("restore", server=1),
            BYE,
        ),
    ),
    Scene(
        "cut for longer than both keepalives",
        (opened(KEEPALIVE, KEEPALIVE), step("cut", client=1, server=1), RESTORE, NOTHING),
        not_over_tls=True,  # its goodbye is answered below a cut line: no TimeoutError
    ),
    Scene(
        "cut for longer than the client's keepalive",
        (opened(KEEPALIVE), step("cut", client=1), NOTHING, step("restore", server=1)),
    ),
    Scene(
        "cut for longer than the server's keepalive",
        (opened(None, KEEPALIVE), step("cut", server=1), NOTHING, step("restore", client=1)),
        not_over_tls=True,  # likewise
    ),
    Scene(
        "cut for a shorter time than keepalive",
        (
            opened({"ping_interval": 0.1, "ping_timeout": 15}),
            CUT,
            NOTHING,
            NOTHING,
            RESTORE,
            said("client", "still here"),
            BYE,
        ),
    ),
    Scene(
        "the client closes while cut",
        (
            opened(),
            CUT,
            step("close", "client", 1000, "bye", client=1),
            NOTHING,
            step("restore", server=1),
        ),
    ),
    Scene(
        "the server closes while cut",
        (
            opened(),
            CUT,
            step("close", "server", 1001, "bye", server=1),
            NOTHING,
            step("restore", client=1),
        ),
    ),
    Scene(
        "sends, then a close, while cut",
        (
            opened(),
            CUT,
            kept("client", "one"),
            kept("client", "two"),
            step("close", "client", 1000, "bye", client=1),
            NOTHING,
            step("restore", server=3),
        ),
    ),
    Scene(
        "both close while cut",
        (
            opened(),
            CUT,
            step("close", "client", 1000, "bye", client=1),
            step("close", "server", 1001, "bye", server=1),
            RESTORE,
            NOTHING,
        ),
    ),
    Scene(
        "a close and its answer are cut off, and restored in time",
        (
            opened(PATIENT, PATIENT),
            CUT,
            step("close", "client", 1000, "bye"),
            NOTHING,
            step("restore", client=1, server=1),
        ),
    ),
    Scene(
        "the client's program crashes while cut",
        (opened(), CUT, step("abort", "client", client=1), NOTHING, step("restore", server=1)),
    ),
    Scene(
        "the server's program crashes while cut",
        (opened(), CUT, step("abort", "server", server=1), NOTHING, step("restore", client=1)),
    ),
    Scene(
        "the client crashes while cut, and the server has said something",
        (
            opened(),
            CUT,
            kept("server", "unread"),
            step("abort", "client", client=1),
            NOTHING,
            step("restore", server=1),
        ),
        is_a_race=True,  # FIN, or RST for what nobody reads
    ),
    Scene(
        "the client crashes while cut, and the server sends until a send blocks",
        (
            opened(),
            CUT,
            step("abort", "client", client=1),
            step("fill", "server", server=1),
            NOTHING,
            step("restore", server=2),
        ),
        is_a_race=True,  # FIN, or RST for what nobody reads
    ),
    Scene(
        "the client closes while cut, and the server sends until a send blocks",
        (
            opened(),
            CUT,
            step("close", "client", 1000, "bye", client=1),
            step("fill", "server", server=1),
            NOTHING,
            step("restore", server=2),
        ),
        is_a_race=True,  # FIN, or RST for what nobody reads
    ),
    Scene(
        "the client crashes with something unread while cut",
        (
            opened(),
            step("stop_reading", "client"),
            kept("server", "unread"),
            CUT,
            step("abort", "client", client=1),
            RESTORE,
            NOTHING,
            step("send", "server", "anybody there?", server=2),
        ),
        # The kernel's RST is lost in the cut, and nobody sends one again: ours comes later.
        not_at=dict.fromkeys(("client", "server"), "its RST is held, and not lost"),
    ),
    Scene(
        "opened while cut",
        (CUT, step("open", {"open_timeout": 0.5}, {}, client=1), RESTORE, NOTHING),
        not_at={"client": "a client's handle is there when it is open"},
    ),
    Scene(
        "half a message, a cut, the other half",
        (
            opened(),
            step("send_halves", "client", "half ", "and half", "cut", client=1),
            NOTHING,
            step("restore", server=1),
            BYE,
        ),
    ),
    Scene(
        "the server reads nothing",
        (
            opened(),
            step("stop_reading", "server"),
            kept("client", "one"),
            step("ping", "client"),
            said("server", "but writes"),
            step("resume_reading", "server", client=1, server=1),
            BYE,
        ),
    ),
    Scene(
        "the client reads nothing until the server's send blocks",
        (
            opened(),
            step("stop_reading", "client"),
            step("fill", "server", server=1),
            NOTHING,
            step("resume_reading", "client", client=1, server=1),
            BYE,
        ),
    ),
    Scene(
        "the server reads nothing until the client's send blocks",
        (
            opened(),
            step("stop_reading", "server"),
            step("fill", "client", client=1),
            NOTHING,
            step("resume_reading", "server", client=1, server=1),
            BYE,
        ),
    ),
    Scene(
        "the client reads nothing for longer than the server's keepalive",
        (
            opened(None, KEEPALIVE),
            step("stop_reading", "client", server=1),
            NOTHING,
            step("resume_reading", "client", client=1),
        ),
        not_over_tls=True,  # which reads on by itself, on a real network too, and sees the end
    ),
    Scene(
        "sends until a send blocks, while cut",
        (
            opened(),
            CUT,
            step("fill", "client", client=1),
            NOTHING,
            step("restore", client=1, server=1),
            BYE,
        ),
    ),
    Scene(
        "a delay",
        (
            opened(PATIENT, PATIENT),
            step("set", 0.1, 0.0, None),
            said("client", "one"),
            said("server", "II"),
            step("ping", "client", client=1),
            BYE,
        ),
        needs="packets",
        at_least_s=0.6,  # one, II, a ping and its pong, a close and its answer
    ),
    Scene(
        "a delay that varies",
        (
            opened(PATIENT, PATIENT),
            step("set", 0.05, 0.1, None),
            step("send", "client", *"12345", client=1, server=5),
            step("ping", "client", client=1),
            said("server", "II"),
            BYE,
        ),
        needs="packets",
        at_least_s=0.3,
    ),
    Scene(
        "a limit to the rate",
        (
            opened(PATIENT, PATIENT),
            step("set", 0.0, 0.0, 100_000),
            step("begin_big", "client", 100_000, client=1, server=1),
            step("ping", "client", client=1),
            BYE,
        ),
        needs="packets",
        at_least_s=0.7,
    ),
    Scene(
        "a cut in the middle of a big message",
        (
            opened(),
            step("set", 0.0, 0.0, 100_000),
            step("begin_big", "client", 100_000, client=1),
            CUT,
            step("set", 0.0, 0.0, None),
            step("restore", server=1),
            said("server", "thanks"),
            BYE,
        ),
        needs="packets",
    ),
    Scene(
        "reset",
        (opened(), said("client", "one"), step("reset", client=1, server=1)),
        needs="packets",
    ),
    Scene(
        "reset in the middle of a big message",
        (
            opened(),
            step("set", 0.0, 0.0, 100_000),
            step("begin_big", "client", 100_000, client=1),
            step("reset", client=1, server=1),
        ),
        needs="packets",
    ),
    Scene(
        "reset while a send blocks",
        (
            opened(),
            step("stop_reading", "server"),
            step("fill", "client", client=1),
            step("reset", client=2),
            step("resume_reading", "server", server=1),
        ),
        needs="packets",
    ),
]
