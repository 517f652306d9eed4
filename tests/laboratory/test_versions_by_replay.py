"""Affected versions follow from what releases show, whatever releases cannot be asked."""

from __future__ import annotations

import hashlib
import json
from random import Random

import pytest
from benchmarks.root_cause import crashes
from benchmarks.root_cause import target as orchard
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError
from clearhold.validation.bisection import Affected, Answer, search
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import SideSource, Source
from clearhold.validation.versions import Box, affected_versions, read_releases
from reproduction_bench import CACHE

B, G, S = Answer.BAD, Answer.GOOD, Answer.SKIP


def _search(answers: list[Answer], known_bad: int, *, cheap: int = 0) -> tuple[Affected, list[str]]:
    asked: list[str] = []

    def ask(release: str) -> Answer:
        asked.append(release)
        return answers[int(release)]

    releases = [str(at) for at in range(len(answers))]
    return search(releases, ask, known_bad=str(known_bad), cheap=cheap), asked


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Answer], list[Answer], int]:
    """What is true of releases when a flaw came once and went once, what they say, and a bad one."""
    length = draw(st.integers(1, 60))
    first = draw(st.integers(0, length - 1))
    last = draw(st.integers(first, length - 1))
    known = draw(st.integers(first, last))
    truth = [B if first <= at <= last else G for at in range(length)]
    silent = draw(st.sets(st.integers(0, length - 1)))
    told = [S if at in silent and at != known else each for at, each in enumerate(truth)]
    return truth, told, known


@given(histories(), st.sampled_from([0, 1000]))
def test_the_boundaries_are_right_but_for_what_could_not_be_asked(
    history: tuple[list[Answer], list[Answer], int], cheap: int
) -> None:
    truth, told, known = history
    found, asked = _search(told, known, cheap=cheap)
    assert len(asked) == len(set(asked))
    (stretch,) = found.stretches
    assert told[int(stretch.first_bad)] is told[int(stretch.last_bad)] is B
    came, gone = truth.index(B), len(truth) - truth[::-1].index(B)
    unsure = set(stretch.unsure_before) | set(stretch.unsure_after)
    assert {str(at) for at in range(came, int(stretch.first_bad))} <= unsure
    assert {str(at) for at in range(int(stretch.last_bad) + 1, gone)} <= unsure
    assert all(told[int(release)] is S for release in unsure)
    if stretch.first_fixed is not None:
        assert told[int(stretch.first_fixed)] is G
        assert int(stretch.first_fixed) == int(stretch.last_bad) + len(stretch.unsure_after) + 1
    else:
        assert G not in told[known:]


@given(st.lists(st.sampled_from([B, G, S]), min_size=1, max_size=30))
def test_a_full_scan_finds_every_stretch_of_a_flaw_that_came_back(answers: list[Answer]) -> None:
    found, asked = _search(answers, 0, cheap=30)
    assert found.scanned
    assert len(asked) == len(answers)
    inside = {
        at
        for stretch in found.stretches
        for at in range(int(stretch.first_bad), int(stretch.last_bad) + 1)
    }
    assert {at for at, answer in enumerate(answers) if answer is B} <= inside
    assert not any(answers[at] is G for at in inside)
    assert len(found.stretches) == "".join(a[0] for a in answers if a is not S).replace(
        "bb", "b"
    ).count("gb") + (next((a for a in answers if a is not S), G) is B)


@given(st.integers(20, 2000), st.data())
def test_a_search_by_halves_asks_few_releases(length: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first, length - 1))
    _, asked = _search([B if first <= at <= last else G for at in range(length)], first)
    assert len(asked) <= 2 * length.bit_length() + 1


@pytest.mark.parametrize("known", ["2", "99"])
def test_a_search_begins_at_a_release_that_is_bad(known: str) -> None:
    with pytest.raises(InvalidError):
        search(["1", "2", "3"], lambda _: G, known_bad=known, cheap=1)
    with pytest.raises(InvalidError):
        search(["1", "1"], lambda _: B)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"- {version: 1}", b"a: b", b"[[[", b"\xff", b"- {version: '1', x: 1}"]
)
def test_what_is_no_list_of_releases_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidError) as refused:
        read_releases(content)
    assert refused.value.next_step


def test_a_proof_is_replayed_over_releases_of_which_one_does_not_build(
    laboratory: Laboratory,
) -> None:
    flaw = 3
    others = [each for each in orchard.FLAWS if each != flaw]
    texts = {
        "1.0": orchard.source(fixed=orchard.FLAWS),
        "1.1": orchard.source(fixed=others[:5] + others[6:]),
        "1.2": "this is no C\n",
        "1.3": orchard.source(fixed=others),
        "2.0": orchard.source(fixed=[*others[:9], flaw]),
        "2.1": orchard.source(fixed=(*orchard.FLAWS[::2], flaw)) + "\n",
    }
    archives = {version: orchard.archive(text) for version, text in texts.items()}
    releases = [
        {
            "version": version,
            "sources": [
                {"origin": f"own:{version}", "sha256": hashlib.sha256(content).hexdigest()}
            ],
        }
        for version, content in archives.items()
    ]
    listed = read_releases(json.dumps(releases).encode())
    assert listed[0] == SideSource(
        version="1.0",
        sources=(Source("own:1.0", hashlib.sha256(archives["1.0"]).hexdigest()),),
    )
    sources = orchard.OwnSources(CACHE / "own-releases", archives.values())
    own = Laboratory(laboratory.sandbox, sources, CACHE)
    recipe = orchard.recipe(archives["1.3"], archives["2.0"], crashes.benign())
    proof = crashes.crash(Random(5), flaw)  # noqa: S311 (reproducible, no secret)
    told: list[str] = []
    found = affected_versions(
        own,
        recipe,
        target="read",
        proof=proof,
        releases=listed,
        on_answer=lambda version, answer: told.append(f"{version} {answer}"),
    )
    (stretch,) = found.affected.stretches
    assert found.introduction == ("1.0", "1.1")
    assert [each.version for each in found.asked if not each.build_sha256] == ["1.2"]
    assert told == ["1.0 good", "1.1 bad", "1.2 skip", "1.3 bad", "2.0 good", "2.1 good"]
    assert (stretch.first_bad, stretch.last_bad, stretch.first_fixed) == ("1.1", "1.3", "2.0")
    boxed = affected_versions(
        own, recipe, target="read", proof=proof, releases=listed, box=Box(builds=2)
    )
    assert [str(each.answer) for each in boxed.asked] == ["good", "bad", *["skip"] * 4]
    assert all(each.why.startswith("not asked") for each in boxed.asked[2:])
    assert boxed.affected.stretches[0].unsure_after == ("1.2", "1.3", "2.0", "2.1")
    assert boxed.introduction == ("1.0", "1.1")
    with pytest.raises(InvalidError, match="does not show"):
        affected_versions(own, recipe, target="read", proof=crashes.benign()["all"])
