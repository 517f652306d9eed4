"""A run: the trials of a registered plan, and nothing else, against one endpoint."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from inspect_ai import Task as InspectTask
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import Model

from clearhold.adapters.sample_box import Boxes
from clearhold.evaluations.isolation import VariantKind, demand
from clearhold.evaluations.plan import Arm, Registered
from clearhold.evaluations.suites.draw import TRIAL_BYTES
from clearhold.evaluations.suites.task import Checker, Ending, no_checks
from clearhold.evaluations.trials import Outcome
from clearhold.harness.agent import PROMPTS, as_judged, tried
from clearhold.harness.journal import Journal, counts
from clearhold.harness.live import (
    Finished,
    Key,
    Live,
    isolation_of,
    uses_tools,
)
from clearhold.harness.provided import Provided
from clearhold.harness.redaction import redact
from clearhold.harness.sandbox import DESK, TRIAL
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Tier

HARNESS: Final = "clearhold"
BROKEN_IN_A_ROW: Final = 3
"""After so many trials in a row that the endpoint broke, a run stops: there is nothing to learn."""
_PATH: Final = "/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is run: a registered plan, its suites by name, the models of its variants, what they are.

    `called` is the name under which the engagement knows the model; without one it is as its endpoint
    has it.
    """

    plan: Registered
    suites: Mapping[str, Provided]
    models: Mapping[str, Model] = field(repr=False)
    kind: VariantKind
    at_once: int = 4
    checker: Checker = no_checks
    called: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run stands: outcomes by name, trials left to do, why it stopped, the logs it wrote."""

    outcomes: Mapping[str, int]
    left: int
    stopped: str
    logs: tuple[Path, ...]


def run(wanted: Wanted, folder: Path, boxes: Boxes) -> Ran:
    """Do what a plan still lacks; may be called again after whatever ended the last call.

    The plan's bytes and digest are in the folder before the first call. Raises `InvalidError` for
    suites or arms that are not the plan's, `UnavailableError` where isolation or programs are lacking,
    and `ConflictError` when the folder is of another run or another worker is at it.
    """
    check(wanted, boxes)
    with Journal(folder) as journal:
        journal.fix("plan.json", wanted.plan.content)
        journal.fix("run.json", _about(wanted))
        todo = [each for each in keys(wanted) if not journal.is_done(each)]
        logs: list[Path] = []
        stopped = ""
        for arm in wanted.plan.plan.arms:
            mine = [each for each in todo if (each.arm, each.variant) == (arm.name, arm.variant)]
            at = _Round(wanted, arm, journal, boxes)
            open_ = [each for each in mine if not at.give_up(each)]
            if open_ and not stopped:
                logs += at.carry_out(open_)
                stopped = at.stopped
        left = sum(not journal.is_done(each) for each in keys(wanted))
        return Ran(counts(journal.trials), left, stopped, tuple(logs))


def keys(wanted: Wanted) -> Iterator[Key]:
    """Every trial of a plan, in the order they are run."""
    for arm in wanted.plan.plan.arms:
        for suite in wanted.plan.plan.suites:
            for entry in wanted.suites[suite.name].suite.entries:
                for epoch in range(arm.epochs):
                    yield Key(suite.name, entry.name, arm.name, arm.variant, epoch)


def check(wanted: Wanted, boxes: Boxes) -> None:
    """Refuse what is not the plan, or what cannot be run here, before any call."""
    plan = wanted.plan.plan
    faults = []
    for suite in plan.suites:
        given = wanted.suites.get(suite.name)
        if given is None:
            faults.append(f"suite {suite.name!r} was not given")
        elif given.commitment != suite.commitment:
            faults.append(f"suite {suite.name!r} is not the one that was committed to")
        elif (len(given.suite.entries), given.suite.templates) != (suite.tasks, suite.templates):
            faults.append(f"suite {suite.name!r} has other tasks than planned")
    planned = {each.name for each in plan.suites}
    faults += [f"suite {each!r} is not planned" for each in wanted.suites if each not in planned]
    faults += [
        f"no arm is known as {each.name!r}" for each in plan.arms if each.name not in PROMPTS
    ]
    variants = {each.variant for each in plan.arms}
    faults += [f"variant {each!r} has no endpoint" for each in variants - wanted.models.keys()]
    if faults:
        raise InvalidError(f"This is not what the plan says: {'; '.join(sorted(faults))}.")
    tools, needed = False, set[str]()
    # One task at a time: all of them together are as large as everything they hold.
    for task in (task for each in wanted.suites.values() for task in each.suite.tasks()):
        if task.checks and wanted.checker is no_checks:
            raise UnavailableError(
                "Tasks of this plan have checks, which this run has nobody to make."
            )
        tools = tools or uses_tools(task)
        needed |= task.needs
    demand(wanted.kind, given=isolation_of(boxes.tier()), tools=tools)
    if tools and boxes.tier() is Tier.NONE:
        raise UnavailableError(
            "This machine gives no sandbox.", next_step="Run `clearhold doctor`."
        )
    missing = sorted(each for each in needed if shutil.which(each, path=_PATH) is None)
    if missing:
        raise UnavailableError(
            f"Tasks of this plan need what this machine lacks: {', '.join(missing)}.",
            next_step="Install it below /usr, or plan suites without it.",
        )


class _Round:
    """The trials of one arm that are still to be done, as one evaluation of Inspect's."""

    def __init__(self, wanted: Wanted, arm: Arm, journal: Journal, boxes: Boxes) -> None:
        self._wanted, self._arm, self._journal, self._boxes = wanted, arm, journal, boxes
        self._in_a_row = 0
        self._kept: set[str] = set()
        self.stopped = ""

    def give_up(self, key: Key) -> bool:
        """Record a trial as broken that was begun too often and never ended; whether it was."""
        if not self._journal.is_spent(key):
            return False
        trial = self._live(key)
        trial.broken = "it was begun as often as may be, and its worker was ended each time"
        self._journal.keep(trial.finish(Ending.BROKEN_INFRASTRUCTURE, self._boxes))
        return True

    def carry_out(self, mine: list[Key]) -> list[Path]:
        """Run them; the logs without what is sealed."""
        todo = {key.name: key for key in mine}
        DESK.use(
            self._boxes,
            least=Tier.NAMESPACES,
            before=lambda trial: self._journal.began(trial.key),
            make=lambda name: self._made(todo[name]) if name in todo else None,
        )
        dataset = MemoryDataset([_sample(key) for key in mine])
        name = re.sub(r"[^A-Za-z0-9_-]", "-", f"{self._arm.name}-{self._arm.variant}")[:60]
        task = InspectTask(
            dataset=dataset,
            solver=tried(self._keep),
            scorer=as_judged(),
            sandbox="clearhold",
            name=name,
        )
        private = self._journal.folder / "private"
        shutil.rmtree(private, ignore_errors=True)
        private.mkdir(mode=0o700)
        try:
            found = self._evaluated(task, private)
            for log in found:
                self._bury(log, todo)
            return [redact(each, self._journal.folder / "logs") for each in private.glob("*.eval")]
        finally:
            shutil.rmtree(private, ignore_errors=True)
            DESK.clear()

    def _live(self, key: Key) -> Live:
        trial = secrets.token_bytes(TRIAL_BYTES)
        task = self._wanted.suites[key.suite].suite.task(key.task, trial)
        drawn = hashlib.sha256(f"{self._wanted.plan.sha256}:{key.name}".encode()).digest()
        seed = int.from_bytes(drawn[:8], "big")
        twin = self._wanted.suites[key.suite].suite.entry(key.task).twin
        return Live(key, task, self._arm, seed, twin, self._wanted.checker)

    def _made(self, key: Key) -> Live:
        """A trial to begin, unless the endpoint is given up."""
        if self.stopped:
            raise UnavailableError(self.stopped)
        return self._live(key)

    def _keep(self, finished: Finished) -> None:
        self._journal.keep(finished)
        self._kept.add(Key(*finished.trial.key).name)
        broke = finished.trial.outcome is Outcome.NO_RESULT
        self._in_a_row = self._in_a_row + 1 if broke else 0
        if self._in_a_row >= BROKEN_IN_A_ROW:
            self.stopped = (
                f"{self._in_a_row} trials in a row had no result; the last because: {finished.why}"
            )

    def _bury(self, log: EvalLog, todo: Mapping[str, Key]) -> None:
        """Record trials that broke before or beside their agent, which nobody else has recorded."""
        for sample in log.samples or []:
            key = todo[str(sample.id)]
            if sample.error is None or self.stopped or key.name in self._kept:
                continue
            trial = DESK.take(key.name) or self._live(key)
            if trial.finished:
                continue
            trial.broken = sample.error.message[:500] or "the harness broke"
            self._keep(trial.finish(Ending.BROKEN_INFRASTRUCTURE, self._boxes))

    def _evaluated(self, task: InspectTask, private: Path) -> list[EvalLog]:
        return inspect_eval(
            task,
            model=self._wanted.models[self._arm.variant],
            log_dir=str(private),
            log_format="eval",
            log_realtime=False,
            log_model_api=False,
            display="none",
            log_level="error",
            fail_on_error=False,
            # And no max_sandboxes: with it each sample waits up to a second for those of other tasks.
            max_samples=self._wanted.at_once,
            acp_server=False,
            ctl_server=False,
            score_display=False,
        )


def _sample(key: Key) -> Sample:
    # What is asked is given when the trial begins: a log's list of samples would show it.
    return Sample(input="(sealed until the trial)", id=key.name, metadata={TRIAL: key.name})


def _about(wanted: Wanted) -> bytes:
    names = sorted({str(each) for each in wanted.models.values()})
    about = {
        "engagement": wanted.plan.plan.engagement,
        "harness": f"{HARNESS} {version(HARNESS)}, inspect-ai {version('inspect-ai')}",
        "kind": wanted.kind.value,
        "model": wanted.called or ", ".join(names)[:200],
        "plan_sha256": wanted.plan.sha256,
    }
    return msgspec.json.encode(about, order="deterministic")
