"""Builds a recipe's project inside the sandbox, once per content.

A build is a pure function of the recipe, the archives, the patch, the flavour and the toolchain;
its key is the hash of all five, and the cache is by that key. Compilers run at fixed paths inside
the sandbox, so the same key gives the same bytes anywhere with the same toolchain.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearhold.kernel.errors import ClearholdError, IntegrityError, InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Outcome, Sandbox, Tier
from clearhold.ports.sources import DEFAULT_SIZE_CAP, Sources
from clearhold.validation import kept_builds
from clearhold.validation import objects as object_files
from clearhold.validation.archive import unpack
from clearhold.validation.locks import FETCHING, alone
from clearhold.validation.recipe import Flavour, Recipe, Side, Source
from clearhold.validation.shelf import Shelf

_LOG_TAIL = 8_000
_MOST_MB = 64
PATCH_REFUSED = 90
"""Exit code of the preparation step when a patch does not apply."""

_CLANG = {"CC": "clang", "CXX": "clang++"}
_COMPILERS: Mapping[Flavour, Mapping[str, str]] = {
    Flavour.PLAIN: {
        "CC": "gcc",
        "CXX": "g++",
        "CFLAGS": "-O2 -DNDEBUG -fno-strict-aliasing -fstack-protector-strong",
        "SANITIZER": "none",
    },
    Flavour.ADDRESS: {
        "CC": "gcc",
        "CXX": "g++",
        "CFLAGS": "-g -O1 -fno-omit-frame-pointer -fsanitize=address",
        "SANITIZER": "address",
    },
    Flavour.UNDEFINED: {
        "CC": "gcc",
        "CXX": "g++",
        "CFLAGS": (
            "-g -O1 -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=undefined"
        ),
        "SANITIZER": "undefined",
    },
    Flavour.MEMORY: {
        **_CLANG,
        "CFLAGS": "-g -O1 -fno-omit-frame-pointer -fsanitize=memory",
        "SANITIZER": "memory",
    },
    Flavour.CLANG: {
        **_CLANG,
        "CFLAGS": "-g -O1 -fno-omit-frame-pointer -fsanitize=address",
        "SANITIZER": "address",
    },
    Flavour.FUZZ: {
        **_CLANG,
        "CFLAGS": "-g -O1 -fno-omit-frame-pointer -fsanitize=address,fuzzer-no-link",
        "SANITIZER": "address",
        "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer",
    },
    Flavour.AFL: {
        "CC": "afl-clang-fast",
        "CXX": "afl-clang-fast++",
        "CFLAGS": "-g -O1 -fno-omit-frame-pointer -fsanitize=address",
        "SANITIZER": "address",
        "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer",  # which its compiler turns into its own driver
        "AFL_QUIET": "1",
    },
    Flavour.COVERAGE: {
        **_CLANG,
        "CFLAGS": "-g -O0 -DNDEBUG -fprofile-instr-generate -fcoverage-mapping",
        "SANITIZER": "none",
    },
}
_CALLED: Mapping[Flavour, str] = {Flavour.AFL: Flavour.FUZZ, Flavour.COVERAGE: Flavour.PLAIN}
"""What build scripts are told of a flavour that is another one to them."""

# Lays the pristine source into the writable scratch directory, applies Debian's series as far as
# the recipe says and then the candidate patch, strictly, and runs the recipe's build script.
LAID_OUT = """\
set -eu
mkdir -p /work/src /work/build
for pair in $LAYOUT; do
  mkdir -p "/work/src/${pair#*=}"
  cp -R "/src/${pair%%=*}/." "/work/src/${pair#*=}"
done
chmod -R u+w /work/src
cd /work/src
if [ -n "$SERIES" ]; then
  while read -r name rest; do
    case "$name" in ''|'#'*) continue ;; esac
    case " $WITHOUT " in *" $name "*) continue ;; esac
    patch -s -f -p1 --no-backup-if-mismatch -i "${SERIES%/*}/$name" >&2
  done < "$SERIES"
fi
if [ -e /in/patch ]; then
  patch -u -s -f -p1 -F0 --no-backup-if-mismatch -r - -i /in/patch >&2 || exit 90
fi
SRC=/work/src WORK=/work/build OUT=/out RECIPE=/recipe
export SRC WORK OUT RECIPE
[ -z "$OBJECTS" ] || mkdir "$OBJECTS"
"""
_PREPARE = (
    LAID_OUT
    + """\
/bin/sh "/recipe/$SCRIPT"
"""
)

_PROBE = """\
for tool in gcc g++ clang ld patch python3 node; do
  if command -v $tool >/dev/null; then echo "$tool $($tool --version 2>&1 | head -n 1)"; fi
