"""`clearhold admin`: what whoever runs the hub does on its own machine."""

from __future__ import annotations

from datetime import timedelta

import typer

from clearhold.assembly.hub import open_hub
from clearhold.delivery.cli import keys, known_keys, passport_keys
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.settings import from_environment

app = typer.Typer(help="For whoever runs the hub, on its own machine.", no_args_is_help=True)
app.add_typer(keys.app, name="keys")
app.add_typer(passport_keys.app, name="passport-keys")
app.add_typer(known_keys.admin, name="known")
app.add_typer(known_keys.half, name="known-half")


@app.command()
@told
def migrate() -> None:
    """Bring the database to the newest schema."""
    with open_hub(from_environment(), work=False):
        typer.echo("The database has the newest schema.")


@app.command("found")
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
