"""Where this process runs, and whether a browser reaches this machine from there.

The one rule: a guess is called a guess. What a process can see of itself is read from its
environment variables and from Jupyter's own files; under which address a person looks at the
notebook only the `page` can tell. Nothing here connects to anything: `wslab.doctor` checks these
answers by real handshakes.
"""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .jupyter_server import has_server_proxy, jupyter_server
from .origins import checked_base_url, is_loopback_origin, origin_of
from .page import noted_page

__all__ = ["Environment", "Kind", "detect", "public_origin"]


class Kind(enum.Enum):
    """The kinds of environment, which differ in what a browser there can reach."""

    SCRIPT = "script"
    IPYTHON = "ipython"
    JUPYTER = "jupyter"
    HUB = "hub"
    BINDER = "binder"
    VSCODE = "vscode"
    COLAB = "colab"


@dataclass(frozen=True)
class Environment:
    """What could be found out about where this runs.

    Attributes:
        kind: which kind of environment.
        label: the same in words, such as "JupyterLab or Jupyter Notebook".
        jupyter_base_url: where Jupyter's server is mounted, such as `/user/demo-abc/`.
        jupyter_origin: scheme, host and port of the page, or None while unknown. A page that
            told its own wins over what Jupyter's server believes of itself.
        can_reach_kernel: whether a browser that looks at this can connect to 127.0.0.1 of the
            kernel's machine; None when that cannot be known from here.
        reason: the reason for `can_reach_kernel`, in words.
        has_server_proxy: whether jupyter-server-proxy is installed where the kernel runs. The
            server that would use it may run in another environment, so True and False are
            likely, not certain; None when the kernel sees no Jupyter server at all.
    """

    kind: Kind
    label: str
    jupyter_base_url: str
    jupyter_origin: str | None
    can_reach_kernel: bool | None
    reason: str
    has_server_proxy: bool | None

    @property
    def is_proxied(self) -> bool:
        """Whether a browser must go through Jupyter's server to reach a port of the kernel."""
        if self.kind in (Kind.HUB, Kind.BINDER):
            return True
        return self.kind is Kind.JUPYTER and self.can_reach_kernel is False

    @property
    def has_jupyter(self) -> bool:
        """Whether a page here may ask a Jupyter server that this process belongs to."""
        return self.kind in (Kind.HUB, Kind.BINDER, Kind.JUPYTER)


def detect(
    environ: Mapping[str, str] | None = None,
    shell: Any = None,
    modules: Mapping[str, Any] | None = None,
) -> Environment:
    """Find out where this process runs.

    Cannot be known from here: whether a page at `localhost` is really on this machine (an SSH
    tunnel for Jupyter's port alone looks the same), whether VS Code drives a kernel that it
    started elsewhere, and the public address of a Binder or of a JupyterHub older than 5.

    Args:
        environ: environment variables; `os.environ` by default.
        shell: IPython's shell; by default the running one, if IPython is imported at all.
        modules: loaded modules; `sys.modules` by default.
    """
    environ = os.environ if environ is None else environ
    modules = sys.modules if modules is None else modules
    if shell is None and "IPython" in modules:
        # Never imported here: a script that does without IPython keeps doing without it.
        get_ipython = getattr(modules["IPython"], "get_ipython", None)
        shell = get_ipython() if get_ipython is not None else None
    is_kernel = any("ZMQInteractiveShell" in base.__name__ for base in type(shell).__mro__)
    namespace = getattr(shell, "user_ns", None) or {}

    if _is_colab(environ, modules):
        return Environment(
            Kind.COLAB, "Google Colab", "/", None, False,
            "Colab's kernel is a machine of Google's; your browser reaches its ports only "
            "through google.colab's own proxy, which is not made for WebSockets",
            None,
        )  # fmt: skip
    if any(environ.get(f"BINDER_{name}") for name in ("LAUNCH_HOST", "REF_URL", "REPO_URL")):
        return _on_hub(Kind.BINDER, "Binder", environ)
    if "__vsc_ipynb_file__" in namespace:
        return _in_vscode(environ)
    if environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return _on_hub(Kind.HUB, "JupyterHub", environ)
    if is_kernel:
        server = jupyter_server(environ)
        if server is None and any(environ.get(f"VSCODE_{name}") for name in ("PID", "CWD")):
            return _in_vscode(environ)
        return _in_jupyter(environ, server)
    if shell is not None:
        return _on_this_machine(Kind.IPYTHON, "IPython in a terminal", environ)
    return _on_this_machine(Kind.SCRIPT, "a Python script or plain interpreter", environ)