done
echo "preload $(readlink -f "$(gcc -print-file-name=libasan.so)") $(readlink -f "$(gcc -print-file-name=libstdc++.so)")"
if command -v afl-fuzz >/dev/null && command -v afl-clang-fast >/dev/null; then
  echo "fuzzer $(afl-fuzz -h 2>&1 | head -n 1 | tr -cd ' -~')"
fi
python3 -c 'import sysconfig; print("suffix", sysconfig.get_config_var("EXT_SUFFIX")); \
print("tag", "cp" + sysconfig.get_config_var("py_version_nodot"), sysconfig.get_platform().replace("-", "_"))'
"""


def build_surroundings(recipe: Recipe, side: Side, flavour: Flavour) -> dict[str, str]:
    """The environment in which a side's sources are laid out by `LAID_OUT`, and built.

    The sources are mounted below `/src`, numbered in the order of the recipe.
    """
    state = recipe.side(side)
    compilers = dict(_COMPILERS[flavour])
    compilers["CXXFLAGS"] = compilers["CFLAGS"]
    compilers.setdefault("LIB_FUZZING_ENGINE", "")
    places = dict.fromkeys(source.into for source in state.sources)
    return {
        **compilers,
        "PATH": "/usr/bin:/bin",
        "OBJECTS": "",
        "FLAVOUR": _CALLED.get(flavour, flavour),
        "LAYOUT": " ".join(f"{number}={into or '.'}" for number, into in enumerate(places)),
        "SCRIPT": recipe.build.script,
        "SERIES": f"/work/src/{state.series}" if state.series else "",
        "WITHOUT": " ".join(state.without),
        "SOURCE_DATE_EPOCH": "315532800",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The compilers inside the sandbox.

    `digest` covers every version line, `preload` are the runtime libraries that an instrumented
    extension needs when the interpreter itself is not instrumented, `suffix`, `python_tag` and
    `platform` are what the interpreter calls its extension modules and itself. `fuzzer` is AFL++ by
    its version, empty without it; builds for it alone depend on it.
    """

    digest: str
    versions: tuple[str, ...]
    preload: tuple[str, ...]
    suffix: str
    python_tag: str
    platform: str
    fuzzer: str = ""

    def has(self, command: str) -> bool:
        """Whether a command is among the tools that were found."""
        return any(line.startswith(f"{command} ") for line in self.versions)


