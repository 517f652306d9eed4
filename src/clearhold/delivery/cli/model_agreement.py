"""`clearhold model agreement`: what a developer and an evaluator sign about testing models."""

from __future__ import annotations

import hashlib
import secrets
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer

from clearhold.delivery.cli import party_key
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.party_key import now
from clearhold.evaluations.model import AgreementState
from clearhold.evaluations.terms import LEAST_DRAFT_DAYS
from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.wire import dsse, model_agreement
from clearhold.wire.model_agreement import VOLUNTARY, ModelAgreement

app = typer.Typer(help="Agreements between developers and evaluators.", no_args_is_help=True)

_LARGEST_FILE: Final = 256 * 1024
_DRAFT: Final = """\
# An agreement about testing a model. Fill in, read, then:
#   clearhold model agreement offer FILE --key KEY
developer = "aurora-lab"            # handles of the two parties
evaluator = "national-evaluators"
departments = []                    # handles of further parties that test under it
authority = "Executive Order 14409, section 3"
window_days = 30                    # access, at most
draft_days = {draft}                      # the developer has the draft so long before the end
reply_days = 5
retention_days = 90
report_to = "parties"               # nobody, parties, public-summary or public
findings = "maintainer-first"       # or maintainer-and-departments
credits_outages = false             # whether time without an endpoint is given back
handling = "Kept on the evaluator's own machines, read by those who are named."
destruction = "Everything but the report is destroyed when the retention is over."
redaction = "The developer may have trade secrets and instructions for misuse left out, each told."
days = 180                          # how long the agreement stands, from now

[[variants]]
name = "release-candidate"
safeguards = "release"              # release, reduced or none
commitment = ""                     # a SHA-256 of weights and configuration, if you give one

[[evaluators]]
name = "Ada Example"
department = ""
variants = ["release-candidate"]
kinds = ["chat"]                    # chat, raw-reasoning, logprobs, fine-tuning, monitor-feed
tokens = 10000000
attested = []                       # needed for less than release: information-security, insider-risk
"""

Moves = Literal["refuse", "suspend", "resume", "end"]
_STATES: Final[dict[str, AgreementState]] = {
    "refuse": AgreementState.REFUSED,
    "suspend": AgreementState.SUSPENDED,
    "resume": AgreementState.IN_FORCE,
    "end": AgreementState.ENDED,
}
KEY = typer.Option(help="Your party's private key.")
EXPECTED = typer.Option(help="The SHA-256 of the bytes you read; anything else is not signed.")


def check_digest(payload: bytes, expected: str) -> None:
    """Raise `IntegrityError` unless these are the bytes that were read, where that was said."""
    found = hashlib.sha256(payload).hexdigest()
    if expected and expected.lower() != found:
        raise IntegrityError(
            f"What is to be signed has the SHA-256 {found}, not the one expected.",
            next_step="Read it again before you sign it.",
        )


@app.command("draft")
@told
def draft() -> None:
    """Print an agreement to fill in."""
    typer.echo(_DRAFT.format(draft=LEAST_DRAFT_DAYS), nl=False)


@app.command("offer")
@told
def offer(file: Path, key: Annotated[Path, KEY], *, as_json: bool = JsonOption) -> None:
    """Sign an agreement that you filled in and offer it to the other side."""
    signer = party_key.load(key)
    terms = _terms(file)
    statement = model_agreement.write(terms)
    envelope = dsse.sign(statement, model_agreement.AGREEMENT_TYPE, signer).decode()
    show(hub().post("/evaluations/agreements", {"envelope": envelope}), as_json=as_json)


@app.command("list")
@told
def listing(after: str | None = None, *, as_json: bool = JsonOption) -> None:
    """List your party's agreements, a hundred at a time."""
    wanted = {} if after is None else {"after": after}
    show(hub().get("/evaluations/agreements", **wanted), as_json=as_json)


@app.command("show")
@told
def single(agreement: str, *, as_json: bool = JsonOption) -> None:
    """Show an agreement with its terms."""
    show(hub().get(f"/evaluations/agreements/{agreement}"), as_json=as_json)


@app.command("sign")
@told
def sign(
    agreement: str,
    key: Annotated[Path, KEY],
    expect_digest: Annotated[str, EXPECTED] = "",
    *,
    as_json: bool = JsonOption,
) -> None:
    """Sign what the other side offered, exactly as it signed it; read it first."""
    signer = party_key.load(key)
    connection = hub()
    found = connection.get(f"/evaluations/agreements/{agreement}")
    payload = dsse.payload_of(found["envelopes"][found["offered_by"]].encode())
    model_agreement.read_agreement(payload)
    check_digest(payload, expect_digest)
    if msgspec.json.decode(payload) != found["terms"]:
        raise IntegrityError("The terms the hub shows are not those that were signed.")
    envelope = dsse.sign(payload, model_agreement.AGREEMENT_TYPE, signer).decode()
    body = {"envelope": envelope}
    show(connection.post(f"/evaluations/agreements/{agreement}/signature", body), as_json=as_json)


@app.command("move")
@told
def move(agreement: str, to: Moves, *, as_json: bool = JsonOption) -> None:
    """Refuse, suspend, resume or end an agreement for your side, at once and without a reason."""
    body = {"state": _STATES[to]}
    show(hub().post(f"/evaluations/agreements/{agreement}/state", body), as_json=as_json)


def _terms(file: Path) -> ModelAgreement:
    """An agreement from a filled-in draft."""
    try:
        content = file.read_bytes()
        if len(content) > _LARGEST_FILE:
            raise InvalidError(f"{file} is too long to be an agreement.")
        plain: dict[str, Any] = tomllib.loads(content.decode())
        days = plain.pop("days", None)
        if not isinstance(days, int) or not 0 < days <= 3 * 366:
            raise InvalidError(f"{file}: days is a whole number from 1 to {3 * 366}.")
        instant = now()
        plain |= {
            "nonce": secrets.token_hex(16),
            "not_before": instant,
            "until": instant + timedelta(days=days),
            "voluntary": VOLUNTARY,
        }
        return msgspec.convert(plain, ModelAgreement)
    except OSError as error:
        raise InvalidError(f"{file} cannot be read.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidError(
            f"{file} is no agreement: {error}.",
            next_step="Begin with `clearhold model agreement draft`.",
        ) from error
