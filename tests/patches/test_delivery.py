"""What operators install is a proper wheel, and the operator's own agent sees the proof stop."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clearhold.agent.environment import read_environment
from clearhold.agent.verify import ProofResult, prove
from clearhold.agent.wheel import inspect_wheel
from clearhold.demo import material
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.patches.delivery import BuiltWheel, build_delivery, probe, shown, telling_probe
from clearhold.patches.judging import Probe
from clearhold.ports.sandbox import Tier
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Flavour, Recipe, Side, load
from clearhold.wire import bundle, finding_json
from reproduction_bench import DEEP_LISTS

PATCHED = "5.1.0+clearhold.1"


@pytest.fixture
def environment() -> Iterator[Path]:
    """An empty virtual environment that the sandbox's own user can enter."""
    with tempfile.TemporaryDirectory(prefix="clearhold-operator-") as directory:
        place = Path(directory)
        place.chmod(0o711)
        venv.create(place / "venv", with_pip=False, symlinks=True)
        yield place / "venv"


def _install(environment: Path, made: BuiltWheel) -> None:
    wheel = environment.parent / made.filename
    wheel.write_bytes(made.wheel)
    pip = [sys.executable, "-I", "-m", "pip", "--isolated", "--python", str(environment)]
    options = ["--no-index", "--no-deps", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--upgrade", *options, str(wheel)], check=True)


def _published(probe: Probe, package: str) -> bundle.Probe:
    """The probe as it travels, held to what a bundle accepts."""
    entry = bundle.Entry(
        id="CLH-2026-1",
        revision=1,
        summary="a flaw",
        published=datetime(2026, 6, 5, tzinfo=UTC),
        affected=(bundle.Affected(package, versions=("5.1.0",)),),
        probes=(
            bundle.Probe(
                package=package,
                argv=probe.argv,
                files={
                    place: bundle.target_of(f"probes/{number}", data)
                    for number, (place, data) in enumerate(sorted(probe.files.items()))
                },
                works=probe.works,
                clean=probe.clean,
                wall_s=probe.wall_s,
                memory_mb=probe.memory_mb,
            ),
        ),
    )
    issued = datetime(2026, 6, 5, tzinfo=UTC)
    whole = bundle.read(bundle.write(bundle.Bundle(1, issued, (entry,))))
    return whole.advisories[0].probes[0]


def test_the_agent_sees_the_proof_work_and_then_no_longer(
    laboratory: Laboratory, ujson: Recipe, environment: Path
) -> None:
    fix = material.real_fix()
    before = build_delivery(laboratory, ujson, patch=None, version="5.1.0")
    after = build_delivery(laboratory, ujson, patch=fix, version=PATCHED)
    chosen = telling_probe(laboratory, ujson, [("encode", DEEP_LISTS)], patch=fix)
    assert chosen is not None
    travelled = _published(chosen, "pkg:pypi/ujson")
    for made, result in ((before, ProofResult.WORKS), (after, ProofResult.CLEAN)):
        fixed = Purl.parse(made.package)
        seen = read_environment(environment)
        inspect_wheel(made.filename, made.wheel, fixed=fixed, environment=seen)
        _install(environment, made)
        seen = read_environment(environment)
        assert [package.purl for package in seen.find("ujson")] == [fixed]
        proof = prove(
            travelled, seen, chosen.files, sandbox=laboratory.sandbox, least=Tier.NAMESPACES
        )
        assert proof.result is result, proof.reason


def test_a_wheel_records_every_file_and_passes_the_licence_on(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    made = build_delivery(laboratory, ujson, patch=material.real_fix(), version=PATCHED)
    assert made.filename.startswith(f"ujson-{PATCHED}-cp")
    assert made.sha256 == hashlib.sha256(made.wheel).hexdigest()
    assert made.package == "pkg:pypi/ujson@5.1.0%2Bclearhold.1"
    with zipfile.ZipFile(io.BytesIO(made.wheel)) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    information = f"ujson-{PATCHED}.dist-info"
    recorded = {
        row[0]: row[1:] for row in csv.reader(files[f"{information}/RECORD"].decode().split())
    }
    assert set(recorded) == set(files)
    for name, (digest, size) in recorded.items():
        if not name.endswith("/RECORD"):
            expected = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=")
            assert (digest, size) == (f"sha256={expected.decode()}", str(len(files[name])))
    metadata = files[f"{information}/METADATA"].decode()
    assert f"\nVersion: {PATCHED}\n" in metadata
    assert "\nRequires-Python: >=3.7\n" in metadata
    assert "UNKNOWN" not in metadata
    assert b"Redistribution" in files[f"{information}/LICENSE.txt"]


def test_the_same_source_gives_the_same_wheel_in_another_laboratory(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    first = build_delivery(laboratory, ujson, patch=None, version="5.1.0")
    with tempfile.TemporaryDirectory(prefix="clearhold-laboratory-") as cache:
        Path(cache).chmod(0o711)
        other = Laboratory(
            laboratory.sandbox, laboratory._sources, Path(cache), least_code=Tier.NAMESPACES
        )
        second = build_delivery(other, ujson, patch=None, version="5.1.0")
    assert second == first


def test_the_fixed_release_and_pure_packages_are_delivered_too(
    laboratory: Laboratory, ujson: Recipe, pygments: Recipe
) -> None:
    newer = build_delivery(laboratory, ujson, patch=None, version="5.4.0", side=Side.FIXED)
    assert newer.package == "pkg:pypi/ujson@5.4.0"
    pure = build_delivery(laboratory, pygments, patch=None, version="2.7.4", side=Side.FIXED)
    assert pure.filename == "pygments-2.7.4-py3-none-any.whl"
    with zipfile.ZipFile(io.BytesIO(pure.wheel)) as wheel:
        assert b"pygmentize" in wheel.read("pygments-2.7.4.dist-info/entry_points.txt")
        assert "pygments/lexers/ml.py" in wheel.namelist()


@pytest.mark.parametrize(
    ("patched", "version"),
    [
        pytest.param(True, "5.1.0", id="a patched build under a published version"),
        pytest.param(True, "5.1.1+clearhold.1", id="a patched build of another release"),
        pytest.param(False, "5.1.0+clearhold.1", id="a published build under a local version"),
        pytest.param(False, "5.4.0", id="one release under another's version"),
        pytest.param(False, "newest", id="no version at all"),
        pytest.param(True, "5.1.0+../../x", id="a path"),
    ],
)
def test_a_wheel_is_never_called_what_it_is_not(
    laboratory: Laboratory, ujson: Recipe, *, patched: bool, version: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        build_delivery(
            laboratory, ujson, patch=material.real_fix() if patched else None, version=version
        )
    assert refused.value.next_step


def test_a_recipe_that_cannot_be_delivered_says_so(laboratory: Laboratory, ujson: Recipe) -> None:
    assert ujson.delivery is not None
    for delivery in (
        type(ujson.delivery)(distribution="other", module="ujson.so"),
        type(ujson.delivery)(distribution="ujson", module="absent.so"),
    ):
        recipe = dataclasses.replace(ujson, delivery=delivery)
        with pytest.raises(InvalidError) as refused:
            build_delivery(laboratory, recipe, patch=None, version="5.1.0")
        assert refused.value.next_step


def test_a_probe_of_each_oracle_tells_the_two_releases_apart(
    laboratory: Laboratory, ujson: Recipe, pygments: Recipe
) -> None:
    finder, hang = (
        finding_json.read(report)
        for report in (material.finder_report(), material.pygments_report())
    )
    for recipe, target, proof in (
        (ujson, "encode", DEEP_LISTS),
        (ujson, finder.target, finder.proof),
        (pygments, hang.target, hang.proof),
    ):
        made = probe(recipe, target, proof)
        _published(made, recipe.package)
        old, new = (
            laboratory.build(recipe, side, flavour=Flavour.PLAIN)
            for side in (Side.VULNERABLE, Side.FIXED)
        )
        assert shown(laboratory, old, made) is True
        assert shown(laboratory, new, made) is False


def test_a_benign_or_unusable_proof_never_shows_that_the_flaw_is_there(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.PLAIN)
    for target in ("encode", "decode", "dumps"):
        assert shown(laboratory, build, probe(ujson, target, ujson.control(target))) is False
    assert shown(laboratory, build, probe(ujson, "dumps", b"not json")) is None


def test_the_probe_is_chosen_that_tells_the_patched_build_from_the_flawed_one(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    finder = finding_json.read(material.finder_report())
    proofs = [(finder.target, finder.proof), ("encode", DEEP_LISTS)]
    chosen = telling_probe(laboratory, ujson, proofs, patch=material.real_fix())
    assert chosen is not None
    assert chosen.files["/in/proof"] == DEEP_LISTS
    assert telling_probe(laboratory, ujson, proofs[:1], patch=material.real_fix()) is None


def test_a_program_outside_python_has_neither_wheel_nor_probe(laboratory: Laboratory) -> None:
    cjson = load("cjson")
    with pytest.raises(InvalidError):
        probe(cjson, "parse", b"[")
    with pytest.raises(InvalidError):
        build_delivery(laboratory, cjson, patch=None, version="1.7.15")
