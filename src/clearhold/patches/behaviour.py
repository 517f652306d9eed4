"""What a change does to inputs that show no flaw, and to what a package offers its users.

An input counts when it ends well without the change, and its answer when that is the same twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import Run, printed_by, run_many

MOST_TEST_INPUTS: Final = 16
_LARGEST_INPUT: Final = 8 * 1024
_EXCERPT: Final = 400
_FEWEST_DOUBTS: Final = 2
_MOST_SCANNED: Final = 4000
_TESTS: Final = ("test/", "tests/", "t/", "examples/", "example/", "samples/")
_NOTHING: Final = (b"", b"None", b"null", b"undefined", b"{}", b"[]", b"False", b"false")
_NODE_API: Final = """\
const seen = {};
const made = require("/build/package");
const look = (value, name, depth) => {
  if (value === null || depth > 2 || !["object", "function"].includes(typeof value)) return;
  for (const key of Object.getOwnPropertyNames(value).sort()) {
    if (["length", "name", "prototype", "arguments", "caller"].includes(key)) continue;
    let held;
    try { held = value[key]; } catch { continue; }
    const place = name ? `${name}.${key}` : key;
    seen[place] = typeof held === "function" ? `function/${held.length}` : typeof held;
    if (typeof held === "object") look(held, place, depth + 1);
  }
};
seen["(itself)"] = typeof made === "function" ? `function/${made.length}` : typeof made;
look(made, "", 0);
require("node:fs").writeFileSync("/out/api.json", JSON.stringify(seen));
"""
_PYTHON_API: Final = """\
import importlib, inspect, json, pathlib, types
seen = {}
for entry in sorted(pathlib.Path("/build").iterdir()):
    name = entry.name.split(".")[0]
    if not name.isidentifier() or not (entry.suffix in (".py", ".so") or (entry / "__init__.py").is_file()):
        continue
    try:
        module = importlib.import_module(name)
    except Exception:
        continue
    for key, value in sorted(vars(module).items()):
        if key.startswith("_") or isinstance(value, types.ModuleType):
            continue
        seen[name + "." + key] = type(value).__name__
        if callable(value):
            try:
                seen[name + "." + key] += str(inspect.signature(value))
            except (ValueError, TypeError):
                pass
pathlib.Path("/out/api.json").write_text(json.dumps(seen))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """An input of a target that counts as benign, and where it comes from."""

    target: str
    content: bytes = field(repr=False)
    origin: str = "the recipe"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a benign input was answered: the oracle's view, the exit code and what was printed."""

    run: Run
    printed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """One benign input that is answered otherwise with the change, and in which way.

    `kind` is over_broad when something is refused or left out, behaviour_changing when it is
    answered in another way, introduces_fault when it now shows a fault or never ends. `before` and
    `after` begin what was printed, where that differs.
    """

    case: Case
    kind: str
    words: str
    before: str = field(default="", repr=False)
    after: str = field(default="", repr=False)


def cases(laboratory: Laboratory, recipe: Recipe) -> tuple[Case, ...]:
    """The benign inputs of all targets: the recipe's, and the project's own test inputs."""
    found: dict[tuple[str, bytes], Case] = {}
    own = _test_inputs(laboratory, recipe)
    for name in recipe.targets:
        for content in recipe.benign(name).values():
            found.setdefault((name, content), Case(name, content))
        for content in own:
            found.setdefault((name, content), Case(name, content, "the project's own tests"))
    return tuple(found.values())


def answers(
    laboratory: Laboratory, build_of: Callable[[str], Build], given: Sequence[Case]
) -> dict[Case, Answer]:
    """How a build answers each input."""
    made: dict[Case, Answer] = {}
    for target in dict.fromkeys(each.target for each in given):
        mine = [each for each in given if each.target == target]
        build = build_of(target)
        ran = run_many(
            laboratory, build, target=target, proofs=[each.content for each in mine], runs=1
        )
        for case, (run,) in zip(mine, ran, strict=True):
            made[case] = Answer(run, b"")
    return made


def steady(first: dict[Case, Answer], again: dict[Case, Answer]) -> dict[Case, Answer]:
    """The inputs that ended well twice; of those that print otherwise each time, only that they did."""
    kept = {}
    for case, answer in first.items():
        other = again[case].run
        if answer.run.kind is not RunKind.CLEAN or other.kind is not RunKind.CLEAN:
            continue
        same = (answer.run.stdout_sha256, answer.run.exit_code) == (
            other.stdout_sha256,
            other.exit_code,
        )
        kept[case] = answer if same else Answer(answer.run, b"unsteady")
    return kept


def differences(
    laboratory: Laboratory,
    before: dict[Case, Answer],
    after: dict[Case, Answer],
    builds: tuple[Callable[[str], Build], Callable[[str], Build]],
) -> tuple[Difference, ...]:
    """Every input that is answered otherwise, also when it is asked again.

    `builds` are those without and with the change.
    """
    otherwise = [case for case in before if _differs(before[case], after[case].run)]
    again = answers(laboratory, builds[1], otherwise)
    found = []
    for case in otherwise:
        new = again[case].run
        if not _differs(before[case], new):
            continue
        if new.kind is not RunKind.CLEAN:
            found.append(_failing(case, new))
            continue
        printed = [
            printed_by(laboratory, build(case.target), target=case.target, proof=case.content)
            for build in builds
        ]
        found.append(_changed(case, printed[0], printed[1]))
    return tuple(found)


