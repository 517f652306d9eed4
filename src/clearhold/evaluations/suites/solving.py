"""Running a solver's script against a task in the sandbox, as the proof that it can be solved.

The script sees what an agent sees, in the same place. Service and script share one sandbox here, which
keeps strangers out but not one from the other: it is for our own solvers, and the harness, which runs
models, keeps them apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from clearhold.evaluations.suites.task import (
    Checker,
    Ending,
    Executed,
    Task,
    TrialFacts,
    no_checks,
)
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Job, Limits, Sandbox, Tier

EMPTY: Final = "print()\n"
"""The solver that does nothing; no task may be solved by it."""
_WALL: Final = 60.0
_MISSING: Final = 3
_DRIVER: Final = """\
import json, os, shutil, subprocess, sys
MISSING = 3
plan = json.load(open("/in/plan.json"))
for name in plan["files"]:
    place = os.path.join("/work", name)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    shutil.copyfile("/in/work/" + name, place)
missing = [each for each in plan["needs"] if shutil.which(each) is None]
if missing:
    print("missing", *missing)
    sys.exit(MISSING)
service = None
if plan["service"]:
    log = open("/tmp/.log", "w+b")
    service = subprocess.Popen(plan["service"], stdout=subprocess.PIPE, cwd="/service")
    first = service.stdout.readline()
    if first.strip() != b"ready":
        print("no service")
        sys.exit(4)
said = []
for number in range(plan["scripts"]):
    script = open("/in/solver-%d.py" % number, "rb").read()
    try:
        done = subprocess.run(
            ["python3", "-I", "-S", "-"], input=script, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd="/work", timeout=plan["wall"])
        said.append([done.stdout[-60000:].decode("utf-8", "replace"), done.returncode])
    except subprocess.TimeoutExpired:
        said.append(["", None])
    for name in plan["collect"]:
        place = os.path.join("/work", name)
        if os.path.isfile(place):
            os.makedirs("/out/left-%d" % number, exist_ok=True)
            shutil.move(place, "/out/left-%d/%s" % (number, name))
if service:
    service.terminate()
    os.makedirs("/out", exist_ok=True)
    open("/out/service.log", "wb").write(first + service.stdout.read(1 << 20))
print(json.dumps(said))
"""


class CannotRunError(Exception):
    """A task could not be run; says why. `missing` where the sandbox lacks a command it needs."""

    def __init__(self, said: str, *, missing: bool) -> None:
        """What is said, and whether a command is missing."""
        super().__init__(said)
        self.missing = missing


def facts_of(
    sandbox: Sandbox,
    task: Task,
    scripts: Sequence[str],
    *,
    wall_s: float = _WALL,
    checker: Checker = no_checks,
) -> list[TrialFacts]:
    """What each script came to, one after the other beside the same service.

    Raises `CannotRunError` where a command is missing or nothing can be checked, and what the sandbox
    raises.
    """
    plan = {
        "collect": list(task.collect),
        "files": list(task.files),
        "needs": sorted(task.needs),
        "service": list(task.service.argv) if task.service else [],
        "scripts": len(scripts),
        "wall": wall_s,
    }
    files = {
        "/in/plan.json": json.dumps(plan).encode(),
        "/in/driver.py": _DRIVER.encode(),
        **{f"/in/work/{name}": data for name, data in task.files.items()},
        **{f"/in/solver-{number}.py": each.encode() for number, each in enumerate(scripts)},
    }
    if task.service:
        files |= {f"/service/{name}": data for name, data in task.service.files.items()}
    job = Job(
        ("python3", "-I", "-S", "/in/driver.py"),
        files=files,
        limits=Limits(
            wall_s=wall_s * len(scripts) + 10,
            cpu_s=int(wall_s * len(scripts)) + 10,
            memory_mb=task.limits.memory_mb,
            processes=task.limits.processes,
        ),
    )
    outcome = sandbox.run(job, least=Tier.NAMESPACES)
    if outcome.signal is not None and not outcome.timed_out and not outcome.out_of_memory:
        outcome = sandbox.run(job, least=Tier.NAMESPACES)  # something outside the run ended it
    if outcome.exit_code != 0:
        said = (outcome.stdout + outcome.stderr).decode("utf-8", "replace").strip()
        by = "time" if outcome.timed_out else f"signal {outcome.signal}, exit {outcome.exit_code}"
        missing = outcome.exit_code == _MISSING
        raise CannotRunError(f"{task.id}: {said[-500:] or f'ended by {by}'}", missing=missing)
    log = outcome.artefacts.get("service.log", b"")
    left = [
        {
            name: outcome.artefacts[f"left-{number}/{name}"]
            for name in task.collect
            if f"left-{number}/{name}" in outcome.artefacts
        }
        for number in range(len(scripts))
    ]
    try:
        checked = [checker(task, each) if task.checks else {} for each in left]
    except UnavailableError as problem:
        raise CannotRunError(f"{task.id}: {problem.message}", missing=False) from problem
    return [
        TrialFacts(
            ending=Ending.SUBMITTED,
            submitted=tuple(said.strip().splitlines()[-1:]),
            turns=(said,),
            executed=(Executed(("python3", "-I", "-S", "-"), code),),
            service_log=log,
            collected=left[number],
            checked=checked[number],
        )
        for number, (said, code) in enumerate(json.loads(outcome.stdout))
    ]
