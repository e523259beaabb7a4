"""FrameEditor: flip the bits of a frame, send it, and see what a real server answers.

Its rule: what it sends is what stands there, over TCP from the kernel, on a connection of its own,
and what it shows is what came back. From the browser come custom messages only, on any thread;
each click has an id that comes back in ``done``. Sending and judging are in `frame_tries`, the
drawing in frame_editor.js.
"""

from __future__ import annotations

import html
import threading
from typing import Any

import anywidget
import traitlets

from ...server.server import Server
from ..assets import read_static
from .attempt import FramePlan, FrameTry, attempt, build, new_key, to_json

__all__ = ["FrameEditor"]

MAX_TRIES = 20
_MAX_DONE = 50


class FrameEditor(anywidget.AnyWidget):
    """Edit one frame field by field, send it for real, and read the answer (RFC 6455 §5.2).

    Args:
        server: a wslab Server; each try opens a connection of its own to it.

    Raises:
        TypeError: it is no Server.
    """

    _esm = read_static(
        "widgets/dom.js", "widgets/handshake_editor/attempt.js", "widgets/frame_editor/editor.js"
    )
    _css = read_static("widgets/theme.css", "widgets/handshake_editor/editor.css")

    # Kernel to browser only: trait sync the other way jams while a cell awaits.
    title = traitlets.Unicode().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)
    shown: traitlets.List[Any] = traitlets.List().tag(sync=True)
    done: traitlets.List[Any] = traitlets.List().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)

    def __init__(self, server: Server) -> None:
        if not isinstance(server, Server):
            raise TypeError(
                f"expected a Server, as wslab.serve() returns one, got {type(server).__name__}"
            )
        self._server = server
        self._tries: list[tuple[int, FrameTry]] = []
        self._count = 0
        self._mutex = threading.RLock()
        super().__init__(title=server.name, key=new_key().hex())
        self.on_msg(self._on_msg)

    @property
    def tries(self) -> tuple[FrameTry, ...]:
        """What was sent so far and what came back, oldest first; the last twenty."""
        with self._mutex:
            return tuple(one for _, one in self._tries)

    def ask(self, **fields: Any) -> FrameTry:
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
        return self._carry_out(FramePlan(**fields))

    def _carry_out(self, plan: FramePlan) -> FrameTry:
        one = attempt(self._server, plan)
        with self._mutex:
            self._count += 1
            self._tries = [*self._tries, (self._count, one)][-MAX_TRIES:]
            with self.hold_sync():
                self.shown = [to_json(each, number) for number, each in self._tries]
                self.key = new_key().hex()  # one for each frame
        return one

    def _on_msg(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # On the main thread or on a subshell's; what it raised or printed would appear nowhere.
        if not isinstance(content, dict) or content.get("type") != "send":
            return
        said = "interrupted"
        try:
            self._carry_out(_checked(content["plan"]))
            said = ""
        except Exception as exc:
            said = f"not sent: {exc}"
        finally:  # an interrupt, too, ends what was pending
            with self._mutex, self.hold_sync():
                self.done = [*self.done, str(content.get("id"))][-_MAX_DONE:]
                self.said = said

    def __str__(self) -> str:
        tries = self.tries
        count = "1 try" if len(tries) == 1 else f"{len(tries)} tries"
        lines = [f"frame editor for {self.title!r}, {count}"]
        width = max((len(one.label) for one in tries), default=0)
        lines += [f"  {one.label:<{width}}  {one.outcome}" for one in tries]
        return "\n".join(lines)

    __repr__ = __str__

    def _to_html(self) -> str:
        tries = self.tries
        if not tries:
            good = build(FramePlan(key=new_key())).hex(" ")
            body = f"<pre>{good}</pre><p>Nothing was sent yet.</p>"
        else:
            style = "text-align:left;padding:2px 16px 2px 0;background:none;vertical-align:top"
            table = [("frame", "answer", "why")]
            table += [(one.label, one.outcome, " ".join(one.why)) for one in tries]
            rows = "".join(
                "<tr>"
                + "".join(f'<td style="{style}">{html.escape(c)}</td>' for c in row)
                + "</tr>"
                for row in table
            )
            body = f"<table><tbody>{rows}</tbody></table>"
        return f"<p><b>Frame editor</b> for {html.escape(self.title)}</p>{body}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, meta = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/plain": str(self), "text/html": self._to_html()}, meta


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
