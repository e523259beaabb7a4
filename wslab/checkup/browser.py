"""Which URL a page in the user's browser has to use, as far as that is known."""

from __future__ import annotations

from collections.abc import Iterable

from ..notebook import routes
from ..notebook.environment import Environment
from ..notebook.page import seen_by_page
from .report import Finding

__all__ = ["browser"]


def browser(here: Environment, carried: Iterable[Finding], tunnel_id: str) -> Finding:
    """Say which URL that is.

    Args:
        here: where this runs.
        carried: what was found on the ways through Jupyter's server.
        tunnel_id: of a server here, or "".
    """
    through = {finding.name: finding.ok for finding in carried}
    tunnels = through.get("through the tunnel") is True and tunnel_id != ""
    port = 8765  # stands for any
    url = routes.browser_url(port, here=here, tunnel_id="ID" if tunnels else "")
    url = url.replace(str(port), "PORT")
    if url.startswith("/"):
        url += " on the notebook's own host"
    ok, advice = here.can_reach_kernel, ""
    if here.is_proxied or seen_by_page("direct"):
        ok = True if tunnels else through.get("through Jupyter")
        if not ok:
            advice = "A page in your browser may not reach a server here; Python does"
    elif tunnels:
        ok = True
    elif ok is None:
        other = "or go through jupyter-server-proxy"
        if through.get("through Jupyter"):
            other = f"or go through Jupyter, at {here.jupyter_base_url}proxy/PORT/"
        advice = (
            "If your browser runs on another machine, it can't reach this address: forward the "
            f"port too, {other}"
        )
    elif not ok:
        advice = "A page in your browser can't connect here; wslab.connect() in Python can"
    return Finding("URL for a browser", ok, url, advice)
