"""How a Server, Client, Hub or Replay shows itself where it is the last line of a cell.

Registered with IPython by the types' names, so that `import wslab` loads no widget: that happens
when something is shown first. Its rule: text in a terminal; in a kernel a live panel, and the same
as HTML for where the panel does not reach (GitHub, nbconvert, a notebook opened later). Nothing is
printed, and a panel that cannot be made is said instead of shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..failures import in_words
from ..notebook.shell import running_shell

if TYPE_CHECKING:
    from ..client.client import Client
    from ..hub import Hub
    from ..replays.replay import Replay
    from ..server.server import Server
    from ..taps.tap import Tap

__all__ = ["hub_mimebundle", "mimebundle", "register", "replay_mimebundle"]

WIDGET = "application/vnd.jupyter.widget-view+json"


def register(shell: Any = None) -> bool:
    """Tell IPython how to show a Server, Client, Hub and Replay; idempotent, and loads no widget.

    Args:
        shell: IPython's shell; by default the running one, if IPython is imported at all.

    Returns:
        Whether there was a shell to tell.
    """
    shell = shell if shell is not None else running_shell()
    formatter = getattr(getattr(shell, "display_formatter", None), "mimebundle_formatter", None)
    if formatter is None:
        return False
    formatter.for_type_by_name("wslab.server.server", "Server", mimebundle)
    formatter.for_type_by_name("wslab.taps.tap", "Tap", mimebundle)
    formatter.for_type_by_name("wslab.client.client", "Client", mimebundle)
    formatter.for_type_by_name("wslab.hub.server.hub", "Hub", hub_mimebundle)
    formatter.for_type_by_name("wslab.replays.replay", "Replay", replay_mimebundle)
    return True


def mimebundle(thing: Server | Tap | Client, **_kwargs: Any) -> dict[str, Any]:
    """Return all forms of a Server, Tap or Client that the front end here could show.

    Args:
        thing: what to show.
    """
    from ..client.client import Client
    from .panels import model, static_html

    if isinstance(thing, Client):
        view, rows = model.client_view(thing), model.client_log(thing)["rows"]
        trouble = model.client_trouble(thing)
    else:
        view, rows = model.server_view(thing), []
        trouble = model.server_trouble(thing)
    data: dict[str, Any] = {"text/plain": static_html.to_text(view, trouble, rows)}
    if getattr(running_shell(), "kernel", None) is None:
        return data  # no comm, and nobody who could draw HTML
    data["text/html"] = static_html.to_html(view, trouble, rows)

    def panel() -> Any:
        from .panels.panel import panel_of

        return panel_of(thing)

    return _with_panel(data, panel)


def hub_mimebundle(hub: Hub, **_kwargs: Any) -> dict[str, Any]:
    """Return all forms of a Hub's map that the front end here could show.

    Args:
        hub: what to show. Its messages are traced from now on, where there is a kernel.
    """
    from .rooms import model, static_html

    has_kernel = getattr(running_shell(), "kernel", None) is not None
    if has_kernel:
        model.trace(hub)
    look = model.hub_look(hub)
    data: dict[str, Any] = {"text/plain": static_html.to_text(**look)}
    if not has_kernel:
        return data
    data["text/html"] = static_html.to_html(**look)

    def panel() -> Any:
        from .rooms.rooms import map_of

        return map_of(hub)

    return _with_panel(data, panel)


def replay_mimebundle(replay: Replay, **_kwargs: Any) -> dict[str, Any]:
    """Return all forms of a Replay: its record beside what came, as it is at this moment.

    Args:
        replay: what to show.
    """
    from .replays import static_html

    return {"text/plain": static_html.to_text(replay), "text/html": static_html.to_html(replay)}


def _with_panel(data: dict[str, Any], make: Callable[[], Any]) -> dict[str, Any]:
    """Return the data with a live panel, or with why there is none."""
    try:
        panel = make()
        panel.show()
        data[WIDGET] = {"version_major": 2, "version_minor": 0, "model_id": panel.model_id}
    except Exception as exc:
        why = f"No live panel: {in_words(exc)}"
        import html

        data["text/html"] += f"<p>{html.escape(why)}</p>"
        data["text/plain"] += f"\n  {why}"
    return data
