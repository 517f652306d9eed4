"""Of branches and tags, each new commit is searched once, one at a look, and nothing that was there before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.discovery.engine import Plan
from clearhold.discovery.following import (
    Following,
    address_of,
    at_commit,
    base_of,
    next_commit,
)
from clearhold.kernel.errors import InvalidError
from clearhold.validation.recipe import Recipe, Side, SideSource, Source, load

ADDRESS = "https://git.example/project"
COMMITS = [f"{number:040x}" for number in range(1, 6)]
REFS = [f"refs/heads/{name}" for name in "abc"]
heads_of = st.dictionaries(st.sampled_from(REFS), st.sampled_from(COMMITS), max_size=3)


def recipe(*sources: Source, repository: str = "") -> Recipe:
    sides = {Side.VULNERABLE: SideSource("1.0", sources)}
    return replace(load("ujson"), sides=sides, repository=repository)


GIT = Source(f"git:{ADDRESS}@{COMMITS[0]}", "a" * 64, "src")
SDIST = Source("pypi:x==1.0:x.tar.gz", "b" * 64)


def test_a_branch_that_moved_since_the_campaign_is_searched_at_once() -> None:
    began = Following(REFS[0], base=COMMITS[0])
    assert next_commit(began, {REFS[0]: COMMITS[0]}).commit == ""
    step = next_commit(began, {REFS[0]: COMMITS[1]})
    assert (step.commit, step.before) == (COMMITS[1], COMMITS[0])
    assert next_commit(step.following, {REFS[0]: COMMITS[1]}).commit == ""
    after = next_commit(step.following, {REFS[0]: COMMITS[2]})
    assert (after.commit, after.before) == (COMMITS[2], COMMITS[1])


def test_what_is_there_at_the_first_look_is_seen_and_not_searched() -> None:
    for began in (Following(REFS[0]), Following("refs/heads/*", base=COMMITS[0])):
        step = next_commit(began, {REFS[0]: COMMITS[1]})
        assert step.commit == ""
        later = next_commit(step.following, {REFS[0]: COMMITS[1], REFS[1]: COMMITS[2]})
        assert later.commit == COMMITS[2]


@given(heads_of, st.lists(heads_of, max_size=4))
def test_whatever_moves_is_searched_once_and_in_as_many_looks(
    first: dict[str, str], later: list[dict[str, str]]
) -> None:
    following = next_commit(Following("refs/heads/*"), first).following
    for heads in later:
        searched = []
        fresh = set(heads.values()) - set(following.heads.values()) - {following.base}
        for _ in range(len(REFS) + 1):
            step = next_commit(following, heads)
            following = step.following
            searched += [step.commit] if step.commit else []
        assert len(set(searched)) == len(searched)
        assert set(searched) <= set(heads.values())
        assert fresh <= set(searched)
        assert dict(following.heads) == heads


def test_the_repository_is_the_one_that_the_operator_s_recipe_names() -> None:
    assert address_of(recipe(GIT)) == (ADDRESS, COMMITS[0])
    assert address_of(recipe(SDIST, GIT)) == (ADDRESS, COMMITS[0])
    assert address_of(recipe(SDIST, repository=ADDRESS)) == (ADDRESS, "")
    for wrong in (
        recipe(SDIST),
        recipe(SDIST, SDIST, repository=ADDRESS),
        recipe(GIT, GIT),
        recipe(GIT, SDIST, repository="https://git.example/another"),
    ):
        with pytest.raises(InvalidError):
            address_of(wrong)


def test_a_commit_takes_the_place_of_the_project_s_own_source_alone() -> None:
    made = at_commit(recipe(SDIST, GIT), ADDRESS, COMMITS[3], "c" * 64)
    assert made.version == COMMITS[3]
    assert made.sources == (SDIST, Source(f"git:{ADDRESS}@{COMMITS[3]}", "c" * 64, "src"))
    plan = Plan("pkg:pypi/x@1.0", "t", 1, 60, source=made)
    assert base_of(plan, COMMITS[0]) == COMMITS[3]
    assert base_of(replace(plan, source=None), COMMITS[0]) == COMMITS[0]
