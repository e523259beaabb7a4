"""Where wslab runs: each kind of environment from its signs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.notebook.rig import (
    BINDER,
    HUB,
    PUBLIC,
    TerminalInteractiveShell,
    ZMQInteractiveShell,
    write_server_file,
)
from wslab.notebook import environment
from wslab.notebook.environment import Kind, detect
from wslab.notebook.page import note_page_origin
from wslab.notebook.routes import browser_url, page_url

pytestmark = pytest.mark.usefixtures("on_a_plain_machine")


def test_a_script() -> None:
    here = detect({}, modules={})
    assert here.kind is Kind.SCRIPT
    assert here.can_reach_kernel is True
    assert here.jupyter_origin is None
    assert here.has_server_proxy is None
    assert browser_url(8765, here=here) == "ws://127.0.0.1:8765/"


def test_ipython_that_is_imported_but_not_running_is_a_script() -> None:
    modules = {"IPython": SimpleNamespace(get_ipython=lambda: None)}
    assert detect({}, modules=modules).kind is Kind.SCRIPT


def test_the_shell_is_asked_for_when_ipython_is_there() -> None:
    modules = {"IPython": SimpleNamespace(get_ipython=TerminalInteractiveShell)}
    assert detect({}, modules=modules).kind is Kind.IPYTHON


def test_ipython_half_imported_is_no_error() -> None:
    assert detect({}, modules={"IPython": SimpleNamespace()}).kind is Kind.SCRIPT


def test_ipython_in_a_terminal() -> None:
    here = detect({}, TerminalInteractiveShell(), {})
    assert here.kind is Kind.IPYTHON
    assert "terminal" in here.label


def test_jupyter(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path, base_url="/base/", url="http://localhost:8888/base/")
    here = detect(environ, ZMQInteractiveShell(), {})
    assert here.kind is Kind.JUPYTER
    assert here.jupyter_base_url == "/base/"
    assert here.jupyter_origin == "http://localhost:8888"
    assert here.can_reach_kernel is True
    assert "a-secret-token" not in repr(here)
    assert browser_url(8765, here=here) == "ws://127.0.0.1:8765/"


def test_a_shell_derived_from_ipykernels_is_a_kernel() -> None:
    class Derived(ZMQInteractiveShell):
        pass

    assert detect({}, Derived(), {}).kind is Kind.JUPYTER


def test_without_a_server_of_this_machine_reach_is_unknown() -> None:
    here = detect({"JPY_PARENT_PID": "../../x"}, ZMQInteractiveShell(), {})
    assert (here.kind, here.can_reach_kernel) == (Kind.JUPYTER, None)
    assert "no Jupyter server" in here.reason


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        ({"hostname": "0.0.0.0", "url": "http://my-box:8888/"}, None),
        ({"hostname": "localhost", "url": "http://my-box:8888/"}, None),  # ServerApp.ip = ""
        ({"hostname": "10.0.0.7", "url": "https://10.0.0.7:8888/"}, "https://10.0.0.7:8888"),
        ({"hostname": "localhost", "url": "http+unix://%2Ftmp%2Fs"}, None),
    ],
)
def test_a_server_that_listens_beyond_this_machine_leaves_reach_unknown(
    tmp_path: Path, changes: dict[str, str], origin: str | None
) -> None:
    here = detect(write_server_file(tmp_path, **changes), ZMQInteractiveShell(), {})
    assert (here.jupyter_origin, here.can_reach_kernel) == (origin, None)


def test_a_loopback_server_by_ipv6(tmp_path: Path) -> None:
    environ = write_server_file(tmp_path, hostname="::1", url="http://[::1]:8888/")
    here = detect(environ, ZMQInteractiveShell(), {})
    assert (here.jupyter_origin, here.can_reach_kernel) == ("http://[::1]:8888", True)


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}, "SSH"),
        ({"CODESPACES": "true"}, "Codespace"),
        ({"REMOTE_CONTAINERS": "true"}, "container"),
    ],
)
def test_signs_of_another_machine_leave_reach_unknown(
    tmp_path: Path, environ: dict[str, str], word: str
) -> None:
    for here in (
        detect(environ | write_server_file(tmp_path), ZMQInteractiveShell(), {}),
        detect(environ, TerminalInteractiveShell(), {}),
        detect(environ, ZMQInteractiveShell(__vsc_ipynb_file__="/x.ipynb"), {}),
        detect(environ, modules={}),
    ):
        assert here.can_reach_kernel is None
        assert word in here.reason


def test_a_container_is_such_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_is_container", lambda: True)
    assert "container" in detect({}, modules={}).reason


@pytest.mark.parametrize("shell", [ZMQInteractiveShell(), TerminalInteractiveShell(), None])
def test_a_hub_whatever_the_shell(shell: Any) -> None:
    here = detect(HUB, shell, {})
    assert here.kind is Kind.HUB
    assert here.jupyter_base_url == "/user/alice/"
    assert here.jupyter_origin is None
    assert here.can_reach_kernel is False
    assert browser_url(8765, here=here) == "/user/alice/proxy/8765/"


def test_a_hub_that_tells_its_public_url() -> None:
    here = detect(PUBLIC, ZMQInteractiveShell(), {})
    assert here.jupyter_origin == "https://hub.example.org"
    assert browser_url(8765, here=here) == "wss://hub.example.org/user/alice/proxy/8765/"
    assert page_url(8765, here=here) == "https://hub.example.org/user/alice/proxy/8765/"


@pytest.mark.parametrize("url", ["", "hub.example.org", "https://", "ftp://x/", "https://a:b/"])
def test_a_public_url_that_is_none_is_ignored(url: str) -> None:
    here = detect(HUB | {"JUPYTERHUB_PUBLIC_URL": url}, ZMQInteractiveShell(), {})
    assert here.jupyter_origin is None


def test_a_hub_user_whose_name_is_quoted() -> None:
    environ = {"JUPYTERHUB_SERVICE_PREFIX": "/hub/user/a%40b.org"}
    assert detect(environ, modules={}).jupyter_base_url == "/hub/user/a%40b.org/"


def test_binder_learns_its_origin_from_the_page() -> None:
    here = detect(BINDER, ZMQInteractiveShell(), {})
    assert here.kind is Kind.BINDER
    assert here.jupyter_origin is None
    assert browser_url(8765, here=here) == "/user/demo-abc/proxy/8765/"

    note_page_origin("https://notebooks.example.org", "/binder/user/demo-abc/")
    here = detect(BINDER, ZMQInteractiveShell(), {})
    assert browser_url(8765, here=here) == (
        "wss://notebooks.example.org/binder/user/demo-abc/proxy/8765/"
    )


def test_binder_without_a_prefix_asks_the_servers_file(tmp_path: Path) -> None:
    environ = {"BINDER_REPO_URL": "x"} | write_server_file(tmp_path, base_url="/user/b/")
    assert detect(environ, ZMQInteractiveShell(), {}).jupyter_base_url == "/user/b/"


def test_vscode_by_its_variable_in_the_namespace() -> None:
    here = detect({}, ZMQInteractiveShell(__vsc_ipynb_file__="/home/x.ipynb"), {})
    assert (here.kind, here.can_reach_kernel) == (Kind.VSCODE, True)
    assert browser_url(8765, here=here) == "ws://127.0.0.1:8765/"


@pytest.mark.parametrize("name", ["VSCODE_PID", "VSCODE_CWD"])
def test_vscode_by_its_environment(name: str) -> None:
    assert detect({name: "1"}, ZMQInteractiveShell(), {}).kind is Kind.VSCODE
    # A terminal of VS Code sets the same for all that is started there.
    assert detect({name: "1"}, modules={}).kind is Kind.SCRIPT


def test_jupyterlab_started_from_a_terminal_of_vscode_is_jupyter(tmp_path: Path) -> None:
    environ = {"VSCODE_PID": "1"} | write_server_file(tmp_path)
    assert detect(environ, ZMQInteractiveShell(), {}).kind is Kind.JUPYTER


def test_vscode_with_a_kernel_on_a_hub() -> None:
    here = detect(HUB, ZMQInteractiveShell(__vsc_ipynb_file__="/x.ipynb"), {})
    assert (here.kind, here.can_reach_kernel) == (Kind.VSCODE, False)
    assert "JupyterHub" in here.reason


@pytest.mark.parametrize(
    ("environ", "modules"), [({"COLAB_RELEASE_TAG": "r"}, {}), ({}, {"google.colab": object()})]
)
def test_colab(environ: dict[str, str], modules: dict[str, Any]) -> None:
    here = detect(environ, ZMQInteractiveShell(), modules)
    assert (here.kind, here.can_reach_kernel) == (Kind.COLAB, False)
    assert browser_url(8765, here=here) == "ws://127.0.0.1:8765/"


def test_every_place_says_why() -> None:
    for environ in ({}, HUB, BINDER, {"COLAB_GPU": ""}):
        here = detect(environ, ZMQInteractiveShell(), {})
        assert len(here.reason.split()) > 3
        assert here.label


def test_the_module_alone_imports_nothing_heavy() -> None:
    code = "import sys, types; wslab = sys.modules['wslab'] = types.ModuleType('wslab')\n"
    code += "wslab.__path__ = [sys.argv[1]]; from wslab.notebook.environment import detect\n"
    code += "import wslab.notebook.routes; detect(); print(*sys.modules)"
    source = Path(detect.__code__.co_filename).parents[1]
    done = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heavy = {"asyncio", "IPython", "json", "jupyter_core", "jupyter_server", "tornado"}
    assert not heavy & {*done.stdout.split()}
