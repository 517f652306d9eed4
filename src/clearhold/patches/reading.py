"""Reads what a candidate brings before anything of it is built: the fix, its tests, what it risks."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Any, Final

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.patches import risk
from clearhold.patches.judging import Candidate
from clearhold.validation.builder import Laboratory
from clearhold.validation.diff import Diff, is_below, read_diff
from clearhold.validation.recipe import Recipe, Side

ALWAYS_PROTECTED: Final = frozenset(
    (
        "conftest.py",
        "sitecustomize.py",
        "usercustomize.py",
        "pytest.ini",
        "tox.ini",
        "noxfile.py",
        ".coveragerc",
        "Makefile",
        "makefile",
        "GNUmakefile",
        "CMakeLists.txt",
        "meson.build",
        "configure",
        "configure.ac",
        "configure.in",
        "Makefile.am",
        "Makefile.in",
        "SConstruct",
        "build.gradle",
        "pom.xml",
        "Cargo.toml",
        "binding.gyp",
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "package.json",
        "package-lock.json",
        ".npmrc",
        "Dockerfile",
    )
)
"""Names of files that steer builds or tests wherever they lie in a project."""
_TEST_PLACES: Final = ("test/", "tests/", "t/", "spec/", "__tests__/")


class Refusal(Exception):  # noqa: N818  (an outcome of judging, nothing went wrong)
    """The candidate is refused: the kind of verdict and why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class Undecided(Exception):  # noqa: N818  (an outcome of judging, nothing went wrong)
    """The candidate is not shown to be a fix, nor to be none: the kind of verdict and why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def understand(
    laboratory: Laboratory, recipe: Recipe, candidate: Candidate, facts: dict[str, Any]
) -> tuple[Diff, Diff | None]:
    """The fix that is judged, and the tests that came with it; what is read goes into `facts`.

    A new test in the same diff is taken out of it and judged by itself. Raises `Refusal`.
    """
    diff = _understood(candidate.diff)
    added = _understood(candidate.tests) if candidate.tests else None
    protected = [path for path in diff.touched if is_protected(recipe, path)]
    brought = [
        path
        for path in protected
        if is_test_place(recipe, path)
        and path in diff.created
        and PurePosixPath(path).name not in ALWAYS_PROTECTED
    ]
    if added is None and brought and set(brought) != set(diff.touched):
        added = diff.only(brought)
        diff = diff.only(set(diff.touched) - set(brought))
        protected = [path for path in protected if path not in brought]

    def before(path: str) -> str:
        return text_before(laboratory, recipe, path)

    facts |= {
        "patch_sha256": hashlib.sha256(candidate.diff).hexdigest(),
        "applied_sha256": hashlib.sha256(diff.canonical).hexdigest(),
        "paths": [shown(path) for path in diff.touched],
        "lines_added": diff.added,
        "lines_removed": diff.removed,
        "read_as": list(diff.notes),
        "risk": risk.summary(diff, before),
    }
    if added is not None:
        facts["tests_brought"] = [shown(path) for path in added.touched]
    if protected:
        raise Refusal(
            "touches_tests_or_build",
            f"It changes the project's tests or build: {', '.join(map(shown, protected[:3]))}."
            " Send the fix without that; files of tests that are new may stay with it.",
        )
    if added is not None and (
        wrong := [
            path
            for path in added.touched
            if not is_test_place(recipe, path) or PurePosixPath(path).name in ALWAYS_PROTECTED
        ]
    ):
        raise Refusal(
            "touches_tests_or_build",
            f"What came as tests changes other files: {', '.join(map(shown, wrong[:3]))}.",
        )
    if spots := risk.deceptions(diff, before):
        facts["deceptions"] = [
            f"{shown(each.path)}:{each.line}: {each.text}" for each in spots[:20]
        ]
        raise Refusal(
            "deceives_oracle",
            f"It {spots[0].construct} ({shown(spots[0].path)}:{spots[0].line}), by which a flaw could"
            " be hidden from the laboratory instead of being mended.",
        )
    return diff, added


def is_protected(recipe: Recipe, path: str) -> bool:
    """Whether a path is one of the project's tests or build files."""
    return is_below(path, recipe.protected) or PurePosixPath(path).name in ALWAYS_PROTECTED


def is_test_place(recipe: Recipe, path: str) -> bool:
    """Whether a path lies where the project's tests lie."""
    copied = () if recipe.tests is None else recipe.tests.copy
    return is_below(path, (*_TEST_PLACES, *copied, *(f"{each}/" for each in copied)))


def text_before(laboratory: Laboratory, recipe: Recipe, path: str) -> str:
    """A file as it is published, in Latin-1; empty for one that is not there."""
    trees, _ = laboratory.source_tree(recipe, Side.VULNERABLE)
    for into, tree in trees.items():
        file = tree / (shown(path).removeprefix(f"{into}/") if into else shown(path))
        if file.is_file() and not file.is_symlink():
            return file.read_bytes().decode("latin-1")
    return ""


def shown(path: str) -> str:
    """A path of a diff, which holds bytes, as text."""
    return path.encode("latin-1").decode("utf-8", "replace")


def _understood(content: bytes) -> Diff:
    try:
        return read_diff(content)
    except (InvalidError, TooLargeError) as error:
        raise Refusal("unsafe_diff", f"{error.message} {error.next_step}") from error
