"""Recipes are pinned, whole and refused with a reason when they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.validation.oracles import oracle, oracle_names
from clearhold.validation.recipe import all_recipes, load, parse
from clearhold.validation.shelf import Shelf, named, read_directory

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
        found = Shelf().find(purl)
        assert found is not None
        assert found.name == "ujson"
    assert Shelf().find("pkg:pypi/ujson-other@5.1.0") is None


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


def laid(directory: Path, *, shipped: str = "minimist", **changes: str) -> Path:
    """A copy of a shipped recipe at `directory`, with words of recipe.yaml replaced."""
    for path, content in load(shipped).files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    document = (directory / "recipe.yaml").read_text()
    for old, new in changes.items():
        document = document.replace(old, new)
    (directory / "recipe.yaml").write_text(document)
    return directory


def test_a_recipe_of_ones_own_takes_the_place_of_its_namesake(tmp_path: Path) -> None:
    laid(tmp_path / "minimist")
    (tmp_path / "minimist" / "added.txt").write_text("more")
    shelf = Shelf(tmp_path)
    assert shelf.load("minimist").digest != load("minimist").digest
    assert shelf.names() == tuple(sorted(SHIPPED))
    assert [each.name for each in shelf.all()].count("minimist") == 1
    found = shelf.find("pkg:npm/minimist@1.2.2")
    assert found is not None
    assert "added.txt" in found.files


def test_of_several_recipes_the_one_with_target_and_version_is_found(tmp_path: Path) -> None:
    laid(tmp_path / "minimist-other", **{"1.2.2": "0.0.8", "parse:": "short:"})
    shelf = Shelf(tmp_path)

    def chosen(version: str, *targets: str) -> str:
        found = shelf.find("pkg:npm/minimist", version=version, targets=targets)
        assert found is not None
        return found.name

    assert chosen("0.0.8") == "minimist-other"
    assert chosen("0.0.8", "short") == "minimist-other"
    assert chosen("1.2.2", "parse") == "minimist"
    assert chosen("0.0.8", "parse") == "minimist"
    assert chosen("9.9.9") == "minimist-other"


def test_one_ill_formed_recipe_hides_no_other(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "recipe.yaml").write_text("schema: 2")
    shelf = Shelf(tmp_path)
    assert shelf.find("pkg:npm/minimist") is not None
    with pytest.raises(InvalidError):
        shelf.all()


def test_a_directory_that_is_gone_is_told_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidError) as told:
        Shelf(tmp_path / "gone").names()
    assert "CLEARHOLD_RECIPES" in told.value.next_step


def test_a_directory_with_links_is_no_recipe(tmp_path: Path) -> None:
    laid(tmp_path / "linked")
    (tmp_path / "linked" / "seeds" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InvalidError, match="no plain file"):
        read_directory(tmp_path / "linked")


def test_a_recipe_is_named_by_a_path_or_by_its_name(tmp_path: Path) -> None:
    place = laid(tmp_path / "mine")
    assert named(Shelf(), str(place)).name == "mine"
    assert named(Shelf(), "minimist").digest == load("minimist").digest
    for nothing in (str(tmp_path / "nothing"), "nothing"):
        with pytest.raises(NotFoundError):
            named(Shelf(), nothing)
    odd = laid(tmp_path / "Odd Name")
    with pytest.raises(InvalidError):
        named(Shelf(), str(odd))
