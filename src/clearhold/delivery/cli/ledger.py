"""`clearhold ledger`: what happened, and whether the record of it was tampered with."""

from __future__ import annotations

from pathlib import Path

import typer

from clearhold.delivery.cli.output import EXIT_REFUSED, JsonOption, hub, show, told
from clearhold.kernel.errors import NotFoundError
from clearhold.ledger import records
from clearhold.ledger.model import ChainReport
from clearhold.settings import from_environment
from clearhold.store.database import database_address, open_engine, schema_revision, snapshot

app = typer.Typer(help="Read and verify the record of what happened.", no_args_is_help=True)


@app.command("leaves")
@told
def leaves(after: int = 0, limit: int = 500, *, as_json: bool = JsonOption) -> None:
    """List what happened in the compartments you are read in to, from leaf AFTER + 1 on."""
    show(hub().get("/ledger/leaves", after=after, limit=limit), as_json=as_json)


@app.command("verify")
@told
def verify(*, as_json: bool = JsonOption) -> None:
    """Recompute the whole chain in this machine's own database; ends with 1 on any fault.

    Nothing is asked of a running hub, which could lie about it.
    """
    report = recompute(from_environment().database_url)
    show(
        {
            "intact": report.intact,
            "leaves": report.leaves,
            "head": report.head.hex(),
            "faults": list(report.faults),
        },
        as_json=as_json,
    )
    if not report.intact:
        raise typer.Exit(EXIT_REFUSED)


def recompute(database_url: str) -> ChainReport:
    """Check the chain in the database at `database_url` as it is at one instant, changing nothing.

    Raises `NotFoundError` when no ledger is there, `InvalidError` and `UnavailableError` when the
    database cannot be opened.
    """
    address = database_address(database_url)
    absent = NotFoundError(
        "There is no ledger at the database setting.",
        next_step="Check CLEARHOLD_DATABASE and CLEARHOLD_DATA_DIRECTORY.",
    )
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
        raise absent
    engine = open_engine(database_url)
    try:
        with snapshot(engine) as connection:
            if schema_revision(connection) is None:
                raise absent
            return records.verify(connection)
    finally:
        engine.dispose()
