"""`clearhold validate run` says of a proof, with one recipe and no hub, what a hub would say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clearhold.delivery.cli.main import app
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import load
from reproduction_bench import CACHE

POLLUTES = b'["--constructor.prototype.polluted", "x"]'


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, laboratory: Laboratory) -> Path:
    monkeypatch.setenv("CLEARHOLD_CACHE_DIRECTORY", str(CACHE))
    monkeypatch.setenv("CLEARHOLD_DATA_DIRECTORY", str(tmp_path / "data"))
    monkeypatch.setenv("CLEARHOLD_KEY_DIRECTORY", str(tmp_path / "keys"))
    for path, content in load("minimist").files.items():
        file = tmp_path / "unseen" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "unseen"


def ran(recipe: Path, proof: bytes, *options: str) -> tuple[int, dict[str, object]]:
    file = recipe.parent / "proof"
    file.write_bytes(proof)
    told = CliRunner().invoke(
        app, ["validate", "run", str(recipe), "parse", str(file), "--json", *options]
    )
    return told.exit_code, json.loads(told.stdout)


def test_a_proof_is_judged_by_a_recipe_that_is_given_as_a_directory(recipe: Path) -> None:
    smallest = recipe.parent / "smallest"
    code, said = ran(recipe, POLLUTES, "--smallest", str(smallest))
    assert (code, said["verdict"], said["level"]) == (0, "reproduced", 3)
    assert 0 < len(smallest.read_bytes()) <= len(POLLUTES)


def test_without_the_fix_it_stays_at_the_second_level(recipe: Path) -> None:
    code, said = ran(recipe, POLLUTES, "--no-fix")
    assert (code, said["verdict"], said["level"]) == (0, "reproduced(no fix yet)", 2)


def test_what_shows_nothing_ends_with_one(recipe: Path) -> None:
    code, said = ran(recipe, b'["--plain", "x"]')
    assert code == 1
    assert str(said["verdict"]).startswith("not_reproduced")
