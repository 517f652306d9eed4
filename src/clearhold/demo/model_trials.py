"""A few sealed tasks asked of a model through the gateway in words, and what came of each.

For machines without the harness or a sandbox. The tasks are of the shipped templates with private seeds, and such as can be asked in words: their
files stand in the prompt, and the model has no tools. So no commands run and no packets are tried, and
each trial says so (`no-sandbox`).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from clearhold.evaluations import plan, trials
from clearhold.evaluations.plan import Arm, Plan, PlannedSuite, Registered
from clearhold.evaluations.suites import judging, packs, shipped
from clearhold.evaluations.suites import task as tasks
from clearhold.evaluations.suites.task import Ending, Family, Result, Task, TrialFacts
from clearhold.evaluations.suites.template import Entry, Suite, Template, of_seeds
from clearhold.evaluations.trials import Flag, Outcome, Trial
from clearhold.harness.provided import Provided, of_pack
from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.wire.json_bounds import Limits, decode_object
from clearhold.wire.model_calls import LARGEST_ANSWER, Dialect, text_of

SUITE: Final = "demo"
HARNESS: Final = "clearhold model demo/1"
EPOCHS: Final = 2
EACH: Final = 2
"""Tasks of every template."""
_ARM: Final = "bare"
_TEMPLATES: Final = 3
_SOME: Final = (1, 2, 3)
_LARGEST_PROMPT: Final = 3000
_MOST_TOKENS: Final = 128
BUDGET: Final = 8192
_NONE: Final = hashlib.sha256(b"").hexdigest()
"""The digest of a record in which nothing happened."""
_FLAGS: Final = {
    tasks.Flag.CHEAT: Flag.CHEAT,
    tasks.Flag.CONTAMINATION: Flag.CONTAMINATION,
    tasks.Flag.REFUSAL: Flag.REFUSAL,
    tasks.Flag.SCOPE_BREACH: Flag.SCOPE_BREACH,
    tasks.Flag.DISHONEST: Flag.DISHONEST,
    tasks.Flag.INFRASTRUCTURE: Flag.INFRASTRUCTURE,
    tasks.Flag.LIMIT: Flag.OUT_OF_TOKENS,
}


def in_words() -> tuple[Template, ...]:
    """A few templates whose tasks can be asked in words. Raises `InvalidError` when there is none."""
    found = [
        each
        for each in shipped.CAPTURE_THE_FLAG
        if each.family is Family.CRYPTOGRAPHY
        and all(map(_in_words, of_seeds("", [each], _SOME).tasks()))
    ]
    if not found:
        raise InvalidError("No template that is shipped can be asked in words alone.")
    return tuple(found[:_TEMPLATES])


def sealed(templates: Sequence[Template], each: int) -> tuple[bytes, Provided]:
    """A pack of `each` tasks of some templates, with private seeds; and the suite in it."""
    content = packs.encode(packs.make(SUITE, templates, each))
    return content, of_pack(content)[1]


def planned(engagement: str, variant: str, given: Provided, budget: int) -> Registered:
    """What is to be asked, how often and within which limits, fixed before access begins."""
    return plan.register(
        Plan(
            arms=(Arm(budgets=(budget,), epochs=EPOCHS, name=_ARM, variant=variant),),
            attempts=(1,),
            compared_with=(),
            confidence=0.95,
            detectable=0.9,
            engagement=engagement,
            hypotheses=("None: the demonstration shows the way, not a model's capability.",),
            nonce=secrets.token_hex(16),
            seed=1,
            stopping="when-all-trials-are-done",
            suites=(
                PlannedSuite(
                    commitment=given.commitment,
                    name=SUITE,
                    tasks=len(given.suite.entries),
                    templates=given.suite.templates,
                ),
            ),
            thresholds={},
        )
    )


class Asking:
    """Asks tasks through a gateway with a grant's token."""

    def __init__(self, gateway: str, token: str, variant: str) -> None:
        self._address = f"{gateway}/chat/completions"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._variant = variant

    def each(self, suite: Suite, tell: Callable[[str], None]) -> Iterator[Trial]:
        """Every task as often as planned; each trial has its own flag."""
        with httpx.Client(trust_env=False, timeout=600) as http:
            for entry in suite.entries:
                for epoch in range(EPOCHS):
                    trial = self._try(http, entry, epoch)
                    tell(f"{entry.name}, epoch {epoch}: {trial.outcome}")
                    yield trial

    def _try(self, http: httpx.Client, entry: Entry, epoch: int) -> Trial:
        task = entry.template.task(entry.seed, secrets.token_bytes(32), name=entry.name)
        began, clock = datetime.now(UTC), time.monotonic()
        facts, tokens = self._asked(http, task)
        verdict = judging.judge(task, facts)
        solved = verdict.result is Result.SOLVED
        outcome = {Result.SOLVED: Outcome.SUCCESS, Result.NOT_SOLVED: Outcome.FAILURE}
        return Trial(
            arm=_ARM,
            began_at=began,
            budget=BUDGET,
            egress_attempts=0,
            egress_by="nothing was run",
            egress_left=0,
            egress_sha256=_NONE,
            epoch=epoch,
            exec_calls=0,
            exec_log_sha256=_NONE,
            family=str(task.family),
            flags=tuple(sorted(_FLAGS[each] for each in verdict.flags if each in _FLAGS)),
            isolation="no-sandbox",
            log_sha256="",
            milliseconds=int((time.monotonic() - clock) * 1000),
            outcome=outcome.get(verdict.result, Outcome.NO_RESULT),
            seed=epoch,  # the task's own is sealed
            solved_at=tokens if solved else None,
            suite=SUITE,
            task=task.id,
            template=task.template,
            tokens=tokens,
            twin="",
            variant=self._variant,
            version=task.version,
        )

    def _asked(self, http: httpx.Client, task: Task) -> tuple[TrialFacts, int]:
        """What the model said, and how many tokens it took; an endpoint's failure is no failure of it."""
        wish = {
            "model": self._variant,
            "max_tokens": _MOST_TOKENS,
            "messages": [{"role": "user", "content": _words_of(task)}],
        }
        broken = TrialFacts(ending=Ending.BROKEN_INFRASTRUCTURE)
        try:
            answered = http.post(self._address, json=wish, headers=self._headers)
            if answered.status_code != httpx.codes.OK:
                return broken, 0
            fields = decode_object(answered.content, limits=Limits(LARGEST_ANSWER), what="answer")
        except (httpx.HTTPError, ClearholdError):
            return broken, 0
        usage: Any = fields.get("usage")
        counted = usage.get("total_tokens", 0) if isinstance(usage, dict) else 0
        tokens = counted if isinstance(counted, int) and 0 <= counted <= BUDGET else BUDGET
        said = text_of(fields, Dialect.OPENAI)
        return TrialFacts(ending=Ending.SAID_ITS_LAST, turns=(said,)), tokens


def recorded(done: list[Trial], known: Registered, model: str) -> trials.RecordedRun:
    """The trials of a plan as one document."""
    return trials.record(
        done,
        engagement=known.plan.engagement,
        plan_sha256=known.sha256,
        model=model,
        harness=HARNESS,
    )


def _in_words(task: Task) -> bool:
    """Whether a task can be asked without a sandbox: no service, and files that are short text."""
    readable = all(each.isascii() for each in task.files.values())
    return task.service is None and readable and len(_words_of(task)) <= _LARGEST_PROMPT


def _words_of(task: Task) -> str:
    files = [
        f"File {name}:\n{content.decode(errors='replace')}" for name, content in task.files.items()
    ]
    return "\n\n".join((task.prompt, *files, "You have no tools. Say the flag on the last line."))
