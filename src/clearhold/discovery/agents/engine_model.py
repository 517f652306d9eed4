"""A language model as an engine: it reads the code, and its proofs are tried in the laboratory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from clearhold.catalogue.model import Technique
from clearhold.discovery.agents.conversation import Conversation, Ended
from clearhold.discovery.agents.journal import Allowance, Journal, MemoryJournal
from clearhold.discovery.agents.toolbox import Toolbox
from clearhold.discovery.engine import (
    LOG_TAIL,
    Kind,
    Plan,
    Progress,
    Searched,
    Workspace,
    no_options,
)
from clearhold.findings.report import one_line
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.ports.model import Model
from clearhold.validation.recipe import Recipe

NAME: Final = "model"
ANY: Final = "any"
"""The target of a search that may try every target of the recipe."""

_MOST_FIRST: Final = 40
_LONGEST_PATH: Final = 200
_MOST: Final = Allowance(turns=500, tokens=5_000_000, proofs=200, calls=5000)


class ModelEngine:
    """Searches with one model; without one, every search is refused. `context` is in tokens."""

    def __init__(self, model: Model | None, *, context: int) -> None:
        self._model = model
        self._context = context

    @property
    def name(self) -> str:
        """Its name."""
        return NAME

    @property
    def technique(self) -> Technique:
        """A lease for reviews by models."""
        return Technique.MODEL_REVIEW

    @property
    def kind(self) -> Kind:
        """An agent."""
        return Kind.AGENT

    @property
    def needs(self) -> tuple[str, ...]:
        """An endpoint."""
        return ("an endpoint with a model: CLEARHOLD_MODEL_URL and CLEARHOLD_MODEL_NAME",)

    def targets(self, recipe: Recipe) -> tuple[str, ...]:
        """Every target of the recipe, and all together."""
        return targets(recipe)

    def check(self, options: Mapping[str, str]) -> None:
        """Raise `InvalidError` for options that are none, and on a hub without a model."""
        if self._model is None:
            raise InvalidError(
                "This hub has no model to search with.",
                next_step="Its operator sets CLEARHOLD_MODEL_URL; or let an agent of your own "
                "search over MCP.",
            )
        allowance_of(options)

    def search(
        self, plan: Plan, workspace: Workspace, on_progress: Callable[[Progress], None]
    ) -> Searched:
        """Let the model work until a proof is shown, it gives up, or something is used up."""
        self.check(plan.options)
        assert self._model is not None  # noqa: S101  # `check` refuses before
        began, before = time.monotonic(), workspace.start.before.spent_s
        journal: Journal = workspace.start.journal or MemoryJournal()
        allowance = allowance_of(plan.options)
        toolbox = make_toolbox(plan, workspace, allowance=allowance, journal=journal)

        def so_far() -> Progress:
            spent_s = before + int(time.monotonic() - began)
            return Progress(toolbox.spent.proofs, 0, spent_s, tuple(toolbox.crashes))

        ended = Conversation(
            self._model,
            toolbox,
            journal,
            task=task_of(plan, workspace.start.scope),
            allowance=allowance,
            context=self._context,
            until=began + max(plan.budget_s - before, 0),
            pulse=workspace.pulse,
            on_turn=lambda: on_progress(so_far()),
        ).run()
        done = so_far()
        return Searched(
            ended.ending,
            executions=done.executions,
            spent_s=done.spent_s,
            crashes=done.crashes,
            leads=tuple(toolbox.notes),
            log=_log(self._model, toolbox, journal, ended),
        )


def targets(recipe: Recipe) -> tuple[str, ...]:
    """What an agent can be sent to: a target of a recipe, or any of several."""
    names = tuple(recipe.targets)
    return names if len(names) == 1 else (ANY, *names)


def allowance_of(options: Mapping[str, str]) -> Allowance:
    """The allowance that options state, else the usual. Raises `InvalidError`."""
    names = ("turns", "tokens", "proofs", "calls")
    no_options(options, *names)
    amounts = {}
    for name, text in options.items():
        most = getattr(_MOST, name)
        if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= most):
            raise InvalidError(
                f"The option {name} is a number from 1 to {most}.", next_step="Correct it."
            )
        amounts[name] = int(text)
    return Allowance(**amounts)


def make_toolbox(
    plan: Plan, workspace: Workspace, *, allowance: Allowance, journal: Journal
) -> Toolbox:
    """The tools of an agent that works on a plan."""
    named = tuple(workspace.recipe.targets) if plan.target == ANY else (plan.target,)
    return Toolbox(
        workspace.laboratory,
        workspace.recipe,
        version=Purl.parse(plan.package).version or "",
        scope=workspace.start.scope,
        targets=named,
        allowance=allowance,
        spent=journal.spent,
        run=workspace.run,
    )


def task_of(plan: Plan, scope: tuple[str, ...]) -> str:
    """What an agent is told it is to do."""
    where = "all of it" if "**" in scope else f"the files {', '.join(scope)} alone"
    target = "any target" if plan.target == ANY else f"the target {plan.target}"
    changed = ", ".join(one_line(each)[:_LONGEST_PATH] for each in plan.first[:_MOST_FIRST])
    return (
        f"The package is {plan.package}; your lease covers {where}. Find an input for {target} that "
        "violates what its oracle watches for. Begin with describe_targets and list_files."
        + (f" These files changed lately, so look at them first: {changed}." if changed else "")
    )


def _log(model: Model, toolbox: Toolbox, journal: Journal, ended: Ended) -> str:
    spent = toolbox.spent
    tokens = f"{spent.prompt_tokens} tokens read, {spent.completion_tokens} written"
    acts = f"{spent.turns} turns, {spent.calls} calls, {spent.proofs} proofs tried"
    lines = [
        f"{model.name} at {model.place}: {acts}, {tokens}",
        *(f"suspected: {note.path}:{note.line} {note.message}" for note in toolbox.notes),
        f"transcript {journal.head.hex()}",
        ended.reason,
    ]
    return "\n".join(line[:1000] for line in lines)[-LOG_TAIL:]
