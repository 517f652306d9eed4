"""`clearhold model endpoint`, `grant` and `calls`: giving access to a model, and the record of its use."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from clearhold.adapters.secret_file import secret_in
from clearhold.delivery.cli.model_engagement import instant_of
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.evaluations.call_chain import BEGINNING, RecordedCall, broken
from clearhold.evaluations.model import AccessKind
from clearhold.evaluations.trial_calls import walk
from clearhold.harness.journal import named_calls, trials
from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.wire.model_calls import Dialect

endpoint = typer.Typer(
    help="Where a developer serves its model, and its switch.", no_args_is_help=True
)
grant = typer.Typer(help="What named evaluators are given of a model.", no_args_is_help=True)
calls = typer.Typer(help="The record of calls to a model.", no_args_is_help=True)

_LARGEST_FILE: Final = 256 * 1024 * 1024


@endpoint.command("register")
@told
def register(
    engagement: str,
    address: Annotated[str, typer.Argument(help="The base URL, as https://host/v1.")],
    model: Annotated[list[str], typer.Option(help="VARIANT or VARIANT=NAME there; repeat.")],
    dialect: Dialect = Dialect.OPENAI,
    key_file: Annotated[
        Path | None, typer.Option(help="A file of mode 0600 with the endpoint's key.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Say where your variants are served; its key is sealed and shown to nobody again."""
    pairs = (each.partition("=") for each in model)
    models = {variant: name or variant for variant, _, name in pairs}
    body = {
        "address": address,
        "dialect": dialect,
        "models": models,
        "credential": "" if key_file is None else secret_in(key_file, "The endpoint's key"),
    }
    show(_post(engagement, "endpoint", body), as_json=as_json)


@endpoint.command("show")
@told
def gateway(engagement: str, *, as_json: bool = JsonOption) -> None:
    """Show how access stands: what is served, grants, canary rounds, notices, and calls by outcome."""
    show(hub().get(f"/evaluations/engagements/{engagement}/gateway"), as_json=as_json)


@endpoint.command("off")
@told
def off(engagement: str, *, as_json: bool = JsonOption) -> None:
    """Switch all access off, at once, as the developer; an answer under way is kept back too."""
    show(_post(engagement, "switch", {"off": True}), as_json=as_json)


@endpoint.command("on")
@told
def on(engagement: str, *, as_json: bool = JsonOption) -> None:
    """Switch access on again, as the developer."""
    show(_post(engagement, "switch", {"off": False}), as_json=as_json)


@endpoint.command("withdraw")
@told
def withdraw(engagement: str, *, as_json: bool = JsonOption) -> None:
    """Take the endpoint back, as the developer."""
    show(_post(engagement, "endpoint/withdrawal", {}), as_json=as_json)


@endpoint.command("canary")
@told
def canary(engagement: str, *, as_json: bool = JsonOption) -> None:
    """Ask for a canary round; as the evaluator for the first, which starts the clock."""
    show(_post(engagement, "canary", {}), as_json=as_json)


@grant.command("give")
@told
def give(
    engagement: str,
    evaluator: Annotated[
        str, typer.Argument(help="The evaluator's name, as the agreement has it.")
    ],
    variant: Annotated[list[str], typer.Option(help="A variant; repeat.")],
    tokens: Annotated[int, typer.Option(help="What may be spent in all.")],
    kind: Annotated[list[AccessKind] | None, typer.Option(help="Access; chat if none.")] = None,
    begins: Annotated[datetime | None, typer.Option(help="In UTC; now if not given.")] = None,
    ends: Annotated[
        datetime | None, typer.Option(help="In UTC; with the agreement if not given.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Give a named evaluator access, as the developer."""
    body = {
        "evaluator": evaluator,
        "variants": variant,
        "kinds": kind or [AccessKind.CHAT],
        "tokens": tokens,
        "begins_at": instant_of(begins),
        "ends_at": instant_of(ends),
    }
    show(_post(engagement, "grants", body), as_json=as_json)


@grant.command("token")
@told
def token(engagement: str, grant_id: str, *, as_json: bool = JsonOption) -> None:
    """Fetch a fresh token of a grant, as the evaluator; it is shown once, and the last one ends."""
    show(_post(engagement, f"grants/{grant_id}/token", {}), as_json=as_json)


@grant.command("withdraw")
@told
def withdraw_grant(engagement: str, grant_id: str, *, as_json: bool = JsonOption) -> None:
    """Take a grant back, for either side."""
    show(_post(engagement, f"grants/{grant_id}/withdrawal", {}), as_json=as_json)


@calls.command("export")
@told
def export(engagement: str, file: Path) -> None:
    """Write the record of calls to a file, one a line; none of what was said is in it."""
    connection, after, lines = hub(), 0, 0
    with file.open("wb") as written:
        while found := connection.get(
            f"/evaluations/engagements/{engagement}/calls", after=str(after)
        ):
            for each in found:
                written.write(msgspec.json.encode(each, order="sorted") + b"\n")
            after, lines = found[-1]["number"], lines + len(found)
    typer.echo(f"{lines} calls")


@calls.command("verify")
@told
def verify(
    file: Path,
    head: Annotated[
        str,
        typer.Option(help="The hash of the last call, as `endpoint show` or the ledger has it."),
    ] = "",
    run: Annotated[
        Path | None,
        typer.Option(help="The folder of a run whose trials are looked up in the record."),
    ] = None,
) -> None:
    """Check a record of calls without a hub: that none was changed, moved or taken out.

    That none is missing at the end, only the hash of the last one tells. With --run it also checks
    that each call which a trial names is there, with the same request.
    """
    if file.stat().st_size > _LARGEST_FILE:
        raise InvalidError(f"{file} is too large to be a record of calls.")
    try:
        found = [
            msgspec.json.decode(line, type=RecordedCall) for line in file.read_bytes().splitlines()
        ]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"{file} is no record of calls: {error}.") from error
    wrong = broken(found)
    if wrong is not None:
        raise IntegrityError(f"Call {wrong} does not follow the one before it.")
    last = (found[-1].hash if found else BEGINNING).hex()
    if head and head != last:
        raise IntegrityError(f"The record ends with {last}, not with the call that was named.")
    typer.echo(f"{len(found)} calls follow one another; the last one's hash is {last}")
    if run is not None:
        _look_up(run, found)


def _look_up(run: Path, record: list[RecordedCall]) -> None:
    if not (run / "run.json").is_file():
        raise InvalidError(f"{run} is not the folder of a run.")
    kept = trials(run).run.trials
    went = walk({each.log_sha256: named_calls(run, each) for each in kept}, record)
    for fault in went.faults:
        typer.echo(fault, err=True)
    if went.faults:
        raise IntegrityError(f"Trials and record do not agree in {len(went.faults)} places.")
    typer.echo(
        f"{went.trials} of {len(kept)} trials name {went.named} calls, all of them in the record: "
        f"{sum(each.tokens for each in kept)} tokens by the trials, {went.tokens} by the record; "
        f"{went.unnamed} more calls by the same grants"
    )


def _post(engagement: str, what: str, body: dict[str, Any]) -> Any:
    return hub().post(f"/evaluations/engagements/{engagement}/{what}", body)
