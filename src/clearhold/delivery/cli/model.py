"""`clearhold model`: having models tested by agreement, and a small one to try things with."""

from __future__ import annotations

from typing import Final

import typer

from clearhold.delivery.cli.lazy import LazyGroup

_HERE: Final = "clearhold.delivery.cli"


COMMANDS: Final = {
    "agreement": f"{_HERE}.model_agreement:app",
    "engagement": f"{_HERE}.model_engagement:app",
    "plan": f"{_HERE}.model_plan:app",
    "report": f"{_HERE}.model_report:app",
    "suite": f"{_HERE}.model_suite:app",
    "finding": f"{_HERE}.model_findings:findings",
    "safeguard": f"{_HERE}.model_findings:safeguards",
    "determination": f"{_HERE}.model_parties:determinations",
    "partner": f"{_HERE}.model_parties:partners",
    "department": f"{_HERE}.model_parties:departments",
    "endpoint": f"{_HERE}.model_access:endpoint",
    "grant": f"{_HERE}.model_access:grant",
    "calls": f"{_HERE}.model_access:calls",
    "run": f"{_HERE}.model_run:run",
    "trials": f"{_HERE}.model_run:trials",
    "serve": f"{_HERE}.model_serve:serve",
}


class _Group(LazyGroup):
    places = COMMANDS


app = typer.Typer(
    cls=_Group,
    help="Have models tested before release, by agreement; serve a small one to try.",
    no_args_is_help=True,
)


@app.callback()
def _model() -> None:
    """Make the application a group, though no command is registered before it is asked for."""
