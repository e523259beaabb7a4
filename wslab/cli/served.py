"""What `wslab serve` is asked to serve: a handler of ours by its name, or one in a user's file.

Its rule: what is wrong with it is said in one line, before anything listens.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from ..failures import in_words
from ..server.handler import Application, Handler, check_handler, is_application
from ..server.http_page import Page
from .arguments import UserError

__all__ = ["handler_of", "hub_of", "page_of", "share"]


def handler_of(what: str) -> Handler | Application:
    """Return the handler, or the ASGI application, that a command line names."""
    if what == "echo":
        from ..examples.echo import echo

        return echo
    if what == "chat":
        from ..examples.chat import chat

        return chat()
    file, _, name = what.rpartition(":")
    module = file.replace(".", "/") + ".py"
    if name and not file.endswith(".py") and Path(module).is_file():  # as uvicorn takes it
        file = module
    if not file.endswith(".py") or not name:
        is_file = what.endswith(".py")
        hint = f"say which function of it: {what}:handler" if is_file else f"got {what!r}"
        raise UserError(f"expected echo, chat or FILE.py:NAME; {hint}")
    module = _load(Path(file))
    handler: Any = module
    try:
        for part in name.split("."):
            handler = getattr(handler, part)
    except AttributeError:
        import inspect

        there = [key for key, value in vars(module).items() if inspect.iscoroutinefunction(value)]
        has = f"its async functions are {', '.join(there)}" if there else "it has no async function"
        raise UserError(f"{file} has no {name!r}; {has}") from None
    try:
        if not is_application(handler):
            check_handler(handler)
    except TypeError as exc:
        raise UserError(f"{what}: {exc}") from None
    return handler  # type: ignore[no-any-return]


def hub_of(handler: Any) -> Any:
    """Return the Hub that a handler is, or that an application goes around; None where none is."""
    hub = getattr(handler, "hub", handler)
    return hub if callable(getattr(hub, "drain", None)) else None


def share(handler: Handler | Application, args: argparse.Namespace) -> None:
    """Let a hub share what it knows with other processes, as the command line has it.

    Raises:
        UserError: it is no hub, or there are several workers and nothing that they share.
    """
    hub = hub_of(handler)
    if args.backplane:
        if hub is None:
            raise UserError(f"--backplane is for a Hub, and {args.handler} is none")
        try:
            hub.set_backplane(args.backplane)
        except (ImportError, ValueError) as exc:
            raise UserError(str(exc)) from None
    if hub is not None and args.workers > 1 and hub.backplane.status == "memory":
        raise UserError(
            f"{args.workers} workers of a hub would have rooms and clients of their own each: "
            "expected --backplane redis://127.0.0.1:6379/0, or Hub(backplane=...)"
        )


def page_of(what: str) -> Page:
    """Return what a browser gets from the handler that a command line names."""
    if what != "chat":
        return True
    from ..examples.chat import PAGE

    return PAGE


def _load(path: Path) -> Any:
    """Import a user's file, as `python FILE.py` would find its neighbours."""
    import importlib.util

    if not path.is_file():
        raise UserError(f"there is no file {path}")
    path = path.resolve()
    sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"served_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look for it there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as exc:
        where = f"{os.path.basename(exc.filename or path)} line {exc.lineno}"
        raise UserError(f"{where}: {type(exc).__name__}: {exc.msg}") from None
    except (Exception, SystemExit) as exc:
        line = traceback.extract_tb(exc.__traceback__)
        inner = [step for step in line if step.filename == str(path)]
        where = f"{path.name} line {inner[-1].lineno}" if inner else path.name
        raise UserError(f"{where}: {in_words(exc)}") from None
    return module
