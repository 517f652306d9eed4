"""A report may name a release that no side of a recipe is: it is built, examined and told of in evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.kernel.errors import IntegrityError, InvalidError, NotFoundError
from clearhold.kernel.purl import Purl
from clearhold.validation.builder import Laboratory
from clearhold.validation.examiner import Examined, LaboratoryExaminer, Report
from clearhold.validation.recipe import Recipe, Side, SideSource, Source, load
from clearhold.validation.releases import at_release, release_of, release_said
from clearhold.validation.replay import read, replay
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import dsse

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
POLLUTING = b'["--__proto__.polluted", "yes"]'
PUBLISHED = ("0.0.8", "1.2.2", "1.2.4", "1.2.6", "1.2.7")


class Registry:
    """Lists the releases of minimist as the registry does."""

    def releases(self, package: str) -> Mapping[str, tuple[str, ...]]:
        name = Purl.parse(package).name
        return {each: (f"npm:{name}@{each}",) for each in PUBLISHED}


@pytest.fixture
def minimist() -> Recipe:
    return load("minimist")


def examined(laboratory: Laboratory, version: str) -> Examined:
    if not laboratory.toolchain().has("node"):
        pytest.skip("the sandbox finds no node")
    report = Report("pkg:npm/minimist", "parse", POLLUTING, Claim("", version))
    return LaboratoryExaminer(laboratory, Registry()).examine(report)


def test_an_older_release_is_examined_beside_the_fix_and_replayed_from_its_evidence(
    laboratory: Laboratory, minimist: Recipe
) -> None:
    done = examined(laboratory, "0.0.8")
    assert (done.verdict.kind, done.verdict.level) == (VerdictKind.REPRODUCED, 3)
    assert done.facts["vulnerable"]["version"] == "0.0.8"
    assert done.facts["fixed"]["version"] == "1.2.6"
    recorded = read(dsse.sign(done.evidence, dsse.IN_TOTO, KEY), key=KEY.public_key())
    assert recorded.release is not None
    again = replay(laboratory, minimist, recorded, POLLUTING)
    assert (again.agrees, again.differences) == (True, ())


def test_a_release_that_has_the_fix_shows_nothing_and_is_compared_with_none(
    laboratory: Laboratory,
) -> None:
    done = examined(laboratory, "1.2.7")
    assert done.verdict.kind is VerdictKind.NOT_REPRODUCED
    assert done.facts["vulnerable"]["version"] == "1.2.7"
    assert done.facts["fixed"]["version"] == ""


def test_what_nobody_published_is_no_fault_of_the_proof(laboratory: Laboratory) -> None:
    for version in ("9.9.9", "not a version", "1.2.2\x1b[31m", "1" * 9000, "1.2.2\u202e"):
        done = examined(laboratory, version)
        assert done.verdict.label == "not_validated(no_recipe)"
        assert done.evidence == b""
        assert done.verdict.reason.isprintable()
        assert done.verdict.reason.isascii()
        assert len(done.verdict.reason) < 300


def test_the_recipes_own_sides_need_no_registry(laboratory: Laboratory, minimist: Recipe) -> None:
    for version in ("", "1.2.2", "1.2.6"):
        assert release_of(laboratory, minimist, version, None) is None
    with pytest.raises(NotFoundError):
        release_of(laboratory, minimist, "1.2.4", None)


def test_only_a_release_before_the_fix_is_compared_with_it(minimist: Recipe) -> None:
    for version, sides in (
        ("1.2.4", {Side.VULNERABLE, Side.FIXED}),
        ("1.2.6", {Side.VULNERABLE}),
        ("1.2.7", {Side.VULNERABLE}),
    ):
        release = SideSource(version, (Source(f"npm:minimist@{version}", "0" * 64),))
        there = at_release(minimist, release)
        assert set(there.sides) == sides
        assert there.side(Side.VULNERABLE) is release
    assert at_release(minimist, None) is minimist


class Shelf:
    """Gives archives by hash whatever they are of, as a cache does, and tells what origins gave."""

    def pin(self, origin: str) -> str:
        return sha256(origin.encode()).hexdigest()


def pinned(origin: str, **more: Any) -> dict[str, Any]:
    return {"origin": origin, "sha256": Shelf().pin(origin), **more}


MINIMIST = pinned("npm:minimist@1.2.4")


@pytest.mark.parametrize(
    "said",
    [
        {"version": "1.2.4", "sources": []},
        {"version": "1.2.4", "sources": [pinned("npm:another@1.2.4")]},
        {"version": "1.2.4", "sources": [pinned("https://a.example/x.tgz")]},
        {"version": "1.2.4", "sources": [pinned("npm:minimist@1.2.4", into="elsewhere")]},
        {"version": "1.2.4", "sources": [MINIMIST], "series": "x"},
        {"version": "1.2.4", "sources": [MINIMIST], "without": ["x"]},
        {"version": "1.2.4", "sources": [MINIMIST, MINIMIST]},
        {"version": "1.2.4", "sources": [{**MINIMIST, "fallbacks": ["npm:another@1.2.4"]}]},
        # Another version's archive, and one that the cache has and the origin never gave.
        {"version": "1.2.5", "sources": [MINIMIST]},
        {"version": "1.2.4", "sources": [{"origin": "npm:minimist@1.2.4", "sha256": "0" * 64}]},
    ],
)
def test_evidence_cannot_name_what_the_recipe_is_not_of(
    minimist: Recipe, said: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        release_said(cast("Laboratory", Shelf()), minimist, said)


def test_evidence_cannot_call_a_side_or_a_file_by_another_version(minimist: Recipe) -> None:
    shelf = cast("Laboratory", Shelf())
    own = msgspec.to_builtins(minimist.side(Side.VULNERABLE))
    assert release_said(shelf, minimist, own) == minimist.side(Side.VULNERABLE)
    pyyaml = load("pyyaml")
    for file, fits in (("PyYAML-5.1.tar.gz", True), ("PyYAML-5.3.tar.gz", False)):
        source = pinned(f"pypi:pyyaml==5.1:{file}", into=pyyaml.side(Side.FIXED).sources[0].into)
        said = {"version": "5.1", "sources": [source]}
        if fits:
            assert release_said(shelf, pyyaml, said) is not None
        else:
            with pytest.raises(IntegrityError):
                release_said(shelf, pyyaml, said)
    with pytest.raises(IntegrityError):
        release_said(shelf, minimist, {**own, "version": "1.2.5"})


def test_evidence_that_names_no_release_at_all_is_refused(minimist: Recipe) -> None:
    shelf = cast("Laboratory", Shelf())
    for said in ([], "1", {"version": 1}, json.loads('{"sources": []}')):
        with pytest.raises(InvalidError):
            release_said(shelf, minimist, said)
    assert release_said(shelf, minimist, None) is None
