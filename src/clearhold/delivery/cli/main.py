"""The `clearhold` command: one group per module, and the hub's own commands."""

from __future__ import annotations

from datetime import timedelta

import typer

from clearhold.assembly import open_hub
from clearhold.delivery.cli import (
    advisory,
    agent,
    approval,
    case,
    catalogue,
    discover,
    doctor,
    finding,
    inventory,
    keys,
    ledger,
    party,
    patch,
    recipe,
    remediation,
    scan,
    serving,
    validate,
)
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.settings import from_environment

app = typer.Typer(
    help="Clearhold, an AI cybersecurity clearinghouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
admin = typer.Typer(help="For whoever runs the hub, on its own machine.", no_args_is_help=True)
app.add_typer(party.app, name="party")
app.add_typer(approval.app, name="approval")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(scan.app, name="scan")
app.add_typer(finding.app, name="finding")
app.add_typer(validate.app, name="validate")
app.add_typer(discover.app, name="discover")
app.add_typer(recipe.app, name="recipe")
app.add_typer(case.app, name="case")
app.add_typer(patch.app, name="patch")
app.add_typer(advisory.app, name="advisory")
app.add_typer(inventory.app, name="inventory")
app.add_typer(remediation.app, name="remediate")
app.add_typer(agent.app, name="agent")
app.add_typer(ledger.app, name="ledger")
admin.add_typer(keys.app, name="keys")
app.add_typer(admin, name="admin")
app.command("serve")(serving.serve)
app.command("worker")(serving.worker)
app.command("doctor")(doctor.doctor)


@admin.command()
@told
def migrate() -> None:
    """Bring the database to the newest schema."""
    with open_hub(from_environment(), work=False):
        typer.echo("The database has the newest schema.")


@admin.command("found")
@told
def found(
    handle: str,
    name: str,
    person: str = "First coordinator",
    days: int = 30,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Register the hub's coordinator and a person of it, and issue a token, shown this once."""
    with open_hub(from_environment(), work=False) as hub:
        coordinator, issued = hub.parties.found_hub(
            handle=handle, name=name, person=person, life=timedelta(days=days)
        )
        show(
            {"party": coordinator.id, "handle": coordinator.handle, "token": issued.secret},
            as_json=as_json,
        )
