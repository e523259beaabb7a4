"""The project as a whole: what is tracked, what the README and the changelog must say."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
FOLDERS = {".ci", "wslab", "notebooks", "tests", "binder"}

# Put together from pieces, so that this file does not hold what it looks for.
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "npm" + "js.com",
    "deb." + "debian.org",
    "anaconda" + ".org",
]
MACHINE_PATHS = [
    r"(?<![\w.~/-])/" + "work/",
    r"(?<![\w.~-])/" + r"root/",
    "/tmp/" + "envs",
    "/opt/" + r"(wheels|py" + "pi)",
    rf"(?<![\w.~-]){re.escape(str(Path.home()))}/",
    r"\.py" + "env/versions/[0-9]",
]
FORBIDDEN = re.compile("|".join([*map(re.escape, REGISTRIES), *MACHINE_PATHS]))


def _files() -> list[Path]:
    """Return the files that are tracked or would be with the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [PROJECT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def _texts() -> list[tuple[Path, str]]:
    texts = []
    for path in _files():
        try:
            texts.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # a picture or a capture
    return texts


def _project() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def _notebooks() -> list[Path]:
    # JupyterLab's own copies, of lessons that somebody has opened here, lie in .ipynb_checkpoints.
    found = (PROJECT / "notebooks").glob("**/*.ipynb")
    return sorted(path for path in found if path.parent.name != ".ipynb_checkpoints")


def test_the_patterns_find_what_they_are_for():
    found = [
        "https://" + REGISTRIES[0] + "/x",
        "'/ro" + "ot/x'",
        "(/wo" + "rk/x)",
        f"{Path.home()}/x",
    ]
    assert [bool(FORBIDDEN.search(text)) for text in found] == [True] * len(found)
    harmless = [
        "https://example.org/wo" + "rk/",
        "a/ro" + "ot/b",
        "/home/alice/",
        "./wo" + "rk/x",
        "/tmp/x",
    ]
    assert [FORBIDDEN.search(text) for text in harmless] == [None] * len(harmless)


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:100]}"
        for path, text in _texts()
        for number, line in enumerate(text.splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_only_the_known_folders_are_at_the_top():
    relative = [path.relative_to(PROJECT) for path in _files()]
    assert {path.parts[0] for path in relative if len(path.parts) > 1} <= FOLDERS


def test_no_file_is_large():
    large = [str(p.relative_to(PROJECT)) for p in _files() if p.stat().st_size > 1_000_000]
    assert large == []


def test_the_course_has_a_first_lesson():
    assert PROJECT / "notebooks" / "00_start_here.ipynb" in _notebooks()


@pytest.mark.parametrize("path", _notebooks(), ids=lambda path: path.name)
def test_a_notebook_is_committed_clean(path):
    # A learner saves their own copy with outputs, and that is fine: what git has counts.
    name = path.relative_to(PROJECT).as_posix()
    shown = subprocess.run(["git", "show", f":{name}"], cwd=PROJECT, capture_output=True)
    text = shown.stdout.decode() if shown.returncode == 0 else path.read_text(encoding="utf-8")
    document = json.loads(text)
    assert document["nbformat"] == 4
    assert document["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in document["metadata"], "saved widget state"
    identities = [cell["id"] for cell in document["cells"]]
    assert len(set(identities)) == len(identities)
    for index, cell in enumerate(document["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], f"cell {index} has outputs"
            assert cell["execution_count"] is None, f"cell {index} has an execution count"


@pytest.mark.parametrize("path", _notebooks(), ids=lambda path: path.stem)
def test_what_a_notebook_links_to_is_there(path: Path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    linked = [to.partition("#")[0] for to in re.findall(r"\]\(([^)\s]+)\)", text)]
    gone = [to for to in linked if "://" not in to and not (path.parent / to).exists()]
    assert gone == []


def test_the_package_is_typed():
    assert (PROJECT / "wslab" / "py.typed").is_file()
    assert "Typing :: Typed" in _project()["classifiers"]


def test_the_readme_names_every_public_name():
    import wslab

    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in wslab.__all__ if not re.search(rf"\b{name}\b", readme)]
    assert missing == []


def test_the_changelog_has_this_version():
    changelog = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^##? .*\b{re.escape(_project()['version'])}\b", changelog, re.MULTILINE)


def test_the_version_is_the_installed_one():
    import importlib.metadata

    import wslab

    try:
        installed = importlib.metadata.version("wslab")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("wslab is not installed here (make test installs it)")
    assert wslab.__version__ == installed == _project()["version"]
