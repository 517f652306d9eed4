"""Ways to see which lines of a build its targets and the project's tests run.

Python is asked by a trace function, Node by V8's own coverage (NODE_V8_COVERAGE), native code by
LLVM's source-based coverage, in a build of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.suite import run_tests

Lines = dict[str, dict[int, bool]]
"""Of each file the lines that can be run, and whether they were."""

_SLOWER: Final = 4
_GROWN: Final = 50
_TRACE: Final = """\
import atexit, json, os, sys, threading
names = set(json.loads(os.environ["TRACED"]))
seen = {}
def local(frame, event, arg):
    if event == "line":
        seen.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
    return local
def trace(frame, event, arg):
    return local(frame, "line", arg) if os.path.basename(frame.f_code.co_filename) in names else None
def could(code, found):
    found.update(line for _, _, line in code.co_lines() if line)
    for each in code.co_consts:
        if hasattr(each, "co_lines"):
            could(each, found)
    return found
def write():
    sys.settrace(None)
    told = {}
    for name, lines in seen.items():
        try:
            with open(name, "rb") as file:
                able = could(compile(file.read(), name, "exec"), set())
        except Exception:
            able = lines
        told[name] = {str(line): int(line in lines) for line in able | lines}
    with open("/out/lines-%d.json" % os.getpid(), "w") as file:
        json.dump(told, file)
atexit.register(write)
threading.settrace(trace)
sys.settrace(trace)
"""
_MEASURE: Final = """\
mkdir -p /work/profiles
"$@"
objects=
for file in $(find /build -type f \\( -perm -100 -o -name '*.so' \\)); do
  [ "$(head -c 4 "$file" | tail -c 3)" = ELF ] && objects="$objects -object $file"
