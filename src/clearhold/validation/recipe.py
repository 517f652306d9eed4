"""Recipes: how to obtain, build and exercise one project so that a proof can be run against it.

A recipe is a directory with `recipe.yaml`, a build script in OSS-Fuzz's shape (`$SRC`, `$OUT`,
`$WORK`, `$CC`, `$CXX`, `$CFLAGS`, `$CXXFLAGS`, `$LIB_FUZZING_ENGINE`, `$SANITIZER`; ours adds
`$FLAVOUR` and `$RECIPE`), drivers and benign seeds. Sources are pinned by SHA-256; no source and no
foreign patch is part of a recipe.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Literal

import msgspec

from clearhold.kernel.errors import InvalidError, NotFoundError

SCHEMA = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MAXIMUM_FILE = 1024 * 1024


DRIVERS = ("call.py", "call.cjs", "raising.py", "shown.cjs")
"""Drivers that recipes can share; docs/recipes.md says what they take."""


class Side(StrEnum):
    """Which of a recipe's two source states is meant."""

    VULNERABLE = "vulnerable"
    FIXED = "fixed"


class Flavour(StrEnum):
    """How a build is instrumented.

    Not at all, with AddressSanitizer, with UndefinedBehaviorSanitizer, with MemorySanitizer (clang),
    with AddressSanitizer by the other compiler (clang), for fuzzing with it by libFuzzer (clang) or by
    AFL++ (its compiler), or to see which lines are run (clang). What a recipe makes for one fuzzer it
    makes for the other, and the last is a plain build to it.
    """

    PLAIN = "plain"
    ADDRESS = "address"
    UNDEFINED = "undefined"
    MEMORY = "memory"
    CLANG = "clang"
    FUZZ = "fuzz"
    AFL = "afl"
    COVERAGE = "coverage"


BY_CLANG = frozenset({Flavour.MEMORY, Flavour.CLANG, Flavour.FUZZ, Flavour.COVERAGE})
"""The flavours that only clang makes."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published archive: where it comes from, its SHA-256, where in the tree it belongs.

    `fallbacks` are other origins of the same bytes, asked in order when `origin` cannot give them.
    """

    origin: str
    sha256: str
    into: str = ""
    fallbacks: tuple[str, ...] = ()


class SideSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One state of the project: its version, its archives and how Debian's series applies.

    With `series`, the patches that file lists are applied in order, without those in `without`.
    """

    version: str
    sources: tuple[Source, ...]
    series: str = ""
    without: tuple[str, ...] = ()


class BuildScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The build script, the flavours it can make, and commands it needs beyond compilers."""

    flavours: tuple[Flavour, ...]
    script: str = "build.sh"
    needs: tuple[str, ...] = ()


class FuzzTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a target is fuzzed: its seed directory and longest input in bytes, and a harness.

    `binary` is a libFuzzer program of the fuzz build; `python` a file of the recipe that defines
    `test_one_input(data)`, with the modules whose code is watched in `modules`. `dictionary` is a file
    of words that inputs are made of, as libFuzzer and AFL++ read it.
    """

    seeds: str
    binary: str = ""
    python: str = ""
    modules: tuple[str, ...] = ()
    dictionary: str = ""
    maximum_bytes: int = 4096
    env: Mapping[str, str] = {}


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to give the project a proof.

    `argv` reads the proof at `/in/proof`, with the build at `/build` and the recipe at `/recipe`.
    `control` is a benign input of the same form, `cves` are public flaws that proofs here have shown. `reference` computes what a differential oracle
    compares with, and `vary` writes variants of a proof for judging patches.
    """

    summary: str
    argv: tuple[str, ...]
    flavour: Flavour
    oracle: str
    control: str
    host: Literal["python", "native", "node"] = "native"
    reference: tuple[str, ...] = ()
    vary: str = ""
    fuzz: FuzzTarget | None = None
    env: Mapping[str, str] = {}
    cves: tuple[str, ...] = ()


