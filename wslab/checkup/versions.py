"""wslab's own version, what it asks of others, and which of two versions is newer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["at_least", "minimums", "normal", "own_requirements", "own_version"]

_REQUIREMENT = (  # compiled where they are used: importing wslab shall cost little
    r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*([^;]*)(?:;(.*))?"
)
_VERSION = r"v?(?:\d+!)?(\d+(?:\.\d+)*)[-_.]?(a|b|c|rc|alpha|beta|pre|preview|dev)?"


def own_version() -> str:
    """Return wslab's version, also where it runs from a checkout that is not installed."""
    import importlib.metadata

    try:
        return importlib.metadata.version("wslab")
    except importlib.metadata.PackageNotFoundError:
        return str(_checkout_project().get("version", "(version not known)"))


def own_requirements() -> tuple[str, list[str]]:
    """Return what wslab's metadata asks of Python and of packages, as requirement strings."""
    import importlib.metadata

    try:
        metadata = importlib.metadata.metadata("wslab")
        python = str(metadata.json.get("requires_python", ""))
        return python, importlib.metadata.requires("wslab") or []
    except importlib.metadata.PackageNotFoundError:
        project = _checkout_project()
        extras = project.get("optional-dependencies", {})
        return str(project.get("requires-python", "")), [
            *project.get("dependencies", []),
            *(f"{line}; extra == '{extra}'" for extra in extras for line in extras[extra]),
        ]


def _checkout_project() -> dict[str, Any]:
    """Read the pyproject.toml beside the package, where that is wslab's own; else {}."""
    import tomllib

    try:
        text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8")
        project = tomllib.loads(text).get("project", {})
    except (OSError, ValueError):
        return {}
    return project if project.get("name") == "wslab" else {}


def minimums(requirements: Iterable[str]) -> dict[str, str]:
    """Return the lowest version that each requirement string allows, by normalized name.

    Args:
        requirements: such as ``"websockets>=17"`` or ``"uvloop>=0.21; extra == 'fast'"``. What
            only development needs (extras other than ``lab`` and ``fast``) is left out.
    """
    found = {}
    for requirement in requirements:
        match = re.match(_REQUIREMENT, requirement)
        if match is None:
            continue
        name, versions, marker = match[1], match[2], match[3] or ""
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        least = re.search(r">=\s*([0-9][0-9A-Za-z.!]*)", versions)
        if least is not None and (extra is None or extra[1] in ("lab", "fast")):
            found[normal(name)] = least[1]
    return found


def at_least(version: str, minimum: str) -> bool:
    """Whether ``version`` is ``minimum`` or newer; a pre-release of it is not."""
    has, wants = re.match(_VERSION, version.lower()), re.match(_VERSION, minimum.lower())
    if has is None or wants is None:
        return False
    numbers = [[int(part) for part in match[1].split(".")] for match in (has, wants)]
    length = max(map(len, numbers))
    mine, least = (part + [0] * (length - len(part)) for part in numbers)
    return mine > least if has[2] and not wants[2] else mine >= least


def normal(name: str) -> str:
    """Return a package's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
