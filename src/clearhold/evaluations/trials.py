"""What one trial of one task left behind, as the harness writes it and estimates read it.

A run is one canonical JSON document: whoever has the bytes has their SHA-256, and the report names
that. Contents are not in it (no prompt, answer or flag); logs are named by digests. The bytes come
from another machine and are read as a stranger's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

import msgspec

from clearhold.kernel.errors import InvalidError
from clearhold.wire import json_bounds

FORMAT: Final = "clearhold-trials/1"
LARGEST: Final = 64 * 1024 * 1024
MOST_TRIALS: Final = 100_000
MOST_COUNT: Final = 10**12
"""The most of tokens, calls or packets that a trial may tell of."""
_LONGEST_NAME: Final = 200
_UTC: Final = timedelta(0)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Outcome(StrEnum):
    """Whether the task's oracle saw what was asked; `NO_RESULT` when the trial broke, not the model."""

    SUCCESS = "success"
    FAILURE = "failure"
    NO_RESULT = "no-result"


class Flag(StrEnum):
    """What else is to be known of a trial; none of them alone decides its outcome.

    `CHEAT`: the answer did not come the way the task is about, so a success shows what a model does
    and not what it can do. `CONTAMINATION`: signs that the task was known. `REFUSAL`: the model
    declined. `SCOPE_BREACH`: it went for what it was told to leave alone. `INFRASTRUCTURE`: endpoint
    or sandbox failed, which is no failure of the model. `OUT_OF_TOKENS`, `OUT_OF_TIME`: a limit ended
    it. `MALFORMED`: calls of tools that could not be read. `FORGED`: it wrote output of tools itself.
    `DISHONEST`: it claimed what its record disproves. `INJECTED`: it did what a document told it.
    """

    CHEAT = "cheat"
    CONTAMINATION = "contamination"
    REFUSAL = "refusal"
    SCOPE_BREACH = "scope-breach"
    INFRASTRUCTURE = "infrastructure"
    OUT_OF_TOKENS = "out-of-tokens"
    OUT_OF_TIME = "out-of-time"
    MALFORMED = "malformed"
    FORGED = "forged"
    DISHONEST = "dishonest"
    INJECTED = "injected"


Isolation = Literal["namespaces", "namespaces-cgroup", "gvisor", "virtual-machine", "no-sandbox"]
"""Where the agent's commands ran; `no-sandbox` only for tasks without tools."""


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One trial: which task, in which arm, with what result, under which isolation.

    `epoch` counts from 0. `budget` is the limit of tokens, `tokens` what was spent, `solved_at` what
    had been spent when it succeeded (None if it did not). `exec_log_sha256` is of the harness's own
    record of the `exec_calls` commands that really ran, `egress_sha256` of the record of attempted
    packets: `egress_attempts` of them, of which `egress_left` left; `egress_by` names how they were
    watched. `log_sha256` is of the harness's log, or empty. `twin` names the public task that this
    sealed one repeats in other words, or is empty. Digests are SHA-256 in hexadecimal.
    """

    arm: str
    began_at: datetime
    budget: int
    egress_attempts: int
    egress_by: str
    egress_left: int
    egress_sha256: str
    epoch: int
    exec_calls: int
    exec_log_sha256: str
    family: str
    flags: tuple[Flag, ...]
    isolation: Isolation
    log_sha256: str
    milliseconds: int
    outcome: Outcome
    seed: int
    solved_at: int | None
    suite: str
    task: str
    template: str
    tokens: int
    twin: str
    variant: str
    version: int

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What is tried once in a run: suite, task, arm, variant, epoch."""
        return self.suite, self.task, self.arm, self.variant, self.epoch


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The trials of one plan so far, in the order of their keys; `model` is the name it is tested by."""

    engagement: str
    format: Literal["clearhold-trials/1"]
    harness: str
    model: str
    plan_sha256: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run with its canonical bytes and their SHA-256."""

    run: Run
    content: bytes
    sha256: str


def record(
    trials: Iterable[Trial], *, engagement: str, plan_sha256: str, model: str, harness: str
) -> RecordedRun:
    """Fix the bytes of a run; `harness` is name and version of what ran it.

    Raises `InvalidError`, naming everything, for trials that cannot be.
    """
    ordered = tuple(sorted((_plain(each) for each in trials), key=lambda each: each.key))
    run = Run(
        engagement=engagement,
        format=FORMAT,
        harness=harness,
        model=model,
        plan_sha256=plan_sha256,
        trials=ordered,
    )
    return _checked(run)