class TestSuite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The project's own tests: what to run, what to copy from the pristine source, its tools.

    `argv` leaves JUnit XML at `/out/results.xml` or, with `results: ctest`, CTest's own there.
    """

    argv: tuple[str, ...]
    flavour: Flavour = Flavour.PLAIN
    copy: tuple[str, ...] = ()
    tools: tuple[Source, ...] = ()
    env: Mapping[str, str] = {}
    wall_s: int = 120


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a plain build becomes an installable Python wheel.

    `module` is the file or directory of the build that is installed; `suffixed` gives an extension
    module the interpreter's own suffix. `pure` marks a wheel without compiled code.
    """

    distribution: str
    module: str
    suffixed: bool = False
    pure: bool = False


class RecipeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds for a build and for a run, and MB of memory for either."""

    build_s: int = 300
    run_s: int = 10
    memory_mb: int = 1024
    build_memory_mb: int = 2048
    scratch_mb: int = 256


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `recipe.yaml` holds."""

    schema: Literal[1]
    package: str
    summary: str
    sides: Mapping[Side, SideSource]
    build: BuildScript
    targets: Mapping[str, Target]
    tests: TestSuite | None = None
    protected: tuple[str, ...] = ()
    delivery: Delivery | None = None
    limits: RecipeLimits = RecipeLimits()
    drivers: tuple[str, ...] = ()
    repository: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as loaded: `digest` (SHA-256, hex) covers every file of its directory.

    `package` is the package URL without a version; `protected` are the path prefixes of tests and
    build files that a candidate patch may not touch. `repository` is the address of the Git repository
    that the project is developed in, when the recipe names one.
    """

    name: str
    digest: str
    package: str
    summary: str
    sides: Mapping[Side, SideSource]
    build: BuildScript
    targets: Mapping[str, Target]
    tests: TestSuite | None
    protected: tuple[str, ...]
    delivery: Delivery | None
    limits: RecipeLimits
    files: Mapping[str, bytes]
    repository: str = ""

    def target(self, name: str) -> Target:
        """The target of that name; `NotFoundError` names those there are."""
        if name not in self.targets:
            raise NotFoundError(
                f"The recipe {self.name} has no target {name!r}.",
                next_step=f"Use one of: {', '.join(sorted(self.targets))}.",
            )
        return self.targets[name]

    def side(self, side: Side) -> SideSource:
        """The source of that side; `NotFoundError` when the recipe has no such side."""
        if side not in self.sides:
            raise NotFoundError(
                f"The recipe {self.name} has no {side} side.",
                next_step="Validate without a fixed side: the verdict then stays at level 2.",
            )
        return self.sides[side]

    @property
    def mounted(self) -> dict[str, bytes]:
        """The files of the recipe by the paths at which jobs find them."""
        return {f"/recipe/{path}": content for path, content in self.files.items()}

    def control(self, target: str) -> bytes:
        """The benign input of a target."""
        return self.files[self.target(target).control]

    def benign(self, target: str) -> dict[str, bytes]:
        """The benign inputs of a target by path: its control, what lies beside it, its seeds."""
        chosen = self.target(target)
        places = {chosen.control.rpartition("/")[0] + "/"}
        if chosen.fuzz is not None:
            places.add(chosen.fuzz.seeds.rstrip("/") + "/")
        return {
            path: content
            for path, content in self.files.items()
            if path == chosen.control
            or any(place != "/" and path.startswith(place) for place in places)
        }

    def seeds(self, target: str) -> dict[str, bytes]:
        """The benign seeds that a fuzzer of that target starts from, by file name."""
        fuzz = self.target(target).fuzz
        if fuzz is None:
            raise NotFoundError(
                f"The target {target!r} of the recipe {self.name} has no fuzz harness.",
                next_step="Choose a target with one.",
            )
        prefix = fuzz.seeds.rstrip("/") + "/"
        return {
            path.removeprefix(prefix): content
            for path, content in self.files.items()
            if path.startswith(prefix)
        }


def load(name: str) -> Recipe:
    """The shipped recipe of that name.

    Raises `NotFoundError` when there is none and `InvalidError` when it is not well formed.
    """
    directory = _shipped() / name
    if not is_name(name) or not directory.is_dir():
        raise NotFoundError(
            f"There is no recipe {name!r}.",
            next_step=f"Use one of: {', '.join(recipe_names())}.",
        )
    return parse(name, files_below(directory))


def parse(name: str, files: Mapping[str, bytes]) -> Recipe:
    """The recipe made of `files` (paths relative to its directory, and their bytes)."""
    try:
        document = msgspec.yaml.decode(files.get("recipe.yaml", b""), type=_Document)
    except msgspec.DecodeError as error:
        raise InvalidError(
            f"recipe.yaml of {name} is not a recipe: {error}",
            next_step="Compare it with a shipped recipe.",
        ) from error
    files = {**files, **_shared_drivers(name, document.drivers, files)}
    named = [document.build.script]
    for target in document.targets.values():
        named += [target.control, *([target.vary] if target.vary else [])]
        if target.fuzz is not None:
            named += [each for each in (target.fuzz.python, target.fuzz.dictionary) if each]
        if target.flavour not in document.build.flavours:
            raise InvalidError(
                f"The recipe {name} has a target of the flavour {target.flavour} it cannot build.",
                next_step="Add the flavour to build.flavours.",
            )
    if Flavour.AFL in document.build.flavours:
        raise InvalidError(
            f"The recipe {name} names the flavour {Flavour.AFL}, which comes with {Flavour.FUZZ}.",
            next_step=f"Name {Flavour.FUZZ} alone.",
        )
    missing = sorted(set(named) - set(files))
    if missing or Side.VULNERABLE not in document.sides:
        raise InvalidError(
            f"The recipe {name} lacks {', '.join(missing) or 'a vulnerable side'}.",
            next_step="Add what is missing.",
        )
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return Recipe(
        name=name,
        digest=digest.hexdigest(),
        package=document.package,
        summary=document.summary,
        sides=document.sides,
        build=document.build,
        targets=document.targets,
        tests=document.tests,
        protected=document.protected,
        delivery=document.delivery,
        limits=document.limits,
        files=dict(sorted(files.items())),
        repository=document.repository,
    )


def _shared_drivers(
    name: str, wanted: Iterable[str], files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The shipped drivers that a recipe asks for, which count as files of its own."""
    directory = resources.files("clearhold.validation") / "drivers"
    shared = {}
    for each in wanted:
        place = directory / each
        if each not in DRIVERS or each in files:
            raise InvalidError(
                f"The recipe {name} asks for the shared driver {each!r}, which there is not, or has"
                " a file of that name itself.",
                next_step=f"Ask for one of: {', '.join(DRIVERS)}.",
            )
        shared[each] = place.read_bytes()
    return shared


