"""A real repository's branches and tags are told by name and commit, and what changed between two of them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from clearhold.adapters import git_refs
from clearhold.adapters.git_refs import GitRepositories
from clearhold.adapters.sources_cache import CachedSources
from clearhold.adapters.sources_git import write_tree
from clearhold.discovery.engine import Plan
from clearhold.discovery.searcher import LaboratorySearcher
from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError
from clearhold.ports.sandbox import Sandbox
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Side
from clearhold.validation.shelf import Shelf

LOCAL = GitRepositories(protocol="file")


class Repository:
    """A repository of our own on this machine."""

    def __init__(self, place: Path) -> None:
        self.place, self.address = place, f"file://{place}"
        place.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        for each in ("allowAnySHA1InWant", "allowFilter"):
            self.git("config", f"uploadpack.{each}", "true")
        self.first = self.commit({"a.c": "int a;\n", "sub/b.c": "int b;\n", "gone.c": "\n"})

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", str(self.place), *identity, *words],  # noqa: S607
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str], *gone: str) -> str:
        for name, text in files.items():
            (self.place / name).parent.mkdir(exist_ok=True)
            (self.place / name).write_text(text)
        for name in gone:
            (self.place / name).unlink()
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", "more")
        return self.git("rev-parse", "HEAD")


class Local:
    """Fetches commits of repositories on this machine."""

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        address, _, commit = locator.rpartition("@")
        write_tree(address, commit, target, size_cap=size_cap, protocol="file")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("git") / "repository")


def test_branches_and_tags_are_told_by_their_commits(repository: Repository) -> None:
    repository.git("branch", "release/1.0")
    repository.git("branch", "other/main")
    repository.git("tag", "-a", "v1.0", "-m", "annotated")
    repository.git("tag", "v1.1")
    head = repository.git("rev-parse", "HEAD")
    address = repository.address
    assert LOCAL.heads(address, "refs/heads/main") == {"refs/heads/main": head}
    assert LOCAL.heads(address, "refs/tags/v1.*") == {
        "refs/tags/v1.0": head,
        "refs/tags/v1.1": head,
    }
    assert LOCAL.heads(address, "refs/heads/*") == {"refs/heads/main": head}
    assert LOCAL.heads(address, "refs/heads/release/*") == {"refs/heads/release/1.0": head}
    assert LOCAL.heads(address, "refs/heads/none") == {}


def test_what_changed_are_files_that_are_new_or_other_than_before(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    after = repository.commit({"sub/b.c": "int c;\n", "new é.c": "\n"}, "gone.c")
    assert set(LOCAL.changed(repository.address, before, after)) == {"sub/b.c", "new é.c"}
    assert LOCAL.changed(repository.address, after, after) == ()


def test_what_is_no_repository_ref_or_commit_is_refused(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pattern in ("main", "refs/heads/../main", "--exec=x", "refs/heads/a b", "refs/notes/x"):
        with pytest.raises(InvalidError):
            LOCAL.heads(repository.address, pattern)
    for address in (repository.address, "http://git.example/x", "https://a:b@git.example/x", "-x"):
        with pytest.raises(InvalidError):
            GitRepositories().heads(address, "refs/heads/main")
    with pytest.raises(InvalidError):
        LOCAL.changed(repository.address, "HEAD", "HEAD")
    with pytest.raises(UnavailableError):
        LOCAL.heads(f"{repository.address}-not", "refs/heads/main")
    monkeypatch.setattr(git_refs, "MOST_HEADS", 0)
    with pytest.raises(TooLargeError):
        LOCAL.heads(repository.address, "refs/heads/main")


def test_a_new_commit_is_laid_out_as_the_recipe_s_source_with_what_changed(
    repository: Repository, tmp_path: Path
) -> None:
    base = repository.git("rev-parse", "HEAD")
    own = tmp_path / "recipes" / "followed"
    own.mkdir(parents=True)
    (own / "recipe.yaml").write_text(f"""\
schema: 1
package: pkg:generic/followed
summary: a package that is followed
sides:
  vulnerable:
    version: "1.0"
    sources: [{{origin: "git:{repository.address}@{base}", sha256: {"a" * 64}, into: src}}]
build: {{flavours: [plain]}}
targets:
  run: {{summary: none, argv: [/bin/true], flavour: plain, oracle: address, control: benign}}
""")
    (own / "build.sh").write_text("true\n")
    (own / "benign").write_text("x\n")
    sources = CachedSources(tmp_path / "sources", origins={"git": Local()})
    nowhere = cast("Sandbox", None)  # nothing is run
    laboratory = Laboratory(
        nowhere, sources, tmp_path / "cache", recipes=Shelf(tmp_path / "recipes")
    )
    searcher = LaboratorySearcher(laboratory, repositories=LOCAL)
    plan = Plan("pkg:generic/followed@1.0", "run", 1, 60)
    following = searcher.followed(plan, "refs/heads/main")
    assert following.base == base
    still = searcher.moved(plan, following)
    assert (still.source, still.first) == (None, ())

    after = repository.commit({"a.c": "int other;\n"})
    moved = searcher.moved(plan, following)
    assert moved.source is not None
    assert (moved.source.version, moved.first) == (after, ("a.c",))
    (pinned,) = moved.source.sources
    assert (pinned.origin, pinned.into) == (f"git:{repository.address}@{after}", "src")
    recipe = laboratory.recipes.find("pkg:generic/followed", version="1.0")
    assert recipe is not None
    assert moved.following is not None
    assert searcher.moved(plan, moved.following).source is None
    new = replace(recipe, sides={Side.VULNERABLE: moved.source})
    trees, _ = laboratory.source_tree(new, Side.VULNERABLE)
    assert (trees["src"] / "a.c").read_text() == "int other;\n"
