"""The `clearhold` command: one group per module, and the hub's own commands."""

from __future__ import annotations

from datetime import timedelta

import typer

from clearhold.assembly import open_hub
from clearhold.delivery.cli import (
    account,
    advisory,
    agent,
    agreement,
    approval,
    bridge,
    case,
    catalogue,
    discover,
    doctor,
    finding,
    inventory,
    keys,
    known,
    ledger,
    party,
    passport_keys,
    patch,
    recipe,
    remediation,
    scan,
    scan_live,
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
app.add_typer(account.app, name="account")
app.add_typer(party.app, name="party")
app.add_typer(agreement.app, name="agreement")
app.add_typer(approval.app, name="approval")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(scan.app, name="scan")
scan.app.add_typer(scan_live.authorisation, name="authorisation")
scan.app.add_typer(scan_live.live, name="live")
scan.app.add_typer(scan_live.passport, name="passport")
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
admin.add_typer(passport_keys.app, name="passport-keys")
admin.add_typer(known.admin, name="known")
admin.add_typer(known.half, name="known-half")
app.add_typer(admin, name="admin")
app.command("serve")(serving.serve)
app.command("worker")(serving.worker)
app.command("mcp")(bridge.bridge)
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
    recover: bool = typer.Option(False, "--recover", help="End all they signed in with before."),
    as_json: bool = JsonOption,
) -> None:
    """Register the hub's coordinator and a person of it, with a token and an enrolment."""
    with open_hub(from_environment(), work=False) as hub:
        if recover:
            hub.party_sign_in.recover_coordinator(handle, person)
        coordinator, issued = hub.parties.found_hub(
            handle=handle, name=name, person=person, life=timedelta(days=days)
        )
        enrolment = hub.party_sign_in.enrol_coordinator(handle, person)
        show(
            {
                "party": coordinator.id,
                "handle": coordinator.handle,
                "token": issued.secret,
                "enrolment": enrolment.secret,
            },
            as_json=as_json,
        )
