"""Control groups of both versions are found and bounded; version 2 on a directory that looks like one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from clearhold.adapters.sandbox_bwrap import cgroup
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Limits


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc directory of a process in version 2 group /a.slice of a hierarchy below tmp_path."""
    home = tmp_path / "proc"
    home.mkdir()
    (home / "mountinfo").write_text(
        f"30 23 0:26 / {tmp_path}/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
        f"31 23 0:27 / {tmp_path}/with\\040space rw - tmpfs tmpfs rw\n"
    )
    (home / "cgroup").write_text("0::/a.slice\n")
    (tmp_path / "unified" / "a.slice").mkdir(parents=True)
    return home


class Kernel:
    """Puts the files of version 2 into each group that is made, as the kernel does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = Path.mkdir
        self.made: list[Path] = []

        def mkdir(path: Path) -> None:
            original(path)
            if path.name.startswith("clearhold-"):
                self.made.append(path)
                for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max"):
                    (path / name).write_text("")
                (path / "cgroup.procs").write_text("")
                (path / "memory.events").write_text("oom 0\noom_kill 0\n")

        def rmdir(path: Path) -> None:
            for each in path.iterdir():
                each.unlink()
            os.rmdir(path)  # noqa: PTH106  # the method is what is replaced

        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(Path, "rmdir", rmdir)


def test_version_2_is_found_limited_and_removed(
    proc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(monkeypatch)
    hierarchy = cgroup.find(proc)
    assert hierarchy is not None
    assert hierarchy.version == 2
    assert hierarchy.parents == {"memory": tmp_path / "unified" / "a.slice"}
    group = hierarchy.group("clearhold-1-run")
    group.bound(Limits(memory_mb=100, processes=10))
    home = kernel.made[-1]
    assert (home / "memory.max").read_text() == str(100 << 20)
    assert (home / "memory.swap.max").read_text() == "0"
    assert (home / "pids.max").read_text() == "13"
    assert (home / "cpu.max").read_text() == "100000 100000"
    assert len(group.joins) == 1
    assert b"oom_kill" in os.pread(group.events, 100, 0)
    assert group.peak_mb() == 0.0
    group.remove()
    assert not home.exists()


def test_a_hierarchy_without_the_controllers_is_not_used(proc: Path, tmp_path: Path) -> None:
    assert cgroup.find(proc) is None
    assert list((tmp_path / "unified").rglob("clearhold*")) == []


def test_no_hierarchy_at_all_is_none(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text("")
    (tmp_path / "cgroup").write_text("")
    assert cgroup.find(tmp_path) is None


def test_a_group_that_cannot_be_made_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    hierarchy = cgroup.Hierarchy(1, {"memory": tmp_path, "pids": tmp_path / "missing"})
    with pytest.raises(UnavailableError) as caught:
        hierarchy.group("clearhold-1-run")
    assert caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_groups_of_killed_hubs_are_swept_and_others_are_spared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("clearhold-4194999-1-1", f"clearhold-{os.getpid()}-1-1", "system.slice"):
        (tmp_path / name).mkdir()
    hierarchy = cgroup.Hierarchy(1, {"memory": tmp_path})
    hierarchy.sweep()
    assert len(list(tmp_path.iterdir())) == 3, "what is younger than a minute may be starting"
    monkeypatch.setattr(cgroup, "_STALE_S", -1.0)
    hierarchy.sweep()
    assert {each.name for each in tmp_path.iterdir()} == {
        f"clearhold-{os.getpid()}-1-1",
        "system.slice",
    }


def test_what_a_killed_supervisor_left_in_a_group_ends_with_it() -> None:
    hierarchy = cgroup.find()
    if hierarchy is None:
        pytest.skip("no control groups in use")
    group = hierarchy.group(f"clearhold-{os.getpid()}-left-0")
    with subprocess.Popen(["/bin/sleep", "600"]) as left:
        try:
            for fd in group.joins:
                os.write(fd, str(left.pid).encode())
            group.remove()
            assert left.wait(timeout=30) == -9
        finally:
            left.kill()
    assert not any((home / group.name).exists() for home in hierarchy.parents.values())
