"""What is installed, read from an environment that may lie."""

import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_hub import install, record, site_of, wheel

from clearhold.agent.environment import (
    damaged_files,
    inside_environment,
    read_environment,
    read_metadata,
    recorded_files,
)
from clearhold.kernel.errors import ClearholdError, InvalidError, NotFoundError


def plant(environment: Path, directory: str, metadata: bytes) -> Path:
    place = site_of(environment) / directory
    place.mkdir()
    (place / "METADATA").write_bytes(metadata)
    return place


def test_the_inventory_lists_what_is_installed(environment: Path) -> None:
    install(environment, wheel("Grey_Toucan", "1!2.0+local.1", metadata="Requires-Dist: parrot"))
    found = read_environment(environment)
    assert [str(each.purl) for each in found.packages] == [
        "pkg:pypi/grey-toucan@1%212.0%2Blocal.1",
        "pkg:pypi/parrot@1.5",
    ]
    assert found.packages[0].requires == ("parrot",)
    assert found.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found.unread == ()


def test_nothing_of_the_environment_is_executed(environment: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    bomb = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n"
    for name in ("sitecustomize.py", "usercustomize.py", "parrot.py"):
        (site_of(environment) / name).write_text(bomb)
    (site_of(environment) / "bomb.pth").write_text(bomb)
    python = environment / "bin" / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\ntouch {mark}\n")
    python.chmod(0o755)
    found = read_environment(environment)
    assert found.find("parrot")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("directory", "metadata"),
    [
        ("x-1.dist-info", b""),
        ("x-1.dist-info", b"\xff\xfe\x00"),
        ("x-1.dist-info", b"Name: x\n"),
        ("x-1.dist-info", b"Name: y\nVersion: 1\n"),
        ("x-1.dist-info", b"Name: x\nVersion: 2\n"),
        ("x-1.dist-info", b"Name: ../x\nVersion: 1\n"),
        ("x-1.dist-info", b"Name: x\nVersion: 1; rm -rf\n"),
        ("x-1.dist-info", b"Name: x\nVersion: \x1b[2J1\n"),
        ("x.dist-info", b"Name: x\nVersion: 1\n"),
        ("x-1.dist-info", b"Name: x\nVersion: 1\n" + b"a" * (4 << 20)),
    ],
)
def test_what_cannot_be_read_is_reported_and_not_passed_over(
    environment: Path, directory: str, metadata: bytes
) -> None:
    plant(environment, directory, metadata)
    found = read_environment(environment)
    assert [each.name for each in found.unread] == [directory]
    assert [each.name for each in found.packages] == ["parrot"]


def test_links_pipes_and_old_forms_are_reported(environment: Path, tmp_path: Path) -> None:
    site = site_of(environment)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "METADATA").write_text("Name: a\nVersion: 1\n")
    (site / "a-1.dist-info").symlink_to(elsewhere)
    (site / "b-1.dist-info").mkdir()
    os.mkfifo(site / "b-1.dist-info" / "METADATA")
    (site / "c-1.dist-info").mkdir()
    (site / "c-1.dist-info" / "METADATA").symlink_to("/etc/passwd")
    (site / "d-1.egg-info").write_text("Name: d\nVersion: 1\n")
    found = read_environment(environment)
    assert [each.name for each in found.unread] == [
        *("a-1.dist-info", "b-1.dist-info", "c-1.dist-info", "d-1.egg-info")
    ]


def test_a_package_installed_twice_is_listed_twice(environment: Path) -> None:
    install(environment, wheel(version="1.6"))
    assert [each.version for each in read_environment(environment).find("parrot")] == ["1.5", "1.6"]


def test_a_place_that_is_no_environment_is_refused(environment: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_environment(tmp_path / "nothing")
    with pytest.raises(NotFoundError):
        read_environment(environment / "pyvenv.cfg")
    (environment / "lib" / "python3.999" / "site-packages").mkdir(parents=True)
    with pytest.raises(InvalidError):
        read_environment(environment)


def test_site_packages_that_lead_elsewhere_are_refused(environment: Path, tmp_path: Path) -> None:
    site = site_of(environment)
    shutil.move(site, tmp_path / "moved")
    site.symlink_to(tmp_path / "moved")
    with pytest.raises(InvalidError):
        read_environment(environment)


@pytest.mark.parametrize(
    "line",
    [
        b"/etc/passwd,,",
        b"../../../../x,,",
        b"../../../../../../../etc/passwd,,",
        b"a\\b,,",
        b"a,b",
        b"a,,,",
        b'"a',
        b"\xff,,",
        b",,",
    ],
)
def test_a_record_that_leads_outside_or_is_malformed_is_refused(
    environment: Path, line: bytes
) -> None:
    found = read_environment(environment)
    (package,) = found.find("parrot")
    (package.metadata_directory / "RECORD").write_bytes(line + b"\n")
    with pytest.raises(InvalidError, match="RECORD"):
        recorded_files(found, package)


def test_damage_to_installed_files_is_seen(environment: Path) -> None:
    found = read_environment(environment)
    (package,) = found.find("parrot")
    assert damaged_files(found, package) == ()
    module = site_of(environment) / "parrot.py"
    module.write_bytes(b"changed = 1\n")
    (damage,) = damaged_files(found, package)
    assert damage.endswith("site-packages/parrot.py")
    module.unlink()
    module.mkdir()
    assert damaged_files(found, package) == (damage,)


def test_a_nonsense_hash_counts_as_damage(environment: Path) -> None:
    found = read_environment(environment)
    (package,) = found.find("parrot")
    good = record({"parrot.py": b""}, "parrot-1.5.dist-info/RECORD")
    (package.metadata_directory / "RECORD").write_bytes(good.replace(b"sha256=", b"sha256=!!"))
    assert damaged_files(found, package) != ()


@given(st.text(alphabet="a./\\\0", max_size=20))
def test_no_recorded_name_leads_out_of_the_environment(name: str) -> None:
    inside = inside_environment(PurePosixPath("lib/python3.11/site-packages"), name)
    if inside is not None:
        assert Path("/env").joinpath(inside).resolve().is_relative_to("/env")
        assert ".." not in inside.parts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=120).map(lambda data: b"Metadata-Version: 2.1\n" + data))
def test_no_hostile_metadata_escapes_as_another_error(data: bytes) -> None:
    try:
        name, version, _ = read_metadata(data)
    except ClearholdError:
        return
    assert name.isprintable()
    assert version.isprintable()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(st.binary(max_size=120))
def test_no_hostile_record_escapes_as_another_error(environment: Path, data: bytes) -> None:
    found = read_environment(environment)
    (package,) = found.find("parrot")
    (package.metadata_directory / "RECORD").write_bytes(data)
    try:
        files = recorded_files(found, package)
    except ClearholdError:
        return
    assert all(".." not in each.path.parts for each in files)


def test_the_real_interpreter_agrees(environment: Path) -> None:
    script = (
        "import importlib.metadata as m; print([(d.name, d.version) for d in m.distributions()])"
    )
    shown = subprocess.run(
        [environment / "bin" / "python", "-I", "-c", script],
        capture_output=True,
        check=True,
        text=True,
    )
    found = read_environment(environment)
    assert shown.stdout.strip() == str([(each.name, each.version) for each in found.packages])