@dataclass(frozen=True, slots=True)
class Build:
    """What one build made.

    `key` names it by all its inputs, `directory` holds its files, `digest` is the SHA-256 over
    their names and bytes, `source_digest` over the pinned archives, `patch_digest` over the patch
    or empty. `cached` says whether this call reused an earlier one; `wall_s` is the time the
    build took when it was made.
    """

    key: str
    recipe: Recipe
    side: Side
    version: str
    flavour: Flavour
    toolchain: Toolchain
    directory: Path
    digest: str
    source_digest: str
    patch_digest: str
    wall_s: float
    cached: bool

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the build, by path relative to its directory."""
        return kept_builds.files(self.directory)


class BuildFailedError(UnavailableError):
    """A build did not come to its end: `stage` is patch or build, `log` its last output."""

    code = "build_failed"

    def __init__(self, message: str, *, next_step: str, stage: str, log: str) -> None:
        super().__init__(message, next_step=next_step)
        self.stage = stage
        self.log = log


class Laboratory:
    """Where recipes are built and run: a sandbox, a way to sources and a cache of both.

    `cache` holds unpacked sources and builds. The sandbox reads them as an unprivileged user, so
    its parents must be searchable by all; names of builds are unguessable hashes in a directory
    that others cannot list, because a build with a patch under embargo is embargoed too. Builds
    take their places in `builders` when that is another sandbox, so that they never hold up runs.
    `recipes` are those known here, the shipped ones when not given.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        sources: Sources,
        cache: Path,
        *,
        least: Tier = Tier.NAMESPACES,
        least_code: Tier = Tier.GVISOR,
        workers: int = 2,
        builders: Sandbox | None = None,
        recipes: Shelf | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.recipes = recipes or Shelf()
        self._builders = builders or sandbox
        self.workers = workers
        self._sources = sources
        self._least = least
        self._least_code = max(least, least_code)
        self._cache = cache
        self._trees = cache / "trees"
        self._builds = cache / "builds"
        self._toolchain: Toolchain | None = None
        self._guard = threading.Lock()

    def run(self, job: Job, on_output: Callable[[bytes], None] | None = None) -> Outcome:
        """Run a job in the sandbox at the least tier this laboratory accepts.

        `on_output` and what is raised are as in `Sandbox.run`.
        """
        return self.sandbox.run(job, least=self._least, on_output=on_output)

    @property
    def confined(self) -> bool:
        """Whether this machine was measured to give the isolation that is demanded, or more."""
        return self._tier() >= max(self._least, Tier.NAMESPACES)

    @property
    def runs_code(self) -> bool:
        """Whether strangers' code, such as a fix that is compiled, may be built and run here."""
        return self._tier() >= max(self._least_code, Tier.NAMESPACES)

    def _tier(self) -> Tier:
        return min(self.sandbox.tier(), self._builders.tier())

    def demand_for_code(self) -> None:
        """Raise `UnavailableError` when the policy lets no stranger's code run on this machine."""
        if not self.runs_code:
            raise UnavailableError(
                f"Strangers' code, such as a fix, runs here only in a sandbox of tier "
                f"{self._least_code.name}, and this machine gives {self._tier().name}.",
                next_step="The hub's operator can install gVisor (docs/installation.md), or accept "
                "less by CLEARHOLD_LEAST_TIER_CODE (docs/operations.md).",
            )

    @property
    def least(self) -> Tier:
        """The weakest isolation this laboratory accepts."""
        return self._least

    def toolchain(self) -> Toolchain:
        """The compilers inside the sandbox, asked once.

        Raises `UnavailableError` naming what is missing when there is no C compiler.
        """
        with self._guard:
            if self._toolchain is None:
                self._toolchain = self._probe()
            return self._toolchain

    def source_tree(self, recipe: Recipe, side: Side) -> tuple[dict[str, Path], str]:
        """Pristine trees of a side by their place below `/src`, and the digest of its archives.

        Raises what `Sources.fetch` and `archive.unpack` raise.
        """
        trees: dict[str, Path] = {}
        digest = hashlib.sha256()
        with alone(self._cache, FETCHING):
            for source in recipe.side(side).sources:
                archive = self._fetched(source)
                trees[source.into] = unpack(archive, source.sha256, self._trees)
                digest.update(f"{source.into}={source.sha256}\n".encode())
        return trees, digest.hexdigest()

    def pin(self, origin: str) -> str:
        """The SHA-256 of what an origin gives, which is kept; raises what `Sources.pin` raises."""
        with alone(self._cache, FETCHING):
            return self._sources.pin(origin)

    def _fetched(self, source: Source, *, size_cap: int = DEFAULT_SIZE_CAP) -> Path:
        """The archive from the first of its origins that gives it."""
        problem: ClearholdError | None = None
        for origin in (source.origin, *source.fallbacks):
            try:
                return self._sources.fetch(origin, source.sha256, size_cap=size_cap)
            except (UnavailableError, IntegrityError) as error:
                problem = problem or error
        raise problem or InvalidError("The source has no origin.", next_step="Name one.")

    def tool_trees(self, recipe: Recipe) -> tuple[Path, ...]:
        """The unpacked tools of the recipe's tests, in order."""
        return self.tools(recipe.tests.tools if recipe.tests else ())

    def tools(
        self, pinned: Sequence[Source], *, size_cap: int = DEFAULT_SIZE_CAP
    ) -> tuple[Path, ...]:
        """Published archives unpacked as they are, in order; nothing of them is executed."""
        with alone(self._cache, FETCHING):
            return tuple(
                unpack(
                    self._fetched(tool, size_cap=size_cap), tool.sha256, self._trees, strip=False
                )
                for tool in pinned
            )

    def build(
        self, recipe: Recipe, side: Side, *, flavour: Flavour, patch: bytes | None = None
    ) -> Build:
        """The build of one side, with `patch` (a unified diff, already judged safe) applied.

        Raises `BuildFailedError` when the patch does not apply or the build does not finish, and
        `UnavailableError` when sources, compiler or sandbox are missing, or the sandbox is weaker
        than the policy demands for strangers' code, which every patch is.
        """
        if patch is not None:
            self.demand_for_code()
        toolchain = self.toolchain()
        trees, source_digest = self.source_tree(recipe, side)
        state = recipe.side(side)
        patch_digest = hashlib.sha256(patch).hexdigest() if patch is not None else ""

        def named(patch_digest: str) -> str:
            inputs = (
                "build/1",
                recipe.digest,
                source_digest,
                state.series,
                *state.without,
                patch_digest,
                flavour,
                toolchain.digest,
                json.dumps(_COMPILERS[flavour], sort_keys=True),
                _PREPARE,
                *((toolchain.fuzzer,) if flavour is Flavour.AFL else ()),
            )
            return hashlib.sha256("\n".join(inputs).encode()).hexdigest()

        key = named(patch_digest)
        place = self._builds / key
        made, cached = kept_builds.kept(place), True
        if made is None:
            self._builds.mkdir(parents=True, exist_ok=True)
            self._builds.chmod(0o711)
            with alone(self._cache, f"builds/.{key}.lock"):
                made = kept_builds.kept(place)  # another may have made it while we waited
                if made is None:
                    self._make(
                        recipe,
                        side,
                        flavour,
                        patch=patch,
                        trees=trees,
                        place=place,
                        objects=kept_builds.objects(self._builds / named("")),
                    )
                    made, cached = json.loads((place / "build.json").read_text("utf-8")), False
        return Build(
            key=key,
            recipe=recipe,
            side=side,
            version=state.version,
            flavour=flavour,
            toolchain=toolchain,
            directory=place / "out",
            digest=made["digest"],
            source_digest=source_digest,
            patch_digest=patch_digest,
            wall_s=made["wall_s"],
            cached=cached,
        )

    def _make(
        self,
        recipe: Recipe,
        side: Side,
        flavour: Flavour,
        *,
        patch: bytes | None,
        trees: Mapping[str, Path],
        place: Path,
        objects: Path | None,
    ) -> None:
        state = recipe.side(side)
        files = recipe.mounted | object_files.compilers()
        shown = {f"/src/{number}": tree for number, tree in enumerate(trees.values())}
        if patch is not None:
            files["/in/patch"] = patch
            if objects is not None:
                shown[object_files.PLACE] = objects
        outcome = self._builders.run(
            Job(
                argv=("/bin/sh", "-c", _PREPARE + object_files.KEEP),
                trees=shown,
                files=files,
                env={
                    **build_surroundings(recipe, side, flavour),
                    "PATH": object_files.SEARCH,
                    "OBJECTS": "/work/objects" if patch is None else "",
                },
                limits=Limits(
                    wall_s=recipe.limits.build_s,
                    cpu_s=recipe.limits.build_s * 2,
                    memory_mb=recipe.limits.build_memory_mb,
                    processes=64,
                    scratch_mb=recipe.limits.scratch_mb + object_files.MOST_MB,
                    artefacts_mb=_MOST_MB + object_files.MOST_MB,
                ),
            ),
            least=self._least,
        )
        made, kept = object_files.apart(outcome.artefacts)
        if outcome.exit_code != 0 or not made:
            log = outcome.stderr.decode("utf-8", "replace")[-_LOG_TAIL:]
            at_patch = patch is not None and outcome.exit_code == PATCH_REFUSED
            raise BuildFailedError(
                f"{recipe.name} {state.version} ({flavour}) did not build: {_ending(outcome)}.",
                next_step=(
                    "Make the patch apply to the vulnerable version with `patch -p1 -F0`."
                    if at_patch
                    else "Read the build's output and check that the compilers are installed."
                ),
                stage="patch" if at_patch else "build",
                log=log,
            )
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self._builds) as scratch:
            base = Path(scratch) / "build"
            kept_builds.write(base, made, objects=kept, wall_s=outcome.wall_s)
            kept_builds.put(base, place)

    def _probe(self) -> Toolchain:
        outcome = self.run(Job(argv=("/bin/sh", "-c", _PROBE), limits=Limits(wall_s=30.0)))
        lines = outcome.stdout.decode("utf-8", "replace").splitlines()
        found = {line.split(" ", 1)[0]: line.split(" ", 1)[-1] for line in lines if " " in line}
        missing = [tool for tool in ("gcc", "g++", "patch", "python3") if tool not in found]
        if missing:
            raise UnavailableError(
                f"The sandbox finds no {', '.join(missing)}.",
                next_step="Install them: apt-get install gcc g++ patch python3-dev.",
            )
        fuzzer = found.pop("fuzzer", "")
        lines = [line for line in lines if not line.startswith("fuzzer ")]
        tag, _, platform = found.get("tag", "").partition(" ")
        return Toolchain(
            digest=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            versions=tuple(line for line in lines if not line.startswith(("preload ", "suffix "))),
            preload=tuple(found.get("preload", "").split()),
            suffix=found.get("suffix", ""),
            python_tag=tag,
            platform=platform,
            fuzzer=fuzzer,
        )


def _ending(outcome: Outcome) -> str:
    if outcome.timed_out:
        return "it exceeded its time"
    if outcome.out_of_memory:
        return "it exceeded its memory"
    if outcome.signal is not None:
        return f"signal {outcome.signal} ended it"
    if outcome.exit_code == 0:
        return "it left nothing in $OUT"
    last = outcome.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no output"]
    return f"exit code {outcome.exit_code}, {last[0][:200]}"
