"""Evidence of a judgement holds what running it again needs, and contradicts itself in nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.kernel.ids import FindingId
from clearhold.patches import attestation, replaying
from clearhold.patches.judging import Judgement, ProofOutcome
from clearhold.patches.records import State
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Side, SideSource, Source, load
from clearhold.validation.releases import release_said
from clearhold.wire import dsse

SMALL = CaseProof(FindingId("a"), "pkg:pypi/x@1", "parse", b"small")
LARGE = CaseProof(FindingId("b"), "pkg:pypi/x@1", "parse", b"l" * (300 * 1024))
JUDGED = Judgement(
    State.REFUSED,
    "no_op",
    "Every proof works as before.",
    proofs=(ProofOutcome("a", stopped=False), ProofOutcome("b", stopped=False)),
    facts={"recipe": "x", "recipe_sha256": "0" * 64, "search_s": 1},
)


def _said() -> bytes:
    return attestation.statement(
        JUDGED, package="pkg:pypi/x", diff=b"a diff", proofs=(SMALL, LARGE)
    )


def test_it_is_read_again_as_it_was_written() -> None:
    key = Ed25519PrivateKey.generate()
    envelope = dsse.sign(_said(), dsse.IN_TOTO, key)
    recorded = replaying.read(envelope, key=key.public_key())
    assert (recorded.diff, recorded.package) == (b"a diff", "pkg:pypi/x")
    assert recorded.judgement == JUDGED
    assert [bool(each.base64) for each in recorded.proofs] == [True, False]
    assert recorded.signed_by == dsse.key_id(key.public_key())
    assert replaying.read(envelope, key=None).signed_by == ""


def test_another_key_or_another_diff_is_noticed() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    envelope = dsse.sign(_said(), dsse.IN_TOTO, key)
    with pytest.raises(IntegrityError):
        replaying.read(envelope, key=other.public_key())
    forged = _said().replace(b"YSBkaWZm", b"YiBkaWZm")
    with pytest.raises(InvalidError):
        replaying.read(dsse.sign(forged, dsse.IN_TOTO, key), key=key.public_key())


def test_nothing_that_was_run_is_nothing_to_attest() -> None:
    nothing = Judgement(State.UNDECIDED, "no_recipe", "There is none.")
    with pytest.raises(InvalidError):
        attestation.statement(nothing, package="", diff=b"", proofs=())


PUBLISHED = Source("pypi:ujson==5.2.0:ujson-5.2.0.tar.gz", "a" * 64)


class Shelf:
    """Every origin gave the same archive."""

    def pin(self, _origin: str) -> str:
        return PUBLISHED.sha256


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"beside": "own"}, True),
        ({}, False),
        ({"origin": "pypi:other==1:other-1.tar.gz"}, False),
        ({"fallbacks": ("tarball:https://elsewhere.example/a.tar.gz",)}, False),
        ({"into": "../elsewhere"}, False),
        ({"series": "../series"}, False),
        ({"beside": "tarball:https://elsewhere.example/b.tar.gz"}, False),
    ],
)
def test_evidence_names_releases_of_the_recipes_project_alone(
    changes: dict[str, Any], *, taken: bool
) -> None:
    recipe = load("ujson")
    side = recipe.side(Side.VULNERABLE)
    extra = Source("git:https://a.example/tests@1", "c" * 64, "more")
    mine = next(each for each in side.sources if each.origin.startswith("pypi:ujson="))
    known = msgspec.structs.replace(side, sources=(mine, extra))
    recipe = replace(recipe, sides={Side.VULNERABLE: known})
    series, beside = changes.pop("series", side.series), changes.pop("beside", "")
    main = msgspec.structs.replace(PUBLISHED, into=mine.into)
    named = [msgspec.structs.replace(main, **changes)]
    if beside:
        named.append(extra if beside == "own" else Source(beside, "d" * 64, "more"))
    said = msgspec.to_builtins(SideSource("5.2.0", tuple(named), series=series))
    shelf = cast("Laboratory", Shelf())
    if taken:
        release = release_said(shelf, recipe, said)
        assert release is not None
        assert release.sources == tuple(named)
    else:
        with pytest.raises(IntegrityError):
            release_said(shelf, recipe, said)
