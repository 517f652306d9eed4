"""Recipes are pinned, whole and refused with a reason when they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.validation.oracles import oracle, oracle_names
from clearhold.validation.recipe import all_recipes, for_purl, load, parse

SHIPPED = [recipe.name for recipe in all_recipes()]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_whole(name: str) -> None:
    recipe = load(name)
    for target in recipe.targets.values():
        assert target.oracle in oracle_names()
        for word in (*target.argv, *target.reference):
            if word.startswith("/recipe/"):
                assert word.removeprefix("/recipe/") in recipe.files
        assert (target.oracle == "differential") == bool(target.reference)
    sources = [source for side in recipe.sides.values() for source in side.sources]
    assert all(len(source.sha256) == 64 for source in sources)
    assert recipe.protected


def test_every_oracle_is_documented_and_watches_the_hosts_of_shipped_targets() -> None:
    documented = Path("docs/recipes.md").read_text(encoding="utf-8")
    for name in oracle_names():
        assert f"| `{name}` |" in documented
    for recipe in all_recipes():
        for target in recipe.targets.values():
            assert target.host in oracle(target.oracle).hosts


def test_a_recipe_is_found_by_package_whatever_the_version() -> None:
    for purl in ("pkg:pypi/ujson", "pkg:pypi/ujson@5.1.0", "pkg:pypi/ujson@1?a=b#c"):
        found = for_purl(purl)
        assert found is not None
        assert found.name == "ujson"
    assert for_purl("pkg:pypi/ujson-other@5.1.0") is None


@given(st.data())
def test_any_changed_byte_changes_the_digest(data: st.DataObject) -> None:
    recipe = load("ujson")
    path = data.draw(st.sampled_from(sorted(set(recipe.files) - {"recipe.yaml"})))
    addition = data.draw(st.binary(min_size=1, max_size=3))
    changed = {**recipe.files, path: recipe.files[path] + addition}
    assert parse("ujson", changed).digest != recipe.digest
    assert parse("ujson", dict(reversed(recipe.files.items()))).digest == recipe.digest


@pytest.mark.parametrize("name", ["../ujson", "", "UJSON", "nothing", "ujson/seeds"])
def test_a_name_that_is_no_recipe_is_told_those_that_are(name: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        load(name)
    assert "ujson" in refused.value.next_step


def test_an_unknown_target_is_told_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as refused:
        load("ujson").target("encoder")
    assert "encode" in refused.value.next_step


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema: 1", "schema: 2"),
        ("package:", "packages:"),
        ("flavours: [plain, address, fuzz]", "flavours: [plain]"),
        ("control: seeds/encode/nested", "control: seeds/encode/absent"),
        ("vulnerable:", "broken:"),
        ("schema: 1", "schema: [1"),
    ],
)
def test_a_recipe_that_is_not_whole_is_refused(old: str, new: str) -> None:
    files = dict(load("ujson").files)
    text = files["recipe.yaml"].decode()
    assert old in text
    files["recipe.yaml"] = text.replace(old, new).encode()
    with pytest.raises(InvalidError) as refused:
        parse("ujson", files)
    assert refused.value.next_step
