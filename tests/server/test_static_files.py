"""Files and folders as a page: what is found, and what never is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.rig import get
from wslab.server.static_files import MAX_FILE_SIZE_BYTES


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "sub dir").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".git").mkdir()
    (tmp_path / "site-secret").mkdir()
    (root / "index.html").write_text("<h1>home</h1>")
    (root / "app.js").write_text("let x")
    (root / "100% möglich.txt").write_text("yes")
    (root / "archive.tar.gz").write_bytes(b"\x1f\x8b")
    (root / "blob").write_bytes(b"\x00\xff")
    (root / "sub dir" / "index.html").write_text("<h1>sub</h1>")
    (root / ".env").write_text("SECRET")
    (root / ".git" / "config").write_text("SECRET")
    (tmp_path / "secret.txt").write_text("SECRET")
    (tmp_path / "site-secret" / "x.txt").write_text("SECRET")
    return root


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("/", b"<h1>home</h1>", "text/html; charset=utf-8"),
        ("/index.html", b"<h1>home</h1>", "text/html; charset=utf-8"),
        ("/app.js?v=1", b"let x", "text/javascript; charset=utf-8"),
        ("/100%25%20m%C3%B6glich.txt", b"yes", "text/plain; charset=utf-8"),
        ("/sub%20dir/", b"<h1>sub</h1>", "text/html; charset=utf-8"),
        ("/blob", b"\x00\xff", "application/octet-stream"),
    ],
)
def test_a_folder_is_served(site: Path, path: str, body: bytes, content_type: str) -> None:
    response = get(site, path)
    assert (response.status_code, response.body) == (200, body)
    assert response.headers["Content-Type"] == content_type


def test_a_compressed_file_is_not_called_by_what_is_inside(site: Path) -> None:
    assert get(site, "/archive.tar.gz").headers["Content-Type"] != "application/x-tar"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/sub%20dir/../../secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/../site-secret/x.txt",
        "/C:/secret.txt",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.",
        "/app.js/",
        "/app.js%00.html",
        "/app.js%0a",
        "/%ff",
        "/" + "a" * 5000,
        "/nothing",
        "/empty/",
        "secret.txt",
        "*",
        "",
    ],
)
def test_what_is_no_plain_file_of_the_folder_is_not_found(site: Path, path: str) -> None:
    response = get(site, path)
    assert response.status_code == 404
    assert b"SECRET" not in response.body


@given(st.lists(st.sampled_from(["..", ".", "", "%2e", "/", "%2f", "\\", "secret.txt", "~", ":"])))
def test_no_path_leads_out_of_the_folder(tmp_path_factory: Any, parts: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "jail"
    (root / "site").mkdir(parents=True, exist_ok=True)
    (root / "secret.txt").write_text("SECRET")
    for joint in ("/", ""):
        assert get(root / "site", "/" + joint.join(parts)).status_code in (307, 404)


def test_links_are_followed_only_inside_the_folder(site: Path) -> None:
    for name, target in {
        "out.txt": site.parent / "secret.txt",
        "in.txt": site / "app.js",
        "hidden.txt": site / ".env",
        "loop.txt": site / "loop.txt",
        "outside": site.parent,
    }.items():
        (site / name).symlink_to(target)
    (site / "empty" / "index.html").symlink_to(site.parent / "secret.txt")
    assert get(site, "/in.txt").body == b"let x"
    for path in ("/out.txt", "/hidden.txt", "/loop.txt", "/outside/secret.txt", "/empty/"):
        assert get(site, path).status_code == 404, path


def test_a_folder_without_its_slash_is_redirected_relatively(site: Path) -> None:
    # Relative, because a proxy may have cut a prefix off the path.
    response = get(site, "/sub%20dir")
    assert (response.status_code, response.headers["Location"]) == (307, "./sub%20dir/")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_waited_for(site: Path) -> None:
    os.mkfifo(site / "pipe")
    assert get(site, "/pipe").status_code == 404


def test_a_file_over_the_limit_is_refused(site: Path) -> None:
    with open(site / "big", "wb") as file:
        file.truncate(MAX_FILE_SIZE_BYTES)
    assert len(get(site, "/big").body) == MAX_FILE_SIZE_BYTES
    with open(site / "big", "ab") as file:
        file.write(b"x")
    response = get(site, "/big")
    assert response.status_code == 403
    assert b"16 MiB" in response.body


def test_a_single_file_is_the_root(site: Path) -> None:
    page = site / "app.js"
    assert get(page).body == b"let x"
    assert get(page).headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert get(page, "/app.js").status_code == 404
    assert get(page, "/../secret.txt").status_code == 404
    page.unlink()
    assert get(page).status_code == 404
