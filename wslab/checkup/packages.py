"""Which versions are installed of what wslab needs, and whether they are new enough."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from .report import Finding
from .versions import at_least, minimums, normal, own_requirements

__all__ = ["judged", "packages"]

NEST_MINIMUM = "1.7.4"  # known also where wslab's own metadata is not
# What each is for, where it is not there.
_OPTIONAL = {
    "ipykernel": "needed only in a notebook",
    "jupyterlab": "needed only for `wslab lab`: pip install 'wslab[lab]'",
    "jupyter-server-proxy": "needed where the browser is on another machine (Binder, a Hub)",
    "uvloop": "the stock event loop does the same, more slowly",
}
_NEEDED = ("websockets", "anywidget", "ipywidgets", "nest_asyncio2")


def packages() -> list[Finding]:
    """Find out which versions are installed, and whether they are new enough."""
    import importlib.metadata
    import platform

    def installed(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    versions = {name: installed(name) for name in (*_NEEDED, *_OPTIONAL)}
    python, requirements = own_requirements()
    return judged(versions, minimums(requirements), platform.python_version(), python)


def judged(
    versions: Mapping[str, str | None], least: Mapping[str, str], python: str, python_least: str
) -> list[Finding]:
    """Compare versions with minimums; ``least`` is by normalized name."""
    import platform

    minimum = re.sub(r"[^0-9.]", "", python_least)
    implementation = f"{platform.python_implementation()} {python} on {sys.platform}"
    is_old = bool(minimum) and not at_least(python, minimum)
    findings = [
        Finding("python", False, f"{implementation}; {minimum} or newer is needed")
        if is_old
        else Finding("python", True, implementation)
    ]
    kernel = versions.get("ipykernel")
    for name, version in versions.items():
        minimum = least.get(normal(name), NEST_MINIMUM if name == "nest_asyncio2" else "")
        if version is None:
            seen = f"not installed; {_OPTIONAL.get(name, 'needed')}"
            advice = "" if name in _OPTIONAL else "Install wslab again: `pip install -U wslab`"
            findings.append(Finding(name, name in _OPTIONAL, seen, advice))
        elif minimum and not at_least(version, minimum):
            seen = f"{version}; {minimum} or newer is needed"
            if name == "nest_asyncio2" and kernel is not None and at_least(kernel, "7"):
                seen += f": beside ipykernel {kernel} it silently loses queued cells (Run All)"
            advice = f"`pip install -U '{name}>={minimum}'`, then restart the kernel"
            findings.append(Finding(name, False, seen, advice))
        else:
            findings.append(Finding(name, True, version))
    return findings
