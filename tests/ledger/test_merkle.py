"""Trees and proofs are those of RFC 6962: against known roots, its own definition, and others' code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.merkle import (
    Frontier,
    Node,
    consistency_proof,
    continues,
    includes,
    inclusion_proof,
    leaf_hash,
)

# The roots of the first leaves of the test log that implementations of the RFC share.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def slow_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = slow_split(len(leaves))
    return hashlib.sha256(b"\x01" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def slow_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def slow_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = slow_split(len(leaves))
    if m < k:
        return [*slow_path(m, leaves[:k]), slow_root(leaves[k:])]
    return [*slow_path(m - k, leaves[k:]), slow_root(leaves[:k])]


def slow_subproof(m: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.2."""
    n = len(leaves)
    if m == n:
        return [] if whole else [slow_root(leaves)]
    k = slow_split(n)
    if m <= k:
        return [*slow_subproof(m, leaves[:k], whole=whole), slow_root(leaves[k:])]
    return [*slow_subproof(m - k, leaves[k:], whole=False), slow_root(leaves[:k])]


def node_of(leaves: Sequence[bytes]) -> Node:
    return lambda height, place: slow_root(leaves[place << height : (place + 1) << height])


entries = st.lists(st.binary(max_size=4), min_size=1, max_size=70)


def test_the_roots_of_the_shared_test_log_are_the_known_ones() -> None:
    frontier = Frontier()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier = frontier.extended([leaf_hash(leaf)])
        assert frontier.root().hex() == root


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert Frontier().root() == hashlib.sha256(b"").digest()


@given(entries, st.data())
def test_growing_in_pieces_gives_the_root_of_the_definition(
    leaves: list[bytes], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(leaves)))
    first = Frontier().extended(map(leaf_hash, leaves[:at]))
    kept = Frontier.unpack(first.size, first.pack())
    assert kept.extended(map(leaf_hash, leaves[at:])).root() == slow_root(leaves)


@given(entries, st.data())
def test_inclusion_proofs_are_those_of_the_definition_and_verify(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = inclusion_proof(index, len(leaves), node_of(leaves))
    assert list(proof) == slow_path(index, leaves)
    assert includes(
        leaf_hash(leaves[index]),
        index=index,
        size=len(leaves),
        root=slow_root(leaves),
        proof=proof,
    )


@given(entries, st.data())
def test_consistency_proofs_are_those_of_the_definition_and_verify(
    leaves: list[bytes], data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, len(leaves)))
    proof = consistency_proof(old, len(leaves), node_of(leaves))
    assert list(proof) == slow_subproof(old, leaves, whole=True)
    roots = {"old_root": slow_root(leaves[:old]), "new_root": slow_root(leaves)}
    assert continues(old=old, new=len(leaves), proof=proof, **roots)


@given(entries, st.data())
def test_no_altered_inclusion_proof_verifies(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    size, root = len(leaves), slow_root(leaves)
    proof = list(inclusion_proof(index, size, node_of(leaves)))
    hash_of = leaf_hash(leaves[index])
    match data.draw(st.sampled_from(["leaf", "root", "step", "more", "fewer", "index"])):
        case "leaf":
            hash_of = leaf_hash(leaves[index] + b"!")
        case "root":
            root = slow_root([*leaves, b""])
        case "step" if proof:
            at = data.draw(st.integers(0, len(proof) - 1))
            proof[at] = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        case "fewer" if proof:
            proof.pop(data.draw(st.integers(0, len(proof) - 1)))
        case "index":
            index = size + data.draw(st.integers(0, 3))
        case _:
            proof.insert(data.draw(st.integers(0, len(proof))), bytes(32))
    assert not includes(hash_of, index=index, size=size, root=root, proof=proof)


@given(entries, st.data())
def test_a_log_that_forked_has_no_consistency_proof(
    leaves: list[bytes], data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, len(leaves)))
    at = data.draw(st.integers(0, old - 1))
    forked = [*leaves[:at], leaves[at] + b"!", *leaves[at + 1 :]]
    proof = consistency_proof(old, len(leaves), node_of(forked))
    roots = {"old_root": slow_root(leaves[:old]), "new_root": slow_root(forked)}
    assert not continues(old=old, new=len(leaves), proof=proof, **roots)


@given(
    st.integers(-1, 9),
    st.integers(-1, 9),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.lists(st.binary(min_size=32, max_size=32), max_size=5),
)
def test_what_anybody_sends_as_a_proof_never_verifies_by_chance(
    old: int, new: int, one: bytes, other: bytes, proof: list[bytes]
) -> None:
    assert not includes(one, index=old, size=new, root=other, proof=proof) or one == other
    holds = continues(old=old, new=new, old_root=one, new_root=other, proof=proof)
    assert not holds or one == other


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 2)])
def test_sizes_that_no_proof_is_between_are_refused(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="between these sizes"):
        consistency_proof(old, new, node_of([b""] * 4))


@given(entries, st.data())
def test_proofs_agree_with_an_independent_implementation(
    leaves: list[bytes], data: st.DataObject
) -> None:
    other = pytest.importorskip("aics_tlog", reason="it needs Python 3.12")
    index = data.draw(st.integers(0, len(leaves) - 1))
    old = data.draw(st.integers(1, len(leaves)))
    size, tree = len(leaves), other.MerkleTree(leaves)
    root = Frontier().extended(map(leaf_hash, leaves)).root()
    assert root == tree.root()
    proof = inclusion_proof(index, size, node_of(leaves))
    assert other.verify_leaf_inclusion(leaves[index], index, size, proof, root)
    older = Frontier().extended(map(leaf_hash, leaves[:old])).root()
    steps = consistency_proof(old, size, node_of(leaves))
    assert other.verify_consistency(old, size, older, root, steps)
    assert list(proof) == list(tree.inclusion_proof(index, size))
    assert list(steps) == list(tree.consistency_proof(old, size))