done
llvm-profdata merge -o /work/merged /work/profiles/*.profraw &&
  llvm-cov export -format=lcov -instr-profile /work/merged $objects >/out/lcov.info 2>/dev/null
exit 0
"""


@dataclass(frozen=True, slots=True)
class Watch:
    """A way of seeing lines: what a run is given for it, and how that is read from what it leaves."""

    name: str
    read: Callable[[Build, Mapping[str, bytes]], Lines]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    around: tuple[str, ...] = ()
    path: str = ""


def python(paths: Sequence[str]) -> Watch:
    """Python modules whose files have the names of these."""
    names = [PurePosixPath(path).name for path in paths]
    return Watch(
        "Python's trace",
        _traced,
        env={"TRACED": json.dumps(names)},
        files={"/in/trace/sitecustomize.py": _TRACE.encode()},
        path="/in/trace",
    )


def node() -> Watch:
    """All that Node loads from the build."""
    return Watch("V8's coverage", _by_v8, env={"NODE_V8_COVERAGE": "/out/coverage"})


def native() -> Watch:
    """All that clang compiled into a build of the flavour for it."""
    return Watch(
        "LLVM's coverage",
        _by_llvm,
        env={"LLVM_PROFILE_FILE": "/work/profiles/%p-%m.profraw"},
        around=("/bin/sh", "-c", _MEASURE, "measure"),
    )


def lines_of_input(
    laboratory: Laboratory, build: Build, target: str, content: bytes, watch: Watch
) -> Lines:
    """What one input runs of a target as it is, without an oracle around it."""
    recipe = build.recipe
    chosen = recipe.target(target)
    seconds = recipe.limits.run_s * _SLOWER
    outcome = laboratory.run(
        Job(
            argv=(*watch.around, *chosen.argv),
            trees={"/build": build.directory},
            files={
                **recipe.mounted,
                **watch.files,
                "/in/proof": _grown(build, target, content),
            },
            env={
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": ":".join(each for each in (watch.path, "/build") if each),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PATH": "/usr/bin:/bin",
                **chosen.env,
                **watch.env,
            },
            limits=Limits(wall_s=seconds, cpu_s=seconds, memory_mb=recipe.limits.memory_mb),
        )
    )
    return watch.read(build, outcome.artefacts)


def lines_of_tests(laboratory: Laboratory, build: Build, watch: Watch) -> Lines:
    """What the project's tests run. Raises as `run_tests` does."""
    outcome = run_tests(
        laboratory,
        build,
        time_factor=_SLOWER,
        around=watch.around,
        env=watch.env,
        files=watch.files,
        path=watch.path,
    )
    return watch.read(build, outcome.artefacts)


def merged(one: Lines, other: Lines) -> Lines:
    """What either of two saw, the lines of each file in their order."""
    made = {file: dict(lines) for file, lines in one.items()}
    for file, lines in other.items():
        mine = made.setdefault(file, {})
        for line, ran in lines.items():
            mine[line] = mine.get(line, False) or ran
    return {file: dict(sorted(lines.items())) for file, lines in made.items()}


def of_paths(paths: Sequence[str], seen: Lines) -> Lines:
    """Lines by path of the diff: of the files with its name, those that share most of the path.

    A file that was measured in vain has no entry; when nothing at all was, there is none.
    """
    found: Lines = {}
    for path in paths:
        best: dict[int, bool] | None = None
        most = 0
        for file, lines in seen.items():
            shared = _shared(PurePosixPath(path).parts, PurePosixPath(file).parts)
            if shared > most:
                best, most = lines, shared
        if best is not None:
            found[path] = best
    # Something was measured even if none of these files was: they were simply not run.
    return found or ({"": {}} if seen else {})


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count


def _traced(_: Build, made: Mapping[str, bytes]) -> Lines:
    seen: Lines = {}
    for name, content in made.items():
        told = _decoded(content) if name.startswith("lines-") else None
        if not isinstance(told, dict):
            continue
        for file, lines in told.items():
            if isinstance(lines, dict):
                read = {int(line): bool(ran) for line, ran in lines.items() if line.isdigit()}
                seen = merged(seen, {str(file): read})
    return seen


def _by_v8(build: Build, made: Mapping[str, bytes]) -> Lines:
    seen: Lines = {}
    for name, content in made.items():
        told = _decoded(content) if name.startswith("coverage/") else None
        if not isinstance(told, dict):
            continue
        for script in told.get("result", []):
            file = str(script.get("url", "")).removeprefix("file://")
            place = build.directory / file.removeprefix("/build/")
            if not file.startswith("/build/") or ".." in file or not place.is_file():
                continue
            text = place.read_text(encoding="utf-8", errors="replace")
            seen = merged(seen, {file: _covered(text, script)})
    return seen


def _covered(text: str, script: Mapping[str, Any]) -> dict[int, bool]:
    """Of each line whether its first character lies in a range that was run, the innermost counting."""
    ranges = [
        (int(each["startOffset"]), int(each["endOffset"]), int(each["count"]))
        for function in script.get("functions", [])
        for each in function.get("ranges", [])
    ]
    covered = {}
    at = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        first = at + len(line) - len(line.lstrip())
        around = [each for each in ranges if each[0] <= first < each[1]]
        covered[number] = bool(around) and min(around, key=lambda each: each[1] - each[0])[2] > 0
        at += len(line)
    return covered


def _by_llvm(_: Build, made: Mapping[str, bytes]) -> Lines:
    seen: Lines = {}
    file = ""
    for line in made.get("lcov.info", b"").decode("utf-8", "replace").splitlines():
        if line.startswith("SF:"):
            file = line[3:]
        elif line.startswith("DA:"):
            number, count = line[3:].split(",")[:2]
            mine = seen.setdefault(file, {})
            mine[int(number)] = mine.get(int(number), False) or bool(count.strip("0"))
    return seen


def _grown(build: Build, target: str, proof: bytes) -> bytes:
    """The text that a proof for the complexity oracle stands for, at a small size."""
    if build.recipe.target(target).oracle != "complexity":
        return proof
    said = _decoded(proof)
    if not isinstance(said, dict) or not isinstance(said.get("pump"), str):
        return proof
    parts = {name: str(said.get(name, "")) for name in ("prefix", "middle", "closing", "suffix")}
    grown = (
        f"{parts['prefix']}{said['pump'] * _GROWN}{parts['middle']}"
        f"{parts['closing'] * _GROWN}{parts['suffix']}"
    )
    return grown.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
