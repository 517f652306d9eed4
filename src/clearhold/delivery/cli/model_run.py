"""`clearhold model run` and `trials`: the worker that runs a plan, on a machine of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from clearhold.adapters.sample_box import Boxes
from clearhold.adapters.secret_file import secret_in
from clearhold.delivery.cli.log_reading import content
from clearhold.delivery.cli.model_pairs import Here, opened_among
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.sealed import new_file, read_sealed
from clearhold.evaluations import plan
from clearhold.evaluations.isolation import VariantKind
from clearhold.evaluations.statistics.power import OWN_SHARE, detectable
from clearhold.evaluations.suites import packs
from clearhold.evaluations.suites.task import no_checks
from clearhold.harness.journal import trials as recorded_trials
from clearhold.harness.provided import Provided, of_pack, of_pairs, of_shipped
from clearhold.kernel.errors import ConflictError, InvalidError, UnavailableError
from clearhold.wire.model_calls import USUAL_TOKENS, Dialect

EXIT_STOPPED: Final = 3
PacksOption = Annotated[list[Path] | None, typer.Option("--pack", help="A sealed pack's file.")]
IdentityOption = Annotated[
    Path | None, typer.Option("--identity", help="The age identity that opens encrypted packs.")
]
SuitesOption = Annotated[
    list[str] | None, typer.Option("--suite", help="A shipped suite, or `pairs`.")
]


@told
def draft(
    file: Path,
    engagement: Annotated[str, typer.Option(help="Its number, or a name where there is none.")],
    variant: Annotated[str, typer.Option(help="As the engagement names it.")],
    hypothesis: Annotated[list[str], typer.Option(help="What is asked; may be repeated.")],
    stated: Annotated[
        float | None,
        typer.Option(
            "--detectable",
            help="The smallest difference it can show, 0 to 1; else it is simulated.",
        ),
    ] = None,
    own_share: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="For that: how much of tasks' difficulty is a model's own."
        ),
    ] = OWN_SHARE,
    suite: SuitesOption = None,
    pack: PacksOption = None,
    identity: IdentityOption = None,
    arm: Annotated[
        list[str] | None, typer.Option(help="bare or coached; bare alone if none.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, max=1000)] = 5,
    budget: Annotated[list[int] | None, typer.Option(help="Tokens of a trial, rising.")] = None,
    seed: int = 0,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Write a plan into the new file FILE: suites by their commitments, arms, budgets and epochs."""
    with opened_among(suite or []) as here:
        given = _suites(suite, pack, here, identity)
    arms = tuple(
        plan.Arm(budgets=tuple(budget or [100_000]), epochs=epochs, name=name, variant=variant)
        for name in arm or ["bare"]
    )
    known = plan.register(
        plan.Plan(
            arms=arms,
            attempts=(1,),
            compared_with=(),
            confidence=0.95,
            detectable=_shown(given, epochs, own_share) if stated is None else stated,
            engagement=engagement,
            hypotheses=tuple(hypothesis),
            nonce=os.urandom(16).hex(),
            seed=seed,
            stopping="when-all-trials-are-done",
            suites=tuple(
                plan.PlannedSuite(
                    commitment=each.commitment,
                    name=name,
                    tasks=len(each.suite.entries),
                    templates=each.suite.templates,
                )
                for name, each in given.items()
            ),
            thresholds={},
        )
    )
    new_file(file, known.content)
    facts = {"detectable": known.plan.detectable, "trials": known.trials}
    show({"sha256": known.sha256} | facts, as_json=as_json)


def _shown(given: dict[str, Provided], epochs: int, own: float) -> float:
    """The smallest difference that a comparison in each of the suites can show."""
    return max(
        round(detectable(tasks=tasks, templates=templates, epochs=epochs, own=own).detectable, 4)
        if templates > 1
        else 1.0
        for tasks, templates in ((len(s.suite.entries), s.suite.templates) for s in given.values())
    )


