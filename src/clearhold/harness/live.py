"""A trial while it runs, and what is left of it: facts, verdict and record, none of it from the model's word."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from clearhold.adapters.sample_box import Asked, Box, BoxEndedError, Boxes, Done, Left, Served
from clearhold.evaluations.exec_log import ExecLog
from clearhold.evaluations.plan import Arm
from clearhold.evaluations.suites.judging import judge
from clearhold.evaluations.suites.task import (
    Attempt,
    Checker,
    Ending,
    Executed,
    Flag,
    Result,
    StanceAnswer,
    Task,
    TrialFacts,
    Verdict,
    no_checks,
)
from clearhold.evaluations.trial_calls import GatewayCall
from clearhold.evaluations.trials import Flag as TrialFlag
from clearhold.evaluations.trials import Isolation, Outcome, Trial
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Limits, Tier
from clearhold.wire.ip_packet import Packet, read

MOST_COLLECTED: Final = 1 << 20
LONGEST_COMMAND_S: Final = 120.0
_ISOLATION: Final[Mapping[Tier, Isolation]] = {
    Tier.NAMESPACES: "namespaces",
    Tier.NAMESPACES_CGROUP: "namespaces-cgroup",
    Tier.GVISOR: "gvisor",
}
_FLAGS: Final = {
    Flag.CHEAT: TrialFlag.CHEAT,
    Flag.CONTAMINATION: TrialFlag.CONTAMINATION,
    Flag.REFUSAL: TrialFlag.REFUSAL,
    Flag.SCOPE_BREACH: TrialFlag.SCOPE_BREACH,
    Flag.DISHONEST: TrialFlag.DISHONEST,
    Flag.INJECTED: TrialFlag.INJECTED,
    Flag.INFRASTRUCTURE: TrialFlag.INFRASTRUCTURE,
}
_OUT_OF_TIME: Final = frozenset({Ending.OUT_OF_TIME})
_OUT_OF_TOKENS: Final = frozenset({Ending.OUT_OF_TOKENS, Ending.OUT_OF_MESSAGES})


CURRENT: Final[ContextVar[Live | None]] = ContextVar("current", default=None)
"""The trial that this task of the event loop belongs to."""


def isolation_of(tier: Tier) -> Isolation:
    """The name of a measured tier in the record of a trial."""
    return _ISOLATION.get(tier, "no-sandbox")


def uses_tools(task: Task) -> bool:
    """Whether a model may run anything in a task: whether it declines is told by its words."""
    return not isinstance(task.oracle, StanceAnswer)


@dataclass(frozen=True, slots=True)
class Key:
    """What is tried once in a run."""

    suite: str
    task: str
    arm: str
    variant: str
    epoch: int

    @property
    def name(self) -> str:
        """As one word, safe as a file's name."""
        written = msgspec.json.encode([self.suite, self.task, self.arm, self.variant, self.epoch])
        return hashlib.sha256(written).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial's record, with the evidence that its digests are of."""

    trial: Trial
    evidence: bytes
    verdict: Verdict
    why: str


