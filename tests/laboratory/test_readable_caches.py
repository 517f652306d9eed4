"""The sandbox's own user can read what was unpacked and built, whatever the hub's umask is."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from clearhold.adapters.sources_cache import CachedSources
from clearhold.ports.sandbox import Job, Outcome, Sandbox, Tier
from clearhold.validation.archive import unpack
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Flavour, Recipe, Side
from reproduction_bench import CACHE


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


class _AlwaysBuilds(Sandbox):
    """Answers every job as a compiler that left one file in a directory would."""

    def tier(self) -> Tier:
        return Tier.NAMESPACES

    def run(self, job: Job, *, least: Tier, on_output: object = None) -> Outcome:
        return Outcome(
            exit_code=0,
            signal=None,
            timed_out=False,
            out_of_memory=False,
            output_truncated=False,
            stdout=b"gcc 1\ng++ 1\npatch 1\npython3 1\n",
            stderr=b"",
            artefacts={"deep/er/x.so": b"x"},
            wall_s=0.1,
            peak_memory_mb=1,
            tier=Tier.NAMESPACES,
        )


def _open_to_others(tree: Path) -> bool:
    places = [tree, *tree.rglob("*")]
    return all(
        place.stat().st_mode & 0o005 == 0o005 or (place.is_file() and place.stat().st_mode & 0o004)
        for place in places
    )


def test_unpacked_source_is_open_to_the_sandbox(tmp_path: Path, narrow_umask: None) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("p/deep/x.c")
        info.size = 1
        tar.addfile(info, BytesIO(b"x"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert _open_to_others(unpack(archive, digest, tmp_path / "trees"))


def test_builds_are_open_to_the_sandbox_and_their_names_to_nobody(
    tmp_path: Path, ujson: Recipe, narrow_umask: None
) -> None:
    sources = CachedSources(CACHE / "sources", origins={})
    made = Laboratory(_AlwaysBuilds(), sources, tmp_path)
    build = made.build(ujson, Side.VULNERABLE, flavour=Flavour.PLAIN)
    assert _open_to_others(build.directory)
    assert build.directory.parent.parent.stat().st_mode & 0o777 == 0o711