@told
def run(
    file: Annotated[Path, typer.Argument(metavar="PLAN")],
    folder: Annotated[Path, typer.Argument(help="Of this run alone; it may be given again.")],
    endpoint: Annotated[
        str, typer.Option(help="The address up to /v1: a gateway's, or any other.")
    ],
    kind: Annotated[
        VariantKind, typer.Option(help="What the variant is, which decides isolation.")
    ],
    name: Annotated[str, typer.Option(help="The model's name there; else the variant's.")] = "",
    dialect: Dialect = Dialect.OPENAI,
    key_file: Annotated[
        Path | None, typer.Option(help="The key or gateway token, in a file of mode 0600.")
    ] = None,
    suite: SuitesOption = None,
    pack: PacksOption = None,
    identity: IdentityOption = None,
    engagement: Annotated[
        str, typer.Option(help="Ask the hub whether the plan is registered there.")
    ] = "",
    tools: Annotated[
        str, typer.Option(help="native, or text for models that know no tools.")
    ] = "native",
    at_once: Annotated[int, typer.Option(min=1, max=64)] = 4,
    most_tokens: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="The most that one answer may take.")
    ] = USUAL_TOKENS,
    patience: Annotated[
        float, typer.Option(min=0, max=86400, help="Seconds to wait out errors of the moment.")
    ] = 600.0,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Run what a plan still lacks; run it again after whatever ended it.

    Ends with code 3 when the endpoint broke in three trials in a row.
    """
    known = plan.read(content(file))
    called = _registered(engagement, known) if engagement else ""
    key = secret_in(key_file, "The endpoint's key") if key_file is not None else ""
    with _inspect():
        from clearhold.harness import running  # noqa: PLC0415 (the extra may be missing)
        from clearhold.harness.endpoint import model_at  # noqa: PLC0415

    models = {
        variant: model_at(
            endpoint,
            name or variant,
            key=key,
            dialect=dialect,
            tools=tools,
            most_tokens=most_tokens,
            patience_s=patience,
        )
        for variant in {each.variant for each in known.plan.arms}
    }
    with opened_among(suite or []) as here, Boxes(most=at_once) as boxes:
        checker = here.checker() if here else no_checks
        given = _suites(suite, pack, here, identity)
        wanted = running.Wanted(known, given, models, kind, at_once, checker, called)
        ran = running.run(wanted, folder, boxes)
    show(
        {
            "plan_sha256": known.sha256,
            **ran.outcomes,
            "left": ran.left,
            "stopped": ran.stopped,
            "logs": [str(each) for each in ran.logs],
        },
        as_json=as_json,
    )
    if ran.stopped:
        raise typer.Exit(EXIT_STOPPED)


@told
def trials(folder: Path, file: Path, *, as_json: bool = JsonOption) -> None:
    """Write the trials of a run into the new file FILE, as reports are made from them."""
    found = recorded_trials(folder)
    new_file(file, found.content)
    show({"sha256": found.sha256, "trials": len(found.run.trials)}, as_json=as_json)


def _registered(engagement: str, known: plan.Registered) -> str:
    """The name of the engagement's model, whose registered plan this is."""
    facts = hub().get(f"/evaluations/engagements/{engagement}/report")
    if facts["plan_sha256"] != known.sha256:
        raise ConflictError(
            "The hub does not know this plan for the engagement.",
            next_step="Register it before access begins: clearhold model plan register.",
        )
    return str(facts["tested"]["model"])


def _suites(
    suite: list[str] | None, pack: list[Path] | None, here: Here | None, identity: Path | None
) -> dict[str, Provided]:
    given = [
        of_pairs(here.suite) if here and each == here.suite.name else of_shipped(each)
        for each in suite or []
    ]
    given += [of_pack(read_sealed(each, packs.LARGEST, identity)) for each in pack or []]
    if not given or len(dict(given)) < len(given):
        raise InvalidError("Give a suite or a pack, and each name once.")
    return dict(given)


@contextmanager
def _inspect() -> Iterator[None]:
    try:
        yield
    except ImportError as problem:
        raise UnavailableError(
            f"The harness needs what the extra `eval` brings ({problem.name} is missing).",
            next_step="Install clearhold[eval] on the machine that runs tests.",
        ) from problem
