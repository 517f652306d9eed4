"""`clearhold model determination`, `partner` and `department`: who decides, who else, and what it costs."""

from __future__ import annotations

import secrets
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from clearhold.delivery.cli import party_key
from clearhold.delivery.cli.log_reading import content
from clearhold.delivery.cli.model_agreement import KEY
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.wire import dsse, model_decision
from clearhold.wire.model_decision import Determination, PartnerAccess

determinations = typer.Typer(
    help="What an authority decided, in its own words and name.", no_args_is_help=True
)
partners = typer.Typer(help="Early access for a partner, by consent.", no_args_is_help=True)
departments = typer.Typer(help="Several departments in one engagement.", no_args_is_help=True)

_Kind = TypeVar("_Kind", Determination, PartnerAccess)


@determinations.command("record")
@told
def record(file: Path, key: Annotated[Path, KEY], *, as_json: bool = JsonOption) -> None:
    """Sign and record a decision of your authority.

    The TOML says authority, decided_by, decision (covered or not-covered), rule, basis, engagement,
    decided_at, and [[inputs]] with what and sha256.
    """
    signer = party_key.load(key)
    said = _filled(file, Determination, {"nonce": secrets.token_hex(16)})
    envelope = dsse.sign(model_decision.write(said), model_decision.DETERMINATION_TYPE, signer)
    show(hub().post("/evaluations/decisions", {"envelope": envelope.decode()}), as_json=as_json)


@determinations.command("list")
@told
def decided(engagement: str, *, as_json: bool = JsonOption) -> None:
    """List the decisions about an engagement that your party may read."""
    show(hub().get(f"/evaluations/engagements/{engagement}/decisions"), as_json=as_json)


@partners.command("propose")
@told
def propose(file: Path, key: Annotated[Path, KEY], *, as_json: bool = JsonOption) -> None:
    """Propose early access for a partner.

    The TOML says proposer, developer, partner, engagement, variants, scope, not_before and until.
    """
    signer = party_key.load(key)
    wanted = _filled(file, PartnerAccess, {"nonce": secrets.token_hex(16)})
    envelope = dsse.sign(model_decision.write(wanted), model_decision.PARTNER_TYPE, signer)
    show(hub().post("/evaluations/partners", {"envelope": envelope.decode()}), as_json=as_json)


@partners.command("sign")
@told
def sign(
    engagement: str, partner: str, key: Annotated[Path, KEY], *, as_json: bool = JsonOption
) -> None:
    """Sign a proposed access exactly as it was proposed; read it first with `list`."""
    signer = party_key.load(key)
    connection = hub()
    path = f"/evaluations/engagements/{engagement}/partners"
    found = next((each for each in connection.get(path) if each["id"] == partner), None)
    if found is None:
        raise InvalidError(
            "There is no such access.", next_step="See `clearhold model partner list`."
        )
    payload = dsse.payload_of(found["envelope"].encode())
    model_decision.read_partner(payload)
    if msgspec.json.decode(payload) != found["access"]:
        raise IntegrityError("What the hub shows is not what was signed.")
    envelope = dsse.sign(payload, model_decision.PARTNER_TYPE, signer).decode()
    show(connection.post(f"{path}/{partner}/signature", {"envelope": envelope}), as_json=as_json)


@partners.command("end")
@told
def end(engagement: str, partner: str, *, as_json: bool = JsonOption) -> None:
    """End a partner's access for good, at once and without a reason."""
    path = f"/evaluations/engagements/{engagement}/partners/{partner}/end"
    show(hub().post(path, {}), as_json=as_json)


@partners.command("list")
@told
def listing(engagement: str, *, as_json: bool = JsonOption) -> None:
    """List the early access that your party takes part in."""
    show(hub().get(f"/evaluations/engagements/{engagement}/partners"), as_json=as_json)


@departments.command("add")
@told
def add(
    engagement: str,
    department: Annotated[str, typer.Argument(help="The handle of its party.")],
    scope: Annotated[str, typer.Option(help="What it looks at.")],
    reviewer: Annotated[list[str], typer.Option(help="Who reviews; repeat.")],
    begins: Annotated[datetime, typer.Option(help="In UTC.")],
    ends: Annotated[datetime, typer.Option(help="In UTC.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Give a department of the agreement its scope, reviewers and slot, as the evaluator."""
    body = {
        "department": department,
        "scope": scope,
        "reviewers": reviewer,
        "begins_at": begins.replace(tzinfo=begins.tzinfo or UTC).isoformat(),
        "ends_at": ends.replace(tzinfo=ends.tzinfo or UTC).isoformat(),
    }
    show(hub().post(f"/evaluations/engagements/{engagement}/departments", body), as_json=as_json)


@departments.command("ask")
@told
def ask(
    engagement: str,
    question: str,
    variant: Annotated[str, typer.Option()],
    suite: Annotated[str, typer.Option(help="The suite's commitment, 64 hexadecimal digits.")],
    hours: Annotated[float, typer.Option(min=0, max=10_000, help="Of the developer's people.")],
    tokens: Annotated[int, typer.Option(min=0, help="Of the model.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Ask for a test, as a department in its slot; the same question is not run twice."""
    if not 0 <= hours <= 10_000:  # not a number is in no range
        raise InvalidError("Hours are a number from 0 to 10000.")
    body = {
        "question": question,
        "variant": variant,
        "suite_sha256": suite,
        "hours": hours,
        "tokens": tokens,
    }
    show(hub().post(f"/evaluations/engagements/{engagement}/requests", body), as_json=as_json)


@departments.command("requests")
@told
def requests(engagement: str, *, as_json: bool = JsonOption) -> None:
    """List requests, and where several departments asked the same."""
    connection = hub()
    at = f"/evaluations/engagements/{engagement}"
    found = {
        "requests": connection.get(f"{at}/requests"),
        "duplicates": connection.get(f"{at}/duplicates"),
    }
    show(found, as_json=as_json)


@departments.command("burden")
@told
def burden(engagement: str, *, as_json: bool = JsonOption) -> None:
    """Show what an engagement costs its developer: hours, tokens, delay."""
    show(hub().get(f"/evaluations/engagements/{engagement}/burden"), as_json=as_json)


def _filled(file: Path, kind: type[_Kind], more: dict[str, Any]) -> _Kind:
    try:
        return msgspec.convert(tomllib.loads(content(file).decode()) | more, kind)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidError(f"{file} cannot be read: {error}.") from error
