"""What a proof is recognised by, and that nothing guessable is ever asked or indexed."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import known_proofs
from clearhold.findings.known.signatures import (
    NEEDED,
    PER_QUESTION,
    Kind,
    Public,
    derive,
    room_of,
)
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from known_proofs import FRAMES, PACKAGE, PROOF

PURL = Purl.parse(PACKAGE)


def values(proof: bytes, **how: object) -> set[bytes]:
    return {each.value for each in derive(PURL, [proof], frames=FRAMES, **how)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "guessable",
    [
        b"",
        b"[" * 100_000,
        b"A" * 70_000,
        b"%s%n" * 1000,
        b'{"a": 1, "b": [1, 2, 3]}',
        b"../" * 40 + b"etc/passwd",
        b"' OR '1'='1",
        b'<?xml version="1.0" encoding="UTF-8"?><html><body><script>alert(1)</script></body></html>',
        known_proofs.WEAK,
        b"import quuxlib\nquuxlib.copy_glyph_table(" + b"(" * 9000,
    ],
)
def test_what_anybody_would_try_is_no_signature(guessable: bytes) -> None:
    assert derive(PURL, [guessable], frames=FRAMES) == ()


def test_package_frames_and_weakness_alone_make_no_signature() -> None:
    said = "\n".join((PACKAGE, *FRAMES, "out-of-bounds", "heap-buffer-overflow")).encode()
    assert all(each.bits >= NEEDED for each in derive(PURL, [said], frames=FRAMES))
    assert not values(said) & values(PROOF)


def test_what_public_files_hold_is_left_out() -> None:
    public = Public.of(PURL, frames=FRAMES, files=[PROOF])
    assert values(PROOF, public=public) == set()
    assert values(known_proofs.MORE_AROUND, public=public).isdisjoint(values(PROOF))


@pytest.mark.parametrize(
    ("variant", "by"),
    [
        (known_proofs.REFORMATTED, Kind.WRITTEN),
        (known_proofs.OTHER_AMOUNTS, Kind.SHAPE),
        (gzip.compress(PROOF), Kind.EXACT),
        (PROOF.hex().encode(), Kind.EXACT),
        (known_proofs.MORE_AROUND, Kind.STRETCH),
    ],
)
def test_variants_meet_by_the_kind_that_is_meant_for_them(variant: bytes, by: Kind) -> None:
    of_kind = {each.value for each in derive(PURL, [PROOF], frames=FRAMES) if each.kind is by}
    assert of_kind & values(variant)


def test_several_proofs_of_one_flaw_are_asked_together() -> None:
    both = derive(PURL, [PROOF, known_proofs.ANOTHER_FLAW], frames=FRAMES)
    assert len(both) <= PER_QUESTION
    found = {each.value for each in both}
    assert found & values(PROOF)
    assert found & values(known_proofs.ANOTHER_FLAW)
    with pytest.raises(InvalidError):
        derive(PURL, [PROOF] * 9)


def test_the_version_does_not_matter_and_the_package_does() -> None:
    other = Purl.parse("pkg:pypi/quuxlib@2.0")
    assert room_of(other) == room_of(PURL)
    assert derive(other, [PROOF]) == derive(PURL, [PROOF])
    elsewhere = {each.value for each in derive(Purl.parse("pkg:npm/quuxlib"), [PROOF])}
    assert not elsewhere & values(PROOF)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.recursive(st.just("[]"), lambda inner: inner.map(lambda text: f'{{"a": [{text}]}}')).map(
        str.encode
    )
)
def test_any_bytes_give_the_same_few_strong_signatures(proof: bytes) -> None:
    found = derive(PURL, [proof], frames=FRAMES)
    assert found == derive(PURL, [proof], frames=FRAMES)
    assert len(found) <= PER_QUESTION
    assert all(each.bits >= NEEDED and len(each.value) == 32 for each in found)


@pytest.mark.parametrize(
    "hostile",
    [
        gzip.compress(bytes(30_000_000)),
        b"\x1f\x8b" + bytes(50),
        b'{"a":' * 200_000,
        b"1" * 2_000_000,
        b"[" + b"9" * 500_000 + b"]",
        b'["\\ud800"]',
        b"ab" * 1_000_000,
        b"[[x" + b"\n" * 1_000_000 + b"y",
        b"a" + b" " * 1_000_000 + b"!",
    ],
)
def test_hostile_proofs_are_read_within_bounds(hostile: bytes) -> None:
    assert len(derive(PURL, [hostile])) <= PER_QUESTION
