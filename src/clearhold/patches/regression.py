"""The regression test of a fix: one that fails without it and passes with it.

A candidate may bring tests of its own, which are run with and without the fix. Where it brings none,
a test is made from a proof and the recipe's driver, and run in the same way before it is offered.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from string import Template
from typing import Any, Final

from clearhold.kernel.errors import ClearholdError
from clearhold.ports.sandbox import Job
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.diff import Diff
from clearhold.validation.oracles import oracle
from clearhold.validation.recipe import Flavour, Recipe, Target
from clearhold.validation.reproduce import invocation
from clearhold.validation.suite import run_suite

LARGEST_PROOF: Final = 16 * 1024
_LARGEST_TEST: Final = 128 * 1024
_PROGRAMS: Final = frozenset({"address", "undefined", "leak", "memory", "assertion", "exhaustion"})
_DEMAND: Final = (
    "No regression test was brought, and none could be made: its maintainer should ask for one."
)

_SHELL: Final = Template(
    """\
#!/bin/sh
# Regression test: the input below must not make the program fail.
# $summary
# Build the project with $flavour instrumentation, and give the command that reads the input's file
# as arguments; without any it is the recipe's.
set -u
input=$$(mktemp)
printed=$$(mktemp)
trap 'rm -f "$$input" "$$printed"' EXIT
base64 -d >"$$input" <<'END'
$proof
END
# PRELOAD names the sanitizer's runtime for an interpreter that was not built with it.
[ $$# -gt 0 ] || set -- $command
LD_PRELOAD=$${PRELOAD:-} "$$@" "$$input" >"$$printed" 2>&1
status=$$?
if [ $$status -ge 128 ] || grep -qE 'ERROR: [A-Za-z]+Sanitizer|runtime error:|Assertion .*failed' "$$printed"; then
  cat "$$printed"
  echo "the input makes the program fail" >&2
  exit 1
fi
"""
)
_PYTHON: Final = Template(
    '''\
"""Regression test: the input below must not show the flaw.

$summary
"""

import base64
import os
import pathlib
import subprocess
import sys
import tempfile
import time

INPUT = base64.b64decode("""
$proof
""")
DRIVER = $driver
WATCH = $watch


def seen(given, limit=60):
    """What the driver prints and leaves when it is given an input, or how it ends."""
    with tempfile.TemporaryDirectory() as place:
        here = pathlib.Path(place)
        (here / "input").write_bytes(given)
        (here / "driver.py").write_text(WATCH + DRIVER)
        program = here / "clearhold-canary"
        program.write_text("#!/bin/sh\\necho > " + str(here / "sprung") + "\\n")
        program.chmod(0o755)
        env = dict(os.environ, PATH=place + ":" + os.environ.get("PATH", "/usr/bin:/bin"))
        env["CLEARHOLD_SPRUNG"] = str(here / "sprung")
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-s", str(here / "driver.py"), str(here / "input")],
            env=env, capture_output=True, timeout=limit, cwd=place,
        )
        return ended.returncode, (here / "sprung").exists(), time.monotonic() - began


def test_regression():
$check


if __name__ == "__main__":
    test_regression()
'''
)
_NODE: Final = Template(
    """\
"use strict";
// Regression test: the input below must not show the flaw.
// $summary
// PACKAGE names the package's directory; without it, the one above this file's.

const assert = require("node:assert");
const {spawnSync} = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const INPUT = Buffer.from(`
$proof
`, "base64");
const PACKAGE = process.env.PACKAGE || path.resolve(__dirname, "..");
const DRIVER = $driver;
const WATCH = $watch;

function seen(given) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), "regression-"));
  try {
    const named = (name) => path.join(place, name);
    fs.writeFileSync(named("input"), given);
    const code = WATCH + DRIVER.replaceAll("/build/package", PACKAGE);
    fs.writeFileSync(named("driver.cjs"), code);
    fs.writeFileSync(named("clearhold-canary"), `#!/bin/sh\\necho > $${named("sprung")}\\n`, {mode: 0o755});
    const began = Date.now();
    const ended = spawnSync(process.execPath, [named("driver.cjs"), named("input")], {
      env: {...process.env, PATH: `$${place}:$${process.env.PATH || "/usr/bin:/bin"}`, CLEARHOLD_SPRUNG: named("sprung")},
      timeout: 60000,
    });
    return {status: ended.status, sprung: fs.existsSync(named("sprung")), seconds: (Date.now() - began) / 1000};
  } finally {
    fs.rmSync(place, {recursive: true, force: true});
  }
}