def read(content: bytes) -> RecordedRun:
    """A run from its canonical bytes. Raises `InvalidError` for any others."""
    limits = json_bounds.Limits(size=LARGEST, depth=8)
    run = json_bounds.decode(content, Run, limits=limits, what="trials")
    found = _checked(run)
    if found.content != content:
        raise InvalidError("The trials are not in their canonical form.")
    return found


def write_one(trial: Trial) -> bytes:
    """One trial as a line, for a harness that keeps each as soon as it is done."""
    return msgspec.json.encode(_plain(trial), order="deterministic") + b"\n"


def read_one(line: bytes) -> Trial:
    """One trial from its line. Raises `InvalidError`."""
    found = json_bounds.decode(line, Trial, limits=json_bounds.Limits(64 * 1024, 4), what="trial")
    faults = [said for stands, said in _of(found) if not stands]
    if faults:
        raise InvalidError(f"This is no trial: {'; '.join(faults)}.")
    return found


def _plain(trial: Trial) -> Trial:
    if trial.began_at.tzinfo is None:
        raise InvalidError("A trial begins at an instant with its zone.")
    return msgspec.structs.replace(
        trial, began_at=trial.began_at.astimezone(UTC), flags=tuple(sorted(set(trial.flags)))
    )


def _checked(run: Run) -> RecordedRun:
    names = (run.engagement, run.model, run.harness)
    faults = [] if all(map(_one_line, names)) else ["a name of the run is not one line"]
    if not _SHA256.fullmatch(run.plan_sha256):
        faults.append("it names no plan")
    if len(run.trials) > MOST_TRIALS:
        faults.append(f"it has more than {MOST_TRIALS} trials")
    if any(one.key >= two.key for one, two in zip(run.trials, run.trials[1:], strict=False)):
        faults.append("its trials are not in their order, or one is there twice")
    for each in run.trials:
        wrong = [said for stands, said in _of(each) if not stands]
        faults += [f"trial {each.epoch} of {each.task[:60]!r}: {said}" for said in wrong]
        if len(faults) > 10:
            break
    if faults:
        raise InvalidError(f"These are no trials of a plan: {'; '.join(faults)}.")
    content = msgspec.json.encode(run, order="deterministic")
    if len(content) > LARGEST:
        raise InvalidError(f"The trials of a run have at most {LARGEST} bytes.")
    return RecordedRun(run, content, hashlib.sha256(content).hexdigest())


def _of(each: Trial) -> Iterator[tuple[bool, str]]:
    names = (each.arm, each.egress_by, each.family, each.suite, each.task, each.template)
    yield all(map(_one_line, (*names, each.variant))), "a name is not one line"
    yield not each.twin or _one_line(each.twin), "its twin's name is not one line"
    digests = (each.exec_log_sha256, each.egress_sha256)
    yield all(map(_SHA256.fullmatch, digests)), "it has no record of commands, or none of packets"
    yield not each.log_sha256 or bool(_SHA256.fullmatch(each.log_sha256)), "its log has no digest"
    counts = (each.tokens, each.exec_calls, each.egress_attempts, each.epoch, each.milliseconds)
    yield all(0 <= count <= MOST_COUNT for count in counts), "a count cannot be"
    yield 0 <= each.egress_left <= each.egress_attempts, "more left than was attempted"
    yield (
        0 < each.budget <= MOST_COUNT and 0 < each.version < 1 << 32,
        "it has no budget or version",
    )
    yield 0 <= each.seed < 1 << 64, "its seed is not of 64 bits"
    yield each.began_at.utcoffset() == _UTC, "it begins at no instant in UTC"
    yield tuple(sorted(set(each.flags))) == each.flags, "its flags are not in order, each once"
    solved = each.outcome is Outcome.SUCCESS
    yield solved == (each.solved_at is not None), "it succeeded without saying when, or not"
    yield each.solved_at is None or 0 <= each.solved_at <= each.tokens, "it succeeded after its end"
    broke = Flag.INFRASTRUCTURE in each.flags
    yield broke == (each.outcome is Outcome.NO_RESULT), "what broke has no result, and nothing else"


def _one_line(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable()
