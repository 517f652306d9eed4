"""What the machine is asked before anything is installed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.delivery.cli import system_checks
from clearhold.delivery.cli.system_checks import (
    Check,
    base_checks,
    disk_space,
    laboratory_checks,
    missing_packages,
    optional_checks,
    package_index,
)


@contextlib.contextmanager
def index(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # base class's
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}/simple/"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_tools_outside_what_the_sandbox_shows_do_not_count(tmp_path: Path) -> None:
    for tool in ("gcc", "g++", "clang", "patch", "bwrap"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    missing = missing_packages(laboratory_checks(str(tmp_path)))
    assert {"gcc", "g++", "clang", "libclang-rt-dev", "llvm", "patch", "bubblewrap"} <= set(missing)


def test_every_failed_check_names_its_package_and_the_next_step() -> None:
    for check in (*base_checks(), *laboratory_checks(""), *optional_checks("")):
        if not check.passed:
            assert check.package
            assert f"apt-get install {check.package}" in check.next_step


def test_a_machine_without_afl_or_git_lacks_some_searches_and_is_whole() -> None:
    assert missing_packages(optional_checks("")) == ("afl++", "git")
    assert "afl++" not in missing_packages(laboratory_checks(""))


def test_a_git_that_is_too_old_to_be_told_an_address_does_not_count(tmp_path: Path) -> None:
    for release, lacks in (("2.36.9", True), ("2.37.0", False), ("3.0", False), ("next", True)):
        (tmp_path / "git").write_text(f"#!/bin/sh\necho git version {release}\n")
        (tmp_path / "git").chmod(0o755)
        assert ("git" in missing_packages(optional_checks(str(tmp_path)))) == lacks


def test_a_package_is_named_once() -> None:
    failed = Check("a", False, "missing", "install x", "x")
    whole = Check("b", True, "present", "", "y")
    assert missing_packages([failed, whole, failed]) == ("x",)


def test_the_disk_is_measured_where_the_directory_will_be(tmp_path: Path) -> None:
    assert disk_space(tmp_path / "not" / "yet", needed_mb=1).passed
    full = disk_space(tmp_path / "not" / "yet", needed_mb=2**40)
    assert not full.passed
    assert "free " in full.next_step
    assert str(tmp_path) in full.detail


@pytest.mark.parametrize("status", [200, 401, 404, 405])
def test_an_index_that_answers_at_all_is_reachable(status: int) -> None:
    with index(status) as address:
        assert package_index(f"http://{address}").passed


def test_an_index_in_trouble_is_not_reachable() -> None:
    with index(503) as address:
        check = package_index(f"http://{address}")
    assert not check.passed
    assert "503" in check.detail


def test_credentials_of_the_index_are_never_shown() -> None:
    with index(200) as address:
        check = package_index(f"http://user:hunter2@{address}")
    assert check.passed
    assert "hunter2" not in repr(check)
    closed = package_index("http://user:hunter2@127.0.0.1:1/simple/", timeout_s=1)
    assert not closed.passed
    assert closed.next_step
    assert "hunter2" not in repr(closed)


@given(st.text(max_size=40).filter(lambda text: not text.lower().strip().startswith("http")))
def test_what_is_no_web_address_is_refused_and_not_echoed(address: str) -> None:
    check = package_index(address)
    assert not check.passed
    assert check.detail == "its address is not a web address"


@pytest.mark.parametrize("address", ["http://", "https://host:port/", "http://[::1", "http://x:0/"])
def test_a_broken_web_address_is_refused(address: str) -> None:
    assert package_index(address).detail == "its address is not a web address"


def test_the_checks_run_on_a_bare_interpreter() -> None:
    """Isolated and without site packages: nothing but the standard library is there."""
    script = str(Path(system_checks.__file__))
    for arguments, status in (
        (["all"], 0),
        (["test"], 0),
        (["base"], 0),
        (["space", "/", "1"], 0),
        ([], 2),
    ):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
    full = subprocess.run(
        [sys.executable, "-I", "-S", "-B", script, "space", "/", str(2**40)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 1
    assert "MB are needed" in full.stdout