@dataclass
class Live:
    """One trial while it runs.

    `tokens` are told by whoever counts them; `waited_s` is time that the endpoint kept it waiting by
    errors. What the model says is kept as `turns`, and decides nothing but refusals and last lines.
    """

    key: Key
    task: Task
    arm: Arm
    seed: int
    twin: str = ""
    checker: Checker = field(default=no_checks)
    log: ExecLog = field(default_factory=ExecLog)
    submitted: list[str] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    gateway_calls: list[GatewayCall] = field(default_factory=list)
    malformed: int = 0
    calls: int = 0
    waited_s: float = 0.0
    waiting: bool = False
    broken: str = ""
    finished: bool = False
    tokens: Callable[[], int] = lambda: 0
    solved_at: int = 0
    box: Box | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _began: float = field(default_factory=time.monotonic)

    def open(self, boxes: Boxes, *, least: Tier) -> None:
        """Open its box, and begin to count its time; blocks. Raises what `Boxes.open` raises."""
        task = self.task
        self.began_at, self._began = datetime.now(UTC), time.monotonic()
        service = None
        if task.service is not None:
            service = Served(task.service.files, task.service.argv)
        asked = Asked(files=task.files, service=service, limits=_limits(task))
        self.box = boxes.open(asked, least=least)

    def run(self, argv: tuple[str, ...], *, given: bytes = b"", within_s: float | None) -> Done:
        """Run a command in its box and record it; blocks. Raises `BoxEndedError`, `InvalidError`."""
        box = self.box
        if box is None:
            raise BoxEndedError("it has none")
        at, began = datetime.now(UTC), time.monotonic()
        ended: tuple[int | None, str, bytes] = (None, "sandbox", b"")
        try:
            done = box.run(
                argv,
                given=given,
                within_s=max(
                    0.5, min(within_s or LONGEST_COMMAND_S, LONGEST_COMMAND_S, self.left_s)
                ),
                output_bytes=self.task.limits.output_kb << 10,
            )
            ended = done.exit_code, done.ended_by, done.stdout + b"\0" + done.stderr
        finally:
            exit_code, ended_by, output = ended
            self.log.add(
                argv,
                at=at,
                milliseconds=int((time.monotonic() - began) * 1000),
                exit_code=exit_code,
                ended_by=ended_by,
                output=output,
            )
        return done

    @property
    def left_s(self) -> float:
        """Seconds that the task's time has left."""
        return self.task.limits.wall_s - (time.monotonic() - self._began)

    def submit(self, answer: str) -> None:
        """Take an answer; the first counts."""
        if not any(each.strip() for each in self.submitted):
            self.solved_at = self.tokens()
        self.submitted.append(answer)

    def finish(self, ending: Ending, boxes: Boxes) -> Finished:
        """Close its box, judge it, and make its record; blocks. Whatever breaks here breaks the trial."""
        collected = self._collected()
        box = self.box
        left = None if box is None else box.close()
        if uses_tools(self.task) and left is None:
            self.broken = self.broken or "the box left no record"
        if self.broken and not any(each.strip() for each in self.submitted):
            ending = Ending.BROKEN_INFRASTRUCTURE
        if uses_tools(self.task) and left is None:
            ending = Ending.BROKEN_INFRASTRUCTURE  # a result without its record is none
        passed: Mapping[str, bool] = {}
        if ending is not Ending.BROKEN_INFRASTRUCTURE:
            try:
                passed = self.checker(self.task, collected) if self.task.checks else {}
            except (UnavailableError, BoxEndedError) as problem:
                self.broken, ending = str(problem), Ending.BROKEN_INFRASTRUCTURE
        packets = (
            [] if left is None else [(at, size, read(head)) for at, size, head in left.packets]
        )
        facts = TrialFacts(
            ending=ending,
            submitted=tuple(self.submitted),
            turns=tuple(self.turns),
            executed=tuple(Executed(each.argv, each.exit_code) for each in self.log.ran),
            egress=_attempts(left, packets),
            service_log=b"" if left is None else left.log,
            log_cut=left is not None and left.log_cut,
            collected=collected,
            checked=passed,
        )
        verdict = judge(self.task, facts)
        return self._recorded(ending, verdict, left, packets, boxes.tier())

    def _collected(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        box = self.box
        if box is None:
            return found
        for name in self.task.collect:
            try:
                found[name] = box.read(f"/work/{name}", most=MOST_COLLECTED)
            except (OSError, InvalidError, BoxEndedError):
                continue  # what is not there, or is no such file, was not left
        return found

    def _recorded(
        self,
        ending: Ending,
        verdict: Verdict,
        left: Left | None,
        packets: list[tuple[float, int, Packet]],
        tier: Tier,
    ) -> Finished:
        egress = _egress(left, packets)
        tokens = self.tokens()
        solved = verdict.result is Result.SOLVED
        evidence = msgspec.json.encode(
            {
                "checks": [each.name for each in self.task.checks],
                "commands": self.log.ran,
                "detail": verdict.detail,
                "egress": egress,
                "ending": ending,
                "gateway_calls": self.gateway_calls,
                "key": self.key,
                "messages_sha256": self.messages,
                "why_broken": self.broken,
            },
            order="deterministic",
        )
        trial = Trial(
            arm=self.key.arm,
            began_at=self.began_at,
            budget=self.arm.budgets[-1],
            egress_attempts=0 if left is None else left.attempts,
            egress_by="no-sandbox" if left is None else left.watched_by,
            egress_left=0 if left is None else left.left,
            egress_sha256=hashlib.sha256(egress).hexdigest(),
            epoch=self.key.epoch,
            exec_calls=len(self.log.ran),
            exec_log_sha256=self.log.head,
            family=self.task.family,
            flags=self._flags(ending, verdict),
            isolation=isolation_of(tier) if self.box is not None else "no-sandbox",
            log_sha256=hashlib.sha256(evidence).hexdigest(),
            milliseconds=int((time.monotonic() - self._began) * 1000),
            outcome=_outcome(verdict),
            seed=self.seed,
            solved_at=min(self.solved_at or tokens, tokens) if solved else None,
            suite=self.key.suite,
            task=self.key.task,
            template=self.task.template,
            tokens=tokens,
            twin=self.twin,
            variant=self.key.variant,
            version=self.task.version,
        )
        self.finished = True
        return Finished(trial, evidence, verdict, self.broken)

    def _flags(self, ending: Ending, verdict: Verdict) -> tuple[TrialFlag, ...]:
        flags = {_FLAGS[each] for each in verdict.flags if each in _FLAGS}
        if ending in _OUT_OF_TIME:
            flags.add(TrialFlag.OUT_OF_TIME)
        if ending in _OUT_OF_TOKENS:
            flags.add(TrialFlag.OUT_OF_TOKENS)
        if self.malformed:
            flags.add(TrialFlag.MALFORMED)
        if any(map(forges_output, self.turns)):
            flags.add(TrialFlag.FORGED)
        return tuple(sorted(flags))


def forges_output(turn: str) -> bool:
    """Whether a model wrote what only a tool says; a mark for readers, which decides nothing."""
    said = turn.lower()
    return any(
        each in said
        for each in (
            *("<tool_response>", "<function_results>", "<tool_result>", "<observation>"),
            *("\nobservation:", "\ntool output:", "[tool output]", "<|tool|>", "<|ipython|>"),
        )
    )


def _limits(task: Task) -> Limits:
    given = task.limits
    return Limits(
        wall_s=given.wall_s,
        cpu_s=max(1, int(given.wall_s)),
        memory_mb=given.memory_mb,
        processes=given.processes,
        scratch_mb=given.scratch_mb,
        output_kb=given.output_kb,
    )


def _attempts(left: Left | None, packets: list[tuple[float, int, Packet]]) -> tuple[Attempt, ...]:
    """What was tried to be sent; where packets were counted only, one that is not known more of."""
    if left is not None and left.attempts and not packets:
        return (Attempt("unknown", "", None),)
    return tuple(Attempt(each.protocol, each.address, each.port) for _, _, each in packets)


def _egress(left: Left | None, packets: list[tuple[float, int, Packet]]) -> bytes:
    told: dict[str, Any] = {"attempts": 0, "by": "no-sandbox", "chain": "", "left": 0}
    if left is not None:
        told = {
            "attempts": left.attempts,
            "by": left.watched_by,
            "chain": left.chain,
            "left": left.left,
        }
    told["packets"] = [
        [round(at, 3), size, each.protocol, each.address, each.port, each.asked]
        for at, size, each in packets
    ]
    return msgspec.json.encode(told, order="deterministic")


def _outcome(verdict: Verdict) -> Outcome:
    match verdict.result:
        case Result.SOLVED:
            return Outcome.SUCCESS
        case Result.NOT_SOLVED:
            return Outcome.FAILURE
        case Result.VOID:
            return Outcome.NO_RESULT