def recipe_names() -> tuple[str, ...]:
    """The names of all shipped recipes, in order."""
    return tuple(
        sorted(entry.name for entry in _shipped().iterdir() if (entry / "recipe.yaml").is_file())
    )


def all_recipes() -> tuple[Recipe, ...]:
    """All shipped recipes, by name."""
    return tuple(load(name) for name in recipe_names())


def is_name(text: str) -> bool:
    """Whether a recipe can be called that."""
    return _NAME.fullmatch(text) is not None


def without_version(purl: str) -> str:
    """A package URL without its version, qualifiers and subpath."""
    return re.split(r"[@?#]", purl, maxsplit=1)[0]


def files_below(directory: Traversable) -> dict[str, bytes]:
    """The files of a recipe's directory by their paths, but for hidden ones.

    Raises `InvalidError` for one that is too large.
    """
    return dict(_read(directory, ""))


def _shipped() -> Traversable:
    return resources.files("clearhold.validation") / "recipes"


def _read(directory: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        else:
            content = entry.read_bytes()
            if len(content) > _MAXIMUM_FILE:
                raise InvalidError(
                    f"The recipe file {prefix}{entry.name} is larger than {_MAXIMUM_FILE} bytes.",
                    next_step="Keep recipes to scripts, drivers and small seeds.",
                )
            yield f"{prefix}{entry.name}", content