$check
"""
)
_GROWTH_PYTHON: Final = """\
    import json
    said = json.loads(INPUT)

    def taken(size):
        parts = [said.get(name, "") for name in ("prefix", "middle", "closing", "suffix")]
        text = parts[0] + said["pump"] * size + parts[1] + parts[2] * size + parts[3]
        try:
            return seen(text.encode())[2]
        except subprocess.TimeoutExpired:
            return 60.0

    nothing, quarter, whole = taken(0), taken(said["largest"] // 4), taken(said["largest"])
    slow = whole - nothing > 1 and whole - nothing > 8 * max(quarter - nothing, 0.02)
    assert not slow, "the time grows faster than the input"
"""
_GROWTH_NODE: Final = """\
const said = JSON.parse(INPUT);
const part = (name) => said[name] || "";
const taken = (size) =>
  seen(part("prefix") + said.pump.repeat(size) + part("middle") + part("closing").repeat(size) + part("suffix")).seconds;
const [nothing, quarter, whole] = [taken(0), taken(said.largest >> 2), taken(said.largest)];
const slow = whole - nothing > 1 && whole - nothing > 8 * Math.max(quarter - nothing, 0.02);
assert(!slow, "the time grows faster than the input");
"""
_SPRUNG_PYTHON: Final = """\
    assert not seen(INPUT)[1], "the input has code of its own run"
"""
_SPRUNG_NODE: Final = """\
assert(!seen(INPUT).sprung, "the input reaches what it must not");
"""
_HANG_PYTHON: Final = """\
    try:
        seen(INPUT, limit=$limit)
    except subprocess.TimeoutExpired:
        raise AssertionError("the input is not done with in $limit seconds") from None
"""
_WATCH_EVAL_PYTHON: Final = """\
import builtins, os as _os
builtins.clearhold_canary = lambda *_: open(_os.environ["CLEARHOLD_SPRUNG"], "w").close()
"""
_WATCH_EVAL_NODE: Final = """\
globalThis.clearhold_canary = () => require("node:fs").writeFileSync(process.env.CLEARHOLD_SPRUNG, "");
"""
_WATCH_POLLUTION: Final = """\
{
  const bases = [Object.prototype, Array.prototype, Function.prototype, String.prototype];
  const names = () => JSON.stringify(bases.map((each) => Reflect.ownKeys(each).map(String)));
  const {writeFileSync} = require("node:fs");
  const before = names();
  process.on("exit", () => names() !== before && writeFileSync(process.env.CLEARHOLD_SPRUNG, ""));
}
"""
_WATCHES: Final = {
    ("python", "eval"): (_WATCH_EVAL_PYTHON, _SPRUNG_PYTHON),
    ("python", "command"): ("", _SPRUNG_PYTHON),
    ("python", "complexity"): ("", _GROWTH_PYTHON),
    ("python", "hang"): ("", _HANG_PYTHON),
    ("node", "eval"): (_WATCH_EVAL_NODE, _SPRUNG_NODE),
    ("node", "command"): ("", _SPRUNG_NODE),
    ("node", "pollution"): (_WATCH_POLLUTION, _SPRUNG_NODE),
    ("node", "complexity"): ("", _GROWTH_NODE),
}


@dataclass(frozen=True, slots=True)
class Regression:
    """A regression test: where it comes from, its file, and what it did without and with the fix.

    `gap` says in words what is left to do, empty when there is a test that tells the two apart.
    """

    origin: str
    name: str = ""
    content: str = field(default="", repr=False)
    fails_without: bool = False
    passes_with: bool = False
    names: tuple[str, ...] = ()
    gap: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """For the verdict."""
        return {
            "origin": self.origin,
            "name": self.name,
            "content": self.content,
            "fails_without": self.fails_without,
            "passes_with": self.passes_with,
            "names": list(self.names),
        }


NONE: Final = Regression("none", gap=_DEMAND)

Builds = tuple[Callable[[Flavour], Build], Callable[[Flavour], Build]]
"""The builds without and with the fix, by flavour."""


def judged(
    laboratory: Laboratory,
    recipe: Recipe,
    builds: Builds,
    proofs: Sequence[tuple[str, bytes]],
    *,
    brought: Diff | None,
) -> Regression:
    """The test that was brought, run without and with the fix, else one that was made and run so.

    Raises what the laboratory raises when it cannot work at all.
    """
    if brought is not None:
        return _brought(laboratory, recipe, builds, brought)
    for target, proof in proofs:
        made = make(recipe, target, proof)
        if made is None:
            continue
        flavour = recipe.target(target).flavour
        without, with_fix = (_passes(laboratory, build(flavour), target, made) for build in builds)
        if not without and with_fix:
            return replace(made, fails_without=True, passes_with=True)
    return NONE


def make(recipe: Recipe, target: str, proof: bytes) -> Regression | None:
    """A test from a proof and the recipe's driver; None for a kind of flaw that it cannot show."""
    chosen = recipe.target(target)
    if len(proof) > LARGEST_PROOF:
        return None
    shared = {"summary": chosen.summary.replace("\n", " "), "proof": _wrapped(proof)}
    if chosen.oracle in _PROGRAMS:
        if chosen.argv[-1] != "/in/proof" or "/in/proof" in chosen.argv[:-1]:
            return None
        command = shlex.join(chosen.argv[:-1])
        text = _SHELL.substitute(shared, flavour=chosen.flavour, command=command)
        return Regression("made", "regression.sh", text)
    watch = _WATCHES.get((chosen.host, chosen.oracle))
    driver = _driver(recipe, chosen)
    if watch is None or driver is None or len(chosen.argv) > 4:
        return None
    prelude, check = watch
    check = check.replace("$limit", str(round(recipe.limits.run_s * 2)))
    if chosen.host == "python":
        text = _PYTHON.substitute(
            shared, driver=repr(_plain(driver)), watch=repr(prelude), check=check.rstrip()
        )
        return Regression("made", "test_regression.py", text)
    text = _NODE.substitute(
        shared, driver=_literal(driver), watch=_literal(prelude), check=check.rstrip()
    )
    return Regression("made", "regression.test.cjs", text)


def _brought(laboratory: Laboratory, recipe: Recipe, builds: Builds, added: Diff) -> Regression:
    """Tests that came with the candidate: which of them fail without the fix and pass with it."""
    tests = recipe.tests
    if tests is None:
        return NONE
    words = " ".join(tests.argv)
    by_name = "pytest" in words or "--test" in tests.argv
    more = [f"/work/{path}" for path in added.touched if by_name and f"/work/{path}" not in words]
    try:
        known = run_suite(laboratory, builds[0](tests.flavour))
        runs = [
            run_suite(laboratory, build(tests.flavour), added=added.canonical, more=more)
            for build in builds
        ]
    except ClearholdError as error:
        return Regression(
            "brought", gap=f"The tests that came with it could not be run: {error.message}"
        )
    telling = tuple(
        sorted(
            name
            for name in runs[1].passed - known.passed
            if runs[0].of(name) in {"failed", "missing"}
        )
    )
    new = (runs[1].passed | runs[1].failed) - known.passed - known.failed
    failing = sorted(name for name in telling if runs[0].of(name) == "failed")
    gap = ""
    if not new:
        gap = "The tests that came with it were not run by the recipe's command."
    elif not failing:
        gap = "None of the tests that came with it fails without the fix and passes with it."
    return Regression(
        "brought",
        ", ".join(added.touched)[:200],
        fails_without=bool(failing),
        passes_with=bool(failing),
        names=tuple(failing[:20]),
        gap=gap,
    )


def _passes(laboratory: Laboratory, build: Build, target: str, made: Regression) -> bool:
    """Whether a test that was made passes on a build."""
    how = invocation(build, target)
    place = f"/in/{made.name}"
    program = {"sh": "/bin/sh", "py": "/usr/bin/python3", "cjs": "/usr/bin/node"}
    chosen = build.recipe.target(target)
    limits = replace(how.limits, wall_s=how.limits.wall_s * 8, cpu_s=how.limits.cpu_s * 8)
    job = Job(
        argv=(program[PurePosixPath(made.name).suffix[1:]], place),
        trees={"/build": build.directory},
        files={
            **build.recipe.mounted,
            place: made.content.encode(),
        },
        env={
            "PATH": "/usr/bin:/bin",
            "PACKAGE": "/build/package",
            "TMPDIR": "/work",
            **{"PRELOAD" if name == "LD_PRELOAD" else name: each for name, each in how.env.items()},
        },
        limits=limits,
    )
    if chosen.oracle in _PROGRAMS:
        job = oracle(chosen.oracle).prepare(job, chosen.host)
    outcome = laboratory.run(job)
    return outcome.exit_code == 0


def _driver(recipe: Recipe, target: Target) -> str | None:
    """The source of the recipe's driver, where it is one file."""
    named = [word.removeprefix("/recipe/") for word in target.argv if word.startswith("/recipe/")]
    if len(named) != 1 or len(recipe.files.get(named[0], b"")) > _LARGEST_TEST:
        return None
    return recipe.files[named[0]].decode("utf-8", "replace")


def _plain(driver: str) -> str:
    """A Python driver without what must be the first statement of a file."""
    return driver.replace("from __future__ import annotations\n", "")


def _literal(text: str) -> str:
    """A JavaScript template literal of any text."""
    escaped = text.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    return f"`{escaped}`"


def _wrapped(proof: bytes) -> str:
    encoded = base64.b64encode(proof).decode()
    return "\n".join(encoded[at : at + 76] for at in range(0, max(len(encoded), 1), 76))