def doubtful(differing: int, known: int) -> bool:
    """Whether so many of the inputs near benign ones are answered otherwise that a fix may do too much."""
    return differing >= _FEWEST_DOUBTS and differing * 3 >= known


def _differs(old: Answer, new: Run) -> bool:
    if new.kind is RunKind.INCONCLUSIVE:
        return False  # a measurement that came out unclear says nothing against anybody
    if new.kind is not RunKind.CLEAN:
        return True
    printed = (new.stdout_sha256, new.exit_code)
    return old.printed != b"unsteady" and printed != (old.run.stdout_sha256, old.run.exit_code)


def offered(laboratory: Laboratory, build: Build) -> dict[str, str] | None:
    """What a package offers, by name and shape; None where this cannot be asked."""
    hosts = {target.host for target in build.recipe.targets.values()}
    if build.flavour is not Flavour.PLAIN or not hosts & {"node", "python"}:
        return None
    node = "node" in hosts
    outcome = laboratory.run(
        Job(
            argv=("/usr/bin/node", "/in/api.cjs")
            if node
            else ("/usr/bin/python3", "-s", "/in/api.py"),
            trees={"/build": build.directory},
            files={"/in/api.cjs": _NODE_API.encode(), "/in/api.py": _PYTHON_API.encode()},
            env={"PYTHONPATH": "/build", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
            limits=Limits(wall_s=20, cpu_s=20, memory_mb=build.recipe.limits.memory_mb),
        )
    )
    try:
        seen: Any = json.loads(outcome.artefacts.get("api.json", b"null"))
    except (ValueError, RecursionError):
        return None
    return {str(k): str(v) for k, v in seen.items()} if isinstance(seen, dict) and seen else None


def api_changes(
    before: dict[str, str] | None, after: dict[str, str] | None
) -> dict[str, list[str]]:
    """Names that are gone, that are new, and that have another shape."""
    if before is None or after is None:
        return {}
    told = {
        "gone": sorted(set(before) - set(after)),
        "new": sorted(set(after) - set(before)),
        "changed": sorted(
            f"{name}: {before[name]} is {after[name]} now"
            for name in set(before) & set(after)
            if before[name] != after[name]
        ),
    }
    return {what: names[:20] for what, names in told.items() if names}


def _failing(case: Case, new: Run) -> Difference:
    if new.kind is RunKind.VIOLATION:
        return Difference(
            case, "introduces_fault", f"A benign input shows a fault now: {new.reason}."
        )
    if new.kind is RunKind.RESOURCE_LIMIT:
        return Difference(
            case, "introduces_fault", f"A benign input no longer comes to its end: {new.reason}."
        )
    return Difference(case, "over_broad", f"A benign input fails now: {new.reason}.")


def _changed(case: Case, old: tuple[bytes, bytes], new: tuple[bytes, bytes]) -> Difference:
    # Whoever begins to complain on the second output has refused something.
    refused = _lessened(old[0], new[0]) or (bool(new[1].strip()) and not old[1].strip())
    how = "is refused now, or answered with less" if refused else "is answered differently now"
    return Difference(
        case,
        "over_broad" if refused else "behaviour_changing",
        f"Of what {case.origin} gives as benign, one {how}.",
        *(_excerpt(printed[0]) for printed in (old, new)),
    )


def _excerpt(printed: bytes) -> str:
    return printed[:_EXCERPT].decode("utf-8", "replace")


def _lessened(old: bytes, new: bytes) -> bool:
    """Whether the new answer is the old one with parts left out, or says that it refuses."""
    if new.strip() in _NOTHING and old.strip() not in _NOTHING:
        return True
    if any(word in new.lower() and word not in old.lower() for word in (b"refused", b"error")):
        return True
    rest = iter(old)
    return len(new) < len(old) and all(byte in rest for byte in new)


def _test_inputs(laboratory: Laboratory, recipe: Recipe) -> tuple[bytes, ...]:
    """A sample of small files among the project's tests, the same one each time."""
    trees, _ = laboratory.source_tree(recipe, Side.VULNERABLE)
    root = trees.get("", next(iter(trees.values())))
    places = [*_TESTS, *(recipe.tests.copy if recipe.tests is not None else ())]
    found = sorted(
        path
        for path in _files(
            root / place for place in dict.fromkeys(each.rstrip("/") for each in places)
        )
        if 0 < path.stat().st_size <= _LARGEST_INPUT
        and path.suffix.lower()
        not in {".c", ".h", ".cc", ".cpp", ".py", ".js", ".sh", ".txt", ".in"}
    )
    step = max(1, len(found) // MOST_TEST_INPUTS)
    return tuple(path.read_bytes() for path in found[::step][:MOST_TEST_INPUTS])


def _files(places: Iterable[Path]) -> Iterable[Path]:
    count = 0
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else ():
            count += 1
            if count > _MOST_SCANNED:
                return
            if path.is_file() and not path.is_symlink():
                yield path
