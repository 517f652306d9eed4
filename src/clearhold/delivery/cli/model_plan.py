"""`clearhold model plan`: what a test asks, fixed before access begins."""

from __future__ import annotations

from pathlib import Path

import typer

from clearhold.delivery.cli.log_reading import content
from clearhold.delivery.cli.model_run import draft
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.evaluations import plan
from clearhold.kernel.errors import InvalidError

app = typer.Typer(help="What a test asks, fixed before access begins.", no_args_is_help=True)
app.command("draft")(draft)


@app.command("check")
@told
def check(file: Path, *, as_json: bool = JsonOption) -> None:
    """Read a plan and show its digest and how many trials it has."""
    known = plan.read(content(file))
    show({"sha256": known.sha256, "trials": known.trials}, as_json=as_json)


@app.command("register")
@told
def register(engagement: str, file: Path, *, as_json: bool = JsonOption) -> None:
    """Register a plan by its digest, as the evaluator; the plan itself stays with you."""
    connection = hub()
    facts = connection.get(f"/evaluations/engagements/{engagement}/report")
    known = plan.read(content(file))
    if known.plan.engagement != facts["tested"]["engagement"]:
        raise InvalidError("The plan is of another engagement.")
    body = {"sha256": known.sha256}
    show(connection.post(f"/evaluations/engagements/{engagement}/plan", body), as_json=as_json)
