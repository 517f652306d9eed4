"""Evidence can be replayed by whoever holds it, and a replay that comes out otherwise says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.root_cause.bench import Bench, opened
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clearhold.delivery.cli.main import app
from clearhold.kernel.errors import ClearholdError, IntegrityError, InvalidError
from clearhold.validation.builder import Laboratory
from clearhold.validation.evidence import LARGEST_PROOF_WITHIN, statement
from clearhold.validation.examination import Examination, examine
from clearhold.validation.examiner import Report
from clearhold.validation.recipe import Recipe
from clearhold.validation.remote import SpoolExaminer
from clearhold.validation.replay import read, replay
from clearhold.validation.spool import Pace, Spool
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import dsse
from reproduction_bench import CACHE, DEEP_LISTS

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="module")
def bench(laboratory: Laboratory) -> Iterator[Bench]:
    with opened(each=1, workers=2, flaws=(1, 14), seed=3) as made:
        yield made


def proof_of(bench: Bench, flaw: int) -> bytes:
    return next(each.content for each in bench.proofs if bench.truth[each.id] == flaw)


@pytest.fixture(scope="module")
def done(bench: Bench) -> Examination:
    return examine(bench.laboratory, bench.recipe, target="read", proof=proof_of(bench, 1))


def signed(done: Examination, proof: bytes) -> bytes:
    return dsse.sign(statement(done, proof), dsse.IN_TOTO, KEY)


def altered(envelope: bytes, **verdict: object) -> bytes:
    """Evidence with another verdict, signed by the same key: by a hub that tells what was not so."""
    said = json.loads(dsse.payload_of(envelope))
    said["predicate"]["verdict"] |= verdict
    return dsse.sign(json.dumps(said).encode(), dsse.IN_TOTO, KEY)


def test_evidence_alone_is_enough_for_a_replay_that_agrees(bench: Bench, done: Examination) -> None:
    assert (done.verdict.kind, done.verdict.level) == (VerdictKind.REPRODUCED, 3)
    proof = proof_of(bench, 1)
    recorded = read(signed(done, proof), key=KEY.public_key())
    assert recorded.proof == proof
    assert recorded.signed_by == dsse.key_id(KEY.public_key())
    again = replay(bench.laboratory, bench.recipe, recorded, proof)
    assert (again.agrees, again.differences) == (True, ())
    assert (again.recorded, again.seen) == ("reproduced", "reproduced")
    assert again.same_toolchain


def test_what_is_not_so_is_found_out(bench: Bench, done: Examination) -> None:
    envelope = signed(done, proof_of(bench, 1))
    for changes, word in (
        ({"label": "not_reproduced(0123456789ab)", "level": 0}, "verdict"),
        ({"level": 2}, "level"),
        ({"signature": ["out-of-bounds", "elsewhere"]}, "signature"),
    ):
        recorded = read(altered(envelope, **changes), key=None)
        again = replay(bench.laboratory, bench.recipe, recorded, proof_of(bench, 1))
        assert not again.agrees
        assert any(word in each for each in again.differences)
    recorded = read(envelope, key=None)
    other = replace(recorded, builds=recorded.builds | {"fixed": "0" * 64})
    again = replay(bench.laboratory, bench.recipe, other, proof_of(bench, 1))
    assert again.differences == ("the fixed build has other bytes",)
    elsewhere = replace(other, toolchain_sha256="0" * 64, signature=("overlap", "memcpy"))
    again = replay(bench.laboratory, bench.recipe, elsewhere, proof_of(bench, 1))
    assert (again.agrees, again.same_toolchain) == (True, False)


def test_another_proof_recipe_or_key_is_refused(bench: Bench, done: Examination) -> None:
    envelope = signed(done, proof_of(bench, 1))
    recorded = read(envelope, key=KEY.public_key())
    with pytest.raises(IntegrityError, match="SHA-256"):
        replay(bench.laboratory, bench.recipe, recorded, proof_of(bench, 14))
    with pytest.raises(IntegrityError, match="recipe"):
        replay(bench.laboratory, replace(bench.recipe, digest="0"), recorded, proof_of(bench, 1))
    with pytest.raises(IntegrityError):
        read(envelope, key=Ed25519PrivateKey.generate().public_key())
    said = json.loads(dsse.payload_of(envelope))
    said["predicate"]["proof"]["base64"] = "AAAA"
    with pytest.raises(IntegrityError):
        read(dsse.sign(json.dumps(said).encode(), dsse.IN_TOTO, KEY), key=None)


def test_a_large_proof_is_named_by_its_hash_alone(done: Examination) -> None:
    large = statement(done, bytes(LARGEST_PROOF_WITHIN + 1))
    assert read(dsse.sign(large, dsse.IN_TOTO, KEY), key=None).proof is None


@given(st.binary(max_size=200) | st.builds(lambda o: json.dumps(o).encode(), st.recursive(
    st.none() | st.text() | st.integers(), lambda each: st.lists(each) | st.dictionaries(
        st.sampled_from(["predicate", "proof", "recipe", "verdict", "subject", "builds"]), each))))  # fmt: skip
def test_no_evidence_breaks_the_reader(payload: bytes) -> None:
    for envelope in (payload, dsse.sign(payload, dsse.IN_TOTO, KEY)):
        with pytest.raises(ClearholdError):
            read(envelope, key=None)


def test_the_command_tells_what_is_wrong_with_what_it_is_given(tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_text("{}")
    for words in (
        [str(tmp_path / "missing")],
        [str(noise)],
        [str(noise), "--key", "zz"],
    ):
        ended = CliRunner().invoke(app, ["validate", "replay", *words])
        assert ended.exit_code == 1
        assert ended.stdout == ""
        assert "next: " in ended.stderr or ended.stderr.strip()


def test_evidence_of_nothing_is_not_written(bench: Bench, done: Examination) -> None:
    with pytest.raises(InvalidError):
        statement(replace(done, vulnerable_build=None), b"")


def test_a_worker_elsewhere_examines_as_the_hub_would(
    laboratory: Laboratory, ujson: Recipe, tmp_path: Path
) -> None:
    """A worker process of its own, with nothing but its identity, the spool and a cache."""
    spool = Spool(tmp_path / "spool", Pace(look=0.05))
    (tmp_path / "spool").mkdir()
    environment = {
        "CLEARHOLD_CACHE_DIRECTORY": str(CACHE),
        "CLEARHOLD_DATA_DIRECTORY": str(tmp_path / "none"),
        "CLEARHOLD_KEY_DIRECTORY": str(tmp_path / "none"),
    }
    words = [sys.executable, "-m", "clearhold", "validate"]
    told = subprocess.run(
        [*words, "enrol", str(tmp_path / "identity"), "first", "--json"],
        env=os.environ | environment,
        capture_output=True,
        check=True,
    ).stdout
    (tmp_path / "enrolled").mkdir()
    (tmp_path / "enrolled" / "first.json").write_bytes(told)
    command = [*words, "worker", str(tmp_path / "spool"), str(tmp_path / "identity")]
    with subprocess.Popen(command, env=os.environ | environment) as worker:
        try:
            asking = SpoolExaminer(spool, tmp_path / "enrolled")
            report = Report(ujson.package, "encode", DEEP_LISTS, Claim("crash"))
            done = asking.examine(report)
        finally:
            worker.terminate()
        assert worker.wait(timeout=60) == 0
    assert done.verdict.kind is VerdictKind.REPRODUCED
    recorded = read(dsse.sign(done.evidence, dsse.IN_TOTO, KEY), key=KEY.public_key())
    assert replay(laboratory, ujson, recorded, DEEP_LISTS).agrees
