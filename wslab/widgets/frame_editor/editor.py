"""FrameEditor: flip the bits of a frame, send it, and see what a real server answers.

Its rule: what it sends is what stands there, over TCP from the kernel, on a connection of its own,
and what it shows is what came back. Sending and judging are in `attempt`, the drawing in editor.js,
and what it has in common with the handshake editor in `attempts`.
"""

from __future__ import annotations

from typing import Any

import traitlets

from ...server.server import Server
from ..attempts.editor import AttemptEditor
from ..widget import read_static
from .attempt import FrameAttempt, FramePlan, attempt, build, new_key, to_json

__all__ = ["FrameEditor"]


class FrameEditor(AttemptEditor[FrameAttempt]):
    """Edit one frame field by field, send it for real, and read the answer (RFC 6455 §5.2).

    Args:
        server: a wslab Server; each attempt opens a connection of its own to it.

    Raises:
        TypeError: it is no Server.
    """

    _esm = read_static(
        "widgets/dom.js", "widgets/attempts/editor.js", "widgets/frame_editor/editor.js"
    )
    _css = read_static("widgets/theme.css", "widgets/attempts/editor.css")

    key = traitlets.Unicode().tag(sync=True)

    def __init__(self, server: Server) -> None:
        if not isinstance(server, Server):
            raise TypeError(
                f"expected a Server, as wslab.serve() returns one, got {type(server).__name__}"
            )
        self._server = server
        super().__init__("frame", repr(server.name), title=server.name, key=new_key().hex())

    def ask(self, **fields: Any) -> FrameAttempt:
        """Send a frame, a good text frame but for what is changed here; return what came of it.

        Args:
            fields: ``fin``, ``rsv1``, ``rsv2``, ``rsv3``, ``opcode``, ``masked``; ``length`` in
                bytes, true or not; ``form``: 7, 16 or 64 bits of length; ``payload``: a str or
                bytes; ``key``: four bytes.

        Raises:
            TypeError: there is no such field.
            ValueError: a field does not fit into its bits.
            NobodyListening, ConnectFailed: there was no WebSocket to send it on.
        """
        if isinstance(fields.get("payload"), str):
            fields["payload"] = fields["payload"].encode()
        fields.setdefault("key", new_key())
        return self._attempt(FramePlan(**fields))

    def _attempt(self, plan: FramePlan) -> FrameAttempt:
        one = attempt(self._server, plan)
        return self._keep(one, key=new_key().hex())  # one for each frame

    _to_json = staticmethod(to_json)

    def _click(self, content: Any) -> None:
        self._attempt(_checked(content["plan"]))

    def _good_text(self) -> str:
        return build(FramePlan(key=new_key())).hex(" ")


def _checked(plan: Any) -> FramePlan:
    """Take a plan from the browser apart and together again, so that it is one."""
    flags = {name: bool(plan[name]) for name in ("fin", "rsv1", "rsv2", "rsv3", "masked")}
    length, form = plan.get("length"), plan.get("form")
    try:
        payload, key = bytes.fromhex(str(plan["payload"])), bytes.fromhex(str(plan["key"]))
    except ValueError:
        raise ValueError(
            "expected pairs of hex digits, such as 48 65 6c, in key and payload"
        ) from None
    return FramePlan(
        **flags,
        opcode=int(plan["opcode"]),
        length=None if length is None else int(length),
        form={7: 7, 16: 16, 64: 64}.get(int(form)) if form else None,  # type: ignore[arg-type]
        payload=payload,
        key=key,
    )