def public_origin(environ: Mapping[str, str]) -> str | None:
    """Read where JupyterHub 5 and newer says that browsers find this user's server."""
    return origin_of(environ.get("JUPYTERHUB_PUBLIC_URL", ""))


def _is_colab(environ: Mapping[str, str], modules: Mapping[str, Any]) -> bool:
    names = ("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION", "COLAB_JUPYTER_IP", "COLAB_GPU")
    return "google.colab" in modules or any(name in environ for name in names)


def _on_hub(kind: Kind, label: str, environ: Mapping[str, str]) -> Environment:
    noted = noted_page()
    try:
        base_url = checked_base_url(environ["JUPYTERHUB_SERVICE_PREFIX"])
    except (KeyError, ValueError):
        base_url = (jupyter_server(environ) or {}).get("base_url", "/")
    return Environment(
        kind=kind,
        label=label,
        jupyter_base_url=noted[1] if noted else base_url,
        jupyter_origin=noted[0] if noted else public_origin(environ),
        can_reach_kernel=False,
        reason=f"on {label} the kernel rarely runs on the machine of your browser, so the way to "
        "its ports leads through Jupyter's server (jupyter-server-proxy)",
        has_server_proxy=has_server_proxy(),
    )


def _in_vscode(environ: Mapping[str, str]) -> Environment:
    can_reach: bool | None
    if environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        can_reach = False
        reason = "VS Code drives a kernel that runs on a JupyterHub, on another machine"
    elif sign := _remote_sign(environ):
        can_reach = None
        reason = f"{sign}; VS Code may forward the port to your machine (see its Ports view)"
    else:
        can_reach = True
        reason = "VS Code and the kernel run on this machine"
    return Environment(Kind.VSCODE, "VS Code", "/", None, can_reach, reason, None)


def _in_jupyter(environ: Mapping[str, str], server: dict[str, str] | None) -> Environment:
    noted = noted_page()
    origin, base_url = noted or (
        (server["origin"] or None, server["base_url"]) if server else (None, "/")
    )
    can_reach: bool | None
    if noted and not is_loopback_origin(noted[0]):
        can_reach = False
        reason = f"the notebook is looked at from {noted[0]}, which is not this machine"
    elif sign := _remote_sign(environ):
        can_reach = None
        reason = f"{sign}; a tunnel for Jupyter's port does not carry the other ports"
    elif server is None and noted is None:
        can_reach = None
        reason = "no Jupyter server of this machine is known to have started this kernel"
    elif origin is None or not is_loopback_origin(origin):
        can_reach = None
        reason = (
            "Jupyter's server listens beyond this machine, so the browser may be on another one"
        )
    else:
        can_reach = True
        reason = f"Jupyter is on this machine, at {origin}"
    return Environment(
        kind=Kind.JUPYTER,
        label="JupyterLab or Jupyter Notebook",
        jupyter_base_url=base_url,
        jupyter_origin=origin,
        can_reach_kernel=can_reach,
        reason=reason,
        has_server_proxy=has_server_proxy(),
    )


def _on_this_machine(kind: Kind, label: str, environ: Mapping[str, str]) -> Environment:
    sign = _remote_sign(environ)
    reason = f"{sign}; only a browser there reaches its 127.0.0.1" if sign else "same machine"
    return Environment(kind, label, "/", None, None if sign else True, reason, None)


def _remote_sign(environ: Mapping[str, str]) -> str | None:
    """Say what speaks for a browser on another machine than this process, or None."""
    if environ.get("CODESPACES"):
        return "this runs in a GitHub Codespace"
    if environ.get("SSH_CONNECTION"):
        return "this was started over SSH"
    if environ.get("REMOTE_CONTAINERS") or _is_container():
        return "this runs in a container"
    return None


def _is_container() -> bool:
    return any(os.path.exists(sign) for sign in ("/.dockerenv", "/run/.containerenv"))
