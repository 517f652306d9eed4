"""Of submissions made to deceive none is confirmed, and each is told for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from benchmarks.false_validations import bench, submissions
from benchmarks.false_validations.submissions import Submission
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.validation import evidence, replay
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.wire import dsse

RNG = Random(7)  # noqa: S311 (reproducible, no secret)
OWN = list(submissions.on_own_target(RNG, each=1))
LYING = list(submissions.with_lying_drivers(RNG, each=1))
WAITING = {"never ends", "stops the watcher"}
# One of each other trick; the benchmark has many of each, and those on shipped recipes.
TRICKS = {each.trick: each for each in [*LYING, *OWN] if each.trick not in WAITING}


@pytest.fixture(scope="module")
def own(laboratory: Laboratory) -> Iterator[Laboratory]:
    with bench.opened(laboratory.sandbox) as made:
        yield made


def test_the_benchmark_has_as_many_submissions_as_it_claims() -> None:
    rng = Random(20)  # noqa: S311 (reproducible, no secret)
    made = [
        *submissions.on_own_target(rng, each=15),
        *submissions.with_lying_drivers(rng, each=2),
        *submissions.on_shipped_recipes(),
    ]
    assert len(made) >= 200
    assert all(each.expected for each in made)


@pytest.mark.slow
@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_no_trick_is_confirmed_and_each_is_told(own: Laboratory, trick: Submission) -> None:
    verdict = bench.judge(own, trick)
    assert not verdict.confirmed
    assert verdict.kind in trick.expected
    assert verdict.level < 2


def test_what_reaches_level_three_reaches_four_when_another_compiler_agrees(
    own: Laboratory,
) -> None:
    if not own.toolchain().has("clang"):
        pytest.skip("the sandbox finds no clang: apt-get install clang")
    true = next(submissions.true_ones(Random(3)))  # noqa: S311 (reproducible, no secret)
    done = examine(
        own,
        true.recipe,
        target=true.target,
        proof=true.proof,
        minimising_runs=8,
        second_environment=True,
    )
    assert (done.verdict.label, done.verdict.level) == ("reproduced", 4)
    assert done.second is not None
    assert done.vulnerable_build is not None
    assert done.second.vulnerable_build.digest != done.vulnerable_build.digest
    key = Ed25519PrivateKey.generate()
    content = dsse.sign(evidence.statement(done, true.proof), dsse.IN_TOTO, key)
    recorded = replay.read(content, key=key.public_key())
    assert replay.replay(own, true.recipe, recorded, true.proof).level == 4
